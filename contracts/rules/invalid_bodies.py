"""Bodies that are invalid in one place, derived from valid ones."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from contracts.data import boundary_values, mutations, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.openapi.schemas import body_schema, schema
from contracts.oracle import ParsedRequest, read_body
from contracts.rules.request_bodies import (
    SAMPLE_ID,
    full_body,
    sample,
)


def readings(operation: str, bodies: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], ParsedRequest]]:
    """Yields each distinct body with its parsed form: whether the contract accepts, refuses or leaves it open."""
    seen: set[str] = set()
    for body in bodies:
        mark = repr(body)
        if mark not in seen:
            seen.add(mark)
            yield body, read_body(operation, sample(body))


def almost_valid(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yields mutations of a minimal body, of a full body, and of a minimal body with one more field.

    Most have one mutation, some have several.
    """
    bare, full = write_bodies.minimal(operation), full_body(check, operation)
    fields = [name for name in schema(body_schema(operation) or "")["properties"] if name in full or name in bare]
    if operation == "bulk_create_runs":
        for index, count in enumerate(boundary_values.WRONG_COUNTS):
            yield bare | {"count": count}
            if index % 5 == 0:
                yield full | {"count": count}
    for name in fields:
        for wrong in _wrong_of(operation, name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield {"status": wrong}
            yield full | {"status": wrong}
    yield from mutations.after_good_items(full, free=mutations.FREE_OBJECTS)
    yield from _several_wrong(bare, full, fields)
    for path in mutations.places(full, free=mutations.FREE_OBJECTS):
        for wrong in _wrong_values(operation, path):
            yield mutations.put(full, path, wrong)
        for wrong in _wrong_nestings(mutations.at(full, path)):
            yield mutations.put(full, path, wrong)
        if isinstance(path[-1], str):
            yield mutations.drop(full, path)
    for name in schema(body_schema(operation) or "").get("required", ()):
        yield mutations.drop(bare, (name,))
        for other in full:
            if other != name:
                yield mutations.drop(bare | {other: full[other]}, (name,))
    creates_runs = operation in {"bulk_create_runs", "create_run"}
    for beside, name in itertools.permutations(fields, 2):
        if beside in full:
            base = bare | {beside: full[beside] if beside != "start_session" else True}
            for wrong in (None, "", 5, []) if operation == "bulk_create_runs" else ("",) if creates_runs else ("x",):
                yield base | {name: wrong}
    if operation == "bulk_create_runs":
        for count in (0, 1001, -1, 1.5, None, "x", [], 2000):
            for name in fields:
                if name in full:
                    yield bare | {"count": count, name: True if name == "start_session" else full[name]}
        for count, path in itertools.product((101, 1000), mutations.places(full, free=mutations.FREE_OBJECTS)):
            yield (
                mutations.put(
                    full | {"count": count}, path, "x" if path[-1] not in {"filename", "content", "target_path"} else 5
                )
                if path != ("count",)
                else full | {"count": "x"}
            )
    if operation == "create_run_chain":
        for size in (3, 10):
            steps = [{"workflow_id": "«workflow»"} for _ in range(size)]
            yield {"steps": [*steps, {}]}
            yield {"steps": [*steps, {"workflow_id": "x"}]}
            yield {"steps": [*steps, None]}
            yield {"steps": [*steps, {"workflow_id": "«workflow»", "inputs": []}]}
        yield {"steps": []}
        yield full | {"steps": []}
    for files in ("file_inputs", "shared_file_inputs"):
        if files in full:
            good = boundary_values.file()
            bad: Any
            for bad in (
                {},
                {"filename": "a.txt"},
                {"content": "YQ=="},
                {"filename": None, "content": "YQ=="},
                {"filename": "a.txt", "content": None},
                {"filename": 5, "content": "YQ=="},
                {"filename": "a.txt", "content": 5},
                None,
                "a.txt",
                [],
            ):
                for before in (0, 1, 2, 9):
                    yield bare | {files: [good] * before + [bad]}
                yield bare | {files: [bad, good]}
    for pools in ("pool_ids",):
        if pools in fields:
            for bad, before in itertools.product(("", "x", 5, None, [], {}, SAMPLE_ID[:-1]), (0, 1, 2, 9)):
                yield bare | {pools: [f"«pool:{index}»" for index in range(before)] + [bad]}


def _wrong_of(operation: str, name: str) -> tuple[Any, ...]:
    most = mutations.WRONG_VALUES if operation == "bulk_create_runs" else mutations.WRONG_CORE
    return (*most, *(mutations.WRONG_IDS if name.endswith(("_id", "_ids")) else ()))


def _wrong_values(operation: str, path: Sequence[str | int]) -> tuple[Any, ...]:
    """Few values for a top-level field, since the minimal body was mutated there with all of them."""
    if len(path) == 1:
        return (None, 5, "x", [], {"a": 1})
    return _wrong_of(operation, next(part for part in reversed(path) if isinstance(part, str)))


def _wrong_nestings(good: Any) -> Iterator[Any]:
    """A valid value with one level of nesting too many or too few, or encoded as a JSON string."""
    yield [good]
    if isinstance(good, list) and good:
        yield good[0]
        yield {"0": good[0]}
        yield json.dumps(good, ensure_ascii=False)
    elif isinstance(good, dict):
        yield json.dumps(good, ensure_ascii=False)
        yield [[key, value] for key, value in good.items()]
    else:
        yield {"value": good}


def _several_wrong(bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Bodies with several invalid fields. The answer must report an error for each."""
    wrong = {name: 5 if isinstance(full.get(name), (str, list, dict)) else "x" for name in fields}
    for one, other in itertools.combinations(fields, 2):
        yield bare | {one: wrong[one], other: wrong[other]}
    for size in range(3, len(fields) + 1):
        yield bare | {name: wrong[name] for name in fields[:size]}
    yield {name: value for name, value in wrong.items() if name not in bare}
