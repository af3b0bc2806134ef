"""JSON values of `value_classes`, and large ones: nesting, and numbers of members.

All of them are valid in every object that may have any members, such as `input_values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from contracts.data import limits, texts
from contracts.data.grouping import in_turn
from contracts.data.value_classes import KEYS, NUMBERS, STRUCTURES, TEXTS, Json
from contracts.openapi.schemas import MAX_DEPTH

_NUMBERS: Final = tuple(number for kind in NUMBERS.values() for number in kind.values)
INTEGERS: Final = tuple(number for number in _NUMBERS if isinstance(number, int))
DOUBLES: Final = tuple(number for number in _NUMBERS if isinstance(number, float))
ALL_KEYS: Final[tuple[str, ...]] = tuple(key for kind in KEYS.values() for key in kind.values)
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


def unusual() -> Iterator[Json]:
    """Yield values that are unusual in some way: one of each kind in turn, the largest numbers first."""
    depths = limits.sizes(2, MAX_DEPTH - 2)[::-1]
    kinds: tuple[Iterable[Json], ...] = (
        (value for kind in STRUCTURES.values() for value in kind.values),
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
    for value in (*(value for kind in STRUCTURES.values() for value in kind.values), *texts.FEW):
        yield {"value": value}


SAMPLE: Final[dict[str, Json]] = {
    **{f"text: {kind}": some.values[0] for kind, some in TEXTS.items()},
    **{f"structure: {kind}": some.values[0] for kind, some in STRUCTURES.items()},
    **{f"integer {number}": number for number in (0, 1, -7, 2**53 + 1, 2**64 + 3)},
    **{f"double {number}": number for number in (2.0, -5.0, 0.1234567890123, 5e-324, 1e22)},
    **{key: index for index, key in enumerate(ALL_KEYS)},
    "list": [*texts.SHORT, *DOUBLES, *(structure for kind in STRUCTURES.values() for structure in kind.values)],
    "long text": "xy" * 300,
    "deep": nested(MAX_DEPTH - 8, kind="mixed"),
    "many members": numbered(130),
    "many items": list(range(130)),
}
"""Values of every kind in one object that is small enough for every operation.

The cases with `unusual` values try each value separately. This object takes all kinds through every operation that
writes or returns values.
"""
