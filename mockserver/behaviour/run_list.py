"""Lists runs: filters, search, order and paging.

Workflow, machine, status and time of creation are answered by the index (`run_index.py`). A list of a session looks at
the runs of that session, and a search at every batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from mockserver.behaviour.batch import STATUSES, UNCHANGED, Batch, Change, Changes
from mockserver.behaviour.context import Context, Space
from mockserver.behaviour.included_resources import Resource, included_json
from mockserver.behaviour.includes import included
from mockserver.behaviour.paging import list_parts, window
from mockserver.behaviour.run_index import RunIndex
from mockserver.behaviour.run_search import TextSearch
from mockserver.behaviour.run_sequence import GiveWay, Page, RunSequence, Selection
from mockserver.behaviour.run_states import StatesByPlace
from mockserver.behaviour.run_view import (
    ALWAYS_SHOWN,
    FIELDS,
    Run,
    cached_run_json,
    index_of,
    run_fields,
    shown_size,
    unchanged_runs_json,
)
from mockserver.behaviour.status_steps import ACTIVE, ENDED
from mockserver.clock import FOREVER, moment_from
from mockserver.reply import LARGE_BYTES, Reply
from mockserver.spec import Call
from mockserver.time_slice import TimeSlice

_MAX_RESTARTS = 10
"""How often a list begins again because runs have changed while others ran. After that it lets no others run."""


class Row(NamedTuple):
    """Some runs of one batch: their places, in list order. `overrides` are those of `RunStates`."""

    batch: Batch
    changes: Changes
    overrides: StatesByPlace | None
    places: Sequence[int]


async def list_runs(call: Call, context: Context) -> Reply:
    query = call.query
    listing = Listing(context, query)
    skip, limit = window(query)
    rows, total = await listing.page(skip, limit, by_activity=query.get("sort_mode", "activity") == "activity")
    include = query.get("include")
    runs = (listing.run(row, place) for row in rows for place in row.places)
    resources = await included(context, include, runs if include else ())
    sizes = [shown_size(row.batch, row.changes) for row in rows]
    return Reply(200, RunPage(listing, rows, sizes, query.get("fields"), total, skip, limit, resources))


class RunPage(NamedTuple):
    """One page of runs, out of `total`, as of the time of the request. `sizes`: of one run of each row, estimated."""

    listing: Listing
    rows: Sequence[Row]
    sizes: Sequence[int]
    wanted: Sequence[str] | None
    total: int
    skip: int
    limit: int
    included: tuple[Resource, ...] | None

    @property
    def held_bytes(self) -> int:
        """One run is rendered at a time."""
        return max(self.sizes, default=0)

    def render(self) -> bytes | Iterator[bytes]:
        items = (item for row, size in zip(self.rows, self.sizes, strict=True) for item in self._items(row, size))
        size = sum(len(row.places) * size for row, size in zip(self.rows, self.sizes, strict=True))
        included = b"" if self.included is None else included_json(self.included)
        if not isinstance(included, bytes):
            return list_parts(items, self.total, self.skip, self.limit, included)
        parts = list_parts(items, self.total, self.skip, self.limit, (included,))
        return parts if size + len(included) > LARGE_BYTES else b"".join(parts)

    def _items(self, row: Row, size: int) -> Iterator[bytes]:
        """Yield JSON items; consecutive unchanged runs may come as one comma-separated item."""
        batch, changes, overrides, places = row
        listing = self.listing
        untouched = overrides is None
        if untouched and self.wanted is None and len(places) * size <= LARGE_BYTES:
            yield unchanged_runs_json(listing.space, batch, places, listing.sim_time)
            return
        for place in places:
            if self.wanted is not None:
                yield projected(listing.space, listing.run(row, place), self.wanted, listing.sim_time)
                continue
            state = overrides.get(place) if overrides is not None else None
            session = None if state is None else state.session
            change = changes.get(place, UNCHANGED)
            yield cached_run_json(listing.space, batch, place, change, session, listing.sim_time).text


def projected(space: Space, run: Run, wanted: Sequence[str], sim_time: int) -> bytes:
    names = ALWAYS_SHOWN.union(wanted)
    fields = zip(FIELDS, run_fields(space, run, sim_time), strict=True)
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), bytes(value)) for name, value in fields if name in names)


class _RunsHaveChanged(Exception):
    """A list must begin again."""


class Listing:
    """One list request: its parsed filters, and the time as of which it is answered."""

    def __init__(self, context: Context, query: dict[str, Any]) -> None:
        self._context = context
        self.sim_time = context.sim_time
        self._workflow_id = query.get("workflow_id")
        self._machine_id = query.get("machine_id")
        self._session_id = query.get("session_id")
        self._status = query.get("status")
        self._since = moment_from(query["created_at_from"]) if query.get("created_at_from") else -FOREVER
        self._until = moment_from(query["created_at_to"]) if query.get("created_at_to") else FOREVER
        self._search = query.get("search")
        self._deep = query.get("deep_search", False)
        self._states = context.space.index.states
        self._time_slice = TimeSlice()
        self._restarts = 0

    @property
    def space(self) -> Space:
        return self._context.space

    async def page(self, skip: int, limit: int, *, by_activity: bool) -> tuple[list[Row], int]:
        """Return the rows of a page, newest first, and the number of matching runs.

        If `by_activity`, active runs come before ended runs.
        """
        total = None
        while total is None:
            index = await index_of(self._context)
            self._time_slice = TimeSlice()
            self._states = index.states
            page = Page(skip, limit)
            with index.at(self._context.sim_time) as self.sim_time, suppress(_RunsHaveChanged):
                total = await self._fill(page, index, by_activity=by_activity)
        states = self._states
        rows = [Row(batch, states.changes(batch), states.overrides(batch), places) for batch, places in page.rows]
        await self._give_way()  # the rows stay as they are, and to render them takes up to a millisecond
        return rows, total

    async def counts(self) -> dict[str, int]:
        """Return how many runs of the workflow, on the machine, are in each status, whatever the other filters."""
        while True:
            index = await index_of(self._context)
            with index.at(self._context.sim_time) as sim_time, suppress(_RunsHaveChanged):
                sequence = index.sequence(self._workflow_id, self._machine_id)
                for status in STATUSES:
                    await sequence.prepare(status, sim_time, index.folded_until, self._give_way)
                give_way, runs = self._giving_way(sequence), sequence.runs
                counts: dict[str, int] = {}
                for status in STATUSES:
                    counts[status] = await sequence.count(Selection(status, sim_time), give_way)
                if sequence.runs == runs:
                    return counts
                self._restarts += 1

    async def _fill(self, page: Page, index: RunIndex, *, by_activity: bool) -> int | None:
        """Fill the page and return the number of matching runs; None to begin again with all that has changed.

        Raises _RunsHaveChanged.
        """
        search = None
        if self._search:
            search = TextSearch(self.space, self._search, deep=self._deep, sim_time=self.sim_time)
        if self._session_id is not None:
            batches = index.batches_of_session(self._session_id)
            return await self._scan(page, [batches], search, by_activity=by_activity)
        sequence = index.sequence(self._workflow_id, self._machine_id)
        if search is not None:
            if await sequence.prepare_texts(self._give_way):
                return None
            parts = map(search.batches_in, sequence.texts())
            return await self._scan(page, parts, search, by_activity=by_activity)
        wanted = self._status or (ACTIVE if by_activity else None)
        await sequence.prepare(wanted, self.sim_time, index.folded_until, self._give_way)
        return await self._select(page, sequence, by_activity=by_activity)

    async def _select(self, page: Page, sequence: RunSequence, *, by_activity: bool) -> int:
        """Fill the page and return the number of matching runs. Raises _RunsHaveChanged."""
        every = Selection(self._status, self.sim_time, self._since, self._until)
        selections = [every]
        if by_activity and self._status is None:
            selections = [every._replace(wanted=ACTIVE), every._replace(wanted=ENDED)]
        give_way = self._giving_way(sequence)
        total = await sequence.count(every, give_way)
        for selection in selections:
            await sequence.fill(page, selection, give_way)
        return total

    def _giving_way(self, sequence: RunSequence) -> GiveWay:
        """Return a function that lets others run if that is due, and raises _RunsHaveChanged if what is known of the
        sequence then holds no longer.
        """
        changes = sequence.changes

        async def give_way() -> None:
            if self._restarts < _MAX_RESTARTS and await self._give_way() and sequence.changes != changes:
                self._restarts += 1
                raise _RunsHaveChanged

        return give_way

    # --- Filters that the index does not count

    async def _scan(
        self, page: Page, parts: Iterable[Sequence[Batch]], search: TextSearch | None, *, by_activity: bool
    ) -> int:
        """Look at every batch of the parts, and where it must at every run. Returns the number of matching runs.

        The batches are newest first.
        """
        is_copied = search is not None
        if is_copied:  # the search may wait for a thread
            self._states = self._states.copy()
        ended: list[tuple[Batch, Sequence[int]]] = []
        total = 0
        for batch in self._candidates(parts):
            if self._time_slice.is_over:
                if not is_copied:
                    self._states, is_copied = self._states.copy(), True
                await self._time_slice.give_way()
            if batch is None:
                continue
            places = await self._matching(batch, search)
            if not places:
                continue
            total += len(places)
            if by_activity and self._status is None:
                active, over = self._split(batch, places)
                page.add(batch, active)
                ended.append((batch, over))
            else:
                page.add(batch, places)
        for batch, over in ended:
            page.add(batch, over)
        return total

    def _candidates(self, parts: Iterable[Sequence[Batch]]) -> Iterator[Batch | None]:
        """Yield each batch in which a run may match, and None after each part, so that others can run."""
        workflow_id, since, until = self._workflow_id, self._since, self._until
        for batches in parts:
            for batch in batches:
                if since <= batch.created <= until and workflow_id in (None, batch.workflow_id):
                    yield batch
            yield None

    async def _matching(self, batch: Batch, search: TextSearch | None) -> Sequence[int]:
        states = self._states
        changes = states.changes(batch)
        found = await search.finds_batch(batch) if search is not None and not changes else None
        if found is False:
            return ()
        places: Sequence[int] = states.places(batch, self._machine_id, self._status, self.sim_time)
        if self._session_id is not None and changes:
            sought = self._session_id
            places = [place for place in places if _session_of(batch, changes.get(place, UNCHANGED)) == sought]
        if search is None or found:
            return places
        matching: list[int] = []
        for place in places:
            await self._give_way()
            state = states.state(batch, place)
            if state is not None:
                run = Run(batch, place, changes.get(place, UNCHANGED), state.timeline)
                if await search.finds(run, shared_too=bool(changes)):
                    matching.append(place)
        return matching

    def _split(self, batch: Batch, places: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Divide runs into the active and the ended ones."""
        if self.sim_time >= self._states.ended_from(batch):
            return (), places
        active = set(self._states.places(batch, self._machine_id, ACTIVE, self.sim_time))
        return [place for place in places if place in active], [place for place in places if place not in active]

    async def _give_way(self) -> bool:
        if not self._time_slice.is_over:
            return False
        await self._time_slice.give_way()
        return True

    # --- Runs

    def run(self, row: Row, place: int) -> Run:
        """A run of a row."""
        batch, changes, overrides, _ = row
        state = overrides.get(place) if overrides is not None else None
        change = changes.get(place, UNCHANGED)
        timeline = self.space.timeline(batch, place, change) if state is None else state.timeline
        return Run(batch, place, change, timeline)


def _session_of(batch: Batch, change: Change) -> str | None:
    return (change.placement or batch.placement).session_id
