"""Tracks whether the target can be reached and answers. While it does not, requests wait: it may be restarting."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.core.exchange import Request
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.rate_limiter import Clock
from contracts.guard.refusals import NoAnswer

_PAUSE_S = 0.2


@dataclass(eq=False)
class Reachability:
    """Thread-safe."""

    clock: Clock
    bounds: Bounds = BOUNDS
    why_gone: str = ""
    """Why no request was answered, once that has lasted `gone_s`; "" until then. No request waits again."""
    unanswered: list[Request] = field(default_factory=list)
    """The requests that reached the target since its last answer, and got none: one of them may have ended it."""
    _was_reached: bool = False
    _answered_at: float = 0.0
    _failing_since: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_unanswered(self, request: Request) -> None:
        with self._lock:
            self._was_reached = True
            if not self.why_gone:
                self.unanswered.append(request)

    def note_answered(self) -> None:
        with self._lock:
            self._was_reached = True
            self._answered_at = self.clock.monotonic()
            self._failing_since = None
            self.unanswered.clear()

    def wait(self, why: str, *, sent_at: float) -> bool:
        """Wait after a request that got no answer, and return whether to try again. `why` is the reason.

        `sent_at` is monotonic. A target that was never reached is not waited for: its URL may be wrong.
        """
        with self._lock:
            now = self.clock.monotonic()
            if self._failing_since is None:
                self._failing_since = sent_at if self._answered_at <= sent_at else now
            if not self._was_reached or self.why_gone:
                return False
            if now - self._failing_since >= self.bounds.gone_s:
                self.why_gone = why
                return False
        self.clock.sleep(_PAUSE_S)
        return True

    def require_answer(self, send: Callable[[], object]) -> None:
        """Call `send`, which sends a read, until that gets an answer. Raises NoAnswer once the target is gone."""
        while True:
            sent_at = self.clock.monotonic()
            try:
                send()
                return
            except NoAnswer as error:
                if not self.wait(str(error), sent_at=sent_at):
                    raise

    def note_cut_off(self, why: str, *, sent_at: float) -> None:
        """Note that the end of the check cut off a request: the target may have stopped answering long before."""
        with self._lock:
            silent_s = self.clock.monotonic() - max(sent_at, self._answered_at)
            if self._was_reached and silent_s >= self.bounds.silent_s and not self.why_gone:
                self.why_gone = f"{why}, after {silent_s:.0f} s without any answer"
