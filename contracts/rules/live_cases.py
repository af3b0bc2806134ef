"""The cases of a check of a real deployment, by scenario: few requests, the most informative first.

Real workflows validate their inputs and real desktops act on them. So a case changes only those fields of the base
request that may be varied. Without a base request, it varies only the fields that the API itself interprets (count,
sessions, null).
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from contracts.core.findings import Reason, Remedy
from contracts.data import file, value_packs, write_bodies
from contracts.engine import CheckContext, Scenario
from contracts.engine.context import CREATE_RULES
from contracts.rules import REGISTRY, existing_data
from contracts.rules.attachments import AttachmentsCase
from contracts.rules.authorization import CredentialsCase, invalid_headers
from contracts.rules.chains import ChainCase
from contracts.rules.creates import CreateCase
from contracts.rules.deletes import DeleteCase
from contracts.rules.filtered_lists import Filter, FilterCase
from contracts.rules.first_create import FirstCreateCase
from contracts.rules.http_errors import MethodCase
from contracts.rules.idempotency_cases import Conflict, Replay, Together, TwoOrganisations
from contracts.rules.lists import ExistingCase, PagesCase
from contracts.rules.other_resources import answer_cases
from contracts.rules.reads_by_id import UnknownIdCase
from contracts.rules.refused_requests import wrong_parameter_cases
from contracts.rules.retries import retry_case
from contracts.rules.run_events import RunCase
from contracts.rules.secrets import SecretsCase
from contracts.rules.tenants import TenantCase
from contracts.rules.updates import update_case
from contracts.rules.writes import Body, Write, Writes

_WITHOUT_BASE: Final = frozenset({"count", "start_session", "session_id", "session_alias", "release_session_after"})
MARKED_INPUTS: Final = {"check": "«check-marker»"}
"""Input values with the marker of this check. It proves that a run belongs to the check, even if no answer names it."""
NO_SECOND_TOKEN: Final = Reason("no second token was given", Remedy.SECOND_TOKEN)
OWN_SESSION: Final = {"session_id": "«own-session»"}
"""A new session of this check, for requests that must create nothing. If a server creates a run nevertheless, the
session proves that it belongs to the check, and no desktop executes it.
"""


def may_vary(check: CheckContext, *names: str) -> bool:
    """Return whether a case may change all of these fields of the base request."""
    allowed = _WITHOUT_BASE if check.target.base_request is None else frozenset(check.target.varied_fields)
    return allowed.issuperset(names)


def may_have(check: CheckContext, name: str | None) -> bool:
    """Return whether a create may have a value in this field. All creates have what the base request has."""
    return not (name and check.is_live) or bool(check.base_request.get(name)) or may_vary(check, name)


def allowed_by(check: CheckContext, name: str) -> str:
    """Return which flag allows creates with this field, in words."""
    before = "--base-request with " if check.target.base_request is None else ""
    return f"{before}--vary {name} allows that"


def may_create_theirs(check: CheckContext) -> bool:
    """Return whether a case may create runs as the second organisation."""
    return check.has_second and not check.why_not_theirs


def body(
    check: CheckContext, operation: str = "bulk_create_runs", *, count: int = 1, **fields: Any
) -> dict[str, Any] | None:
    """Return the base request with some fields varied; None if one of them may not be varied."""
    if not may_vary(check, *fields):
        return None
    made = {"workflow_id": "«workflow»", "count": 1} | check.base_request
    if may_vary(check, "count"):
        made["count"] = count
    if operation == "create_run":
        del made["count"]
    return made | fields


def _first_create(check: CheckContext) -> Iterator[FirstCreateCase]:
    if check.may_create:
        yield FirstCreateCase("bulk_create_runs", body(check) or {}, is_sent=check.first_create is not None)


def _single_create(check: CheckContext) -> Iterator[FirstCreateCase]:
    """Yield the base request as a single create, unless other cases send one."""
    if check.offers("create_run") and not any(case.operation == "create_run" for case in _create_cases(check)):
        yield FirstCreateCase("create_run", body(check, "create_run") or {})


_FALSY_SECRETS: Final = {"no text": "", "zero": 0, "no": False}
_FILES: Final = [
    file("bytes.bin", bytes(range(256))),
    *(file(name, name.encode()) for name in ("é.pdf", "e\u0301.pdf", "名前.csv", "emoji 😀.txt", "two  blanks.TXT")),
    *(
        file(f"{n}.txt", raw)
        for n, raw in enumerate((b"", b"line\r\n\n", b"\xef\xbb\xbfmark", b"ends \x00", b"\xff\xfe"))
    ),
    file("large.bin", bytes(range(251)) * 300),
]


def _create_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield few creates, each with as many features as it can have: a run may cost money."""
    values: dict[str, Any] = {
        "input_values": (check.base_request.get("input_values") or {}) | value_packs.HARMLESS | MARKED_INPUTS,
        "sensitive_input_values": write_bodies.SECRETS | _FALSY_SECRETS,
        "file_inputs": _FILES,
        **({"pool_ids": ["«pool»"]} if check.pools.known else {}),
    }
    varied = {name: value for name, value in values.items() if may_vary(check, name)}
    named = {"start_session": True, "session_alias": "First Älias «check-marker»", "release_session_after": True}
    machine = {"machine_id": "«machine»"} if check.machines.known and may_vary(check, "machine_id") else {}
    creates: list[tuple[str, dict[str, Any]]] = [
        ("bulk_create_runs", {"count": 2, "start_session": True}),
        ("create_run", named | machine),
        *([("bulk_create_runs", {"count": 2} | varied)] if varied else []),
    ]
    for operation, fields in creates:
        made = body(check, operation, **fields)
        if made is not None and check.offers(operation):
            yield CreateCase(operation, made, is_read=True)


