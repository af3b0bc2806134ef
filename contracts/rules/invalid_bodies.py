"""Bodies that are invalid in one place, or in several, derived from valid ones, and bodies that are no JSON object."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from contracts.core.json_tree import Path, at, drop, put
from contracts.data import in_turn, in_turn_by_kind, limits, mutations, write_bodies
from contracts.data.formats import BROKEN_IDS
from contracts.engine import CheckContext
from contracts.openapi.schemas import body_properties
from contracts.oracle import is_same
from contracts.oracle.request import read_raw_body
from contracts.rules.writes import (
    WRITES_OF_RUNS,
    Body,
    Writes,
    full_body,
    in_batches,
    optional_ids,
    read_filled,
    with_sample_ids,
)

_ABSENT: Final = object()
_CONFLICT: Final = object()


@dataclass(slots=True)
class _Combination:
    body: Any
    invalid_paths: frozenset[Path]
    parts: list[Body]

    def as_body(self) -> Body:
        return Body(self.body, parts=tuple(self.parts)) if len(self.parts) > 1 else self.parts[0]


def combined(
    operation: str, base: dict[str, Any], bodies: Iterable[dict[str, Any]], *, alone: int = 1
) -> Iterator[Body]:
    """Yield those of the bodies, which are variants of `base`, that are invalid.

    Combinations of variants that are invalid at different places come in turn with the first `alone` variants for each
    place, which are sent alone to show that this part alone is refused. Then come the variants that cannot be combined.
    In a list, all indexes but 0 are one place.
    """
    at_place: Counter[Path] = Counter()
    combinations: list[_Combination] = []
    first: list[Body] = []
    others: list[Body] = []
    seen: set[str] = set()
    for body in bodies:
        parsed = read_filled(operation, body)
        if not parsed.is_invalid or repr(body) in seen:
            continue
        seen.add(repr(body))
        invalid_paths = frozenset(invalid.path for invalid in parsed.invalid_parts)
        places = {tuple(min(part, 1) if isinstance(part, int) else part for part in path) for path in invalid_paths}
        at_place.update(places)
        if any(at_place[place] <= alone for place in places):
            first.append(Body(body))
        elif not _add(combinations, operation, base, body, invalid_paths):
            others.append(Body(body))
    yield from in_turn((map(_Combination.as_body, combinations), iter(first)))
    yield from others


def _add(
    combinations: list[_Combination], operation: str, base: Any, body: dict[str, Any], invalid_paths: frozenset[Path]
) -> bool:
    """Add a body to the first combination that has room for it. Return false if it cannot be combined."""
    count = body.get("count")
    if not all(invalid_paths) or (isinstance(count, int | float) and abs(count) > limits.MAX_COUNT * 10):
        return False  # the whole body is wrong, or a faulty server could create more runs than a check can afford
    first, later = _lists_with_invalid_items(invalid_paths)
    for combination in combinations:
        if invalid_paths & combination.invalid_paths:
            continue
        other_first, other_later = _lists_with_invalid_items(combination.invalid_paths)
        if first & other_later or later & other_first:
            continue  # a server that judges a list by its first item would refuse both
        both = merge(base, combination.body, body)
        if both is _CONFLICT:
            continue
        parsed = read_filled(operation, both)
        if (
            parsed.is_invalid
            and {invalid.path for invalid in parsed.invalid_parts} == invalid_paths | combination.invalid_paths
        ):
            combination.body, combination.invalid_paths = both, invalid_paths | combination.invalid_paths
            combination.parts.append(Body(body))
            return True
    combinations.append(_Combination(body, invalid_paths, [Body(body)]))
    return True


def _lists_with_invalid_items(paths: Iterable[Path]) -> tuple[set[Path], set[Path]]:
    """Return the paths of the lists whose first item is invalid, or a part of it, and of those with a later one."""
    indexes = [(path[:place], part) for path in paths for place, part in enumerate(path) if isinstance(part, int)]
    return {path for path, index in indexes if index == 0}, {path for path, index in indexes if index}


def merge(base: Any, one: Any, other: Any) -> Any:
    """Return `base` with the changes of two variants, or _CONFLICT if both change the same part."""
    if is_same(other, base) or is_same(one, other):
        return one
    if is_same(one, base):
        return other
    if isinstance(base, dict) and isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys((*base, *one, *other))
        merged = {name: merge(*(value.get(name, _ABSENT) for value in (base, one, other))) for name in names}
        if any(value is _CONFLICT for value in merged.values()):
            return _CONFLICT
        return {name: value for name, value in merged.items() if value is not _ABSENT}
    lists = [value for value in (base, one, other) if isinstance(value, list)]
    if len({len(value) for value in lists}) == 1 and len(lists) == 3:
        items = [merge(*values) for values in zip(*lists, strict=True)]
        return _CONFLICT if any(item is _CONFLICT for item in items) else items
    return _CONFLICT


# Mutations of valid bodies


def invalid_bodies(check: CheckContext, operation: str) -> Iterator[Body]:
    """Yield all invalid bodies of `almost_valid`. Those with one invalid part are combined."""
    of_bare, *of_lists = (combined(operation, base, bodies) for base, bodies in _mutations_of_minimal(check, operation))
    yield from in_turn((of_bare, in_turn(of_lists)))  # every second body is based on the minimal one
    for base, bodies in _mutations_of_full(check, operation):
        yield from combined(operation, base, bodies, alone=0)
    yield from (body for body in _pairs(check, operation) if read_filled(operation, body.json).is_invalid)


def almost_valid(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yield bodies with one mutation of a minimal or a full body, and bodies with several invalid fields."""
    for _, bodies in (*_mutations_of_minimal(check, operation), *_mutations_of_full(check, operation)):
        yield from bodies
    yield from (body.json for body in _pairs(check, operation))


