"""The deadlines of the guard: the time of a check, and a grace period after it for cleaning up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.core.exchange import SAFE_METHODS
from contracts.guard.rate_limiter import Clock

_GRACE_FOR_CREATES: Final = 1 / 3
"""The first part of the grace period, in which a create may still be answered, so that its runs can be cleaned up."""
_GRACE_FOR_COUNTING: Final = 1 / 3
"""The last part of the grace period, reserved for counting the runs that are left: no run is deleted in it."""


@dataclass(eq=False)
class Schedule:
    """The check ends at `ends_at` (monotonic). After the grace period that follows, nothing is sent or awaited."""

    ends_at: float
    clock: Clock
    grace_s: Callable[[], float]
    _cleaning_ends_at: float | None = None
    _cleaning_s: float = 0.0

    @property
    def is_cleaning(self) -> bool:
        return self._cleaning_ends_at is not None

    def begin_cleaning(self) -> None:
        """Start the grace period, now or at the end of the check's time, whichever is earlier."""
        self._cleaning_s = self.grace_s()
        self._cleaning_ends_at = min(self.clock.monotonic(), self.ends_at) + self._cleaning_s

    def left_s(self, *, creates: bool = False) -> float:
        """Return the time left for a request of the check."""
        extra_s = self.grace_s() * _GRACE_FOR_CREATES if creates else 0.0
        return self.ends_at + extra_s - self.clock.monotonic()

    def left_for_guard_s(self, method: str) -> float:
        """Return the time left for a request of the guard itself."""
        if self._cleaning_ends_at is None:
            return self.left_s()
        reserved_s = 0.0 if method in SAFE_METHODS else self._cleaning_s * _GRACE_FOR_COUNTING
        return self._cleaning_ends_at - reserved_s - self.clock.monotonic()
