"""Splits long work on the event loop into slices, so that other tasks run in between."""

from __future__ import annotations

import asyncio
from time import monotonic

_SLICE_S = 0.001
"""Work is not divided finely: with the last piece, others wait for at most 5 ms."""


class TimeSlice:
    """Begins when it is made. Check `is_over` regularly, and await `give_way` once it is true."""

    def __init__(self) -> None:
        # Not the time of the loop: that of uvloop has whole milliseconds, and takes longer to read.
        self._end = monotonic() + _SLICE_S

    @property
    def is_over(self) -> bool:
        return monotonic() >= self._end

    async def give_way(self) -> None:
        await asyncio.sleep(0)
        self._end = monotonic() + _SLICE_S
