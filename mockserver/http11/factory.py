"""What the connections of one server share, and the timer that checks their deadlines."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from mockserver.http11.abandoned import AbandonedRequests
from mockserver.http11.connection import Connection
from mockserver.settings import Limits

_CHECK_EVERY_S = 0.5


class ConnectionFactory:
    """Makes the connections of one server. Replaces a protocol class: uvicorn.Config(app, http=factory)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections: set[Connection] = set()
        self.abandoned = AbandonedRequests(limits.max_connections)
        self.context = contextvars.copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        return Connection(self, config, server_state, app_state, _loop or asyncio.get_running_loop())

    def add(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(_CHECK_EVERY_S, self._check, connection.loop)

    def default_lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Render the default headers of every answer. uvicorn makes a new list of them every second."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._default_lines

    def check(self, now: float) -> None:
        """Handle the deadlines that have passed."""
        for connection in list(self.connections):
            connection.check(now)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self.check(loop.time())
        self._timer = loop.call_later(_CHECK_EVERY_S, self._check, loop) if self.connections else None
