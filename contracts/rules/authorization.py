"""Authorization: a missing header, another scheme, a wrong token, and another organisation's token."""

from __future__ import annotations

import base64
import itertools
import json
import random
import string
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Exchange, Request
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode, path_for, request_for
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.oracle import CREATES
from contracts.rules.listing import carries, items_of, made_with, their_workflow
from contracts.rules.rule import Rule

GROUP = "Authorization"
RULES = (
    Rule(
        "AUTH-REQUIRED",
        "doc",
        "Every operation but health needs an Authorization",
        "Without the header, or with an empty one, each operation answers 401 or 403 and does nothing.",
        GROUP,
    ),
    Rule(
        "AUTH-SCHEME",
        "doc",
        "Only Bearer is taken",
        "A good token under another scheme (Basic, Token, Digest, ApiKey, none) is refused with 401 or 403.",
        GROUP,
    ),
    Rule(
        "AUTH-TOKEN",
        "doc",
        "A token that is not valid is refused",
        "An empty token and random ones, which share nothing with the tokens that were given, are refused with 401 or "
        "403.",
        GROUP,
    ),
    Rule(
        "AUTH-TENANT",
        "api",
        "An organisation's runs are its own",
        "With another organisation's token a run cannot be read, listed by any filter, changed, retried or deleted, "
        "and its attachments cannot be read. Needs a second token.",
        GROUP,
        needs=("get_run",),
    ),
)

_REQUIRED: Final = (None, "")
_SCHEMES: Final = (
    "Basic $TOKEN",
    "Token $TOKEN",
    "Digest $TOKEN",
    "ApiKey $TOKEN",
    "Api-Key $TOKEN",
    "JWT $TOKEN",
    "OAuth $TOKEN",
    "MAC $TOKEN",
    "Negotiate $TOKEN",
    "Bearers $TOKEN",
    "X-Bearer $TOKEN",
    "basic $TOKEN",
    "token $TOKEN",
    "BASIC $TOKEN",
    "$TOKEN",
    *("Bearer$TOKEN", "Bearer:$TOKEN", "Bearer: $TOKEN", "Bearer,$TOKEN", "Bear $TOKEN", "Key $TOKEN", "Bot $TOKEN"),
    *("bearertoken $TOKEN", "AWS4-HMAC-SHA256 $TOKEN", "SSO $TOKEN", "Session $TOKEN", "Private-Token $TOKEN"),
)


def wrong_tokens(check: CheckContext) -> list[str]:
    """Return Authorization headers with empty, fixed and random tokens that are not valid.

    Random words have no letter of the given tokens, where at least six other letters are left.
    """
    mine = set(check.target.token + (check.target.second_token or ""))
    letters = [c for c in string.ascii_lowercase if c not in mine and c.upper() not in mine]
    if len(letters) < 6:
        letters = list("qxzwjkvy")
    pick = check.random("tokens")

    def word(length: int) -> str:
        return "".join(pick.choice(letters) for _ in range(length))

    digits = "".join(c for c in string.digits if c not in mine) or "9"
    return [
        "Bearer",
        "Bearer ",
        f"Bearer {word(1)}",
        f"Bearer {word(8)}",
        f"Bearer {word(24)}",
        f"Bearer {word(32)}.{word(40)}.{word(43)}",
        f"Bearer {word(6)}_{word(40)}",
        f"Bearer {''.join(pick.choice(digits) for _ in range(16))}",
        f"Bearer {word(64).upper()}",
        f"Bearer {word(2000)}",
        "Bearer null",
        "Bearer undefined",
        "Bearer *",
        "Bearer {}",
        "Bearer ''",
        f"Bearer {_encoded(word(12), pick)}",
    ]


def _encoded(text: str, pick: random.Random) -> str:
    return base64.b64encode(f"{text}{pick.random()}".encode()).decode()


def headers_by_rule(check: CheckContext) -> dict[str, Sequence[str | None]]:
    return {"AUTH-REQUIRED": _REQUIRED, "AUTH-SCHEME": _SCHEMES, "AUTH-TOKEN": wrong_tokens(check)}


# Without valid credentials


def run_unauthorized(context: CaseContext, case: Case) -> None:
    """Send a request that is valid except for its credentials."""
    operation, rule, header = case["op"], case["rule"], case["header"]
    request, earlier = _good_request(context, operation, case)
    headers = tuple(h for h in request.headers if h[0].lower() != "authorization")
    if header is not None:
        headers = (("Authorization", header), *headers)
    result = context.send(Request(request.method, request.path, headers, request.body))
    refused = context.require(
        result.status in {401, 403} or (result.status in {404, 405} and not context.check.offers(operation)),
        rule,
        _cause(rule, header),
        "401 or 403",
        result.words,
        *([earlier[0]] if case.get("replay") and earlier else ()),
        result,
    )
    if refused and case.get("look"):
        _require_no_effect(context, operation, rule, result)


def _cause(rule: str, header: str | None) -> str:
    if rule == "AUTH-TOKEN":
        return "an empty token passes" if header in {"Bearer", "Bearer "} else "a wrong token passes"
    if rule == "AUTH-SCHEME":
        return "another scheme passes"
    return "no Authorization passes"


