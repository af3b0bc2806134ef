"""A mock server in a thread of this process: real connections, without another process to manage."""

from __future__ import annotations

import asyncio
import socket
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

from mockserver.app import MockApp, create_app
from mockserver.errors import ControlError, StartError
from mockserver.server import Server, listen, local_url_of
from mockserver.settings import Settings
from mockserver.state_file import load_states, save_states
from mockserver.testing.control import Control
from mockserver.testing.mock import CyberdeskMock


class MockServer(CyberdeskMock):
    """Serves from `start` to `stop`, or as a context manager (also `async with`). Controls the default namespace.

    Takes Settings, fields of Settings by name, or both. Without Settings, `port` defaults to a free port.
    """

    def __init__(self, settings: Settings | None = None, /, **fields: Any) -> None:
        """Raises StartError for an invalid value."""
        if settings is not None and not isinstance(settings, Settings):
            raise TypeError(
                f"MockServer takes Settings(...) or settings by name, such as seed=7, not a {type(settings).__name__}"
            )
        if settings is None:
            settings = Settings(**{"port": 0, **fields})
        elif fields:
            settings = replace(settings, **fields)
        super().__init__(self._running, settings)
        self._serving: _Serving | None = None
        self._starting = threading.Lock()

    def _running(self) -> Control:
        if self._serving is None:
            raise ControlError(None, "The mock is not running: use it inside `with MockServer() as mock:`")
        return self._serving.control

    def start(self) -> Self:
        """Return once the server answers. Raises StartError, or any other error that stops the server at startup."""
        if self.settings.workers > 1:
            raise StartError("MockServer serves in this process: leave out workers")
        if not self.settings.admin:
            raise StartError("MockServer needs the control API: leave out admin=False")
        with self._starting:
            if self._serving is not None:
                raise ControlError(None, "The mock is running already")
            app = create_app(self.settings)
            self._serving = _Serving(app, listen(self.settings.host, self.settings.port))
        return self

    def stop(self) -> None:
        """Return once the answers in progress are finished and the thread has ended.

        The answers have `limits.shutdown_grace` seconds. Does nothing if the server is not running, or runs in the
        process that this one was forked from. Raises OSError if the file of the setting `state` cannot be written.
        """
        serving, self._serving = self._serving, None
        if serving is not None and serving.control.is_of_this_process:
            serving.stop()

    @contextmanager
    def namespace(self, name: str) -> Iterator[CyberdeskMock]:
        """Provide a separate mock on the same server, with its own runs, requests, faults and clock, for the block."""
        if not 0 < len(name) <= 200 or "/" in name:
            raise ControlError(None, f"invalid name of a namespace {name!r}: 1 to 200 characters, and no / among them")
        if name in (".", ".."):
            # Clients take them out of a path: their requests would go to the default namespace.
            raise ControlError(None, f"invalid name of a namespace {name!r}: in a URL it means a part of the path")
        try:
            yield CyberdeskMock(self._running, self.settings, name)
        finally:
            self._drop(name)

    def _drop(self, namespace: str) -> None:
        """Drop the namespace. Does nothing if it was never used, or the mock was stopped or is not of this process."""
        if self._serving is None or not self._serving.control.is_of_this_process:
            return
        try:
            self._running().call("DELETE", f"/namespaces/{namespace}")
        except ControlError as error:
            if error.status != 404:
                raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)


class _Serving:
    """A server in its thread. The constructor returns once it is ready, and raises what stops it at startup."""

    def __init__(self, app: MockApp, listener: socket.socket) -> None:
        self._app = app
        self._listener = listener
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._ended: Future[None] = Future()
        self._server = Server(
            app, app.settings.limits, on_ready=lambda: self._ready.set_result(asyncio.get_running_loop())
        )
        url = local_url_of(listener)
        # A daemon: a mock that is never stopped must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"mockserver {url}", daemon=True)
        self._thread.start()
        first: tuple[Future[Any], ...] = (self._ready, self._ended)
        try:
            wait(first, return_when=FIRST_COMPLETED)
        except BaseException:  # Ctrl-C
            self._server.stop()
            raise
        if not self._ready.done():
            self.stop()
            raise StartError("the server has ended before it was ready")
        self.control = Control(app, self._ready.result(), server_url=url, admin_token=app.settings.admin_token)

    def stop(self) -> None:
        """Stop the server. Raises the error that has ended it before or while stopping, if any."""
        self._server.stop()
        self._thread.join()
        self._ended.result()

    def _run(self) -> None:
        # State is loaded and saved in this thread too: that needs an event loop, and the caller may already run one.
        path = self._app.settings.state
        try:
            read = b"" if path is None else asyncio.run(load_states(path, self._app.states))
            asyncio.run(self._app.check_store())
            self._server.run(sockets=[self._listener])
            if path is not None and self._ready.done():
                written = asyncio.run(save_states(path, self._app.namespaces, self._app.states, read=read))
                if written != path:
                    warnings.warn(
                        f"{path}: changed since this mock has read it: the state is in {written}", stacklevel=1
                    )
        except BaseException as error:  # noqa: BLE001 - the caller gets it, in its own thread
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        finally:
            self._listener.close()
