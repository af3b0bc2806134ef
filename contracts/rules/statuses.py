"""Which operations a run allows in each status, and which it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import (
    STABLE,
    STATUSES,
    TERMINAL,
    Violation,
    changed_field,
    excerpt,
    gives_others_too,
    misses_a_run,
)
from contracts.rules.deletes import not_listed
from contracts.rules.listing import items_of
from contracts.rules.retries import judge_retry
from contracts.rules.rule import Rule
from contracts.rules.updates import CHANGEABLE, UPDATES, has_moved

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


def run_status(context: CaseContext, case: Case) -> None:
    """Brings a run into a status by updates, then tries one operation on it (`do`) and judges the outcome."""
    created = context.some_runs(case.get("count", 1), **context.fill(case.get("fields", {})))
    run_id = created.ids[case.get("index", 0) % len(created.ids)]
    shown: list[CallResult] = [created.result]
    for body in ({name: value} for name, value in case.get("filled", {}).items()):
        result = context.call("update_run", run_id, body=body)
        shown += [result] if result.accepted else []
    for status in _STATUS_PATHS.get(case["status"], ()):
        result = context.call("update_run", run_id, body={"status": status})
        if not result.accepted or not isinstance(result.body, dict) or result.body.get("status") != status:
            raise Inconclusive("a status cannot be set by an update")
        shown.append(result)
    before = context.ask("get_run", run_id, after=shown).body
    match case["do"]:
        case "retry":
            _retry_by_status(context, run_id, before, shown, context.fill(case.get("body", {})))
        case "delete":
            result = context.ask("delete_run", run_id, after=shown)
            read = context.call("get_run", run_id)
            cause = "get_run after the delete is not 404"
            context.require(read.status == 404, "DELETE-GONE", cause, "404", read.words, *shown, result, read)
            not_listed(context, before, [*shown, result], widely=False)
        case "leave":
            _update_ended(context, run_id, before, shown, case["for"])
        case "refuse":
            _send_invalid_update(context, run_id, before, shown, context.fill(case["body"]))
        case "list":
            _listed_by_status(context, before, shown)


def _retry_by_status(
    context: CaseContext, run_id: str, before: Mapping[str, Any], shown: Sequence[CallResult], body: Mapping[str, Any]
) -> None:
    if before.get("status") in TERMINAL:
        written = context.write("retry_run", run_id, body=body)
        result = written.result
        if result.accepted:
            context.expect_success(result, shown)
            judge_retry(context, before, result.body, written, [*shown, result], at_once=True)
        elif written.parsed.is_valid and not context.may_be_unknown(written.parsed, result):
            cause = "a retry of an ended run is refused"
            context.require(False, "RETRY-RULES", cause, "the run started again", result.words, *shown, result)
        return
    result = context.call("retry_run", run_id, body=body)
    read = context.ask("get_run", run_id, after=[*shown, result])
    if result.accepted:
        # The run may have ended by itself after the read: `run_status_thrice` fails only if this happens three times.
        raise _RetriedTooEarly([*shown, result], before)
    changed = None if has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *CHANGEABLE))
    context.require(
        changed is None,
        "RETRY-RULES",
        "a refused retry changes a run",
        "the run as before",
        str(changed),
        *shown,
        result,
        read,
    )


class _RetriedTooEarly(Exception):
    """A retry was accepted for a run that had not ended when it was last read."""

    def __init__(self, shown: Sequence[CallResult], before: Mapping[str, Any]) -> None:
        super().__init__(before.get("status"))
        self.shown, self.before = shown, before


def run_status_thrice(context: CaseContext, case: Case) -> None:
    for attempt in (1, 2, 3):
        try:
            run_status(context, case)
        except _RetriedTooEarly as retried:
            if attempt == 3:
                cause, status = "a run that has not ended is retried", retried.before.get("status")
                context.fail(
                    Violation("RETRY-RULES", cause, "409 or 422", f"{retried.shown[-1].words} while {status}"),
                    *retried.shown,
                )
        else:
            return


def _update_ended(
    context: CaseContext, run_id: str, before: Mapping[str, Any], shown: Sequence[CallResult], status: str
) -> None:
    """Judges that an update cannot change the status of an ended run."""
    if before.get("status") not in TERMINAL:
        return
    result = context.call("update_run", run_id, body={"status": status})
    read = context.ask("get_run", run_id, after=[*shown, result])
    kept = read.body.get("status") == before["status"]
    cause, got = f"{before['status']} to {status}", excerpt(json.dumps(read.body.get("status")))
    context.require(kept, "LIFECYCLE", cause, f"status {before['status']}", got, *shown, result, read)


def _send_invalid_update(
    context: CaseContext, run_id: str, before: Mapping[str, Any], shown: Sequence[CallResult], body: Mapping[str, Any]
) -> None:
    """Judges that an update with one invalid field changes no field at all."""
    result = context.call("update_run", run_id, body=body)
    if not result.refused:
        return
    read = context.ask("get_run", run_id, after=[*shown, result])
    changed = None if has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *CHANGEABLE))
    if changed is None:
        changed = changed_field(before, read.body, (*STABLE, "input_values", "release_session_after"), may_gain=True)
    cause = "a refused update changes a run"
    context.require(changed is None, "UPDATE-PARTIAL", cause, "the run as before", str(changed), *shown, result, read)


def _listed_by_status(context: CaseContext, before: Mapping[str, Any], shown: Sequence[CallResult]) -> None:
    """Judges that lists in either order contain the run, and that the status filter finds it by its own status only.

    The run itself is looked for in the filtered lists only if it has ended, since it may change its status before.
    """
    if not context.check.offers("list_runs"):
        return
    for mode in ("activity", "created_at_desc"):
        result = context.ask("list_runs", query=[("search", before["id"]), ("sort_mode", mode), ("limit", "1000")])
        listed = any(item.get("id") == before["id"] for item in items_of(result))
        cause = f"a run that is {before['status']} is not listed"
        context.require(
            listed, "LIST-COMPLETE", cause, f"the run, by {mode}", f"{result.status} without it", *shown, result
        )
    for status in sorted(STATUSES - {"running_checks"} | {before["status"]}):  # older servers lack running_checks
        result = context.ask(
            "list_runs", query=[("workflow_id", before["workflow_id"]), ("search", before["id"]), ("status", status)]
        )
        others = sorted({str(item.get("status")) for item in items_of(result)} - {status})
        cause, expected = gives_others_too(["status"]), f"the runs that are {status}"
        context.require(
            not others,
            "LIST-FILTER",
            cause,
            expected,
            lambda others=others: ", ".join(others),  # type: ignore[misc]
            *shown,
            result,
        )
        if before.get("status") not in TERMINAL:
            continue
        found = any(item.get("id") == before["id"] for item in items_of(result))
        cause = misses_a_run(["status"]) if status == before["status"] else gives_others_too(["status"])
        context.require(
            found == (status == before["status"]),
            "LIST-FILTER",
            cause,
            f"the runs that are {status}",
            f"{'one' if found else 'none'} for a run that is {before['status']}",
            *shown,
            result,
        )


def status_cases(check: CheckContext) -> Iterator[Case]:
    filled = {"output_data": {"a": 1}, "error": ["x"], "run_message_history": [{"b": 2}], "usage_metadata": {"n": 1}}
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    statuses = ("scheduling", *_STATUS_PATHS)
    for status in statuses:
        for fields in ({}, rich):
            more = {"fields": fields, "status": status, "filled": filled if fields else {}}
            if check.offers("retry_run"):
                yield more | {"do": "retry"}
                yield more | {
                    "do": "retry",
                    "body": {"input_values": {"new": 1}, "file_inputs": [boundary_values.file()]},
                }
                yield more | {"do": "retry", "filled": {"output_data": {"a": 1}, "run_message_history": [{"b": 2}]}}
                yield more | {"do": "retry", "body": {"input_values": 5}}
                new = {"sensitive_input_values": {"new": "«secret:6»"}, "session_alias": "new"}
                yield more | {"do": "retry", "body": new | {"file_inputs": [boundary_values.file("new.txt")]}}
            if check.offers("delete_run"):
                yield more | {"do": "delete"}
            if not fields:
                yield more | {"do": "list"}
        for status_for in sorted(STATUSES - {status}):
            yield {"status": status, "do": "leave", "for": status_for, "filled": filled}
    for name, value in UPDATES.items():
        for wrong in ({"input_values": 5}, {"error": "x"}, {"release_session_after": [1]}, {"status": "nonsense"}):
            if name not in wrong and name != "output_attachment_ids":
                for status in ("scheduling", "cancelled"):
                    yield {
                        "status": status,
                        "do": "refuse",
                        "body": {name: value[0]} | wrong,
                        "filled": filled,
                        "fields": {"input_values": {"kept": 1}},
                    }


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
