"""Delays requests: enforces the configured rate and the target's Retry-After."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.core.exchange import Answer, retry_after_of
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.refusals import OutOfBudget

_WAIT_WITHOUT_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class RateLimiter:
    """Thread-safe. Spaces requests evenly, `1 / rate` seconds apart; a group takes all its slots at once."""

    def __init__(self, rate: float | None, clock: Clock, bounds: Bounds = BOUNDS) -> None:
        self._bounds = bounds
        self._interval_s = 1 / rate if rate else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next_at = clock.monotonic()
        self._paused = False
        self._asked_s = 0.0

    def wait(self, requests: int = 1, *, left_s: Callable[[], float] = lambda: float("inf")) -> None:
        """Sleep until that many requests may be sent. Raises OutOfBudget if that takes longer than `left_s`, or if the
        target asked for a pause longer than `Bounds.wait_s`.
        """
        if not self._interval_s and not self._paused:
            return
        with self._lock:
            now = self._clock.monotonic()
            at = max(now, self._next_at)
            # Called after the clock: a delay between the two must not make the pause seem shorter than the time left.
            longest_s = left_s()
            if self._paused and (at - now > self._bounds.wait_s or at - now >= longest_s):
                raise OutOfBudget(
                    f"the target asked to wait for {self._asked_s:.0f} s (Retry-After), longer than there is time for"
                )
            if at - now > longest_s:
                raise OutOfBudget("no time is left at this rate (--rate, --max-time)")
            self._next_at = at + requests * self._interval_s
            self._paused = self._paused and at > now
        if at > now:
            self._clock.sleep(at - now)

    def pause(self, seconds: float, *, asked_s: float | None = None) -> None:
        """Delay all later requests by at least that time. `asked_s` is the time that the target asked for, if it is
        longer than the pause.
        """
        with self._lock:
            until = self._clock.monotonic() + seconds
            if until >= self._next_at:
                self._next_at, self._asked_s = until, seconds if asked_s is None else asked_s
            self._paused = True

    def asked_wait_s(self, answer: Answer, attempt: int) -> float:
        """Return the wait that Retry-After asks for. Without a valid one: 1 s, doubled with each attempt."""
        asked = retry_after_of(answer)
        if asked is None:
            return _WAIT_WITHOUT_RETRY_AFTER_S * (1 << attempt)
        if isinstance(asked, datetime):
            return max(0.0, (asked - self._clock.now()).total_seconds())
        return asked
