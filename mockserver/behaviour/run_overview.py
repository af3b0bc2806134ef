"""The runs of several organisations in one list, newest first: for the control API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any

from mockserver.behaviour.batch import UNCHANGED
from mockserver.behaviour.context import Context
from mockserver.behaviour.run_list import Listing, Part, Row
from mockserver.behaviour.run_view import Run
from mockserver.time_slice import TimeSlice

Listed = tuple[Listing, Run]


class Overview:
    def __init__(self, sources: Sequence[tuple[Listing, Sequence[Part]]]) -> None:
        self._sources = sources
        self.total = sum(part.size for _, parts in sources for part in parts)

    @classmethod
    async def of(cls, contexts: Sequence[Context], query: Mapping[str, Any]) -> Overview:
        """The overview of the runs that match a list_runs query, in the space and at the time of each context."""
        listings = [Listing(context, dict(query)) for context in contexts]
        return cls([(listing, await listing.parts(by_activity=False)) for listing in listings])

    async def runs(self, skip: int, limit: int) -> AsyncIterator[Listed]:
        time_slice = TimeSlice()
        newest_first = merge(*map(_rows, self._sources), key=lambda each: -each[1].batch.created)
        for listing, row in newest_first:
            places = row.places[skip : skip + limit]
            skip = max(0, skip - len(row.places))
            if not places:
                continue
            await listing.load_timelines(row.batch, row.changes)
            for place in places:
                yield listing, listing.run(row.batch, place, row.changes.get(place, UNCHANGED))
            limit -= len(places)
            if limit <= 0:
                return
            if time_slice.is_over:
                await time_slice.give_way()


def _rows(source: tuple[Listing, Sequence[Part]]) -> Iterator[tuple[Listing, Row]]:
    listing, parts = source
    for part in parts:
        for row in part.rows if part.rows is not None else listing.rows_of(part.stretch):
            yield listing, row
