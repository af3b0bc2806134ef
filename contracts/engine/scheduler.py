"""The course of a check: whose turn it is, and for how long.

Each scenario has a share of the time, larger in every round, then the others' turn comes first: a target is judged by
every rule a little before it is judged by one wholly. What makes many runs waits for all else, but not for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.engine.context import CheckContext, OutOfTime
from contracts.engine.runner import Scenario, Search, most_runs
from contracts.engine.shrink import Case

SHARES = 120
"""Into how many parts the time of a check is divided among its scenarios: one for each in the first round."""
LATE_SHARE = 0.4
"""The part of the time that is kept for cases that make many runs."""
MANY_RUNS = 60
"""Cases that make as many runs as this wait until all others have been tried."""
LOWEST_PRIORITY = 8
"""Scenarios that take long and seldom tell anything wait with them."""
_EXPLORE_S = 5.0
"""How much longer than its share a scenario may take for what it generates."""
LAST_SHARE = 0.03
"""The part of the time that is kept for the scenarios that come last."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is, as one line."""

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
    """Some cases of a scenario, as far as they have not been tried."""

    scenario: Scenario
    cases: Iterator[Case]
    explores: bool


class Scheduler:
    def __init__(
        self,
        check: CheckContext,
        search: Search,
        scenarios: Sequence[Scenario],
        progress: Callable[[Progress], None] | None,
        live_cases: Mapping[str, Callable[[CheckContext], Iterable[Case]]],
    ) -> None:
        """`live_cases` are the cases of a live check, by the name of their scenario."""
        self._world = check
        self._search = search
        self._progress = progress or (lambda _: None)
        self._few, self._many, self._last = _parts(check, scenarios, live_cases)
        self._total = len(self._few) + len(self._many) + len(self._last)
        self._done = 0
        self._end = check.deadline - (LAST_SHARE * check.target.max_time_s if self._last else 0.0)

    def run(self) -> list[Scenario]:
        """The scenarios that were not done in time."""
        if not self._world.is_live:
            self._search.begin(dict.fromkeys(part.scenario for part in self._few if part.scenario.waits))
        left = self._rounds()
        try:
            while self._last and self._has_ended(self._last[0], self._world.deadline):
                self._last.pop(0)
        except OutOfTime:
            pass
        return list(dict.fromkeys(part.scenario for part in (*left, *self._last)))

    def _rounds(self) -> list[_Part]:
        """What was left when all was done, or the time was over."""
        share_s = max(1.0, self._world.target.max_time_s / SHARES)
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
        return self._world.time_left < LATE_SHARE * self._world.target.max_time_s

    def _round(self, waiting: Sequence[_Part], share_s: float, *, can_stop: bool) -> tuple[list[_Part], bool]:
        """What has not ended in its share of the time, and whether the time is over. A round that `can_stop` does so
        when it is late, for others wait whose turn it is then.
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
        """Raises OutOfTime."""
        scenario, spent = part.scenario, self._world.guard.spent
        self._progress(Progress(scenario.name, self._done, self._total, spent.requests, len(self._search.findings)))
        if not self._search.run(scenario, part.cases, until=until):
            return False
        if part.explores:
            self._search.explore(scenario, examples=scenario.examples, until=min(self._end, until + _EXPLORE_S))
        self._done += 1
        return True


def _parts(
    check: CheckContext,
    scenarios: Sequence[Scenario],
    live_cases: Mapping[str, Callable[[CheckContext], Iterable[Case]]],
) -> tuple[list[_Part], list[_Part], list[_Part]]:
    """Each scenario's cases that make few runs; those that make many, with which every list takes long, and what tells
    least; the scenarios that come last.
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


def _cases(check: CheckContext, scenario: Scenario, least: int, most: int) -> Iterator[Case]:
    return (case for case in scenario.cases(check) if least <= most_runs(case) < most)


def _affordable(check: CheckContext, scenario: Scenario, cases: Iterable[Case]) -> Iterator[Case]:
    """On a real deployment few, and each only where it can be borne."""
    for case in cases:
        if check.guard.affords(runs=most_runs(case) if scenario.creates else 0, requests=3):
            yield case
        else:
            check.note(f"Not tried, since the budget does not bear it: {scenario.name}.")
