"""Schedules the scenarios of a check: which one runs next, and for how many requests.

Scenarios run in rounds. In each round, a scenario may send a share of requests, which doubles from round to round. So
each rule is judged a little before any rule is judged completely. Time has no influence on the cases of a round: a slow
target gets the same cases in the same order as a fast one, but fewer of them before the time is over.
"""

import contextlib
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from contracts.core.findings import ScenarioProgress
from contracts.engine.check_context import CheckContext
from contracts.engine.parallel import CaseGroup
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Runner
from contracts.engine.scenario import Scenario

FIRST_ROUND_REQUESTS: Final = 8
"""The requests that a scenario may send in the first round."""
LAST_ROUND: Final = 5
"""All cases that are left run in this round."""
MANY_RUNS: Final = 60
"""Cases that create this many runs or more make every list slower, so they come at the end of the last round."""
TOO_MANY_RUNS: Final = 250
ROUND_OF_MANY_RUNS: Final = 3
"""In this round, each scenario runs the first of these cases already, if it creates fewer than TOO_MANY_RUNS."""
LAST_ROUND_OF_READS: Final = 3
"""Scenarios that create nothing read lists, which get slower later. So they end in this round."""
ORDER_OF_SLOW: Final = 8
"""Scenarios with this `order` or a larger one take long and seldom find anything, so they come at the end of the last
round, before the cases that create many runs."""
FIRST_WAITING: Final = 3
"""How many waiting cases of each scenario start at the beginning. The others start after the first round: together,
they send more requests than that round, which finds most.
"""
LAST_TIME_FRACTION: Final = 0.05
"""The fraction of the time that is reserved for scenarios with `is_last`. They need half of it if all others end in the
time, and more on a busier machine."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The scenario that is running, and how many batches of cases of all scenarios are done."""

    step: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.step} ({self.done} of {self.total} batches of cases done)" if self.total else self.step


def _share(scenario: Scenario[Any], number: int) -> float:
    """Return a scenario's share of a round, in requests. A batch of cases is always finished: what it sends beyond the
    share is deducted from the next shares (deficit round robin).
    """
    if scenario.order == 0 or number >= (LAST_ROUND if scenario.creates_runs else LAST_ROUND_OF_READS):
        return math.inf  # scenarios of order 0 are short, and find the most
    return float(scenario.weight * FIRST_ROUND_REQUESTS * 2 ** (number - 1))


