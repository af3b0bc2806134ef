"""Requests that every server must accept: null, empty and absent fields, unusual values, other JSON notations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode
from contracts.engine.results import WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import MAX_BODY_BYTES, MAX_TEXT
from contracts.rules.bulk_answer import CreateCase, run_create
from contracts.rules.odd_values import look_at
from contracts.rules.request_bodies import OPERATIONS, among, changeable, ids_in
from contracts.rules.rule import Rule

RULES: Final[tuple[Rule, ...]] = ()
"""The rules that are judged here are defined in `contracts.rules.requests`."""

# Null, empty and absent


_FILE_OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"target_path": None},
    {"target_path": "C:\\x.txt"},
    {"cleanup_imports_after_run": False},
    {"cleanup_imports_after_run": True},
    {"target_path": None, "cleanup_imports_after_run": True},
    {"target_path": "C:\\x.txt", "cleanup_imports_after_run": False},
)


def null_cases(check: CheckContext) -> Iterator[CreateCase]:
    for operation in ("bulk_create_runs", "create_run"):
        if not check.offers(operation):
            continue
        features = write_bodies.CREATE_FEATURES[operation]
        bare = write_bodies.minimal(operation)
        empties = {name: write_bodies.EMPTY[name] for name in features}
        for name, values in empties.items():
            for value in values:
                yield CreateCase(operation, bare | {name: value}, is_read=True)
                if operation == "bulk_create_runs":
                    for count in (2, 101):
                        yield CreateCase(operation, bare | {name: value, "count": count})
        for (one, values), (other, others) in itertools.combinations(empties.items(), 2):
            for value, another in itertools.product(values, others):
                yield CreateCase(operation, bare | {one: value, other: another})
        for row in write_bodies.pairs(write_bodies.states(features)):
            yield CreateCase(operation, _without_unavailable_ids(check, bare | write_bodies.without_absent(row)))
        nulls = bare | {name: values[0] for name, values in empties.items()}
        yield CreateCase(operation, nulls)
        if operation == "bulk_create_runs":
            yield CreateCase(operation, nulls | {"count": 1000})
        yield CreateCase(operation, bare | {name: values[-1] for name, values in empties.items()})
        for more in _FILE_OPTIONS:
            yield CreateCase(operation, bare | {"file_inputs": [boundary_values.file(**more)]})
            files = [boundary_values.file(), boundary_values.file(**more)]
            yield CreateCase(operation, bare | {"file_inputs": files})
        yield CreateCase(operation, bare | {"is_priority": False})
        yield CreateCase(operation, bare | {"unknown_property": {"a": 1}, "status": "success", "id": "x"})


def _without_unavailable_ids(check: CheckContext, body: dict[str, Any]) -> dict[str, Any]:
    """Remove the id fields for which the target has no ids; null and empty values stay."""
    kinds = {"machine_id": check.machines, "pool_ids": check.pools, "session_id": check.sessions}
    return {name: value for name, value in body.items() if name not in kinds or kinds[name].available or not value}


def other_null_cases(check: CheckContext) -> Iterator[Case]:
    """Yield null, empty and absent fields for chains, retries and updates."""
    features: dict[str, dict[str, tuple[Any, ...]]] = {
        "create_run_chain": write_bodies.CHAIN_FEATURES,
        "retry_run": write_bodies.RETRY_FEATURES,
    }
    for operation, fields in features.items():
        if not check.offers(operation, "update_run", "get_run"):
            continue
        bare = write_bodies.minimal(operation)
        for name in fields:
            for value in write_bodies.EMPTY.get(name, ()):
                yield {"op": operation, "body": bare | {name: value}}
        for row in write_bodies.pairs(write_bodies.states(fields)):
            yield {"op": operation, "body": _without_unavailable_ids(check, bare | write_bodies.without_absent(row))}
        field = "file_inputs" if operation == "retry_run" else "shared_file_inputs"
        good = boundary_values.file()
        for more in _FILE_OPTIONS:
            yield {"op": operation, "body": bare | {field: [boundary_values.file(**more)]}}
            yield {"op": operation, "body": bare | {field: [good, good, boundary_values.file(**more)]}}
    if check.offers("create_run_chain", "update_run", "get_run"):
        step = {"workflow_id": "«workflow»"}
        states = {name: [write_bodies.ABSENT, values[0], None] for name, values in write_bodies.STEP_FEATURES.items()}
        states["inputs"].append({})
        states["sensitive_inputs"].append({})
        rows = [write_bodies.without_absent(row) for row in write_bodies.pairs(states)]
        for size, row in itertools.product((0, 1, 10), rows):
            last = {name: _with_step_number(value, size) for name, value in row.items()}
            yield {"op": "create_run_chain", "body": {"steps": [step] * size + [step | last]}}
    if check.offers("update_run", "get_run"):
        for name, values in write_bodies.UPDATE_VALUES.items():
            for value in values:
                if value in ([], {}):
                    yield {"op": "update_run", "body": {name: value}}
                    yield {"op": "update_run", "body": {name: value, "release_session_after": True}}


def _with_step_number(value: Any, number: int) -> Any:
    """Replace `%d` in a feature of a step by the step's number, so that each step has its own value."""
    return json.loads(json.dumps(value).replace("%d", str(number)))


