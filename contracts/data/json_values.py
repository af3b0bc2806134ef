"""JSON values of `value_classes`, and values that are deeply nested or have many members.

All of them are valid in every object that may have any members, such as `input_values`.
"""

from typing import Final

from contracts.data import texts
from contracts.data.value_classes import KEYS, NUMBERS, STRUCTURES, TEXTS, Json
from contracts.openapi.schemas import MAX_DEPTH

_NUMBERS: Final = tuple(number for kind in NUMBERS.values() for number in kind.values)
INTEGERS: Final = tuple(number for number in _NUMBERS if isinstance(number, int))
DOUBLES: Final = tuple(number for number in _NUMBERS if isinstance(number, float))
ALL_KEYS: Final[tuple[str, ...]] = tuple(key for kind in KEYS.values() for key in kind.values)


def numbered(size: int) -> dict[str, int]:
    """Return an object with that many members."""
    return {f"k{index}": index for index in range(size)}


def nested(depth: int, *, kind: str = "object", innermost: Json = None) -> Json:
    """Return a value of that depth. Without an `innermost` value, the innermost container is empty."""
    value: Json = innermost
    if innermost is None:
        value = {} if kind == "object" else []
        depth -= 1
    for level in range(depth):
        if kind == "object" or (kind == "mixed" and level % 2):
            value = {"k": value}
        else:
            value = [value]
    return value


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
"""Values of every class in one object that is small enough for every operation: for cases that combine features.

`value_packs` has all values, by table.
"""
