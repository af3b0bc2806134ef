"""Schedules the scenarios of a check: which one runs next, and for how many requests.

Scenarios run in rounds. In each round a scenario may send a share of requests, which doubles from round to round. So
every rule is judged a little before any rule is judged completely. Time has no influence on the order: a slow target is
sent the same cases as a quick one, only fewer of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.findings import ScenarioProgress
from contracts.engine.check_context import CheckContext
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Search
from contracts.engine.scenario import Scenario

FIRST_ROUND_REQUESTS: Final = 8
"""The requests that a scenario may send in the first round."""
MANY_RUNS: Final = 60
"""Cases that create this many runs or more make every list slower, so they wait for LATE_ROUND. They begin it."""
LATE_ROUND: Final = 5
LAST_ROUND_OF_READS: Final = 3
"""Scenarios that create nothing read lists, which get slower later. So they end in this round."""
LOWEST_PRIORITY: Final = 8
"""Scenarios with this `priority` take long and seldom find anything, so they wait for LATE_ROUND too."""
LAST_TIME_FRACTION: Final = 0.03
"""The part of the time that is reserved for scenarios with `last`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The part of a check that runs, and how many of the parts are done."""

    step: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.step} ({self.done} of {self.total} parts done)" if self.total else self.step


@dataclass(slots=True)
class _Part:
    """The cases of a scenario that are still to be tried."""

    scenario: Scenario[Any]
    cases: Iterator[Any]
    explores: bool
    debt: float = 0.0
    """By how many requests it has exceeded its shares: a batch of cases is always finished. They are taken from the
    shares of the next rounds, as in deficit round robin.
    """


def _share(scenario: Scenario[Any], number: int) -> float:
    """Return how many requests a scenario may send in a round."""
    if scenario.priority == 0 or (number == LAST_ROUND_OF_READS and not scenario.creates):
        return math.inf  # those of priority 0 are short and find most
    return float(scenario.weight * FIRST_ROUND_REQUESTS * 2 ** (number - 1))


class Scheduler:
    def __init__(
        self,
        check: CheckContext,
        search: Search,
        scenarios: Sequence[Scenario[Any]],
        progress: Callable[[Progress], None] | None,
        live_cases: Mapping[str, Callable[[CheckContext], Iterable[Any]]],
    ) -> None:
        """`live_cases` are the cases of a live check, by the name of their scenario."""
        self._check = check
        self._search = search
        self._progress = progress or (lambda _: None)
        self._live_cases = live_cases
        self._able = [s for s in scenarios if check.offers(*s.needs) and (check.may_create or not s.creates)]
        self._early, self._late, self._last = self._parts()
        self._total = len(self._early) + len(self._late) + len(self._last)
        self._ended = 0
        self._end = check.deadline - (LAST_TIME_FRACTION * check.target.max_time_s if self._last else 0.0)

    def run(self) -> list[ScenarioProgress]:
        """Run all scenarios; return how far each got."""
        if not self._check.is_live:
            waiting = [scenario for scenario in self._able if scenario.waits]
            self._search.begin((scenario, case) for scenario in waiting for case in self._cases(scenario))
        left = self._rounds()
        try:
            self._search.settle(until=self._end)
            while self._last and self._run_part(self._last[0], until=self._check.deadline):
                self._last.pop(0)
        except OutOfTime:
            pass
        unfinished = {part.scenario.name for part in (*left, *self._last)}
        unfinished |= {scenario.name for scenario in self._search.unsettled}
        return [self._progress_of(scenario, may_have_more=scenario.name in unfinished) for scenario in self._able]

    def _progress_of(self, scenario: Scenario[Any], *, may_have_more: bool) -> ScenarioProgress:
        done = self._search.tried[scenario.name]
        planned = max(done, sum(1 for _ in self._cases(scenario))) if may_have_more else done
        finished = not may_have_more or (done == planned and scenario.generated is None)
        return ScenarioProgress(scenario.name, done, planned, finished)

    def _rounds(self) -> list[_Part]:
        """Run rounds until everything is done or the time is over; return what is left."""
        parts, number = self._early, 0
        while parts or number < LATE_ROUND:
            number += 1
            if number == LATE_ROUND:
                parts = [*self._late, *parts]
            left: list[_Part] = []
            for index, part in enumerate(parts):
                try:
                    if not self._run_part(part, requests=_share(part.scenario, number), until=self._end):
                        left.append(part)
                    self._search.settle()
                except OutOfTime:
                    return [*left, *parts[index:], *(self._late if number < LATE_ROUND else ())]
            parts = left
        return []

    def _run_part(self, part: _Part, *, requests: float = math.inf, until: float) -> bool:
        """Run a part for a share of requests and return whether it has ended. Raises OutOfTime at `until`."""
        scenario = part.scenario
        self._progress(Progress(scenario.name, self._ended, self._total))
        if requests <= part.debt:
            part.debt -= requests
            return False
        spent_before, requests = self._search.spent[scenario.name], requests - part.debt
        if not self._search.run(scenario, part.cases, requests=requests, until=until):
            part.debt = max(0.0, self._search.spent[scenario.name] - spent_before - requests)
            return False
        if part.explores:
            self._search.explore(scenario, examples=scenario.examples)
        self._ended += 1
        return True

    def _parts(self) -> tuple[list[_Part], list[_Part], list[_Part]]:
        """Return three lists: the cases that create few runs; the cases that create many and the scenarios of
        LOWEST_PRIORITY; the scenarios with `last`.
        """
        if self._check.is_live:
            return [_Part(scenario, self._affordable(scenario), False) for scenario in self._able], [], []
        early: list[_Part] = []
        late: list[_Part] = []
        last: list[_Part] = []
        for scenario in self._able:
            if scenario.last:
                last.append(_Part(scenario, self._cases(scenario), False))
            elif not scenario.waits:
                few, many = self._by_runs(scenario)
                (early if scenario.priority < LOWEST_PRIORITY else late).append(_Part(scenario, few, False))
                late.append(_Part(scenario, many, True))
        return early, late, last

    def _by_runs(self, scenario: Scenario[Any]) -> tuple[Iterator[Any], Iterator[Any]]:
        """Return the cases that create few runs and those that create many. Of priority 0, all count as the former."""
        most = math.inf if scenario.priority == 0 else MANY_RUNS
        cases = itertools.tee(self._cases(scenario))  # to make them takes seconds
        few = (case for case in cases[0] if case.expected_runs < most)
        many = (case for case in cases[1] if case.expected_runs >= most)
        return few, many

    def _cases(self, scenario: Scenario[Any]) -> Iterator[Any]:
        cases = self._live_cases[scenario.name] if self._check.is_live else scenario.cases
        return self._check.in_shard(cases(self._check))

    def _affordable(self, scenario: Scenario[Any]) -> Iterator[Any]:
        """Yield the cases of a live check that its budget allows."""
        for case in self._cases(scenario):
            if self._check.guard.affords(runs=case.expected_runs if scenario.creates else 0, requests=3):
                yield case
            else:
                self._check.note(f"Not tried, since the budget does not bear it: {scenario.name}.")