# Unusual values in chains, updates and retries


def run_accepted(context: CaseContext, case: Case) -> None:
    """Send a chain, an update or a retry with an odd but valid value; then read and list the runs."""
    operation = case["op"]
    ids = _make_changeable_run(context, operation)
    written: WriteResult = context.write(operation, *ids, body=context.fill(case["body"]))
    if not written.result.accepted or not isinstance(written.result.body, dict):
        return
    for run_id in (*ids, *(written.result.body.get("run_ids") or ())[:1]):
        context.call("get_run", run_id)
    if context.check.offers("list_runs"):
        context.call("list_runs", query=[*among(context), ("limit", "20")])
        context.call("list_runs", query=[*among(context), ("limit", "20"), ("search", "x"), ("deep_search", "true")])


def accepted_cases(check: CheckContext) -> Iterator[Case]:
    fields = {
        "create_run_chain": ("shared_inputs",),
        "update_run": ("output_data", "input_values", "usage_metadata", "run_message_history", "error"),
        "retry_run": ("input_values",),
    }
    yield from boundary_values.in_turn(
        _accepted_in(operation, name)
        for operation, names in fields.items()
        if check.offers(operation, "update_run", "get_run")
        for name in names
    )
    if check.offers("retry_run", "update_run", "get_run"):
        for files in boundary_values.file_boundary_values():
            if len(files) < 12:
                yield {"op": "retry_run", "body": {"file_inputs": files}}


def _accepted_in(operation: str, name: str) -> Iterator[Case]:
    """Yield writes that have the boundary values in one field."""
    bare = write_bodies.minimal(operation)
    if name == "error":
        for texts in boundary_values.packed((text for text in boundary_values.texts() if len(text) < 100_000), 30):
            yield {"op": operation, "body": {"error": list(texts.values())}}
        return
    keys: tuple[dict[str, Any], ...] = (
        dict.fromkeys(boundary_values.ODD_KEYS, "x"),
        {f"key{index}": index for index in range(5000)},
    )
    for values in itertools.chain(keys, boundary_values.packed(boundary_values.values(), 15)):
        if operation == "create_run_chain":
            values = _without_references(values)
        filled = [values] if name == "run_message_history" else values
        yield {"op": operation, "body": bare | {name: filled}}


def _without_references(value: Any) -> Any:
    """Remove `$ref` keys: in a chain they refer to other steps, and a server may refuse a step that does not exist."""
    if isinstance(value, dict):
        return {key: _without_references(item) for key, item in value.items() if key != "$ref"}
    if isinstance(value, list):
        return [_without_references(item) for item in value]
    return value


def text_cases(check: CheckContext) -> Iterator[Case]:
    """Yield unusual texts in every text field, and valid bodies in other notations of JSON."""
    texts = boundary_values.REVEALING_TEXTS
    kinds = (_create_text_cases(check, texts), _retry_text_cases(check, texts), _chain_text_cases(check, texts))
    yield from boundary_values.in_turn((_notation_cases(check), *kinds))


_PIN: Final = {"pin": "«secret»"}