_Mutations = tuple[dict[str, Any], Iterator[dict[str, Any]]]
"""A valid body, and bodies with one mutation of it."""


def _mutations_of_minimal(check: CheckContext, operation: str) -> Iterator[_Mutations]:
    """Yield the mutations of a minimal body, and of minimal bodies to each of which a long list is added."""
    bare, full = write_bodies.minimal(operation), full_body(check, operation)
    yield bare, _wrong_fields(check, operation, bare)
    for name in _fields_of(check, operation):
        if isinstance(full.get(name), list):
            base = bare | {name: [full[name][0]] * mutations.LONG_LIST}
            yield base, mutations.in_long_list(base, name)


def _mutations_of_full(check: CheckContext, operation: str) -> Iterator[_Mutations]:
    """Yield the mutations of a full body, and for a bulk create wrong values beside each of several counts."""
    full = full_body(check, operation)
    yield full, _wrong_parts(check, operation, full)
    if operation == "bulk_create_runs":
        counts, places = limits.few(100, limits.MAX_COUNT), list(mutations.places(full))
        for number, count in enumerate(counts):
            base = full | {"count": count}
            yield base, map(partial(_with_wrong, base), places[number :: len(counts)])


def _fields_of(check: CheckContext, operation: str) -> list[str]:
    """Return the properties of a body that the target can take."""
    tried = write_bodies.minimal(operation) | full_body(check, operation)
    return [name for name in body_properties(operation) if name in tried]


