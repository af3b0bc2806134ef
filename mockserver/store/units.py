"""What a store keeps: a value under a kind and a key, with a version."""

from __future__ import annotations

from typing import Any, NamedTuple


class Unit(NamedTuple):
    """`version` is 0, and `value` None, where nothing is kept under the key."""

    value: Any
    version: int


class Write(NamedTuple):
    """What to keep under a key, if it is still at `version`; `value` None removes it. Values are immutable."""

    kind: str
    key: str
    value: Any
    version: int


ABSENT = Unit(None, 0)
