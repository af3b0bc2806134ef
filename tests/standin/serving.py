"""A stand-in on a loopback port of its own, in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from tests.standin.behaviour import Settings, Standin
from tests.standin.server import create_standin


class QuickServer(uvicorn.Server):
    """A server in a thread that stops at once: uvicorn's own takes 0.2 s, and the tests stop hundreds of them."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off"))
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._stopping = asyncio.Event()

    @contextmanager
    def running(self, listener: socket.socket) -> Iterator[None]:
        thread = threading.Thread(target=self.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._loop.result(timeout=10).call_soon_threadsafe(self._stopping.set)
            thread.join(timeout=10)

    async def main_loop(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        while not self._stopping.is_set():
            await self.on_tick(0)  # renews the Date header
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # for the connections to be closed


@contextmanager
def serving(
    defect: str | type[Standin] | None = None,
    variations: Collection[str] = frozenset(),
    settings: Settings | None = None,
    seen: list[tuple[str, str]] | None = None,
    delay_s: float = 0.0,
) -> Iterator[str]:
    """Yields the base URL. Each answer comes `delay_s` later than it could.

    Method and path of each request are appended to `seen`, so that a budget can be judged from the server's side.
    """
    standin = create_standin(defect, variations, settings)

    async def noting(scope, receive, send):
        if scope["type"] == "http" and seen is not None:
            seen.append((scope["method"], scope["path"]))
        await asyncio.sleep(delay_s)
        await standin(scope, receive, send)

    with serving_app(noting) as url:
        yield url


@contextmanager
def serving_app(app: Any) -> Iterator[str]:
    """Yields the base URL. The port listens before the thread starts, so that nobody has to wait for it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        with QuickServer(app).running(listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
