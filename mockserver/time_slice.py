"""Splits long work on the event loop into slices, so that other tasks run in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")

_SLICE_S = 0.0005
"""`is_over` is checked between pieces of work of up to 4 ms, so others wait for less than 5 ms."""


class TimeSlice:
    """Begins when it is made. Check `is_over` regularly, and await `give_way` once it is true."""

    def __init__(self) -> None:
        # Not the time of the loop: that of uvloop has whole milliseconds, and takes longer to read.
        self._end = monotonic() + _SLICE_S

    @property
    def is_over(self) -> bool:
        return monotonic() >= self._end

    async def give_way(self) -> None:
        # Twice: the first time requests are read, the second time they are answered.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._end = monotonic() + _SLICE_S


class Sliced(AsyncIterator[_T]):
    """Iterates over the values, and lets other tasks run in between. Costs more than to check a TimeSlice."""

    def __init__(self, values: Iterable[_T]) -> None:
        self._values = iter(values)
        self._time_slice = TimeSlice()

    async def __anext__(self) -> _T:
        if self._time_slice.is_over:
            await self._time_slice.give_way()
        for value in self._values:
            return value
        raise StopAsyncIteration


async def in_slices(make: Callable[[_T], _U], values: Iterable[_T]) -> list[_U]:
    """As `list(map(make, values))`, but lets other tasks run in between."""
    made: list[_U] = []
    time_slice = TimeSlice()
    for value in values:
        made.append(make(value))
        if time_slice.is_over:
            await time_slice.give_way()
    return made
