"""Decides which runs belong to a check: what proves it, and which runs are older than the check."""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from contracts.core.exchange import Answer, date_of
from contracts.guard.effect import canonical

CREATION_WINDOW_S: Final = 300.0
"""How far a run's creation may be from the time of its request, because of differing clocks or a slow create."""
LATE_CREATE_S: Final = 60.0
"""How long after it was sent an unanswered create may still be carried out."""
_NO_WORKFLOW_PENALTY: Final = 1e6
"""Added to `PossibleRun.unlikely` if the request names no workflow: any run may then be a coincidence."""
_CLOCK_TOLERANCE: Final = timedelta(hours=1)
_ZONE_TOLERANCE: Final = timedelta(hours=26)
"""The tolerance for a `created_at` without a time zone."""


@dataclass(frozen=True, slots=True)
class CheckIdentity:
    """`marker` is a random text that nobody else uses; `sessions` are the ids that the check generated. `workflows` are
    those that its creates named, and `oldest_listed` when the oldest runs of the first lists were created (by the
    target's clock), of those lists that were not complete: all runs of the check are newer.
    """

    marker: str
    started_at: datetime
    sessions: Collection[str]
    workflows: Collection[str] = ()
    oldest_listed: Mapping[str, float] = field(default_factory=dict)

    def proves(self, run: Mapping[str, Any]) -> bool:
        """Return whether the run has the marker in its input values or session alias, or is in one of the sessions."""
        return self._has_marker(run) or text_of(run, "session_id") in self.sessions

    def may_include(self, run: Mapping[str, Any], answer: Answer, now: datetime) -> bool:
        """Return whether the run has the marker, or is of a workflow of the check and was not created before it began.

        The answer's Date, if present, corrects for the target's clock. A run without a valid `created_at` may have been
        created at any time.
        """
        if self._has_marker(run):
            return True
        if not self._names_workflow_of(run):
            return False
        at, by_target = created_at(run, clock_offset_of(answer, now)), created_at(run)
        if at is None or by_target is None:
            return True
        if by_target.timestamp() < max(self.oldest_listed.values(), default=-math.inf):
            return False
        has_zone = datetime.fromisoformat(str(run["created_at"])).tzinfo is not None
        return at >= self.started_at - (_CLOCK_TOLERANCE if has_zone else _ZONE_TOLERANCE)

    def _names_workflow_of(self, run: Mapping[str, Any]) -> bool:
        """Return whether the run is of a workflow that the check named, as far as both name one."""
        workflow = text_of(run, "workflow_id")
        if workflow is None or not self.workflows or workflow in self.workflows:
            return True
        return canonical(workflow) in {canonical(each) for each in self.workflows}

    def _has_marker(self, run: Mapping[str, Any]) -> bool:
        try:
            return self.marker in json.dumps([run.get(name) for name in ("input_values", "session_alias")])
        except RecursionError:  # the check never sends values that are nested so deeply
            return False


@dataclass(frozen=True, slots=True)
class PossibleRun:
    """A run that may belong to the check, without proof.

    `unlikely` is a score for sorting, lower for a likelier run: the seconds between the request and the creation of the
    run, plus a large constant if the request names no workflow.
    """

    id: str
    workflow_id: str | None
    created_at: str | None
    unlikely: float

    @classmethod
    def of(cls, run: Mapping[str, Any], *, apart_s: float = math.inf, names_workflow: bool = True) -> Self:
        """Without `apart_s`, the run is the least likely: no request of the check seems to have created it."""
        unlikely = abs(apart_s) + (0.0 if names_workflow else _NO_WORKFLOW_PENALTY)
        return cls(str(run["id"]), text_of(run, "workflow_id"), text_of(run, "created_at"), unlikely)

    def __str__(self) -> str:
        workflow = "no workflow" if self.workflow_id is None else f"workflow {self.workflow_id[:64]}"
        time = "" if self.created_at is None else f", created at {self.created_at[:40]}"
        return f"{self.id} ({workflow}{time})"


def has_other_inputs(run: Mapping[str, Any], sent: Any) -> bool:
    """Return whether the run has input values, and none of those in the body that was sent.

    Then the answer may be that to a request of someone else. A server that changes some of the values, or shows none,
    still has the run of this request. The steps of a chain are not compared.
    """
    inputs, sent_inputs = run.get("input_values"), sent.get("input_values") if isinstance(sent, dict) else None
    if not isinstance(inputs, dict) or not isinstance(sent_inputs, dict) or not inputs or not sent_inputs:
        return False
    return not any(name in inputs and inputs[name] == value for name, value in sent_inputs.items())


def likely_first(runs: Iterable[PossibleRun]) -> tuple[PossibleRun, ...]:
    """Return each run once, with its lowest `unlikely`, sorted by it."""
    best: dict[str, PossibleRun] = {}
    for run in sorted(runs, key=lambda run: (run.unlikely, run.id)):
        best.setdefault(run.id, run)
    return tuple(best.values())


def text_of(run: Mapping[str, Any], name: str) -> str | None:
    """Return a field of a run if it is a text: a broken server may send any JSON value."""
    value = run.get(name)
    return value if isinstance(value, str) else None


def created_at(run: Mapping[str, Any], clock_offset: timedelta = timedelta()) -> datetime | None:
    """Return when the run was created; None without a valid `created_at`. It is by our clock if `clock_offset` is how
    far the target's clock is ahead of ours, and otherwise by the target's.
    """
    try:
        at = datetime.fromisoformat(str(run.get("created_at")))
        return at.replace(tzinfo=at.tzinfo or UTC) - clock_offset
    except (ValueError, OverflowError):
        return None


def clock_offset_of(answer: Answer, now: datetime) -> timedelta:
    """Return how far the target's clock is ahead of ours, by the answer's Date; zero without a valid one."""
    target_now = date_of(answer)
    return timedelta() if target_now is None else target_now - now
