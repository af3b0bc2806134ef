"""Which operations a run allows in each status, and which it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.oracle import STATUSES, excerpt, gives_others_too, misses_a_run
from contracts.rules.deletes import not_listed
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule
from contracts.rules.tracked_run import RunCase, TrackedRun, create_for
from contracts.rules.updates import UPDATES

RULES: Final[tuple[Rule, ...]] = ()
"""None: the rules judged here are those of `updates`, `deletes`, `retries`, `lifecycle`, `lists` and `filters`."""


_STATUS_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "running": ("running",),
    "running_checks": ("running", "running_checks"),
    "success": ("running", "success"),
    "task_failed": ("running", "task_failed"),
    "error": ("running", "error"),
    "cancelled": ("cancelled",),
    "cancelled while running": ("running", "cancelled"),
}
"""The status updates that bring a run into a status, on a target that accepts them."""


@dataclass(frozen=True)
class StatusCase(RunCase):
    """`status` is a key of `_STATUS_PATHS`, or "scheduling". `operation` is tried on a run in this status."""

    status: str = "scheduling"
    operation: Literal["retry", "delete", "set status", "invalid update", "list"] = "retry"
    body: dict[str, Any] = field(default_factory=dict)
    """The body of the operation."""
    filled: dict[str, Any] = field(default_factory=dict)
    """Updates before the operation, one for each field."""


def run_status(context: CaseContext, case: StatusCase) -> None:
    run = TrackedRun.of(context, create_for(context, case), case.index)
    for body in [{name: value} for name, value in case.filled.items()]:
        run.update(body)
    for status in _STATUS_PATHS.get(case.status, ()):
        if not run.update({"status": status}).accepted or run.known.status != status:
            raise Inconclusive("a status cannot be set by an update")
    run.read()
    body = context.fill(case.body)
    match case.operation:
        case "retry":
            _retry(run, body)
        case "delete":
            run.delete()
            run.read()
            not_listed(run, widely=False)
        case "set status":
            _set_status_of_ended(run, body)
        case "invalid update":
            result = run.call("update_run", body=body)
            if result.refused:
                run.read_unchanged(result, "UPDATE-PARTIAL", "a refused update changes a run")
        case "list":
            _listed_by_status(run)


def _retry(run: TrackedRun, body: Mapping[str, Any]) -> None:
    if run.known.has_ended:
        run.retry(body)
        return
    result = run.call("retry_run", body=body)
    if result.accepted:
        # The run may have ended by itself after the read: `run_status_thrice` fails only if this happens three times.
        raise _RetriedTooEarly(run, result)
    run.read_unchanged(result, "RETRY-RULES", "a refused retry changes a run")


class _RetriedTooEarly(Exception):
    """A retry was accepted for a run that had not ended when it was last read."""

    def __init__(self, run: TrackedRun, result: CallResult) -> None:
        super().__init__(run.known.status)
        self.run, self.result = run, result


def run_status_thrice(context: CaseContext, case: StatusCase) -> None:
    for attempt in (1, 2, 3):
        try:
            run_status(context, case)
        except _RetriedTooEarly as retried:
            if attempt == 3:
                cause, got = "a run that has not ended is retried", f"{retried.result.words} while {retried}"
                retried.run.require(False, "RETRY-RULES", cause, "409 or 422", retried.result, got=got)
        else:
            return


def _set_status_of_ended(run: TrackedRun, body: Mapping[str, Any]) -> None:
    """Judges that an update cannot change the status of an ended run."""
    if not run.known.has_ended:
        return
    before = run.known.status
    result = run.call("update_run", body=body)
    read = run.context.ask("get_run", run.id, after=[*run.shown, result])
    got = excerpt(json.dumps(read.body.get("status")))
    kept = read.body.get("status") == before
    run.require(kept, "LIFECYCLE", f"{before} to {body.get('status')}", f"status {before}", result, read, got=got)


def _listed_by_status(run: TrackedRun) -> None:
    """Judges that lists in either order contain the run, and that the status filter finds it by its own status only.

    The run itself is looked for in the filtered lists only if it has ended, since it may change its status before.
    """
    context, own = run.context, run.known.status
    if not context.check.offers("list_runs"):
        return
    for mode in ("activity", "created_at_desc"):
        result = context.ask("list_runs", query=[("search", run.id), ("sort_mode", mode), ("limit", "1000")])
        listed = any(item.get("id") == run.id for item in items_of(result))
        cause, got = f"a run that is {own} is not listed", f"{result.status} without it"
        run.require(listed, "LIST-COMPLETE", cause, f"the run, by {mode}", result, got=got)
    for status in sorted(STATUSES - {"running_checks"} | {own}):  # older servers lack running_checks
        query = [("workflow_id", run.known.view["workflow_id"]), ("search", run.id), ("status", status)]
        result = context.ask("list_runs", query=query)
        others = sorted({str(item.get("status")) for item in items_of(result)} - {status})
        others_too, expected = gives_others_too(["status"]), f"the runs that are {status}"
        run.require(not others, "LIST-FILTER", others_too, expected, result, got=", ".join(others))
        if run.known.has_ended:
            found = any(item.get("id") == run.id for item in items_of(result))
            cause = misses_a_run(["status"]) if status == own else others_too
            got = f"{'one' if found else 'none'} for a run that is {own}"
            run.require(found == (status == own), "LIST-FILTER", cause, expected, result, got=got)


_FILLED: Final[dict[str, Any]] = {
    "output_data": {"a": 1},
    "error": ["x"],
    "run_message_history": [{"b": 2}],
    "usage_metadata": {"n": 1},
}


def status_cases(check: CheckContext) -> Iterator[StatusCase]:
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    new = {"sensitive_input_values": {"new": "«secret:6»"}, "session_alias": "new"}
    retries: tuple[dict[str, Any], ...] = (
        {},
        {"input_values": {"new": 1}, "file_inputs": [boundary_values.file()]},
        {"input_values": 5},
        new | {"file_inputs": [boundary_values.file("new.txt")]},
    )
    statuses = ("scheduling", *_STATUS_PATHS)
    for status in statuses:
        for case in (StatusCase(status=status), StatusCase(rich, status=status, filled=_FILLED)):
            if check.offers("retry_run"):
                for body in retries:
                    yield replace(case, body=body)
                yield replace(case, filled={"output_data": {"a": 1}, "run_message_history": [{"b": 2}]})
            if check.offers("delete_run"):
                yield replace(case, operation="delete")
        yield StatusCase(status=status, operation="list")
        for other in sorted(STATUSES - {status}):
            yield StatusCase(status=status, operation="set status", body={"status": other}, filled=_FILLED)
    for name, value in UPDATES.items():
        for wrong in ({"input_values": 5}, {"error": "x"}, {"release_session_after": [1]}, {"status": "nonsense"}):
            if name not in wrong and name != "output_attachment_ids":
                for status in ("scheduling", "cancelled"):
                    yield StatusCase(
                        {"input_values": {"kept": 1}},
                        status=status,
                        operation="invalid update",
                        body={name: value[0]} | wrong,
                        filled=_FILLED,
                    )


SCENARIOS = (
    Scenario(
        "runs in every status",
        ("RETRY-RULES", "DELETE-GONE", "LIFECYCLE", "UPDATE-PARTIAL", "LIST-FILTER", "LIST-COMPLETE"),
        run_status_thrice,
        status_cases,
        needs=("get_run", "update_run"),
        priority=1,
    ),
)
