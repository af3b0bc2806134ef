"""A fault: a match, how often it applies, and one effect; and the faults of a namespace in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mockserver.faults.effects import Effect
from mockserver.matching import RequestMatch


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request must hold beside its method and path: headers by lower-case name, body values by JSON pointer."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occasions:
    """Which of the requests that match are met. `first` and `last` count from 1, in each `cycle` of so many if given.

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
    """`source` is what it was made from, as the control API shows it."""

    id: str
    match: RequestMatch
    conditions: Conditions
    occasions: Occasions
    effect: Effect
    source: Mapping[str, Any]
    seed: str
    """What is drawn follows from it and from how many requests have matched."""
    matched: int = 0
    applied: int = 0

    def is_over(self, now: int) -> bool:
        occasions = self.occasions
        return (occasions.times is not None and self.applied >= occasions.times) or (
            occasions.until is not None and now >= occasions.until
        )

    def meets(self, now: int) -> bool:
        """Counts one request that matches, and tells whether the fault applies to it."""
        if self.is_over(now):
            return False
        self.matched += 1
        occasions = self.occasions
        place = self.matched if occasions.cycle is None else (self.matched - 1) % occasions.cycle + 1
        if place < occasions.first or (occasions.last is not None and place > occasions.last):
            return False
        if occasions.probability < 1 and self._random("apply").random() >= occasions.probability:
            return False
        self.applied += 1
        return True

    def effect_random(self) -> Random:
        """For what the effect draws, for the request that has matched last."""
        return self._random("effect")

    def _random(self, what: str) -> Random:
        return Random(f"{self.seed} {self.matched} {what}")

    def shown(self, now: int) -> dict[str, Any]:
        counts = {"matched": self.matched, "applied": self.applied, "active": not self.is_over(now)}
        return {"id": self.id, **self.source, **counts}


class Faults:
    """Of one namespace. The first that meets a request applies to it."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._first: tuple[str, ...] = ()
        self.made = 0

    def begin(self) -> None:
        """What there is now is what each namespace begins with."""
        self._first = tuple(self._faults)

    @property
    def is_changed(self) -> bool:
        """Whether they are others than at the beginning, or have been met."""
        return tuple(self._faults) != self._first or any(fault.matched for fault in self)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, fault: Fault) -> None:
        self._faults[fault.id] = fault

    def get(self, id_: str) -> Fault | None:
        return self._faults.get(id_)

    def remove(self, id_: str) -> bool:
        """Whether there was one."""
        return self._faults.pop(id_, None) is not None

    def clear(self) -> None:
        self._faults.clear()
