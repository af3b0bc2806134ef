"""What a store keeps: a value under a kind and a key, with a version."""

from __future__ import annotations

from typing import Any, NamedTuple

FOREVER = 1 << 62


class Unit(NamedTuple):
    """`version` is 0, and `value` None, where nothing is kept under the key. It counts until the moment `until`."""

    value: Any
    version: int
    until: int = FOREVER


class Write(NamedTuple):
    """What to keep under a key, if it is still at `version`; `value` None removes it. Values are immutable.

    From the moment `until` on it counts for nothing: a store may forget it, but need not.
    """

    kind: str
    key: str
    value: Any
    version: int
    until: int = FOREVER


ABSENT = Unit(None, 0)
