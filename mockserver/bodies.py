"""Reading the bodies of requests: up to a size each, and up to a size all together."""

from __future__ import annotations

from starlette.types import Receive

from mockserver.byte_budget import ByteBudget
from mockserver.errors import TooLarge
from mockserver.headers import Headers

LARGE_BODY = 65_536
"""A larger body takes its bytes from the budget, and is worth a thread."""


class Disconnected(Exception):
    """The client has gone before its request was whole: there is nobody to answer, and nothing to do."""


class Bodies:
    """`most_bytes` is the longest body, `most_together` how many bytes all large ones that are handled may have."""

    def __init__(self, *, most_bytes: int, most_together: int) -> None:
        self._most_bytes = most_bytes
        self._budget = ByteBudget(most_together)

    async def read(self, headers: Headers, receive: Receive) -> tuple[bytes, int]:
        """The body, and how many bytes are to be given back when its request has been handled.

        Raises TooLarge, before it is read where its length says so; Disconnected where the client went away.
        """
        length = headers.get(b"content-length")
        announced = int(length) if length is not None and length.isdigit() else 0
        if announced > self._most_bytes:
            raise self._too_large()
        taken = await self._budget.take(announced) if announced > LARGE_BODY else 0
        try:
            message = await receive()
            body: bytes = message.get("body", b"")
            if not message.get("more_body") and message["type"] == "http.request" and len(body) <= LARGE_BODY:
                return body, taken
            parts: list[bytes] = []
            size = 0
            while message["type"] == "http.request":
                body = message.get("body", b"")
                size += len(body)
                if size > self._most_bytes:
                    raise self._too_large()
                if size > LARGE_BODY and not taken:
                    taken = await self._budget.take(self._most_bytes)
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
        return TooLarge(f"The body is larger than {self._most_bytes} bytes")
