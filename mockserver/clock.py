"""The clock of the mock: injected everywhere, in integer microseconds, and under the control of a test.

A reading has two parts. A *moment* is what clients see in `created_at`: microseconds since 1970 UTC. It follows the
wall clock until the clock is frozen at another moment or advanced. *Simulated time* (`sim_time`) drives the runs: it
never goes back, and passes `scale` times faster than the moments. The durations of a run are counted in simulated time
and shown as moments, so with a scale a day of runs passes in minutes and its timestamps stay near now.

Freezing stops both. Advancing moves both by exactly the same amount, whatever the scale. A change of scale begins a new
segment; earlier simulated times keep their moments.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

real_time = time.monotonic
"""Seconds of real time, to measure durations. Clients of the API never see them."""

SECOND = 1_000_000
FOREVER = 1 << 62
"""A moment or simulated time that is never reached."""


class Instant(NamedTuple):
    """One reading of the clock."""

    moment: int
    sim_time: int


class _Segment(NamedTuple):
    """Where a scale begins to apply. After a `jump`, the moment does not follow from the previous segment."""

    sim_time: int
    moment: int
    scale: float
    jump: bool


class Clock:
    """`source` returns nanoseconds since 1970. If it jumps back, the clock stands still until it has caught up."""

    _runs_by_itself = True

    def __init__(self, *, scale: float = 1.0, source: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._latest = 0
        start = self._wall()
        self._since = start  # wall time at which the base was read
        self._base = Instant(start, start)
        self._scale = scale
        self._is_frozen = False
        self._segments = [_Segment(start, start, scale, True)]
        self.is_changed = False  # whether it was ever controlled or restored
        self._is_released = False
        self._jumped = 0  # by how much freezing has moved the moments in total
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def scale(self) -> float:
        return self._scale

    @property
    def is_frozen(self) -> bool:
        return self._is_frozen

    def now(self) -> int:
        return self.read().moment

    def read(self) -> Instant:
        if self._is_frozen:
            return self._base
        # `_wall` inlined: this method is too hot for another call.
        wall = self._source() // 1000
        if wall < self._latest:
            wall = self._latest
        else:
            self._latest = wall
        passed = wall - self._since
        moment, sim_time = self._base
        if self._scale == 1:
            return Instant(moment + passed, sim_time + passed)
        return Instant(moment + passed, max(sim_time, min(_LAST_SIM_TIME, sim_time + math.floor(passed * self._scale))))

    def _wall(self) -> int:
        wall = self._source() // 1000
        if wall < self._latest:
            return self._latest
        self._latest = wall
        return wall

    # --- Control

    def rescale(self, scale: float) -> None:
        """Make simulated time pass `scale` times faster than the moments from now on; 0 stops it."""
        at = self.read()
        self._scale = scale
        self._continue_from(at)

    def freeze(self, moment: int | None = None) -> None:
        """Stop the clock, at `moment` if given (later or earlier than now). Simulated time does not jump with it."""
        at = self.read()
        self._is_frozen = True
        if moment is None or moment == at.moment:
            self._continue_from(at, is_new=False)
        else:
            self._jumped += moment - at.moment
            # Simulated times until now keep their moments: the new segment begins one microsecond later.
            self._continue_from(Instant(moment, at.sim_time + 1), jump=True)

    def resume(self) -> None:
        """Let the clock run again, from the moment at which it stands."""
        at = self.read()
        self._is_frozen = False
        self._continue_from(at, is_new=False)

    def advance(self, seconds: float) -> None:
        """Move moments and simulated time forward by `seconds`, exact to the microsecond. Raises as `check_step`."""
        self.check_step(seconds, self.now())
        micros = round(seconds * SECOND)
        at = self.read()
        then = Instant(at.moment + micros, at.sim_time + micros)
        if self._scale == 1:
            self._continue_from(then, is_new=False)
        else:
            self._segments.append(_Segment(at.sim_time, at.moment, 1.0, False))
            self._continue_from(then)

    @property
    def has_sleepers(self) -> bool:
        return bool(self._waiting)

    def release(self) -> None:
        """Wake all sleepers, whatever the time: for a clock that can no longer be controlled."""
        self._is_released = True
        self._wake_all()

    def _continue_from(self, base: Instant, *, is_new: bool = True, jump: bool = False) -> None:
        """`is_new` if moments and simulated time do not continue on the line of the last segment."""
        self.is_changed = True
        self._since = self._wall()
        self._base = base = Instant(base.moment, min(base.sim_time, FOREVER - 1))
        if is_new or self._scale != 1:
            self._segments.append(_Segment(base.sim_time, base.moment, self._scale, jump))
            if len(self._segments) > _MAX_SEGMENTS:
                # Times before the oldest segment that is kept are extrapolated from it.
                del self._segments[: _MAX_SEGMENTS // 2]
        self._wake_all()

    def check_step(self, seconds: float, since: int) -> None:
        """Raises ValueError if the clock cannot be advanced by `seconds` from the moment `since`."""
        if not 0 <= seconds <= _MAX_STEP_S:
            raise ValueError(f"the clock is advanced by 0 to {_MAX_STEP_S:,} seconds, not by {seconds:,.15g}")
        micros = round(seconds * SECOND)
        if since + micros > LAST_MOMENT:
            raise ValueError(f"{seconds:,.15g} seconds after {text_of(since)} the year would be past 9999")
        if micros and self.read().sim_time + micros > _LAST_SIM_TIME:
            raise ValueError(
                "the clock has been advanced by 36,000 years in all, which is the most; a reset begins anew"
            )

    def _wake_all(self) -> None:
        for waiting in tuple(self._waiting):
            # Any thread may change the clock. RuntimeError: the event loop of the sleeper is closed.
            with suppress(RuntimeError):
                waiting.get_loop().call_soon_threadsafe(_wake, waiting)

    # --- Conversion and waiting

    def moment_of(self, sim_time: int) -> int:
        """Return the first moment with this simulated time, past or future; FOREVER if scale 0 stops it before."""
        if sim_time >= FOREVER:
            return FOREVER
        segments = self._segments
        place = max(0, bisect_right(segments, sim_time, key=lambda each: each.sim_time) - 1)
        while place and segments[place].sim_time == sim_time and not segments[place].jump:
            place -= 1
        segment = segments[place]
        ahead = sim_time - segment.sim_time
        if segment.scale == 1 or ahead <= 0:
            return segment.moment + ahead
        if not segment.scale or ahead / segment.scale >= FOREVER:
            return FOREVER
        moment = segment.moment + math.ceil(ahead / segment.scale)
        # The float division may be off by one, either way.
        while math.floor((moment - segment.moment) * segment.scale) < ahead:
            moment += 1
        while math.floor((moment - 1 - segment.moment) * segment.scale) >= ahead:
            moment -= 1
        return moment

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock has moved forward by `seconds`: as time passes, or at once when it is advanced."""
        until = self._elapsed() + round(seconds * SECOND)
        while (left := until - self._elapsed()) > 0 and not self._is_released:
            loop = asyncio.get_running_loop()
            changed = loop.create_future()
            self._waiting.add(changed)
            runs = self._runs_by_itself and not self._is_frozen
            timer = loop.call_later(left / SECOND, _wake, changed) if runs else None
            try:
                await changed
            finally:
                self._waiting.discard(changed)
                if timer is not None:
                    timer.cancel()

    def _elapsed(self) -> int:
        """The current moment, without the jumps of freezing."""
        return self.now() - self._jumped

    # --- State

    def state(self) -> dict[str, Any]:
        """Return JSON. A running clock is stored relative to the wall clock: it continues to run while it is stored."""
        return {
            "scale": self._scale,
            "frozen": self._is_frozen,
            "moment": self._base.moment,
            "sim_time": self._base.sim_time,
            "wall": self._since,
            "jumped": self._jumped,
            "segments": [list(segment) for segment in self._segments],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError, TypeError or OverflowError for a value that `state` did not return."""
        if len(state["segments"]) > _MAX_SEGMENTS:
            raise ValueError(f"there are more than {_MAX_SEGMENTS} segments")
        segments = [
            _Segment(int(sim_time), int(moment), float(scale), bool(jump))
            for sim_time, moment, scale, jump in state["segments"]
        ]
        if not segments or any(one.sim_time > other.sim_time for one, other in pairwise(segments)):
            raise ValueError("the segments of a clock stand in the order of their simulated time")
        base, wall, scale = (
            Instant(int(state["moment"]), int(state["sim_time"])),
            int(state["wall"]),
            float(state["scale"]),
        )
        if not all(0 <= each <= MAX_SCALE for each in (scale, *(segment.scale for segment in segments))):
            raise ValueError(f"a scale is from 0 to {MAX_SCALE:,.0f}")
        if not FIRST_MOMENT <= base.moment <= LAST_MOMENT:
            raise ValueError("the moment lies outside the years 1 to 9999")
        jumped = int(state.get("jumped", 0))
        times = (base.sim_time, wall, jumped, *(time for segment in segments for time in segment[:2]))
        if not all(-FOREVER < each < FOREVER for each in times):
            raise ValueError("a time is too large")
        self._scale, self._is_frozen = scale, bool(state["frozen"])
        self._segments = segments
        self._base, self._since = base, min(wall, self._wall())
        self._jumped = jumped
        self.is_changed = True
        self._wake_all()


_MAX_SEGMENTS = 10_000
_MAX_STEP_S = 1_000_000_000
MAX_SCALE = 1e6
FIRST_MOMENT = -62_135_596_800_000_000  # the first of year 1 and the last of 9999: the range of RFC 3339
LAST_MOMENT = 253_402_300_799_999_999
_LAST_SIM_TIME = 1 << 60
"""Some 36,000 years. Simulated time is never advanced or scaled beyond it, so that no sum with it reaches FOREVER."""


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class ManualClock(Clock):
    """Stands still until it is advanced, and the runs with it: for tests in the process of the mock."""

    _runs_by_itself = False

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, scale: float = 1.0) -> None:
        self._moment_ns = moment_from(start) * 1000
        super().__init__(scale=scale, source=lambda: self._moment_ns)

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` of wall time pass, and `scale` times as much simulated time. Raises ValueError if negative."""
        if seconds < 0:
            raise ValueError(f"time does not go back, and {seconds:g} s is a step back")
        self._moment_ns += round(seconds * 1_000_000_000)
        self._wake_all()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_of(moment: int) -> str:
    """Format as RFC 3339 with microseconds, in UTC: `2023-11-07T05:31:56.000000Z`."""
    if not FIRST_MOMENT <= moment <= LAST_MOMENT:
        # A running clock, or a time zone offset, may lead outside the years that RFC 3339 can represent.
        moment = FIRST_MOMENT if moment < FIRST_MOMENT else LAST_MOMENT
    seconds, micros = divmod(moment, SECOND)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def moment_from(when: datetime) -> int:
    """Convert exactly, to the microsecond. A date-time without a zone is read as UTC."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    delta = when - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|[smhd])")


def seconds_from(text: str) -> float:
    """Read a duration such as `20m`, `1h30m` or `250ms`. Raises ValueError."""
    plain = text.replace(" ", "")
    parts = _PART.findall(plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain:
        raise ValueError(f"invalid duration {text!r}; use 20m, 1h30m, 90s, 250ms, or a number of seconds")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
