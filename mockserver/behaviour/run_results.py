"""What a run shows once it has ended: its output or its error, the history of its messages, and what it used.

All of it follows from the workflow and from how the run ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mockserver.behaviour.lifecycle import Life
from mockserver.behaviour.world import Temper
from mockserver.clock import FOREVER, SECOND
from mockserver.spec import render_json

NULL = b"null"
_STEP_US = 2 * SECOND
_USAGE = b'{"steps":%d,"input_tokens":%d,"output_tokens":%d}'


class Results(NamedTuple):
    """JSON of each."""

    error: bytes
    output_data: bytes
    history: bytes
    usage: bytes


NOTHING_YET = Results(NULL, NULL, NULL, NULL)


def results(temper: Temper, life: Life, number: int) -> Results:
    """Of a run that has ended. `number` picks one of the workflow's errors."""
    started = life.started if life.started < FOREVER else life.ended
    if life.outcome == "cancelled" and started >= life.ended:
        return NOTHING_YET  # nothing was ever done
    steps = 1 + (life.ended - started) // _STEP_US
    error = temper.errors[number % len(temper.errors)]
    told = _told(temper.output_data, error, life.outcome)
    return Results(*told, _USAGE % (steps, 1200 * steps, 85 * steps))


@lru_cache(maxsize=1024)
def _told(output_data: bytes, error: str, outcome: str) -> tuple[bytes, bytes, bytes]:
    """Error, output and history."""
    history = [
        {"role": "user", "content": "Run the workflow."},
        {"role": "assistant", "content": _LAST_MESSAGES.get(outcome, error)},
    ]
    return (
        render_json([error]) if outcome in ("task_failed", "error") else NULL,
        output_data if outcome == "success" else NULL,
        render_json(history),
    )


_LAST_MESSAGES = {"success": "The workflow ran to its end.", "cancelled": "The run was cancelled."}


def texts_of(temper: Temper, *, with_history: bool) -> Iterator[bytes]:
    """JSON of all that its runs may show of themselves, but for what they used."""
    for outcome, errors in (("success", temper.errors[:1]), ("cancelled", temper.errors[:1]), ("error", temper.errors)):
        for error in errors:
            yield from _told(temper.output_data, error, outcome)[: 3 if with_history else 2]
