"""Mutations of request bodies: wrong values, and functions that put them into a body."""

from collections.abc import Iterator
from typing import Final

from contracts.core.json_tree import Path, at, drop, put
from contracts.data import limits
from contracts.data.formats import BROKEN_IDS
from contracts.data.value_classes import Json

WRONG_CORE: Final[tuple[Json, ...]] = (
    *(None, True, False, 0, 5, 1.5, "", "x", '{"a": 1}', BROKEN_IDS[0]),
    *([], [1], ["x"], [None], [{}], {}, {"a": 1}),
)
WRONG_VALUES: Final[tuple[Json, ...]] = (
    *WRONG_CORE,
    *(1, -1, 2, 10**20, " ", "not-a-uuid", "5", "maybe", "true", "false", *BROKEN_IDS[1:5], "[]", "null"),
    *([[]], {"id": "x"}, [["x"]], [5, "x"]),
)
"""Values that replace each field, item and member. The oracle decides which of them are wrong in that place."""
WRONG_NAMES: Final = ("canceled", "Cancelled", "CANCELLED", "cancelled ", "failed", "pending", "completed", "done", "0")
"""Words that are not a status, but resemble one or a usual name of one."""
WRONG_COUNTS: Final[tuple[Json, ...]] = (
    *(0, -1, *limits.above(limits.MAX_COUNT, 2**16 + 1), *(-count for count in limits.few(2, limits.MAX_COUNT))),
    *limits.around(*limits.WIDTHS, *(-width for width in limits.WIDTHS)),
    *(2**bits + count for bits in (16, 32, 64) for count in (5, limits.MAX_COUNT)),  # in range, if bits are cut off
    *(10**18, 10**30, 10**299),
    *(0.5, 0.999, 1.0000001, *(count + 0.5 for count in limits.few(1, limits.MAX_COUNT)), 3.7, 99.9, 999.999),
    *(1001.0, 0.0, -0.0, -1.0, -1.5, 1e10, 1e300),
    *("", " ", "x", "abc", "one", "five", "null", "None", "true", "5 runs"),
    *("0", "-1", "1001", "1.5", "1,000", "0x10", "3e0", "١"),
    *("5", "1", 5.0, 1.0, True, False),  # a lenient server may accept these
    *(None, [], [1], [5], {}, {"count": 1}, {"value": 3}),
)
FREE_OBJECTS: Final = frozenset(
    {"input_values", "sensitive_input_values", "inputs", "sensitive_inputs", "shared_inputs", "shared_sensitive_inputs"}
    | {"output_data", "usage_metadata", "pool_parameters"}
)
"""Objects that may have any members, so that no value in them is wrong."""


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a body, outer values first. Values inside of a free object are left out."""
    if path:
        yield path
    if path and path[-1] in FREE_OBJECTS:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


LONG_LIST: Final = 101
"""The number of items in a long list of which one is wrong."""


def in_long_list(body: Json, name: str) -> Iterator[Json]:
    """Yield copies of a body in which a list of `LONG_LIST` items has one wrong item.

    Every kind of wrong item is tried at the indexes 0, 1 and 10; a few kinds are tried at some others.
    """
    good = body[name][0]
    for place in (0, 1, 2, 5, 10, 50, LONG_LIST - 1):
        for wrong in _wrong_items(good) if place in {0, 1, 10} else (5, {}, None):
            yield put(body, (name, place), wrong)


_WRONG_MEMBERS: Final[tuple[Json, ...]] = (None, 5, "x", [])


def _wrong_items(good: Json) -> Iterator[Json]:
    yield from (None, 5, "", "x", BROKEN_IDS[0], [], {})
    for path in places(good):
        yield from (put(good, path, wrong) for wrong in _WRONG_MEMBERS)
        if isinstance(path[-1], str):
            yield drop(good, path)


def rename(value: Json, path: Path, name: str) -> Json:
    """Return a copy in which the member at the path has another name."""
    parent, dropped = path[:-1], drop(value, path)
    return put(dropped, parent, at(dropped, parent) | {name: at(value, path)})
