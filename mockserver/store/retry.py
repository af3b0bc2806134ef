"""Tries again after a commit that conflicted with that of another request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mockserver.errors import TooManyConflicts, VersionConflict

_MAX_ATTEMPTS = 100
_T = TypeVar("_T")


async def retried(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Call again after each VersionConflict, and return the result. Raises TooManyConflicts after 100 attempts."""
    for _ in range(_MAX_ATTEMPTS):
        try:
            return await attempt()
        except VersionConflict:
            await asyncio.sleep(0)
    raise TooManyConflicts
