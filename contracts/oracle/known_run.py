"""The model of a run: its last known state, and what the next answer about it may show.

Each kind of answer is judged by one function: of an update, of a retry, of a delete, of a read. The model sends
nothing; `contracts.rules.tracked_run` does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.core.statuses import TERMINAL
from contracts.openapi.schemas import moment_of, newer_properties
from contracts.openapi.strict import is_date_time
from contracts.oracle.answer_schema import is_run
from contracts.oracle.request import ParsedRequest
from contracts.oracle.retry import CLEARED_BY_RETRY, retry_violations
from contracts.oracle.run import (
    PRECISION,
    STABLE,
    can_follow,
    changed_field,
    difference,
    gains_inputs,
    is_same,
    stable_fields,
    status_contradiction,
    step_violation,
)
from contracts.oracle.run_list import DELETED, Absence, ListCandidate
from contracts.oracle.violation import Violation
from contracts.oracle.wording import run_in_words, value_in_words

RESULTS: Final = (*CLEARED_BY_RETRY, "usage_metadata", "started_at", "ended_at")
"""Fields that a run writes itself while it is active. After its end, only a request changes them."""
CHANGEABLE: Final = (*RESULTS, "input_values", "release_session_after")
"""The fields that an update may name, apart from status."""
SET_BY_END: Final = frozenset({"error", "output_data", "ended_at"})
"""Fields that a server may fill when an update ends the run."""
_SET_BY_STATUS: Final = ("error", "output_data")
_TIMES: Final = ("started_at", "ended_at")
_RESULTS_BY_PROBLEM: Final = {"ended before it started": _TIMES}
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How much the clocks of a target's machines, and the clock of the check, may differ."""


