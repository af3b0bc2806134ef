"""A fault: a match, how often it applies, and one effect; and the ordered faults of a namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mockserver.faults.effects import Effect
from mockserver.matching import RequestMatch

_MAX_BYTES_IN_EVENT = 8_192


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request must have besides its method and path: headers by lower-case name, body values by JSON pointer."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occasions:
    """Which of the matching requests a fault applies to. `first` and `last` count from 1.

    With a `cycle`, they count anew after this many requests.

    `until` is a moment.
    """

    times: int | None = None
    first: int = 1
    last: int | None = None
    cycle: int | None = None
    probability: float = 1.0
    until: int | None = None


@dataclass(slots=True)
class Fault:
    """`source` is the JSON that it was made from, as the control API shows it, and `size` its length in bytes."""

    id: str
    match: RequestMatch
    conditions: Conditions
    occasions: Occasions
    effect: Effect
    source: Mapping[str, Any]
    size: int
    seed: str
    """Random draws are derived from it and from the number of requests that have matched."""
    matched: int = 0
    applied: int = 0

    def is_over(self, now: int) -> bool:
        occasions = self.occasions
        return (occasions.times is not None and self.applied >= occasions.times) or (
            occasions.until is not None and now >= occasions.until
        )

    def meets(self, now: int) -> bool:
        """Count one matching request, and return whether the fault applies to it."""
        if self.is_over(now):
            return False
        self.matched += 1
        if not self.applies_to_last():
            return False
        self.applied += 1
        return True

    def applies_to_last(self) -> bool:
        """Whether the fault applies to the last matching request, by its number and by chance."""
        occasions = self.occasions
        place = self.matched if occasions.cycle is None else (self.matched - 1) % occasions.cycle + 1
        if place < occasions.first or (occasions.last is not None and place > occasions.last):
            return False
        return occasions.probability >= 1 or self._random("apply").random() < occasions.probability

    def effect_random(self) -> Random:
        """Return the random generator of the effect, for the last matching request."""
        return self._random("effect")

    def _random(self, what: str) -> Random:
        return Random(f"{self.seed} {self.matched} {what}")

    def shown(self, now: int) -> dict[str, Any]:
        return self._shown(now, self.source)

    def shown_in_event(self, now: int) -> dict[str, Any]:
        """A large fault without its conditions and its effect: a thousand events may wait for a reader."""
        return self._shown(now, self.source if self.size <= _MAX_BYTES_IN_EVENT else {"match": self.match.text})

    def _shown(self, now: int, source: Mapping[str, Any]) -> dict[str, Any]:
        counts = {"matched": self.matched, "applied": self.applied, "active": not self.is_over(now)}
        return {"id": self.id, **source, **counts}


class Faults:
    """The faults of one namespace. Only the first one that applies to a request takes effect."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._initial: tuple[str, ...] = ()
        self.made = 0

    async def meets(self, fault: Fault, now: int) -> bool:
        """Count one request that matches a fault, and return whether the fault applies to it."""
        return fault.meets(now)

    async def refresh(self) -> None:
        """Bring the counts of the faults up to date."""

    def begin(self) -> None:
        """Mark the current faults as those that each namespace begins with."""
        self._initial = tuple(self._faults)

    @property
    def is_changed(self) -> bool:
        """Whether faults were added or removed since `begin`, or a request has matched one."""
        return tuple(self._faults) != self._initial or any(fault.matched for fault in self)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, fault: Fault) -> None:
        self._faults[fault.id] = fault

    def remove(self, id_: str) -> bool:
        """Return whether there was such a fault."""
        return self._faults.pop(id_, None) is not None

    def clear(self) -> None:
        self._faults.clear()