def _create_text_cases(check: CheckContext, texts: Sequence[str]) -> Iterator[Case]:
    if check.offers("create_run"):
        for text in texts:
            yield {"op": "create_run", "body": {"workflow_id": "«workflow»", "session_alias": text}}
    for operation in ("bulk_create_runs", "create_run"):
        if check.offers(operation):
            bare = write_bodies.minimal(operation)
            for some in boundary_values.packed(texts, 8):
                yield {"op": operation, "body": bare | {"sensitive_input_values": some | _PIN}}
            yield {"op": operation, "body": bare | {"input_values": dict.fromkeys(boundary_values.ODD_KEYS, "x")}}
            for size in boundary_values.KEY_COUNTS if operation == "create_run" else ():
                yield {
                    "op": operation,
                    "body": bare | {"input_values": {f"key{index}": index for index in range(size)}},
                }
            yield {
                "op": operation,
                "body": bare | {"sensitive_input_values": dict.fromkeys(boundary_values.ODD_KEYS, "x")},
            }
            for pack in boundary_values.packed(boundary_values.values(), 40, limit=200_000):
                yield {"op": operation, "body": bare | {"sensitive_input_values": pack | _PIN}}
            for names in boundary_values.packed(boundary_values.FILE_NAMES, 8):
                files = [boundary_values.file(name, target_path="C:\\" + name) for name in names.values()]
                yield {"op": operation, "body": bare | {"file_inputs": files}}


def _retry_text_cases(check: CheckContext, texts: Sequence[str]) -> Iterator[Case]:
    if check.offers("retry_run", "update_run", "get_run"):
        for text in texts[::2]:
            yield {"op": "retry_run", "body": {"session_alias": text}}
        for pack in boundary_values.packed(boundary_values.values(), 60, limit=300_000):
            yield {"op": "retry_run", "body": {"sensitive_input_values": pack | _PIN}}
        for names in boundary_values.packed(boundary_values.FILE_NAMES, 8):
            yield {"op": "retry_run", "body": {"file_inputs": [boundary_values.file(name) for name in names.values()]}}


def _offers(check: CheckContext, operation: str) -> bool:
    """Return whether the target offers the operation and, if it changes a run, the operations that prepare that run."""
    return check.offers(operation, *(("update_run", "get_run") if operation in _CHANGING_A_RUN else ()))


def _make_changeable_run(context: CaseContext, operation: str) -> tuple[str, ...]:
    """Make a run for an operation that changes one, and return its id; () for other operations."""
    return (changeable(context, operation)["id"],) if operation in _CHANGING_A_RUN else ()


_CHANGING_A_RUN: Final = frozenset({"update_run", "retry_run"})


def _notation_cases(check: CheckContext) -> Iterator[Case]:
    for operation in OPERATIONS:
        if _offers(check, operation):
            for text in _other_notations(write_bodies.minimal(operation), operation):
                yield {"op": operation, "text": text}


def _chain_text_cases(check: CheckContext, texts: Sequence[str]) -> Iterator[Case]:
    if not check.offers("create_run_chain", "update_run", "get_run"):
        return
    step = {"workflow_id": "«workflow»"}
    for aliases in boundary_values.packed(filter(None, texts), 6):
        steps: list[dict[str, Any]] = [step | {"session_alias": alias} for alias in aliases.values()]
        yield {"op": "create_run_chain", "body": {"steps": steps}}
    for index, pack in enumerate(boundary_values.packed(boundary_values.values(), 30, limit=200_000)):
        for name in ("inputs", "sensitive_inputs"):
            steps = [step] * (index % 3) + [step | {name: _without_references(pack)}]
            yield {"op": "create_run_chain", "body": {"steps": steps}}
        secrets = {"shared_sensitive_inputs": _without_references(pack) | _PIN}
        yield {"op": "create_run_chain", "body": {"steps": [step]} | secrets}
    for keys in (dict.fromkeys(boundary_values.ODD_KEYS, "x"), {f"key{index}": index for index in range(5000)}):
        yield {"op": "create_run_chain", "body": {"steps": [step, step | {"inputs": _without_references(keys)}]}}
    for files in boundary_values.file_boundary_values():
        if len(files) < 12:
            yield {"op": "create_run_chain", "body": {"steps": [step], "shared_file_inputs": files}}
    for size in (2, 3, 5, 10, 11, 20, 50, 100):
        yield {"op": "create_run_chain", "body": {"steps": [step] * size}}


