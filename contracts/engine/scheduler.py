"""Schedules the scenarios of a check: which one runs next, and for how long.

Scenarios run in rounds. In each round a scenario gets a share of the time, which grows from round to round. So every
rule is judged a little before any rule is judged completely. Cases that create many runs wait for all others, at most
until LATE_SHARE of the time is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.engine.check_context import CheckContext
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Scenario, Search, expected_runs

SHARES = 120
"""The time of a check is divided into this many shares. In round n a scenario gets n of them."""
LATE_SHARE = 0.4
"""The part of the time that is reserved for cases that create many runs."""
MANY_RUNS = 60
"""Cases that create this many runs or more wait until all others have been tried."""
LOWEST_PRIORITY = 8
"""Scenarios with this `priority` take long and seldom find anything, so they wait too."""
_EXPLORE_S = 5.0
"""How many seconds beyond its share a scenario may spend on generated cases."""
LAST_SHARE = 0.03
"""The part of the time that is reserved for scenarios with `last`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a check; `str` formats it as one line."""

    step: str
    done: int
    total: int
    requests: int
    findings: int

    def __str__(self) -> str:
        found = "nothing found" if not self.findings else f"{self.findings} found"
        return f"{self.done}/{self.total} {self.step} · {self.requests} requests · {found}"


@dataclass(slots=True)
class _Part:
    """The cases of a scenario that are still to be tried."""

    scenario: Scenario[Any]
    cases: Iterator[Any]
    explores: bool


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
        self._few, self._many, self._last = _parts(check, scenarios, live_cases)
        self._total = len(self._few) + len(self._many) + len(self._last)
        self._done = 0
        self._end = check.deadline - (LAST_SHARE * check.target.max_time_s if self._last else 0.0)

    def run(self) -> list[Scenario[Any]]:
        """Run all scenarios; return those that did not finish in time."""
        if not self._check.is_live:
            self._search.begin(dict.fromkeys(part.scenario for part in self._few if part.scenario.waits))
        left = self._rounds()
        try:
            while self._last and self._has_ended(self._last[0], self._check.deadline):
                self._last.pop(0)
        except OutOfTime:
            pass
        return list(dict.fromkeys(part.scenario for part in (*left, *self._last)))

    def _rounds(self) -> list[_Part]:
        """Run rounds until everything is done or the time is over; return what is left."""
        share_s = max(1.0, self._check.target.max_time_s / SHARES)
        waiting, later = self._few, self._many
        number = 0
        while True:
            number += 1
            if not waiting or self._is_late:
                waiting, later = [*later, *waiting], []
            waiting, is_over = self._round(waiting, share_s * number, can_stop=bool(later))
            if is_over or not (waiting or later):
                return [*waiting, *later]

    @property
    def _is_late(self) -> bool:
        return self._check.time_left < LATE_SHARE * self._check.target.max_time_s

    def _round(self, waiting: Sequence[_Part], share_s: float, *, can_stop: bool) -> tuple[list[_Part], bool]:
        """Run each part for its share. Return the parts that have not ended, and whether the time is over. A round that
        `can_stop` does so when it is late, since the parts with many runs are still to come.
        """
        left: list[_Part] = []
        for index, part in enumerate(waiting):
            now = time.monotonic()
            if now >= self._end:
                return [*left, *waiting[index:]], True
            if can_stop and self._is_late:
                return [*waiting[index:], *left], False
            try:
                if not self._has_ended(part, min(self._end, now + share_s)):
                    left.append(part)
            except OutOfTime:
                return [*left, *waiting[index:]], True
        return left, False

    def _has_ended(self, part: _Part, until: float) -> bool:
        """Run a part until `until` (monotonic) and return whether it has ended. Raises OutOfTime."""
        scenario, spent = part.scenario, self._check.guard.spent
        self._progress(Progress(scenario.name, self._done, self._total, spent.requests, len(self._search.findings)))
        if not self._search.run(scenario, part.cases, until=until):
            return False
        if part.explores:
            self._search.explore(scenario, examples=scenario.examples, until=min(self._end, until + _EXPLORE_S))
        self._done += 1
        return True


def _parts(
    check: CheckContext,
    scenarios: Sequence[Scenario[Any]],
    live_cases: Mapping[str, Callable[[CheckContext], Iterable[Any]]],
) -> tuple[list[_Part], list[_Part], list[_Part]]:
    """Return three lists: the cases that create few runs; the cases that create many, which slow down every list, and
    the scenarios of LOWEST_PRIORITY; the scenarios with `last`.
    """
    able = [s for s in scenarios if check.offers(*s.needs) and (check.may_create or not s.creates)]
    if check.is_live:
        return (
            [
                _Part(scenario, _affordable(check, scenario, live_cases[scenario.name](check)), False)
                for scenario in able
            ],
            [],
            [],
        )
    few: list[_Part] = []
    many: list[_Part] = []
    last: list[_Part] = []
    for scenario in able:
        most = 10_000 if scenario.priority == 0 else MANY_RUNS
        if scenario.last:
            last.append(_Part(scenario, iter(scenario.cases(check)), False))
            continue
        early = few if scenario.priority < LOWEST_PRIORITY else many
        early.append(_Part(scenario, _cases(check, scenario, 0, most), False))
        if not scenario.waits:
            many.append(_Part(scenario, _cases(check, scenario, most, 100_000), True))
    return few, many, last


def _cases(check: CheckContext, scenario: Scenario[Any], least: int, most: int) -> Iterator[Any]:
    return (case for case in scenario.cases(check) if least <= expected_runs(case) < most)


def _affordable(check: CheckContext, scenario: Scenario[Any], cases: Iterable[Any]) -> Iterator[Any]:
    """Yield the cases of a live check that its budget allows."""
    for case in cases:
        if check.guard.affords(runs=expected_runs(case) if scenario.creates else 0, requests=3):
            yield case
        else:
            check.note(f"Not tried, since the budget does not bear it: {scenario.name}.")
