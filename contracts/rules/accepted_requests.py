"""Requests that every server must accept: null, empty and absent fields, other JSON notations, bodies of every size."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.data import batches, file, in_turn, in_turn_by_kind, limits, write_bodies
from contracts.engine import Case, CaseContext, CheckContext, Scenario
from contracts.engine.request_building import encode
from contracts.openapi.schemas import MAX_BODY_BYTES, MAX_TEXT
from contracts.rules.writes import (
    CREATES_OF_RUNS,
    Body,
    Write,
    created_ids,
    delete_created,
    ids_for,
    is_offered,
    offered_writes,
    read_with_files,
    send,
    with_available_ids,
)

_STEP: Final = {"workflow_id": "«workflow»"}


def run_write(context: CaseContext, case: Write) -> None:
    """Send one write, then read the run and its files."""
    ids = ids_for(context, case.operation)
    result = send(context, case.operation, ids, case.body).result
    if result.accepted:
        read_with_files(context, (created_ids(result) or list(ids))[-1:])


# Null, empty and absent


_FILE_OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    *({}, {"target_path": None}, {"target_path": "C:\\x.txt"}),
    *({"cleanup_imports_after_run": False}, {"cleanup_imports_after_run": True}),
    {"target_path": None, "cleanup_imports_after_run": True},
    {"target_path": "C:\\x.txt", "cleanup_imports_after_run": False},
)


@in_turn_by_kind
def null_cases(check: CheckContext) -> Iterator[Write]:
    for operation, features in write_bodies.FEATURES.items():
        if is_offered(check, operation):
            for body in _null_bodies(check, operation, features):
                yield Write(operation, Body(write_bodies.minimal(operation) | body))
    if check.offers("create_run_chain"):
        yield from (Write("create_run_chain", Body({"steps": steps})) for steps in _null_steps())
    if is_offered(check, "update_run"):
        for name, values in write_bodies.UPDATE_VALUES.items():
            for value in values:
                if value in ([], {}):
                    yield Write("update_run", Body({name: value}))
                    yield Write("update_run", Body({name: value, "release_session_after": True}))


def _null_bodies(check: CheckContext, operation: str, features: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Yield empty and null optional fields to add to a minimal body. `creates` has the pairs of a create."""
    empties = {name: write_bodies.EMPTY[name] for name in features if name in write_bodies.EMPTY}
    nulls = {name: values[0] for name, values in empties.items()}
    yield nulls
    yield {name: values[-1] for name, values in empties.items()}
    files_field = "shared_file_inputs" if "shared_file_inputs" in features else "file_inputs"
    files = [file(f"{number}.txt", **more) for number, more in enumerate(_FILE_OPTIONS)]
    yield {files_field: files}
    for name, values in empties.items():
        yield from ({name: value} for value in values)
    if operation not in CREATES_OF_RUNS:
        for row in write_bodies.pairs(write_bodies.states(features))[::2]:  # every second pair
            yield with_available_ids(check, row)
    if operation == "bulk_create_runs":
        yield nulls | {"count": 101}
    yield {files_field: files[::-1]}
    # Each write gets other single files.
    number = list(write_bodies.FEATURES).index(operation)
    yield from ({files_field: [one]} for one in files[number :: len(write_bodies.FEATURES)])
    if operation in CREATES_OF_RUNS:
        yield {"is_priority": False}
    if operation != "retry_run":  # `retries` has those of a retry
        yield {"unknown_property": {"a": 1}} | with_available_ids(check, write_bodies.foreign_properties(operation))


def _null_steps() -> Iterator[list[dict[str, Any]]]:
    states = {name: [write_bodies.ABSENT, values[0], None] for name, values in write_bodies.STEP_FEATURES.items()}
    states["inputs"].append({})
    states["sensitive_inputs"].append({})
    rows = batches(write_bodies.pairs(states), 4)
    for size, batch in zip(itertools.cycle((0, 1, 10)), rows, strict=False):
        steps = [_STEP | write_bodies.for_step(row, number) for number, row in enumerate(batch, size)]
        yield [_STEP] * size + steps


# Other notations of JSON


def notation_cases(check: CheckContext) -> Iterator[Write]:
    yield from in_turn(map(_other_notations, offered_writes(check)))


def _other_notations(operation: str) -> Iterator[Write]:
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
        yield Write(operation, Body(text=_as_latin1(text)))


def _as_latin1(text: str) -> str:
    """Return the UTF-8 bytes of a text as a latin-1 text. Its placeholders stay as they are, to be filled later."""
    unescaped = text.replace("\\u00ab", "«").replace("\\u00bb", "»")
    return unescaped.encode().decode("latin-1").replace("\xc2\xab", "«").replace("\xc2\xbb", "»")


# Bodies up to the largest size that a target must accept


@dataclass(frozen=True)
class LargeBody(Case):
    operation: str
    size: int
    """The approximate size in bytes."""


def run_large(context: CaseContext, case: LargeBody) -> None:
    """Send a valid body of that size, whose texts have at most MAX_TEXT characters. Read the new run, and delete it."""
    ids = ids_for(context, case.operation)
    field = write_bodies.OBJECT_FIELDS[case.operation]
    body = context.fill(write_bodies.minimal(case.operation)) | {field: {}}
    parts = body[field]
    while (room := case.size - len(encode(body | {field: parts | {f"{len(parts):04}": ""}}))) > 0:
        is_wide = not parts and room > 4 * MAX_TEXT  # this many characters have four times as many bytes in UTF-8
        parts[f"{len(parts):04}"] = "😀" * MAX_TEXT if is_wide else "x" * min(MAX_TEXT, room)
    read_with_files(context, created_ids(context.write(case.operation, *ids, body=body).result)[:1])
    delete_created(context)


def large_cases(check: CheckContext) -> Iterator[LargeBody]:
    for size in reversed(limits.above(2**16, MAX_BODY_BYTES)):
        yield from (LargeBody(operation, size) for operation in offered_writes(check))


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("null, empty and absent", ("REQ-NULL", "REQ-FILES"), run_write, null_cases, order=2),
    Scenario("other notations of JSON", ("REQ-ACCEPT", "NO-5XX"), run_write, notation_cases, order=3),
    Scenario("bodies of every size", ("REQ-ACCEPT", "NO-5XX"), run_large, large_cases, order=3),
)
