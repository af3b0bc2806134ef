"""Servers that are bad hosts: each breaks one thing that the suite relies on to leave nothing behind.

`HOSTS` has them by name; several names combine. All build on the stand-in, which is a healthy server of the API.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from tests.standin.behaviour import Answer, Call, Problem, Settings, Standin
from tests.standin.client import W
from tests.standin.server import wire
from tests.standin.store import Organisation, Run

REFUSED_MAKES = 3
LAG_S = 1.0


def _slipped_in(standin: Standin, org: Organisation, body: Any, *, copies: bool = True) -> Run:
    """A run that no answer tells; `copies` tells whether it takes over the session and the inputs of the request."""
    asked = body if isinstance(body, dict) else {}
    workflow = asked.get("workflow_id")
    session, inputs, alias = (asked.get(name) for name in ("session_id", "input_values", "session_alias"))
    org.created += 1
    run = Run(
        id=standin.new_id(org, 0, 1),
        number=org.created,
        organization_id=org.id,
        workflow_id=workflow if _is_uuid(workflow) else W,
        created_at=standin.created_at(org),
        session_id=session if copies and _is_uuid(session) else None,
        session_alias=alias if copies and isinstance(alias, str) else None,
        input_values=inputs if copies and isinstance(inputs, dict) else None,
    )
    standin.put(org, run)
    return run


def _is_uuid(text: Any) -> bool:
    try:
        return isinstance(text, str) and bool(uuid.UUID(text))
    except ValueError:
        return False


def _read(call: Call) -> Any:
    try:
        return json.loads(call.body)
    except ValueError:
        return None


class _RefusedMakes(Standin):
    """Requests of some operations that are refused make runs all the same."""

    refused_operations: frozenset[str] = frozenset()
    copies = True

    async def once(self, call: Call, handle: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await super().once(call, handle)
        if call.operation in self.refused_operations and 400 <= answer.status < 500:
            for _ in range(REFUSED_MAKES):
                _slipped_in(self, call.org, _read(call), copies=self.copies)
        return answer


class RefusedBulkMakesThree(_RefusedMakes):
    refused_operations = frozenset({"bulk_create_runs"})


class RefusedBulkMakesThreePlain(_RefusedMakes):
    """The runs have the workflow of the request and nothing else of it."""

    refused_operations = frozenset({"bulk_create_runs"})
    copies = False


class RefusedCreateMakesThree(_RefusedMakes):
    refused_operations = frozenset({"create_run"})


class RefusedChainMakesThree(_RefusedMakes):
    refused_operations = frozenset({"create_run_chain"})


class RefusedRetryMakesThree(_RefusedMakes):
    refused_operations = frozenset({"retry_run"})


class UnauthorizedBulkMakesThree(Standin):
    def authorize(self, authorization: str | None, operation: str) -> Organisation:
        try:
            return super().authorize(authorization, operation)
        except Problem:
            if operation == "bulk_create_runs":
                org = next(iter(self.organisations.values()))
                for _ in range(REFUSED_MAKES):
                    _slipped_in(self, org, None)
            raise


class CreateMakesTwo(Standin):
    def create_run(self, call: Call, body: Any) -> Answer:
        answer = super().create_run(call, body)
        _slipped_in(self, call.org, _read(call))
        return answer


class BulkMakesOneMore(Standin):
    def bulk_create_runs(self, call: Call, body: Any) -> Answer:
        answer = super().bulk_create_runs(call, body)
        _slipped_in(self, call.org, _read(call))
        return answer


class CreateFailsButMakes(Standin):
    """A single create that is answered with 500 once its run is made."""

    def create_run(self, call: Call, body: Any) -> Answer:
        super().create_run(call, body)
        return Answer(500, {"detail": "Internal Server Error"})


class ReadsAre404(Standin):
    def get_run(self, call: Call, run_id: str, include: str | None) -> Answer:
        raise self.unknown("Run")


class IdsAreNoUuids(Standin):
    """Ids are short texts that a path must percent-encode."""

    RunId = str

    def new_id(self, org: Organisation, index: int, of: int) -> str:
        return f"run {org.created} é"


class DeletesAreIgnored(Standin):
    def delete_run(self, call: Call, run_id: str) -> Answer:
        self.find(call, run_id)
        return Answer(204, raw=b"")


class DeleteFailsButDeletes(Standin):
    def delete_run(self, call: Call, run_id: str) -> Answer:
        super().delete_run(call, run_id)
        return Answer(500, {"detail": "Internal Server Error"})


class ListsAreEmpty(Standin):
    def list_runs(self, call: Call, query: Any) -> Answer:
        return Answer(200, self.listing([], 0, query))


class ListsFail(Standin):
    def list_runs(self, call: Call, query: Any) -> Answer:
        return Answer(503, {"detail": "Service Unavailable"})


class ListsLag(Standin):
    """Runs stand in the lists a while after they were made, and for a while after they were deleted."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.dropped: list[tuple[float, Organisation, Run]] = []

    def forget(self, org: Organisation, run: Run) -> None:
        super().forget(org, run)
        self.dropped.append((self.settings.clock(), org, run))

    def listed(self, call: Call) -> list[Run]:
        now = self.now(call.org)
        shown = [run for run in super().listed(call) if run.created_at.timestamp() <= now - LAG_S]
        return shown + [run for at, org, run in self.dropped if org is call.org and now - at < LAG_S]


class TotalsAreWrong(Standin):
    def total(self, call: Call, found: list[Run], query: Any) -> int:
        return 3


class ClockIsOff(Standin):
    """Shows moments that lie two hours back."""

    def created_at(self, org: Organisation) -> Any:
        return super().created_at(org) - timedelta(hours=2)


HOSTS: dict[str, type[Standin]] = {
    "refused-bulk-creates-three": RefusedBulkMakesThree,
    "refused-bulk-creates-three-plain": RefusedBulkMakesThreePlain,
    "refused-single-creates-three": RefusedCreateMakesThree,
    "refused-chain-creates-three": RefusedChainMakesThree,
    "refused-retry-creates-three": RefusedRetryMakesThree,
    "unauthorized-bulk-creates-three": UnauthorizedBulkMakesThree,
    "create-makes-two-tells-one": CreateMakesTwo,
    "bulk-makes-one-more": BulkMakesOneMore,
    "create-500-but-made": CreateFailsButMakes,
    "reads-404-lists-show": ReadsAre404,
    "ids-not-uuid": IdsAreNoUuids,
    "deletes-ignored": DeletesAreIgnored,
    "delete-500-but-deletes": DeleteFailsButDeletes,
    "lists-empty": ListsAreEmpty,
    "lists-fail": ListsFail,
    "lists-lag": ListsLag,
    "totals-wrong": TotalsAreWrong,
    "clock-off": ClockIsOff,
}


def create_host(*defects: str, settings: Settings | None = None) -> FastAPI:
    kinds = tuple(HOSTS[name] for name in defects)
    return wire(type("Host", (*kinds, Standin), {})(settings or Settings()))
