"""The effects of faults on one request: replace the answer, change it, or break the connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from mockserver.bodies import LARGE_BODY, until_disconnected
from mockserver.byte_budget import ByteBudget
from mockserver.clock import Clock
from mockserver.errors import NotSupported, Unavailable
from mockserver.faults.schema_breaks import How, broken
from mockserver.http11 import Connection
from mockserver.journal import Entry
from mockserver.reply import WITHOUT_LENGTH
from mockserver.scope_keys import CONNECTION_KEY, JOURNAL_KEY, STALE_S_KEY

Delay = Callable[[Random], float]
"""Draws a delay in seconds."""
READS = ("GET", "HEAD")
_MAX_HELD_BYTES = 33_554_432


@dataclass(slots=True)
class FaultedRequest:
    """A request before it reaches the application, and what an effect may use."""

    scope: Scope
    receive: Receive
    send: Send
    handle: Callable[[Scope, Receive, Send], Awaitable[None]]
    clock: Clock
    random: Random
    hold_during: Callable[[Awaitable[None]], Awaitable[None]]
    """Awaits a delay. Raises Unavailable if others wait too long for the memory of the request's body, or need its
    connection.
    """
    held_answers: ByteBudget
    """The memory of the answers that faults hold back. Nobody waits for it: who would, gets a 503."""
    held: int = 0
    """How much of it to give back at the end of the request."""

    @property
    def connection(self) -> Connection:
        """Raises NotSupported if the application runs under another server."""
        connection: Connection | None = self.scope.get(CONNECTION_KEY)
        if connection is None:
            raise NotSupported("This fault needs a connection: serve the mock with `mockserver serve` or MockServer")
        return connection

    def record(
        self, status: int | None, headers: list[tuple[bytes, bytes]], body: bytes, *, is_changed: bool = True
    ) -> None:
        """Record in the journal what was sent to the client. `status` is None if there was no answer.

        `is_changed`: it is not the answer of the mock.
        """
        entry: Entry | None = self.scope.get(JOURNAL_KEY)
        if entry is not None:
            entry.is_changed = is_changed
            entry.answered(status, headers, body)

    def record_no_answer(self) -> None:
        self.record(None, [], b"")

    async def captured(self, *, keeps_body: bool = True) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Let the application answer, but hold the answer back from the client and from the journal.

        Raises Unavailable if the body is kept and longer than `_MAX_HELD_BYTES`, since the answer to a bulk create may
        have gigabytes; or if all that are kept together take too much, since a slow one is kept for days.
        """
        entry: Entry | None = self.scope.get(JOURNAL_KEY)
        if entry is not None:
            entry.is_held_back = True
        start: Message = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif keeps_body:
                part: bytes = message.get("body", b"")
                if self.held + len(part) > _MAX_HELD_BYTES:
                    what = f"A fault changes answers of up to {_MAX_HELD_BYTES} bytes, and this one is longer"
                    raise Unavailable(f"{what}. The request was handled")
                if not self.held_answers.has(len(part)):
                    what = "Faults hold back as many bytes of other answers as --max-bodies-bytes allows"
                    raise Unavailable(f"{what}. The request was handled")
                self.held += await self.held_answers.take(len(part))
                parts.append(part)

        try:
            await self.handle(self.scope, self.receive, keep)
        finally:
            if entry is not None:
                entry.is_held_back = False
        return start["status"], list(start["headers"]), b"".join(parts)

    async def wait(self, seconds: float) -> bool:
        """Wait by the clock, or until the client has left. Return whether it is still there.

        Raises Unavailable as `hold_during`.
        """
        return await self.wait_for_client_or(self.clock.sleep(seconds))

    async def wait_for_client_or(self, delay: Awaitable[None] | None) -> bool:
        """Wait until the client has left or the delay is over. Return whether the client is still there."""
        gone = asyncio.ensure_future(until_disconnected(self.receive))
        waits = [gone] if delay is None else [gone, asyncio.ensure_future(delay)]

        async def first() -> None:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

        try:
            await self.hold_during(first())
            return not gone.done()
        finally:
            for each in waits:
                each.cancel()

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        self.record(status, headers, body)
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def answer_changed(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, changed: bytes
    ) -> None:
        """Answer with a changed body. An answer without a body stays as it is: one to HEAD, or a 204."""
        if body:
            headers = [header for header in headers if header[0] != b"content-length"]
            headers.append((b"content-length", b"%d" % len(changed)))
        await self.answer(status, headers, changed if body else b"")


