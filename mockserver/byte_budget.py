"""Limits the memory that large request bodies, or large answers, take together."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """A number of bytes: take some for a large body or answer, give them back after its use. Waiters come FIFO."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._total = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def has_waiters(self) -> bool:
        return bool(self._waiting)

    def has(self, size: int) -> bool:
        """Whether `take` would not wait."""
        return not self._waiting and min(size, self._total) <= self._left

    async def take(self, size: int) -> int:
        """Wait until `size` bytes (at most the total) are available. Return how many were taken."""
        size = min(size, self._total)
        if self.has(size):
            self._left -= size
            return size
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            # Those behind it may need less.
            self.give_back(0 if granted.cancelled() else size)
            raise
        return size

    def give_back(self, size: int) -> None:
        self._left += size
        while self._waiting:
            wanted, granted = self._waiting[0]
            if not granted.cancelled():
                if wanted > self._left:
                    return
                self._left -= wanted
                granted.set_result(None)
            self._waiting.popleft()


class TimedBudget(ByteBudget):
    """A budget whose holders have `timeout_s` seconds once another one has to wait: none can hold up the others."""

    def __init__(self, total: int, *, timeout_s: float) -> None:
        super().__init__(total)
        self.timeout_s = timeout_s
        self._deadlines: set[asyncio.Timeout] = set()

    async def take(self, size: int) -> int:
        if not self.has(size):
            self._set_deadlines()
        return await super().take(size)

    def limit(self, deadline: asyncio.Timeout) -> None:
        """Set the deadline of a holder once another one has to wait. It must be entered."""
        self._deadlines.add(deadline)
        if self.has_waiters:
            self._set_deadlines()

    def release(self, deadline: asyncio.Timeout) -> None:
        """Leave the deadline of a holder alone from now on, before it is over."""
        self._deadlines.discard(deadline)

    def _set_deadlines(self) -> None:
        at = asyncio.get_running_loop().time() + self.timeout_s
        for deadline in self._deadlines:
            if deadline.when() is None:
                deadline.reschedule(at)
