"""Serves the application on a listening socket, until a signal ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from mockserver.errors import StartError
from mockserver.http11 import ConnectionFactory
from mockserver.settings import Limits
from mockserver.signals import ending_signals

_BACKLOG = 2048


class Server(uvicorn.Server):
    """Stops on SIGINT, SIGTERM or SIGHUP: answers in progress have `limits.shutdown_grace` seconds to finish.

    A second SIGINT stops it at once.
    """

    def __init__(self, app: ASGIApp, limits: Limits, *, on_ready: Callable[[], None] | None = None) -> None:
        """`on_ready` is called once the server answers requests."""
        self._on_ready = on_ready
        super().__init__(
            uvicorn.Config(
                app,
                http=ConnectionFactory(limits),  # type: ignore[arg-type]  # called as the class of a protocol is
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=limits.shutdown_grace,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None and not self.should_exit:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in uvicorn, but does not raise the signal again after the server has stopped."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for signum in ending_signals():
            signal.signal(signum, self.handle_exit)
        yield


def listeners(host: str, port: int, number: int) -> list[socket.socket]:
    """Return listening sockets of one address; Linux divides new connections between them. Raises StartError."""
    first = listen(host, port)
    if number == 1:
        return [first]
    # Several sockets may share an address only if all of them say so; the first one has found that nobody else uses it.
    port = first.getsockname()[1]
    first.close()
    return [listen(host, port, shared=True) for _ in range(number)]


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket; a `shared` one allows others with the same address. Raises StartError."""
    if not host:
        raise StartError("--host is empty: that would listen on every address; write 0.0.0.0 or :: if that is meant")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        what = (
            f"port {port} on {host} is in use; --port 0 takes a free one"
            if error.errno == errno.EADDRINUSE
            else error.strerror
        )
        raise StartError(f"cannot listen on {host}:{port}: {what or error}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_url_of(listener: socket.socket) -> str:
    """Return the URL for clients on the same machine, also if it listens on every address."""
    url = url_of(listener)
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
