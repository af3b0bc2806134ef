"""Texts of `value_classes`, and long ones.

All of them are valid wherever the contract takes a text. `FEW` has the first one of each class, for requests that carry
one; `value_packs` puts all of them into a few bodies.
"""

from typing import Final

from contracts.data import limits
from contracts.data.value_classes import TEXTS
from contracts.openapi.schemas import MAX_TEXT

SHORT: Final[tuple[str, ...]] = tuple(text for kind in TEXTS.values() for text in kind.values)

WIDE: Final = ("é" * 300, "😀" * 257, "日" * 5000, "😀" * MAX_TEXT)
"""Long in bytes or in 16-bit units, though short in characters."""
_ALL_OF_LATIN: Final = "".join(chr(code) for code in range(1, 256) if chr(code) not in "«»")

_LENGTHS: Final = (*limits.sizes(15, 1024), *limits.above(1024, MAX_TEXT))

UNUSUAL: Final = (*SHORT, *("x" * length for length in _LENGTHS), *WIDE, _ALL_OF_LATIN)
FEW: Final = (
    *(kind.values[0] for kind in TEXTS.values()),
    *("x" * length for length in limits.few(64, MAX_TEXT)),
    *WIDE,
)
