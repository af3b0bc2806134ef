"""Refuses to store more once the process takes too much memory: what clients have stored is never removed for them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mockserver.allocator import return_freed_memory
from mockserver.errors import Unavailable

_SHARE_OF_THE_SYSTEM: Final = 0.8
"""The limit is at most this share of the memory of the machine or the container."""
_MEASURE_EVERY_S: Final = 0.05
"""The bodies that arrive meanwhile have a limit of their own."""
_FREE_EVERY_S: Final = 5.0
"""To free the memory of what was deleted takes up to a second, during which nothing is answered."""
_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def resident_bytes() -> int:
    """Return how much memory the process takes, or 0 if the system is not Linux."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def system_bytes() -> int:
    """Return the memory of the machine or, if that is less, of the container. 0 if the system is not Linux."""
    if sys.platform != "linux":
        return 0
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no cgroup of this version, or "max"
            continue
    return min(limits)


class MemoryLimit:
    """`drop_caches` drops what is kept for speed only, which may refer to what was deleted."""

    def __init__(
        self, max_bytes: int, drop_caches: Callable[[], None], *, measure: Callable[[], int] = resident_bytes
    ) -> None:
        available = int(system_bytes() * _SHARE_OF_THE_SYSTEM)
        self._max_bytes = min(max_bytes, available) if available else max_bytes
        self._drop_caches = drop_caches
        self._measure = measure
        self._is_exceeded = False
        self._measure_at = self._free_at = 0.0

    def require_room(self) -> None:
        """Raises Unavailable if nothing more may be stored."""
        now = asyncio.get_running_loop().time()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_EVERY_S
            self._is_exceeded = self._measure() > self._max_bytes
            if self._is_exceeded and now >= self._free_at:
                self._free()
                self._is_exceeded = self._measure() > self._max_bytes
                self._free_at = asyncio.get_running_loop().time() + _FREE_EVERY_S
        if self._is_exceeded:
            raise Unavailable(
                f"This mock takes over {self._max_bytes:,} bytes of memory (--max-memory), so it stores nothing more. "
                "Delete runs, or free all with POST /__admin/reset",
                {"Retry-After": f"{_FREE_EVERY_S:.0f}"},
            )

    def measure_again(self) -> None:
        """Measure at the next request, since much has been removed."""
        self._measure_at = self._free_at = 0.0

    def _free(self) -> None:
        self._drop_caches()
        gc.collect()
        return_freed_memory()
