"""Ids of runs and attachments: valid random-looking UUIDs that say where their run is kept.

A row of ids made by one call shares its *tail*, everything from the first dash on, which is a keyed hash of what
made them. The *head*, the first eight hex digits, differs within the row: it is a reversible mixing of the position,
so that an id leads to its row by one look-up and to its place in the row by arithmetic. No id is kept.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

_MASK = 0xFFFFFFFF
_A, _B = 0x9E3779B1, 0x85EBCA77
_A_INVERSE, _B_INVERSE = pow(_A, -1, 1 << 32), pow(_B, -1, 1 << 32)
_TABLED = 8192
"""Long rows begin at one of so many positions, whose heads are written once and then sliced."""
_LONGEST = 1000
_HEX = frozenset("0123456789abcdef")
_VARIANT = {digit: "89ab"[value % 4] for value, digit in enumerate("0123456789abcdef")}


class IdRow(NamedTuple):
    """`size` ids with one tail; `first` is the position of the first."""

    tail: str
    first: int
    size: int

    def id(self, index: int) -> str:
        return f"{_mixed(self.first + index):08x}{self.tail}"

    def heads(self) -> list[bytes]:
        """The first eight digits of every id, in order."""
        if self.size > 16:
            return _heads()[self.first : self.first + self.size]
        return [b"%08x" % _mixed(position) for position in range(self.first, self.first + self.size)]

    def may_begin(self, text: str) -> bool:
        """Whether a text that is no part of the tail may be a part of some id of the row."""
        head, dash, _ = text.partition("-")
        return len(head) <= 8 and _HEX.issuperset(head) and (not dash or self.tail.startswith(text[len(head) :]))

    def place(self, id_: str) -> int | None:
        """The place of an id with this tail in the row, or None where it is beyond it."""
        place = _unmixed(int(id_[:8], 16)) - self.first
        return place if 0 <= place < self.size else None


class GivenIds(NamedTuple):
    """The same for ids that somebody else has made up: `given` holds their heads, the first eight digits."""

    tail: str
    given: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.given)

    def id(self, index: int) -> str:
        return self.given[index] + self.tail

    def heads(self) -> list[bytes]:
        return [head.encode() for head in self.given]

    def may_begin(self, text: str) -> bool:
        return any(text in head + self.tail for head in self.given)

    def place(self, id_: str) -> int | None:
        head = id_[:8]
        return self.given.index(head) if head in self.given else None


Ids = IdRow | GivenIds


def id_row(key: bytes, made_by: str, count: int) -> IdRow:
    """The ids of what `made_by` names, under a key of its space: the same for the same key and name. count ≤ 1000."""
    hash_ = _keyed(key).copy()
    hash_.update(made_by.encode())
    digest = hash_.hexdigest()
    position = int(digest[24:], 16)
    # Clients cut ids short to show them, and it is the head they keep: so short rows start anywhere.
    first = position % _TABLED if count > 16 else position >> 1
    tail = f"-{digest[:4]}-4{digest[4:7]}-{_VARIANT[digest[7]]}{digest[8:11]}-{digest[11:23]}"
    return IdRow(tail, first, count)


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> blake2b:
    """A hash that has taken its key in already: a copy of it takes half the time of a new one."""
    return blake2b(key=key, digest_size=16)


def one_id(key: bytes, made_by: str) -> str:
    return id_row(key, made_by, 1).id(0)


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
    return [b"%08x" % _mixed(position) for position in range(_TABLED + _LONGEST)]
