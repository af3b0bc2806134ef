"""A load on loopback: connections that each send one request again and again, for a while.

Written on asyncio's protocols, since what generates the load must be quicker than the quickest server measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a connection repeats."""

    url: str
    method: str = "GET"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Authorization", "Bearer test"),)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def raw(self) -> bytes:
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"{self.method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, until: float) -> None:
        self._request = request
        self._until = until
        self._missing = -1
        self._head = b""
        self._sent_at = 0.0
        self.times: list[float] = []
        self.refused = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            length = _LENGTH.search(data, 0, end)
            assert length is not None, data[:end]
            if data[9:10] != b"2":
                self.refused = data[:500]
            self._head = b""
            self._missing = int(length[1]) - (len(data) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            now = time.perf_counter()
            self.times.append(now - self._sent_at)
            if now < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)


def response_times(calls: Sequence[Call], seconds: float) -> list[list[float]]:
    """Send each call over a connection of its own, all at the same time, and return the times of its answers in
    seconds. Raises AssertionError if an answer is not a 2xx.
    """

    async def run() -> list[list[float]]:
        loop = asyncio.get_running_loop()
        until = time.perf_counter() + seconds
        connections = []
        for call in calls:
            request = call.raw()
            make = lambda request=request: _Connection(request, until)  # noqa: E731
            connections.append((await loop.create_connection(make, *call.address))[1])
        await asyncio.gather(*(connection.closed for connection in connections))
        assert all(connection.times for connection in connections), "a connection was closed without an answer"
        refused = next((connection.refused for connection in connections if connection.refused), b"")
        assert not refused, refused
        return [connection.times for connection in connections]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def requests_per_second(call: Call, seconds: float, connections: int = 8) -> float:
    times = response_times([call] * connections, seconds)
    return sum(len(each) for each in times) / max(sum(each) for each in times)
