"""The timelines of the runs of a session, which execute one after the other.

A change of one run may shift all later ones. To compute the timelines of a session anew for each request would make it
quadratic to delete or to update its runs one by one, so a run's timeline is computed only when it is asked for, and
what no change has touched is taken over from the version of the session before.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mockserver.behaviour.batch import UNCHANGED, Batch, Change, Changes, Slot
from mockserver.behaviour.lifecycle import Schedules, Timeline, timeline_of
from mockserver.behaviour.world import RunProfile
from mockserver.errors import VersionConflict
from mockserver.time_slice import TimeSlice

_COMPUTED_AT_ONCE = 64
"""Computing 64 timelines takes less than 1 ms.

If all changed runs lie within this number of positions, these are computed again, and the later timelines are kept if
the session becomes free at the same time as before.
"""


class Part(NamedTuple):
    """A slot of a session, with its batch and the changes of the batch."""

    slot: Slot
    batch: Batch
    changes: Changes


class SessionTimelines:
    """Of one version of a session. A position is the place of a run in the order of execution.

    Raises VersionConflict for a run that is not in the session, or no longer in that attempt: the session and the
    changes were read at different versions.
    """

    def __init__(
        self,
        schedules: Schedules,
        profiles: Mapping[str, RunProfile],
        parts: Sequence[Part],
        before: SessionTimelines | None = None,
    ) -> None:
        """`profiles` are by workflow id. `before` is an earlier version of the same session."""
        self._schedules = schedules
        self._profiles = profiles
        self._parts = parts
        self._starts: list[int] = []
        """The position of the first run of each part."""
        self._parts_of: dict[str, list[int]] = {}
        """The numbers of the parts by batch tail."""
        self._size = 0
        for number, (slot, _, _) in enumerate(parts):
            self._starts.append(self._size)
            self._parts_of.setdefault(slot.batch_tail, []).append(number)
            self._size += slot.stop - slot.first
        self._timelines: list[Timeline | None] = []
        """By position, as far as computed. None for a run that is in another attempt."""
        self._free = array("q", [0])
        """When all runs before a position have ended, in simulated time."""
        if before is not None and self._extends(before):
            self._take_over(before)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, run: tuple[str, int]) -> Timeline:
        """`run` is the batch tail and the place in the batch."""
        position = self._position(*run)
        self._compute_to(position)
        timeline = self._timelines[position]
        if timeline is None:
            raise _has_left(*run)
        return timeline

    async def compute(self, batch_tail: str, place: int) -> None:
        """Compute what the timeline of a run needs, and let other requests run meanwhile."""
        position = self._position(batch_tail, place)
        time_slice = TimeSlice()
        while len(self._timelines) <= position:
            self._compute_to(min(len(self._timelines) + _COMPUTED_AT_ONCE, position))
            if time_slice.is_over:
                await time_slice.give_way()

    def free_before(self, batch_tail: str, place: int) -> int:
        """When all runs before this one have ended."""
        position = self._position(batch_tail, place)
        self._compute_to(position - 1)
        return self._free[position]

    def _position(self, batch_tail: str, place: int) -> int:
        for number in self._parts_of.get(batch_tail, ()):
            slot = self._parts[number].slot
            if slot.first <= place < slot.stop:
                return self._starts[number] + place - slot.first
        raise _has_left(batch_tail, place)

    def _extends(self, before: SessionTimelines) -> bool:
        count = len(before._parts)
        return [part.slot for part in self._parts[:count]] == [part.slot for part in before._parts]

    def _take_over(self, before: SessionTimelines) -> None:
        changed = list(self._changed_since(before))
        first, last = min(changed, default=self._size), max(changed, default=self._size)
        self._timelines, self._free = before._timelines[:first], before._free[: first + 1]
        if last < len(before._timelines) and last - first < _COMPUTED_AT_ONCE:
            self._compute_to(last)
            if self._free[last + 1] == before._free[last + 1]:
                self._timelines += before._timelines[last + 1 :]
                self._free.extend(before._free[last + 2 :])

    def _changed_since(self, before: SessionTimelines) -> Iterator[int]:
        """Yield the positions of the runs that have changed."""
        for start, (slot, _, changes), (_, _, known) in zip(self._starts, self._parts, before._parts, strict=False):
            if changes is known:
                continue
            for place in changes.keys() | known.keys():
                if slot.first <= place < slot.stop and _differ(changes.get(place), known.get(place)):
                    yield start + place - slot.first

    def _compute_to(self, position: int) -> None:
        number = bisect_right(self._starts, len(self._timelines)) - 1
        while (here := len(self._timelines)) <= position:
            (slot, batch, changes), start = self._parts[number], self._starts[number]
            profile = self._profiles[batch.workflow_id]
            free = self._free[-1] if here > start else max(self._free[-1], slot.after)
            for place in range(slot.first + here - start, min(slot.stop, slot.first + position + 1 - start)):
                change = changes.get(place, UNCHANGED)
                timeline = None
                if change.attempt == slot.attempt:
                    schedule = self._schedules.schedule(profile, batch, place, change)
                    timeline = timeline_of(schedule, change, batch.born, free=free)
                    free = max(free, timeline.ended)
                self._timelines.append(timeline)
                self._free.append(free)
            number += 1


def _differ(one: Change | None, other: Change | None) -> bool:
    return one is not other and one != other


def _has_left(batch_tail: str, place: int) -> VersionConflict:
    return VersionConflict(f"run {place} of {batch_tail} has left its session while that was read")
