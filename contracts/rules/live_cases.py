"""The cases of a check of a real deployment, by scenario: few requests, the most informative first.

Real workflows validate their inputs and real desktops act on them. So a case changes only those fields of the base
request that may be varied. Without a base request, it varies only the fields that the API itself interprets (count,
sessions, null).
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from contracts.data import file, write_bodies
from contracts.engine import CheckContext, Scenario
from contracts.engine.context import CREATE_RULES
from contracts.rules import REGISTRY, existing_data
from contracts.rules.attachments import AttachmentsCase
from contracts.rules.authorization import CredentialsCase, invalid_headers
from contracts.rules.chains import ChainCase
from contracts.rules.creates import CreateCase
from contracts.rules.deletes import DeleteCase
from contracts.rules.first_create import FirstCreateCase
from contracts.rules.http_errors import MethodCase
from contracts.rules.idempotency_cases import Conflict, Replay, Together, TwoOrganisations
from contracts.rules.lists import ExistingCase, PagesCase, WindowsCase
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


def _create_cases(check: CheckContext) -> Iterator[CreateCase]:
    secrets = {"sensitive_input_values": write_bodies.SECRETS}
    inputs = {"input_values": write_bodies.INPUTS | MARKED_INPUTS} if may_vary(check, "input_values") else {}
    creates: list[tuple[str, dict[str, Any]]] = [
        ("bulk_create_runs", {"count": 2, "start_session": True}),
        (
            "create_run",
            {"start_session": True, "session_alias": "First Älias «check-marker»", "release_session_after": True},
        ),
        ("bulk_create_runs", inputs | secrets),
        ("bulk_create_runs", {"count": 2, "file_inputs": [file(raw=bytes(range(256)))]}),
        ("bulk_create_runs", {"machine_id": "«machine»"}),
        ("bulk_create_runs", {"pool_ids": ["«pool»"]}),
    ]
    for operation, fields in creates:
        asks_for = {"machine_id": check.machines, "pool_ids": check.pools}
        made = body(check, operation, **fields)
        if made is not None and check.offers(operation) and all(asks_for[n].known for n in fields if n in asks_for):
            yield CreateCase(operation, made, is_read=True)


def _nulls(check: CheckContext) -> Iterator[Write]:
    """Yield, for each create, one request with null in every nullable field that the base request does not set."""
    for operation in ("bulk_create_runs", "create_run"):
        free = [name for name in write_bodies.EMPTY if name in write_bodies.CREATE_FEATURES[operation]]
        nulls = {name: None for name in free if name not in check.base_request}
        made = body(check, operation)
        if check.offers(operation) and made is not None:
            yield Write(operation, Body(made | nulls))


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
    yield Writes("bulk_create_runs", tuple(map(Body, wrong)))


_MALFORMED: Final = ("", "[]", "null", "{", "not json", "\xff", '{"workflow_id": "«workflow»", "count": 1')


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
    important = ("bulk_create_runs", "list_runs", "get_run", "create_run", "update_run", "delete_run", "retry_run")
    others = ("create_run_chain", "list_run_attachments", "list_machines", "list_pools", "list_workflows")
    *_, wrong_tokens = groups = invalid_headers(check)
    for operation in filter(check.offers, (*important, *others)):
        yield from (CredentialsCase(operation, headers[:1]) for headers in groups)
    yield from (CredentialsCase("bulk_create_runs", (header,)) for header in wrong_tokens[3:6])
    yield CredentialsCase("list_runs", wrong_tokens[4:5])


def _unknown(check: CheckContext) -> Iterator[UnknownIdCase]:
    writes = ("update_run", "retry_run", "delete_run") if check.target.may_write else ()
    for operation in ("get_run", *writes, "get_run_attachment"):
        if check.offers(operation):
            yield UnknownIdCase(operation, "«unknown»")
            yield UnknownIdCase(operation, "not-a-uuid", "malformed")


def _updates(check: CheckContext) -> Iterator[RunCase]:
    outputs = {"output_data": {"a": {"b": [1, 2.5, None]}}}
    yield update_case({"release_session_after": True}, outputs, {"error": ["x"]}, {}, count=2, index=1)


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


def _windows(check: CheckContext) -> Iterator[WindowsCase]:
    if counts := _listed_counts(check, 1):
        yield WindowsCase(counts, [(None, None), (0, 1), (1, 5), (0, 1000)])


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
    for template, method in (reads | (writes if check.target.may_write else {})).items():
        yield MethodCase(method, template.replace("{id}", "«unknown»"), template)


def _unknown_paths(check: CheckContext) -> Iterator[MethodCase]:
    below_a_run = ("/v1/runs/«unknown»/nothing",) if check.target.may_write else ()
    yield from (MethodCase("GET", path) for path in ("/v1/nothing", "/v1", *below_a_run))


_BY_ANOTHER: Final = ("get_run", "update_run", "retry_run", "delete_run", "list_runs")
LIVE_CASES: Final[Mapping[str, Callable[[CheckContext], Iterable[Any]]]] = {
    "the first create": _first_create,
    "creates with each feature": _create_cases,
    "the base request as a single create": _single_create,
    "missing and invalid credentials": _unauthorized,
    "invalid requests": _refused,
    "malformed bodies": lambda check: [Writes("bulk_create_runs", tuple(Body(text=text) for text in _MALFORMED))],
    "access by another organisation": lambda check: [TenantCase(_BY_ANOTHER)] if check.has_second else [],
    "secrets in invalid requests": _secrets,
    "null, empty and absent": _nulls,
    "secrets in accepted requests": _secrets_that_work,
    "existing runs": lambda check: [ExistingCase(5)],
    "lists in pages": _pages,
    "single pages": _windows,
    "updates": _updates,
    "idempotency keys repeated": lambda check: [Replay("bulk_create_runs", body(check) or {}, times=2)],
    "idempotency keys with another body": _conflicts,
    "idempotency keys repeated concurrently": lambda check: [Together("bulk_create_runs", body(check) or {})],
    "retries": lambda check: [retry_case(filled={"output_data": {"a": 1}, "error": ["it failed"]})],
    "deletes": lambda check: [DeleteCase(count=2)],
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


def why_not_allowed(check: CheckContext, rule: str) -> str:
    """Return why a live check that may create runs has no case that can judge the rule, and what allows one."""
    if rule in RULES_OF_TWO_ORGANISATIONS and not may_create_theirs(check):
        return check.why_not_theirs or "no second token was given"
    if field := _ABOUT.get(rule, ""):
        return f"no create may have {field}; {allowed_by(check, field)}"
    if rule == "IDEM-CONFLICT":
        return f"no create may have another body; {allowed_by(check, 'input_values')}"
    if rule == "CHAIN-RULES":
        return "no base request is of a chain; --workflow-id in place of --base-request allows one"
    return "a live check sends nothing that it judges"