def _body_with_nulls(check: CheckContext, operation: str) -> dict[str, Any]:
    """Return the base request with null in every nullable field that it does not set."""
    free = [name for name in write_bodies.EMPTY if name in write_bodies.CREATE_FEATURES[operation]]
    return (body(check, operation) or {}) | {name: None for name in free if name not in check.base_request}


def _nulls(check: CheckContext) -> Iterator[Write]:
    """Yield nulls in a single create, if there are any: the bulk create that is repeated has them too."""
    operation = "create_run" if check.offers("create_run") else "bulk_create_runs"
    yield Write(operation, Body(_body_with_nulls(check, operation)))


def _replays(check: CheckContext) -> Iterator[Replay]:
    inputs = (check.base_request.get("input_values") or {}) | MARKED_INPUTS | {"numbers": value_packs.REFUSED_NUMBERS}
    numbers = {"input_values": inputs} if may_vary(check, "input_values") else {}
    yield Replay("bulk_create_runs", _body_with_nulls(check, "bulk_create_runs") | numbers, times=2)


def _refused(check: CheckContext) -> Iterator[Writes]:
    base = body(check)
    assert base is not None
    # The first request names a new session: if it is refused, it is safe to send the others.
    wrong: list[dict[str, Any]] = [base | {"count": 0} | OWN_SESSION]
    wrong += [base | {"count": count} for count in (0, -1, 1.5, "x", None)]
    wrong.append({name: value for name, value in base.items() if name != "count"})
    wrong += [base | {"workflow_id": value} for value in (None, "", "not-a-uuid", 5)]
    wrong.append({name: value for name, value in base.items() if name != "workflow_id"})
    wrong += [base | {name: "x"} for name in ("machine_id", "pool_ids", "input_values", "file_inputs", "session_id")]
    wrong += [base | {"start_session": "maybe"}, base | {"pool_ids": ["x"]}, base | {"sensitive_input_values": []}]
    wrong += [base | {"file_inputs": [{"filename": "a.txt"}]}, base | {"file_inputs": [{"content": "YQ=="}]}]
    wrong.append(base | {"pool_ids": ["«uuid»"] * 10 + ["x"]})
    yield Writes("bulk_create_runs", tuple(map(Body, wrong)))
    single = {name: value for name, value in base.items() if name != "count"} | OWN_SESSION
    right: dict[str, dict[str, Any]] = {"create_run": single, "retry_run": OWN_SESSION, "update_run": {}}
    for operation, bodies in _WRONG_TYPES.items():
        if check.offers(operation, "update_run"):
            yield Writes(operation, tuple(Body(right[operation] | wrong_type) for wrong_type in bodies))


