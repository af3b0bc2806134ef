"""Tracks whether the target can be reached. While it cannot, requests wait, since it may be restarting."""

import threading

from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.rate_limiter import Clock

_PAUSE_S = 0.2


class Reachability:
    """Thread-safe."""

    def __init__(self, clock: Clock, bounds: Bounds = BOUNDS) -> None:
        self._clock = clock
        self._bounds = bounds
        self._lock = threading.Lock()
        self._was_reached = False
        self._failing_since: float | None = None
        self.why_gone = ""
        """Why the target could not be reached, once that has lasted `gone_s`; "" until then. No request waits again."""

    def note_reached(self) -> None:
        with self._lock:
            self._was_reached = True
            self._failing_since = None

    def wait(self, why: str) -> bool:
        """Wait after a request that could not connect, and return whether to try again. `why` is the reason.

        A target that was never reached is not waited for: its URL may be wrong.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._failing_since is None:
                self._failing_since = now
            if not self._was_reached or self.why_gone:
                return False
            if now - self._failing_since >= self._bounds.gone_s:
                self.why_gone = why
                return False
        self._clock.sleep(_PAUSE_S)
        return True
