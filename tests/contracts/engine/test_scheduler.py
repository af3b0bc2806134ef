"""The order of a check, and what was not reached."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from contracts.core.findings import Finding, ScenarioProgress, Spent
from contracts.core.target import Target
from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.results import OutOfTime
from contracts.engine.scenario import Scenario
from contracts.engine.scheduler import FIRST_ROUND_REQUESTS, LAST_ROUND_OF_READS, LATE_ROUND, MANY_RUNS, Scheduler


@dataclass(frozen=True)
class Count(Case):
    count: int

    @property
    def expected_runs(self) -> int:
        return self.count


FEW, MANY = Count(1), Count(MANY_RUNS)


class OneCaseEach:
    """In the place of a search: gets one case done in each turn."""

    def __init__(self, *, out_of_time_at: str | None = None, requests_each: int = 1) -> None:
        self._requests_each = requests_each
        self.done: list[tuple[str, int]] = []
        self.begun: list[tuple[str, int]] = []
        self.explored: list[str] = []
        self.shares: list[float] = []
        self.tried: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.settled_until = 0.0
        self._out_of_time_at = out_of_time_at

    def begin(self, cases: Iterator[tuple[Scenario[Any], Count]]) -> None:
        self.begun += [(scenario.name, case.count) for scenario, case in cases]

    unsettled: tuple[Scenario[Any], ...] = ()

    def settle(self, *, until: float = 0.0) -> None:
        self.settled_until = max(until, self.settled_until)

    def run(self, scenario: Scenario[Any], cases: Iterator[Count], *, requests: float, until: float) -> bool:
        if scenario.name == self._out_of_time_at:
            raise OutOfTime
        self.shares.append(requests)
        case = next(cases, None)
        if case is None:
            return True
        self.done.append((scenario.name, case.count))
        self.spent[scenario.name] += self._requests_each
        self.tried[scenario.name] += 1
        return scenario.last

    def explore(self, scenario: Scenario[Any], *, examples: int) -> None:
        self.explored.append(scenario.name)


def scenario(name: str, *cases: Count, **more: Any) -> Scenario[Any]:
    return Scenario(name, ("NO-5XX",), lambda context, case: None, lambda check: cases, **more)


def run_scheduler(
    search: OneCaseEach,
    *scenarios: Scenario[Any],
    shard: tuple[int, int] = (1, 1),
    deadline: float = math.inf,
) -> list[ScenarioProgress]:
    some = Ids(invented=True)
    guard: Any = SimpleNamespace(spent=Spent(0, 0, 0, 0.0))
    target = Target("http://127.0.0.1:9", "token", allow_writes=True, shard=shard)
    check = CheckContext(target, guard, deadline, workflows=some, machines=some, pools=some, sessions=some)
    instead: Any = search
    return Scheduler(check, instead, scenarios, None, {}).run()


def test_all_have_a_turn_before_one_has_its_second_and_many_runs_wait_for_a_later_round() -> None:
    search = OneCaseEach()
    progress = run_scheduler(search, scenario("a", FEW, MANY, FEW), scenario("b", FEW, FEW))
    assert search.done == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", MANY_RUNS)]
    assert search.explored == ["b", "a"]
    assert progress == [ScenarioProgress("a", 3, 3, True), ScenarioProgress("b", 2, 2, True)]


def test_large_creates_of_priority_0_do_not_wait_whatever_comes_after_them() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("first", MANY, priority=0), scenario("second", FEW, MANY))
    assert search.done == [("first", MANY_RUNS), ("second", 1), ("second", MANY_RUNS)]


def test_many_runs_do_not_wait_for_a_scenario_with_more_cases_than_rounds_before_them() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", *[FEW] * 20, MANY))
    assert search.done.index(("a", MANY_RUNS)) == LATE_ROUND - 1


def test_the_share_of_requests_doubles_from_round_to_round() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", FEW, FEW, FEW))
    shares = list(dict.fromkeys(search.shares))
    assert shares[:3] == [FIRST_ROUND_REQUESTS, 2 * FIRST_ROUND_REQUESTS, 4 * FIRST_ROUND_REQUESTS]


def test_a_scenario_of_more_weight_has_a_larger_share() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", FEW, FEW, weight=3))
    assert search.shares[:2] == [3 * FIRST_ROUND_REQUESTS, 6 * FIRST_ROUND_REQUESTS]


def test_requests_beyond_a_share_are_taken_from_the_next_ones() -> None:
    search = OneCaseEach(requests_each=FIRST_ROUND_REQUESTS * 2)
    run_scheduler(search, scenario("a", *[FEW] * 3), scenario("b", *[FEW] * 3))
    shares = [share / FIRST_ROUND_REQUESTS for share in search.shares if share < math.inf]
    # Each turn spends 2. It has a share of 1, then of 2 less the 1 beyond the first, then of 4 less the 1 beyond both.
    assert shares[:6] == [1, 1, 1, 1, 3, 3]

    search = OneCaseEach(requests_each=FIRST_ROUND_REQUESTS * 3)
    run_scheduler(search, scenario("a", *[FEW] * 2), scenario("b", FEW))
    # Each turn spends 3. The first has a share of 1, so nothing is left of the 2 of the second round.
    assert search.done == [("a", 1), ("b", 1), ("a", 1)]
    assert [share / FIRST_ROUND_REQUESTS for share in search.shares[:4]] == [1, 1, 4, 4]


def test_a_scenario_that_creates_nothing_ends_before_the_cases_with_many_runs() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", *[FEW] * 5, creates=False))
    assert search.shares[:LAST_ROUND_OF_READS] == [FIRST_ROUND_REQUESTS, 2 * FIRST_ROUND_REQUESTS, math.inf]


def test_a_scenario_of_the_lowest_priority_comes_with_many_runs_and_the_last_after_everything() -> None:
    search = OneCaseEach()
    run_scheduler(
        search,
        scenario("the last", FEW, last=True),
        scenario("finds little", FEW, priority=8),
        scenario("finds much", FEW, MANY),
    )
    assert [name for name, _ in search.done] == ["finds much", "finds little", "finds much", "the last"]


def test_a_scenario_that_waits_is_begun_beside_all_others() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("sends", FEW), scenario("waits", FEW, MANY, waits=True))
    assert search.begun == [("waits", 1), ("waits", MANY_RUNS)]
    assert search.done == [("sends", 1)]


def test_the_shards_of_a_check_have_each_case_once() -> None:
    cases: list[Count] = [Count(count) for count in range(1, 12)]
    done = []
    for number in (1, 2, 3):
        search = OneCaseEach()
        run_scheduler(search, scenario("a", *cases), scenario("waits", *cases, waits=True), shard=(number, 3))
        assert len(search.done) in {3, 4}
        done += search.done + search.begun
    assert sorted(done) == sorted([(name, case.count) for name in ("a", "waits") for case in cases])


def test_when_time_is_over_the_rest_is_reported_and_the_last_has_its_turn_still() -> None:
    search = OneCaseEach(out_of_time_at="b")
    progress = run_scheduler(
        search, scenario("a", FEW), scenario("b", FEW), scenario("c", FEW, MANY), scenario("the last", FEW, last=True)
    )
    assert search.done == [("a", 1), ("the last", 1)]
    assert [(each.scenario, each.done, each.planned) for each in progress if not each.finished] == [
        ("b", 0, 1),
        ("c", 0, 2),
    ]


def test_scenarios_that_wait_leave_the_last_its_share_of_the_time() -> None:
    search = OneCaseEach()
    deadline = time.monotonic() + 1000
    run_scheduler(search, scenario("waits", FEW, waits=True), scenario("the last", FEW, last=True), deadline=deadline)
    assert deadline - 10 < search.settled_until < deadline - 1