_WRONG_TYPES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "create_run": (
        *({"session_alias": 5}, {"release_session_after": "maybe"}, {"input_values": ["x"]}, {"start_session": []}),
    ),
    "update_run": (
        # The first one also names fields that are right: a refused update changes none of them.
        {"output_data": {"wrong": 1}, "error": ["wrong"], "run_message_history": "x"},
        *({"error": "x"}, {"error": [5]}, {"output_data": [1]}, {"status": "x"}),
    ),
    "retry_run": (
        {"input_values": {"wrong": 1}, "file_inputs": [file(), {"content": "YQ=="}]},
        *({"input_values": "x"}, {"machine_id": "x"}, {"pool_ids": [5]}),
    ),
}


_IN_OWN_SESSION: Final = '{"workflow_id": "«workflow»", "count": 1, "session_id": "«own-session»"'
_MALFORMED: Final = (
    *("", "[]", "null", "{", "not json", "\xff", _IN_OWN_SESSION, f"[{_IN_OWN_SESSION}}}]"),
    *(json.dumps(f"{_IN_OWN_SESSION}}}", ensure_ascii=False), f'{_IN_OWN_SESSION}, "input_values": {{"a": "\xff"}}}}'),
)


def _secrets(check: CheckContext) -> Iterator[Writes]:
    """Yield secrets in invalid requests, which create nothing."""
    secret = {"password": "«secret»", "deep": [{"pin": "«secret:2»"}]}
    wrong: list[dict[str, Any]] = [{"count": 1}]
    wrong += [{"workflow_id": "«workflow»", "count": "x"}, {"workflow_id": "«workflow»", "count": 0}]
    wrong = [one | OWN_SESSION | {"sensitive_input_values": secret} for one in wrong]
    wrong.append({"workflow_id": "x", "count": 1, "sensitive_input_values": "«secret»"})
    yield from (Writes("bulk_create_runs", (Body(one),)) for one in wrong)
    yield Writes("create_run", (Body(OWN_SESSION | {"sensitive_input_values": secret}),))
    chain = {"steps": [{"sensitive_inputs": secret}], "shared_sensitive_inputs": secret}
    yield Writes("create_run_chain", (Body(OWN_SESSION | chain),))


def _secrets_that_work(check: CheckContext) -> Iterator[SecretsCase]:
    made = body(check, sensitive_input_values={"password": "«secret»", "deep": [{"pin": "«secret:2»"}]})
    if made is not None:
        yield SecretsCase("bulk_create_runs", made, reads=True)


def _unauthorized(check: CheckContext) -> Iterator[CredentialsCase]:
    """Yield requests without a token, with another scheme and with a wrong token: each operation gets other ones."""
    important = ("bulk_create_runs", "list_runs", "get_run", "create_run", "update_run", "delete_run", "retry_run")
    others = ("create_run_chain", "list_run_attachments", "list_machines", "list_pools", "list_workflows")
    missing, schemes, tokens = invalid_headers(check)
    for number, operation in enumerate(filter(check.offers, (*important, *others))):
        wrong = (schemes[number], tokens[number])
        for header in (missing[0], *(wrong if operation in important else wrong[number % 2 :][:1])):
            yield CredentialsCase(operation, (header,))


def _unknown(check: CheckContext) -> Iterator[UnknownIdCase]:
    writes = ("update_run", "retry_run", "delete_run") if check.target.may_write else ()
    for operation in ("get_run", *writes, "get_run_attachment"):
        if check.offers(operation):
            yield UnknownIdCase(operation, "«unknown»")
            yield UnknownIdCase(operation, "not-a-uuid", "malformed")


def _updates(check: CheckContext) -> Iterator[RunCase]:
    yield update_case(
        {"release_session_after": True},
        {"output_data": value_packs.REFUSED_NUMBERS},
        {"output_data": value_packs.HARMLESS},
        {"error": ["x", *value_packs.HARMLESS_TEXTS]},
        {"run_message_history": [{"n": 1}, value_packs.HARMLESS, {}]},
        {"usage_metadata": value_packs.REFUSED_NUMBERS},
        {},
        count=2,
        index=1,
    )


