"""A mock that serves in a thread of this process: real connections, and no other process to look after."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from mockserver.app import MockApp, create_app
from mockserver.errors import ControlError, StartError
from mockserver.server import Server, listen, url_of
from mockserver.settings import Limits, Settings
from mockserver.testing.control import Control
from mockserver.testing.mock import CyberdeskMock


class MockServer(CyberdeskMock):
    """Serves from `start` to `stop`, or as a context manager, `async with` too. Itself the namespace without a name.

    Takes Settings, fields of Settings by name, or both. Without a `port` it takes a free one.
    """

    def __init__(self, settings: Settings | None = None, /, **fields: Any) -> None:
        """Raises StartError for a value that no server can run with."""
        if settings is None:
            settings = Settings(**{"port": 0, **fields})
        elif fields:
            settings = replace(settings, **fields)
        super().__init__(self._running, settings)
        self._serving: _Serving | None = None

    def _running(self) -> Control:
        if self._serving is None:
            raise ControlError(None, "The mock is not running: use it inside `with MockServer() as mock:`")
        return self._serving.control

    def start(self) -> Self:
        """Returns when it serves. Raises StartError, and whatever else the server fails with as it starts."""
        if self._serving is not None:
            raise ControlError(None, "The mock is running already")
        if not self.settings.admin:
            raise StartError("MockServer needs the control API: leave out admin=False")
        app = create_app(self.settings)
        self._serving = _Serving(app, listen(self.settings.host, self.settings.port))
        return self

    def stop(self) -> None:
        """Returns when the answers that were being given have been given, and the thread has ended.

        They have `limits.shutdown_grace` seconds. Does nothing where it is not running.
        """
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.stop()

    @contextmanager
    def namespace(self, name: str) -> Iterator[CyberdeskMock]:
        """A mock by itself on the same server, until the block ends: with its own runs, requests, faults and clock."""
        if not 0 < len(name) <= 200 or "/" in name:
            raise ControlError(None, f"{name!r} is no name of a namespace: 1 to 200 characters, and no / among them")
        try:
            yield CyberdeskMock(self._running, self.settings, name)
        finally:
            self._drop(name)

    def _drop(self, namespace: str) -> None:
        """Does nothing where no request has come to it."""
        try:
            self._running().call("DELETE", f"/namespaces/{namespace}")
        except ControlError as error:
            if error.status != 404:
                raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class _Serving:
    """A server in its thread, ready when it is made. Raises StartError."""

    def __init__(self, app: MockApp, listener: socket.socket) -> None:
        self._listener = listener
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._server = _AnnouncedServer(app, app.settings.limits, self._ready)
        url = url_of(listener)
        # A daemon: a mock that is never stopped should not keep its process from ending.
        self._thread = threading.Thread(target=self._run, name=f"mockserver {url}", daemon=True)
        self._thread.start()
        try:
            loop = self._ready.result()
        except BaseException:
            self.stop()
            raise
        self.control = Control(app, loop, server_url=url, admin_token=app.settings.admin_token)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
        finally:
            self._listener.close()
        if not self._ready.done():
            self._ready.set_exception(StartError("the server has ended before it was ready"))


class _AnnouncedServer(Server):
    """Tells when it is ready, and on which event loop it runs."""

    def __init__(self, app: MockApp, limits: Limits, ready: Future[asyncio.AbstractEventLoop]) -> None:
        super().__init__(app, limits)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set_result(asyncio.get_running_loop())
