"""The lifecycle of runs: a pure function of their stored state, the seed and the clock. No background tasks.

    scheduling ──► running ──► (running_checks) ──► success | task_failed | error
        └─────────────┴──────────────┴──► cancelled

A run without a session is independent of other runs. In a session the runs execute one after the other, in order:
each starts when it is ready and all runs before it have ended. A change of a run affects only what comes after the
time of the change, so a status that a client has read stays true for that time.
"""

from __future__ import annotations

import functools
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import shake_128
from typing import NamedTuple
from zlib import crc32

from mockserver.behaviour.batch import TERMINAL, Batch, Change
from mockserver.behaviour.ids import MAX_ROW_SIZE
from mockserver.behaviour.world import RunProfile
from mockserver.clock import FOREVER
from mockserver.settings import Progression

_MAX_NUMBER = 0xFFFFFFFF
SMALLEST_SHARED = 64
"""From this number of runs on, batches share their timelines with others that are as large."""
_TABLES = 64

SETTABLE_STATUSES: Mapping[str, frozenset[str]] = {
    "scheduling": frozenset({"scheduling", "running", "running_checks", *TERMINAL}),
    "running": frozenset({"running", "running_checks", *TERMINAL}),
    "running_checks": frozenset({"running_checks", *TERMINAL}),
    **{status: frozenset({status}) for status in TERMINAL},
}
"""The statuses that an update may set, by the current status. In the API only a retry leaves a terminal status."""


class Schedule(NamedTuple):
    """The phases of a run if nothing changes it: durations in simulated microseconds, FOREVER for never ending."""

    scheduling: int
    running: int
    outcome: str
    checks: int = 0
    """The duration of `running_checks`, after `running`."""


class Timeline(NamedTuple):
    """When a run starts and ends, in simulated time. `started` is FOREVER for a run that ended without running."""

    started: int
    checking: int
    ended: int
    outcome: str

    def status_at(self, sim_time: int) -> str:
        if sim_time >= self.ended:
            return self.outcome
        if sim_time >= self.checking:
            return "running_checks"
        return "running" if sim_time >= self.started else "scheduling"

    def next_change(self, sim_time: int) -> int:
        """The time of the next status change, or FOREVER."""
        if sim_time >= self.ended:
            return FOREVER
        return min(time for time in (self.started, self.checking, self.ended) if time > sim_time)


class Timelines(NamedTuple):
    """The timelines of the unchanged runs of a batch without a session, by place. Times count from `born` of the batch.

    `checking` is None if the runs have no checks.
    """

    started: Sequence[int]
    checking: Sequence[int] | None
    ended: Sequence[int]
    outcomes: Sequence[str]

    def timeline(self, place: int, born: int) -> Timeline:
        """The timeline of one run, in simulated time."""
        checking = FOREVER if self.checking is None else _since(born, self.checking[place])
        return Timeline(
            _since(born, self.started[place]), checking, _since(born, self.ended[place]), self.outcomes[place]
        )


