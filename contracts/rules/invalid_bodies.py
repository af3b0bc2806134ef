"""Bodies that are invalid in one place, or in several, derived from valid ones."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.data import limits, mutations, write_bodies
from contracts.data.formats import BROKEN_IDS, SAMPLE_ID
from contracts.data.grouping import in_turn
from contracts.engine.check_context import CheckContext
from contracts.openapi.schemas import body_schema, schema
from contracts.oracle import ParsedRequest
from contracts.rules.combined_bodies import combined
from contracts.rules.writes import Body, full_body, read

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
            yield body, read(operation, body)


def invalid_bodies(check: CheckContext, operation: str) -> Iterator[Body]:
    """Yield all invalid bodies of `almost_valid`. Those with one fault are combined."""
    variants = _variants(check, operation)
    one_fault = [combined(operation, base, bodies) for base, bodies in variants.one_fault]
    yield from in_turn(one_fault)
    for body, parsed in readings(operation, variants.others):
        if parsed.is_invalid:
            yield Body(body)


def almost_valid(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yield mutations of a minimal body, of a full body, and of a minimal body with one more field."""
    variants = _variants(check, operation)
    for _, bodies in variants.one_fault:
        yield from bodies
    yield from variants.others


@dataclass(frozen=True)
class _Variants:
    """Bodies with one mutation, by the body that was changed, and bodies in which something beside it matters."""

    one_fault: tuple[tuple[dict[str, Any], Iterator[dict[str, Any]]], ...]
    others: Iterator[dict[str, Any]]


def _variants(check: CheckContext, operation: str) -> _Variants:
    bare, full = write_bodies.minimal(operation), full_body(check, operation)
    fields = [name for name in schema(body_schema(operation) or "")["properties"] if name in full or name in bare]
    of_bare = _wrong_fields(operation, bare, full, fields)
    of_full = _wrong_parts(operation, full)
    others = itertools.chain(
        _wrong_counts(bare, full, fields) if operation == "bulk_create_runs" else (),
        _several_wrong(bare, full, fields),
        _one_missing(bare, full, schema(body_schema(operation) or "").get("required", ())),
        _wrong_beside_another(operation, bare, full, fields),
    )
    return _Variants(((bare, of_bare), (full, of_full)), others)


def _wrong_fields(
    operation: str, bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    if operation == "bulk_create_runs":
        for count in mutations.WRONG_COUNTS:
            yield bare | {"count": count}
    for name in fields:
        for wrong in _wrong_of(operation, name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield {"status": wrong}
    for name in fields:
        if isinstance(full.get(name), list):
            yield from mutations.after_good_items(bare | {name: full[name]}, name)


def _wrong_counts(bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield wrong counts beside each other field, and other wrong values beside several counts."""
    others = [name for name in fields if name in full and name != "count"]
    of_wrong_type: Iterator[Any] = itertools.cycle((None, "x", 1.5, []))
    for name in others:
        for count in (0, 1001, next(of_wrong_type)):
            yield bare | {"count": count, name: True if name == "start_session" else full[name]}
    counts = itertools.cycle(limits.few(100, limits.MAX_COUNT))
    for count, path in zip(counts, mutations.places(full), strict=False):
        wrong = 5 if path[-1] in {"filename", "content", "target_path"} else "x"
        yield mutations.put(full | {"count": count}, path, wrong)


def _wrong_of(operation: str, name: str) -> tuple[Any, ...]:
    most = mutations.WRONG_VALUES if operation == "bulk_create_runs" else mutations.WRONG_CORE
    return (*most, *(BROKEN_IDS if name.endswith(("_id", "_ids")) else ()))


def _wrong_parts(operation: str, full: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield full | {"status": wrong}
    if operation == "bulk_create_runs":
        for count in mutations.WRONG_COUNTS[::5]:
            yield full | {"count": count}
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
    for one, other in itertools.pairwise(fields):
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
    """Yield a wrong value of each field beside a good value of each other field, the wrong values in turn."""
    values: tuple[Any, ...] = (None, "", 5, [], "x")
    step = 1 if operation == "bulk_create_runs" else 2
    for number, (beside, name) in enumerate(itertools.permutations(fields, 2)):
        if beside in full and number % step == 0:
            good = full[beside] if beside != "start_session" else True
            bodies = [bare | {beside: good, name: value} for value in (*values[number % 5 :], *values[: number % 5])]
            yield from [body for body in bodies if read(operation, body).is_invalid][:1]
