"""Mutations of request bodies: wrong values, and functions that put them into a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.data.boundary_values import Json

WRONG_VALUES: Final[tuple[Json, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    10**20,
    1.5,
    "",
    " ",
    "x",
    "not-a-uuid",
    "5",
    "maybe",
    "3c90c3cc-0d44-4b50-8888",
    "3c90c3cc-0d44-4b50-8888-8dd25736052ag",
    "3c90c3cc-0d44-4b50-8888-8dd25736052a0",
    "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz",
    [],
    [1],
    ["x"],
    [None],
    [[]],
    [{}],
    {},
    {"a": 1},
    {"id": "x"},
    2,
    '{"a": 1}',
    "[]",
    "null",
    [["x"]],
    [5, "x"],
)
"""Values that replace each field, item and member. The oracle decides which of them are wrong in that place."""
WRONG_CORE: Final[tuple[Json, ...]] = (
    *(None, True, False, 0, 5, 1.5, "", "x", '{"a": 1}', "3c90c3cc-0d44-4b50-8888-8dd25736052"),
    *([], [1], ["x"], [None], [{}], {}, {"a": 1}),
)
WRONG_IDS: Final = (
    *("3c90c3cc-0d44-4b50-8888", "3c90c3cc-0d44-4b50-8888-8dd25736052ag", "3c90c3cc-0d44-4b50-8888-8dd25736052a0"),
    *("zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz", "not-a-uuid", " "),
    *(
        "3c90c3cc-0d44-4b50-8888-8dd25736052a\n",
        "3c90c3cc-0d44-4b50-8888-8dd25736052a ",
        "\t3c90c3cc-0d44-4b50-8888-8dd25736052a",
    ),
)
WRONG_NAMES: Final = ("canceled", "Cancelled", "CANCELLED", "cancelled ", "failed", "pending", "completed", "done", "0")
"""Words that are not a status, but resemble one or a usual name of one."""
LIST_SIZES: Final = (1, 2, 5, 10, 50, 100)
"""Numbers of good items before the wrong one."""


def after_good_items(body: Json, *, free: frozenset[str]) -> Iterator[Json]:
    """Yield copies of a body in which one list has a wrong item after good ones.

    Every kind of wrong item follows 1 and 10 good ones; a few kinds follow the other sizes.
    """
    for path in places(body, free=free):
        items = at(body, path)
        if not isinstance(items, list) or not items or (isinstance(path[-1], str) and path[-1] in free):
            continue
        good = items[0]
        for size in LIST_SIZES:
            for wrong in _wrong_items(good, free=free) if size in {1, 10} else (5, {}, None):
                yield put(body, path, [good] * size + [wrong])


def _wrong_items(good: Json, *, free: frozenset[str]) -> Iterator[Json]:
    yield from (None, 5, [], {}) if isinstance(good, str) else (None, 5, "x", [], {})
    if isinstance(good, dict):
        for path in places(good, free=free):
            yield put(good, path, 5)
            yield put(good, path, [])
            if isinstance(path[-1], str):
                yield put(good, path, None)
                yield drop(good, path)


def at(value: Json, path: tuple[str | int, ...]) -> Json:
    for part in path:
        value = value[part]
    return value


def places(value: Json, path: tuple[str | int, ...] = (), *, free: frozenset[str]) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in a body, outer ones first, but of none below the fields in `free`."""
    if path:
        yield path
        if isinstance(path[-1], str) and path[-1] in free:
            return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key), free=free)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index), free=free)


FREE_OBJECTS: Final = frozenset(
    {
        "input_values",
        "sensitive_input_values",
        "inputs",
        "sensitive_inputs",
        "shared_inputs",
        "shared_sensitive_inputs",
        "output_data",
        "usage_metadata",
        "pool_parameters",
    }
)
"""Objects that may have any members."""


def put(value: Json, path: tuple[str | int, ...], new: Json) -> Json:
    """Return a copy with another value at the path. It shares all other parts with the original."""
    if not path:
        return new
    if isinstance(value, dict):
        return value | {path[0]: put(value[path[0]], path[1:], new)}
    changed = list(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)  # type: ignore[index]
    return changed


def drop(value: Json, path: tuple[str | int, ...]) -> Json:
    if len(path) == 1:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if key != path[0]}
        return [item for index, item in enumerate(value) if index != path[0]]
    return put(value, path[:1], drop(value[path[0]], path[1:]))
