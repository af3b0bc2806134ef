"""Authorization: a missing header, another scheme, a wrong token, and another organisation's token."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import Request
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import request_for
from contracts.engine.results import CallResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.oracle import CREATES
from contracts.rules.listing import carries, made_with
from contracts.rules.rule import Rule
from contracts.rules.tenants import STOLEN, run_tenant, tenant_cases

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
        change: Any = {"update_run": {"release_session_after": True}, "retry_run": {"session_alias": STOLEN}}.get(
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
        changed = read.get("release_session_after") is True or read.get("session_alias") == STOLEN
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
