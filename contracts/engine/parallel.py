"""Runs cases of several scenarios in parallel, and decides which case begins next.

The cases that a group runs in a round depend only on the cost of its own cases: not on how fast the target answers, nor
on what else runs at the same time.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from contracts.data.limits import MAX_COUNT
from contracts.engine.case import Case
from contracts.engine.results import OutOfTime, RuleViolated
from contracts.engine.scenario import Scenario, ScenarioCase

THREADS: Final = 4
"""How many cases run at the same time, if the target answers quickly. More would compete with it for processors."""
_MAX_THREADS: Final = 16
_LATENCY_OF_A_THREAD_S: Final = 0.005
BATCH: Final = 6
"""The most cases of a group in one batch."""
BESIDE: Final = 5
"""How many cases that ran at the same time are kept for each case."""
RUNS_PER_REQUEST: Final = 50
"""Creating this many runs costs a target about as much as one request, and makes its lists slower."""

C = TypeVar("C")


def width_for(latency_s: float) -> int:
    """Return how many cases run at the same time: more if the target is far away, since each case mostly waits then.

    `latency_s` is the time that an answer takes while nothing else is sent.
    """
    return max(THREADS, min(_MAX_THREADS, int(latency_s / _LATENCY_OF_A_THREAD_S)))


def cost_of_runs(case: Any) -> float:
    """Return the cost of the runs that a case creates, in requests."""
    return min(case.expected_runs, MAX_COUNT) / RUNS_PER_REQUEST if isinstance(case, Case) else 0.0


def next_batch(cases: Iterator[C], size: int, budget: float) -> list[C]:
    """Return the next cases: `size` of them, or fewer if the runs of these already cost `budget` requests."""
    batch: list[C] = []
    for case in itertools.islice(cases, size):
        batch.append(case)
        budget -= cost_of_runs(case)
        if budget <= 0:
            break
    return batch


@dataclass(eq=False, slots=True)
class CaseGroup:
    """Cases of one scenario that are still to be run, up to a limited cost (`limit`).

    Cases begin in batches. A batch begins when all cases of the batch before have ended, since their cost determines
    its size.
    """

    scenario: Scenario[Any]
    cases: Iterator[Any]
    has_generated: bool = False
    """Whether the generated cases of the scenario run after these."""
    limit: float = math.inf
    """No batch begins once `spent` has reached this."""
    spent: float = 0.0
    """The requests that the cases have sent, plus the cost of the runs that they create, in requests."""
    tried: int = 0
    has_ended: bool = False
    """Whether all cases were tried."""
    _batch: deque[Any] = field(default_factory=deque)
    _running: int = 0
    _cost_of_runs: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether no case runs and none begins, unless the limit is raised."""
        return not self._batch and not self._running and (self.has_ended or self.spent >= self.limit)

    def next_case(self, *, together: bool) -> Any | None:
        """Return the case to begin; None if none may begin now. `together`: cases may run at the same time."""
        if not self._batch and not self._running and not self.is_done:
            is_parallel = together and self.scenario.is_parallel and not self.scenario.is_exclusive
            size = self._batch_size() if is_parallel else 1
            self._batch.extend(next_batch(self.cases, size, self.limit - self.spent))
            self._cost_of_runs = sum(map(cost_of_runs, self._batch))
            self.has_ended = not self._batch
        if not self._batch:
            return None
        self._running += 1
        return self._batch.popleft()

    def end_case(self, requests: int) -> None:
        self.tried += 1
        self.spent += requests
        self._running -= 1
        if not self._batch and not self._running:
            self.spent += self._cost_of_runs

    def _batch_size(self) -> int:
        """Return how many cases are expected to fit within the limit, by the mean cost of those so far."""
        if math.isinf(self.limit):
            return BATCH
        if not self.tried:
            return 1  # the cost of a case is not yet known
        cost = max(1.0, self.spent / self.tried)
        return int(max(1, min(BATCH, (self.limit - self.spent) // cost)))


class CaseQueue:
    """Begins the groups, and their cases, in order. The groups of exclusive scenarios come last, one at a time."""

    def __init__(self, groups: Iterable[CaseGroup], *, width: int, on_begin: Callable[[CaseGroup], None]) -> None:
        """`width` is how many cases run at the same time."""
        self._coming = deque(sorted(groups, key=lambda group: group.scenario.is_exclusive))
        self._begun: list[CaseGroup] = []
        self.width = width
        self._on_begin = on_begin

    def next_case(self, running: int) -> tuple[CaseGroup, Any] | None:
        """Return the case to begin while `running` cases run; None if none may begin now."""
        if running >= self.width:
            return None
        for group in self._in_order():
            if (case := group.next_case(together=self.width > 1)) is not None:
                return group, case
        return None

    def _in_order(self) -> Iterator[CaseGroup]:
        """Yield the groups that have begun, then begin further ones."""
        yield from list(self._begun)
        while self._coming:
            self._begun = [group for group in self._begun if not group.is_done]
            if self._begun and self._coming[0].scenario.is_exclusive:
                return
            group = self._coming.popleft()
            self._begun.append(group)
            self._on_begin(group)
            yield group


@dataclass(eq=False, slots=True)
class RunningCase:
    """A case that runs, or has run. Cases are numbered in the order in which they began."""

    number: int
    group: CaseGroup
    case: Any
    beside: deque[ScenarioCase] = field(default_factory=lambda: deque(maxlen=BESIDE))
    """The last cases that ran at the same time."""
    requests: int = 0
    violated: RuleViolated | None = None
    was_cut_off: bool = False
    """Whether the check ended before the case."""

    def note_beside(self, others: Iterable[RunningCase]) -> None:
        """Note, for this case and the others, that they run at the same time."""
        for other in others:
            other.beside.append((self.group.scenario, self.case))
            self.beside.append((other.group.scenario, other.case))

    def run(self, run_case: Callable[[RunningCase], RuleViolated | None]) -> None:
        try:
            self.violated = run_case(self)
        except OutOfTime:
            self.was_cut_off = True


def run_in_parallel(
    queue: CaseQueue,
    run_case: Callable[[RunningCase], RuleViolated | None],
    *,
    until: float,
    must_pause: Callable[[], bool],
    stop: Callable[[], None],
) -> Iterator[list[RunningCase]]:
    """Run the cases of the queue. After a case has failed, or if `must_pause()`, wait until nothing runs and yield the
    cases that have failed, in the order in which they began.

    `run_case` sets the `requests` of a case. Raises OutOfTime at `until` (monotonic), or if `run_case` has raised it.
    After another exception, Ctrl-C for example, `stop` is called: it must end the running cases soon.
    """
    running: dict[Future[None], RunningCase] = {}
    failed: list[RunningCase] = []
    numbers = itertools.count(1)
    pauses = False
    is_over = False
    with ThreadPoolExecutor(queue.width) as pool:
        while True:
            is_over = is_over or time.monotonic() >= until
            while not pauses and not is_over and (found := queue.next_case(len(running))) is not None:
                case = RunningCase(next(numbers), *found)
                case.note_beside(running.values())
                running[pool.submit(case.run, run_case)] = case
            if running:
                for case in _take_ended(running, stop):
                    if case.was_cut_off:
                        is_over = True
                        continue
                    case.group.end_case(case.requests)
                    if case.violated is not None:
                        failed.append(case)
                pauses = pauses or bool(failed) or must_pause()
            elif pauses:
                yield sorted(failed, key=lambda case: case.number)
                failed.clear()
                pauses = False
            elif is_over:
                raise OutOfTime
            else:
                return


def _take_ended(running: dict[Future[None], RunningCase], stop: Callable[[], None]) -> Iterator[RunningCase]:
    """Wait until a case ends, and remove and yield those that have ended."""
    try:
        ended, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
        for future in ended:
            future.result()
    except BaseException:
        stop()
        raise
    yield from map(running.pop, ended)
