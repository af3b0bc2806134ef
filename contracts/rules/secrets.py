"""Sensitive values: no answer may contain them, wherever they were sent.

`CaseContext.observe` looks for secrets in every answer. The scenarios here send secrets in every way, and then every
request whose answer could show them. `lifecycle` looks for them in runs that have ended.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import Request
from contracts.core.findings import Rule
from contracts.core.json_tree import drop, put
from contracts.data import batches, file, in_turn, in_turn_by_kind, limits, mutations, write_bodies
from contracts.data.json_values import ALL_KEYS
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario
from contracts.engine.request_building import encode, request_for
from contracts.openapi.router import operation_at
from contracts.oracle.create import alias_difference
from contracts.rules.invalid_bodies import combined
from contracts.rules.list_reads import DEEP_SEARCH, items_of
from contracts.rules.refused_requests import run_refused
from contracts.rules.writes import (
    Body,
    Write,
    Writes,
    created_ids,
    full_body,
    ids_for,
    in_batches,
    read_with_files,
    send,
    workflow_filter,
)

GROUP = "Secrets"
RULES = (
    Rule(
        "SECRET-LEAK",
        "api",
        "critical",
        "No answer shows a sensitive value",
        "No answer contains a value of sensitive_input_values (or a chain's sensitive_inputs), at any depth: not the "
        "answer to a create, a read or a list, nor an error, whose `input` repeats what was sent. No search finds a "
        "run by such a value. The check searches for long random values: plain, encoded and parts of them.",
        GROUP,
    ),
)

_SECRET_FIELDS: Final = {
    "bulk_create_runs": "sensitive_input_values",
    "create_run": "sensitive_input_values",
    "retry_run": "sensitive_input_values",
    "create_run_chain": "shared_sensitive_inputs",
}
_SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"password": "«secret»"},
    {
        "login": {"password": "«secret»"},
        "list": ["«secret»"],
        "nested list": [{"a": ["x", {"b": "«secret»"}]}],
        "text": "user=x; password=«secret»;",
        **{"first": "x", "second": "«secret»"},
    },
    {
        **{"number": "«secret-int:1»", "real": "«secret-real:1»", "large": "«secret-large:1»"},
        "list": ["«secret-large:1»"],
        "deep": {"a": {"b": {"c": {"d": ["«secret-int:2»", "«secret»"]}}}},
    },
    {
        **{"é": "«secret»", "": "«secret»", "input": "«secret»", "id": "«secret»", "detail": "«secret:2»"},
        "json": '{"inner": "«secret»"}',
        "long": "«secret»" + "x" * 5000 + "«secret:2»",
        "unicode": "é😀«secret»é",
        "quoted": 'a"b\\«secret»',
    },
    {f"k{index}": f"«secret:{index}»" for index in range(20)},
)
_PASSWORD: Final[dict[str, Any]] = {"password": "«secret»"}
_TEMPLATES: Final = {
    f"text {number}": form % "password"
    for number, form in enumerate(("{{%s}}", "{{ %s }}", "{%s}", "${%s}", "$%s", "%%(%s)s", "<%%= %s %%>"))
}
"""Inputs that name the secret as templates do. They are shown as they were sent."""
_TEMPLATE_FILE: Final = file("{{password}}.txt", target_path="/{{password}}/a.txt")


def _offered_writes(check: CheckContext, *others: str) -> Iterator[tuple[str, str]]:
    """Yield (operation, its field for secrets) for each write, if the target offers it and the `others`."""
    for operation, field in _SECRET_FIELDS.items():
        if check.offers(operation, *others, *(("update_run",) if operation == "retry_run" else ())):
            yield operation, field


# One write


@dataclass(frozen=True)
class SecretsCase(Case):
    """A write with secrets. With `reads`, every read and change follows that could show them."""

    operation: str
    body: Any = None
    reads: bool = False


def run_secrets(context: CaseContext, case: SecretsCase) -> None:
    ids = ids_for(context, case.operation)
    written = context.write(case.operation, *ids, body=context.fill(case.body))
    if case.reads:
        _read_everything(context, written.result)


def _read_everything(context: CaseContext, written: CallResult) -> None:
    """Read, list, search and change the first and the last created run in every way that could show a secret."""
    offers, created = context.check.offers, created_ids(written)
    runs = list(dict.fromkeys(created[:1] + created[-1:]))
    if not runs:
        return
    for run_id in runs:
        read_with_files(context, [run_id], files=1)
        if offers("get_run"):
            context.call("get_run", run_id, query=[("include", "workflow,machine,machine.pools")])
        for query in ([], [DEEP_SEARCH]) if offers("list_runs") else ():
            context.call("list_runs", query=[("search", run_id), *workflow_filter(context), *query])
    if offers("list_runs"):
        fields = [("fields", "sensitive_input_aliases"), ("fields", "input_values")]
        for query in ([("include", "workflow,machine")], fields):
            context.call("list_runs", query=[*workflow_filter(context), ("limit", "100"), *query])
        _search_for_secrets(context, written, set(runs), most=1)  # the writes below may index the run again
    if offers("update_run"):
        for body in ({"release_session_after": True}, {"status": "nonsense"}, {"status": "cancelled"}):
            context.call("update_run", runs[-1], body=body)
        if offers("retry_run"):
            context.call("retry_run", runs[-1], body={})
            context.call("retry_run", runs[-1], body={"input_values": 5})
            context.call("get_run", runs[-1])
    if offers("list_runs"):
        _search_for_secrets(context, written, set(runs))
    if offers("delete_run"):
        context.call("delete_run", runs[0])


def _search_for_secrets(context: CaseContext, written: CallResult, runs: set[str], *, most: int | None = None) -> None:
    filled = context.placeholders.items()
    secrets = [value for name, value in filled if name.startswith("secret") and isinstance(value, str)]
    searches = [[("search", secret), *more] for secret in secrets[:2] for more in ([], [DEEP_SEARCH])]
    searches += [[("search", secret[4:-4]), DEEP_SEARCH] for secret in secrets[:1]]
    searches += [[("search", secret.upper())] for secret in secrets[:1]]
    for query in searches[:most]:
        result = _search(context, query)
        found = [item for item in items_of(result) if item.get("id") in runs] if result.accepted else []
        if found and items_of(_search(context, [("search", context.placeholder("marker:98"))])):
            return  # the target does not search: it lists runs that cannot have this word
        cause, expected = "a search finds a run by its secret", "no run found by a sensitive value"
        context.require(not found, "SECRET-LEAK", cause, expected, written, result, got=counted(len(found), "run"))


def _search(context: CaseContext, query: Sequence[tuple[str, str]]) -> CallResult:
    return context.call("list_runs", query=[*query, ("limit", "100"), *workflow_filter(context)])


@in_turn_by_kind
def accepted_cases(check: CheckContext) -> Iterator[SecretsCase]:
    for number, (operation, field) in enumerate(_offered_writes(check)):
        bare, is_bulk = write_bodies.minimal(operation), operation == "bulk_create_runs"
        shapes = (
            SecretsCase(operation, bare | {field: shape}, reads=is_bulk or index == 0)
            for index, shape in enumerate(_SHAPES)
        )
        same_keys = (
            SecretsCase(operation, body, reads=index == 0)
            for index, body in enumerate(_same_key_bodies(operation, bare))
        )
        is_chain = operation == "create_run_chain"
        others = _in_chain_steps(bare) if is_chain else _beside_secrets(check, operation, field, number)
        yield from in_turn((shapes, same_keys, others))


def _in_chain_steps(bare: dict[str, Any]) -> Iterator[SecretsCase]:
    step = {"workflow_id": "«workflow»"}  # the reads filter by this workflow
    steps = [step | {"sensitive_inputs": shape} for shape in _SHAPES]
    yield SecretsCase("create_run_chain", {"steps": steps[:1]}, reads=True)
    yield SecretsCase("create_run_chain", {"steps": [step, *steps]}, reads=True)
    shared = {"shared_inputs": _TEMPLATES, "shared_sensitive_inputs": _PASSWORD, "shared_file_inputs": [_TEMPLATE_FILE]}
    yield SecretsCase("create_run_chain", bare | shared, reads=True)


def _beside_secrets(check: CheckContext, operation: str, field: str, number: int) -> Iterator[SecretsCase]:
    """Yield secrets together with other fields, a half of these fields each time, and secrets in many runs."""
    bare, is_bulk = write_bodies.minimal(operation), operation == "bulk_create_runs"
    full = full_body(check, operation) | {"start_session": True}
    names = ("input_values", "file_inputs", "session_id", "start_session", "machine_id")
    beside = {name: full[name] for name in names if name in full}
    for start in (0, 1):
        more = dict(itertools.islice(beside.items(), start, None, 2))
        yield SecretsCase(operation, bare | {field: _PASSWORD} | more, reads=is_bulk or start == number % 2)
    inputs = write_bodies.OBJECT_FIELDS[operation]
    templates = {inputs: _TEMPLATES, "file_inputs": [_TEMPLATE_FILE]}
    yield SecretsCase(operation, bare | {field: _PASSWORD} | templates, reads=True)
    if is_bulk:
        secrets = _PASSWORD | {"more": {"pin": "«secret:2»"}}
        for count in limits.few(2, 101):
            yield SecretsCase(operation, bare | {"count": count, field: secrets}, reads=count == 101)


def _same_key_bodies(operation: str, bare: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield bodies with one key for an input and a secret. It is not documented whether a target must accept them."""
    plain, secret = {"password": "plain", "other": 1}, _PASSWORD
    if operation != "create_run_chain":
        yield bare | {"input_values": plain, "sensitive_input_values": secret}
        return
    step = bare["steps"][0]
    yield {"steps": [step, step | {"inputs": plain, "sensitive_inputs": secret}]}
    yield {"steps": [step | {"inputs": plain}], "shared_sensitive_inputs": secret}
    yield {"steps": [step | {"sensitive_inputs": secret}, step], "shared_inputs": plain}
    yield {"steps": [step], "shared_inputs": plain, "shared_sensitive_inputs": secret}
    yield {"steps": [step | {"sensitive_inputs": secret}], "shared_sensitive_inputs": {"password": "«secret:2»"}}


