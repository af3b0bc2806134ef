"""Counts runs by status at any time, without looking at the runs.

The timeline of a run is known in advance: it changes its status at a few times. So the number of runs in a status is a
step function of time, kept as the sorted times of its steps: a count is a bisection. Times that are over for good
(simulated time does not go back) are folded into a number, so runs that have ended take no memory here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mockserver.behaviour.batch import TERMINAL
from mockserver.behaviour.lifecycle import Timeline, Timelines
from mockserver.clock import FOREVER

ACTIVE: Literal["active"] = "active"
ENDED: Literal["ended"] = "ended"

_BEGUN, _CHECKING, _CHECKED = "begun", "checking", "checked"
_FOLDED_AT_ONCE = 32


def matches(timeline: Timeline, wanted: str, sim_time: int) -> bool:
    """Whether a run is in a status; or ACTIVE, or ENDED."""
    if wanted in (ACTIVE, ENDED):
        return (sim_time >= timeline.ended) is (wanted == ENDED)
    return timeline.status_at(sim_time) == wanted


class _Times:
    """A multiset of times, of which those that are over are only counted."""

    __slots__ = ("due", "over")

    def __init__(self) -> None:
        self.over = 0
        self.due = array("q")

    def until(self, sim_time: int) -> int:
        due = self.due
        if not due:
            return self.over
        passed = bisect_right(due, sim_time)
        if passed > _FOLDED_AT_ONCE or passed == len(due):
            self.over += passed
            del due[:passed]
            return self.over
        return self.over + passed

    def after(self, sim_time: int) -> int:
        """The first time after `sim_time`, or FOREVER."""
        place = bisect_right(self.due, sim_time)
        return self.due[place] if place < len(self.due) else FOREVER

    def add(self, sim_time: int) -> None:
        if sim_time < FOREVER:
            insort(self.due, sim_time)

    def remove(self, sim_time: int) -> None:
        if sim_time >= FOREVER:
            return
        place = bisect_left(self.due, sim_time)
        if place < len(self.due) and self.due[place] == sim_time:
            del self.due[place]
        else:
            self.over -= 1


class StatusSteps:
    """A multiset of timelines. The times at which it is asked must not go back."""

    __slots__ = ("_final", "_times", "runs")

    def __init__(self) -> None:
        self.runs = 0
        self._final: dict[str, int] | None = None
        """The counts that were asked for, while no step is left."""
        self._times: dict[str, _Times] = {}

    def merge(self, parts: Sequence[StatusSteps]) -> Iterator[None]:
        """Add the runs of other steps. Yields between pieces of the work.

        The parts must not change until the iterator has ended.
        """
        self.runs += sum(part.runs for part in parts)
        for kind in sorted({kind for part in parts for kind in part._times}):
            due: list[int] = []
            for part in parts:
                if (times := part._times.get(kind)) is not None:
                    self._of(kind).over += times.over
                    due += times.due
            self._extend({kind: due})
            yield

    def add_ended(self, runs_by_outcome: Mapping[str, int]) -> None:
        """Add runs that have ended at the times that are asked for."""
        self._final = None
        for outcome, runs in runs_by_outcome.items():
            self.runs += runs
            self._of(outcome).over += runs
            self._of(_BEGUN).over += runs

    def add_all(self, timelines: Iterable[Timeline], of_batches: Iterable[Timelines]) -> None:
        self._final = None
        due: defaultdict[str, list[int]] = defaultdict(list)
        for started, checking, ended, outcome in timelines:
            self.runs += 1
            checking = min(checking, ended)
            due[outcome].append(ended)
            due[_BEGUN].append(min(started, checking))
            if checking < ended:
                due[_CHECKING].append(checking)
                due[_CHECKED].append(ended)
        for each in of_batches:
            self.runs += len(each.ended)
            for outcome in set(each.outcomes):
                ends = zip(each.ended, each.outcomes, strict=True)
                due[outcome] += [time for time, own in ends if own == outcome]
            due[_BEGUN] += each.started
            if each.checking is not None:
                due[_CHECKING] += each.checking
                due[_CHECKED] += each.ended
        self._extend(due)

    def _extend(self, due: Mapping[str, list[int]]) -> None:
        for kind, times in due.items():
            into = self._of(kind)
            every = sorted([*into.due, *times])
            del every[bisect_left(every, FOREVER) :]
            into.due = array("q", every)

    def add(self, timeline: Timeline) -> None:
        self.runs += 1
        self._final = None
        for kind, time in _steps_of(timeline):
            self._of(kind).add(time)

    def remove(self, timeline: Timeline) -> None:
        self.runs -= 1
        self._final = None
        for kind, time in _steps_of(timeline):
            self._of(kind).remove(time)

    def count(self, wanted: str, sim_time: int) -> int:
        """The number of runs in a status at a time; or ACTIVE, or ENDED."""
        final = self._final
        if final is None:
            return self._count(wanted, sim_time)
        if wanted not in final:
            final[wanted] = self._count(wanted, sim_time)
        return final[wanted]

    def _count(self, wanted: str, sim_time: int) -> int:
        if wanted in TERMINAL:
            return self._until(wanted, sim_time)
        if wanted == "scheduling":
            return self.runs - self._until(_BEGUN, sim_time)
        checks = self._until(_CHECKING, sim_time) - self._until(_CHECKED, sim_time)
        if wanted == "running_checks":
            return checks
        ended = sum(self._until(outcome, sim_time) for outcome in TERMINAL)
        if wanted == "running":
            return self._until(_BEGUN, sim_time) - ended - checks
        return ended if wanted == ENDED else self.runs - ended

    def fold(self, sim_time: int) -> int:
        """Fold what is over, and return the time of the last step that is not, or FOREVER if none is left."""
        for times in self._times.values():
            times.over += bisect_right(times.due, sim_time)
            del times.due[: bisect_right(times.due, sim_time)]
        last = max((times.due[-1] for times in self._times.values() if times.due), default=FOREVER)
        if last == FOREVER:
            self._final = {}
        return last

    def next_step(self, sim_time: int) -> int:
        """The next time after `sim_time` at which a run changes its status, or FOREVER."""
        return min((times.after(sim_time) for times in self._times.values()), default=FOREVER)

    def _of(self, kind: str) -> _Times:
        times = self._times.get(kind)
        if times is None:
            times = self._times[kind] = _Times()
        return times

    def _until(self, kind: str, sim_time: int) -> int:
        times = self._times.get(kind)
        return 0 if times is None else times.until(sim_time)


def _steps_of(timeline: Timeline) -> Iterator[tuple[str, int]]:
    """Yield the kind and the time of each step of a run."""
    checking = min(timeline.checking, timeline.ended)
    yield timeline.outcome, timeline.ended
    yield _BEGUN, min(timeline.started, checking)
    if checking < timeline.ended:
        yield _CHECKING, checking
        yield _CHECKED, timeline.ended
