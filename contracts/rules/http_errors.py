"""HTTP: methods, errors as JSON, rate limits, unusual credentials and ids."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contracts.core.exchange import Request
from contracts.core.findings import Rule
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Inconclusive, Scenario
from contracts.engine.request_building import encode, request_for
from contracts.openapi.fields import query_parameters
from contracts.openapi.router import operation_at, path_parameter
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle.answer import universal_violations
from contracts.rules.list_reads import NEWEST_FIRST
from contracts.rules.writes import create_attachment, create_resource

GROUP = "HTTP"
RULES = (
    Rule(
        "HTTP-METHOD",
        "api",
        "moderate",
        "An undocumented method is refused",
        "A method that the document does not have for a path (HEAD and OPTIONS aside) is refused with a 4xx, usually "
        "405; where another path matches too, 404 and 422 are accepted.",
        GROUP,
    ),
    Rule(
        "HTTP-ERROR-JSON",
        "api",
        "minor",
        "Every error is JSON with detail",
        "Each 4xx has a content type of JSON (application/json, or one that ends in +json) and an object with detail, "
        "also for unknown paths and wrong methods. Where the document describes the error, detail is a text or a list "
        "of errors.",
        GROUP,
    ),
    Rule(
        "HTTP-LIMIT",
        "api",
        "minor",
        "A 429 says when to retry",
        "A 429 has Retry-After, in seconds or as an HTTP date.",
        GROUP,
    ),
)

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class MethodCase(Case):
    """A request with a method to a path. If it is an error, it must be JSON, and never a 5xx."""

    method: str
    path: str
    template: str = ""
    """The documented path, if it does not have the method: the request must be refused."""
    made_by: str = ""
    """The operation that provides the resource «made»: a create, the update that ends a run, or the read of a file."""


def run_method(context: CaseContext, case: MethodCase) -> None:
    if case.made_by == "update_run":
        context.placeholders["made"] = context.some_runs(1).ids[0]
        context.cancel(context.placeholder("made"))
    elif case.made_by == "get_run_attachment":
        context.placeholders["made"] = create_attachment(context)
    elif case.made_by:
        context.placeholders["made"] = create_resource(context, case.made_by).body["id"]
    path = context.fill(case.path)
    for body in _bodies_for(context, case):
        result = context.send(request_for((case.method, path), raw=body))
        if case.template:
            judge_undocumented_method(context, case.template, result)


def judge_undocumented_method(context: CaseContext, template: str, result: CallResult) -> None:
    cause = f"{result.exchange.request.method} is answered on {template}"
    expected = "a 4xx, since the method is not documented"
    context.require(result.refused, "HTTP-METHOD", cause, expected, result)


def _bodies_for(context: CaseContext, case: MethodCase) -> Iterator[bytes | None]:
    """Yield None for GET and DELETE; else {} and, on a known path, a body with the fields that operations require."""
    if case.method not in {"POST", "PUT", "PATCH"}:
        yield None
        return
    yield b"{}"
    if case.template:
        named = {"name": "a", "main_prompt": "a", "filename": "a.txt", "content": "YQ==", "machine_ids": []}
        run = {"workflow_id": context.placeholder("uuid"), "count": 1, "release_session_after": True}
        yield encode(named | run | {"steps": [{"workflow_id": context.placeholder("uuid")}]})


def method_cases(check: CheckContext) -> Iterator[MethodCase]:
    """Yield each undocumented method of each path, with an unknown id and an existing one."""
    for method, template in _undocumented_methods():
        yield MethodCase(method, _with_id(template, "«unknown»"), template)
        parameter = path_parameter(template)
        if method == "GET" or parameter == "run_id":
            for known_id in check.known_ids.get(parameter, ())[:1]:
                yield MethodCase(method, _with_id(template, known_id), template)


def created_method_cases(check: CheckContext) -> Iterator[MethodCase]:
    """Yield each undocumented method of each path with the id of an ended run, or of another created resource."""
    makers = {
        **{"run_id": "update_run", "attachment_id": "get_run_attachment"},
        **{"pool_id": "create_pool", "workflow_id": "create_workflow"},
    }
    for method, template in _undocumented_methods():
        maker = makers.get(path_parameter(template))
        if maker is not None and check.offers(maker):
            yield MethodCase(method, _with_id(template, "«made»"), template, made_by=maker)


def _undocumented_methods() -> Iterator[tuple[str, str]]:
    """Yield each path with each method that it does not have."""
    documented = operations().values()
    for template in dict.fromkeys(path for _, path in documented):
        yield from ((method, template) for method in METHODS if (method, template) not in documented)


def _with_id(template: str, text: str) -> str:
    """Return a path with a text in place of its parameter."""
    return template.replace(f"{{{path_parameter(template)}}}", text)


_MALFORMED_ESCAPES: Final = ("%", "%f", "%zz", "%u0041")
"""Of percent-encoding, in which two hexadecimal digits follow the %."""


def malformed_url_cases(check: CheckContext) -> Iterator[MethodCase]:
    """Yield reads with a malformed escape in place of an id, of each parameter's value, and of a parameter's name."""
    escapes = itertools.cycle(_MALFORMED_ESCAPES)
    for operation, (method, template) in operations().items():
        if method != "GET" or not check.offers(operation):
            continue
        if path_parameter(template):
            in_path = _MALFORMED_ESCAPES if operation == "get_run" else (next(escapes),)
            yield from (MethodCase(method, _with_id(template, escape)) for escape in in_path)
        else:
            names = query_parameters(operation)
            yield from (MethodCase(method, f"{template}?{name}={next(escapes)}") for name in names)
            yield MethodCase(method, f"{template}?{next(escapes)}=1")


_UNDOCUMENTED_PATHS: Final = (
    "/", "/v1", "/v1/", "/v1/nothing", "/v2/runs", "/runs", "/v1/runs/«unknown»/nothing", "/v1/run",
    "/v1/runs/bulk/nothing", "/v1/runs/«unknown»/retry/x", "/nothing/%C3%A9", "/v1/%00", "/v1/runs/«unknown»/cancel",
    "/v1/bulk",
)  # fmt: skip


# Limits


@dataclass(frozen=True)
class ManyCase(Case):
    """Requests of one kind, `at_once` at a time."""

    kind: str
    at_once: int
    rounds: int

    @property
    def expected_runs(self) -> int:
        return self.at_once * self.rounds if self.kind == "creates" else 1


_READS: Final = (
    ManyCase("lists", 4, 55),
    ManyCase("lists", 20, 2),
    ManyCase("refused creates", 6, 1),
    ManyCase("refused creates", 5, 11),
    ManyCase("refused credentials", 5, 11),
    ManyCase("reads", 10, 6),
)
_REPEATED_WRITES: Final = (
    ManyCase("creates", 5, 11),
    ManyCase("creates", 6, 5),
    ManyCase("creates", 20, 3),
    ManyCase("equal creates", 8, 2),
    ManyCase("updates", 5, 11),
)
"""Like _READS, they exceed usual limits: 50, 100 or 200 requests in a window (by a tenth), or 5 to 20 at once."""
_NEEDED: Final = {"reads": "get_run", "updates": "update_run"}


def run_many(context: CaseContext, case: ManyCase) -> None:
    """Judge every 429, even one whose retry succeeded."""
    for _ in range(case.rounds):
        requests = [_request_of_kind(context, case.kind, number) for number in range(case.at_once)]
        with contextlib.suppress(Inconclusive):
            if len(requests) == 1:
                context.send(requests[0])
            else:
                context.send_together(requests)
        judge_limits(context)


def judge_limits(context: CaseContext) -> None:
    """Judge every 429 of the check so far."""
    check = context.check
    for exchange in check.guard.log.throttled:
        context.count("HTTP-LIMIT", exchange)
        operation = operation_at(exchange.request.method, exchange.request.path)
        for violation in universal_violations(operation, exchange.request, exchange.answer, check.canaries.forms):
            context.report_violation(violation, exchange, is_proof=True)


def _request_of_kind(context: CaseContext, kind: str, number: int) -> Request:
    key = f"key-{context.made_up.uuid()}"
    create = {"workflow_id": context.placeholder("workflow"), "count": 1} if "creates" in kind else {}
    match kind:
        case "lists":
            return request_for("list_runs", query=[("limit", "1"), NEWEST_FIRST])
        case "reads":
            return request_for("get_run", context.placeholder("unknown"))
        case "refused creates":
            return request_for("bulk_create_runs", body={"count": 0}, key=key)
        case "refused credentials":
            return request_for("list_runs", token="Bearer nobody-knows-this")
        case "creates":
            return request_for("bulk_create_runs", body=create, key=key)
        case "equal creates":
            return request_for("bulk_create_runs", body=create, key=context.placeholder("key"))
        case "updates":
            if "run" not in context.placeholders:
                context.placeholders["run"] = context.some_runs(1).ids[0]
            return request_for(
                "update_run", context.placeholder("run"), body={"usage_metadata": {"n": number}}, key=key
            )
    raise ValueError(f"no such kind of request: {kind}")


def many_cases(check: CheckContext, cases: tuple[ManyCase, ...] = _READS) -> Iterator[ManyCase]:
    yield from (case for case in cases if case.kind not in _NEEDED or check.offers(_NEEDED[case.kind]))


# Unusual credentials


@dataclass(frozen=True)
class OddCredentialsCase(Case):
    authorization: str


def run_unusual_credentials(context: CaseContext, case: OddCredentialsCase) -> None:
    """Send credentials that are allowed in a header, but unusual for a token: errors must be JSON, and never a 5xx."""
    for operation in ("list_runs", "bulk_create_runs"):
        body = {"count": 0} if operation == "bulk_create_runs" else UNREAD
        context.send(request_for(operation, body=body, token=case.authorization))


_UNUSUAL_TOKENS: Final = (
    "t\xf6k", "\xff", "\x80\x81", "a b", "a,b", "a=b", '"', "'", "%00", "\\", "a" * 4000, "a" * 6000, "..", "{}", "()",
)  # fmt: skip
_UNUSUAL_CREDENTIALS: Final = (
    *(f"Bearer {token}" for token in _UNUSUAL_TOKENS),
    "Bearer\tx", "Bearer  ", "\xff", "Bearer\xa0x", ":", "Bearer:", "=", ",", "Bearer x, Bearer y", "a" * 4000,
    "Basic !", "Basic dTpw", "Basic \xff", "Basic", "Digest username", "Negotiate YQ==",
)  # fmt: skip


# Unusual ids in a path


_UNUSUAL_IDS: Final = (
    "0", "-1", "1", "null", "undefined", "NaN", "%00", "%20", "%0A", "%FF", "%C3%A9", "%F0%9F%98%80", "%2e%2e",
    "%252e", "'", "%22", "%3Cb%3E", "%7B%7D", "[]", "*", ";", "a;b=c", "a:b", "@", "~", "1e400", "{x}", "search",
    "count", "%2F", "a%2Fb", "%5C", "..%2f..%2f", "3c90c3cc-0d44-4b50-8888-8dd25736052",
    "3c90c3cc-0d44-4b50-8888-8dd25736052g", "x" * 36, "x" * 2000, "9" * 400, "g" * 32,
    "507f1f77bcf86cd799439011", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""Some are ids of other systems: an ObjectId of MongoDB, a ULID."""