@in_turn_by_kind
def invalid_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield requests that have secrets and an invalid part, of every kind."""
    for operation, field in _offered_writes(check):
        base = full_body(check, operation) | {field: _SECRETS}
        beside = combined(operation, base, _wrong_beside_secrets(operation, field, base), alone=0)
        first, *more = in_batches(operation, itertools.chain(beside, _wrong_secrets(operation, field, base)), 12)
        yield first
        valid = json.dumps(write_bodies.minimal(operation) | {field: _PASSWORD}, ensure_ascii=False)
        yield Writes(operation, tuple(Body(text=text) for text in _malformed_texts(valid)))
        yield from more


_SECRETS: Final = _PASSWORD | {"a": [{"b": "«secret»"}], "n": "«secret-int:1»"}


def _wrong_beside_secrets(operation: str, field: str, full: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield bodies with valid secrets and another invalid part."""
    for path in mutations.places(full):
        if not {field, "sensitive_inputs"}.intersection(path):
            yield put(full, path, 5 if path[-1] != "count" else "x")
            if isinstance(path[-1], str):
                yield drop(full, path)
    yield {field: _SECRETS}
    if operation == "bulk_create_runs":
        for count in (0, 1001, -1, 1.5, None, "x", 10**4):
            yield {"workflow_id": "«workflow»", "count": count, field: _PASSWORD | {"deep": [{"x": "«secret:2»"}]}}
    if operation == "create_run_chain":
        bare: dict[str, Any] = {"sensitive_inputs": {"pin": "«secret»"}}
        step = bare | {"workflow_id": "«workflow»"}
        for bad in (bare, step | {"workflow_id": 5}, step | {"inputs": []}, step | {"session_alias": 5}):
            yield {"steps": [bad]}
            yield {"steps": [step, bad]}
        yield {"steps": step}
        yield {"steps": {"0": step}}


