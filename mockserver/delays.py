"""Delays of requests, which end early if another client needs the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Scope

from mockserver.errors import Unavailable
from mockserver.http11 import Connection, Delay
from mockserver.scope_keys import CONNECTION_KEY


async def wait(delay: Awaitable[None], scope: Scope) -> None:
    """Wait for the delay of a request. Raises Unavailable if its connection has to make room for another one."""
    connection: Connection | None = scope.get(CONNECTION_KEY)
    if connection is None:  # the application runs under another server
        await delay
        return
    try:
        async with asyncio.timeout(None) as timeout:
            connection.delay = Delay(timeout)
            await delay
    except TimeoutError:
        what = (
            "Another client needs the connection: --max-connections limits them, and this request was delayed longest"
        )
        raise Unavailable(what, {"Retry-After": "1"}) from None
    finally:
        connection.delay = None
