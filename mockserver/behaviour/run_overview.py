"""The runs of several organisations in one list, newest first: for the control API."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from heapq import merge
from typing import Any

from mockserver.behaviour.context import Context
from mockserver.behaviour.run_list import Listing, Row
from mockserver.behaviour.run_view import Run
from mockserver.time_slice import TimeSlice

Listed = tuple[Listing, Run]


async def counts_by_status(contexts: Sequence[Context], query: Mapping[str, Any]) -> Mapping[str, int]:
    """Count the runs of the workflow and machine of a list_runs query. A status without runs is left out."""
    counts: Counter[str] = Counter()
    time_slice = TimeSlice()
    for context in contexts:
        counts.update(await Listing(context, dict(query)).counts())
        if time_slice.is_over:
            await time_slice.give_way()
    return +counts


class Overview:
    """A page of the runs, and the `total` number of runs."""

    def __init__(self, rows: Sequence[tuple[Listing, Row]], total: int) -> None:
        self._rows = rows
        self.total = total

    @classmethod
    async def of(cls, contexts: Sequence[Context], query: Mapping[str, Any], skip: int, limit: int) -> Overview:
        """The runs that match a list_runs query, in the space and at the time of each context."""
        sources: list[list[tuple[Listing, Row]]] = []
        total = 0
        is_only = len(contexts) == 1
        time_slice = TimeSlice()
        for context in contexts:
            listing = Listing(context, dict(query))
            first, most = (skip, limit) if is_only else (0, skip + limit)
            rows, runs = await listing.page(first, most, by_activity=False)
            sources.append([(listing, row) for row in rows])
            total += runs
            if time_slice.is_over:
                await time_slice.give_way()
        if is_only:
            return cls(sources[0], total)
        # No more organisations than runs are on the page. To merge twenty thousand would take some 20 ms.
        newest = sorted(filter(None, sources), key=lambda rows: -rows[0][1].batch.created)[: skip + limit]
        newest_first = merge(*newest, key=lambda each: -each[1].batch.created)
        shown: list[tuple[Listing, Row]] = []
        for listing, row in newest_first:
            places = row.places[skip : skip + limit]
            skip = max(0, skip - len(row.places))
            if places:
                shown.append((listing, row._replace(places=places)))
            limit -= len(places)
            if limit <= 0:
                break
        return cls(shown, total)

    async def runs(self) -> AsyncIterator[Listed]:
        time_slice = TimeSlice()
        for listing, row in self._rows:
            for place in row.places:
                yield listing, listing.run(row, place)
            if time_slice.is_over:
                await time_slice.give_way()
