"""Read request bodies, with a size limit for each and a shared limit for all large ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope

from mockserver import delays
from mockserver.byte_budget import TimedBudget
from mockserver.errors import TooLarge, Unavailable
from mockserver.headers import headers_of

LARGE_BODY = 65_536
"""In bytes. A larger body takes its size from the shared budget, and is decoded in a thread."""


_ARRIVAL_S: Final = 0.1
"""How long a refusal waits for the body: clients may send it in another packet than the head."""


class Disconnected(Exception):
    """The client disconnected before it had sent the whole request: nobody is left to answer."""


class Bodies:
    """`max_bytes` limits one body; `max_together` limits all large bodies that are in use at the same time.

    A body takes its memory once more than LARGE_BODY bytes of it have arrived, so a client that sends next to nothing
    takes none. If one has to wait for memory, those that are arriving have `timeout_s` seconds to arrive, and those
    whose requests are delayed have as long: neither can hold up the others. One that waits twice as long is refused.
    """

    def __init__(self, *, max_bytes: int, max_together: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._small_bytes = min(LARGE_BODY, max_bytes)
        self._budget = TimedBudget(max_together, timeout_s=timeout_s)

    async def read(self, scope: Scope, receive: Receive) -> tuple[bytes, int]:
        """Return the body, and how many bytes to give back once its request has been handled.

        Raises TooLarge (before reading, if Content-Length exceeds the limit), Unavailable if it arrives too slowly
        while others wait, or has waited too long itself or while others need its connection, and Disconnected if the
        client leaves.
        """
        length = headers_of(scope).get(b"content-length")
        announced = int(length) if length is not None and length.isdigit() else 0
        if announced > self._max_bytes:
            raise self._too_large()
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body") and message["type"] == "http.request" and len(body) <= self._small_bytes:
            return body, 0
        parts: list[bytes] = []
        size = taken = 0
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                while message["type"] == "http.request":
                    body = message.get("body", b"")
                    size += len(body)
                    if size > self._max_bytes:
                        raise self._too_large()
                    if size > LARGE_BODY and not taken:
                        most = announced if announced > LARGE_BODY else self._max_bytes
                        taken = await self._take(most, deadline, scope)
                    parts.append(body)
                    if not message.get("more_body"):
                        self.give_back(taken - min(taken, size))
                        return b"".join(parts) if len(parts) > 1 else body, min(taken, size)
                    message = await receive()
                raise Disconnected
        except TimeoutError:
            self.give_back(taken)
            raise self._held_up_others("body did not arrive") from None
        except BaseException:
            self.give_back(taken)
            raise
        finally:
            self._budget.release(deadline)

    async def read_refused(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of a request that was refused before it was read, for the journal.

        It is empty unless the body is small and arrives at once.
        """
        headers = headers_of(scope)
        length = headers.get(b"content-length", b"")
        # A client that waits for "100 Continue" is not asked for a body that has no effect.
        if length.isdigit() and 0 < int(length) <= self._small_bytes and b"expect" not in headers:
            with suppress(Disconnected, TimeoutError):
                async with asyncio.timeout(_ARRIVAL_S):
                    return (await self.read(scope, receive))[0]
        return b""

    async def hold_during(self, delay: Awaitable[None]) -> None:
        """Wait for the delay of a request whose body has memory. Raises Unavailable if others wait too long."""
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                self._budget.limit(deadline)
                await delay
        except TimeoutError:
            raise self._held_up_others("request's delay was not over") from None
        finally:
            self._budget.release(deadline)

    async def _take(self, size: int, deadline: asyncio.Timeout, scope: Scope) -> int:
        try:
            # Twice: those that hold up this one end after half of it.
            async with asyncio.timeout(2 * self._budget.timeout_s):
                taken = await delays.wait(self._budget.take(size), scope)
        except TimeoutError:
            what = "Other requests use the memory for large bodies, which --max-bodies-bytes limits; try again"
            raise Unavailable(what, {"Retry-After": "1"}) from None
        self._budget.limit(deadline)
        return taken

    def _held_up_others(self, what: str) -> Unavailable:
        detail = f"Other requests wait for memory, and this {what} within {self._budget.timeout_s:g} s"
        return Unavailable(detail, {"Retry-After": "1"})

    def give_back(self, taken: int) -> None:
        if taken:
            self._budget.give_back(taken)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._max_bytes} bytes")


async def until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