def _wrong_secrets(operation: str, field: str, full: dict[str, Any]) -> Iterator[Body]:
    for wrong in ("«secret»", ["«secret»"], [{"a": "«secret»"}], "«secret-int:1»", [["«secret»"]], "x «secret» y"):
        yield Body(full | {field: wrong})
        minimal = write_bodies.minimal(operation, steps=2)
        yield Body(minimal | {field: wrong})
        if minimal:
            yield Body({field: wrong})  # an error may show the whole body, since required fields are missing
        for index in range(2) if operation == "create_run_chain" else ():
            yield Body(put(full, ("steps", index, "sensitive_inputs"), wrong))


def _malformed_texts(valid: str) -> Iterator[str]:
    yield from (valid[:-1], valid[:-2], valid + "x", valid + valid)
    yield valid.replace('"password":', '"password"')
    yield valid.replace('"', "'")
    yield from (valid[:-1] + end for end in (",}", ', "x": "\xff"}', ', "x": NaN}'))


# Requests that fail for other reasons


@dataclass(frozen=True)
class FailingCase(Case):
    """A write with secrets that fails for a reason other than an invalid field."""

    operation: str
    failure: str
    body: Any

    @property
    def expected_runs(self) -> int:
        times = {"unknown ids": 4, "conflict": 4, "a run at work": 2, "an update": 2}
        return times.get(self.failure, 1) * write_bodies.runs_of(self.body)


