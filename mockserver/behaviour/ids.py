"""Ids of runs and attachments: valid random-looking UUIDs that encode where their run is stored.

The ids that one call makes are a *row*. They share their *tail*, everything from the first dash on, which is a keyed
hash of the name of that call. The *head*, the first eight hex digits, differs within the row: it is a reversible
mixing of the position. So one look-up finds the row of an id, and arithmetic finds its place in the row. No id is
stored.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

_MASK = 0xFFFFFFFF
_A, _B = 0x9E3779B1, 0x85EBCA77
_A_INVERSE, _B_INVERSE = pow(_A, -1, 1 << 32), pow(_B, -1, 1 << 32)
_LONG_ROW_STARTS = 8192
"""The number of positions at which a long row can begin. Their heads are rendered once and then sliced."""
MAX_ROW_SIZE = 1000
_HEX = frozenset("0123456789abcdef")
_VARIANT = {digit: "89ab"[value % 4] for value, digit in enumerate("0123456789abcdef")}


class IdRow(NamedTuple):
    """`size` ids with one tail; `first` is the position of the first."""

    tail: str
    first: int
    size: int

    def id(self, place: int) -> str:
        return f"{_mixed(self.first + place):08x}{self.tail}"

    def heads(self) -> list[bytes]:
        """The first eight digits of every id, in order."""
        if self.size > 16:
            return _heads()[self.first : self.first + self.size]
        return [b"%08x" % _mixed(position) for position in range(self.first, self.first + self.size)]

    def may_begin(self, text: str) -> bool:
        """Whether a text that does not occur in the tail may occur in an id of the row."""
        head, dash, _ = text.partition("-")
        return len(head) <= 8 and _HEX.issuperset(head) and (not dash or self.tail.startswith(text[len(head) :]))

    def place(self, id_: str) -> int | None:
        """Return the place in the row of a text with this tail, or None if it is not an id of the row."""
        head = head_of(id_)
        if not _HEX.issuperset(head):
            return None
        place = _unmixed(int(head, 16)) - self.first
        return place if 0 <= place < self.size else None


class GivenIds(NamedTuple):
    """A row of ids that were given from outside. `given` holds their heads, the first eight digits."""

    tail: str
    given: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.given)

    def id(self, place: int) -> str:
        return self.given[place] + self.tail

    def heads(self) -> list[bytes]:
        return [head.encode() for head in self.given]

    def may_begin(self, text: str) -> bool:
        return any(text in head + self.tail for head in self.given)

    def place(self, id_: str) -> int | None:
        head = head_of(id_)
        return self.given.index(head) if head in self.given else None


Ids = IdRow | GivenIds


def id_row(key: bytes, label: str, count: int) -> IdRow:
    """Return the ids for the name `label`: the same for the same key and name. `count` is at most 1000."""
    hash_ = _keyed(key).copy()
    hash_.update(label.encode())
    digest = hash_.hexdigest()
    position = int(digest[24:], 16)
    # Clients often display only the head of an id, so the heads of short rows are drawn from the whole range.
    first = position % _LONG_ROW_STARTS if count > 16 else position >> 1
    tail = f"-{digest[:4]}-4{digest[4:7]}-{_VARIANT[digest[7]]}{digest[8:11]}-{digest[11:23]}"
    return IdRow(tail, first, count)


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> blake2b:
    """Return a hash that is already keyed: to copy it takes half the time of making a new one."""
    return blake2b(key=key, digest_size=16)


def one_id(key: bytes, label: str) -> str:
    return id_row(key, label, 1).id(0)


def head_of(id_: str) -> str:
    return id_[:8]


def tail_of(id_: str) -> str:
    return id_[8:]


def _mixed(position: int) -> int:
    x = position * _A & _MASK
    x ^= x >> 15
    x = x * _B & _MASK
    return x ^ (x >> 16)


def _unmixed(head: int) -> int:
    x = head ^ (head >> 16)
    x = x * _B_INVERSE & _MASK
    x ^= (x >> 15) ^ (x >> 30)
    return x * _A_INVERSE & _MASK


@lru_cache(maxsize=1)
def _heads() -> list[bytes]:
    return [b"%08x" % _mixed(position) for position in range(_LONG_ROW_STARTS + MAX_ROW_SIZE)]
