"""HTTP: methods, errors as JSON, rate limits, unusual headers, credentials and ids."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any, Final

from contracts.core.exchange import TOKEN, Request
from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import JSON_HEADER, encode, request_for
from contracts.engine.results import Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.router import operation_at
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import universal_violations
from contracts.rules.rule import Rule

GROUP = "HTTP"
RULES = (
    Rule(
        "HTTP-METHOD",
        "api",
        "An undocumented method is refused",
        "A method that the document does not have for a path (HEAD and OPTIONS aside) is refused with a 4xx, usually "
        "405; where another path matches too, 404 and 422 are as good.",
        GROUP,
    ),
    Rule(
        "HTTP-ERROR-JSON",
        "api",
        "Every error is JSON with detail",
        "Each 4xx has content type application/json and an object with detail, also for unknown paths and wrong "
        "methods.",
        GROUP,
    ),
    Rule(
        "HTTP-LIMIT",
        "api",
        "A 429 says when to come back",
        "A 429 has Retry-After, in seconds or as an HTTP date.",
        GROUP,
    ),
)

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def run_method(context: CaseContext, case: Case) -> None:
    if case.get("ended"):
        run = context.some_runs(1).ids[0]
        context.call("update_run", run, body={"status": "cancelled"})
        context.remember("run", run)
    if case.get("made_by"):
        context.remember(
            "made", context.ask(case["made_by"], body=context.fill(write_bodies.minimal(case["made_by"]))).body["id"]
        )
    path = context.fill(case["path"])
    for body in _bodies_for(context, case):
        headers = (("Authorization", TOKEN), *((JSON_HEADER,) if body is not None else ()))
        result = context.send(Request(case["method"], path, headers, body))
        if case["known"]:
            cause = f"{case['method']} is answered on {case['template']}"
            context.require(result.refused, "HTTP-METHOD", cause, "a 4xx", result.words, result)


def _bodies_for(context: CaseContext, case: Case) -> Iterator[bytes | None]:
    """Yield None for GET and DELETE; else {} and, on a known path, a body with the fields that others require."""
    if case["method"] not in {"POST", "PUT", "PATCH"}:
        yield None
        return
    yield b"{}"
    if case["known"]:
        named = {"name": "a", "main_prompt": "a", "filename": "a.txt", "content": "YQ==", "machine_ids": []}
        run = {"workflow_id": context.named("uuid"), "count": 1, "release_session_after": True}
        yield encode(named | run | {"steps": [{"workflow_id": context.named("uuid")}]})


def method_cases(check: CheckContext) -> Iterator[Case]:
    documented = {(method, path) for method, path in operations().values()}
    for template in dict.fromkeys(path for _, path in operations().values()):
        path = template
        for name in ("run_id", "attachment_id", "machine_id", "pool_id", "workflow_id"):
            path = path.replace("{" + name + "}", "«unknown»")
        for method in METHODS:
            if (method, template) not in documented:
                yield {"method": method, "path": path, "template": template, "known": True}
                if "{run_id}" in template and check.may_create and not check.is_live and check.offers("update_run"):
                    ended = template.replace("{run_id}", "«run»")
                    yield {"method": method, "path": ended, "template": template, "known": True, "ended": True}
                for name, operation in (("{pool_id}", "create_pool"), ("{workflow_id}", "create_workflow")):
                    if name in template and check.may_create and not check.is_live and check.offers(operation):
                        made = template.replace(name, "«made»")
                        more = {"template": template, "known": True, "made_by": operation}
                        yield {"method": method, "path": made} | more
                for name, one in _existing_ids(check):
                    if name in template and (method == "GET" or name == "{run_id}"):
                        yield {
                            "method": method,
                            "path": template.replace(name, one),
                            "template": template,
                            "known": True,
                        }


def _existing_ids(check: CheckContext) -> Iterator[tuple[str, str]]:
    if check.first_run is not None:
        yield "{run_id}", check.first_run
    for name, ids in (
        ("{machine_id}", check.machines),
        ("{pool_id}", check.pools),
        ("{workflow_id}", check.workflows),
    ):
        yield from ((name, one) for one in ids.known[:1])


def path_cases(check: CheckContext) -> Iterator[Case]:
    for path in (
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/runs",
        "/runs",
        "/v1/runs/«unknown»/nothing",
        "/v1/run",
        "/v1/runs/bulk/nothing",
        "/v1/runs/«unknown»/retry/x",
        "/nothing/é".replace("é", "%C3%A9"),
        "/v1/%00",
        "/v1/runs/«unknown»/cancel",
        "/v1/bulk",
    ):
        for method in METHODS:
            yield {"method": method, "path": path, "template": path, "known": False}


# Limits


def run_many(context: CaseContext, case: Case) -> None:
    """Send many requests of a kind, one by one or at once; judge every 429, even one whose retry succeeded."""
    for _ in range(case["rounds"]):
        requests = [_request_of_kind(context, case["kind"], number) for number in range(case["at_once"])]
        with contextlib.suppress(Inconclusive):
            if len(requests) == 1:
                context.send(requests[0])
            else:
                context.send_together(requests)
        judge_limits(context)


def judge_limits(context: CaseContext) -> None:
    """Judge every 429 of the check so far."""
    check = context.check
    for exchange in check.guard.throttled:
        check.count("HTTP-LIMIT")
        operation = operation_at(exchange.request.method, exchange.request.path)
        for violation in universal_violations(operation, exchange.answer, check.canaries.forms, exchange.request):
            context.fail(violation, exchange)


def _request_of_kind(context: CaseContext, kind: str, number: int) -> Request:
    made_up = f"key-{uuid.uuid4()}"
    match kind:
        case "lists":
            return request_for("list_runs", query=[("limit", "1"), ("sort_mode", "created_at_desc")])
        case "reads":
            return request_for("get_run", context.named("unknown"))
        case "refused creates":
            return request_for("bulk_create_runs", body={"count": 0}, key=made_up)
        case "refused credentials":
            return request_for("list_runs", token="Bearer nobody-knows-this")
        case "creates":
            return request_for("bulk_create_runs", body=_minimal_create(context), key=made_up)
        case "equal creates":
            return request_for("bulk_create_runs", body=_minimal_create(context), key=context.named("key"))
        case "updates":
            if not context.has_named("run"):
                context.remember("run", context.some_runs(1).ids[0])
            return request_for("update_run", context.named("run"), body={"usage_metadata": {"n": number}}, key=made_up)
    raise ValueError(f"no such kind of request: {kind}")


def _minimal_create(context: CaseContext) -> dict[str, Any]:
    return {"workflow_id": context.named("workflow"), "count": 1}


def many_cases(check: CheckContext) -> Iterator[Case]:
    yield {"kind": "lists", "at_once": 1, "rounds": 220}
    yield {"kind": "refused creates", "at_once": 6, "rounds": 1}
    yield {"kind": "refused creates", "at_once": 1, "rounds": 110}
    yield {"kind": "lists", "at_once": 20, "rounds": 2}
    yield {"kind": "refused credentials", "at_once": 1, "rounds": 50}
    if check.offers("get_run"):
        yield {"kind": "reads", "at_once": 10, "rounds": 10}


def many_writes_cases(check: CheckContext) -> Iterator[Case]:
    for at_once, rounds in ((1, 100), (6, 5), (20, 3)):
        yield {"kind": "creates", "at_once": at_once, "rounds": rounds}
    yield {"kind": "equal creates", "at_once": 8, "rounds": 2}
    if check.offers("update_run"):
        yield {"kind": "updates", "at_once": 5, "rounds": 5}
        yield {"kind": "updates", "at_once": 1, "rounds": 60}


def run_judge_throttled(context: CaseContext, case: Case) -> None:
    judge_limits(context)


# Errors, whatever a client's headers ask for


def run_errors_with_headers(context: CaseContext, case: Case) -> None:
    """Provoke each kind of error with the headers of another client: errors must still be JSON, and never a 5xx."""
    headers = [(name, value) for name, value in case["headers"]]
    for request in (
        request_for("get_run", context.named("unknown"), headers=headers),
        request_for("list_runs", query=[("limit", "0")], headers=headers),
        request_for("list_runs", token=None, headers=headers),
        request_for("bulk_create_runs", body={"count": 0}, headers=headers),
        request_for("bulk_create_runs", raw=b"{", headers=headers),
        Request("PUT", "/v1/runs", (("Authorization", TOKEN), JSON_HEADER, *headers), b"{}"),
        Request("GET", "/v1/nothing", (("Authorization", TOKEN), *headers)),
    ):
        context.send(request)


def headers_cases(check: CheckContext) -> Iterator[Case]:
    for accept in ("text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain", "application/xml", "x", ""):
        yield {"headers": [["Accept", accept]]}
    for name, value in (
        ("Accept-Language", "de-DE,de;q=0.9"),
        ("Accept-Encoding", "gzip, br, nonsense"),
        ("Accept-Charset", "utf-16"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux) \xe9\xff"),
        ("User-Agent", ""),
        ("Cookie", "a=b; session=\xff; ="),
        ("Origin", "https://example.com"),
        ("Origin", "null"),
        ("Referer", "\xff"),
        ("X-Requested-With", "XMLHttpRequest"),
        ("X-Forwarded-For", "not an address"),
        ("Forwarded", "for=;;"),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "x"),
        ("Range", "bytes=0-0"),
        ("Prefer", "x=y;z"),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "\xe9\xff"),
        ("Idempotency-Key", "k" * 3000),
        ("Idempotency-Key", " "),
        ("Traceparent", "00-x-y-z"),
        ("X-Request-Id", "x" * 3000),
        ("Authorization-Extra", "\xff"),
    ):
        yield {"headers": [[name, value]]}


def run_odd_token(context: CaseContext, case: Case) -> None:
    """Send credentials that are valid in a header, but odd for a token: errors must be JSON, and never a 5xx."""
    for operation in ("list_runs", "bulk_create_runs"):
        body = {"count": 0} if operation == "bulk_create_runs" else UNREAD
        context.send(request_for(operation, body=body, token=case["authorization"]))


def odd_token_cases(check: CheckContext) -> Iterator[Case]:
    for token in (
        "t\xf6k",
        "\xff",
        "\x80\x81",
        "a b",
        "a,b",
        "a=b",
        '"',
        "'",
        "%00",
        "\\",
        "a" * 4000,
        "a" * 6000,
        "..",
        "{}",
        "()",
    ):
        yield {"authorization": f"Bearer {token}"}
    for header in (
        "Bearer\tx",
        "Bearer  ",
        "\xff",
        "Bearer\xa0x",
        ":",
        "Bearer:",
        "=",
        ",",
        "Bearer x, Bearer y",
        "a" * 4000,
    ):
        yield {"authorization": header}
    for header in ("Basic !", "Basic dTpw", "Basic \xff", "Basic", "Digest username", "Negotiate YQ=="):
        yield {"authorization": header}


# Odd ids in a path


ODD_IDS: Final = (
    *(
        "0",
        "-1",
        "1",
        "null",
        "undefined",
        "NaN",
        "%00",
        "%20",
        "%0A",
        "%FF",
        "%C3%A9",
        "%F0%9F%98%80",
        "%2e%2e",
        "%252e",
    ),
    *(
        "'",
        "%22",
        "%3Cb%3E",
        "%7B%7D",
        "[]",
        "*",
        ";",
        "a;b=c",
        "a:b",
        "@",
        "~",
        "x" * 36,
        "x" * 2000,
        "1e400",
        "9" * 400,
    ),
    *(
        "3c90c3cc-0d44-4b50-8888-8dd25736052",
        "3c90c3cc-0d44-4b50-8888-8dd25736052g",
        "g" * 32,
        "{x}",
        "search",
        "count",
    ),
    *("%2F", "a%2Fb", "%5C", "..%2f..%2f", "00000000-0000-0000-0000-000000000000"),
)


def run_odd_id(context: CaseContext, case: Case) -> None:
    """Send odd ids in a path: errors must be JSON, and never a 5xx."""
    method, template = operations()[case["op"]]
    before, _, after = template.partition("{")
    body = b"{}" if method in {"POST", "PATCH"} else None
    headers = (("Authorization", TOKEN), *((JSON_HEADER,) if body is not None else ()))
    for one in case["ids"]:
        context.send(Request(method, f"{before}{one}{after.partition('}')[2]}", headers, body))


def odd_id_cases(check: CheckContext) -> Iterator[Case]:
    for operation, (_, template) in operations().items():
        if "{" in template and check.offers(operation):
            yield {"op": operation, "ids": list(ODD_IDS)}


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("many requests", ("HTTP-LIMIT",), run_many, many_cases, creates=False, together=False, priority=1),
    Scenario("many writes", ("HTTP-LIMIT",), run_many, many_writes_cases, together=False, priority=2),
    Scenario(
        "rate limits met during the check",
        ("HTTP-LIMIT",),
        run_judge_throttled,
        lambda check: [{}],
        creates=False,
        together=False,
        priority=9,
    ),
    Scenario(
        "undocumented methods",
        ("HTTP-METHOD", "HTTP-ERROR-JSON"),
        run_method,
        method_cases,
        creates=False,
        priority=1,
    ),
    Scenario(
        "unknown paths",
        ("HTTP-ERROR-JSON",),
        run_method,
        path_cases,
        creates=False,
        priority=1,
    ),
    Scenario(
        "headers of common clients",
        ("HTTP-ERROR-JSON", "NO-5XX"),
        run_errors_with_headers,
        headers_cases,
        creates=False,
        priority=2,
    ),
    Scenario(
        "unusual credentials", ("NO-5XX", "HTTP-ERROR-JSON"), run_odd_token, odd_token_cases, creates=False, priority=1
    ),
    Scenario("unusual ids", ("NO-5XX", "HTTP-ERROR-JSON"), run_odd_id, odd_id_cases, creates=False, priority=2),
)