def unusual_ids_cases(check: CheckContext) -> Iterator[MethodCase]:
    """Yield every unusual id for a run, and a part of them for each other operation, in turn."""
    for number, (operation, (method, template)) in enumerate(operations().items()):
        if path_parameter(template) and check.offers(operation):
            unusual_ids = _UNUSUAL_IDS if operation == "get_run" else _UNUSUAL_IDS[number % 4 :: 4]
            yield from (MethodCase(method, _with_id(template, unusual_id)) for unusual_id in unusual_ids)


_ERRORS: Final = ("NO-5XX", "HTTP-ERROR-JSON")
SCENARIOS = (
    Scenario("many requests", ("HTTP-LIMIT",), run_many, many_cases, creates_runs=False, is_exclusive=True),
    Scenario(
        "many writes",
        ("HTTP-LIMIT",),
        run_many,
        lambda check: many_cases(check, _REPEATED_WRITES),
        is_exclusive=True,
        order=2,
    ),
    Scenario(
        "rate limits met during the check",
        ("HTTP-LIMIT",),
        lambda context, case: judge_limits(context),
        lambda check: [Case()],
        creates_runs=False,
        order=9,
        is_last=True,
    ),
    Scenario("undocumented methods", ("HTTP-METHOD", "HTTP-ERROR-JSON"), run_method, method_cases, creates_runs=False),
    Scenario(
        "undocumented methods of created resources",
        ("HTTP-METHOD", "HTTP-ERROR-JSON"),
        run_method,
        created_method_cases,
    ),
    Scenario(
        "unknown paths",
        ("HTTP-ERROR-JSON",),
        run_method,
        lambda check: [MethodCase(method, path) for path in _UNDOCUMENTED_PATHS for method in METHODS],
        creates_runs=False,
    ),
    Scenario(
        "unusual credentials",
        _ERRORS,
        run_unusual_credentials,
        lambda check: map(OddCredentialsCase, _UNUSUAL_CREDENTIALS),
        creates_runs=False,
    ),
    Scenario("malformed URLs", ("NO-5XX",), run_method, malformed_url_cases, creates_runs=False),
    Scenario("unusual ids", _ERRORS, run_method, unusual_ids_cases, creates_runs=False, order=2),
)
