"""Authorization: a missing header, another scheme, and a wrong token."""

import base64
import itertools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.exchange import Request
from contracts.core.findings import Rule
from contracts.data import batches, in_turn_by_kind, write_bodies
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario
from contracts.engine.request_building import request_for
from contracts.openapi.router import path_parameter
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import CREATES, Query, value_in_words
from contracts.oracle.refusal import fails
from contracts.rules.list_reads import WHOLE_PAGE, own_run_filters, require_no_new_runs
from contracts.rules.tenants import GROUP, STOLEN
from contracts.rules.writes import WRITES_ON_A_RUN, create_attachment, create_resource

RULES = (
    Rule(
        "AUTH-REQUIRED",
        "doc",
        "critical",
        "Every operation except health needs an Authorization header",
        "Without the header, or with an empty one, each operation answers 401 or 403 and does nothing. Health answers.",
        GROUP,
    ),
    Rule(
        "AUTH-SCHEME",
        "doc",
        "critical",
        "Only the Bearer scheme is accepted",
        "A valid token with another scheme (Basic, Token, Digest, ApiKey, none) is refused with 401 or 403.",
        GROUP,
    ),
    Rule(
        "AUTH-TOKEN",
        "doc",
        "critical",
        "An invalid token is refused",
        "An empty token, and random tokens that have nothing in common with valid ones, are refused with 401 or 403.",
        GROUP,
    ),
)


_OTHER_SCHEMES: Final = tuple(
    f"{scheme}$TOKEN"
    for scheme in (
        *("Basic ", "Token ", "Digest ", "ApiKey ", "Api-Key ", "JWT ", "OAuth ", "MAC ", "Negotiate ", "Bearers "),
        *("X-Bearer ", "basic ", "token ", "BASIC ", "", "Bearer", "Bearer:", "Bearer: ", "Bearer,", "Bear ", "Key "),
        *("Bot ", "bearertoken ", "AWS4-HMAC-SHA256 ", "SSO ", "Session ", "Private-Token "),
    )
)
_BASIC: Final = ("Basic base64($TOKEN:)", "Basic base64(:$TOKEN)")
"""Basic authentication with the token as the name or as the password, as some APIs take their keys."""
_COMMON_SCHEMES: Final = ("Token $TOKEN", "$TOKEN", "Basic $TOKEN", _BASIC[0])
"""Schemes that many APIs take. Each is tried with every operation, since a route may check the header itself."""


_UNSIGNED_TOKENS: Final = tuple(f"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.{signature}" for signature in ("", "x" * 43))
"""JSON Web Tokens whose header says that no signature is used."""


def _wrong_tokens(check: CheckContext) -> tuple[str, ...]:
    """Return Authorization headers with empty, fixed and random tokens that are not valid.

    The random words avoid the letters of the given tokens, if at least six other letters remain.
    """
    mine = set(check.target.token + (check.target.second_token or ""))
    letters = [c for c in string.ascii_lowercase if c not in mine and c.upper() not in mine]
    if len(letters) < 6:
        letters = list("qxzwjkvy")
    digits = "".join(c for c in string.digits if c not in mine) or "9"
    pick = check.random("tokens")

    def word(length: int) -> str:
        return "".join(pick.choice(letters) for _ in range(length))

    words = [word(1), word(8), word(24), f"{word(32)}.{word(40)}.{word(43)}", f"{word(6)}_{word(40)}"]
    words += ["".join(pick.choice(digits) for _ in range(16)), word(64).upper(), word(2000)]
    encoded = base64.b64encode(f"{word(12)}{pick.random()}".encode()).decode()
    tokens = ["", *words, "null", "undefined", "*", "{}", "''", encoded, *_UNSIGNED_TOKENS]
    return ("Bearer", *(f"Bearer {token}" for token in tokens))


def invalid_headers(check: CheckContext) -> tuple[tuple[str | None, ...], ...]:
    """Return Authorization headers in groups: no credentials, other schemes, wrong tokens."""
    return (None, ""), _OTHER_SCHEMES + _BASIC, _wrong_tokens(check)


_PROBLEMS: Final = {"AUTH-REQUIRED": "no token", "AUTH-SCHEME": "no Bearer token", "AUTH-TOKEN": "an unknown token"}


