"""The entries of a store: a value under a kind and a key, with a version."""

from __future__ import annotations

from typing import Any, NamedTuple

FOREVER = 1 << 62
"""A moment that is never reached: the same number as in `mockserver.clock`, which the store does not import."""


class Unit(NamedTuple):
    """`version` is 0 and `value` None if the key does not exist. The unit expires at the moment `until`."""

    value: Any
    version: int
    until: int = FOREVER


class Write(NamedTuple):
    """Sets the value of a key if the key is still at `version`; `value` None removes it. Values are immutable.

    The value expires at the moment `until`: from then on a store may delete it, but need not.
    """

    kind: str
    key: str
    value: Any
    version: int
    until: int = FOREVER


ABSENT = Unit(None, 0)
