"""A violation: which rule is broken, and how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from contracts.core.printable import replace_unprintable


class FilterCause(str):
    """The cause of a list that is wrong for a combination of filters: the names of the filters, and the effect.

    It compares as its text, so it is a cause like any other. `refines` says whether a smaller combination has shown the
    same effect.
    """

    filters: frozenset[str]
    effect: str

    def __new__(cls, filters: Iterable[str], effect: str) -> Self:
        names = frozenset(filters)
        cause = super().__new__(cls, f"{'+'.join(sorted(names))} {effect}")
        cause.filters, cause.effect = names, effect
        return cause

    def refines(self, other: str) -> bool:
        """Whether the other cause is the same effect for fewer of these filters."""
        return isinstance(other, FilterCause) and other.effect == self.effect and other.filters < self.filters


def misses_a_run(filters: Iterable[str]) -> FilterCause:
    return FilterCause(filters, "misses a run")


def returns_other_runs(filters: Iterable[str]) -> FilterCause:
    return FilterCause(filters, "returns other runs")


class Difference(str):
    """How a value differs from the expected one, in words: where, and what changed there.

    It compares as its text. `change` is what changed, without the place, if it may be the same at other places: in a
    part of the value, or its form. Empty if it is not known.
    """

    change: str

    def __new__(cls, text: str, change: str = "") -> Self:
        difference = super().__new__(cls, text)
        difference.change = change
        return difference

    def __add__(self, more: str) -> Difference:
        return Difference(super().__add__(more), self.change)


@dataclass(frozen=True, slots=True)
class Violation:
    """`cause` distinguishes the causes of one rule. While a case is shrunk and repeated, a violation is recognised
    by its `dedup_key`. `dedup_key_override` replaces the default key if the cause may change meanwhile.

    `about` is the id of the wrong resource in a list, since the request does not name it. `field` is the name of the
    wrong field, if exactly one field is wrong. `may_be_by_others`: a person, another client or the server itself may
    have done the same by chance, so only a violation that shows each time is certain.
    """

    rule: str
    cause: str
    expected: str
    got: str
    dedup_key_override: str = ""
    about: str = ""
    field: str = ""
    may_be_by_others: bool = False

    @property
    def dedup_key(self) -> str:
        return self.dedup_key_override or f"{self.rule}: {self.cause}"

    @property
    def change(self) -> str:
        """What changed in a part of the field, or in its form; empty if it is not known."""
        return self.got.change if isinstance(self.got, Difference) else ""


def excerpt(content: bytes | str, length: int = 120) -> str:
    """Return the beginning of a text, short enough for one line."""
    beginning = content[: 4 * (length + 1)]  # at most 4 bytes per character; a whole answer may be large
    text = beginning.decode("utf-8", errors="replace") if isinstance(beginning, bytes) else beginning
    text = replace_unprintable(text)
    return text if len(text) <= length else text[: length - 1] + "…"
