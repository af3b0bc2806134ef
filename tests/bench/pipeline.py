"""Many requests over one connection, sent ahead of their answers: for what takes millions of them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType
from urllib.parse import urlsplit

import httptools

from tests.bench.load import Call


class Pipeline:
    """Requests that are sent together must not have large answers: they are read only when all have been sent."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._connection = socket.create_connection((address.hostname, address.port or 80))
        self._parser = httptools.HttpResponseParser(self)
        self._answers: list[tuple[int, bytes]] = []
        self._body = b""

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def send(self, requests: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Send raw requests; return the status and the body of each answer, in order."""
        self._answers = []
        self._connection.sendall(b"".join(requests))
        while len(self._answers) < len(requests):
            data = self._connection.recv(1 << 20)
            assert data, "the server closed the connection"
            self._parser.feed_data(data)
        return self._answers

    def call(self, *calls: Call) -> list[tuple[int, bytes]]:
        return self.send([call.raw() for call in calls])

    # Called by the parser

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._answers.append((self._parser.get_status_code(), self._body))
