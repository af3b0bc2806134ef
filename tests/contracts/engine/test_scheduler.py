"""The order of a check, and what was not reached."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.core.findings import ScenarioProgress, Spent
from contracts.core.target import Target
from contracts.engine import scheduler
from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.parallel import CaseGroup
from contracts.engine.results import OutOfTime
from contracts.engine.scenario import Scenario
from contracts.engine.scheduler import (
    FIRST_ROUND_REQUESTS,
    FIRST_WAITING,
    LAST_ROUND,
    LAST_ROUND_OF_READS,
    MANY_RUNS,
    TOO_MANY_RUNS,
    Progress,
    Scheduler,
)


@dataclass(frozen=True)
class Count(Case):
    count: int

    @property
    def expected_runs(self) -> int:
        return self.count


FEW, MANY = Count(1), Count(TOO_MANY_RUNS)
SHARE = FIRST_ROUND_REQUESTS


class OneCaseEach:
    """In the place of a search: of each group it runs one case in a round, and all that are left in the last one."""

    def __init__(self, *, out_of_time_at: str | None = None, requests_each: int = 1) -> None:
        self._requests_each = requests_each
        self.done: list[tuple[str, int]] = []
        self.begun: list[tuple[str, int]] = []
        self.done_before_begun: list[int] = []
        self.explored: list[str] = []
        self.shares: list[float] = []
        self.tried: Counter[str] = Counter()
        self.settled_until = 0.0
        self._out_of_time_at = out_of_time_at

    @property
    def waiting(self) -> OneCaseEach:
        return self

    scenarios: tuple[Scenario[Any], ...] = ()

    def start(self, scenario: Scenario[Any], case: Count) -> None:
        self.begun.append((scenario.name, case.count))
        self.done_before_begun.append(len(self.done))

    def collect_waiting(self, *, until: float = 0.0) -> None:
        self.settled_until = max(until, self.settled_until)

    def run(self, groups: Sequence[CaseGroup], *, until: float, on_begin: Callable[[CaseGroup], None]) -> None:
        for group in groups:
            name = group.scenario.name
            if name == self._out_of_time_at:
                raise OutOfTime
            on_begin(group)
            self.shares.append(group.limit - group.spent)
            most = None if math.isinf(group.limit) else 1
            cases = list(itertools.islice(group.cases, most))
            self.done += [(name, case.count) for case in cases]
            self.tried[name] += len(cases)
            group.spent += self._requests_each * len(cases)
            group.has_ended = most is None or not cases

    def run_generated(self, scenario: Scenario[Any], *, examples: int) -> None:
        self.explored.append(scenario.name)


def scenario(name: str, *cases: Count, **more: Any) -> Scenario[Any]:
    return Scenario(name, ("NO-5XX",), lambda context, case: None, lambda check: cases, **more)


def run_scheduler(
    search: OneCaseEach,
    *scenarios: Scenario[Any],
    shard: tuple[int, int] = (1, 1),
    deadline: float = math.inf,
    progress: Callable[[Progress], None] = lambda step: None,
    **more: Any,
) -> list[ScenarioProgress]:
    some = Ids(accepts_any_id=True)
    guard: Any = SimpleNamespace(spent=Spent(0, 0, 0, 0.0))
    target = Target("http://127.0.0.1:9", "token", allow_writes=True, shard=shard)
    check = CheckContext(target, guard, deadline, workflows=some, machines=some, pools=some, sessions=some)
    instead: Any = search
    return Scheduler(check, instead, scenarios, progress, {}).run(**more)


def test_all_have_a_turn_before_one_has_its_second_and_many_runs_wait_for_the_last_round() -> None:
    search = OneCaseEach()
    progress = run_scheduler(search, scenario("a", FEW, MANY, FEW), scenario("b", FEW, FEW))
    assert search.done == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", MANY.count)]
    assert search.explored == ["a", "b"]
    assert progress == [ScenarioProgress("a", 3, 3, True), ScenarioProgress("b", 2, 2, True)]


def test_the_first_case_that_creates_many_runs_but_not_too_many_comes_in_the_third_round() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", Count(TOO_MANY_RUNS), *[Count(MANY_RUNS + 1)] * 2, *[FEW] * 5))
    few, early = [("a", 1)], ("a", MANY_RUNS + 1)
    assert search.done == [*few * 3, early, *few * 2, ("a", TOO_MANY_RUNS), early]


def test_large_creates_of_order_0_do_not_wait_whatever_comes_after_them() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("first", MANY, order=0), scenario("second", FEW, MANY))
    assert search.done == [("first", MANY.count), ("second", 1), ("second", MANY.count)]


def test_all_that_is_left_is_done_in_the_last_round_and_many_runs_after_it() -> None:
    search = OneCaseEach()
    run_scheduler(search, scenario("a", *[FEW] * 20, MANY), scenario("b", *[FEW] * 20))
    last_round = search.done[2 * (LAST_ROUND - 1) :]
    few = 20 - (LAST_ROUND - 1)
    assert last_round == [*[("a", 1)] * few, *[("b", 1)] * few, ("a", MANY.count)]


def test_in_the_last_round_exclusive_scenarios_wait_until_what_runs_beside_the_others_has_ended() -> None:
    search = OneCaseEach()

    @contextmanager
    def beside() -> Iterator[None]:
        search.done.append(("begins", LAST_ROUND))
        yield
        search.done.append(("ends", LAST_ROUND))

    exclusive = scenario("exclusive", *[FEW] * LAST_ROUND, is_exclusive=True)
    run_scheduler(search, exclusive, scenario("shared", *[FEW] * LAST_ROUND), beside_last_round=beside)

    earlier = [("shared", 1), ("exclusive", 1)] * (LAST_ROUND - 1)
    assert search.done == [*earlier, ("begins", LAST_ROUND), ("shared", 1), ("ends", LAST_ROUND), ("exclusive", 1)]


def test_the_share_of_requests_doubles_from_round_to_round() -> None:
    search = OneCaseEach(requests_each=0)
    run_scheduler(search, scenario("a", *[FEW] * 9))
    of_many_runs = 4 * SHARE  # in the third round, the group with the first case that creates many runs begins
    assert search.shares[:5] == [1 * SHARE, 3 * SHARE, 7 * SHARE, of_many_runs, 15 * SHARE]


def test_a_scenario_of_more_weight_has_a_larger_share() -> None:
    search = OneCaseEach(requests_each=0)
    run_scheduler(search, scenario("a", *[FEW] * 9, weight=3))
    assert search.shares[:2] == [3 * SHARE, 9 * SHARE]


def test_requests_beyond_a_share_are_taken_from_the_next_ones() -> None:
    search = OneCaseEach(requests_each=SHARE * 2)
    run_scheduler(search, scenario("a", *[FEW] * 3), scenario("b", *[FEW] * 3))
    # Each turn spends 2. It has a share of 1, then of 2 less the 1 beyond the first, then of 4 less the 1 beyond both.
    assert [share / SHARE for share in search.shares[:6]] == [1, 1, 1, 1, 3, 3]

    search = OneCaseEach(requests_each=SHARE * 3)
    run_scheduler(search, scenario("a", *[FEW] * 2), scenario("b", FEW))
    # Each turn spends 3. The first has a share of 1, so nothing is left of the 2 of the second round.
    assert search.done == [("a", 1), ("b", 1), ("a", 1)]
    assert [share / SHARE for share in search.shares[:4]] == [1, 1, 4, 4]


def test_a_scenario_that_creates_nothing_ends_before_the_cases_with_many_runs() -> None:
    search = OneCaseEach(requests_each=0)
    run_scheduler(search, scenario("a", *[FEW] * 5, creates_runs=False), scenario("b", *[FEW] * 5))
    assert search.done.count(("a", 1)) == 5
    assert [name for name, _ in search.done[: -(5 - LAST_ROUND_OF_READS)]].count("a") == 5


@pytest.mark.parametrize("more", [{}, {"creates_runs": False}, {"order": 8}, {"order": 8, "creates_runs": False}])
def test_no_case_is_left_after_the_last_round(more: dict[str, Any]) -> None:
    search = OneCaseEach()
    (progress,) = run_scheduler(search, scenario("a", *[FEW] * 9, *[MANY] * 3, **more))
    assert (progress.done, progress.finished) == (12, True)


def test_slow_scenarios_come_before_the_cases_with_many_runs_and_those_with_last_at_the_end() -> None:
    search = OneCaseEach()
    run_scheduler(
        search,
        scenario("the last", FEW, is_last=True),
        scenario("finds little", FEW, order=8),
        scenario("finds much", *[FEW] * LAST_ROUND, MANY),
    )
    done = [name for name, _ in search.done]
    assert done == [*["finds much"] * LAST_ROUND, "finds little", "finds much", "the last"]


def test_each_case_is_made_once_also_to_count_those_that_were_not_reached() -> None:
    made: list[int] = []

    def cases(check: CheckContext) -> Iterator[Count]:
        for number in range(5):
            made.append(number)
            yield MANY if number % 2 else FEW

    slow: Scenario[Any] = Scenario("slow", ("NO-5XX",), lambda context, case: None, cases)
    progress, _ = run_scheduler(OneCaseEach(out_of_time_at="over"), slow, scenario("over", FEW))
    assert progress == ScenarioProgress("slow", 1, 5, False)
    assert made == [0, 1, 2, 3, 4]


def test_progress_counts_the_parts_that_have_ended() -> None:
    told: list[Progress] = []
    run_scheduler(
        OneCaseEach(), scenario("a", FEW, order=0), scenario("b", FEW, FEW), scenario("c", FEW), progress=told.append
    )
    # Each scenario has a group with few runs, one with the first of many, and one with the others.
    assert (told[0].step, told[0].done, told[0].total) == ("a", 0, 9)
    assert (told[1].step, told[1].done) == ("b", 1)
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert told[-1].done == 8


def test_a_scenario_that_waits_runs_in_parallel_with_all_others_mostly_after_the_first_round() -> None:
    search = OneCaseEach()
    first = [FEW] * FIRST_WAITING
    run_scheduler(search, scenario("sends", FEW, FEW), scenario("waits", *first, MANY, FEW, mostly_waits=True))
    assert search.begun == [*[("waits", 1)] * FIRST_WAITING, ("waits", MANY.count), ("waits", 1)]
    assert search.done_before_begun == [*[0] * FIRST_WAITING, 1, 1]
    assert search.done == [("sends", 1)] * 2


def test_cases_that_wait_and_were_not_started_in_time_are_reported() -> None:
    search = OneCaseEach(out_of_time_at="sends")
    many = [FEW] * (FIRST_WAITING + 2)
    progress = run_scheduler(search, scenario("sends", FEW), scenario("waits", *many, mostly_waits=True))
    assert len(search.begun) == FIRST_WAITING
    unfinished = [(each.scenario, each.planned) for each in progress if not each.finished]
    assert unfinished == [("sends", 1), ("waits", len(many))]


def test_the_shards_of_a_check_have_each_case_once() -> None:
    cases: list[Count] = [Count(count) for count in range(1, 12)]
    done = []
    for number in (1, 2, 3):
        search = OneCaseEach()
        run_scheduler(search, scenario("a", *cases), scenario("waits", *cases, mostly_waits=True), shard=(number, 3))
        assert len(search.done) in {3, 4}
        done += search.done + search.begun
    assert sorted(done) == sorted([(name, case.count) for name in ("a", "waits") for case in cases])


def test_when_time_is_over_the_rest_is_reported_and_the_last_has_its_turn_still() -> None:
    search = OneCaseEach(out_of_time_at="b")
    progress = run_scheduler(
        search,
        scenario("a", FEW),
        scenario("b", FEW),
        scenario("c", FEW, MANY),
        scenario("the last", FEW, is_last=True),
    )
    assert search.done == [("a", 1), ("the last", 1)]
    assert [(each.scenario, each.done, each.planned) for each in progress if not each.finished] == [
        ("b", 0, 1),
        ("c", 0, 2),
    ]


@pytest.mark.parametrize(("done", "planned", "told"), [(2, 3, "2 of 3 cases"), (0, 0, "0 cases so far")])
def test_a_scenario_that_generates_its_cases_is_not_told_as_having_a_number_of_them(
    done: int, planned: int, told: str
) -> None:
    assert ScenarioProgress("a", done, planned, finished=False).cases == told


def test_generated_cases_leave_the_last_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(scheduler, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Exploring(OneCaseEach):
        def run_generated(self, scenario: Scenario[Any], *, examples: int) -> None:
            super().run_generated(scenario, examples=examples)
            now[0] = 119.0

    search = Exploring()
    scenarios = [*(scenario(name, FEW) for name in "abc"), scenario("end", FEW, is_last=True)]
    run_scheduler(search, *scenarios, deadline=120.0)
    assert search.explored == ["a"]
    assert search.done[-1] == ("end", 1)


def test_scenarios_that_wait_leave_the_last_its_share_of_the_time() -> None:
    search = OneCaseEach()
    deadline = time.monotonic() + 1000
    run_scheduler(
        search, scenario("waits", FEW, mostly_waits=True), scenario("the last", FEW, is_last=True), deadline=deadline
    )
    assert deadline - 10 < search.settled_until < deadline - 1