def _retries(check: CheckContext) -> Iterator[RunCase]:
    """Yield a retry with null in every nullable field that the base request does not set: it might replace that."""
    free = [name for name in write_bodies.RETRY_FEATURES if name not in check.base_request]
    nulls = {name: None for name in free if None in write_bodies.EMPTY.get(name, ())}
    yield retry_case(nulls, filled={"output_data": {"a": 1}, "error": ["it failed"]})


def _deletes(check: CheckContext) -> Iterator[DeleteCase]:
    yield DeleteCase(count=2, fields={"file_inputs": [file()]} if may_vary(check, "file_inputs") else {})


def _chains(check: CheckContext) -> Iterator[ChainCase]:
    if check.target.base_request is None:
        first = {"workflow_id": "«workflow»", "session_alias": "one «check-marker»"}
        yield ChainCase({"steps": [first, {"workflow_id": "«workflow»"}]})


def _conflicts(check: CheckContext) -> Iterator[Conflict]:
    """Yield one case, with a change of the first field that may be varied."""
    base = body(check) or {}
    inputs = (base.get("input_values") or {}) | MARKED_INPUTS
    changes = {"count": 2, "start_session": True, "input_values": inputs, "file_inputs": [file()]}
    others = (base | {name: value} for name, value in changes.items() if may_vary(check, name))
    other = next((other for other in others if other != base), None)
    if other is not None:
        yield Conflict("bulk_create_runs", base, others=(other,))


def _listed_counts(check: CheckContext, *counts: int) -> list[int]:
    """Return the counts of creates that a session separates from all other runs; none if this may not be varied."""
    if not may_vary(check, "start_session", *(["session_id"] if len(counts) > 1 else [])):
        return []
    return list(counts) if may_vary(check, "count") else [check.base_request.get("count", 1)] * len(counts)


def _pages(check: CheckContext) -> Iterator[PagesCase]:
    if counts := _listed_counts(check, 2, 1):
        yield PagesCase(counts, [1, 2, 100])


def _filters(check: CheckContext) -> Iterator[FilterCase]:
    """Yield queries that one run matches, and others that it does not match by little."""
    start, end = "created_at_from", "created_at_to"
    queries = [
        [Filter(start, way="east"), Filter(end, way="west")],
        [Filter(start, way="utc", shift=1)],
        [Filter(end, way="utc", shift=-1)],
        *([Filter("search", way=way)] for way in ("upper", "middle")),
        *([Filter("search", text=text)] for text in ("t«marker:40»", "r«marker:41»")),
        [Filter("workflow_id"), Filter("machine_id"), Filter(start), Filter(end)],
        [Filter("status", text="cancelled")],
    ]
    create: dict[str, Any] = {}
    if may_vary(check, "input_values"):
        create["input_values"] = (check.base_request.get("input_values") or {}) | {
            "list": [{"at": "In«marker:43»side"}]
        }
        queries.append([Filter("search", text="n«marker:43»S")])
    for count in _listed_counts(check, 1):
        yield FilterCase([create | {"count": count}], queries, changes=("cancel", "output_data", "error"))


def _attachments(check: CheckContext) -> Iterator[AttachmentsCase]:
    if may_vary(check, "file_inputs"):
        files = [file(raw=bytes(range(256)), target_path="C:\\a.txt"), file("é.txt")]
        yield AttachmentsCase(files, listed=True, expires=True)


def _methods(check: CheckContext) -> Iterator[MethodCase]:
    """Yield undocumented methods. A broken server might take a GET below a run for a retry, so the guard sends none
    where nothing may be written.
    """
    reads = dict.fromkeys(("/v1/runs/bulk", "/v1/runs/chain", "/v1/pools/{id}/machines"), "GET")
    writes = {"/v1/runs/{id}/retry": "GET", "/v1/run-attachments/{id}": "PATCH", "/v1/machines/{id}": "PATCH"}
    writes |= {"/v1/pools/{id}": "DELETE"}
    for template, method in (reads | (writes if check.target.may_write else {})).items():
        yield MethodCase(method, template.replace("{id}", "«unknown»"), template)