def _good_request(context: CaseContext, operation: str, case: Case) -> tuple[Request, list[CallResult]]:
    """Return a request that is valid with a good token and, for a replay, the result of the first create."""
    check = context.check
    method, template = operations()[operation]
    if operation in CREATES:
        body = write_bodies.minimal(operation, count=case.get("count", 1))
        body |= {} if operation == "create_run_chain" else check.base_request
        body |= (
            {"input_values": {**(body.get("input_values") or {}), "marker": "«marker»"}}
            if operation != "create_run_chain"
            else {"shared_inputs": {"marker": "«marker»"}}
        )
        request = request_for(
            operation, body=context.fill(body), key=context.named("key") if case.get("replay") else None
        )
        return request, [context.send(request)] if case.get("replay") else []
    if "{run_id}" in template:
        run_id = _a_run(context)
        change: Any = {"update_run": {"release_session_after": True}, "retry_run": {"session_alias": _STOLEN}}.get(
            operation
        )
        if operation == "retry_run" and context.has_named("run"):
            context.call("update_run", run_id, body={"status": "cancelled"})
        if change is None:
            return request_for(operation, run_id, query=[(k, v) for k, v in case.get("query", [])]), []
        return request_for(operation, run_id, body=change), []
    if "{attachment_id}" in template:
        return request_for(operation, _an_attachment(context)), []
    if "{" in template:
        ids = {"{machine_id}": check.machines, "{pool_id}": check.pools, "{workflow_id}": check.workflows}
        known = next(ids[name].known for name in ids if name in template)
        one = known[0] if known else context.named("uuid")
        if method == "POST":
            return request_for(operation, one, body={"machine_ids": []}), []
        return request_for(operation, one), []
    if method == "POST":
        return request_for(operation, body=context.fill(write_bodies.minimal(operation))), []
    return request_for(operation, query=[(k, v) for k, v in case.get("query", [])]), []


def _a_run(context: CaseContext) -> str:
    check = context.check
    if check.is_live or not check.may_create:
        return check.first_run or check.others_run or str(context.named("unknown"))
    written = context.some_runs(1)
    context.remember("run", written.ids[0])
    return written.ids[0]


def _an_attachment(context: CaseContext) -> str:
    if context.check.is_live or not context.check.may_create:
        return str(context.named("unknown"))
    written = context.some_runs(1, file_inputs=[boundary_values.file()])
    ids = written.runs[0].get("input_attachment_ids") or [str(context.named("uuid"))]
    return str(ids[0])


def _require_no_effect(context: CaseContext, operation: str, rule: str, result: CallResult) -> None:
    if operation in CREATES and context.check.offers("list_runs"):
        marker = context.named("marker")
        listed, items = made_with(context, "search", marker)
        made = [item for item in items if carries(item, "search", marker)]
        cause = "a refused create makes runs"
        context.require(not made, "REQ-ATOMIC", cause, "nothing created", f"{len(made)} runs", result, listed)
    elif operation == "delete_run" and context.has_named("run"):
        after = context.call("get_run", context.named("run"))
        cause = "a refused delete is carried out"
        context.require(after.status != 404, rule, cause, "the run still there", after.words, result, after)
    elif operation in {"update_run", "retry_run"} and context.has_named("run"):
        after = context.call("get_run", context.named("run"))
        read = after.body if isinstance(after.body, dict) else {}
        changed = read.get("release_session_after") is True or read.get("session_alias") == _STOLEN
        cause = f"a refused {operation} is carried out"
        context.require(not changed, rule, cause, "the run as before", after.words, result, after)


def unauthorized_cases(check: CheckContext) -> Iterator[Case]:
    for operation in operations():
        if operation == "health_check" or not check.offers(operation):
            continue
        for rule, headers in headers_by_rule(check).items():
            for index, header in enumerate(headers):
                yield {"op": operation, "rule": rule, "header": header, "look": index in {0, 4}}
    for rule, headers in headers_by_rule(check).items():
        for operation in CREATES:
            if check.offers(operation):
                yield {"op": operation, "rule": rule, "header": headers[0], "replay": True}
                yield {"op": operation, "rule": rule, "header": headers[-1], "replay": True}
        for count in (2, 101, 1000):
            yield {"op": "bulk_create_runs", "rule": rule, "header": headers[0], "count": count}
            yield {"op": "bulk_create_runs", "rule": rule, "header": headers[-1], "count": count}
        if check.offers("list_runs"):
            for query in (
                [["search", "a"]],
                [["limit", "1000"]],
                [["status", "success"]],
                [["fields", "status"]],
                [["skip", "1"]],
                [["include", "workflow"]],
            ):
                yield {"op": "list_runs", "rule": rule, "header": headers[0], "query": query}
                yield {"op": "list_runs", "rule": rule, "header": headers[-1], "query": query}
        if check.offers("get_run"):
            for header in (headers[0], headers[-1]):
                yield {"op": "get_run", "rule": rule, "header": header, "query": [["include", "workflow,machine"]]}


# Another organisation


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
    stolen = _STOLEN in json.dumps(after.body) or (after.body.get("status") == "cancelled" != before.get("status"))
    yield "changes a run", after.words if changed or stolen else ""
    retried = before.get("status") == "cancelled" != after.body.get("status")
    yield "retries a run", after.words if retried else ""


_STOLEN: Final = "stolen-by-another"
_UNCHANGED_FIELDS: Final = (
    "input_values",
    "release_session_after",
    "session_alias",
    "session_id",
    "input_attachment_ids",
)
_FOREIGN_BODIES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "update_run": (
        {"release_session_after": True, "input_values": {"stolen": _STOLEN}},
        {"status": "cancelled"},
        {"output_data": {"stolen": _STOLEN}},
        {"error": [_STOLEN]},
        {"run_message_history": [{"stolen": _STOLEN}]},
        {"usage_metadata": {"stolen": _STOLEN}},
        {},
    ),
    "retry_run": ({}, {"input_values": {"stolen": _STOLEN}}, {"session_alias": _STOLEN}),
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


SCENARIOS = (
    Scenario(
        "missing and invalid credentials",
        ("AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN"),
        run_unauthorized,
        unauthorized_cases,
        priority=1,
    ),
    Scenario("access by another organisation", ("AUTH-TENANT",), run_tenant, tenant_cases, priority=1),
)