def run_failing(context: CaseContext, case: FailingCase) -> None:
    ids = ids_for(context, case.operation)
    valid = request_for(case.operation, *ids, body=context.fill(case.body))
    for request in _failing_requests(context, case, valid):
        context.send(request)


def _failing_requests(context: CaseContext, case: FailingCase, valid: Request) -> Iterator[Request]:
    raw = valid.body or b""
    match case.failure:
        case "other shapes":
            shapes = (b"[%s]", b"[%s, %s]", b'{"body": %s}', b'[{"a": [%s]}]', b'{"steps": %s}', b'{"a": 1, "b": [%s]}')
            yield from (replace(valid, body=shape.replace(b"%s", raw)) for shape in shapes)
            yield replace(valid, body=json.dumps(raw.decode()).encode())
        case "another content type":
            for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
                yield valid.with_header("Content-Type", kind)
        case "refused credentials":
            for header in (None, "", "Basic nobody", "Bearer nobody-knows-this"):
                yield valid.with_header("Authorization", header)
        case "another method":
            methods = ("PUT", "PATCH", "POST", "DELETE")
            yield from (replace(valid, method=one) for one in methods if operation_at(one, valid.path) is None)
        case "another path":
            unknown = f"/v1/runs/{context.placeholder('unknown')}/retry"
            paths = ("/v1/nothing", "/v1/runs/bulk/nothing", "/v1/runs/not-a-uuid/retry", "/v1/runs/bulk?count=x")
            yield from (replace(valid, method="POST", path=path) for path in (*paths, unknown))
        case "a run at work":
            yield replace(valid, path=f"/v1/runs/{context.some_runs(1).ids[0]}/retry")
        case "unknown ids":
            for name in ("machine_id", "session_id", "workflow_id", "pool_ids"):
                made_up = context.made_up.uuid()
                ids = {name: [made_up] if name == "pool_ids" else made_up}
                yield replace(valid, body=encode(json.loads(raw) | ids))
        case "an update":
            created = context.some_runs(1, sensitive_input_values={"password": context.placeholder("secret")})
            for wrong in ({"status": "nonsense"}, {"input_values": 5}, {"error": [5]}, {"started_at": "x"}, {}):
                yield request_for("update_run", created.ids[0], body=wrong)
        case "conflict":
            secret_field = _SECRET_FIELDS[case.operation]
            plain = encode({name: value for name, value in json.loads(raw).items() if name != secret_field})
            other = raw.replace(b"password", b"pass")
            for first, second in ((plain, raw), (raw, plain), (raw, other), (raw, raw)):
                keyed = valid.with_header("Idempotency-Key", f"key-{context.made_up.uuid()}")
                yield from (replace(keyed, body=body) for body in (first, second, first))