@dataclass(frozen=True)
class KnownRun:
    """A run as the answers have shown it. Methods named `…_violations` judge an answer, methods named `after_…` return
    the model that follows from it.

    `created_by` is the request that created it, if that is known. `rule` is the rule of the last change, and `changed`
    are the fields that this change named. `is_read`: a read has shown this state. `was_read`: a read showed the run
    before the last change, so that change caused any difference. `has_own_results`: only the run itself has written
    results, which must then fit its status. `has_own_times`: no update has ever named started_at or ended_at.
    `is_placed_by_retry`: a retry has named a machine or pools.
    """

    view: Mapping[str, Any]
    created_by: ParsedRequest | None = None
    rule: str = "READ-BACK"
    changed: frozenset[str] = field(default_factory=frozenset)
    is_read: bool = False
    was_read: bool = False
    has_own_results: bool = True
    has_own_times: bool = True
    is_deleted: bool = False
    is_placed_by_retry: bool = False

    @property
    def may_gain_inputs(self) -> bool:
        """Whether the machine or the pools that a request has named may have added keys to the input_values."""
        return self.is_placed_by_retry or gains_inputs(self.created_by)

    @property
    def id(self) -> str:
        return str(self.view["id"])

    @property
    def status(self) -> str:
        return str(self.view.get("status"))

    @property
    def has_ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_running(self) -> bool:
        return self.status in {"running", "running_checks"}

    def candidate(self, absence: Absence | None = None) -> ListCandidate:
        """Return the run for judging lists. `absence` says why no list may contain it, apart from a delete."""
        run = ListCandidate.of(self.view, self.created_by, DELETED if self.is_deleted else absence)
        return replace(run, fixed=run.fixed | (self.changed - {"status", *RESULTS}))

    # Reads

    def read_violations(self, shown: Any, *, is_partial: bool = False) -> Iterator[Violation]:
        """Judge the run as a read or a list shows it now. A partial one has only the fields that the list asked for."""
        if not (is_partial or is_run(shown)):
            return  # judged with its answer
        yield from self._status_violations(shown, is_partial=is_partial)
        if self.has_own_times:
            yield from _wrong_times(shown)
        changed = self.difference_from(shown, is_partial=is_partial)
        if changed is None and self.has_own_results:
            changed = self._lost_result(shown)
        if changed is not None:
            name, problem = changed
            expected = f"{name} as an earlier answer showed it"
            yield Violation(self._rule_of(name), f"{name} reads differently", expected, problem, field=name)

    def difference_from(self, shown: Mapping[str, Any], *, is_partial: bool = False) -> tuple[str, str] | None:
        """Return (field, difference in words) for the first field that must be as before and is not."""
        names = list(stable_fields(self.created_by))
        if self.status == shown.get("status"):
            if self.has_ended or self.status == "scheduling":
                names += RESULTS
            if self.has_ended:
                names.append("machine_id")
        names = [name for name in names if name in shown or not (is_partial or name in newer_properties())]
        return changed_field(self.view, shown, dict.fromkeys(names), may_gain=self.may_gain_inputs)

    def _status_violations(self, shown: Mapping[str, Any], *, is_partial: bool) -> Iterator[Violation]:
        """Judge the status by the one before, and the results by the status."""
        rule = "LIFECYCLE" if self.rule in {"READ-BACK", "UPDATE-PARTIAL"} else self.rule
        wrong = step_violation(self.status, str(shown.get("status")), rule)
        if wrong is not None:
            yield wrong
        problem = _result_problem(shown) if self.has_own_results and not is_partial else None
        if problem is not None:
            rule = self.rule if self.rule == "RETRY-RULES" else "LIFECYCLE"
            got = f"{run_in_words(shown, ('status', *_RESULTS_BY_PROBLEM.get(problem, _SET_BY_STATUS)))}: {problem}"
            yield Violation(rule, problem, "output_data and error that fit the status", got)

    def _rule_of(self, name: str) -> str:
        """Return the rule that is broken if a read shows another value of the field."""
        if self.rule == "READ-BACK" and name in RESULTS:
            return "LIFECYCLE"
        return self.rule if self.was_read or name in self.changed else "READ-BACK"

    def after_read(self, shown: Mapping[str, Any]) -> KnownRun:
        return replace(self, view={**self.view, **shown}, is_read=True)

    # Updates

    def update_violations(self, body: Mapping[str, Any], after: Any) -> Iterator[Violation]:
        """Judge the answer to an update: the named fields have the new values, all others are as before."""
        if not is_run(after):
            return
        rule, may_gain = "UPDATE-PARTIAL", self.may_gain_inputs
        named = {name: value for name, value in body.items() if name == "status" or name in CHANGEABLE}
        for name, asked in named.items():
            is_set = self._is_set_by_update(name, named, after)
            if is_set and not _is_as_asked(name, asked, after.get(name), may_gain=may_gain):
                cause = "a run is not cancelled" if name == "status" else f"{name} is not as asked"
                got = difference(asked, after.get(name), name) or f"{name} {value_in_words(after.get(name))}"
                yield Violation(rule, cause, f"{name} as asked", got, field=name)
        if self.has_ended and after["status"] != self.status:
            cause, got = f"{self.status} to {after['status']}", f"status {value_in_words(after['status'])}"
            yield Violation("LIFECYCLE" if "status" in named else rule, cause, f"status {self.status}", got)
        changed = changed_field(self.view, after, self._kept_by_update(named, after), may_gain=may_gain)
        if changed is None and self.has_own_results:
            changed = self._lost_result(after, named)
        if changed is not None:
            name, problem = changed
            yield Violation(rule, f"{name} changes too", f"{name} as before", problem, field=name)

    def _is_set_by_update(self, name: str, named: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Return whether the answer to an update must show the value that it names."""
        if name == "status":  # whether another status can be set is not determined
            may_have_ended = self.has_ended or (self.is_running and after["status"] in TERMINAL)
            return named[name] == "cancelled" and not may_have_ended
        if name in newer_properties() and name not in after:
            return False
        # The run may have written another result since.
        return name not in RESULTS or self.status == after["status"] or not self.may_have_moved(after, named)

    def _kept_by_update(self, named: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """Return the fields that an update must not change, since it does not name them."""
        kept = [*STABLE, "input_values", "pool_ids"]
        if not self.may_have_moved(after, named):
            kept += [name for name in CHANGEABLE if not ("status" in named and name in SET_BY_END)]
        if self.has_ended:
            kept.append("machine_id")
        return [name for name in kept if name not in named and (name in after or name not in newer_properties())]

    def may_have_moved(self, after: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
        """Return whether the run itself may have written results since it was last seen; `body` is an update since."""
        status = after.get("status")
        if self.has_ended or (self.status == "scheduling" and status == "scheduling"):
            return False
        never_started = "started_at" in after and after["started_at"] is None and "started_at" not in body
        is_cancelled = body.get("status") == "cancelled" and status == "cancelled"
        return not (self.status == "scheduling" and is_cancelled and never_started)

    def after_update(self, body: Mapping[str, Any], after: Mapping[str, Any]) -> KnownRun:
        view = dict(after)
        if body.get("status") == "cancelled" and self.may_have_moved(after, body):
            # The run was working when it was cancelled, and may still write its results.
            view = {name: value for name, value in view.items() if name not in RESULTS}
        writes_results = not set(RESULTS).isdisjoint(body) or body.get("status", "cancelled") != "cancelled"
        changed = self._after_change("UPDATE-PARTIAL", view, frozenset(body))
        return replace(
            changed,
            has_own_results=self.has_own_results and not writes_results,
            has_own_times=self.has_own_times and set(_TIMES).isdisjoint(body),
        )

    def _after_change(self, rule: str, view: Mapping[str, Any], named: frozenset[str]) -> KnownRun:
        return replace(self, view=view, rule=rule, changed=named, was_read=self.is_read, is_read=False)

    # Retries

    def retry_violations(self, request: ParsedRequest, after: Any) -> Iterator[Violation]:
        """Judge the answer to a retry: the same run, cleared and scheduling, with what the request gives."""
        return retry_violations(self.view, request, after, may_gain=self.may_gain_inputs or gains_inputs(request))

    def after_retry(self, request: ParsedRequest, after: Mapping[str, Any]) -> KnownRun:
        named = frozenset({"status", *CLEARED_BY_RETRY, *(request.body if isinstance(request.body, dict) else ())})
        changed = self._after_change("RETRY-RULES", after, named)
        is_placed = self.is_placed_by_retry or gains_inputs(request)
        return replace(changed, has_own_results=True, is_placed_by_retry=is_placed)

    # Deletes, and what must change nothing

    @staticmethod
    def gone_violations(operation: str, status: int, got: str) -> Iterator[Violation]:
        """Judge the answer to an operation on a deleted run."""
        if status != 404:
            expected = "404, since the run was deleted"
            yield Violation("DELETE-GONE", f"{operation} after the delete is not 404", expected, got)

    def after_delete(self) -> KnownRun:
        return replace(self, rule="DELETE-GONE", is_deleted=True)

    def after_no_change(self, rule: str) -> KnownRun:
        """Return the model after a request that must not change the run. If a read shows a change, `rule` is broken."""
        return self._after_change(rule, self.view, frozenset())

    def unchanged_violations(self, rule: str, cause: str, shown: Any) -> Iterator[Violation]:
        """Judge a read of a run that a request must not have changed: a refused one, or one about another run."""
        status = shown.get("status") if isinstance(shown, dict) else None
        is_cancelled = status == "cancelled" and self.status != "cancelled"
        if not isinstance(shown, dict):
            changed: tuple[str, str] | None = ("", value_in_words(shown))
        elif is_cancelled or not can_follow(self.status, str(status)):
            changed = ("status", f"status {value_in_words(status)} instead of {value_in_words(self.status)}")
        else:
            changed = self.difference_from(shown) or self._lost_result(shown)
        if changed is not None:
            name, got = changed
            yield Violation(rule, cause, "the run as before", got, field=name, may_be_by_others=is_cancelled)

    def _lost_result(self, shown: Mapping[str, Any], named: Collection[str] = ()) -> tuple[str, str] | None:
        """Return (field, difference in words) for a result that a running run no longer has: it may write results, but
        only a retry, or an update that names them, clears them.
        """
        if not self.is_running or shown.get("status") != self.status:
            return None
        written = [name for name in (*CLEARED_BY_RETRY, "started_at") if name in shown and name not in named]
        lost = [name for name in written if shown[name] in (None, [], {})]
        return changed_field(self.view, shown, lost)


def _result_problem(run: Mapping[str, Any]) -> str | None:
    """Describe how the results of a run contradict its status. The run itself must have written them."""
    started, ended = moment_of(run.get("started_at")), moment_of(run.get("ended_at"))
    if started is not None and ended is not None and ended < started and run.get("status") in TERMINAL:
        return "ended before it started"
    return status_contradiction(run)


def _wrong_times(run: Mapping[str, Any]) -> Iterator[Violation]:
    """Judge the times that the run itself has written: not before its creation, and not in the future. A clock that is
    ahead writes a later created_at, too.
    """
    created = moment_of(run.get("created_at"))
    if created is None:
        return
    for name in _TIMES:
        at, got = moment_of(run.get(name)), run_in_words(run, ("created_at", name))
        if at is None:
            continue
        if at < created - _CLOCK_TOLERANCE:
            yield Violation("LIFECYCLE", f"{name} before created_at", f"{name} after created_at", got, field=name)
        elif at > max(created, datetime.now(UTC)) + _CLOCK_TOLERANCE:
            yield Violation("LIFECYCLE", f"{name} in the future", f"{name} not after the read", got, field=name)


def _is_as_asked(name: str, asked: Any, got: Any, *, may_gain: bool) -> bool:
    if name in _TIMES:
        # A text that is not a complete timestamp has no defined meaning.
        at, kept = moment_of(asked), moment_of(got)
        if at is None or kept is None:
            return at is None or (isinstance(got, str) and is_date_time(got))  # such as the first hours of the year 1
        return abs(at - kept) < PRECISION
    if asked in ([], {}) and got in (None, [], {}):
        return True
    if name == "input_values" and may_gain and isinstance(asked, dict) and isinstance(got, dict):
        got = {key: value for key, value in got.items() if key in asked}
    return is_same(asked, got)
