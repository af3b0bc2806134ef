"""Limits the memory of the large answers that clients have not read yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Scope

from mockserver.byte_budget import ByteBudget
from mockserver.scope_keys import CONNECTION_KEY


class AnswerBudget(ByteBudget):
    """Once an answer has to wait for memory, those that are being sent have `timeout_s` seconds to be read, so that
    clients that read a byte now and then cannot hold up all others.
    """

    def __init__(self, total: int, *, timeout_s: float) -> None:
        super().__init__(total)
        self._timeout_s = timeout_s
        self._deadlines: set[asyncio.Timeout] = set()
        """Of the answers that are being sent."""

    async def take(self, size: int) -> int:
        if not self.has(size):
            self._set_deadlines()
        return await super().take(size)

    async def send(self, sending: Awaitable[None], scope: Scope) -> None:
        """Send an answer that has memory. If others wait for it too long, close the connection."""
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                self._deadlines.add(deadline)
                if self.has_waiters:
                    self._set_deadlines()
                await sending
        except TimeoutError:
            connection = scope.get(CONNECTION_KEY)
            if connection is None:  # under another server, which closes it
                raise
            connection.abort()
        finally:
            self._deadlines.discard(deadline)

    def _set_deadlines(self) -> None:
        at = asyncio.get_running_loop().time() + self._timeout_s
        for deadline in self._deadlines:
            if deadline.when() is None:
                deadline.reschedule(at)
