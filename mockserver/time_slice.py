"""Splits long work on the event loop into slices, so that other tasks run in between."""

from __future__ import annotations

import asyncio

_SLICE_S = 0.001
"""Work is not divided finely: with the last piece, others wait for at most 5 ms."""


class TimeSlice:
    """Begins when it is made. Check `is_over` regularly, and await `give_way` once it is true."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._end = self._time() + _SLICE_S

    @property
    def is_over(self) -> bool:
        return self._time() >= self._end

    async def give_way(self) -> None:
        await asyncio.sleep(0)
        self._end = self._time() + _SLICE_S
