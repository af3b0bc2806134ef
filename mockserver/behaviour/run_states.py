"""What the run index knows of each run now: its machine, its timeline, and whether it is deleted.

An unchanged run without a session follows from its batch. The states of the others, which override that, are held here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from mockserver.behaviour.batch import NO_CHANGES, TERMINAL, Batch, Change, Changes, Script
from mockserver.behaviour.batch_timelines import TimelinesCache
from mockserver.behaviour.lifecycle import Schedules, Timeline
from mockserver.behaviour.session_timelines import SessionTimelines
from mockserver.behaviour.status_steps import ACTIVE, ENDED, StatusSteps, Steps, matches
from mockserver.behaviour.world import RunProfile
from mockserver.clock import FOREVER

_KINDS_CACHED = 4_096
_FEW = 16


class RunState(NamedTuple):
    """`session` is the timelines of all runs of its session, if it has one."""

    machine_id: str | None
    timeline: Timeline
    session: SessionTimelines | None = None


_IF_ALL_ARE_ACTIVE: Final[Mapping[str, bool]] = {ACTIVE: True, ENDED: False, **dict.fromkeys(TERMINAL, False)}


class Bounds(NamedTuple):
    """Simulated times of unchanged runs: before `active_until` none has ended, from `ended_from` on all have."""

    active_until: int
    ended_from: int

    def decides(self, wanted: str, sim_time: int) -> bool | None:
        """Whether all of the runs are in a status (or ACTIVE, or ENDED), or none; None if that depends on the run."""
        if sim_time < self.active_until:
            return _IF_ALL_ARE_ACTIVE.get(wanted)
        if sim_time >= self.ended_from:
            return None if wanted in TERMINAL else wanted == ENDED
        return None

    def union(self, other: Bounds) -> Bounds:
        """Return the bounds of both groups of runs together."""
        return Bounds(min(self.active_until, other.active_until), max(self.ended_from, other.ended_from))


UNKNOWN: Final = Bounds(-FOREVER, FOREVER)
NO_RUNS: Final = Bounds(FOREVER, -FOREVER)

StatesByPlace = Mapping[int, RunState | None]
"""By place, the states of those runs of a batch that its unchanged timelines do not give; None for a deleted run."""


class RunStates:
    def __init__(self, schedules: Schedules, profiles: Mapping[str, RunProfile]) -> None:
        self._schedules = schedules
        self._profiles = profiles
        self._overrides: dict[str, tuple[Changes, StatesByPlace]] = {}  # by batch tail
        self.timelines_cache = TimelinesCache(schedules, profiles)
        self._bounds: dict[tuple[str, Script | None], tuple[int, int]] = {}

    # --- What is known

    def changes(self, batch: Batch) -> Changes:
        known = self._overrides.get(batch.tail)
        return NO_CHANGES if known is None else known[0]

    def overrides(self, batch: Batch) -> StatesByPlace | None:
        """Never changed, only replaced. None if all runs of the batch are unchanged, and have no session."""
        known = self._overrides.get(batch.tail)
        return None if known is None else known[1]

    def override(self, batch: Batch, changes: Changes, states: StatesByPlace) -> None:
        self._overrides[batch.tail] = changes, states

    def forget(self, batch: Batch) -> None:
        self._overrides.pop(batch.tail, None)

    def copy(self) -> RunStates:
        """A snapshot."""
        other = RunStates(self._schedules, self._profiles)
        other._overrides = dict(self._overrides)
        other.timelines_cache = self.timelines_cache
        return other

    # --- What follows

    def state(self, batch: Batch, place: int) -> RunState | None:
        overrides = self.overrides(batch)
        if overrides is not None and place in overrides:
            return overrides[place]
        return RunState(batch.placement.machine_id, self._unchanged(batch, place))

    def _unchanged(self, batch: Batch, place: int) -> Timeline:
        if batch.ids.size == 1:
            return self.timelines_cache.of_one(batch)
        return self.timelines_cache.of(batch).timelines.timeline(place, batch.born)

    def timeline(self, batch: Batch, place: int, change: Change) -> Timeline:
        """The timeline of a run without a session."""
        return self._schedules.timeline(self._profiles[batch.workflow_id], batch, place, change)

    def bounds(self, batch: Batch) -> Bounds:
        """UNKNOWN if a run of the batch has changed, or has a session."""
        if batch.tail in self._overrides:
            return UNKNOWN
        kind = batch.workflow_id, batch.script
        bounds = self._bounds.get(kind)
        if bounds is None:
            if len(self._bounds) >= _KINDS_CACHED:
                self._bounds.clear()
            bounds = self._bounds[kind] = self._schedules.bounds(self._profiles[batch.workflow_id], batch)
        return Bounds(min(FOREVER, batch.born + bounds[0]), min(FOREVER, batch.born + bounds[1]))

    def ended_from(self, batch: Batch) -> int:
        return self.bounds(batch).ended_from

    def places(self, batch: Batch, machine_id: str | None, wanted: str | None, sim_time: int) -> Sequence[int]:
        """The places of the runs on a machine (None: on any) in a status (None: in any), in the order of lists.

        Runs of one moment are listed in reverse, so a chain begins with its last step. `wanted` may be ACTIVE or ENDED.
        """
        overrides = self.overrides(batch)
        own: Sequence[int] = ()
        if (overrides is None or len(overrides) < batch.ids.size) and machine_id in (None, batch.placement.machine_id):
            own = _every_place(batch) if wanted is None else self._places_unchanged(batch, wanted, sim_time)
        if overrides is None:
            return own
        found = [place for place in own if place not in overrides]
        found += [
            place
            for place, state in overrides.items()
            if state is not None
            and machine_id in (None, state.machine_id)
            and (wanted is None or matches(state.timeline, wanted, sim_time))
        ]
        found.sort(reverse=True)
        return found

    def _places_unchanged(self, batch: Batch, wanted: str, sim_time: int) -> Sequence[int]:
        are_in = self.bounds(batch).decides(wanted, sim_time)
        if are_in is not None:
            return _every_place(batch) if are_in else ()
        if batch.ids.size == 1:
            return (0,) if matches(self.timelines_cache.of_one(batch), wanted, sim_time) else ()
        return self.timelines_cache.places(batch, wanted, sim_time)

    def timelines(self, batch: Batch, machine_id: str | None) -> Iterator[Timeline]:
        for place in range(batch.ids.size):
            state = self.state(batch, place)
            if state is not None and machine_id in (None, state.machine_id):
                yield state.timeline

    def compute_timelines(self, batch: Batch, sim_time: int) -> None:
        """Compute what `add_to` needs of a batch of many runs, which takes up to a millisecond, and keep it."""
        if batch.ids.size > 1 and batch.tail not in self._overrides and sim_time < self.ended_from(batch):
            _ = self.timelines_cache.of(batch).steps

    def add_to(self, steps: StatusSteps, batches: Iterable[Batch], machine_id: str | None, sim_time: int) -> None:
        """Add the runs of batches that are on a machine (None: on any)."""
        ended: Counter[str] = Counter()
        timelines: list[Timeline] = []
        of_batches: list[tuple[Steps, int]] = []
        for batch in batches:
            if batch.tail in self._overrides:
                timelines += self.timelines(batch, machine_id)
            elif sim_time >= self.ended_from(batch):
                ended.update(self.timelines_cache.outcome_counts(batch))
            elif batch.ids.size == 1:
                timelines.append(self.timelines_cache.of_one(batch))
            else:
                of_batches.append((self.timelines_cache.of(batch).steps, batch.born))
        steps.add_ended(ended)
        if of_batches or len(timelines) > _FEW:
            steps.add_all(timelines, of_batches)
        else:
            for timeline in timelines:
                steps.add(timeline)


def _every_place(batch: Batch) -> Sequence[int]:
    return range(batch.ids.size - 1, -1, -1)