class Schedules:
    """Derives the schedules of one space's runs from its key: a run has the same schedule in every process.

    Every run of a small batch has random numbers of its own. A large batch takes them from one of a few tables, so that
    lists do not compute and sort the timelines of each batch: a client that creates 1000 runs again and again would
    keep the server busy with that (2.6 ms for each batch, eight times as long as the create took, 2026-11-30).
    """

    def __init__(self, key: bytes, progression: Progression) -> None:
        self._key = key
        self._progression = progression
        self._draws: dict[tuple[str, int], bytes] = {}

    def schedule(self, profile: RunProfile, batch: Batch, place: int, change: Change) -> Schedule:
        draws = self._random_bytes(batch, change.attempt)
        number = int.from_bytes(draws[12 * place : 12 * place + 12], "little")
        scheduling = _between(profile.scheduling, number & 0xFFFFFFFF)
        running = _between(profile.running, number >> 32 & 0xFFFFFFFF)
        outcome = profile.outcome(number >> 64, change.attempt)
        checks = _between(profile.checks, number & 0xFFFFFFFF)
        script = change.script or batch.script
        if script is not None:
            outcome = script.outcome or outcome
            running = running if script.running_us is None else script.running_us
        if self._progression == "manual":
            return Schedule(FOREVER, FOREVER, outcome)
        if self._progression == "immediate":
            return Schedule(0, 0 if running < FOREVER else FOREVER, outcome)
        return Schedule(scheduling, running, outcome, checks)

    def timelines(self, profile: RunProfile, batch: Batch) -> Timelines:
        """The timelines of all runs of the batch, unchanged and without a session: the same as `timeline_of` each.

        Reads the random numbers of the batch as columns: a fifth of the time of run by run (2026-11-26).
        """
        size = batch.ids.size
        outcomes = self._outcomes(profile, batch)
        born, script = batch.born, batch.script
        running = profile.running
        if script is not None and script.running_us is not None:
            running = (script.running_us, script.running_us)
        if self._progression == "manual":
            never = array("q", [FOREVER]) * size
            return Timelines(never, None, never, outcomes)
        if self._progression == "immediate":
            ends = running is not None and running[0] < FOREVER
            at_once = array("q", [max(-born, 0)]) * size
            return Timelines(at_once, None, at_once if ends else array("q", [FOREVER]) * size, outcomes)
        numbers = self._numbers(batch)
        started = _shifted([0] * size, profile.scheduling, numbers[0::3])
        started = array("q", [max(at, -born) for at in started]) if born < 0 else started
        done = _shifted(started, running, numbers[1::3])
        if profile.checks == (0, 0):
            return Timelines(started, None, done, outcomes)
        return Timelines(started, done, _shifted(done, profile.checks, numbers[0::3]), outcomes)

    def table(self, batch: Batch, attempt: int = 0) -> int | None:
        """The table of random numbers of a large batch; None for a small one.

        Unchanged batches of one workflow, size and script that have the same table have the same `timelines`, if they
        were not `born` before simulated time begins.
        """
        if batch.ids.size < SMALLEST_SHARED:
            return None
        return crc32(batch.tail.encode(), attempt) % _TABLES

    def timeline(self, profile: RunProfile, batch: Batch, place: int, change: Change) -> Timeline:
        """The timeline of a run without a session."""
        return timeline_of(self.schedule(profile, batch, place, change), change, batch.born)

    def outcome_counts(self, profile: RunProfile, batch: Batch) -> Mapping[str, int]:
        """How the unchanged runs of the batch end."""
        outcomes = self._outcomes(profile, batch)
        return {outcomes[0]: 1} if len(outcomes) == 1 else Counter(outcomes)

    def _outcomes(self, profile: RunProfile, batch: Batch) -> Sequence[str]:
        scripted = batch.script.outcome if batch.script is not None else None
        if scripted is not None:
            return (scripted,) * batch.ids.size
        names, limits = [name for name, _ in profile.outcomes], profile.outcome_limits
        if limits[0] == _MAX_NUMBER:
            return (names[0],) * batch.ids.size
        return [names[bisect_left(limits, number)] for number in self._numbers(batch)[2::3]]

    def _numbers(self, batch: Batch) -> array[int]:
        """Three numbers of 32 bits for each run: for `scheduling` and `checks`, for `running`, and for the outcome.

        A fourth one, for `checks` alone, would take 4 bytes more of each cached run, and change what each seed draws.
        """
        numbers = array("I", self._random_bytes(batch, 0)[: 12 * batch.ids.size])
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    def _random_bytes(self, batch: Batch, attempt: int) -> bytes:
        table = self.table(batch, attempt)
        if table is not None:
            return _random_table(table)
        # One hash for the whole batch, cached: a list of its runs needs it many times.
        draws = self._draws.get((batch.tail, attempt))
        if draws is None:
            if len(self._draws) >= 256:
                self._draws.clear()
            draws = shake_128(self._key + f"{batch.tail} {attempt}".encode()).digest(12 * batch.ids.size)
            self._draws[batch.tail, attempt] = draws
        return draws

    def bounds(self, profile: RunProfile, batch: Batch) -> tuple[int, int]:
        """Return (the shortest, the longest) time from the creation of an unchanged run of the batch to its end, in
        simulated microseconds.
        """
        scripted = batch.script.running_us if batch.script is not None else None
        shortest, longest = (scripted, scripted) if scripted is not None else profile.running or (FOREVER, FOREVER)
        if self._progression == "manual":
            return FOREVER, FOREVER
        if self._progression == "immediate":
            return (0, 0) if longest < FOREVER else (FOREVER, FOREVER)
        waiting = profile.scheduling or (FOREVER, FOREVER)
        checks = profile.checks or (FOREVER, FOREVER)
        return min(FOREVER, waiting[0] + shortest + checks[0]), min(FOREVER, waiting[1] + longest + checks[1])


