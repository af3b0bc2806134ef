"""Errors of a connection that the application cannot answer."""

from __future__ import annotations


class ClientDisconnected(OSError):
    """Raised by `send` when the client has disconnected (ASGI 2.4)."""


class RequestError(Exception):
    """A request that cannot be read.

    The connection answers `{"detail": …}` with the status, and closes: where the next request begins is unknown.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
