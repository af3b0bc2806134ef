"""Time, as everything in the mock sees it: injected, never going back, in integer microseconds.

Two readings. A *moment* is what clients see in `created_at`: microseconds since 1970 UTC, true to the wall clock.
*Lived* time is what runs live by: it runs `scale` times faster than the moments do. A run's durations are counted
in lived time and shown as moments, so a day of runs passes in minutes and its timestamps still stand near now.
A change of scale starts a new stretch; what was lived before it stays as it was.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

SECOND = 1_000_000
FOREVER = 1 << 62
"""A moment or lived time that never comes."""


class _Stretch(NamedTuple):
    moment: int
    lived: int
    scale: float


class Clock:
    """`source` gives nanoseconds since 1970; it may jump, the clock does not go back."""

    def __init__(self, *, scale: float = 1.0, source: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._latest = 0
        start = self.now()
        self._stretches = [_Stretch(start, start, scale)]

    @property
    def scale(self) -> float:
        return self._stretches[-1].scale

    def now(self) -> int:
        moment = self._source() // 1000
        if moment < self._latest:
            return self._latest
        self._latest = moment
        return moment

    def rescale(self, scale: float) -> None:
        """From now on runs live `scale` times faster than the wall clock; 0 holds them still."""
        now = self.now()
        self._stretches.append(_Stretch(now, self.lived(now), scale))

    def lived(self, moment: int) -> int:
        stretches = self._stretches
        stretch = stretches[-1]
        if moment < stretch.moment:
            stretch = stretches[max(0, bisect_right(stretches, moment, key=lambda each: each.moment) - 1)]
        if stretch.scale == 1:
            return stretch.lived + moment - stretch.moment
        return self._lived_in(stretch, moment)

    def _lived_in(self, stretch: _Stretch, moment: int) -> int:
        return stretch.lived + math.floor((moment - stretch.moment) * stretch.scale)

    def moment_of(self, lived: int) -> int:
        """The first moment at which so much was, or will be, lived; FOREVER where the clock is held before it."""
        if lived >= FOREVER:
            return FOREVER
        stretches = self._stretches
        stretch = stretches[-1]
        if lived <= stretch.lived:
            # The stretch in which it was reached first: a later one may begin with as much lived.
            stretch = stretches[max(0, bisect_left(stretches, lived, key=lambda each: each.lived) - 1)]
        ahead = lived - stretch.lived
        if stretch.scale == 1 or not ahead:
            return stretch.moment + ahead
        if not stretch.scale or ahead / stretch.scale >= FOREVER:
            return FOREVER
        moment = stretch.moment + math.ceil(ahead / stretch.scale)
        # Floats may have missed it by one, either way.
        while self._lived_in(stretch, moment) < lived:
            moment += 1
        while self._lived_in(stretch, moment - 1) >= lived:
            moment -= 1
        return moment


class ManualClock(Clock):
    """Stands still until it is advanced: for tests, and for whoever wants to hold a run in its tracks."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, scale: float = 1.0) -> None:
        self._moment_ns = int(start.timestamp()) * 1_000_000_000
        super().__init__(scale=scale, source=lambda: self._moment_ns)

    def advance(self, seconds: float) -> None:
        """Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"the clock never goes back, and {seconds} s is a step back")
        self._moment_ns += int(seconds * 1_000_000_000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_of(moment: int) -> str:
    """RFC 3339 with microseconds, in UTC: `2023-11-07T05:31:56.000000Z`."""
    seconds, micros = divmod(moment, SECOND)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def moment_from(when: datetime) -> int:
    """A date-time without a zone is read as UTC. Exact to the microsecond."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    delta = when - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds
