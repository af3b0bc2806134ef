"""What makes the stream of a connection no request that can be answered by the application."""

from __future__ import annotations


class ClientDisconnected(OSError):
    """What an application meets that goes on answering a client that has gone (ASGI 2.4)."""


class RequestError(Exception):
    """The connection answers `{"detail": …}` with a status, and closes: where the next request begins is unknown."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
