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
from mockserver.behaviour.world import Temper
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


class Course(NamedTuple):
    """What a run would do if nothing came between: lived microseconds, FOREVER for never."""

    scheduling: int
    running: int
    outcome: str
    checks: int = 0
    """How long it is in `running_checks`, after `running`."""


class Life(NamedTuple):
    """When a run starts and ends, in lived time. `started` is FOREVER for one that ended without ever running."""

    started: int
    checking: int
    ended: int
    outcome: str

    def status_at(self, lived: int) -> str:
        if lived >= self.ended:
            return self.outcome
        if lived >= self.checking:
            return "running_checks"
        return "running" if lived >= self.started else "scheduling"

    def next_turn(self, lived: int) -> int:
        """When the status changes next, or FOREVER."""
        if lived >= self.ended:
            return FOREVER
        return min(turn for turn in (self.started, self.checking, self.ended) if turn > lived)


class Courses:
    """Draws the courses of one space's runs from its key: the same run takes the same course in every process."""

    def __init__(self, key: bytes, progression: Progression) -> None:
        self._key = key
        self._progression = progression
        self._draws: dict[tuple[str, int], bytes] = {}

    def course(self, temper: Temper, batch: Batch, index: int, change: Change) -> Course:
        draws = self._drawn(batch, change.attempt)
        number = int.from_bytes(draws[12 * index : 12 * index + 12], "little")
        scheduling = _between(temper.scheduling, number & 0xFFFFFFFF)
        running = _between(temper.running, number >> 32 & 0xFFFFFFFF)
        outcome = temper.outcome(number >> 64, change.attempt)
        checks = _between(temper.checks, number & 0xFFFFFFFF)
        script = change.script or batch.script
        if script is not None:
            outcome = script.outcome or outcome
            running = running if script.running_us is None else script.running_us
        if self._progression == "manual":
            return Course(FOREVER, FOREVER, outcome)
        if self._progression == "immediate":
            return Course(0, 0 if running < FOREVER else FOREVER, outcome)
        return Course(scheduling, running, outcome, checks)

    def _drawn(self, batch: Batch, attempt: int) -> bytes:
        # One hash for the whole batch, kept for a while: a list of its runs asks for it a thousand times.
        draws = self._draws.get((batch.tail, attempt))
        if draws is None:
            if len(self._draws) >= 256:
                self._draws.clear()
            draws = shake_128(self._key + f"{batch.tail} {attempt}".encode()).digest(12 * batch.ids.size)
            self._draws[batch.tail, attempt] = draws
        return draws

    def active_until(self, temper: Temper, batch: Batch) -> int:
        """Lived microseconds after its creation for which no unchanged run of the batch has ended."""
        return self._bounds(temper, batch)[0]

    def settled_after(self, temper: Temper, batch: Batch) -> int:
        """Lived microseconds after its creation from which on every unchanged run of the batch has ended."""
        return self._bounds(temper, batch)[1]

    def _bounds(self, temper: Temper, batch: Batch) -> tuple[int, int]:
        scripted = batch.script.running_us if batch.script is not None else None
        shortest, longest = (scripted, scripted) if scripted is not None else temper.running or (FOREVER, FOREVER)
        if self._progression == "manual":
            return FOREVER, FOREVER
        if self._progression == "immediate":
            return (0, 0) if longest < FOREVER else (FOREVER, FOREVER)
        waiting = temper.scheduling or (FOREVER, FOREVER)
        checks = temper.checks or (FOREVER, FOREVER)
        return min(FOREVER, waiting[0] + shortest + checks[0]), min(FOREVER, waiting[1] + longest + checks[1])


def _between(limits: tuple[int, int] | None, number: int) -> int:
    if limits is None:
        return FOREVER
    low, high = limits
    return low + (high - low) * number // 0xFFFFFFFF


def live(course: Course, change: Change, born: int, *, free: int = 0) -> Life:
    """The life of a run that was born at a lived time, and in whose session all before it have ended by `free`."""
    base = born if change.began is None else change.began
    started = min(FOREVER, max(base + course.scheduling, free))
    checking, ended = _end(course, started)
    outcome = course.outcome
    if not change.moves and change.deleted is None:
        return Life(started, checking, ended, outcome)
    for move in change.moves:
        at = move.at
        if move.status in TERMINAL:
            if started > at:
                started = FOREVER if move.status == "cancelled" else at
            ended, outcome = at, move.status
        elif move.status == "scheduling":
            # Only the control API takes a run back.
            started, outcome = FOREVER if move.holds else min(FOREVER, at + course.scheduling), course.outcome
            checking, ended = _end(course, started)
        else:
            started, outcome = min(started, at), course.outcome
            checking, ended = _end(course, at)
            if move.status == "running_checks":
                checking, ended = at, min(FOREVER, at + (course.checks or course.running))
            if move.holds:
                checking, ended = at if move.status == "running_checks" else FOREVER, FOREVER
    if change.deleted is not None and ended > change.deleted:
        started = started if started <= change.deleted else FOREVER
        ended, outcome = change.deleted, "cancelled"
    return Life(started, checking, ended, outcome)


def _end(course: Course, running_since: int) -> tuple[int, int]:
    """When the checks of a run begin, and when it ends."""
    done = min(FOREVER, running_since + course.running)
    return (done if course.checks else FOREVER), min(FOREVER, done + course.checks)


class Lives(dict[tuple[str, int], Life]):
    """The lives of a session's runs in their latest attempt, by tail and index."""

    def __missing__(self, run: tuple[str, int]) -> Life:
        raise Conflict(f"run {run[1]} of {run[0]} has left its session while that was read")


class Timeline:
    """The lives of all runs of a session, worked out slot by slot in their order. `temper_of` is by workflow."""

    def __init__(self, courses: Courses, temper_of: Mapping[str, Temper]) -> None:
        self.lives = Lives()
        self._courses = courses
        self._temper_of = temper_of
        self._free = 0

    def add(self, slot: Slot, batch: Batch, changes: Changes) -> None:
        free = max(self._free, slot.after)
        temper = self._temper_of[batch.workflow_id]
        for index in range(slot.first, slot.stop):
            change = changes.get(index, UNCHANGED)
            if change.attempt != slot.attempt:
                continue  # the session is not of the moment of the changes
            course = self._courses.course(temper, batch, index, change)
            life = live(course, change, batch.born, free=free)
            self.lives[batch.tail, index] = life
            free = max(free, life.ended)
        self._free = free


def members(session: Session) -> Iterator[tuple[str, int]]:
    """Tail and index of each run in the order in which they execute."""
    for slot in session.slots:
        for index in range(slot.first, slot.stop):
            yield slot.batch_tail, index