def rule_of_credentials(header: str | None) -> tuple[str, str]:
    """Return the rule that is broken if an invalid Authorization header is not refused, and the header in words."""
    if not header:
        return "AUTH-REQUIRED", "without Authorization"
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return "AUTH-SCHEME", "with another scheme"
    return "AUTH-TOKEN", "with a wrong token" if token.strip() else "with an empty token"


def cause_of_credentials(result: CallResult, credentials: str) -> str:
    """Return the cause if a request is not refused. It names the operation: a baseline accepts only this one."""
    if result.accepted:
        return f"{result.operation} succeeds {credentials}"
    problem = "gets a 5xx" if fails(result.answer) else "is not refused as unauthorized"
    return f"{result.operation} {problem} {credentials}"


@dataclass(frozen=True)
class CredentialsCase(Case):
    """A request that is sent with each of the Authorization headers, and valid apart from these."""

    operation: str
    headers: tuple[str | None, ...]
    count: int = 1
    query: Query = ()
    repeated: bool = False
    """Whether the same create is sent first with a valid token and the same idempotency key."""


def run_unauthorized(context: CaseContext, case: CredentialsCase) -> None:
    request = _valid_request(context, case)
    earlier = [context.send(request)] if case.repeated else []
    is_carried_out = case.repeated
    for (rule, credentials), headers in itertools.groupby(case.headers, rule_of_credentials):
        refused = []
        for header in headers:
            result = context.send(request.with_header("Authorization", header))
            is_carried_out |= result.accepted
            expected = "401 or 403, since the request has " + _PROBLEMS[rule]
            missing = result.status in {404, 405} and not context.check.offers(case.operation)
            holds = result.status in {401, 403} or missing
            cause = cause_of_credentials(result, credentials)
            if context.require(holds, rule, cause, expected, *earlier, result):
                refused.append(result)
        if refused and not is_carried_out:
            _require_no_effect(context, case.operation, rule, refused)


def run_health(context: CaseContext, case: Case) -> None:
    """Send a request to health without an Authorization header."""
    result = context.call("health_check", token=None)
    cause, expected = "health needs authorization", "a success, since health needs no authorization"
    context.require(result.status not in {401, 403}, "AUTH-REQUIRED", cause, expected, result)


_CHANGING_BODIES: Final[dict[str, Any]] = {
    "update_run": {"release_session_after": True},
    "retry_run": {"session_alias": STOLEN},
}


def _valid_request(context: CaseContext, case: CredentialsCase) -> Request:
    operation = case.operation
    method, template = operations()[operation]
    if operation in CREATES:
        body = context.fill(_body_with_marker(context.check, case))
        return request_for(operation, body=body, key=context.placeholder("key") if case.repeated else None)
    match path_parameter(template):
        case "run_id":
            run_id = _a_run(context)
            if operation == "retry_run" and "run" in context.placeholders:
                context.cancel(run_id)
            return request_for(operation, run_id, query=case.query, body=_CHANGING_BODIES.get(operation, UNREAD))
        case "attachment_id":
            return request_for(operation, _an_attachment(context))
        case "":
            body = context.fill(write_bodies.minimal(operation)) if method == "POST" else UNREAD
            return request_for(operation, query=case.query, body=body)
        case "pool_id" if method == "POST" and context.check.offers("create_pool") and not context.check.is_live:
            pool = create_resource(context, "create_pool").body["id"]
            return request_for(operation, pool, body={"machine_ids": []})
        case kind:
            known = context.check.known_ids[kind]
            resource_id = known[0] if known else context.placeholder("uuid")
            return request_for(operation, resource_id, body={"machine_ids": []} if method == "POST" else UNREAD)


def _body_with_marker(check: CheckContext, case: CredentialsCase) -> dict[str, Any]:
    """Return the body of a create whose runs a search for the marker finds."""
    body: dict[str, Any] = write_bodies.minimal(case.operation, count=case.count)
    marker = {"marker": "«marker»"}
    if case.operation == "create_run_chain":
        return body | {"shared_inputs": marker}
    body |= check.base_request
    return body | {"input_values": (body.get("input_values") or {}) | marker}