def _unknown_paths(check: CheckContext) -> Iterator[MethodCase]:
    below_a_run = ("/v1/runs/«unknown»/nothing",) if check.target.may_write else ()
    yield from (MethodCase("GET", path) for path in ("/v1/nothing", "/v1", *below_a_run))


_BY_ANOTHER: Final = ("get_run", "update_run", "retry_run", "delete_run", "list_runs")
_FILES_BY_ANOTHER: Final = (
    *("list_run_attachments", "get_run_attachment", "download_run_attachment", "get_run_attachment_download_url"),
)


def _foreign(check: CheckContext) -> Iterator[TenantCase]:
    if check.has_second and may_vary(check, "file_inputs"):
        yield TenantCase((*_BY_ANOTHER, *_FILES_BY_ANOTHER), {"file_inputs": [file()]})
    elif check.has_second:
        yield TenantCase(_BY_ANOTHER)


LIVE_CASES: Final[Mapping[str, Callable[[CheckContext], Iterable[Any]]]] = {
    "the first create": _first_create,
    "creates with each feature": _create_cases,
    "the base request as a single create": _single_create,
    "missing and invalid credentials": _unauthorized,
    "invalid requests": _refused,
    "malformed bodies": lambda check: [Writes("bulk_create_runs", tuple(Body(text=text) for text in _MALFORMED))],
    "access by another organisation": _foreign,
    "secrets in invalid requests": _secrets,
    "null, empty and absent": _nulls,
    "secrets in accepted requests": _secrets_that_work,
    "existing runs": lambda check: [ExistingCase(5)],
    "lists in pages": _pages,
    "lists with filters": _filters,
    "updates": _updates,
    "idempotency keys repeated": _replays,
    "idempotency keys with another body": _conflicts,
    "idempotency keys repeated concurrently": lambda check: [Together("bulk_create_runs", body(check) or {})],
    "retries": _retries,
    "deletes": _deletes,
    "chains": _chains,
    "attachments": _attachments,
    "idempotency keys of two organisations": lambda check: (
        [TwoOrganisations("bulk_create_runs", body(check) or {})] if may_create_theirs(check) else []
    ),
    "unknown ids": _unknown,
    "invalid parameters": lambda check: itertools.islice(wrong_parameter_cases(check), 12),
    "undocumented methods": _methods,
    "unknown paths": _unknown_paths,
    "answers of other reads": lambda check: answer_cases(check, reads=1),
    **{scenario.name: scenario.cases for scenario in existing_data.SCENARIOS},
}
"""Name of a scenario → its cases in a live check. Both are in the order in which they run."""

# What the flags allow

RULES_OF_TWO_ORGANISATIONS: Final = frozenset(rule.id for rule in REGISTRY.values() if rule.needs_second_token)
_ABOUT: Final = {**CREATE_RULES, "ATTACHMENTS": "file_inputs"}
"""The fields that rules are about, if they are about one."""


def may_judge(check: CheckContext, scenario: Scenario[Any], rule: str) -> bool:
    """Return whether a live check has cases of the scenario that can judge this rule of it."""
    return may_have(check, _ABOUT.get(rule)) and any(True for _ in LIVE_CASES[scenario.name](check))


def why_not_allowed(check: CheckContext, rule: str) -> Reason:
    """Return why a live check that may create runs has no case that can judge the rule, and what allows one."""
    if rule in RULES_OF_TWO_ORGANISATIONS and not may_create_theirs(check):
        return Reason(check.why_not_theirs) if check.why_not_theirs else NO_SECOND_TOKEN
    if field := _ABOUT.get(rule, ""):
        return Reason(f"no create may have {field}; {allowed_by(check, field)}", Remedy.ALLOW_FIELDS)
    if rule == "IDEM-CONFLICT":
        return Reason(f"no create may have another body; {allowed_by(check, 'input_values')}", Remedy.ALLOW_FIELDS)
    if rule == "CHAIN-RULES":
        text = "no base request is of a chain; --workflow-id in place of --base-request allows one"
        return Reason(text, Remedy.ALLOW_FIELDS)
    return Reason("a live check sends nothing that it judges")
