"""Batches in the order of lists, in two levels of nodes that count their runs by status.

A *chunk* holds some batches, a *span* some chunks. Both keep the number of their runs and, once it was needed, their
`StatusSteps`. A count takes one bisection for each span; a page opens only the chunks that it shows. The last span is
still filled, so it has no steps of its own while it has few chunks: to sort them again for each create takes longer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mockserver.behaviour.batch import Batch
from mockserver.behaviour.lifecycle import Timeline
from mockserver.behaviour.run_states import NO_RUNS, UNKNOWN, Bounds, RunStates
from mockserver.behaviour.search_texts import SearchTexts
from mockserver.behaviour.status_steps import StatusSteps
from mockserver.clock import FOREVER

_BATCHES_IN_CHUNK = 64
_RUNS_IN_CHUNK = 2_048
_CHUNKS_IN_SPAN = 128
_CHUNKS_COUNTED_ONE_BY_ONE = 16
_RUNS_IN_SPAN = 16_384
_SPANS_AT_ONCE = 16

_RUNS_ADDED_AT_ONCE = 256
"""With more, steps are made anew when they are needed: to add the runs would keep others from running."""
_PLACES_KEPT = 131_072
_RUNS_IN_KEPT_ROWS = 1_024

OrderKey = Callable[[Batch], Any]
GiveWay = Callable[[], Awaitable[object]]
"""Lets others run if that is due."""


class Selection(NamedTuple):
    """Which runs of a sequence: those in a status (or ACTIVE, or ENDED) that were created from `since` to `until`."""

    wanted: str | None
    sim_time: int
    since: int = -FOREVER
    until: int = FOREVER


Rows = Sequence[tuple[Batch, Sequence[int]]]
"""Batches with the places of some of their runs, in list order."""
_Kept = tuple[int, int, Rows]


class _Chunk:
    """Batches, oldest first. `rows` are those that were shown last, and the simulated times between which they hold."""

    __slots__ = ("batches", "bounds", "rows", "runs", "steps", "texts")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.rows: dict[str | None, _Kept] = {}
        self.texts: SearchTexts | None = None
        self.runs = 0
        self.bounds = NO_RUNS
        self.steps: StatusSteps | None = None

    @property
    def oldest(self) -> Batch:
        return self.batches[0]

    @property
    def newest(self) -> Batch:
        return self.batches[-1]


class _Span:
    """Chunks, oldest first.

    From the simulated time `folds_at` on there are steps to fold. `changes` counts how often its runs have changed.
    """

    __slots__ = ("bounds", "changes", "chunks", "folds_at", "runs", "steps")

    def __init__(self) -> None:
        self.changes = 0
        self.chunks: list[_Chunk] = []
        self.folds_at = -FOREVER
        self.runs = 0
        self.bounds = NO_RUNS
        self.steps: StatusSteps | None = None

    @property
    def oldest(self) -> Batch:
        return self.chunks[0].batches[0]

    @property
    def newest(self) -> Batch:
        return self.chunks[-1].batches[-1]

    def fold(self, until: int) -> None:
        """Fold the steps until a simulated time, which must not be asked for again."""
        for chunk in self.chunks:
            if chunk.steps is not None:
                chunk.steps.fold(until)
        if self.steps is not None:
            self.folds_at = self.steps.fold(until)


_NO_ROWS: _Kept = (-FOREVER, -FOREVER, ())


class Page:
    """The rows of a page, as they are found: batches with the places of their runs, in list order."""

    def __init__(self, skip: int, limit: int) -> None:
        self.rows: list[tuple[Batch, Sequence[int]]] = []
        self._skip = skip
        self._left = limit

    def is_full(self) -> bool:
        return self._left <= 0

    def passes(self, runs: int) -> bool:
        """Whether the next runs stand before the page; then they are skipped."""
        if self._skip < runs:
            return False
        self._skip -= runs
        return True

    def add(self, batch: Batch, places: Sequence[int]) -> None:
        if self.is_full() or self.passes(len(places)):
            return
        shown = places[self._skip : self._skip + self._left]
        self.rows.append((batch, shown))
        self._skip = 0
        self._left -= len(shown)


class RunSequence:
    """The runs of some batches that are on one machine, or on any (None). `runs` is their number."""

    def __init__(self, states: RunStates, machine_id: str | None, order_key: OrderKey) -> None:
        self._states = states
        self._machine_id = machine_id
        self._order_key = order_key
        self._spans: list[_Span] = []
        self._rows_kept: list[_Chunk] = []
        self._places_kept = 0
        self._has_texts = False
        self.runs = 0
        self.changes = 0
        """How often the runs that were there have changed. Batches that are added at the end do not count."""

    @property
    def is_empty(self) -> bool:
        return not self._spans

    # --- Changes

    def add(self, batches: Sequence[Batch], runs: int, bounds: Bounds, folded_until: int) -> None:
        """Add batches of unchanged runs without a session, in order. `runs` is their number."""
        newest = self._spans[-1].newest.created if self._spans else -FOREVER
        if runs <= _RUNS_IN_CHUNK and batches[0].created > newest and _is_ascending(batches):
            span, chunk = self._last()
            chunk.batches += batches
            chunk.texts = None
            self._add_runs(span, chunk, batches, runs, bounds, folded_until)
            return
        for batch in batches:
            span, chunk = self._entered(batch)
            self._add_runs(span, chunk, (batch,), batch.ids.size, bounds, folded_until)

    def _add_runs(
        self, span: _Span, chunk: _Chunk, batches: Iterable[Batch], runs: int, bounds: Bounds, folded_until: int
    ) -> None:
        chunk.rows.clear()
        span.folds_at = -FOREVER
        span.changes += 1
        self.runs += runs
        for node in (span, chunk):
            node.runs += runs
            node.bounds = node.bounds.union(bounds)
            if runs > _RUNS_ADDED_AT_ONCE:
                node.steps = None  # `prepare` makes them again, and lets others run meanwhile
            elif node.steps is not None:
                self._states.add_to(node.steps, batches, self._machine_id, folded_until)

    def change(self, batch: Batch, removed: Sequence[Timeline], added: Sequence[Timeline]) -> None:
        """Replace timelines of runs of a batch, which enters the sequence if it is new here."""
        self.changes += 1
        span, chunk = self._entered(batch)
        chunk.rows.clear()
        span.folds_at = -FOREVER
        span.changes += 1
        self.runs += len(added) - len(removed)
        for node in (span, chunk):
            node.runs += len(added) - len(removed)
            node.bounds = UNKNOWN
            if node.steps is not None:
                for timeline in removed:
                    node.steps.remove(timeline)
                for timeline in added:
                    node.steps.add(timeline)

    def discard(self, batch: Batch) -> None:
        """Remove a batch, if it is there. It must have no runs here any more."""
        if not self._spans:
            return
        span, chunk = self._around(batch)
        index = bisect_left(chunk.batches, self._order_key(batch), key=self._order_key)
        if index < len(chunk.batches) and chunk.batches[index].tail == batch.tail:
            self.changes += 1
            chunk.rows.clear()
            chunk.texts = None
            del chunk.batches[index]
            if not chunk.batches:
                span.chunks.remove(chunk)
            if not span.chunks:
                self._spans.remove(span)

    def _last(self) -> tuple[_Span, _Chunk]:
        """The last chunk, in which there is room for a batch."""
        span = self._spans[-1] if self._spans else None
        if span is not None:
            chunk = span.chunks[-1]
            if len(chunk.batches) < _BATCHES_IN_CHUNK and chunk.runs < _RUNS_IN_CHUNK:
                return span, chunk
        if span is None or len(span.chunks) >= _CHUNKS_IN_SPAN or span.runs >= _RUNS_IN_SPAN:
            span = _Span()
            self._spans.append(span)
        span.chunks.append(_Chunk())
        return span, span.chunks[-1]

    def _around(self, batch: Batch) -> tuple[_Span, _Chunk]:
        """The chunk in whose range the batch is."""
        key, order_key = self._order_key(batch), self._order_key
        span = self._spans[max(0, bisect_right(self._spans, key, key=lambda each: order_key(each.oldest)) - 1)]
        chunk = span.chunks[max(0, bisect_right(span.chunks, key, key=lambda each: order_key(each.oldest)) - 1)]
        return span, chunk

    def _entered(self, batch: Batch) -> tuple[_Span, _Chunk]:
        """The chunk of a batch. A batch that is in none is entered, without its runs."""
        key, order_key = self._order_key(batch), self._order_key
        if not self._spans or order_key(self._spans[-1].newest) < key:
            span, chunk = self._last()
            chunk.batches.append(batch)
            chunk.texts = None
            return span, chunk
        span, chunk = self._around(batch)
        index = bisect_left(chunk.batches, key, key=order_key)
        if index == len(chunk.batches) or chunk.batches[index].tail != batch.tail:
            self.changes += 1
            if len(chunk.batches) >= 2 * _BATCHES_IN_CHUNK:
                self._split(span, chunk)
                return self._entered(batch)
            chunk.batches.insert(index, batch)
            chunk.texts = None
        return span, chunk

    def _split(self, span: _Span, chunk: _Chunk) -> None:
        """Divide a chunk, and the span if it has too many chunks then."""
        index = span.chunks.index(chunk)
        half = len(chunk.batches) // 2
        span.chunks[index : index + 1] = [self._chunk(chunk.batches[:half]), self._chunk(chunk.batches[half:])]
        if len(span.chunks) > 2 * _CHUNKS_IN_SPAN:
            index = self._spans.index(span)
            half = len(span.chunks) // 2
            self._spans[index : index + 1] = [_span(span.chunks[:half]), _span(span.chunks[half:])]

    def _chunk(self, batches: list[Batch]) -> _Chunk:
        chunk = _Chunk()
        chunk.batches = batches
        chunk.runs = sum(len(self._states.places(batch, self._machine_id, None, 0)) for batch in batches)
        for batch in batches:
            chunk.bounds = chunk.bounds.union(self._states.bounds(batch))
        return chunk

    # --- Counts and pages

    async def prepare(self, wanted: str | None, sim_time: int, folded_until: int, give_way: GiveWay) -> None:
        """Make the steps that a count needs, and fold those until `folded_until`. Without steps a count is slow."""
        if wanted is None:
            return
        for number, span in enumerate(list(self._spans)):
            if not number % _SPANS_AT_ONCE:
                await give_way()
            if span.steps is not None and folded_until >= span.folds_at:
                span.fold(folded_until)
                await give_way()
            if span.steps is None and span.bounds.decides(wanted, sim_time) is None:
                await self._prepare_span(span, wanted, sim_time, folded_until, give_way)

    async def _prepare_span(
        self, span: _Span, wanted: str, sim_time: int, folded_until: int, give_way: GiveWay
    ) -> None:
        """Make the steps of the chunks that a count needs, and those of the span, if it should have any."""
        # Steps of runs that cannot have ended yet take long to make, and this count may not need them.
        has_young = any(
            sim_time < chunk.bounds.active_until and chunk.bounds.decides(wanted, sim_time) is not None
            for chunk in span.chunks
        )
        is_last = span is self._spans[-1]
        has_steps = not has_young and (not is_last or len(span.chunks) > _CHUNKS_COUNTED_ONE_BY_ONE)
        for chunk in list(span.chunks):
            if chunk.steps is None and (has_steps or chunk.bounds.decides(wanted, sim_time) is None):
                for batch in list(chunk.batches):
                    self._states.compute_timelines(batch, folded_until)
                    await give_way()
                self._make_steps(chunk, folded_until)
                await give_way()
        if has_steps:
            parts = [chunk.steps or self._make_steps(chunk, folded_until) for chunk in span.chunks]
            steps, changes = StatusSteps(), span.changes
            for _ in steps.merge(parts):
                await give_way()
            if span.changes == changes:
                span.steps = steps

    def _make_steps(self, chunk: _Chunk, folded_until: int) -> StatusSteps:
        steps = chunk.steps = StatusSteps()
        self._states.add_to(steps, chunk.batches, self._machine_id, folded_until)
        return steps

    async def count(self, selection: Selection, give_way: GiveWay) -> int:
        """Count the runs of a selection. `give_way` must raise an error if `changes` is another number."""
        if selection.wanted is None and (selection.since, selection.until) == (-FOREVER, FOREVER):
            return self.runs
        total = 0
        for number, span in enumerate(self._spans):
            if not number % _SPANS_AT_ONCE:
                await give_way()
            total += self._count(span, selection)
        return total

    def _count(self, node: _Span | _Chunk, selection: Selection) -> int:
        wanted, sim_time, since, until = selection
        is_whole = since == -FOREVER and until == FOREVER
        if not is_whole:
            oldest, newest = node.oldest.created, node.newest.created
            if newest < since or until < oldest:
                return 0
            is_whole = since <= oldest and newest <= until
        if is_whole:
            if wanted is None:
                return node.runs
            if node.steps is not None:
                return node.steps.count(wanted, sim_time)
            if (are_in := node.bounds.decides(wanted, sim_time)) is not None:
                return node.runs if are_in else 0
        if isinstance(node, _Span):
            return sum(self._count(chunk, selection) for chunk in node.chunks)
        return sum(len(places) for _, places in self._rows(node, selection))

    def _rows(self, chunk: _Chunk, selection: Selection) -> Iterable[tuple[Batch, Sequence[int]]]:
        wanted, sim_time, since, until = selection
        is_whole = since <= chunk.oldest.created and chunk.newest.created <= until
        is_whole = is_whole and chunk.runs <= _RUNS_IN_KEPT_ROWS
        known_since, holds_until, rows = chunk.rows.get(wanted, _NO_ROWS) if is_whole else _NO_ROWS
        if known_since <= sim_time < holds_until:
            return rows
        every = (
            (batch, self._states.places(batch, self._machine_id, wanted, sim_time))
            for batch in reversed(chunk.batches)
            if since <= batch.created <= until
        )
        if not is_whole:
            return every
        rows = [row for row in every if row[1]]
        if wanted is None or sim_time >= chunk.bounds.ended_from:
            self._keep_rows(chunk, wanted, (sim_time, FOREVER, rows))
        elif chunk.bounds.decides(wanted, sim_time) is not None:
            self._keep_rows(chunk, wanted, (sim_time, chunk.bounds.active_until, rows))
        elif chunk.steps is not None:
            self._keep_rows(chunk, wanted, (sim_time, chunk.steps.next_step(sim_time), rows))
        return rows

    def _keep_rows(self, chunk: _Chunk, wanted: str | None, kept: _Kept) -> None:
        if self._places_kept > _PLACES_KEPT:
            for each in self._rows_kept:
                each.rows.clear()
            self._rows_kept.clear()
            self._places_kept = 0
        if not chunk.rows:
            self._rows_kept.append(chunk)
        chunk.rows[wanted] = kept
        self._places_kept += _BATCHES_IN_CHUNK + sum(len(places) for _, places in kept[2])

    async def fill(self, page: Page, selection: Selection, give_way: GiveWay) -> None:
        """Add the rows of the page, newest first. `give_way` must raise an error if `changes` is another number."""
        computed = self._states.timelines_cache.computed
        for number, span in enumerate(reversed(self._spans)):
            if page.is_full():
                return
            if not number % _SPANS_AT_ONCE:
                await give_way()
            if page.passes(self._count(span, selection)):
                continue
            for chunk in reversed(span.chunks):
                if page.is_full():
                    break
                if page.passes(self._count(chunk, selection)):
                    continue
                for batch, places in self._rows(chunk, selection):
                    page.add(batch, places)
                    if page.is_full():
                        return
                    if self._states.timelines_cache.computed != computed:
                        computed = self._states.timelines_cache.computed
                        await give_way()
                await give_way()

    # --- Searches

    async def prepare_texts(self, give_way: Callable[[], Awaitable[bool]]) -> bool:
        """Join the texts that a search needs. Returns whether it gave way: the sequence may have changed then."""
        gave_way = False
        self._has_texts = True
        for span in list(self._spans):
            for chunk in list(span.chunks):
                if chunk.texts is None:
                    chunk.texts = SearchTexts.of(chunk.batches, self._states)
                    gave_way |= await give_way()
        return gave_way

    def texts(self) -> list[SearchTexts]:
        """A snapshot of the texts that are prepared, newest first."""
        chunks = (chunk for span in reversed(self._spans) for chunk in reversed(span.chunks))
        return [chunk.texts for chunk in chunks if chunk.texts is not None]

    def forget_texts(self, batch: Batch) -> None:
        """Required after any change of a batch."""
        if self._has_texts and self._spans:
            self._around(batch)[1].texts = None


def _is_ascending(batches: Sequence[Batch]) -> bool:
    return all(one.created <= other.created for one, other in pairwise(batches))


def _span(chunks: list[_Chunk]) -> _Span:
    span = _Span()
    span.chunks = chunks
    span.runs = sum(chunk.runs for chunk in chunks)
    for chunk in chunks:
        span.bounds = span.bounds.union(chunk.bounds)
    return span