def _a_run(context: CaseContext) -> str:
    check = context.check
    if check.is_live or not check.may_create:
        return check.first_run or check.foreign_run or str(context.placeholder("unknown"))
    written = context.some_runs(1)
    context.placeholders["run"] = written.ids[0]
    return written.ids[0]


def _an_attachment(context: CaseContext) -> str:
    if context.check.is_live or not context.check.may_create:
        return str(context.placeholder("unknown"))
    return create_attachment(context)


def _require_no_effect(context: CaseContext, operation: str, rule: str, refused: Sequence[CallResult]) -> None:
    if operation in CREATES:
        filters = own_run_filters(context, ["marker"])
        require_no_new_runs(context, filters, "REQ-ATOMIC", "a refused create makes runs", *refused)
    elif operation in WRITES_ON_A_RUN and "run" in context.placeholders:
        after = context.call("get_run", context.placeholder("run"))
        if operation == "delete_run":
            cause, expected = "a refused delete is carried out", "the run, since the delete was refused"
            context.require(after.status != 404, rule, cause, expected, *refused, after)
            return
        read = after.resource or {}
        changed = read.get("release_session_after") is True or read.get("session_alias") == STOLEN
        cause = f"a refused {operation} is carried out"
        names = ("release_session_after", "session_alias")
        got = ", ".join(f"{name} {value_in_words(read.get(name))}" for name in names)
        context.require(not changed, rule, cause, "the run as before the refused request", *refused, after, got=got)


_LIST_QUERIES: Final[tuple[Query, ...]] = (
    (("search", "a"), WHOLE_PAGE, ("fields", "status")),
    (("status", "success"), ("skip", "1"), ("include", "workflow")),
)
_MAY_NOT_BE_SENT: Final = "add_machine_to_pool"
"""The guard may refuse to send this operation, so each header is tried with another operation, too."""
_MAX_HEADERS: Final = 12
"""The largest number of headers in one case."""


@in_turn_by_kind
def unauthorized_cases(check: CheckContext) -> Iterator[CredentialsCase]:
    """Yield, for each operation, no credentials and headers of each kind. The operations of a method have all headers
    between them, and each operation has the common schemes.
    """
    no_credentials, schemes, (bearer, empty, *wrong) = invalid_headers(check)
    groups = (no_credentials, schemes, (bearer, empty), tuple(wrong))
    of_method: dict[str, list[str]] = {}
    for operation, (method, _) in operations().items():
        if operation not in {"health_check", _MAY_NOT_BE_SENT} and check.offers(operation):
            of_method.setdefault(method, []).append(operation)
    for names in of_method.values():
        for number, operation in enumerate(names):
            shares = (group[number :: len(names)] or (group[number % len(group)],) for group in groups[1:])
            headers_of_operation = dict.fromkeys(itertools.chain(no_credentials, _COMMON_SCHEMES, *shares))
            for headers in batches(headers_of_operation, _MAX_HEADERS):
                yield CredentialsCase(operation, tuple(headers))
    one_of_each = tuple(group[0] for group in groups)
    if check.offers(_MAY_NOT_BE_SENT):
        yield CredentialsCase(_MAY_NOT_BE_SENT, one_of_each)
    for operation in filter(check.offers, sorted(CREATES)):
        yield CredentialsCase(operation, one_of_each, repeated=True)
    for count in (2, 101, 1000):
        yield CredentialsCase("bulk_create_runs", one_of_each, count=count)
    if check.offers("list_runs"):
        yield from (CredentialsCase("list_runs", one_of_each, query=query) for query in _LIST_QUERIES)
    if check.offers("get_run"):
        yield CredentialsCase("get_run", one_of_each, query=(("include", "workflow,machine"),))


SCENARIOS = (
    Scenario(
        "missing and invalid credentials",
        ("AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN"),
        run_unauthorized,
        unauthorized_cases,
        weight=4,  # each operation may have a fault of its own
    ),
    Scenario(
        "health without credentials",
        ("AUTH-REQUIRED",),
        run_health,
        lambda check: [Case()],
        needs=("health_check",),
        creates_runs=False,
    ),
)
