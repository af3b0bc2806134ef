"""How much memory the bodies that are being handled may take together."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """Bytes that are taken before something is read, and given back behind it. Who comes first is served first."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._total = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Waits until there are so many bytes, or all there are; returns how many were taken."""
        size = min(size, self._total)
        if not self._waiting and size <= self._left:
            self._left -= size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            raise
        return size

    def give_back(self, size: int) -> None:
        self._left += size
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if size > self._left:
                    return
                self._left -= size
                turn.set_result(None)
            self._waiting.popleft()