def _other_notations(bare: dict[str, Any], operation: str) -> Iterator[str]:
    """Yield the same JSON with other whitespace, escapes, numbers and order of members, and with unknown properties."""
    field = {"create_run_chain": "shared_inputs", "update_run": "output_data"}.get(operation, "input_values")
    inputs: dict[str, Any] = {"a/b": "é😀", "list": [1, -0.5, 1e10, True, None, {"x": []}]}
    body = bare | {field: inputs}
    text = json.dumps(body, ensure_ascii=False)
    yield json.dumps(body)
    yield f" \r\n\t{text}\n "
    yield json.dumps(body, indent=4)
    yield json.dumps(body, separators=(",", ":"))
    yield json.dumps(dict(reversed(body.items())))
    yield json.dumps(body).replace("/", "\\/")
    yield json.dumps(body).replace(f'"{field}"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in field) + '"')
    yield json.dumps(body).replace("10000000000.0", "1.0E+10").replace("-0.5", "-5e-1")
    unknowns: tuple[Any, ...] = (None, 5, "x" * 5000, [], {"deep": [1, {"a": None}]})
    for unknown in unknowns:
        yield json.dumps(body | {"a_property_of_later": unknown})
    yield json.dumps({"first_of_later": 1} | body | {"": 1, "é": 2, "$schema": "x"})


def run_write_and_read(context: CaseContext, case: Case) -> None:
    """Send one write, from a JSON value or from its text; then read the run and its files."""
    operation = case["op"]
    ids = _make_changeable_run(context, operation)
    if "text" in case:
        written = context.write(operation, *ids, raw=context.fill(case["text"]).encode())
    else:
        written = context.write(operation, *ids, body=context.fill(case["body"]))
    look_at(context, ids_in(written.result)[:1], files=8)


# Bodies up to the largest size that a target must accept


_SIZES: Final = (65_537, 100_001, 131_073, 262_145, 500_001, 524_289, 1_000_001, MAX_BODY_BYTES)
_LARGE_FIELDS: Final = {
    "bulk_create_runs": "input_values",
    "create_run": "input_values",
    "create_run_chain": "shared_inputs",
    "update_run": "output_data",
    "retry_run": "input_values",
}


def run_sized(context: CaseContext, case: Case) -> None:
    """Send a valid body of about `size` bytes, in texts of at most MAX_TEXT; read the new run, and delete it."""
    operation = case["op"]
    ids = _make_changeable_run(context, operation)
    body = context.fill(write_bodies.minimal(operation)) | {_LARGE_FIELDS[operation]: {}}
    texts = body[_LARGE_FIELDS[operation]]
    while (room := case["size"] - len(encode(body | {_LARGE_FIELDS[operation]: texts | {f"{len(texts):04}": ""}}))) > 0:
        texts[f"{len(texts):04}"] = "x" * min(MAX_TEXT, room)
    written = context.write(operation, *ids, body=body)
    made = ids_in(written.result)[:1]
    look_at(context, made)
    for run_id in made if context.check.offers("delete_run") else ():
        context.call("delete_run", run_id)


def sized_cases(check: CheckContext) -> Iterator[Case]:
    for size in reversed(_SIZES):
        for operation in _LARGE_FIELDS:
            if _offers(check, operation):
                yield {"op": operation, "size": size}


SCENARIOS = (
    Scenario("null, empty and absent", ("REQ-NULL", "REQ-FILES"), run_create, null_cases, priority=2),
    Scenario(
        "null, empty and absent in other writes",
        ("REQ-NULL", "REQ-FILES"),
        run_write_and_read,
        other_null_cases,
        priority=3,
    ),
    Scenario("boundary texts in writes", ("REQ-ACCEPT", "NO-5XX"), run_write_and_read, text_cases, priority=3),
    Scenario("bodies of every size", ("REQ-ACCEPT", "NO-5XX"), run_sized, sized_cases, priority=3),
    Scenario("unusual values in other writes", ("REQ-ACCEPT", "REQ-NULL"), run_accepted, accepted_cases, priority=4),
)
