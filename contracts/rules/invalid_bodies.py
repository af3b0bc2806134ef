"""Bodies that are invalid in one place, or in several, derived from valid ones."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from contracts.data import limits, mutations, write_bodies
from contracts.data.formats import BROKEN_IDS, SAMPLE_ID
from contracts.engine.check_context import CheckContext
from contracts.openapi.schemas import body_schema, schema
from contracts.oracle import ParsedRequest, read_body
from contracts.rules.writes import full_body

_PLACEHOLDER: Final = re.compile(r"«[^»]*»")


def with_sample_ids(text: str) -> str:
    """Return a text with a valid id in place of each placeholder, so that the oracle can read it."""
    return _PLACEHOLDER.sub(SAMPLE_ID, text)


def readings(operation: str, bodies: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], ParsedRequest]]:
    """Yield each distinct body with its parsed form: whether the contract accepts, refuses or leaves it open."""
    seen: set[str] = set()
    for body in bodies:
        text = repr(body)
        if text not in seen:
            seen.add(text)
            yield body, read_body(operation, _sample(body))


def _sample(value: Any) -> Any:
    if isinstance(value, str):
        return SAMPLE_ID if "«" in value else value
    if isinstance(value, list):
        return [_sample(item) for item in value]
    return {key: _sample(item) for key, item in value.items()} if isinstance(value, dict) else value


def almost_valid(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yield mutations of a minimal body, of a full body, and of a minimal body with one more field.

    Most have one mutation, some have several.
    """
    bare, full = write_bodies.minimal(operation), full_body(check, operation)
    fields = [name for name in schema(body_schema(operation) or "")["properties"] if name in full or name in bare]
    if operation == "bulk_create_runs":
        yield from _wrong_counts(bare, full, fields)
    for name in fields:
        for wrong in _wrong_of(operation, name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield {"status": wrong}
            yield full | {"status": wrong}
    for name in fields:
        if isinstance(full.get(name), list):
            yield from mutations.after_good_items(bare | {name: full[name]}, name)
    yield from _several_wrong(bare, full, fields)
    yield from _wrong_parts(operation, full)
    yield from _one_missing(bare, full, schema(body_schema(operation) or "").get("required", ()))
    yield from _wrong_beside_another(operation, bare, full, fields)


def _wrong_counts(bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    for index, count in enumerate(mutations.WRONG_COUNTS):
        yield bare | {"count": count}
        if index % 5 == 0:
            yield full | {"count": count}
    for count, name in itertools.product((0, 1001, -1, 1.5, None, "x", [], 2000), fields):
        if name in full:
            yield bare | {"count": count, name: True if name == "start_session" else full[name]}
    for count, path in itertools.product(limits.few(100, limits.MAX_COUNT), mutations.places(full)):
        wrong = 5 if path[-1] in {"filename", "content", "target_path"} else "x"
        yield mutations.put(full | {"count": count}, path, wrong)


def _wrong_of(operation: str, name: str) -> tuple[Any, ...]:
    most = mutations.WRONG_VALUES if operation == "bulk_create_runs" else mutations.WRONG_CORE
    return (*most, *(BROKEN_IDS if name.endswith(("_id", "_ids")) else ()))


def _wrong_parts(operation: str, full: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in mutations.places(full):
        name = next(part for part in reversed(path) if isinstance(part, str))
        # Few values for a field: a minimal body has all of them there.
        for wrong in (None, 5, "x", [], {"a": 1}) if len(path) == 1 else _wrong_of(operation, name):
            yield mutations.put(full, path, wrong)
        for wrong in _wrong_nestings(mutations.at(full, path)):
            yield mutations.put(full, path, wrong)
        if isinstance(path[-1], str):
            yield mutations.drop(full, path)


def _wrong_nestings(good: Any) -> Iterator[Any]:
    """Yield a valid value with one level of nesting too many or too few, or encoded as a JSON string."""
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
    """Yield bodies with several invalid fields. The answer must report an error for each."""
    wrong = {name: 5 if isinstance(full.get(name), (str, list, dict)) else "x" for name in fields}
    for one, other in itertools.combinations(fields, 2):
        yield bare | {one: wrong[one], other: wrong[other]}
    for size in range(3, len(fields) + 1):
        yield bare | {name: wrong[name] for name in fields[:size]}
    yield {name: value for name, value in wrong.items() if name not in bare}


def _one_missing(bare: dict[str, Any], full: dict[str, Any], required: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in required:
        yield mutations.drop(bare, (name,))
        for other in full:
            if other != name:
                yield mutations.drop(bare | {other: full[other]}, (name,))


def _wrong_beside_another(
    operation: str, bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    values: tuple[Any, ...] = {"bulk_create_runs": (None, "", 5, []), "create_run": ("",)}.get(operation, ("x",))
    for beside, name in itertools.permutations(fields, 2):
        if beside in full:
            for wrong in values:
                yield bare | {beside: full[beside] if beside != "start_session" else True, name: wrong}
