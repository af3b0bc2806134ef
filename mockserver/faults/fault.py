"""A fault: a match, how often it applies, and one effect; and the ordered faults of a namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mockserver.events import SMALL_BYTES
from mockserver.faults.effects import Effect
from mockserver.matching import RequestMatch

_MAX_BYTES_IN_EVENT = 8_192


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request must have besides its method and path: headers by lower-case name, body values by JSON pointer."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frequency:
    """Which of the matching requests a fault applies to.

    `first` and `last` are numbers of requests, from 1. With a `cycle`, they begin again after this many.
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
    """`source` is the JSON that it was made from, as the control API shows it, and `size` its length in bytes.

    `can_change` says whether its effect can change the answer to a request with this method and operation. Other
    requests do not match, so that they do not count.
    """

    id: str
    match: RequestMatch
    conditions: Conditions
    frequency: Frequency
    effect: Effect
    source: Mapping[str, Any]
    size: int
    seed: str
    """Random draws are derived from it and from the number of requests that have matched."""
    can_change: Callable[[str, str | None], bool]
    matched: int = 0
    applied: int = 0

    def matches(self, method: str, path: str, operation_id: str | None) -> bool:
        return self.match.matches(method, path, operation_id) and self.can_change(method, operation_id)

    def is_over(self, now: int) -> bool:
        frequency = self.frequency
        return (frequency.times is not None and self.applied >= frequency.times) or (
            frequency.until is not None and now >= frequency.until
        )

    def count_match(self, now: int) -> bool:
        """Count one matching request, and return whether the fault applies to it."""
        if self.is_over(now):
            return False
        self.matched += 1
        if not self.is_selected():
            return False
        self.applied += 1
        return True

    def is_selected(self) -> bool:
        """Whether the fault applies to the last matching request, by its number and by chance."""
        frequency = self.frequency
        place = self.matched if frequency.cycle is None else (self.matched - 1) % frequency.cycle + 1
        if place < frequency.first or (frequency.last is not None and place > frequency.last):
            return False
        return frequency.probability >= 1 or self._random("apply").random() < frequency.probability

    def effect_random(self) -> Random:
        """Return the random generator of the effect, for the last matching request."""
        return self._random("effect")

    def _random(self, what: str) -> Random:
        return Random(f"{self.seed} {self.matched} {what}")

    def shown(self, now: int, *, in_event: bool = False) -> dict[str, Any]:
        """In an event, a large fault has no conditions and no effect: a thousand events may wait for a reader."""
        source = {"match": self.match.text} if in_event and self.size > _MAX_BYTES_IN_EVENT else self.source
        counts = {"matched": self.matched, "applied": self.applied, "active": not self.is_over(now)}
        return {"id": self.id, **source, **counts}

    @property
    def size_in_event(self) -> int:
        return SMALL_BYTES + min(self.size, _MAX_BYTES_IN_EVENT)


class Faults:
    """The faults of one namespace. Only the first one that applies to a request takes effect."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._initial: tuple[str, ...] = ()
        self.made = 0

    async def count_match(self, fault: Fault, now: int) -> bool:
        """Count one request that matches a fault, and return whether the fault applies to it."""
        return fault.count_match(now)

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
