"""Serves the application on a listening socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from mockserver.errors import StartError
from mockserver.http11 import ConnectionFactory
from mockserver.settings import Limits
from mockserver.signals import ending_signals

_log = logging.getLogger("mockserver.server")

_BACKLOG = 2048
_CHECK_EVERY_S = 0.01
"""How often a server that stops looks whether all connections are closed."""


class Server(uvicorn.Server):
    """Stops on SIGINT, SIGTERM or SIGHUP: answers in progress have `limits.shutdown_grace` seconds to finish.

    A second SIGINT stops it at once.
    """

    def __init__(self, app: ASGIApp, limits: Limits, *, on_ready: Callable[[], None] | None = None) -> None:
        """`on_ready` is called once the server answers requests."""
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
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

    def stop(self) -> None:
        """Have the server stop. Can be called from any thread, and from a signal handler."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has ended, and its loop is closed
                self._loop.call_soon_threadsafe(self._stopping.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._on_ready is not None and not self.should_exit:
            self._on_ready()

    async def main_loop(self) -> None:
        """As in uvicorn, but ends at once when the server is to stop, and not up to 0.1 s later."""
        while not await self.on_tick(0):  # renews the Date header
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As in uvicorn, but without pauses of 0.1 s."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while (state.connections or state.tasks) and not self.force_exit:  # noqa: ASYNC110 - no event tells that a set is empty
                    await asyncio.sleep(_CHECK_EVERY_S)
        if state.tasks:
            _log.warning("stopped with %d requests unanswered", len(state.tasks))
        for task in state.tasks:
            task.cancel()
        if not self.force_exit:
            await self.lifespan.shutdown()

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
        raise StartError(f"cannot listen on {host}:{port}: {_why_not(error, host, port)}") from error
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    """Say why a server cannot listen there, and what to write instead."""
    hosts = "--host 127.0.0.1 serves this machine, --host 0.0.0.0 others too"
    if isinstance(error, socket.gaierror):
        return f"{host} is no address, and no name that is known here ({error.strerror}); {hosts}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use; --port 0 takes a free one"
        case errno.EADDRNOTAVAIL:
            return f"this machine does not have the address; {hosts}"
        case errno.EACCES:
            return f"{error.strerror}; ports below 1024 may need more rights, --port 0 takes a free one"
    return error.strerror or str(error)


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_url_of(listener: socket.socket) -> str:
    """Return the URL for clients on the same machine, also if it listens on every address."""
    url = url_of(listener)
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
