"""A stand-in on a loopback port of its own, in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import uvicorn

from tests.standin.behaviour import Settings, Standin
from tests.standin.server import create_standin


@contextmanager
def serving(
    defect: str | type[Standin] | None = None,
    variations: Collection[str] = frozenset(),
    settings: Settings | None = None,
    seen: list[tuple[str, str]] | None = None,
    delay_s: float = 0.0,
) -> Iterator[str]:
    """Yields the base URL. The port listens before the thread starts, so that nobody has to wait for it. Each answer
    comes `delay_s` later than it could.

    Method and path of each request are appended to `seen`, so that a budget can be judged from the server's side.
    """
    standin = create_standin(defect, variations, settings)

    async def noting(scope, receive, send):
        if scope["type"] == "http" and seen is not None:
            seen.append((scope["method"], scope["path"]))
        await asyncio.sleep(delay_s)
        await standin(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        config = uvicorn.Config(noting, log_level="critical", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
