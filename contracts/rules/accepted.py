"""Requests that every server must accept: null, empty and absent fields, unusual values, other JSON notations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.data import files, json_values, limits, texts, write_bodies
from contracts.data.files import file
from contracts.data.grouping import batches, in_turn, objects
from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode
from contracts.engine.runner import Scenario
from contracts.openapi.schemas import MAX_BODY_BYTES, MAX_TEXT
from contracts.rules.rule import Rule
from contracts.rules.writes import (
    CREATES_OF_RUNS,
    WRITES_OF_RUNS,
    Body,
    Write,
    created_ids,
    ids_for,
    is_offered,
    look_at,
    send,
    with_available_ids,
    workflow_filter,
)

RULES: Final[tuple[Rule, ...]] = ()
"""The rules that are judged here are defined in `contracts.rules.requests`."""

_STEP: Final = {"workflow_id": "«workflow»"}


def run_write(context: CaseContext, case: Write) -> None:
    """Send one write, then read the run and its files."""
    ids = ids_for(context, case.operation)
    result = send(context, case.operation, ids, case.body).result
    if not result.accepted:
        return
    look_at(context, (created_ids(result) or list(ids))[:1], files=8)
    if case.listed and context.check.offers("list_runs"):
        few = [*workflow_filter(context), ("limit", "20")]
        context.call("list_runs", query=few)
        context.call("list_runs", query=[*few, ("search", "x"), ("deep_search", "true")])


# Null, empty and absent


_FILE_OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    *({}, {"target_path": None}, {"target_path": "C:\\x.txt"}),
    *({"cleanup_imports_after_run": False}, {"cleanup_imports_after_run": True}),
    {"target_path": None, "cleanup_imports_after_run": True},
    {"target_path": "C:\\x.txt", "cleanup_imports_after_run": False},
)


def null_cases(check: CheckContext) -> Iterator[Write]:
    for operation, features in write_bodies.FEATURES.items():
        for body in _null_bodies(check, operation, features) if is_offered(check, operation) else ():
            yield Write(operation, Body(write_bodies.minimal(operation) | body))
    if check.offers("create_run_chain"):
        yield from (Write("create_run_chain", Body({"steps": steps})) for steps in _null_steps())
    for name, values in write_bodies.UPDATE_VALUES.items() if is_offered(check, "update_run") else ():
        for value in values:
            if value in ([], {}):
                yield Write("update_run", Body({name: value}))
                yield Write("update_run", Body({name: value, "release_session_after": True}))


def _null_bodies(check: CheckContext, operation: str, features: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Yield optional fields that are added to a minimal body."""
    empties = {name: write_bodies.EMPTY[name] for name in features if name in write_bodies.EMPTY}
    nulls = {name: values[0] for name, values in empties.items()}
    many = {"count": limits.MAX_COUNT} if operation == "bulk_create_runs" else {}
    for name, values in empties.items():
        for value in values:
            yield {name: value}
            yield from ({name: value, "count": count} for count in (2,) if many)
    for row in write_bodies.pairs(write_bodies.states(features)):
        yield with_available_ids(check, write_bodies.without_absent(row))
    yield nulls
    yield nulls | many
    yield {name: values[-1] for name, values in empties.items()}
    files_field = "shared_file_inputs" if "shared_file_inputs" in features else "file_inputs"
    for more in _FILE_OPTIONS:
        yield {files_field: [file(**more)]}
        yield {files_field: [file(), file(), file(**more)]}
    if operation in CREATES_OF_RUNS:
        yield {"is_priority": False}
        yield {"unknown_property": {"a": 1}, "status": "success", "id": "x"}


def _null_steps() -> Iterator[list[dict[str, Any]]]:
    states = {name: [write_bodies.ABSENT, values[0], None] for name, values in write_bodies.STEP_FEATURES.items()}
    states["inputs"].append({})
    states["sensitive_inputs"].append({})
    rows = [write_bodies.without_absent(row) for row in write_bodies.pairs(states)]
    for number, row in enumerate(rows):
        size = (0, 1, 10)[number % 3]
        yield [_STEP] * size + [_STEP | write_bodies.for_step(row, size)]


