"""Deletes: no operation finds the deleted run, and other runs are unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.data import boundary_values
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.rules.listing import items_of
from contracts.rules.reading import judge_read
from contracts.rules.rule import Rule
from contracts.rules.updates import GROUP, UPDATES, cancel

RULES = (
    Rule(
        "DELETE-GONE",
        "api",
        "A deleted run is gone",
        "After 204 it is 404 when read, updated, retried or deleted again, stands in no list, and its attachments are "
        "gone; other runs are still there.",
        GROUP,
        needs=("delete_run",),
    ),
)


def run_delete(context: CaseContext, case: Case) -> None:
    check = context.check
    created = _create_in_own_session(context) if case.get("in_its_session") else _some_runs(context, case)
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[CallResult] = [created.result]
    if case.get("cancelled"):
        shown.append(cancel(context, run["id"], after=shown))
    if case.get("first_update"):
        shown.append(context.ask("update_run", run["id"], body=case["first_update"], after=shown))
    deleted = context.ask("delete_run", run["id"], after=shown)
    shown.append(deleted)
    context.require(not deleted.answer.body, "DELETE-GONE", "a 204 with a body", "no body", deleted.words, *shown)
    gone: list[tuple[str, dict[str, Any]]] = [
        ("get_run", {}),
        ("get_run", {"query": [("include", "workflow,machine,machine.pools")]}),
        ("update_run", {"body": {"release_session_after": True}}),
        ("retry_run", {"body": {}}),
        ("delete_run", {}),
    ]
    if case.get("widely"):
        gone += [("get_run", {"query": [("include", name)]}) for name in ("workflow", "machine", "machine.pools")]
        gone += [("update_run", {"body": {name: values[0]}}) for name, values in UPDATES.items()]
        gone += [("update_run", {"body": body}) for body in ({"status": "cancelled"}, {"status": "running"}, {})]
        gone += [("retry_run", {"body": {"input_values": {"a": 1}}}), ("retry_run", {"body": {"start_session": True}})]
        gone += [("get_run", {}), *[("delete_run", {})] * 3]
    for operation, more in gone:
        if check.offers(operation):
            result = context.call(operation, run["id"], **more)
            cause = f"{operation} after the delete is not 404"
            context.require(result.status == 404, "DELETE-GONE", cause, "404", result.words, *shown, result)
    if check.offers("list_runs"):
        not_listed(context, run, shown, widely=bool(case.get("widely")))
    for attachment in run.get("input_attachment_ids") or ():
        for operation in ("get_run_attachment", "download_run_attachment", "get_run_attachment_download_url"):
            if check.offers(operation):
                result = context.call(operation, attachment)
                cause = "attachments of a deleted run are left"
                context.require(result.status == 404, "DELETE-GONE", cause, "404", result.words, *shown, result)
    if run.get("input_attachment_ids") and check.offers("list_run_attachments"):
        result = context.call("list_run_attachments", query=[("run_id", run["id"])])
        left = items_of(result) if result.accepted else []
        context.require(
            not left, "DELETE-GONE", "attachments of a deleted run are listed", "none", f"{len(left)}", *shown, result
        )
    last = len(created.runs) - 1
    for other in sorted({index - 1, index + 1, 0, last} - {index}):
        if 0 <= other <= last:
            result = context.call("get_run", created.runs[other]["id"])
            cause = "another run is gone too"
            still = context.require(
                result.status == 200, "DELETE-GONE", cause, "the other runs still there", result.words, *shown, result
            )
            if still and isinstance(result.body, dict):
                judge_read(context, created.runs[other], result.body, created.parsed, [*shown, result])
            attachments = created.runs[other].get("input_attachment_ids") or []
            if attachments and check.offers("get_run_attachment"):
                result = context.call("get_run_attachment", attachments[0])
                cause = "an attachment of another run is gone too"
                context.require(result.status == 200, "DELETE-GONE", cause, "still there", result.words, *shown, result)


def _some_runs(context: CaseContext, case: Case) -> WriteResult:
    return context.some_runs(case.get("count", 1), **context.fill(case.get("fields", {})))


def _create_in_own_session(context: CaseContext) -> WriteResult:
    """Create a run that starts a session (the run's id is the session_id), and two more runs in that session."""
    first = context.create("create_run", {"workflow_id": "«workflow»", "start_session": True})
    if not first.clean or not first.runs or not first.runs[0].get("session_id"):
        raise Inconclusive("no session can be started")
    more = context.some_runs(2, session_id=first.runs[0]["session_id"])
    return WriteResult(more.parsed, first.result, (*first.runs, *more.runs), True)


def not_listed(context: CaseContext, run: Mapping[str, Any], shown: Sequence[CallResult], *, widely: bool) -> None:
    workflow = ("workflow_id", run["workflow_id"])
    queries: list[list[tuple[str, str]]] = [
        [workflow, ("limit", "1000")],
        [workflow, ("search", run["id"])],
        [workflow, ("status", str(run.get("status"))), ("sort_mode", "created_at_desc")],
    ]
    if run.get("session_id"):
        queries.append([("session_id", run["session_id"])])
    if run.get("machine_id"):
        queries.append([workflow, ("machine_id", run["machine_id"])])
    if widely:
        moment = [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
        queries += [[*moment, ("limit", "1000")], [("sort_mode", "created_at_desc")], [("search", run["id"])]]
        queries += [[workflow, ("search", run["id"]), ("deep_search", "true")], [workflow, *moment]]
        queries += [[workflow, ("include", "workflow,machine")], [workflow, ("fields", "input_values")]]
    for query in queries:
        result = context.call("list_runs", query=query)
        items = items_of(result) if result.accepted else []
        found = any(item.get("id") == run["id"] for item in items)
        names = "+".join(sorted({name for name, _ in query} - {"limit", "sort_mode"})) or "no filter"
        cause = "a deleted run is listed"
        context.require(not found, "DELETE-GONE", cause, "no deleted run in a list", f"it, by {names}", *shown, result)
        total = result.body.get("total") if isinstance(result.body, dict) else None
        if result.accepted and query[0] != ("sort_mode", "created_at_desc") and len(items) < 100:
            cause, expected = "a deleted run is counted", f"total {len(items)}"
            context.require(total == len(items), "DELETE-GONE", cause, expected, f"total {total}", *shown, result)


def delete_cases(check: CheckContext) -> Iterator[Case]:
    files = [boundary_values.file(), boundary_values.file("b.txt", b"b")]
    session = {"session_id": "«session»"} if check.sessions.invented else {"start_session": True}
    machine = {"machine_id": "«machine»"} if check.machines.invented else {}
    yield {"widely": True}
    yield {"widely": True, "count": 2, "cancelled": check.offers("update_run")}
    for fields in (
        machine,
        {"file_inputs": files},
        session,
        {"start_session": True},
        {"sensitive_input_values": {"pin": "«secret»"}},
        {"input_values": {"marker": "«marker»"}},
        {"file_inputs": files, "start_session": True},
    ):
        for count, index in ((1, 0), (3, 0), (3, 1), (3, 2)):
            yield {"fields": fields, "count": count, "index": index}
        if check.offers("update_run"):
            yield {"fields": fields, "count": 2, "index": 1, "cancelled": True}
    if check.offers("create_run"):
        for index in (0, 1, 2):
            yield {"in_its_session": True, "index": index}
    for count in (101, 1000):
        for index in (0, count // 2, count - 1) if count < 1000 else (999,):
            yield {"count": count, "index": index}
    yield {"count": 50, "index": 49, "fields": {"file_inputs": files}}
    if check.offers("update_run"):
        for update in ({"output_data": {"a": 1}}, {"input_values": {"b": 2}}, {"release_session_after": True}):
            yield {"count": 2, "index": 1, "first_update": update}


SCENARIOS = (
    Scenario(
        "deletes", ("DELETE-GONE", "READ-BACK"), run_delete, delete_cases, needs=("delete_run", "get_run"), priority=1
    ),
)