_FAILURES: Final = (
    *("other shapes", "another content type", "refused credentials", "another method", "another path"),
    *("a run at work", "unknown ids", "an update", "conflict"),
)


def failing_cases(check: CheckContext) -> Iterator[FailingCase]:
    yield from in_turn(_failing_cases_of(check, failure) for failure in _FAILURES)


def _failing_cases_of(check: CheckContext, failure: str) -> Iterator[FailingCase]:
    for operation, field in _offered_writes(check, *(("update_run",) if failure == "an update" else ())):
        if failure == "a run at work" and operation != "retry_run":
            continue
        body = write_bodies.minimal(operation) | {field: _PASSWORD | {"a": [{"password": "«secret:2»"}]}}
        if operation == "create_run_chain":
            body["steps"] = [step | {"sensitive_inputs": _PASSWORD} for step in body["steps"]]
        yield FailingCase(operation, failure, body)


# Aliases


def run_aliases(context: CaseContext, case: Write) -> None:
    """Require an alias for each secret, also when the run is read. `send` has judged the answer to a create."""
    ids = ids_for(context, case.operation)
    written = send(context, case.operation, ids, case.body)
    result, run_ids = written.result, ids or (written.ids if written.runs_are_reliable else ())
    secrets = context.fill(case.body.json).get("sensitive_input_values")
    if not result.accepted or not run_ids or not isinstance(secrets, dict):
        return
    answers = [result] if case.operation == "retry_run" else []
    if context.check.offers("get_run"):
        answers.append(context.call("get_run", run_ids[-1]))
    for answer in answers:
        if answer.resource is not None and answer.body.get("id") in run_ids:
            problem = alias_difference(secrets, answer.body.get("sensitive_input_aliases"))
            expected = "an alias for each key of the sensitive values, and no others"
            cause = "other keys" if answer is not result else "other keys after a retry"
            context.require(problem is None, "BULK-ALIASES", cause, expected, result, answer, got=problem or "")


_ALIASED: Final[tuple[Any, ...]] = (
    *("«secret»", ["«secret»"], {"a": "«secret»"}, "«secret-int:1»", "«secret-real:1»", {"a": {"b": ["«secret»"]}}),
    "«secret-large:1»",
    *(None, True, False, 0, 1, 1.5, "", "a", " ", [], {}, [1, "x"], [None], {"a": {"b": None}}),
)
"""Secrets of every JSON type. Each must have an alias."""


def alias_cases(check: CheckContext) -> Iterator[Write]:
    """Yield all kinds of secrets together for each write, then each kind alone, for the writes in turn."""
    operations = [operation for operation, _ in _offered_writes(check) if operation != "create_run_chain"]
    together = {f"v{index}": value for index, value in enumerate(_ALIASED)}
    alone = zip(_aliased_secrets(), itertools.cycle(operations), strict=False)
    for secrets, operation in (*((together, each) for each in operations), *alone):
        yield Write(operation, Body(write_bodies.minimal(operation, count=3) | {"sensitive_input_values": secrets}))


def _aliased_secrets() -> Iterator[dict[str, Any]]:
    for value in _ALIASED:
        yield {"key": value}
    groups: list[Sequence[str]] = list(batches(ALL_KEYS, 8))
    groups += [("a", "A"), ("é", "e\u0301"), ("a b", "a_b"), ("x", "x "), ("key", "Key"), ("a.b", "a"), ("1", "01")]
    groups += [[f"key{index}" for index in range(size)] for size in (2, 10, 33, 100, 256, 1000)]
    yield from ({key: f"«secret:{index}»" for index, key in enumerate(keys)} for keys in groups)
    yield {"one": "«secret»", "other": "«secret»"}
    yield {"b": "«secret»", "a": "«secret:2»"}


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("secrets in accepted requests", ("SECRET-LEAK",), run_secrets, accepted_cases),
    Scenario("secrets in requests that fail otherwise", ("SECRET-LEAK",), run_failing, failing_cases),
    Scenario("aliases of secrets", ("BULK-ALIASES",), run_aliases, alias_cases),
    Scenario("secrets in invalid requests", ("SECRET-LEAK", "REQ-ATOMIC"), run_refused, invalid_cases),
)
