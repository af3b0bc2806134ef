"""Access to resources of another organisation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Exchange, Request
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode, path_for
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.rules.listing import items_of, their_workflow

STOLEN: Final = "stolen-by-another"


def run_tenant(context: CaseContext, case: Case) -> None:
    """Try operations on a run of one organisation with the token of the other."""
    check = context.check
    if not check.has_second:
        raise Inconclusive("no second token was given")
    mine, theirs = (TOKEN, SECOND_TOKEN) if not case.get("reversed") else (SECOND_TOKEN, TOKEN)
    run, created = _run_of(context, case, mine)
    cancelled = case.get("cancelled") and context.call(
        "update_run", run["id"], body={"status": "cancelled"}, token=mine
    )
    if cancelled and not cancelled.accepted:
        raise Inconclusive("a run cannot be cancelled")
    reads = [operation for operation in case["ops"] if operation in _SINGLE_READS and check.offers(operation)]
    for operation in reads:
        _try_as_another(context, operation, run, [created], theirs)
    before = context.ask("get_run", run["id"], token=mine)
    for operation in case["ops"]:
        if check.offers(operation):
            # The reads are repeated: a server may now answer from a cache that the owner's reads have filled.
            _try_as_another(context, operation, run, [created, before] if operation in reads else [created], theirs)
    if set(case["ops"]) & {"update_run", "delete_run", "retry_run"}:
        after = context.call("get_run", run["id"], token=mine)
        for cause, how in _changes_by_another(before.body, after):
            shown = context.exchanges
            context.require(not how, "AUTH-TENANT", f"another organisation {cause}", "the run as before", how, *shown)
        for attachment in before.body.get("input_attachment_ids") or () if check.offers("get_run_attachment") else ():
            result = context.call("get_run_attachment", attachment, token=mine)
            cause = "another organisation takes away attachments"
            context.require(
                result.status != 404, "AUTH-TENANT", cause, "attachments as before", result.words, *context.exchanges
            )


def _run_of(context: CaseContext, case: Case, token: str) -> tuple[dict[str, Any], CallResult]:
    """Create a run of one organisation as the case says; return it with the result of its create."""
    fields = context.fill(case.get("fields", {}))
    if token == TOKEN and "made_by" not in case:
        created = context.some_runs(case.get("count", 1), **fields)
        return created.runs[-1], created.result
    operation = case.get("made_by", "bulk_create_runs")
    if token == SECOND_TOKEN and not context.check.workflows.invented:
        context.remember("workflow", their_workflow(context))
        context.remember("workflow:0", their_workflow(context))
    result = context.call(operation, body=context.fill(write_bodies.minimal(operation)) | fields, token=token)
    body = result.body if isinstance(result.body, dict) else {}
    if operation == "create_run_chain" and result.accepted:
        return context.ask("get_run", body["run_ids"][-1], token=token).body, result
    runs = body.get("created_runs") or [body]
    if not result.accepted or not isinstance(runs[-1].get("id"), str):
        raise Inconclusive(f"{operation} gives no run to go on with")
    return runs[-1], result


def _changes_by_another(before: dict[str, Any], after: CallResult) -> Iterator[tuple[str, str]]:
    """Yield each thing that another organisation may have done to a run, with its evidence; "" if it was not done."""
    yield "deletes a run", "" if after.accepted else after.words
    if not after.accepted or not isinstance(after.body, dict):
        return
    changed = [name for name in _UNCHANGED_FIELDS if (before.get(name) or None) != (after.body.get(name) or None)]
    stolen = STOLEN in json.dumps(after.body) or (after.body.get("status") == "cancelled" != before.get("status"))
    yield "changes a run", after.words if changed or stolen else ""
    retried = before.get("status") == "cancelled" != after.body.get("status")
    yield "retries a run", after.words if retried else ""


_UNCHANGED_FIELDS: Final = (
    "input_values",
    "release_session_after",
    "session_alias",
    "session_id",
    "input_attachment_ids",
)

_FOREIGN_BODIES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "update_run": (
        {"release_session_after": True, "input_values": {"stolen": STOLEN}},
        {"status": "cancelled"},
        {"output_data": {"stolen": STOLEN}},
        {"error": [STOLEN]},
        {"run_message_history": [{"stolen": STOLEN}]},
        {"usage_metadata": {"stolen": STOLEN}},
        {},
    ),
    "retry_run": ({}, {"input_values": {"stolen": STOLEN}}, {"session_alias": STOLEN}),
}

_SINGLE_READS: Final = frozenset({"get_run", "get_run_attachment", "download_run_attachment"})


def _try_as_another(
    context: CaseContext, operation: str, run: dict[str, Any], shown: Sequence[CallResult], token: str
) -> None:
    method, template = operations()[operation]
    if operation in {"list_runs", "list_run_attachments"}:
        _list_as_another(context, operation, run, shown[0], token)
        if operation == "list_run_attachments":
            _list_foreign_attachments(context, shown[0], token)
        return
    ids = run.get("input_attachment_ids") or [] if "{attachment_id}" in template else [run["id"]]
    bodies = _FOREIGN_BODIES.get(operation, (None,))
    includes = ("", "?include=workflow", "?include=machine", "?include=workflow,machine,machine.pools")
    queries = includes if operation == "get_run" else ("",)
    for one, body, query in itertools.product(ids[:2], bodies, queries):
        headers: list[tuple[str, str]] = [("Authorization", token)]
        raw = None
        if body is not None:
            headers.append(("Content-Type", "application/json"))
            raw = encode(body)
        result = context.send(Request(method, path_for(template, one) + query, tuple(headers), raw))
        context.require(
            result.refused,
            "AUTH-TENANT",
            f"another organisation gets through with {operation}",
            "404, since for another organisation the run does not exist",
            result.words,
            *shown,
            result,
        )
        cause, expected = (
            f"another organisation learns from {operation} that a run is there",
            "404, as for any unknown run",
        )
        context.require(result.status != 409, "AUTH-TENANT", cause, expected, result.words, *shown, result)


_OWN_ONLY_FILTERS: Final = frozenset(
    {"workflow_id", "session_id", "search", "run_id", "created_at_from", "created_at_to", "sort_mode", "deep_search"}
)
"""If a list for another organisation uses only these filters and has no items, its total must be 0."""


def _list_as_another(
    context: CaseContext, operation: str, run: dict[str, Any], created: CallResult, token: str
) -> None:
    if operation == "list_run_attachments":
        queries = [[("run_id", run["id"])], [("limit", "1000")], [("attachment_type", "input"), ("limit", "1000")]]
        queries.append([("run_id", run["id"]), ("attachment_type", "input")])
    else:
        queries = [[(name, str(run[name]))] for name in ("workflow_id", "session_id", "machine_id") if run.get(name)]
        queries += [[("search", run["id"])], [("search", run["id"]), ("deep_search", "true")]]
        if isinstance(run.get("input_values"), dict) and run["input_values"].get("marker"):
            queries.append([("search", run["input_values"]["marker"])])
        queries += [[("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])], []]
        queries += [
            [("created_at_from", run["created_at"])],
            [("status", "scheduling")],
            [("sort_mode", "created_at_desc")],
        ]
        queries += [[("status", status)] for status in ("running", "cancelled", "success")]
        there = [[(name, str(run[name]))] for name in ("workflow_id", "session_id") if run.get(name)]
        there.append([("search", run["id"])])
        beside = [("status", str(run["status"])), ("sort_mode", "created_at_desc"), ("sort_mode", "activity")]
        beside += [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
        beside += [("workflow_id", run["workflow_id"]), ("deep_search", "true")]
        pairs = [] if context.check.is_live else itertools.product(there, beside)
        queries += [[*one, other] for one, other in pairs if other not in one]
        queries += [
            [("workflow_id", run["workflow_id"]), ("fields", "status")],
            [("workflow_id", run["workflow_id"]), ("include", "workflow,machine,machine.pools")],
        ]
    for query in queries:
        result = context.call(
            operation,
            query=[*query, ("limit", "1000")] if ("limit", "1000") not in query else query,
            token=token,
        )
        if not result.accepted:
            continue
        key = "run_id" if operation == "list_run_attachments" else "id"
        seen = [item for item in items_of(result) if item.get(key) == run["id"]]
        total = result.body.get("total") if isinstance(result.body, dict) else 0
        counted = bool(total) and not items_of(result) and {name for name, _ in query} <= _OWN_ONLY_FILTERS
        filters = "+".join(name for name, _ in query) or "no filter"
        context.require(
            not seen and not (counted and context.check.workflows.invented),
            "AUTH-TENANT",
            f"another organisation finds a run with {operation}",
            "no run of another organisation in a list",
            f"the run, by {filters}" if seen else f"total {total}, by {filters}",
            created,
            result,
        )


def _create_of(context: CaseContext, run_id: str) -> Exchange | None:
    """Return the create that made a run; any case of the check may have sent it."""
    for exchange in context.check.guard.exchanges:
        makes = exchange.request.method == "POST" and exchange.answer.status == 201
        if makes and run_id.encode() in exchange.answer.body:
            return exchange
    return None


def _list_foreign_attachments(context: CaseContext, created: CallResult, token: str) -> None:
    """Check lists without run_id: the first and the last attachment must not belong to the other organisation."""
    owner = TOKEN if token == SECOND_TOKEN else SECOND_TOKEN
    for query in ([], [("attachment_type", "input")], [("attachment_type", "output")]):
        result = context.call("list_run_attachments", query=[*query, ("limit", "1")], token=token)
        total = result.body.get("total") if result.accepted and isinstance(result.body, dict) else None
        ends = [result]
        if isinstance(total, int) and total > 1:
            last = [*query, ("limit", "1"), ("skip", str(total - 1))]
            ends.append(context.call("list_run_attachments", query=last, token=token))
        for end in ends:
            for item in items_of(end) if end.accepted else []:
                run_id = str(item.get("run_id"))
                theirs = context.call("get_run", run_id, token=owner)
                created_by = _create_of(context, run_id) if theirs.accepted else created
                cause, expected = "another organisation's attachments are listed", "attachments of its own runs only"
                got = f"one of run {run_id}"
                context.require(
                    not theirs.accepted, "AUTH-TENANT", cause, expected, got, created_by or created, end, theirs
                )


_TENANT_OPS: Final = (
    "get_run",
    "list_runs",
    "update_run",
    "retry_run",
    "delete_run",
    "list_run_attachments",
    "get_run_attachment",
    "download_run_attachment",
    "get_run_attachment_download_url",
)


def tenant_cases(check: CheckContext) -> Iterator[Case]:
    if not check.has_second:
        return
    inputs = {"input_values": {"marker": "«marker»"}}
    session = {"session_id": "«session»"} if check.sessions.invented else {"start_session": True}
    for operation in _TENANT_OPS:
        for fields in (
            {},
            inputs,
            session,
            {"file_inputs": [boundary_values.file(), boundary_values.file("b.txt")]},
            {"sensitive_input_values": {"pin": "«secret»"}},
            {"start_session": True},
        ):
            yield {"ops": [operation], "fields": fields | (inputs if operation == "list_runs" else {})}
            yield {"ops": [operation], "fields": fields, "cancelled": True}
    created_by = [name for name in ("create_run", "create_run_chain") if check.offers(name)]
    for operation in _TENANT_OPS:
        for turned, cancelled in itertools.product((False, True), repeat=2):
            if turned:
                yield {"ops": [operation], "fields": inputs, "reversed": True, "cancelled": cancelled}
            for maker in created_by:
                yield {"ops": [operation], "made_by": maker, "reversed": turned, "cancelled": cancelled}
    if check.machines.available:
        yield {"ops": list(_TENANT_OPS), "fields": {"machine_id": "«machine»"}}
    for count in (2, 101, 1000):
        yield {"ops": list(_TENANT_OPS), "fields": inputs | {"file_inputs": [boundary_values.file()]}, "count": count}
