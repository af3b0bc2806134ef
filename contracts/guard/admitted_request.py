"""A request on its way through the guard: what it may do, what it was charged, and what came of it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from contracts.core.exchange import Exchange, Request
from contracts.guard.budget import Charge
from contracts.guard.effect import Effect
from contracts.guard.identity import LATE_CREATE_S, text_of
from contracts.guard.journal import Intent
from contracts.guard.runs_client import Run

TOLERANCE_BEFORE: Final = timedelta(seconds=1.5)
_TOLERANCE_AFTER: Final = timedelta(seconds=3)
"""How far a run's creation may lie outside the time of its request, after correcting it by the target's Date: Date has
a resolution of a second, and some servers update it only once per second.
"""


@dataclass(frozen=True, slots=True)
class RequestKind:
    """`reason` says why a request must create nothing; None if the request itself does not show that."""

    operation: str
    reason: str | None = None

    @classmethod
    def by_path(cls, request: Request) -> Self:
        return cls(f"{request.method} {request.path_without_query}")


@dataclass(eq=False, slots=True)
class AdmittedRequest:
    """A request that the gate allows and that is charged. `masked` is the request without tokens."""

    request: Request
    masked: Request
    kind: RequestKind
    effect: Effect
    charge: Charge
    sent_at: datetime
    intent: Intent | None = None
    exchange: Exchange | None = None
    """None if no answer came."""
    answered_at: datetime | None = None
    reported: tuple[str, ...] = ()
    """The ids of the runs that the answer reported and that belong to the check."""

    @property
    def authorization(self) -> str | None:
        return self.masked.header("authorization")

    @property
    def refused(self) -> bool:
        return self.exchange is not None and 300 <= self.exchange.answer.status < 500

    @property
    def accepted(self) -> bool:
        return self.exchange is not None and self.exchange.answer.status < 300

    def may_have_created(self, run: Run, at: datetime | None, named_workflows: Collection[str]) -> bool:
        """Return whether the run fits the request by workflow, input values and time of creation (`at`).

        `named_workflows` are those of all requests, for a request that names none.
        """
        if text_of(run, "workflow_id") not in (self.effect.workflow_ids or named_workflows):
            return False
        if (inputs := run.get("input_values")) and not _may_be_inputs(inputs, self.effect.fields):
            return False
        end = self.answered_at or self.sent_at + timedelta(seconds=LATE_CREATE_S)
        return at is None or self.sent_at - TOLERANCE_BEFORE <= at <= end + _TOLERANCE_AFTER


def _may_be_inputs(inputs: Any, body: Mapping[str, Any]) -> bool:
    """Return whether a run that was created from the body may have these input values. A run of a chain has those of
    its step and the shared ones. A reference to another step may have any value.
    """
    if "steps" not in body:
        return bool(inputs == body.get("input_values"))
    steps, shared = body["steps"], body.get("shared_inputs") or {}
    if not isinstance(steps, list) or not isinstance(shared, dict) or '"$ref"' in json.dumps(body):
        return True
    for step in steps:
        own = (step.get("inputs") or {}) if isinstance(step, dict) else None
        if not isinstance(own, dict) or inputs in (shared | own, own | shared, own):
            return True
    return False
