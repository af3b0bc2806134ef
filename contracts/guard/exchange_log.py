"""Stores the exchanges of a check, within bounds, and why requests were not sent or got no complete answer."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.core.exchange import Exchange
from contracts.guard.bounds import Bounds


@dataclass(eq=False, repr=False)
class ExchangeLog:
    """Thread-safe. It keeps the last exchanges, the first throttled ones, and the first reasons."""

    bounds: Bounds
    throttled: list[Exchange] = field(default_factory=list)
    throttled_count: int = 0
    _exchanges: deque[Exchange] = field(default_factory=deque)
    _recorded_bytes: int = 0
    _skipped: dict[str, None] = field(default_factory=dict)
    _lost_answers: int = 0
    _first_lost: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, exchange: Exchange) -> None:
        size = _size(exchange)
        with self._lock:
            self._exchanges.append(exchange)
            self._recorded_bytes += size
            while len(self._exchanges) > self.bounds.exchanges or self._recorded_bytes > self.bounds.recorded_bytes:
                oldest = self._exchanges.popleft()
                self._recorded_bytes -= _size(oldest)

    def add_throttled(self, exchange: Exchange) -> None:
        with self._lock:
            self.throttled_count += 1
            if len(self.throttled) < self.bounds.throttled and _size(exchange) <= self.bounds.throttled_bytes:
                self.throttled.append(exchange)

    def add_lost(self, reason: str) -> None:
        with self._lock:
            self._lost_answers += 1
            self._first_lost = self._first_lost or reason

    def add_skipped(self, reason: str) -> None:
        with self._lock:
            if len(self._skipped) < self.bounds.skipped:
                self._skipped[reason] = None

    @property
    def exchanges(self) -> Sequence[Exchange]:
        with self._lock:
            return tuple(self._exchanges)

    @property
    def skipped(self) -> Sequence[str]:
        with self._lock:
            return tuple(self._skipped)

    @property
    def lost(self) -> str | None:
        """A sentence on the requests without a complete answer; None if there are none."""
        with self._lock:
            if not self._lost_answers:
                return None
            times = "once" if self._lost_answers == 1 else f"{self._lost_answers} times, first"
            return f"no complete answer came {times}: {self._first_lost}"


def _size(exchange: Exchange) -> int:
    headers = (*exchange.request.headers, *exchange.answer.headers)
    header_size = sum(len(name) + len(value) for name, value in headers)
    return len(exchange.request.body or b"") + len(exchange.answer.body) + header_size