# Unusual values


def value_cases(check: CheckContext) -> Iterator[Write]:
    """Yield chains, updates and retries with unusual values in each object."""
    fields = {
        "create_run_chain": ("shared_inputs",),
        "update_run": ("output_data", "input_values", "usage_metadata", "run_message_history", "error"),
        "retry_run": ("input_values",),
    }
    bodies = (_unusual_bodies(operation, name) for operation, names in fields.items() for name in names)
    yield from (write for write in in_turn(bodies) if is_offered(check, write.operation))


def _unusual_bodies(operation: str, name: str) -> Iterator[Write]:
    if name == "error":
        values: Iterator[Any] = batches((text for text in texts.UNUSUAL if len(text) < MAX_TEXT), 30)
    else:
        keys = (dict.fromkeys(json_values.ALL_KEYS, "x"), json_values.numbered(5000))
        values = itertools.chain(keys, objects(json_values.unusual(), 60))
    for value in values:
        if operation == "create_run_chain":
            value = _without_references(value)
        filled = [value] if name == "run_message_history" else value
        yield Write(operation, Body(write_bodies.minimal(operation) | {name: filled}), listed=True)


def _without_references(value: Any) -> Any:
    """Remove `$ref` keys: in a chain they refer to other steps, and a server may refuse a step that does not exist."""
    if isinstance(value, dict):
        return {key: _without_references(item) for key, item in value.items() if key != "$ref"}
    return [_without_references(item) for item in value] if isinstance(value, list) else value


def text_cases(check: CheckContext) -> Iterator[Write]:
    """Yield unusual texts in every text field, and valid bodies in other notations of JSON."""
    kinds = (
        itertools.chain.from_iterable(_writes(operation, _other_notations(operation)) for operation in WRITES_OF_RUNS),
        *(_writes(operation, map(Body, _unusual_creates(operation))) for operation in CREATES_OF_RUNS),
        _writes("retry_run", map(Body, _unusual_retries())),
        _writes("create_run_chain", map(Body, _unusual_chains())),
    )
    yield from (write for write in in_turn(kinds) if is_offered(check, write.operation))


def _writes(operation: str, bodies: Iterable[Body]) -> Iterator[Write]:
    for body in bodies:
        yield Write(operation, body)


_PIN: Final = {"pin": "«secret»"}


def _unusual_creates(operation: str) -> Iterator[dict[str, Any]]:
    bare = write_bodies.minimal(operation)
    odd_keys = dict.fromkeys(json_values.ALL_KEYS, "x")
    yield bare | {"input_values": odd_keys}
    yield bare | {"sensitive_input_values": odd_keys}
    yield from (bare | {"input_values": json_values.numbered(size)} for size in reversed(json_values.FEW_SIZES))
    if operation == "create_run":
        yield from (bare | {"session_alias": text} for text in texts.FEW)
    for some in (*objects(texts.FEW, 8), *objects(json_values.unusual(), 40, max_bytes=200_000)):
        yield bare | {"sensitive_input_values": some | _PIN}


def _unusual_retries() -> Iterator[dict[str, Any]]:
    yield from ({"session_alias": text} for text in texts.FEW)
    for some in objects(json_values.unusual(), 60, max_bytes=300_000):
        yield {"sensitive_input_values": some | _PIN}
    yield from ({"file_inputs": inputs} for inputs in files.unusual_inputs())


