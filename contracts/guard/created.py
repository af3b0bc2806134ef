"""Finds the runs that an answer reports as created."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.core.exchange import Answer
from contracts.guard.effect import canonical


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """`body` is the run object of the answer; None if the answer has only ids, as that of a chain."""

    id: str
    session_id: str | None = None
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """What an answer reports: the runs, the number of creates that failed, and the runs' input attachments."""

    runs: tuple[CreatedRun, ...] = ()
    failed: int = 0
    attachment_ids: frozenset[str] = frozenset()


def created_by(answer: Answer) -> Created:
    """Read the fields in which the three create operations report ids, whatever the status of the answer.

    Other fields are ignored: an error may repeat ids of the request.
    """
    body = answer.json_or_none()
    if not isinstance(body, dict):
        return Created()
    runs = {run.id: run for run in _runs(body)}
    attachment_ids = frozenset(_attachments(body))
    failed = body.get("failed_count")
    return Created(tuple(runs.values()), failed if isinstance(failed, int) and failed > 0 else 0, attachment_ids)


def _objects(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects in `created_runs` if the body has that list, else the body itself."""
    listed = body.get("created_runs")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else [body]


def _runs(body: dict[str, Any]) -> Iterator[CreatedRun]:
    for run in _objects(body):
        if (run_id := run_id_in(run.get("id"))) is not None:
            yield CreatedRun(run_id, _id(run.get("session_id")), run)
    run_ids = body.get("run_ids")
    for text in run_ids if isinstance(run_ids, list) else ():
        if (run_id := run_id_in(text)) is not None:
            yield CreatedRun(run_id, _id(body.get("session_id")))


def _attachments(body: dict[str, Any]) -> Iterator[str]:
    for run in _objects(body):
        listed = run.get("input_attachment_ids")
        for text in listed if isinstance(listed, list) else ():
            if (attachment_id := _id(text)) is not None:
                yield attachment_id


def _id(value: object) -> str | None:
    return canonical(value) if isinstance(value, str) else None


def run_id_in(value: object) -> str | None:
    """Return the id of a run in an answer: any text or integer, since a run must be deleted whatever its id is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return canonical(value) or value
    return None