class Effect(Protocol):
    async def apply(self, request: FaultedRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class Delayed:
    """Apply another effect after a delay; without one, only delay the request."""

    delay: Delay
    effect: Effect | None

    async def apply(self, request: FaultedRequest) -> None:
        await request.hold_during(request.clock.sleep(self.delay(request.random)))
        if self.effect is None:
            await request.handle(request.scope, request.receive, request.send)
        else:
            await self.effect.apply(request)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in place of the application, which never sees the request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def apply(self, request: FaultedRequest) -> None:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        names = {name for name, _ in headers}
        if self.status not in WITHOUT_LENGTH:
            if b"content-type" not in names:
                headers.append((b"content-type", b"application/json"))
            if b"content-length" not in names:
                headers.append((b"content-length", b"%d" % len(self.body)))
        await request.answer(self.status, headers, self.body)


@dataclass(frozen=True, slots=True)
class Hang:
    """Send no answer until the client disconnects, or for `for_s` seconds; then reset the connection."""

    for_s: float | None = None

    async def apply(self, request: FaultedRequest) -> None:
        if CONNECTION_KEY in request.scope or self.for_s is not None:
            request.connection.leave_at_eof()
        try:
            delay = None if self.for_s is None else request.clock.sleep(self.for_s)
            is_there = await request.wait_for_client_or(delay)
        finally:
            request.record_no_answer()
        if is_there:
            request.connection.reset()


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection without handling the request."""

    async def apply(self, request: FaultedRequest) -> None:
        connection = request.connection
        request.record_no_answer()
        connection.reset()


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """Handle the request, and reset the connection in place of the answer."""

    async def apply(self, request: FaultedRequest) -> None:
        connection = request.connection
        await request.captured(keeps_body=False)
        request.record_no_answer()
        connection.reset()


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection after `after_bytes` bytes of the answer's body."""

    after_bytes: int

    async def apply(self, request: FaultedRequest) -> None:
        connection = request.connection
        status, headers, body = await request.captured()
        if not body:
            # Its head would be the whole answer.
            request.record_no_answer()
            connection.end()
            return
        # Always hold back at least one byte: otherwise a short answer would be complete.
        part = body[: min(self.after_bytes, len(body) - 1)]
        request.record(status, headers, part)
        await request.send({"type": "http.response.start", "status": status, "headers": headers})
        await request.send({"type": "http.response.body", "body": part, "more_body": True})
        connection.end()


@dataclass(frozen=True, slots=True)
class Garbage:
    """Send bytes that are not HTTP, then close the connection."""

    async def apply(self, request: FaultedRequest) -> None:
        connection = request.connection
        request.record_no_answer()
        connection.write([b"\x00\xff" + request.random.randbytes(200)])
        connection.end()


@dataclass(frozen=True, slots=True)
class Slow:
    """Send the answer in small pieces, over `over_s` seconds in total."""

    over_s: float
    pieces: int = 20

    async def apply(self, request: FaultedRequest) -> None:
        status, headers, body = await request.captured()
        if CONNECTION_KEY in request.scope:
            # Days may pass until a write would show that the client has left.
            request.connection.leave_at_eof()
        size = max(1, math.ceil(len(body) / self.pieces))
        starts = range(0, len(body), size)
        try:
            if not starts and not await request.wait(self.over_s):
                return
            await request.send({"type": "http.response.start", "status": status, "headers": headers})
            for start in starts:
                piece = body[start : start + size]
                await request.send({"type": "http.response.body", "body": piece, "more_body": True})
                if not await request.wait(self.over_s / len(starts)):
                    return
            await request.send({"type": "http.response.body", "body": b""})
        except Unavailable:
            # Its head may have been sent.
            request.connection.reset()
        finally:
            request.record(status, headers, body, is_changed=False)


@dataclass(frozen=True, slots=True)
class NotJSON:
    """Send a complete answer whose body is not JSON: its first `after_bytes` bytes, or a fixed text if None."""

    after_bytes: int | None

    async def apply(self, request: FaultedRequest) -> None:
        status, headers, body = await request.captured()
        if self.after_bytes is None:
            changed = b'{"detail": <not json>'
        else:
            changed = body[: min(self.after_bytes, max(0, len(body) - 1))]
        await request.answer_changed(status, headers, body, changed)


@dataclass(frozen=True, slots=True)
class BreakSchema:
    """Send an answer that violates the schema of its operation in one way."""

    how: How

    async def apply(self, request: FaultedRequest) -> None:
        status, headers, body = await request.captured()
        is_large = len(body) > LARGE_BODY
        changed = await asyncio.to_thread(broken, body, self.how) if is_large else broken(body, self.how)
        await request.answer_changed(status, headers, body, changed)


@dataclass(frozen=True, slots=True)
class DelegatedFault:
    """Let the application itself produce the fault, on request by a value in the scope."""

    key: str
    value: float

    async def apply(self, request: FaultedRequest) -> None:
        request.scope[self.key] = self.value
        await request.handle(request.scope, request.receive, request.send)


@dataclass(frozen=True, slots=True)
class StaleRead:
    """Repeat the last 200 answer of the mock to the same read, from the journal, else answer as of `stale_s` ago."""

    stale_s: float

    async def apply(self, request: FaultedRequest) -> None:
        entry: Entry | None = request.scope.get(JOURNAL_KEY)
        before = await _previous_answer(entry) if entry is not None else None
        if before is not None:
            await request.answer(200, list(before.answer_headers), before.answer)
            return
        request.scope[STALE_S_KEY] = self.stale_s
        await request.handle(request.scope, request.receive, request.send)


async def _previous_answer(entry: Entry) -> Entry | None:
    def asked(each: Entry) -> tuple[object, ...]:
        return each.method, each.path, each.query, each.caller

    wanted = asked(entry)
    for before in reversed(await entry.journal.entries()):
        if before.path != entry.path:
            continue  # the journal may have ten thousands of entries
        is_whole = before.status == 200 and before.answer_bytes == len(before.answer)
        if before is not entry and is_whole and not before.is_changed and asked(before) == wanted:
            return before
    return None
