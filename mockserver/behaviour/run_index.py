"""The index of runs: answers lists without looking at every run.

A mock may hold a million runs, of which each changes its status by itself as time passes, and clients poll lists of
them. A list that looked at every run would take seconds, in which no other request is answered. So the runs are kept in
the order of lists (`run_sequence.py`), one sequence for each filter that has a fixed value: workflow, machine, both,
none. Each counts its runs by status as steps in time (`status_steps.py`).

The index is derived from the store and never written to it. It follows the versions of the ledger and of the sessions:
every change of a run commits its ledger block, and its session if it has one. Only what was written since the last list
is looked at. `tests/mockserver/behaviour/test_run_index.py` holds every list equal to one that looks at each run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from mockserver.behaviour.batch import BATCH, CHANGES, NO_CHANGES, SESSION, UNCHANGED, Batch, Changes, Session
from mockserver.behaviour.ledger import BLOCK, LEDGER, OPEN, Block
from mockserver.behaviour.lifecycle import Schedules, Timeline
from mockserver.behaviour.run_sequence import RunSequence
from mockserver.behaviour.run_states import NO_RUNS, RunState, RunStates, StatesByPlace
from mockserver.behaviour.session_timelines import SessionTimelines
from mockserver.behaviour.world import RunProfile
from mockserver.clock import FOREVER
from mockserver.store import UnitStore
from mockserver.time_slice import TimeSlice

_MAX_POLLS = 50
"""How often a list looks again at most, for what other servers have written meanwhile."""
_Key = tuple[str | None, str | None]
"""The workflow and the machine that all runs of a sequence have; None if they need not have the same."""
ReadSession = Callable[[str], Awaitable[SessionTimelines]]
"""Returns the timelines of a session by its id. Raises VersionConflict if the session changes meanwhile."""


class RunIndex:
    """The runs of one space."""

    def __init__(self, schedules: Schedules, profiles: Mapping[str, RunProfile]) -> None:
        self.states = RunStates(schedules, profiles)
        self._sequences: dict[_Key, RunSequence] = {}
        self._blocks: dict[str, dict[str, Batch]] = {}
        """The batches of each ledger block, by tail. The open block has the name that it will have once closed."""
        self._ranks: dict[str, tuple[int, int, int]] = {}
        """By block of seeds: what decides the order of batches that were created at the same moment."""
        self._versions: dict[str, int] = {}
        """The version of the changes of each batch that has some, by tail."""
        self._sessions: dict[str, list[Batch]] = {}
        """The batches of each session, by its id: those with a run in it now, and some that had one."""
        self._catching_up: asyncio.Future[None] | None = None
        self._position = 0
        """Until where the store was asked for what was written; what is due of that is still to be taken in."""
        self._due_blocks: dict[str, None] = {}
        self._due_sessions: dict[str, None] = {}
        self._times: list[int] = []
        """The simulated times for which lists are being answered."""
        self.folded_until = 0
        """Steps until this simulated time may be folded: no list is answered for an earlier one."""

    def sequence(self, workflow_id: str | None, machine_id: str | None) -> RunSequence:
        known = self._sequences.get((workflow_id, machine_id))
        return RunSequence(self.states, machine_id, self.order_key) if known is None else known

    @contextmanager
    def at(self, sim_time: int) -> Iterator[int]:
        """Give the time for which to answer a list that was requested at `sim_time`."""
        sim_time = max(sim_time, self.folded_until)
        self._times.append(sim_time)
        self.folded_until = min(self._times)
        try:
            yield sim_time
        finally:
            self._times.remove(sim_time)

    def order_key(self, batch: Batch) -> tuple[int, int, int, int, int]:
        """Lists show the highest key first: the latest moment of creation, then what was entered last."""
        if batch.block is None:
            return batch.created, batch.number // BLOCK, FOREVER, 0, batch.number
        return batch.created, *self._ranks[batch.block], batch.number

    def batches(self) -> Iterator[Batch]:
        """All batches, in no order."""
        for block in self._blocks.values():
            yield from block.values()

    def batches_of_session(self, session_id: str) -> Sequence[Batch]:
        """Newest first."""
        return sorted(self._sessions.get(session_id, ()), key=self.order_key, reverse=True)

    # --- Following the store

    async def catch_up(self, store: UnitStore, timelines_of: ReadSession) -> None:
        """Take in what was written since the last time. Raises VersionConflict if a session changes meanwhile."""
        while self._catching_up is not None:
            await asyncio.wait((self._catching_up,))
        # A lock would bind the space to one event loop; an application may be used from several, one after the other.
        done = self._catching_up = asyncio.get_running_loop().create_future()
        try:
            time_slice = TimeSlice()
            for _ in range(_MAX_POLLS):
                if not await self._poll_store(store):
                    break
                # The blocks first: the batches of a session must be known.
                for due, take in ((self._due_blocks, self._take_block), (self._due_sessions, self._take_session)):
                    while due:
                        key = next(iter(due))
                        await take(store, timelines_of, key)
                        del due[key]
                        if time_slice.is_over:
                            await time_slice.give_way()
        finally:
            self._catching_up = None
            done.set_result(None)

    async def _poll_store(self, store: UnitStore) -> bool:
        """Note what was written since the last time. Returns False if there is nothing to take in."""
        written, self._position = await store.written_since(self._position, LEDGER, SESSION)
        # The oldest first, so that batches are mostly appended.
        self._due_blocks |= dict.fromkeys(sorted(written[LEDGER], key=_age))
        self._due_sessions |= dict.fromkeys(reversed(written[SESSION]))
        return bool(self._due_blocks or self._due_sessions)

    async def _take_block(self, store: UnitStore, timelines_of: ReadSession, key: str) -> None:
        """Take in a ledger block: remove the batches that it no longer has, add new ones, update those that changed."""
        block: Block = (await store.load(LEDGER, key)).value or Block(0, ())
        name = str(block.next_number // BLOCK) if key == OPEN else key
        known = self._blocks.setdefault(name, {})
        for tail in known.keys() - set(block.tails):
            self._remove(known.pop(tail))
        new = await self._load_new(store, block, name)
        changed = await self._changed(store, block)
        unchanged: list[Batch] = []
        time_slice = TimeSlice()
        for batch in (*known.values(), *new):
            is_new = batch.tail not in known
            if batch.tail in changed or (is_new and batch.placement.session_id is not None):
                await self._take_changes(store, timelines_of, batch, is_new=is_new)
                known[batch.tail] = batch
            elif is_new:
                unchanged.append(batch)
            if time_slice.is_over:
                await time_slice.give_way()
        self._add(unchanged)
        known.update((batch.tail, batch) for batch in unchanged)
        if not known:
            self._blocks.pop(name, None)

    async def _load_new(self, store: UnitStore, block: Block, name: str) -> list[Batch]:
        """Return the batches of a block that are not known yet. If they are seeds, the block gets its rank."""
        known = self._blocks[name]
        new = dict.fromkeys(tail for tail in block.tails if tail not in known)
        units = await store.load_many(*((BATCH, tail) for tail in new))
        batches: list[Batch] = [unit.value for unit in units if unit.value is not None]
        if batches and batches[0].block is not None:
            newest = max(batch.created for batch in batches)
            self._ranks.setdefault(name, (block.next_number // BLOCK, newest, int(name.rpartition(" ")[2])))
        return batches

    async def _changed(self, store: UnitStore, block: Block) -> set[str]:
        """Return the tails of the batches whose changes have another version than the one taken in."""
        units = await store.load_many(*((CHANGES, tail) for tail in block.tails))
        both = zip(block.tails, units, strict=True)
        return {tail for tail, unit in both if unit.version != self._versions.get(tail, 0)}

    async def _take_session(self, store: UnitStore, timelines_of: ReadSession, session_id: str) -> None:
        session: Session | None = (await store.load(SESSION, session_id)).value
        batches: list[Batch] = []
        tails = dict.fromkeys(slot.batch_tail for slot in session.slots) if session is not None else ()
        time_slice = TimeSlice()
        for unit in await store.load_many(*((BATCH, tail) for tail in tails)):
            batch: Batch | None = unit.value
            if batch is not None and batch.tail in self._versions:
                await self._take_changes(store, timelines_of, batch, is_new=False)
                batches.append(batch)
            if time_slice.is_over:
                await time_slice.give_way()
        if batches:
            self._sessions[session_id] = batches
        else:
            self._sessions.pop(session_id, None)

    async def _take_changes(self, store: UnitStore, timelines_of: ReadSession, batch: Batch, *, is_new: bool) -> None:
        """Take in a batch that has changes or a session: compare its runs with what is known of them."""
        unit = await store.load(CHANGES, batch.tail)
        changes: Changes = unit.value or NO_CHANGES
        after = await self._overrides(batch, changes, timelines_of)
        states = self.states
        places: Iterable[int] = range(batch.ids.size) if is_new else {*after, *(states.overrides(batch) or ())}
        before = {place: None if is_new else states.state(batch, place) for place in places}
        if batch.tail not in self._versions:
            # Its sessions may have been taken in before this batch was known, and lack it. That happens if a block is
            # closed after the look that found the open block, and before the open block is loaded.
            sessions = ((changes.get(place, UNCHANGED).placement or batch.placement).session_id for place in after)
            self._due_sessions |= dict.fromkeys(each for each in sessions if each is not None)
        self._versions[batch.tail] = unit.version
        states.override(batch, changes, after)
        self._replace(batch, before, {place: states.state(batch, place) for place in before})

    async def _overrides(self, batch: Batch, changes: Changes, timelines_of: ReadSession) -> StatesByPlace:
        """Return the states of those runs of a batch that have changed or have a session."""
        overrides: dict[int, RunState | None] = {}
        for place in changes if batch.placement.session_id is None else range(batch.ids.size):
            change = changes.get(place, UNCHANGED)
            placement = change.placement or batch.placement
            if change.deleted is not None:
                overrides[place] = None
            elif placement.session_id is None:
                overrides[place] = RunState(placement.machine_id, self.states.timeline(batch, place, change))
            else:
                timelines = await timelines_of(placement.session_id)
                await timelines.compute(batch.tail, place)
                overrides[place] = RunState(placement.machine_id, timelines[batch.tail, place], timelines)
        return overrides

    def _add(self, batches: Sequence[Batch]) -> None:
        """Add new batches that have neither changes nor a session."""
        parts: dict[_Key, _Part] = {}
        parts_of: dict[tuple[str, str | None], list[_Part]] = {}
        for batch in batches:
            kind = batch.workflow_id, batch.placement.machine_id
            if kind not in parts_of:
                parts_of[kind] = [parts.setdefault(key, _Part()) for key in _keys(*kind)]
            bounds = self.states.bounds(batch)
            for part in parts_of[kind]:
                part.batches.append(batch)
                part.runs += batch.ids.size
                part.bounds = part.bounds.union(bounds)
        for key, part in parts.items():
            self._opened(key).add(part.batches, part.runs, part.bounds, self.folded_until)

    def _remove(self, batch: Batch) -> None:
        before = {place: self.states.state(batch, place) for place in range(batch.ids.size)}
        self._replace(batch, before, dict.fromkeys(before))
        self._versions.pop(batch.tail, None)
        for key in _keys(batch.workflow_id, batch.placement.machine_id, *_machines(before)):
            self._discard(key, batch)
        self.states.forget(batch)

    def _replace(self, batch: Batch, before: StatesByPlace, after: StatesByPlace) -> None:
        """Move the runs of a batch between sequences, and from one timeline to another."""
        removed: defaultdict[_Key, list[Timeline]] = defaultdict(list)
        added: defaultdict[_Key, list[Timeline]] = defaultdict(list)
        keys = {each: _keys(batch.workflow_id, each) for each in _machines(before) | _machines(after)}
        for place, old in before.items():
            new = after[place]
            if old is not None and new is not None and old[:2] == new[:2]:
                continue
            for state, into in ((old, removed), (new, added)):
                if state is not None:
                    for key in keys[state.machine_id]:
                        into[key].append(state.timeline)
        for key in removed.keys() | added.keys():
            self._opened(key).change(batch, removed[key], added[key])
        for key in _keys(batch.workflow_id, *keys) & self._sequences.keys():
            self._sequences[key].forget_texts(batch)
        for machine_id in _machines(before) - {batch.placement.machine_id, None}:
            if not self.states.places(batch, machine_id, None, self.folded_until):
                for workflow_id in (None, batch.workflow_id):
                    self._discard((workflow_id, machine_id), batch)

    def _opened(self, key: _Key) -> RunSequence:
        """The sequence of a key, which is kept from now on."""
        sequence = self._sequences.get(key)
        if sequence is None:
            sequence = self._sequences[key] = RunSequence(self.states, key[1], self.order_key)
        return sequence

    def _discard(self, key: _Key, batch: Batch) -> None:
        sequence = self._sequences.get(key)
        if sequence is not None:
            sequence.discard(batch)
            if sequence.is_empty:
                del self._sequences[key]


class _Part:
    """The new batches of one sequence."""

    __slots__ = ("batches", "bounds", "runs")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.runs = 0
        self.bounds = NO_RUNS


def _keys(workflow_id: str, *machines: str | None) -> set[_Key]:
    """The keys of the sequences that have runs of a workflow on these machines (None: on no machine)."""
    return {(workflow, machine) for machine in (None, *machines) for workflow in (None, workflow_id)}


def _machines(states: StatesByPlace) -> set[str | None]:
    return {state.machine_id for state in states.values() if state is not None}


def _age(key: str) -> tuple[int, int]:
    """Order the names of ledger blocks: seeds, closed blocks, the open block."""
    if key == OPEN:
        return 2, 0
    return (1, int(key)) if key.isdecimal() else (0, int(key.rpartition(" ")[2]))