class Scheduler:
    def __init__(
        self,
        check: CheckContext,
        runner: Runner,
        scenarios: Sequence[Scenario[Any]],
        progress: Callable[[Progress], None],
        live_cases: Mapping[str, Callable[[CheckContext], Iterable[Any]]],
    ) -> None:
        """`live_cases` are the cases of a live check, by the name of their scenario."""
        self._check = check
        self._runner = runner
        self._progress = progress
        self._able = [s for s in scenarios if check.offers(*s.needs) and (check.may_create or not s.creates_runs)]
        makers = {scenario: live_cases[scenario.name] if check.is_live else scenario.cases for scenario in self._able}
        self._cases_of = {scenario: check.in_shard(cases(check)) for scenario, cases in makers.items()}
        self._entering, self._last = self._groups_by_round()
        self._all = (*chain.from_iterable(self._entering.values()), *self._last)
        waiting = [] if check.is_live else [scenario for scenario in self._able if scenario.mostly_waits]
        self._not_started = {scenario: self._cases(scenario) for scenario in waiting}
        """The waiting cases that are still to be started, by scenario."""
        self._has_begun = False
        self._end = check.deadline - (LAST_TIME_FRACTION * check.target.max_time_s if self._last else 0.0)

    def run(
        self, *, beside_last_round: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    ) -> list[ScenarioProgress]:
        """Run all scenarios and return the progress of each. `beside_last_round` is entered while the last round runs
        all scenarios but the exclusive ones.
        """
        self._has_begun = True
        self._start_waiting(FIRST_WAITING)
        self._rounds(beside_last_round)
        try:
            self._runner.collect_waiting(until=self._end)
            self._run_groups(self._last, until=self._check.deadline)
        except OutOfTime:
            pass
        return self.scenario_progress()

    def scenario_progress(self) -> list[ScenarioProgress]:
        """Return how far each scenario has come until now."""
        unfinished = {group.scenario.name for group in self._all if not group.has_ended or group.has_generated}
        unfinished |= {scenario.name for scenario in (*self._runner.waiting.scenarios, *self._not_started)}
        return [
            self._progress_of(scenario, may_have_more=not self._has_begun or scenario.name in unfinished)
            for scenario in self._able
        ]

    def _progress_of(self, scenario: Scenario[Any], *, may_have_more: bool) -> ScenarioProgress:
        done = self._runner.tried[scenario.name]
        if may_have_more and self._check.was_interrupted:
            return ScenarioProgress(scenario.name, done, done, finished=False)  # making the rest would take seconds
        planned = max(done, sum(1 for _ in self._cases(scenario))) if may_have_more else done
        finished = not may_have_more or (done == planned and scenario.generated is None)
        return ScenarioProgress(scenario.name, done, planned, finished)

    def _start_waiting(self, most: int | None = None) -> None:
        """Start the cases that mostly wait: all of them, or the first `most` of each scenario."""
        for scenario, cases in self._not_started.items():
            for case in itertools.islice(cases, most):
                self._runner.waiting.start(scenario, case)
        if most is None:
            self._not_started.clear()

    def _rounds(self, beside_last_round: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        """Run rounds until everything is done or the time is over."""
        groups: list[CaseGroup] = []
        try:
            for number in range(1, LAST_ROUND + 1):
                groups += self._entering.pop(number, ())
                for group in groups:
                    group.limit += _share(group.scenario, number)
                due = [group for group in groups if group.spent < group.limit]
                with beside_last_round() if number == LAST_ROUND else contextlib.nullcontext():
                    self._run_groups([group for group in due if not group.scenario.is_exclusive], until=self._end)
                self._run_groups([group for group in due if group.scenario.is_exclusive], until=self._end)
                groups = [group for group in groups if not group.has_ended]
                self._start_waiting()
                self._runner.collect_waiting()
        except OutOfTime:
            pass

    def _run_groups(self, groups: Sequence[CaseGroup], *, until: float) -> None:
        """Run the groups until they have spent their limits. Raises OutOfTime at `until`."""

        def announce(group: CaseGroup) -> None:
            ended = sum(each.has_ended for each in self._all)
            self._progress(Progress(group.scenario.name, ended, len(self._all)))

        self._runner.run(groups, until=until, on_begin=announce)
        for group in groups:
            if group.has_ended and group.has_generated:
                if time.monotonic() >= until:
                    raise OutOfTime
                self._runner.run_generated(group.scenario, examples=group.scenario.examples)
                group.has_generated = False

    def _groups_by_round(self) -> tuple[dict[int, list[CaseGroup]], list[CaseGroup]]:
        """Return the groups by the round in which they begin, and those of the scenarios with `is_last`."""
        if self._check.is_live:
            return {1: [CaseGroup(scenario, self._affordable(scenario), limit=0) for scenario in self._able]}, []
        last = [CaseGroup(scenario, self._cases(scenario)) for scenario in self._able if scenario.is_last]
        entering: defaultdict[int, list[CaseGroup]] = defaultdict(list)
        large: list[CaseGroup] = []
        for scenario in self._able:
            if not scenario.is_last and not scenario.mostly_waits:
                few, first, others = self._by_runs(scenario)
                is_slow = scenario.order >= ORDER_OF_SLOW
                entering[LAST_ROUND if is_slow else 1].append(CaseGroup(scenario, few, limit=0))
                entering[LAST_ROUND if is_slow else ROUND_OF_MANY_RUNS].append(CaseGroup(scenario, first, limit=0))
                large.append(CaseGroup(scenario, others, has_generated=True, limit=0))
        entering[LAST_ROUND] += large
        return entering, last

    def _by_runs(self, scenario: Scenario[Any]) -> tuple[Iterator[Any], Iterator[Any], Iterator[Any]]:
        """Return the cases that create few runs, the first that creates many but not too many, and all others. In
        scenarios of order 0, all cases count as those with few runs.
        """
        if scenario.order == 0:
            return self._cases(scenario), iter(()), iter(())

        def others() -> Iterator[Any]:
            first_was_left_out = False
            for case in self._cases(scenario):
                if MANY_RUNS <= case.expected_runs < TOO_MANY_RUNS and not first_was_left_out:
                    first_was_left_out = True
                elif case.expected_runs >= MANY_RUNS:
                    yield case

        few = (case for case in self._cases(scenario) if case.expected_runs < MANY_RUNS)
        many = (case for case in self._cases(scenario) if MANY_RUNS <= case.expected_runs < TOO_MANY_RUNS)
        return few, itertools.islice(many, 1), others()

    def _cases(self, scenario: Scenario[Any]) -> Iterator[Any]:
        """Return all cases of a scenario. Each is made only once, since making all of them takes seconds."""
        self._cases_of[scenario], cases = itertools.tee(self._cases_of[scenario])
        return cases

    def _affordable(self, scenario: Scenario[Any]) -> Iterator[Any]:
        """Yield the cases of a live check that its budget allows."""
        for case in self._cases(scenario):
            if self._check.guard.can_afford(runs=case.expected_runs if scenario.creates_runs else 0, requests=3):
                yield case
            else:
                self._check.not_affordable[scenario.name] = None
