"""Which runs an answer says were made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.exchange import Answer
from contracts.guard.effect import canonical

_CLOCKS_DIFFER_BY = timedelta(hours=1)
_ZONES_DIFFER_BY = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class MadeRun:
    id: str
    created_at: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """`others` are ids of what came with the runs: their input attachments."""

    runs: tuple[MadeRun, ...] = ()
    failed: int = 0
    others: frozenset[str] = frozenset()


def made_by(answer: Answer) -> Made:
    """Reads where the three creates tell ids, whatever the status; not what an error repeats of the request."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return Made()
    if not isinstance(told, dict):
        return Made()
    runs = {run.id: run for run in _runs(told)}
    others = frozenset(_attachments(told))
    failed = told.get("failed_count")
    return Made(tuple(runs.values()), failed if isinstance(failed, int) and failed > 0 else 0, others)


def _objects(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = told.get("created_runs")
    yield from (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else (told,)


def _runs(told: dict[str, Any]) -> Iterator[MadeRun]:
    for run in _objects(told):
        if (found := _id(run.get("id"))) is not None:
            created_at = run.get("created_at")
            yield MadeRun(found, created_at if isinstance(created_at, str) else None, _id(run.get("session_id")))
    run_ids = told.get("run_ids")
    for text in run_ids if isinstance(run_ids, list) else ():
        if (found := _id(text)) is not None:
            yield MadeRun(found, None, _id(told.get("session_id")))


def _attachments(told: dict[str, Any]) -> Iterator[str]:
    for run in _objects(told):
        listed = run.get("input_attachment_ids")
        for text in listed if isinstance(listed, list) else ():
            if (found := _id(text)) is not None:
                yield found


def _id(value: object) -> str | None:
    return canonical(value) if isinstance(value, str) else None


def is_older(created_at: str, than: datetime) -> bool:
    """By more than clocks differ: an hour, or a day and a bit where the text has no time zone. False for no date."""
    try:
        moment = datetime.fromisoformat(created_at)
        slack = _CLOCKS_DIFFER_BY if moment.tzinfo else _ZONES_DIFFER_BY
        return moment.replace(tzinfo=moment.tzinfo or UTC) < than - slack
    except (ValueError, OverflowError):
        return False
