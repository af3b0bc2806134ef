"""Read request bodies, with a size limit for each and a shared limit for all large ones."""

from __future__ import annotations

from starlette.types import Receive

from mockserver.byte_budget import ByteBudget
from mockserver.errors import TooLarge
from mockserver.headers import Headers

LARGE_BODY = 65_536
"""In bytes. A larger body takes its size from the shared budget, and is decoded in a thread."""


class Disconnected(Exception):
    """The client disconnected before it had sent the whole request: nobody is left to answer."""


class Bodies:
    """`max_bytes` limits one body; `max_together` limits all large bodies that are in use at the same time."""

    def __init__(self, *, max_bytes: int, max_together: int) -> None:
        self._max_bytes = max_bytes
        self._small_bytes = min(LARGE_BODY, max_bytes)
        self._budget = ByteBudget(max_together)

    async def read(self, headers: Headers, receive: Receive) -> tuple[bytes, int]:
        """Return the body, and how many bytes to give back once its request has been handled.

        Raises TooLarge (before reading, if Content-Length exceeds the limit), and Disconnected if the client leaves.
        """
        length = headers.get(b"content-length")
        announced = int(length) if length is not None and length.isdigit() else 0
        if announced > self._max_bytes:
            raise self._too_large()
        taken = await self._budget.take(announced) if announced > LARGE_BODY else 0
        try:
            message = await receive()
            body: bytes = message.get("body", b"")
            if not message.get("more_body") and message["type"] == "http.request" and len(body) <= self._small_bytes:
                return body, taken
            parts: list[bytes] = []
            size = 0
            while message["type"] == "http.request":
                body = message.get("body", b"")
                size += len(body)
                if size > self._max_bytes:
                    raise self._too_large()
                if size > LARGE_BODY and not taken:
                    taken = await self._budget.take(self._max_bytes)
                parts.append(body)
                if not message.get("more_body"):
                    return b"".join(parts) if len(parts) > 1 else body, taken
                message = await receive()
            raise Disconnected
        except BaseException:
            self.give_back(taken)
            raise

    def give_back(self, taken: int) -> None:
        if taken:
            self._budget.give_back(taken)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._max_bytes} bytes")
