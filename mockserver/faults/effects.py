"""What a fault does to one exchange: in place of its answer, to its answer, or to its connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from starlette.types import Message, Receive, Scope, Send

from mockserver.clock import Clock
from mockserver.errors import NotSupported
from mockserver.faults.schema_breaks import How, broken
from mockserver.journal import JOURNAL_KEY, Entry

Delay = Callable[[Random], float]
"""Draws seconds."""


class Connection(Protocol):
    """What the mock's own protocol offers in a scope, beside ASGI."""

    def reset(self) -> None:
        """Ends the connection at once, with a TCP reset."""

    def leave_at_eof(self) -> None:
        """A client that ends its side counts as gone."""

    def write_raw(self, data: bytes) -> None:
        """Writes bytes as they are, in place of an answer."""

    def end(self) -> None:
        """Closes the connection behind what was written."""


CONNECTION_KEY = "mockserver.connection"


@dataclass(slots=True)
class Exchange:
    """A request on its way to the application, and what an effect may use of it."""

    scope: Scope
    receive: Receive
    send: Send
    handle: Callable[[Scope, Receive, Send], Awaitable[None]]
    clock: Clock
    random: Random

    @property
    def connection(self) -> Connection:
        """Raises NotSupported where the application runs behind another server."""
        connection: Connection | None = self.scope.get(CONNECTION_KEY)
        if connection is None:
            raise NotSupported("This fault needs a connection: serve the mock with `mockserver serve` or MockServer")
        return connection

    def record(self, status: int | None, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """What the client was sent, for the journal; status None where no answer was."""
        entry: Entry | None = self.scope.get(JOURNAL_KEY)
        if entry is not None:
            entry.answered(status, headers, body)

    def record_no_answer(self) -> None:
        self.record(None, [], b"")

    async def captured(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Lets the application answer, and keeps the answer from the client: the journal waits for what is sent."""
        entry: Entry | None = self.scope.get(JOURNAL_KEY)
        if entry is not None:
            entry.is_held_back = True
        start: Message = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                parts.append(message.get("body", b""))

        try:
            await self.handle(self.scope, self.receive, keep)
        finally:
            if entry is not None:
                entry.is_held_back = False
        return start["status"], list(start["headers"]), b"".join(parts)

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.record(status, headers, body)
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})


class Effect(Protocol):
    async def apply(self, exchange: Exchange) -> None: ...


@dataclass(frozen=True, slots=True)
class Delayed:
    """Another effect after a while, or none but the wait."""

    delay: Delay
    effect: Effect | None

    async def apply(self, exchange: Exchange) -> None:
        await exchange.clock.sleep(self.delay(exchange.random))
        if self.effect is None:
            await exchange.handle(exchange.scope, exchange.receive, exchange.send)
        else:
            await self.effect.apply(exchange)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in place of that of the mock, which never sees the request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def apply(self, exchange: Exchange) -> None:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        names = {name for name, _ in headers}
        if self.status not in (204, 304):
            if b"content-type" not in names:
                headers.append((b"content-type", b"application/json"))
            if b"content-length" not in names:
                headers.append((b"content-length", b"%d" % len(self.body)))
        await exchange.answer(self.status, headers, self.body)


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the client goes away, or for so many seconds; then the connection is closed."""

    for_s: float | None = None

    async def apply(self, exchange: Exchange) -> None:
        connection: Connection | None = exchange.scope.get(CONNECTION_KEY)
        if connection is not None:
            connection.leave_at_eof()
        gone = asyncio.ensure_future(self._until_gone(exchange))
        waits = [gone]
        if self.for_s is not None:
            waits.append(asyncio.ensure_future(exchange.clock.sleep(self.for_s)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            exchange.record_no_answer()
        if not gone.done():
            exchange.connection.reset()

    async def _until_gone(self, exchange: Exchange) -> None:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, and the request never handled."""

    async def apply(self, exchange: Exchange) -> None:
        connection = exchange.connection
        exchange.record_no_answer()
        connection.reset()


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """The request is handled, and the connection reset in place of the answer."""

    async def apply(self, exchange: Exchange) -> None:
        connection = exchange.connection
        await exchange.captured()
        exchange.record_no_answer()
        connection.reset()


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed after so many bytes of the answer's body."""

    after_bytes: int

    async def apply(self, exchange: Exchange) -> None:
        connection = exchange.connection
        status, headers, body = await exchange.captured()
        # One byte is kept back in any case: an answer that is whole is not cut.
        part = body[: min(self.after_bytes, max(0, len(body) - 1))]
        exchange.record(status, headers, part)
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
        connection.end()


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no HTTP, then the end of the connection."""

    async def apply(self, exchange: Exchange) -> None:
        connection = exchange.connection
        exchange.record_no_answer()
        connection.write_raw(b"\x00\xff" + exchange.random.randbytes(200))
        connection.end()


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer in a trickle, over so many seconds in all."""

    over_s: float
    pieces: int = 20

    async def apply(self, exchange: Exchange) -> None:
        status, headers, body = await exchange.captured()
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        size = max(1, math.ceil(len(body) / self.pieces))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        try:
            for piece in pieces:
                await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
                await exchange.clock.sleep(self.over_s / len(pieces))
            await exchange.send({"type": "http.response.body", "body": b""})
        finally:
            exchange.record(status, headers, body)


@dataclass(frozen=True, slots=True)
class NotJSON:
    """A whole answer whose body is not JSON: its first bytes, or something else."""

    after_bytes: int | None

    async def apply(self, exchange: Exchange) -> None:
        status, headers, body = await exchange.captured()
        if self.after_bytes is None:
            body = b'{"detail": <not json>'
        else:
            body = body[: min(self.after_bytes, max(0, len(body) - 1))]
        await exchange.answer(status, _sized(headers, len(body)), body)


@dataclass(frozen=True, slots=True)
class BreakSchema:
    """An answer that breaks the schema of its operation in one way."""

    how: How

    async def apply(self, exchange: Exchange) -> None:
        status, headers, body = await exchange.captured()
        body = broken(body, self.how)
        await exchange.answer(status, _sized(headers, len(body)), body)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the application does when it is asked to, by a value in the scope."""

    key: Literal["mockserver.failed", "mockserver.failed_share"]
    value: float

    async def apply(self, exchange: Exchange) -> None:
        exchange.scope[self.key] = self.value
        await exchange.handle(exchange.scope, exchange.receive, exchange.send)


@dataclass(frozen=True, slots=True)
class StaleRead:
    """The answer that the same request got before; where the journal holds none, what was so long ago."""

    stale_s: float

    async def apply(self, exchange: Exchange) -> None:
        entry: Entry | None = exchange.scope.get(JOURNAL_KEY)
        before = _same_before(entry) if entry is not None else None
        if before is not None:
            await exchange.answer(200, list(before.answer_headers), before.answer)
        else:
            exchange.scope["mockserver.stale_s"] = self.stale_s
            await exchange.handle(exchange.scope, exchange.receive, exchange.send)


def _same_before(entry: Entry) -> Entry | None:
    def asked(each: Entry) -> tuple[object, ...]:
        return each.method, each.path, each.query, dict(each.headers).get(b"authorization")

    wanted = asked(entry)
    for before in reversed(list(entry.journal)):
        is_whole = before.status == 200 and before.answer_bytes == len(before.answer)
        if before.seq < entry.seq and is_whole and asked(before) == wanted:
            return before
    return None


def _sized(headers: list[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    kept = [header for header in headers if header[0] != b"content-length"]
    return [*kept, (b"content-length", b"%d" % size)]
