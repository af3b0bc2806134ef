"""Connections to an application without a socket: what the client sends is handed in, what it would get is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from mockserver.http11 import Connection, ConnectionFactory
from mockserver.settings import Limits

App = Callable[[Any, Any, Any], Awaitable[None]]


class Wire:
    """The transport of one connection. What is written is taken by the client at once, unless `is_stuck`."""

    def __init__(self) -> None:
        self.protocol: Connection
        self.writes: list[bytes] = []
        self.is_closed = False
        self.is_aborted = False
        self.is_half_closed = False
        self.is_reading = True
        self.is_stuck = False
        self.unread = 0
        self._high = 0

    async def until_reading(self) -> None:
        while not self.is_reading and not self.is_closed:  # noqa: ASYNC110 - as a transport, it is told and does not tell
            await asyncio.sleep(0)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def set_write_buffer_limits(self, high: int) -> None:
        self._high = high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def take(self, size: int) -> None:
        """The client of a stuck wire reads so much."""
        self.unread -= size
        if self.protocol.flow.is_paused and self.unread <= self._high // 4:
            self.protocol.resume_writing()

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        assert not self.is_half_closed
        self.writes.append(data)
        if self.is_stuck:
            self.unread += len(data)
            if self.unread > self._high and not self.protocol.flow.is_paused:
                self.protocol.pause_writing()

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_half_closed = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_closed = self.is_aborted = True
            # As real transports do, in a later turn of the loop.
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4010) if name in ("sockname", "peername") else default


class Server:
    """Connections to one application."""

    def __init__(self, app: App, **limits: Any) -> None:
        self.config = uvicorn.Config(app, log_config=None, lifespan="off", proxy_headers=False)
        self.config.load()
        self.state = ServerState()
        self.factory = ConnectionFactory(Limits(**limits))
        self._ahead_s = 0.0

    def connect(self) -> tuple[Connection, Wire]:
        protocol = self.factory(self.config, self.state, {}, asyncio.get_running_loop())
        wire = Wire()
        wire.protocol = protocol
        protocol.connection_made(wire)  # type: ignore[arg-type]
        return protocol, wire

    def connect_stuck(self, sent: bytes) -> Wire:
        """A client that has sent a request and does not read."""
        protocol, wire = self.connect()
        wire.is_stuck = True
        protocol.data_received(sent)
        return wire

    async def settle(self) -> None:
        """Until there is nothing left to do: no task of the application runs, and the loop has turned once more."""
        for _ in range(3):
            await asyncio.sleep(0)
        while self.state.tasks:
            await asyncio.gather(*self.state.tasks, return_exceptions=True)
            for _ in range(3):
                await asyncio.sleep(0)

    def pass_time(self, seconds: float) -> None:
        """Sets the clock of the loop forward, and looks at the time-outs on the way as often as the timer does."""
        loop = asyncio.get_running_loop()
        if not self._ahead_s:
            real_time = loop.time
            loop.time = lambda: real_time() + self._ahead_s  # type: ignore[method-assign]
        end = self._ahead_s + seconds
        while self._ahead_s < end:
            self._ahead_s = min(self._ahead_s + 0.5, end)
            self.factory.check(loop.time())


def exchange(app: App, *segments: bytes, ends: bool = False, **limits: Any) -> Wire:
    """One connection on which the client sends the segments, one after the other as the server takes them."""

    async def run() -> Wire:
        server = Server(app, **limits)
        protocol, wire = server.connect()
        for segment in segments:
            await wire.until_reading()
            if wire.is_closed:
                break
            protocol.data_received(segment)
            await asyncio.sleep(0)
        if ends and not wire.is_closed:
            await wire.until_reading()
            if not protocol.eof_received():
                wire.close()
        await server.settle()
        return wire

    return asyncio.run(run())


def request(path: str = "/", *, body: bytes = b"", headers: str = "") -> bytes:
    method = "POST" if body else "GET"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: mock\r\n{length}{headers}\r\n".encode() + body


async def whole_body(receive: Any) -> bytes | None:
    """None where the client has gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answer(
    send: Any, body: bytes = b"", *, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), length]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with method, path and body."""
    body = await whole_body(receive)
    if body is not None:
        await answer(send, f"{scope['method']} {scope['path']} ".encode() + body)


async def unread(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    await answer(send, scope["path"].encode(), status=401)


def answers(written: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each whole answer that was written, the one that was begun with them."""
    found: list[tuple[int, bytes]] = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        lengths = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: ")]
        size = lengths[0] if lengths and status >= 200 else 0
        found.append((status, rest[:size]))
        written = rest[size:]
    return found
