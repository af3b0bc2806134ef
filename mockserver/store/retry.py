"""Tries again what another request was in the way of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mockserver.errors import Conflict, TooManyConflicts

_MAX_ATTEMPTS = 100
_T = TypeVar("_T")


async def retried(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Return the result of the first attempt that raises no Conflict. Raises TooManyConflicts after 100 attempts."""
    for _ in range(_MAX_ATTEMPTS):
        try:
            return await attempt()
        except Conflict:
            await asyncio.sleep(0)
    raise TooManyConflicts