def _unusual_chains() -> Iterator[dict[str, Any]]:
    for keys in (dict.fromkeys(json_values.ALL_KEYS, "x"), json_values.numbered(5000)):
        yield {"steps": [_STEP, _STEP | {"inputs": _without_references(keys)}]}
    for aliases in batches(filter(None, texts.FEW), 6):
        yield {"steps": [_STEP | {"session_alias": alias} for alias in aliases]}
    for index, some in enumerate(objects(map(_without_references, json_values.unusual()), 30, max_bytes=200_000)):
        for name in ("inputs", "sensitive_inputs"):
            yield {"steps": [_STEP] * (index % 3) + [_STEP | {name: some}]}
        yield {"steps": [_STEP], "shared_sensitive_inputs": some | _PIN}
    yield from ({"steps": [_STEP], "shared_file_inputs": inputs} for inputs in files.unusual_inputs())
    for size in limits.above(1, 100):
        yield {"steps": [_STEP] * size}


def _other_notations(operation: str) -> Iterator[Body]:
    """Yield the same JSON with other whitespace, escapes, numbers and order of members, and with unknown properties."""
    field = write_bodies.OBJECT_FIELDS[operation]
    inputs: dict[str, Any] = {"a/b": "é😀", "list": [1, -0.5, 1e10, True, None, {"x": []}]}
    body = write_bodies.minimal(operation) | {field: inputs}
    plain = json.dumps(body)
    unknowns: tuple[Any, ...] = (None, 5, "x" * 5000, [], {"deep": [1, {"a": None}]})
    for text in (
        plain,
        f" \r\n\t{json.dumps(body, ensure_ascii=False)}\n ",
        json.dumps(body, indent=4),
        json.dumps(body, separators=(",", ":")),
        json.dumps(dict(reversed(body.items()))),
        plain.replace("/", "\\/"),
        plain.replace(f'"{field}"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in field) + '"'),
        plain.replace("10000000000.0", "1.0E+10").replace("-0.5", "-5e-1"),
        *(json.dumps(body | {"a_property_of_later": unknown}) for unknown in unknowns),
        json.dumps({"first_of_later": 1} | body | {"": 1, "é": 2, "$schema": "x"}),
    ):
        yield Body(text=_as_latin1(text))


def _as_latin1(text: str) -> str:
    """Return the UTF-8 of a text as latin-1, with placeholders that can be filled."""
    unescaped = text.replace("\\u00ab", "«").replace("\\u00bb", "»")
    return unescaped.encode().decode("latin-1").replace("\xc2\xab", "«").replace("\xc2\xbb", "»")


# Bodies up to the largest size that a target must accept


@dataclass(frozen=True)
class LargeBody(Case):
    operation: str
    size: int
    """In bytes, about."""


def run_large(context: CaseContext, case: LargeBody) -> None:
    """Send a valid body of the size, in texts of at most MAX_TEXT; read the new run, and delete it."""
    ids = ids_for(context, case.operation)
    field = write_bodies.OBJECT_FIELDS[case.operation]
    body = context.fill(write_bodies.minimal(case.operation)) | {field: {}}
    parts = body[field]
    while (room := case.size - len(encode(body | {field: parts | {f"{len(parts):04}": ""}}))) > 0:
        parts[f"{len(parts):04}"] = "x" * min(MAX_TEXT, room)
    created = created_ids(context.write(case.operation, *ids, body=body).result)[:1]
    look_at(context, created)
    for run_id in created if context.check.offers("delete_run") else ():
        context.call("delete_run", run_id)


def large_cases(check: CheckContext) -> Iterator[LargeBody]:
    for size in reversed(limits.above(2**16, MAX_BODY_BYTES)):
        for operation in WRITES_OF_RUNS:
            if is_offered(check, operation):
                yield LargeBody(operation, size)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("null, empty and absent", ("REQ-NULL", "REQ-FILES"), run_write, null_cases, priority=2),
    Scenario("boundary texts in writes", ("REQ-ACCEPT", "NO-5XX"), run_write, text_cases, priority=3),
    Scenario("bodies of every size", ("REQ-ACCEPT", "NO-5XX"), run_large, large_cases, priority=3),
    Scenario("unusual values in other writes", ("REQ-ACCEPT", "REQ-NULL"), run_write, value_cases, priority=4),
)
