"""Lists runs: filters, search, order and paging. Where possible it decides for whole batches, not run by run."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, overload

from mockserver.behaviour.batch import BATCH, CHANGES, NO_CHANGES, SESSION, UNCHANGED, Batch, Change, Changes, Placement
from mockserver.behaviour.context import BlockStats, Context, Endings, Space
from mockserver.behaviour.includes import included
from mockserver.behaviour.ledger import Block, blocks
from mockserver.behaviour.lifecycle import Timeline
from mockserver.behaviour.paging import list_parts, window
from mockserver.behaviour.run_search import TextSearch
from mockserver.behaviour.run_view import (
    ALWAYS_SHOWN,
    FIELDS,
    Run,
    run_fields,
    session_timelines,
    shown,
    shown_size,
    shown_untouched,
    single_timeline,
)
from mockserver.clock import FOREVER, moment_from
from mockserver.reply import LARGE_BYTES, Reply
from mockserver.spec import Call
from mockserver.store import Unit
from mockserver.time_slice import TimeSlice

_MAX_PLACES_WITHOUT_ENDINGS = 16
_ENDINGS_CACHED = 1024
Timelines = Mapping[tuple[str, int], Timeline]


class Row(NamedTuple):
    """Some runs of one batch: their places, in list order."""

    batch: Batch
    changes: Changes
    places: Sequence[int]


class _Places(Sequence[int]):
    """The places whose runs have ended, or have not. Their number is known; they are filtered when iterated."""

    def __init__(self, places: range, ends: Sequence[int], sim_time: int, ended: bool, size: int) -> None:
        self._places, self._ends, self._sim_time, self._ended, self._size = places, ends, sim_time, ended, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        ends, sim_time, ended = self._ends, self._sim_time, self._ended
        return (place for place in self._places if (ends[place] <= sim_time) is ended)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice) and (index.step or 1) > 0 and (index.start or 0) >= 0 and (index.stop or 0) >= 0:
            return list(islice(self, index.start, index.stop, index.step))
        return list(self)[index]  # pragma: no cover - Sequence requires it; pages use slices


class Part(NamedTuple):
    """Consecutive runs of the list. `rows` is None for a whole stretch whose rows were not needed to decide."""

    size: int
    rows: Sequence[Row] | None
    stretch: Stretch


class Stretch(NamedTuple):
    """Ledger blocks that overlap in time, so that their runs must be sorted together; mostly a single block."""

    blocks: Sequence[tuple[str, Unit]]
    stats: BlockStats


async def list_runs(call: Call, context: Context) -> Reply:
    query = call.query
    listing = Listing(context, query)
    parts = await listing.parts(by_activity=query.get("sort_mode", "activity") == "activity")
    skip, limit = window(query)
    rows = list(_sliced(listing, parts, skip, limit))
    for row, _ in rows:
        await listing.load_timelines(row.batch, row.changes)
    include = query.get("include")
    runs = (
        listing.run(row.batch, place, row.changes.get(place, UNCHANGED)) for row, places in rows for place in places
    )
    resources = await included(context, include, runs if include else ())
    total = sum(part.size for part in parts)
    return Reply(200, RunPage(listing, rows, query.get("fields"), total, skip, limit, resources))


class RunPage(NamedTuple):
    """One page of runs, out of `total`, as of the time of the request."""

    listing: Listing
    rows: Sequence[tuple[Row, Sequence[int]]]
    wanted: Sequence[str] | None
    total: int
    skip: int
    limit: int
    included: tuple[bytes, ...] | None

    def render(self) -> bytes | Iterator[bytes]:
        items = (item for row, places in self.rows for item in self._items(row, places))
        size = sum(len(places) * shown_size(row.batch, row.changes) for row, places in self.rows)
        if size > LARGE_BYTES:
            return list_parts(items, self.total, self.skip, self.limit, self.included)
        return b"".join(list_parts(items, self.total, self.skip, self.limit, self.included))

    def _items(self, row: Row, places: Sequence[int]) -> Iterator[bytes]:
        """Yield JSON items; consecutive unchanged runs may come as one comma-separated item."""
        batch, changes, _ = row
        listing = self.listing
        untouched = not changes and batch.placement.session_id is None
        if untouched and self.wanted is None and len(places) * shown_size(batch, changes) <= LARGE_BYTES:
            yield shown_untouched(listing.space, batch, places, listing.sim_time)
            return
        for place in places:
            change = changes.get(place, UNCHANGED)
            if self.wanted is None:
                yield shown(listing.space, batch, place, change, listing.timelines_of(batch, change), listing.sim_time)
            else:
                yield projected(listing.space, listing.run(batch, place, change), self.wanted, listing.sim_time)


def projected(space: Space, run: Run, wanted: Sequence[str], sim_time: int) -> bytes:
    kept = ALWAYS_SHOWN.union(wanted)
    fields = zip(FIELDS, run_fields(space, run, sim_time), strict=True)
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), bytes(value)) for name, value in fields if name in kept)


def _sliced(listing: Listing, parts: Sequence[Part], skip: int, limit: int) -> Iterator[tuple[Row, Sequence[int]]]:
    """Yield the rows of one page with their places. Does not read the rows of the parts before the page."""
    for part in parts:
        if skip >= part.size:
            skip -= part.size
            continue
        for row in part.rows if part.rows is not None else listing.rows_of(part.stretch):
            size = len(row.places)
            if skip >= size:
                skip -= size
                continue
            places = row.places[skip : skip + limit]
            yield row, places
            skip, limit = 0, limit - len(places)
            if limit <= 0:
                return


def _merged(one: BlockStats, other: BlockStats) -> BlockStats:
    return BlockStats(
        one.runs + other.runs,
        min(one.active_until, other.active_until),
        max(one.ended_from, other.ended_from),
        min(one.oldest, other.oldest),
        max(one.newest, other.newest),
        False,
        {*one.workflow_ids, *other.workflow_ids},
        {*one.machine_ids, *other.machine_ids},
        {*one.session_ids, *other.session_ids},
    )


class Listing:
    """One list request: its parsed filters and the units that it has loaded."""

    def __init__(self, context: Context, query: dict[str, Any]) -> None:
        self._context = context
        self.sim_time = context.sim_time
        self._workflow_id = query.get("workflow_id")
        self._machine_id = query.get("machine_id")
        self._session_id = query.get("session_id")
        self._status = query.get("status")
        self._from = moment_from(query["created_at_from"]) if query.get("created_at_from") else None
        self._to = moment_from(query["created_at_to"]) if query.get("created_at_to") else None
        self._search: TextSearch | None = None
        if query.get("search"):
            deep = query.get("deep_search", False)
            self._search = TextSearch(context.space, query["search"], deep=deep, sim_time=self.sim_time)
        filters = (
            self._workflow_id,
            self._machine_id,
            self._session_id,
            self._status,
            self._from,
            self._to,
            self._search,
        )
        self._unfiltered = filters == (None,) * len(filters)
        self._tallies = context.space.cached.tallies
        self._timelines: dict[str, Timelines] = {}
        self._batches: dict[str, Unit] = {}
        self._changed: dict[str, Unit] = {}
        self._is_snapshot = False
        self._time_slice = TimeSlice()

    @property
    def space(self) -> Space:
        return self._context.space

    async def _give_way(self) -> None:
        self._take_snapshot()
        await self._time_slice.give_way()

    def _take_snapshot(self) -> None:
        """Copy the loaded units, so that writes of other requests do not change the list while it is made."""
        if not self._is_snapshot:
            self._is_snapshot = True
            self._batches, self._changed = dict(self._batches), dict(self._changed)

    async def parts(self, *, by_activity: bool) -> list[Part]:
        """Return the matching runs, newest first; if `by_activity`, active runs before ended runs."""
        store = self._context.store
        # The order matters. Statistics cached under a block's version must not be computed from data that is older than
        # the block. And if a batch were loaded before its deletion and the changes after it, its deleted runs would be
        # listed.
        newest_first = list(await blocks(store))
        self._changed = await store.items(CHANGES)
        self._batches = await store.items(BATCH)
        if self._search is not None:
            # The search may wait for a thread.
            self._take_snapshot()
        first: list[Part] = []
        ended: list[Part] = []
        for stretch in self._stretches(newest_first):
            stats = stretch.stats
            if not self._stretch_may_match(stats):
                continue
            if self._unfiltered:
                part = Part(stats.runs, None, stretch)
                if not by_activity or self.sim_time < stats.active_until:
                    first.append(part)
                    continue
                if self.sim_time >= stats.ended_from:
                    ended.append(part)
                    continue
            rows = []
            for row in self.rows_of(stretch):
                if not self._row_may_match(row):
                    continue
                if row.changes or row.batch.placement.session_id is not None:
                    await self.load_timelines(row.batch, row.changes)
                places = row.places if self._unfiltered else await self._matching(row)
                if places:
                    rows.append(Row(row.batch, row.changes, places))
                if self._time_slice.is_over:
                    await self._give_way()
            if by_activity:
                split = [self._split_by_activity(row) for row in rows]
                rows = [active for active, _ in split if active.places]
                over = [over for _, over in split if over.places]
                if self._unfiltered and not rows:
                    # Only a change can make an ended run active again, and it gives the block a new version.
                    for key, unit in stretch.blocks:
                        self._tallies[key] = (unit.version, self._stats(key, unit)._replace(ended_from=self.sim_time))
                ended.append(Part(sum(len(row.places) for row in over), over, stretch))
            first.append(Part(sum(len(row.places) for row in rows), rows, stretch))
        return first + ended

    def _stretches(self, blocks: Sequence[tuple[str, Unit]]) -> Iterator[Stretch]:
        """Group the blocks into stretches, newest first."""
        tallied = [(self._stats(*block), block) for block in blocks]
        tallied.sort(key=lambda each: each[0].newest, reverse=True)
        stretch: Stretch | None = None
        for stats, block in tallied:
            if not stats.runs:
                continue
            if stretch is None:
                stretch = Stretch([block], stats)
            elif stats.newest > stretch.stats.oldest:
                stretch = Stretch([*stretch.blocks, block], _merged(stretch.stats, stats))
            else:
                yield stretch
                stretch = Stretch([block], stats)
        if stretch is not None:
            yield stretch

    def rows_of(self, stretch: Stretch) -> Iterable[Row]:
        """All runs of a stretch that are not deleted: rows, newest first."""
        if stretch.stats.is_ordered:
            return self._rows_of(stretch.blocks[0][1].value)
        rows = [row for _, unit in stretch.blocks for row in self._rows_of(unit.value)]
        return sorted(rows, key=lambda row: row.batch.created, reverse=True)

    def _rows_of(self, block: Block) -> Iterator[Row]:
        """The rows of a block, in reverse order of entry."""
        for tail in reversed(block.tails):
            unit = self._batches.get(tail)
            if unit is None:
                continue
            batch: Batch = unit.value
            # Runs of one moment are listed in reverse too, so a chain begins with its last step.
            places: Sequence[int] = range(batch.ids.size - 1, -1, -1)
            changed = self._changed.get(tail)
            if changed is None:
                yield Row(batch, NO_CHANGES, places)
                continue
            changes: Changes = changed.value
            places = [place for place in places if changes.get(place, UNCHANGED).deleted is None]
            if places:
                yield Row(batch, changes, places)

    def _stretch_may_match(self, stats: BlockStats) -> bool:
        """Whether a run of the blocks may match the filters, judged by their statistics."""
        return (
            (self._workflow_id is None or self._workflow_id in stats.workflow_ids)
            and (self._machine_id is None or self._machine_id in stats.machine_ids)
            and (self._session_id is None or self._session_id in stats.session_ids)
            and (self._from is None or stats.newest >= self._from)
            and (self._to is None or stats.oldest <= self._to)
        )

    def _stats(self, key: str, unit: Unit) -> BlockStats:
        known = self._tallies.get(key)
        if known is None or known[0] != unit.version:
            known = self._tallies[key] = (unit.version, self._count(unit.value))
        return known[1]

    def _count(self, block: Block) -> BlockStats:
        space = self._context.space
        runs, active_until, ended_from, oldest, newest = 0, FOREVER, 0, FOREVER, -FOREVER
        is_ordered = True
        workflow_ids: set[str] = set()
        placements: set[Placement] = set()
        for row in self._rows_of(block):
            batch = row.batch
            is_ordered = is_ordered and batch.created <= oldest
            runs += len(row.places)
            oldest, newest = min(oldest, batch.created), max(newest, batch.created)
            workflow_ids.add(batch.workflow_id)
            placements.add(batch.placement)
            placements.update(change.placement for change in row.changes.values() if change.placement is not None)
            if row.changes or batch.placement.session_id is not None:
                # Their timelines may depend on other runs, so they are always checked one by one.
                active_until, ended_from = 0, FOREVER
                continue
            profile = space.profiles[batch.workflow_id]
            active_until = min(active_until, batch.born + space.schedules.active_until(profile, batch))
            ended_from = max(ended_from, batch.born + space.schedules.settled_after(profile, batch))
        return BlockStats(
            runs,
            active_until,
            ended_from,
            oldest,
            newest,
            is_ordered,
            workflow_ids,
            {placement.machine_id for placement in placements},
            {placement.session_id for placement in placements},
        )

    def _placed(self, batch: Batch, change: Change) -> bool:
        placement = change.placement or batch.placement
        return (self._machine_id is None or placement.machine_id == self._machine_id) and (
            self._session_id is None or placement.session_id == self._session_id
        )

    def _row_may_match(self, row: Row) -> bool:
        """Whether a run of the row may match the filters, judged by its batch alone, without timelines."""
        batch = row.batch
        return (
            (self._workflow_id is None or batch.workflow_id == self._workflow_id)
            and (self._from is None or batch.created >= self._from)
            and (self._to is None or batch.created <= self._to)
            and (bool(row.changes) or self._placed(batch, UNCHANGED))
        )

    async def _matching(self, row: Row) -> Sequence[int]:
        batch, changes, places = row
        search = self._search
        if self._status is None and search is None and not changes:
            return places
        shared_too = True
        if search is not None and not changes:
            all_found = await search.finds_batch(batch)
            if all_found is False or (all_found and self._status is None):
                return places if all_found else ()
            search, shared_too = (None if all_found else search), False
        found = []
        for place in places:
            change = changes.get(place, UNCHANGED)
            if self._time_slice.is_over:
                await self._give_way()
            if not self._placed(batch, change):
                continue
            if (
                self._status is not None
                and self.run(batch, place, change).timeline.status_at(self.sim_time) != self._status
            ):
                continue
            if search is not None and not await search.finds(self.run(batch, place, change), shared_too=shared_too):
                continue
            found.append(place)
        return found

    def _split_by_activity(self, row: Row) -> tuple[Row, Row]:
        """Split a row into its active and its ended runs.

        Does not look at single runs if the schedule says that all of them are active, or all have ended.
        """
        batch, changes, places = row
        space = self._context.space
        if not changes and batch.placement.session_id is None:
            profile = space.profiles[batch.workflow_id]
            age = self.sim_time - batch.born
            if age >= space.schedules.settled_after(profile, batch):
                return Row(batch, changes, ()), row
            if age < space.schedules.active_until(profile, batch):
                return row, Row(batch, changes, ())
            if isinstance(places, range) and len(places) > _MAX_PLACES_WITHOUT_ENDINGS:
                endings = self._endings(batch)
                ended = bisect_right(endings.in_order, self.sim_time)
                return (
                    Row(batch, changes, _Places(places, endings.by_place, self.sim_time, False, len(places) - ended)),
                    Row(batch, changes, _Places(places, endings.by_place, self.sim_time, True, ended)),
                )
        active: list[int] = []
        over: list[int] = []
        for place in places:
            timeline = self.run(batch, place, changes.get(place, UNCHANGED)).timeline
            (over if self.sim_time >= timeline.ended else active).append(place)
        return Row(batch, changes, active), Row(batch, changes, over)

    def _endings(self, batch: Batch) -> Endings:
        space = self._context.space
        cached = space.cached.endings
        known = cached.get(batch.tail)
        if known is None:
            if len(cached) >= _ENDINGS_CACHED:
                cached.clear()
            ends = [single_timeline(space, batch, place, UNCHANGED).ended for place in range(batch.ids.size)]
            known = cached[batch.tail] = Endings(array("q", ends), array("q", sorted(ends)))
        return known

    async def load_timelines(self, batch: Batch, changes: Changes) -> None:
        if not changes and batch.placement.session_id is None:
            return
        placements = {(change.placement or batch.placement).session_id for change in changes.values()}
        for session_id in {batch.placement.session_id, *placements}:
            if session_id is not None and session_id not in self._timelines:
                unit = await self._context.store.load(SESSION, session_id)
                self._timelines[session_id] = await session_timelines(self._context, session_id, unit)

    def timelines_of(self, batch: Batch, change: Change) -> Timelines | None:
        session_id = (change.placement or batch.placement).session_id
        return None if session_id is None else self._timelines[session_id]

    def run(self, batch: Batch, place: int, change: Change) -> Run:
        timelines = self.timelines_of(batch, change)
        timeline = (
            single_timeline(self._context.space, batch, place, change)
            if timelines is None
            else timelines[batch.tail, place]
        )
        return Run(batch, place, change, timeline)
