"""Long work on the event loop, in slices: between two of them whoever waits is served."""

from __future__ import annotations

import asyncio

_SLICE_S = 0.01


class TimeSlice:
    """`is_over` is asked along the way, and where it is, `give_way` is awaited. It begins when it is made."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._end = self._time() + _SLICE_S

    @property
    def is_over(self) -> bool:
        return self._time() >= self._end

    async def give_way(self) -> None:
        await asyncio.sleep(0)
        self._end = self._time() + _SLICE_S
