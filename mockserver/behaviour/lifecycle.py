"""How a run lives: a pure function of what is kept of it, the seed and the clock. Nothing runs in the background.

    scheduling ──► running ──► (running_checks) ──► success | task_failed | error
        └─────────────┴──────────────┴──► cancelled

A run without a session lives by itself. In a session the runs execute one after the other, in order: each starts
when it is ready and all before it have ended. What happens to a run at a moment moves only what comes after that
moment, so a status once read is never taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import shake_128
from typing import Literal, NamedTuple

from mockserver.behaviour.batch import TERMINAL, UNCHANGED, Batch, Change, Changes, Session, Slot
from mockserver.behaviour.world import RunProfile
from mockserver.clock import FOREVER
from mockserver.errors import Conflict

Progression = Literal["time", "immediate", "manual"]

EDGES: Mapping[str, frozenset[str]] = {
    "scheduling": frozenset({"scheduling", "running", "running_checks", *TERMINAL}),
    "running": frozenset({"running", "running_checks", *TERMINAL}),
    "running_checks": frozenset({"running_checks", *TERMINAL}),
    **{status: frozenset({status}) for status in TERMINAL},
}
"""Where an update may take a run from each status. A terminal status is left by a retry only."""


class Schedule(NamedTuple):
    """What a run would do if nothing came between: lived microseconds, FOREVER for never."""

    scheduling: int
    running: int
    outcome: str
    checks: int = 0
    """How long it is in `running_checks`, after `running`."""


class Timeline(NamedTuple):
    """When a run starts and ends, in lived time. `started` is FOREVER for one that ended without ever running."""

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

    def next_turn(self, sim_time: int) -> int:
        """When the status changes next, or FOREVER."""
        if sim_time >= self.ended:
            return FOREVER
        return min(turn for turn in (self.started, self.checking, self.ended) if turn > sim_time)


class Schedules:
    """Draws the schedules of one space's runs from its key: the same run takes the same schedule in every process."""

    def __init__(self, key: bytes, progression: Progression) -> None:
        self._key = key
        self._progression = progression
        self._draws: dict[tuple[str, int], bytes] = {}

    def schedule(self, profile: RunProfile, batch: Batch, index: int, change: Change) -> Schedule:
        draws = self._drawn(batch, change.attempt)
        number = int.from_bytes(draws[12 * index : 12 * index + 12], "little")
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

    def _drawn(self, batch: Batch, attempt: int) -> bytes:
        # One hash for the whole batch, kept for a while: a list of its runs asks for it a thousand times.
        draws = self._draws.get((batch.tail, attempt))
        if draws is None:
            if len(self._draws) >= 256:
                self._draws.clear()
            draws = shake_128(self._key + f"{batch.tail} {attempt}".encode()).digest(12 * batch.ids.size)
            self._draws[batch.tail, attempt] = draws
        return draws

    def active_until(self, profile: RunProfile, batch: Batch) -> int:
        """Lived microseconds after its creation for which no unchanged run of the batch has ended."""
        return self._bounds(profile, batch)[0]

    def settled_after(self, profile: RunProfile, batch: Batch) -> int:
        """Lived microseconds after its creation from which on every unchanged run of the batch has ended."""
        return self._bounds(profile, batch)[1]

    def _bounds(self, profile: RunProfile, batch: Batch) -> tuple[int, int]:
        scripted = batch.script.running_us if batch.script is not None else None
        shortest, longest = (scripted, scripted) if scripted is not None else profile.running or (FOREVER, FOREVER)
        if self._progression == "manual":
            return FOREVER, FOREVER
        if self._progression == "immediate":
            return (0, 0) if longest < FOREVER else (FOREVER, FOREVER)
        waiting = profile.scheduling or (FOREVER, FOREVER)
        checks = profile.checks or (FOREVER, FOREVER)
        return min(FOREVER, waiting[0] + shortest + checks[0]), min(FOREVER, waiting[1] + longest + checks[1])


def _between(limits: tuple[int, int] | None, number: int) -> int:
    if limits is None:
        return FOREVER
    low, high = limits
    return low + (high - low) * number // 0xFFFFFFFF


def timeline_of(schedule: Schedule, change: Change, born: int, *, free: int = 0) -> Timeline:
    """The life of a run that was born at a lived time, and in whose session all before it have ended by `free`."""
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
            # Only the control API takes a run back.
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
    """When the checks of a run begin, and when it ends."""
    done = min(FOREVER, running_since + schedule.running)
    return (done if schedule.checks else FOREVER), min(FOREVER, done + schedule.checks)


class Timelines(dict[tuple[str, int], Timeline]):
    """The lives of a session's runs in their latest attempt, by tail and index."""

    def __missing__(self, run: tuple[str, int]) -> Timeline:
        raise Conflict(f"run {run[1]} of {run[0]} has left its session while that was read")


class SessionTimeline:
    """The lives of all runs of a session, worked out slot by slot in their order. `profile_of` is by workflow."""

    def __init__(self, schedules: Schedules, profile_of: Mapping[str, RunProfile]) -> None:
        self.timelines = Timelines()
        self._schedules = schedules
        self._profile_of = profile_of
        self._free = 0

    def add(self, slot: Slot, batch: Batch, changes: Changes) -> None:
        free = max(self._free, slot.after)
        profile = self._profile_of[batch.workflow_id]
        for index in range(slot.first, slot.stop):
            change = changes.get(index, UNCHANGED)
            if change.attempt != slot.attempt:
                continue  # the session is not of the moment of the changes
            schedule = self._schedules.schedule(profile, batch, index, change)
            timeline = timeline_of(schedule, change, batch.born, free=free)
            self.timelines[batch.tail, index] = timeline
            free = max(free, timeline.ended)
        self._free = free


def members(session: Session) -> Iterator[tuple[str, int]]:
    """Tail and index of each run in the order in which they execute."""
    for slot in session.slots:
        for index in range(slot.first, slot.stop):
            yield slot.batch_tail, index
