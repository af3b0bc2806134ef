"""The lifecycle of runs: reads runs repeatedly and judges every status change between two reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.data import boundary_values
from contracts.data.sample_values import VALUES
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import (
    STATUSES,
    TERMINAL,
    Violation,
    changed_field,
    excerpt,
    read_body,
    stable_fields,
    status_schema_error,
    step_violation,
)
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
RULES = (
    Rule(
        "LIFECYCLE",
        "api",
        "Runs move along the documented edges",
        "scheduling, running, perhaps running_checks, then success, task_failed or error; cancelled before the end. "
        "Never back, never on from an end but by a retry. error and output_data fit the status, and of a session no "
        "two runs run at a time, nor does a later one run while an earlier one waits.",
        GROUP,
        needs=("get_run",),
    ),
)


AFTER_THE_END_S = 1.0
_TIMEOUT_S = 6.0
_DELETE_RUN_COUNT = 8
"""How many runs a case with `delete` creates, unless it gives a count: only some runs end in the way that the case
looks for. It is not part of the case, so that shrinking does not reduce it.
"""


@dataclass
class Watched:
    """Runs that are read repeatedly, with the last state that was read of each."""

    written: WriteResult
    in_session: bool
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    result: CallResult | None = None
    looks: int = 0
    in_order: bool = True
    """Whether the runs of a session must run in the order of their creation. A retried run has another position."""

    @property
    def has_ended(self) -> bool:
        return len(self.last) == len(self.written.runs) and all(run["status"] in TERMINAL for run in self.last.values())

    def forget(self, run_id: str) -> None:
        """Stop watching a run that was deleted."""
        del self.last[run_id]
        self.written = replace(self.written, runs=tuple(run for run in self.written.runs if run["id"] != run_id))


def watched(context: CaseContext, case: Case) -> Watched:
    fields = context.fill(case.get("fields", {}))
    if case.get("chain"):
        return _create_chain(context, case)
    if case.get("op") == "create_run":
        made = [
            context.create("create_run", {"workflow_id": "«workflow»"} | fields) for _ in range(case.get("count", 1))
        ]
        if not all(one.clean and one.runs for one in made):
            raise Inconclusive("a create gives runs that break a rule already")
        written = WriteResult(made[0].parsed, made[0].result, tuple(run for one in made for run in one.runs), True)
    else:
        written = context.some_runs(case.get("count", _DELETE_RUN_COUNT if case.get("delete") else 1), **fields)
    in_session = (
        bool(fields.get("session_id") or fields.get("start_session"))
        and len({run.get("session_id") for run in written.runs}) == 1
    )
    watch = Watched(written, in_session, {run["id"]: run for run in written.runs})
    if case.get("retried"):
        _cancel_and_retry(context, watch, case["retried"])
    return watch


def _create_chain(context: CaseContext, case: Case) -> Watched:
    """Creates a chain, either in a new session or in one that already has runs (`joins`)."""
    before: tuple[dict[str, Any], ...] = ()
    body = context.fill({"steps": [{"workflow_id": "«workflow»"}] * case["chain"]})
    if case.get("joins"):
        before = context.some_runs(case["joins"], start_session=True).runs
        body["session_id"] = before[0].get("session_id")
    result = context.ask("create_run_chain", body=body)
    runs = (*before, *(context.ask("get_run", run_id, after=[result]).body for run_id in result.body["run_ids"]))
    written = WriteResult(read_body("create_run_chain", {}), result, runs, True)
    in_session = len({run.get("session_id") for run in runs}) == 1
    return Watched(written, in_session, {run["id"]: run for run in runs}, in_order=not before)


def _cancel_and_retry(context: CaseContext, watch: Watched, number: int) -> None:
    """Cancels and retries the first `number` runs, which then behave like new ones: in a session, they go last."""
    for run in watch.written.runs[:number]:
        for operation, body in (("update_run", {"status": "cancelled"}), ("retry_run", {})):
            result = context.call(operation, run["id"], body=body)
            if not result.accepted or not isinstance(result.body, dict) or result.body.get("status") not in STATUSES:
                raise Inconclusive("a run cannot be cancelled and retried")
            watch.last[run["id"]] = result.body
    watch.in_order = False


def look(context: CaseContext, watch: Watched) -> None:
    """Reads the watched runs by a list, one by one (the first 8) or both, and judges what has changed."""
    if not watch.written.runs:
        return
    watch.looks += 1
    lists = context.check.offers("list_runs") and _list_query(context, watch) is not None
    if lists and (watch.in_session or watch.looks % 2 == 0):
        result = context.call("list_runs", query=_list_query(context, watch) or ())
        items = {item["id"]: item for item in items_of(result) if isinstance(item.get("id"), str)}
        _judge_looks(context, watch, items if result.accepted else {}, dict.fromkeys(items, result))
    if not (lists and watch.in_session) or watch.looks % 3 == 0:
        for run in watch.written.runs[:8]:
            result = context.call("get_run", run["id"])
            if result.accepted and isinstance(result.body, dict):
                _judge_looks(context, watch, {run["id"]: result.body}, {run["id"]: result})


def _list_query(context: CaseContext, watch: Watched) -> list[tuple[str, str]] | None:
    """A query that matches the watched runs and few others; None if there is no such query."""
    run = watch.written.runs[0]
    if watch.in_session and run.get("session_id"):
        return [("session_id", run["session_id"]), ("limit", "1000")]
    if context.check.workflows.invented:
        return [("workflow_id", run["workflow_id"]), ("limit", "1000")]
    return None


def _judge_looks(
    context: CaseContext, watch: Watched, reads: Mapping[str, dict[str, Any]], results: Mapping[str, CallResult]
) -> None:
    """Judges the states of runs that were read at one time against those read before."""
    runs, before_result = watch.written.runs, watch.result
    for run in runs:
        read = reads.get(run["id"])
        if read is None or read.get("status") not in STATUSES:
            continue
        shown = [watch.written.result, *([before_result] if before_result else []), results[run["id"]]]
        _judge_step(context, run, watch.last[run["id"]], read, watch.written, shown)
    if watch.in_session and len(reads) > 1:
        shown = [watch.written.result, *([before_result] if before_result else []), next(iter(results.values()))]
        before = [watch.last[run["id"]] for run in runs] if watch.in_order else []
        _judge_order(context, before, [reads.get(run["id"]) for run in runs], shown)
    for identity, read in reads.items():
        if identity in watch.last and read.get("status") in STATUSES:
            watch.last[identity] = read
    if results:
        watch.result = next(iter(results.values()))


def _judge_step(
    context: CaseContext,
    created: Mapping[str, Any],
    before: Mapping[str, Any],
    after: dict[str, Any],
    written: WriteResult,
    shown: Sequence[CallResult],
) -> None:
    one, other = before["status"], after["status"]
    wrong = step_violation(one, other)
    context.judge("LIFECYCLE", [wrong] if wrong else [], *shown)
    problem = status_schema_error(after)
    context.require(
        problem is None, "LIFECYCLE", problem or "", "output_data and error that fit the status", problem or "", *shown
    )
    started, ended = moment_of(after.get("started_at")), moment_of(after.get("ended_at"))
    context.require(
        started is None or ended is None or started <= ended or other not in TERMINAL,
        "LIFECYCLE",
        "ended before it started",
        "ended_at after started_at",
        lambda: f"{after.get('ended_at')} and {after.get('started_at')}",
        *shown,
    )
    if one in TERMINAL and one == other:
        changed = changed_field(before, after, ("output_data", "error"))
        context.require(
            changed is None, "LIFECYCLE", "an ended run changes", "an ended run to stay as it is", str(changed), *shown
        )
    if written.parsed.operation != "create_run_chain":
        changed = changed_field(created, after, stable_fields(written.parsed), may_gain=True)
        if changed is not None:
            cause = f"{changed[0]} reads otherwise"
            context.fail(
                Violation("READ-BACK", cause, f"{changed[0]} as it was created", changed[1]), shown[0], shown[-1]
            )


def _judge_order(
    context: CaseContext,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any] | None],
    shown: Sequence[CallResult],
) -> None:
    """Judges the order within a session: if an earlier run has not ended in `after`, no later run may have been running
    or finished in `before`, which was read first. `before` is empty if the order of the runs is not known.
    """
    active = {"running", "running_checks"}
    for index, earlier in enumerate(after):
        if earlier is None or earlier["status"] in TERMINAL:
            continue
        for later in before[index + 1 :]:
            if later["status"] in active or later["status"] in TERMINAL - {"cancelled"}:
                cause = "a session's later run overtakes an earlier one"
                got = f"{later['status']} while an earlier run is {earlier['status']}"
                context.fail(Violation("LIFECYCLE", cause, "one run after the other", got), *shown)
                return
        break
    running = [run for run in after if run is not None and run["status"] in active]
    if len(running) > 1:
        cause = "two runs of a session run at a time"
        context.fail(Violation("LIFECYCLE", cause, "one running at a time", f"{len(running)}"), *shown)


def run_lifecycle(context: CaseContext, case: Case) -> None:
    """Creates runs and reads them until all have ended or `patience_s` is over."""
    watch = watched(context, case)
    if case.get("cancel") is not None and context.check.offers("update_run"):
        _cancel(context, watch, watch.written.runs[case["cancel"] % len(watch.written.runs)]["id"])
    if case.get("cancel_running"):
        _cancel_running(context, watch)
    deleted = _delete_active(context, watch) if case.get("delete_at_work") else []
    end = time.monotonic() + case.get("patience_s", _TIMEOUT_S)
    pause = 0.02
    while time.monotonic() < end and not watch.has_ended:
        look(context, watch)
        context.wait(pause)
        pause = min(0.3, pause * 1.3)
    look(context, watch)
    if watch.has_ended:
        # A terminal status is final, but some faults revert it a little later.
        context.wait(AFTER_THE_END_S)
        look(context, watch)
    for shown in deleted:
        _check_stays_deleted(context, watch, shown)
    if watch.has_ended and context.check.offers("list_run_attachments"):
        _files_by_type(context, watch)
    if watch.has_ended and case.get("delete") and context.check.offers("delete_run"):
        _delete_ended(context, watch)
    if watch.has_ended and case.get("retry") and context.check.offers("retry_run"):
        _retry_ended(context, watch)


def _files_by_type(context: CaseContext, watch: Watched) -> None:
    """Judges the attachment lists of ended runs by type: input and output."""
    for run in [run for run in watch.last.values() if run.get("output_attachment_ids")][:2]:
        ids = {name: set(run.get(f"{name}_attachment_ids") or ()) for name in ("input", "output")}
        for name, expected in ids.items():
            query = [("run_id", run["id"]), ("attachment_type", name), ("limit", "1000")]
            result = context.ask("list_run_attachments", query=query, after=[watch.written.result])
            listed = [item.get("id") for item in items_of(result)]
            shown = [watch.written.result, *([watch.result] if watch.result else []), result]
            right = set(listed) == expected and len(listed) == len(expected) == result.body.get("total")
            cause, got = f"the list of {name} attachments", f"{len(listed)}, total {result.body.get('total')}"
            context.require(right, "ATTACHMENTS", cause, f"{len(expected)} of the run, total too", got, *shown)


def _retry_ended(context: CaseContext, watch: Watched) -> None:
    """Retries ended runs. The retry clears the results of the run, whatever its final status was."""
    for run in list(watch.last.values())[:4]:
        result = context.call("retry_run", run["id"], body={})
        shown = [watch.written.result, *([watch.result] if watch.result else []), result]
        if not context.require(
            result.accepted,
            "RETRY-RULES",
            "a retry of an ended run is refused",
            "the run started again",
            result.words,
            *shown,
        ):
            continue
        body = result.body if isinstance(result.body, dict) else {}
        right = body.get("id") == run["id"] and body.get("status") == "scheduling"
        context.require(
            right, "RETRY-RULES", "not back to scheduling", "the same run, scheduling", result.words, *shown
        )
        for name in ("output_data", "error", "run_message_history", "output_attachment_ids"):
            got = excerpt(json.dumps(body.get(name)))
            context.require(not body.get(name), "RETRY-RULES", f"{name} is not cleared", f"no {name}", got, *shown)
        if run.get("output_attachment_ids") and context.check.offers("list_run_attachments"):
            query = [("run_id", run["id"]), ("attachment_type", "output")]
            left = context.ask("list_run_attachments", query=query, after=shown)
            old = [one for one in items_of(left) if one.get("id") in run["output_attachment_ids"]]
            cause = "output attachments are not cleared"
            context.require(not old, "RETRY-RULES", cause, "none listed", f"{len(old)}", *shown, left)


def _cancel_running(context: CaseContext, watch: Watched) -> None:
    """Cancels a running run, which must then stay cancelled while the other runs are watched. If the run ends before
    the cancel arrives, tries the next one.
    """
    end = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end and not watch.has_ended:
        look(context, watch)
        for run in [run for run in watch.last.values() if run["status"] == "running"]:
            if _cancel(context, watch, run["id"]):
                return
        context.wait(0.1)


def _cancel(context: CaseContext, watch: Watched, run_id: str) -> bool:
    """Cancels a run and returns whether it is cancelled now.

    Stores the status of the answer as the last one read. error and output_data are dropped, as the server may set them
    a little later.
    """
    result = context.call("update_run", run_id, body={"status": "cancelled"})
    if not (result.accepted and isinstance(result.body, dict) and result.body.get("status") in STATUSES):
        return False
    kept = {name: value for name, value in watch.last[run_id].items() if name not in {"error", "output_data"}}
    watch.last[run_id] = kept | {"status": result.body["status"]}
    return bool(result.body["status"] == "cancelled")


def _delete_active(context: CaseContext, watch: Watched) -> list[tuple[str, CallResult]]:
    """Deletes a run that is scheduling and two that are running, and returns them with the answers to the deletes.

    None of them may reappear at the time when it would have changed its status.
    """
    deleted: list[tuple[str, CallResult]] = []
    end = time.monotonic() + _TIMEOUT_S
    while len(deleted) < 3 and time.monotonic() < end and not watch.has_ended:
        waiting = [run_id for run_id, run in watch.last.items() if run["status"] == "scheduling" and not deleted]
        running = [run_id for run_id, run in watch.last.items() if run["status"] == "running"]
        for run_id in (*waiting[:1], *running[: 3 - len(deleted)]):
            deleted.append((run_id, context.ask("delete_run", run_id, after=[watch.written.result])))
            watch.forget(run_id)
        look(context, watch)
        context.wait(0.1)
    return deleted


def _check_stays_deleted(context: CaseContext, watch: Watched, deleted: tuple[str, CallResult]) -> None:
    run_id, result = deleted
    shown = [watch.written.result, result]
    read = context.call("get_run", run_id)
    cause = "a deleted run comes back"
    context.require(read.status == 404, "DELETE-GONE", cause, "404", read.words, *shown, read)
    if context.check.offers("list_runs"):
        listed = context.call("list_runs", query=[("search", run_id)])
        there = listed.accepted and any(item.get("id") == run_id for item in items_of(listed))
        context.require(not there, "DELETE-GONE", cause, "no deleted run in a list", "it, by search", *shown, listed)


def _delete_ended(context: CaseContext, watch: Watched) -> None:
    """Deletes ended runs. Their output attachments must be deleted with them."""
    offers = context.check.offers
    with_output_first = sorted(watch.last.values(), key=lambda run: not run.get("output_attachment_ids"))
    for run in with_output_first[:4]:
        read = context.ask("get_run", run["id"])
        shown = [watch.written.result, read, context.ask("delete_run", run["id"], after=[watch.written.result, read])]
        gone = context.call("get_run", run["id"])
        cause = "get_run after the delete is not 404"
        context.require(gone.status == 404, "DELETE-GONE", cause, "404", gone.words, *shown, gone)
        for attachment in (read.body.get("output_attachment_ids") or ()) if offers("get_run_attachment") else ():
            left = context.call("get_run_attachment", attachment)
            cause = "what a deleted run put out is left"
            context.require(left.status == 404, "DELETE-GONE", cause, "404", left.words, *shown, left)
        if offers("list_run_attachments"):
            left = context.call("list_run_attachments", query=[("run_id", run["id"])])
            items = items_of(left) if left.accepted else []
            cause = "attachments of a deleted run are listed"
            context.require(not items, "DELETE-GONE", cause, "none", f"{len(items)}", *shown, left)


def lifecycle_cases(check: CheckContext) -> Iterator[Case]:
    yield {"count": 6, "retry": True}
    yield {"delete": True, "patience_s": 12}
    if check.offers("update_run"):
        yield {"count": 6, "cancel_running": True}
    if check.offers("delete_run"):
        yield {"count": 6, "delete_at_work": True}
    # With many runs, rare final statuses occur too.
    yield {"count": 40, "fields": {"sensitive_input_values": {"pin": "«secret»"}}}
    yield {"count": 4, "fields": {"start_session": True}, "retry": True}
    yield {
        "count": 8,
        "fields": {
            "input_values": VALUES,
            "sensitive_input_values": {"pin": "«secret»"},
            "file_inputs": [boundary_values.file()],
        },
    }
    if check.sessions.invented:
        yield {"count": 4, "fields": {"session_id": "«session»"}}
    if check.machines.available:
        yield {"count": 3, "fields": {"machine_id": "«machine»"}}
    if check.offers("create_run"):
        yield {"count": 4, "op": "create_run", "fields": {"session_alias": "x", "release_session_after": True}}
        yield {"count": 3, "op": "create_run", "fields": {"start_session": True}, "retry": True}
        if check.sessions.invented:
            yield {"count": 4, "op": "create_run", "fields": {"session_id": "«session»"}}
    if check.offers("retry_run", "update_run"):
        yield {"count": 4, "retried": 4, "retry": True}
        yield {"count": 3, "retried": 3, "fields": {"start_session": True}}
        yield {"count": 4, "retried": 1, "fields": {"start_session": True}}
    if check.pools.available:
        yield {"count": 3, "fields": {"pool_ids": ["«pool:0»"], "sensitive_input_values": {"pin": "«secret»"}}}
    if check.offers("create_run_chain"):
        yield {"chain": 3}
        yield {"chain": 5}
        yield {"chain": 9}
        yield {"chain": 3, "joins": 2}
    if check.offers("update_run"):
        yield {"count": 4, "fields": {"start_session": True}, "cancel": 1}
        yield {"count": 3, "fields": {"start_session": True}, "cancel": 0}
        yield {"count": 3, "cancel": 2}


SCENARIOS = (
    Scenario(
        "lifecycles of runs",
        ("LIFECYCLE", "RETRY-RULES", "DELETE-GONE", "ATTACHMENTS"),
        run_lifecycle,
        lifecycle_cases,
        needs=("get_run",),
        attempts=3,
        priority=2,
        waits=True,
    ),
)
