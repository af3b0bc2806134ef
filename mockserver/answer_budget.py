"""Limits the memory of the large answers that clients have not read yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Scope

from mockserver import delays
from mockserver.byte_budget import TimedBudget
from mockserver.errors import Unavailable
from mockserver.scope_keys import CONNECTION_KEY


class AnswerBudget(TimedBudget):
    """Once an answer has to wait for memory, those that are being sent have `timeout_s` seconds to be read: clients may
    read a byte now and then.
    """

    async def take_for(self, scope: Scope, size: int) -> int:
        """As `take`. Raises Unavailable if another client needs the connection meanwhile."""
        try:
            return await delays.wait(self.take(size), scope)
        except Unavailable as error:
            raise Unavailable(f"{error.detail}. The request was handled", error.headers) from None

    async def send(self, sending: Awaitable[None], scope: Scope) -> None:
        """Send an answer that has memory. If others wait for it too long, close the connection."""
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                self.limit(deadline)
                await sending
        except TimeoutError:
            connection = scope.get(CONNECTION_KEY)
            if connection is None:  # under another server, which closes it
                raise
            connection.abort()
        finally:
            self.release(deadline)
