"""A load on loopback: some connections that each send one request after the other, for a while.

Written on asyncio's protocols, since what generates the load must be quicker than the quickest server measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, until: float) -> None:
        self._request = request
        self._until = until
        self._missing = -1
        self._head = b""
        self.answers = 0
        self.refused = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            length = _LENGTH.search(data, 0, end)
            assert length is not None, data[:end]
            self.refused += data[9:10] != b"2"
            self._head = b""
            self._missing = int(length[1]) - (len(data) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            self.answers += 1
            if time.perf_counter() < self._until:
                self._transport.write(self._request)
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)


def requests_per_second(
    url: str, *, method: str = "GET", body: bytes = b"", token: str = "test", seconds: float, connections: int = 8
) -> float:
    """Answers per second. Raises AssertionError where any is not a 2xx."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    head = f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"\r\n" + body

    async def run() -> float:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        until = started + seconds
        made = [
            await loop.create_connection(lambda: _Connection(request, until), parts.hostname, parts.port)
            for _ in range(connections)
        ]
        await asyncio.gather(*(protocol.closed for _, protocol in made))
        assert not any(protocol.refused for _, protocol in made), "an answer was not 2xx"
        return sum(protocol.answers for _, protocol in made) / (time.perf_counter() - started)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
