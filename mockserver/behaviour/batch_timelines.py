"""The unchanged runs of batches: finds those in a status at a time, without looking at the others."""

from __future__ import annotations

import functools
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from mockserver.behaviour.batch import TERMINAL, UNCHANGED, Batch
from mockserver.behaviour.lifecycle import Schedules, Timeline, Timelines
from mockserver.behaviour.status_steps import ACTIVE, ENDED, Steps, steps_of
from mockserver.behaviour.world import RunProfile

_RUNS_KEPT = 1_048_576
_ONES_KEPT = 4_096
_BATCH_COST = 64
"""Added to the number of runs of a batch: a small batch takes as much memory as this number of runs of a large one."""


class BatchTimelines:
    """The timelines of a batch, or of several that are alike: all times count from `born` of a batch."""

    def __init__(self, timelines: Timelines) -> None:
        self.timelines = timelines
        self.sorts = 0
        """How often it had to sort its runs."""
        self._by_outcome: dict[str, array[int]] = {}

    @functools.cached_property
    def steps(self) -> Steps:
        self.sorts += 1
        return steps_of(self.timelines)

    @functools.cached_property
    def outcome_counts(self) -> Mapping[str, int]:
        return Counter(self.timelines.outcomes)

    @functools.cached_property
    def _by_start(self) -> array[int]:
        return self._in_order(self.timelines.started)

    @functools.cached_property
    def _by_end(self) -> array[int]:
        return self._in_order(self.timelines.ended)

    def _in_order(self, times: Sequence[int]) -> array[int]:
        """The places of the times, the earliest time first."""
        self.sorts += 1
        return array("H", sorted(range(len(times)), key=times.__getitem__))

    def places(self, wanted: str, time: int) -> Sequence[int]:
        """The places of the runs in a status, or ACTIVE, or ENDED; the last place first."""
        started, checking, ended, outcomes = self.timelines
        over = bisect_right(self._by_end, time, key=ended.__getitem__)
        if wanted == ENDED:
            found = list(self._by_end[:over])
        elif wanted in TERMINAL and 2 * over < len(ended):
            found = [place for place in self._by_end[:over] if outcomes[place] == wanted]
        elif wanted in TERMINAL:
            if wanted not in self._by_outcome:
                found = [place for place, outcome in enumerate(outcomes) if outcome == wanted]
                self._by_outcome[wanted] = array("H", found)
            found = list(self._by_outcome[wanted])
            if over < len(ended):
                found = [place for place in found if ended[place] <= time]
        elif wanted == ACTIVE:
            found = list(self._by_end[over:])
        elif wanted == "scheduling":
            begun = bisect_right(self._by_start, time, key=started.__getitem__)
            found = list(self._by_start[begun:])
        else:
            is_checked = wanted == "running_checks"
            found = [
                place
                for place in self._by_end[over:]
                if started[place] <= time and (checking is not None and checking[place] <= time) is is_checked
            ]
        if len(found) == len(ended):
            return range(len(ended) - 1, -1, -1)
        found.sort(reverse=True)
        return found


class TimelinesCache:
    """Computes the timelines of the runs of a batch as if nothing had changed them, and keeps the last ones.

    `computed` counts cache misses, and sorts.
    """

    def __init__(self, schedules: Schedules, profiles: Mapping[str, RunProfile]) -> None:
        self._schedules = schedules
        self._profiles = profiles
        self._kept: dict[object, BatchTimelines] = {}
        self._size = 0
        self._ones: dict[str, Timeline] = {}
        """Those of batches of one, by batch tail: only the last ones, since a list needs these again."""
        self.computed = 0

    def of(self, batch: Batch) -> BatchTimelines:
        key = self._shared_key(batch) or batch.tail
        found = self._kept.get(key)
        if found is None:
            self.computed += 1
            found = BatchTimelines(self._schedules.timelines(self._profiles[batch.workflow_id], batch))
            self._kept[key] = found
            self._size += batch.ids.size + _BATCH_COST
            while self._size > _RUNS_KEPT:
                oldest = next(iter(self._kept))
                self._size -= len(self._kept.pop(oldest).timelines.ended) + _BATCH_COST
        return found

    def _shared_key(self, batch: Batch) -> object:
        """What batches have in common whose timelines are the same; None if those of the batch are its own."""
        table = self._schedules.table(batch) if batch.born >= 0 else None
        return None if table is None else (batch.workflow_id, batch.script, batch.ids.size, table)

    def outcome_counts(self, batch: Batch) -> Mapping[str, int]:
        """How the unchanged runs of the batch end."""
        if self._shared_key(batch) is not None:
            return self.of(batch).outcome_counts
        return self._schedules.outcome_counts(self._profiles[batch.workflow_id], batch)

    def places(self, batch: Batch, wanted: str, sim_time: int) -> Sequence[int]:
        batch_timelines = self.of(batch)
        before = batch_timelines.sorts
        found = batch_timelines.places(wanted, sim_time - batch.born)
        self.computed += batch_timelines.sorts - before
        return found

    def of_one(self, batch: Batch) -> Timeline:
        """The timeline of the only run of a batch."""
        found = self._ones.get(batch.tail)
        if found is None:
            self.computed += 1
            if len(self._ones) >= _ONES_KEPT:
                self._ones.clear()
            found = self._schedules.timeline(self._profiles[batch.workflow_id], batch, 0, UNCHANGED)
            self._ones[batch.tail] = found
        return found
