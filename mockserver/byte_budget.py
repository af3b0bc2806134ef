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
