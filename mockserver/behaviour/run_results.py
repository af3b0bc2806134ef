"""The results of a run that has ended: output or error, message history and usage.

All of them follow from the workflow and from how the run ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mockserver.behaviour.lifecycle import Timeline
from mockserver.behaviour.world import RunProfile
from mockserver.clock import FOREVER, SECOND
from mockserver.spec import render_json

NULL = b"null"
_STEP_US = 2 * SECOND
_USAGE = b'{"steps":%d,"input_tokens":%d,"output_tokens":%d}'


class Results(NamedTuple):
    """The JSON of each result."""

    error: bytes
    output_data: bytes
    history: bytes
    usage: bytes


NOTHING_YET = Results(NULL, NULL, NULL, NULL)


def results(profile: RunProfile, timeline: Timeline, number: int) -> Results:
    """Return the results of a run that has ended. `number` selects one of the workflow's errors."""
    started = timeline.started if timeline.started < FOREVER else timeline.ended
    if timeline.outcome == "cancelled" and started >= timeline.ended:
        return NOTHING_YET  # it never ran
    steps = 1 + (timeline.ended - started) // _STEP_US
    error = profile.errors[number % len(profile.errors)]
    told = _texts(profile.output_data, error, timeline.outcome)
    return Results(*told, _USAGE % (steps, 1200 * steps, 85 * steps))


@lru_cache(maxsize=1024)
def _texts(output_data: bytes, error: str, outcome: str) -> tuple[bytes, bytes, bytes]:
    """Return the JSON of error, output and history."""
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


def texts_of(profile: RunProfile, *, with_history: bool) -> Iterator[bytes]:
    """Yield the JSON of every result that a run with this profile can have, except usage."""
    for outcome, errors in (
        ("success", profile.errors[:1]),
        ("cancelled", profile.errors[:1]),
        ("error", profile.errors),
    ):
        for error in errors:
            yield from _texts(profile.output_data, error, outcome)[: 3 if with_history else 2]
