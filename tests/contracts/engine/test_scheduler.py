"""The course of a check: whose turn it is, and what was not reached."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from contracts.core.findings import Finding, Spent
from contracts.core.target import Target
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Scenario
from contracts.engine.scheduler import MANY_RUNS, Scheduler
from contracts.engine.shrink import Case

FEW, MANY = {"count": 1}, {"count": MANY_RUNS}


class OneCaseEach:
    """In the place of a search: gets one case done in each turn."""

    def __init__(self, *, out_of_time_at: str | None = None) -> None:
        self.done: list[tuple[str, int]] = []
        self.begun: list[str] = []
        self.explored: list[str] = []
        self.findings: list[Finding] = []
        self._out_of_time_at = out_of_time_at

    def begin(self, scenarios: dict[Scenario, None]) -> None:
        self.begun += [scenario.name for scenario in scenarios]

    def run(self, scenario: Scenario, cases: Iterator[Case], *, until: float) -> bool:
        if scenario.name == self._out_of_time_at:
            raise OutOfTime
        case = next(cases, None)
        if case is None:
            return True
        self.done.append((scenario.name, case["count"]))
        return scenario.last

    def explore(self, scenario: Scenario, *, examples: int, until: float) -> None:
        self.explored.append(scenario.name)


def scenario(name: str, *cases: Case, **more: Any) -> Scenario:
    return Scenario(name, ("NO-5XX",), lambda context, case: None, lambda check: cases, **more)


class Ending(CheckContext):
    """Late from the third look at the time on."""

    looks = 0

    @property
    def time_left(self) -> float:
        self.looks += 1
        return 1000.0 if self.looks < 3 else 10.0


def course_of(search: OneCaseEach, *course: Scenario, kind: type[CheckContext] = CheckContext) -> list[str]:
    """The names of what was not reached."""
    some = Ids(invented=True)
    guard: Any = SimpleNamespace(spent=Spent(0, 0, 0, 0.0))
    target = Target("http://127.0.0.1:9", "token", allow_writes=True)
    check = kind(target, guard, math.inf, workflows=some, machines=some, pools=some, sessions=some)
    told: Any = search
    return [scenario.name for scenario in Scheduler(check, told, course, None, {}).run()]


def test_all_have_a_turn_before_one_has_its_second_and_many_runs_wait_for_all_else() -> None:
    search = OneCaseEach()
    unreached = course_of(search, scenario("a", FEW, MANY, FEW), scenario("b", FEW, FEW))
    assert unreached == []
    assert search.done == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", MANY_RUNS)]
    assert search.explored == ["b", "a"]


def test_what_tells_least_comes_with_many_runs_and_the_last_after_everything() -> None:
    search = OneCaseEach()
    course_of(
        search,
        scenario("the last", FEW, last=True),
        scenario("tells little", FEW, priority=8),
        scenario("tells much", FEW, MANY),
    )
    assert [name for name, _ in search.done] == ["tells much", "tells little", "tells much", "the last"]


def test_where_it_is_late_what_makes_many_runs_has_its_turn_before_the_round_is_over() -> None:
    search = OneCaseEach()
    course_of(search, scenario("a", FEW, MANY), scenario("b", FEW, FEW), kind=Ending)
    assert search.done == [("a", 1), ("a", MANY_RUNS), ("b", 1), ("b", 1)]


def test_what_waits_is_begun_beside_all_others() -> None:
    search = OneCaseEach()
    course_of(search, scenario("sends", FEW), scenario("waits", FEW, waits=True))
    assert search.begun == ["waits"]


def test_where_time_is_over_what_is_left_is_told_and_the_last_has_its_turn_still() -> None:
    search = OneCaseEach(out_of_time_at="b")
    unreached = course_of(
        search, scenario("a", FEW), scenario("b", FEW), scenario("c", FEW), scenario("the last", FEW, last=True)
    )
    assert unreached == ["a", "b", "c"]
    assert search.done == [("a", 1), ("the last", 1)]