def _since(born: int, time: int) -> int:
    """A time that counts from `born` in simulated time. FOREVER stays FOREVER, also if `born` is negative."""
    return FOREVER if time >= FOREVER else min(FOREVER, born + time)


@functools.cache
def _random_table(number: int) -> bytes:
    """12 bytes for each run of a batch of the largest size. There are few tables, so all are kept."""
    return shake_128(b"table %d" % number).digest(12 * MAX_ROW_SIZE)


def _between(limits: tuple[int, int] | None, number: int) -> int:
    if limits is None:
        return FOREVER
    low, high = limits
    return low + (high - low) * number // _MAX_NUMBER


def _shifted(times: Sequence[int], by: tuple[int, int] | None, numbers: Sequence[int]) -> array[int]:
    """Each time plus the duration that its number draws from the range."""
    if by is None:
        return array("q", [FOREVER]) * len(times)
    low, width = by[0], by[1] - by[0]
    if not width:
        return array("q", [at + low if at < FOREVER - low else FOREVER for at in times])
    drawn = [at + low + width * number // _MAX_NUMBER for at, number in zip(times, numbers, strict=True)]
    return array("q", drawn if max(drawn) < FOREVER else [min(FOREVER, at) for at in drawn])


def timeline_of(schedule: Schedule, change: Change, born: int, *, free: int = 0) -> Timeline:
    """The timeline of a run that was created at the simulated time `born`.

    `free` is the simulated time at which all earlier runs of its session have ended.
    """
    base = born if change.began is None else change.began
    started = min(FOREVER, max(base + schedule.scheduling, free))
    checking, ended = _end(schedule, started)
    outcome = schedule.outcome
    if not change.moves and change.deleted is None:
        return Timeline(started, checking, ended, outcome)
    for move in change.moves:
        at = move.at
        if move.status in TERMINAL:
            if started > at:
                started = FOREVER if move.status == "cancelled" else at
            ended, outcome = at, move.status
        elif move.status == "scheduling":
            # Only the control API sets a run back to `scheduling`.
            started, outcome = FOREVER if move.holds else min(FOREVER, at + schedule.scheduling), schedule.outcome
            checking, ended = _end(schedule, started)
        else:
            started, outcome = min(started, at), schedule.outcome
            checking, ended = _end(schedule, at)
            if move.status == "running_checks":
                checking, ended = at, min(FOREVER, at + (schedule.checks or schedule.running))
            if move.holds:
                checking, ended = at if move.status == "running_checks" else FOREVER, FOREVER
    if change.deleted is not None and ended > change.deleted:
        started = started if started <= change.deleted else FOREVER
        ended, outcome = change.deleted, "cancelled"
    return Timeline(started, checking, ended, outcome)


def _end(schedule: Schedule, running_since: int) -> tuple[int, int]:
    """Return when the checks of a run begin (FOREVER without checks) and when it ends."""
    done = min(FOREVER, running_since + schedule.running)
    return (done if schedule.checks else FOREVER), min(FOREVER, done + schedule.checks)