def _wrong_fields(check: CheckContext, operation: str, bare: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if operation == "bulk_create_runs":
        for count in mutations.WRONG_COUNTS:
            yield bare | {"count": count}
    for name in _fields_of(check, operation):
        for wrong in _wrong_of(check, operation, name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield {"status": wrong}


def _with_wrong(body: dict[str, Any], path: Path) -> Any:
    return put(body, path, 5 if path[-1] in {"filename", "content", "target_path"} else "x")


def _pairs(check: CheckContext, operation: str) -> Iterator[Body]:
    """Yield few bodies that contain each combination of absent, valid and invalid for every two fields. Each of their
    `parts` has one of their invalid fields.
    """
    bare, full, fields = write_bodies.minimal(operation), full_body(check, operation), _fields_of(check, operation)
    good = {name: True if name == "start_session" else full.get(name, bare.get(name)) for name in fields}
    values: dict[str, list[Any]] = {name: [write_bodies.ABSENT, good[name]] for name in fields}
    of_wrong_type: Iterator[Any] = itertools.cycle(("", 5, [], "x"))
    for name in fields:
        values[name] += [0, 1001] if name == "count" else []
        values[name] += [None] if read_filled(operation, bare | {name: None}).is_invalid else []
        candidates = itertools.islice(of_wrong_type, 5)  # five of four, so that the next field begins with another one
        values[name] += [value for value in candidates if read_filled(operation, bare | {name: value}).is_invalid][:1]
    for row in write_bodies.pairs(values):
        invalid_parts = read_filled(operation, row).invalid_parts
        names = list(dict.fromkeys(str(invalid.path[0]) for invalid in invalid_parts))
        parts = (row | {name: good[name] for name in names if name != kept} for kept in names)
        yield Body(row, parts=tuple(map(Body, parts)) if len(names) > 1 else ())


def _wrong_of(check: CheckContext, operation: str, name: str) -> tuple[Any, ...]:
    most = mutations.WRONG_VALUES if operation == "bulk_create_runs" else mutations.WRONG_CORE
    return (*most, *(_broken_ids(check, name) if name.endswith(("_id", "_ids")) else ()))


def _broken_ids(check: CheckContext, name: str) -> tuple[str, ...]:
    """Return texts that are not ids. If the target accepts only existing ids, some of them begin with an existing id:
    the target may refuse the others just because they do not exist.
    """
    ids = (optional_ids(check) | {"workflow_id": check.workflows}).get(name)
    if ids is None or ids.accepts_any_id or not ids.known:
        return BROKEN_IDS
    kind = name.split("_")[0]
    return (f"«{kind}»0", f"«{kind}» ", *BROKEN_IDS)


def _wrong_parts(check: CheckContext, operation: str, full: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield full | {"status": wrong}
    if operation == "bulk_create_runs":
        for count in mutations.WRONG_COUNTS[::5]:
            yield full | {"count": count}
    few: tuple[Any, ...] = (None, 5, "x", [], {"a": 1})  # all wrong values are tried in a minimal body
    for path in mutations.places(full):
        name = next(part for part in reversed(path) if isinstance(part, str))
        for wrong in few if len(path) == 1 else _share(_wrong_of(check, operation, name), path):
            yield put(full, path, wrong)
        for wrong in _wrong_nestings(at(full, path)):
            yield put(full, path, wrong)
        if isinstance(path[-1], str):
            dropped = drop(full, path)
            yield dropped
            if read_filled(operation, dropped).is_invalid:  # a required field, whose name is case-sensitive
                yield mutations.rename(full, path, path[-1].capitalize())


def _share(values: Sequence[Any], path: Path) -> Sequence[Any]:
    """Return all values. For a path into a list, return one half for even indexes and the other half for odd ones."""
    place = next((part for part in path if isinstance(part, int)), None)
    return values if place is None else values[place % 2 :: 2]


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


# Bodies that are not JSON, not objects, or not UTF-8


_NOT_AN_OBJECT: Final = (
    *("", "null", "[]", '"text"', "5", "true", "[{}]"),
    *(" ", "\n", "false", "0", "1.5", '""', "[1]", "[null]", "[[]]"),
)
_NOT_JSON: Final = (
    *("{", "}", "[", '"', "{'a': 1}", "{a: 1}", "not json", "nul", "undefined", "<xml/>", "a=1&b=2", "{]", ",", ":"),
    "\x00",
)
_NOT_UTF8: Final = (
    *("\xff", "\xfe\xff", "\x80", "\xc0\xaf", "\xc3", "\xed\xa0\x80", '{"a": "\xff"}', '"\xff"', '{"\xe9": 1}'),
)
"""Bytes, written as latin-1 like all texts here."""
_BROKEN_ENDS: Final = (
    *("", ",}", ', "x": "\xff"}', ', "\xff": 1}', ', "x": tru}', ', "x": 01}', ', "x": .5}', ', "x": 1.}'),
    *(', "x": +1}', ', "x": "\\x"}', ', "x": "a\nb"}', ', "x"}', ', "x": }', ", x: 1}", ', "x": "\\u12"}'),
    *(' "x": 1}', ', "x": [1,]}', ', "x": 0x10}', ", // c\n}"),
)
"""Texts that replace the last brace of an object."""


def malformed(body: dict[str, Any]) -> Iterator[str]:
    """Yield texts that are not JSON objects, one of each kind in turn: fixed texts, and mutations of a valid body."""
    good = json.dumps(body, ensure_ascii=False)
    mutations = (
        *(f"[{good}]", json.dumps(good, ensure_ascii=False), good[: len(good) // 2], good[1:]),
        *(good + "x", good + "}", good + good, "x" + good, good.replace('"', "'")),
    )
    broken = (good[:-1] + end for end in _BROKEN_ENDS)
    yield from in_turn(map(iter, (mutations, _NOT_AN_OBJECT, _NOT_JSON, _NOT_UTF8, broken)))


@in_turn_by_kind
def malformed_cases(check: CheckContext) -> Iterator[Writes]:
    for operation in WRITES_OF_RUNS:
        if check.offers(operation):
            body = write_bodies.minimal(operation) or {"input_values": {"changed": True}}
            yield from malformed_writes(operation, body)


ONE_TEXT_IN: Final = 3
"""Writes other than the bulk create get one in this many of the malformed texts."""


def malformed_writes(operation: str, body: dict[str, Any]) -> Iterator[Writes]:
    """Yield all malformed bodies of a bulk create, and a part of them for each other write, in turn."""
    invalid: list[Body] = []
    texts = [*malformed(body)]
    if operation != "bulk_create_runs":
        part = texts[len(operation) % ONE_TEXT_IN :: ONE_TEXT_IN]
        texts = [*dict.fromkeys(("[]", *part))]  # in PHP, an empty object and an empty list are the same value
    for text in texts:
        if operation == "retry_run" and text.strip() in {"", "null"}:
            yield Writes(operation, (Body(text=text),))  # may mean "no changes", so only a 5xx is an error
        elif read_raw_body(operation, with_sample_ids(text).encode("latin-1")).invalid_parts:
            invalid.append(Body(text=text))
    yield from in_batches(operation, invalid, 30)
