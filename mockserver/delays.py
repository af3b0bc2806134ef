"""Delays of requests, and their waits for memory, which end early if another client needs the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Scope

from mockserver.errors import Unavailable
from mockserver.http11 import Connection, Delay
from mockserver.scope_keys import CONNECTION_KEY

_T = TypeVar("_T")


async def wait(delay: Awaitable[_T], scope: Scope) -> _T:
    """Wait for the delay of a request, and return its result.

    Raises Unavailable if its connection has to make room for another one.
    """
    connection: Connection | None = scope.get(CONNECTION_KEY)
    if connection is None:  # the application runs under another server
        return await delay
    try:
        async with asyncio.timeout(None) as timeout:
            connection.delay = Delay(timeout)
            return await delay
    except TimeoutError:
        what = (
            "Another client needs the connection: --max-connections limits them, and this request was delayed longest"
        )
        raise Unavailable(what, {"Retry-After": "1"}) from None
    finally:
        connection.delay = None
