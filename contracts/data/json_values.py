"""JSON values that servers are known to change, refuse or fail on: numbers, names of members, nesting, sizes.

All of them are valid in every object that may have any members, such as `input_values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from contracts.data import limits, texts
from contracts.data.grouping import in_turn
from contracts.openapi.schemas import MAX_DEPTH, MAX_DIGITS

Json = Any

_WIDE_LIMITS: Final = limits.around(*(sign * width for width in limits.WIDTHS for sign in (1, -1)))
INTEGERS: Final = (
    *(0, 1, -1, 2, *_WIDE_LIMITS, 10**19, 10**21, 2**128 + 1, 10**40 + 7, 10**100 + 1),
    *(10 ** (MAX_DIGITS - 1) + 7, -(10 ** (MAX_DIGITS - 1)) - 7, 10**MAX_DIGITS - 1),
)
DOUBLES: Final = (
    *(0.0, 1.0, -1.0, 5.0, 100.0, 1e3, 1e15, 1e16, 1e17, 1e21, 1e22, 1e23, -1e22, 1e100),  # whole numbers
    *(0.5, 1.5, -1.5, 0.1, 0.1 + 0.2, 1 / 3, 4.35, 2.675, 0.07, 3.141592653589793, 123456789.12345679),  # many digits
    *(9007199254740993.0, 16777217.0),  # where doubles and singles no longer hold every integer
    *(1e-5, 1e-7, 1e-10, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308),
)
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "empty and blank": ("", " ", "\n"),
    "trimmed": ("a b", " a", "a ", " a "),
    "case": ("A", "aA", "ID", "CASE", "case", "camelCase", "snake_case", "kebab-case", "UPPER"),
    "paths": ("a.b", "a/b", "a[0]", "a[b]", "/", "*"),
    "operators": ("$ref", "$set", "$where", "@type", "#", "_private"),
    "prototypes": ("__proto__", "constructor", "prototype", "__class__", "toString"),
    "numbers": ("0", "1", "-1", "7"),
    "constants": ("null", "true", "None"),
    "names of the contract": ("id", "status", "error", "count", "session_id", "workflow_id", "machine_id", "pool_ids"),
    "names of objects": ("input_values", "file_inputs", "created_at", "output_data", "type", "self"),
    "other scripts": ("é", "e\u0301", "日本", "😀"),
    "NUL": ("\x00", "a\x00"),
    "escapes": ('"', "\\", "'", "%41", "<b>"),
    "long": tuple("x" * length for length in (*limits.around(64, 255), 1000)),
}
ALL_KEYS: Final = tuple(key for kind in KEYS.values() for key in kind)
SIZES: Final = limits.above(10, 9000)
FEW_SIZES: Final = limits.few(10, 9000)
"""How many members an object or a list has."""


def numbered(size: int) -> dict[str, int]:
    """Return an object with that many members."""
    return {f"k{index}": index for index in range(size)}


def nested(depth: int, *, kind: str = "object") -> Json:
    """Return a value of that depth; depth 1 is an empty container."""
    value: Json = {} if kind == "object" else []
    for level in range(depth - 1):
        if kind == "object" or (kind == "mixed" and level % 2):
            value = {"k": value}
        else:
            value = [value]
    return value


STRUCTURES: Final[dict[str, tuple[Json, ...]]] = {
    "constants": (True, False, None),
    "empty": ({}, [], [[]], [{}], {"a": {}}, {"a": []}),
    "null members": ({"a": None}, {"a": 1, "b": None}, {"x": [{"y": [{"z": None}]}]}),
    "null items": ([None], [None, None]),
    "repeated items": ([1, 1, 1], ["b", "a", "b", 1, 1], [{"a": 1}, {"a": 1}]),
    "order": (["b", "a"], {"b": 1, "a": 2}),
    "types that compare equal": ([1, "1", 1.0, True, None], [True, False], [0, False, "", None, [], {}]),
    "lists in lists": ([[1], [2, [3]]], [[0.5, False]]),
    "objects in objects": ({"a": {"a": {"a": 1}}}, {"b": {"a": {"list": [{"deep": 3.0}], "empty": {}}}, "none": []}),
    "keys that differ by case": ({"a": 1, "A": 2},),
    "keys that look like paths": ({"a.b": 1, "a": {"b": 2}},),
}


def unusual() -> Iterator[Json]:
    """Yield values that are unusual in some way: one of each kind in turn, the largest numbers first."""
    depths = limits.sizes(2, MAX_DEPTH - 2)[::-1]
    kinds: tuple[Iterable[Json], ...] = (
        (value for kind in STRUCTURES.values() for value in kind),
        reversed(INTEGERS),
        reversed(DOUBLES),
        texts.UNUSUAL,
        (nested(depth, kind=kind) for depth in depths for kind in ("mixed", "list", "object")),
        map(numbered, SIZES),
        (list(range(size)) for size in SIZES),
        ({key: index for index, key in enumerate(ALL_KEYS)},),
    )
    yield from in_turn(map(iter, kinds))


def unusual_inputs() -> Iterator[dict[str, Json]]:
    """Yield `input_values`, each unusual in one way: names and numbers of members, and some values of each kind."""
    yield from ({key: "x"} for key in ALL_KEYS)
    yield from map(numbered, FEW_SIZES)
    for value in (*(value for kind in STRUCTURES.values() for value in kind), *texts.FEW):
        yield {"value": value}


SAMPLE: Final[dict[str, Json]] = {
    **{f"text: {kind}": some[0] for kind, some in texts.KINDS.items()},
    **{f"structure: {kind}": some[0] for kind, some in STRUCTURES.items()},
    **{f"integer {number}": number for number in (0, 1, -7, 2**53 + 1, 2**64 + 3)},
    **{f"double {number}": number for number in (2.0, -5.0, 0.1234567890123, 5e-324, 1e22)},
    **{key: index for index, key in enumerate(ALL_KEYS)},
    "list": [*texts.SHORT, *DOUBLES, *(structure for kind in STRUCTURES.values() for structure in kind)],
    "long text": "xy" * 300,
    "deep": nested(MAX_DEPTH - 8, kind="mixed"),
    "many members": numbered(130),
    "many items": list(range(130)),
}
"""Values of every kind in one object that is small enough for every operation.

The cases with `unusual` values try each value separately. This object takes all kinds through every operation that
writes or returns values.
"""
