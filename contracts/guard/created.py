"""Finds the runs that an answer reports as created."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.core.exchange import Answer, json_object_in
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
    body = json_object_in(answer)
    objects = [body]
    if isinstance(body.get("created_runs"), list):
        objects = [each for each in body["created_runs"] if isinstance(each, dict)]
    runs: dict[str, CreatedRun] = {}
    for each in objects:
        if (run_id := run_id_in(each.get("id"))) is not None:
            runs[run_id] = CreatedRun(run_id, _id(each.get("session_id")), each)
    for value in _listed(body, "run_ids"):
        if (run_id := run_id_in(value)) is not None:
            runs[run_id] = CreatedRun(run_id, _id(body.get("session_id")))
    failed = body.get("failed_count")
    attachments = (_id(value) for each in objects for value in _listed(each, "input_attachment_ids"))
    return Created(
        tuple(runs.values()),
        failed if isinstance(failed, int) and failed > 0 else 0,
        frozenset(attachment for attachment in attachments if attachment is not None),
    )


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def _id(value: object) -> str | None:
    return canonical(value) if isinstance(value, str) else None


def run_id_in(value: object) -> str | None:
    """Return the id of a run in an answer: any text or integer, since a run must be deleted whatever its id is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return canonical(value) or value
    return None
