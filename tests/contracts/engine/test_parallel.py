"""Which cases of several scenarios run in parallel, in what order, and when none runs."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.engine.case import Case
from contracts.engine.parallel import (
    BATCH,
    THREADS,
    CaseGroup,
    CaseQueue,
    RunningCase,
    next_batch,
    run_in_parallel,
    width_for,
)
from contracts.engine.results import OutOfTime, RuleViolated
from contracts.engine.scenario import Scenario
from contracts.oracle.violation import Violation

WAIT_S = 30


def scenario(name: str = "a", **more: Any) -> Scenario[Any]:
    return Scenario(name, (), lambda context, case: None, lambda check: (), **more)


def group(*cases: Any, name: str = "a", limit: float = math.inf, **more: Any) -> CaseGroup:
    return CaseGroup(scenario(name, **more), iter(cases), limit=limit)


class Runs:
    """Runs cases that cost `requests` each, and records them."""

    def __init__(self, requests: int = 1, *, failing: frozenset[Any] = frozenset()) -> None:
        self.requests = requests
        self.failing = failing
        self.begun: list[Any] = []
        self.running: set[Any] = set()
        self.most = 0
        self.together: set[frozenset[Any]] = set()
        self.lock = threading.Lock()

    def __call__(self, running: RunningCase) -> RuleViolated | None:
        with self.lock:
            self.begun.append(running.case)
            self.running.add(running.case)
            self.together.add(frozenset(self.running))
            self.most = max(self.most, len(self.running))
        self.meet(running.case)
        with self.lock:
            self.running.remove(running.case)
        running.requests = self.requests
        if running.case in self.failing:
            return RuleViolated(Violation("NO-5XX", "a cause", "no", "yes"), ())
        return None

    def meet(self, case: Any) -> None:
        """Run long enough for others to begin, if they may."""
        time.sleep(0.005)


class MeetingRuns(Runs):
    """Cases end when as many of them run as `parties`."""

    def __init__(self, parties: int, **more: Any) -> None:
        super().__init__(**more)
        self.barrier = threading.Barrier(parties, timeout=WAIT_S)

    def meet(self, case: Any) -> None:
        self.barrier.wait()


def run(
    runs: Runs,
    *groups: CaseGroup,
    width: int = THREADS,
    until: float = math.inf,
    must_pause: Any = lambda: False,
) -> list[list[Any]]:
    return [
        [one.case for one in failed] for failed in running(runs, *groups, width=width, until=until, pauses=must_pause)
    ]


def running(
    runs: Any,
    *groups: CaseGroup,
    width: int = THREADS,
    until: float = math.inf,
    pauses: Any = lambda: False,
    stop: Any = lambda: None,
) -> Iterator[list[RunningCase]]:
    queue = CaseQueue(groups, width=width, on_begin=lambda group: None)
    return run_in_parallel(queue, runs, until=until, must_pause=pauses, stop=stop)


def test_cases_of_several_scenarios_run_at_the_same_time() -> None:
    runs = MeetingRuns(3)

    run(runs, group("a1"), group("b1", name="b"), group("c1", name="c"))

    assert frozenset({"a1", "b1", "c1"}) in runs.together


def test_no_more_cases_run_than_there_are_threads() -> None:
    runs = MeetingRuns(THREADS)

    run(runs, *(group(f"{name}1", f"{name}2", name=name) for name in "abcdefgh"))

    assert runs.most == THREADS
    assert len(runs.begun) == 16


@pytest.mark.parametrize(("latency_s", "width"), [(0.0, 4), (0.024, 4), (0.05, 10), (0.075, 15), (3.0, 16)])
def test_more_cases_run_at_the_same_time_if_the_target_is_far_away(latency_s: float, width: int) -> None:
    assert width_for(latency_s) == width


def test_cases_that_must_not_run_in_parallel_run_in_parallel_with_those_of_other_scenarios() -> None:
    runs = MeetingRuns(2)

    run(runs, group("a1", "a2", is_parallel=False), group("b1", "b2", name="b", is_parallel=False))

    assert {"a1", "a2"} <= set(runs.begun)
    assert not any({"a1", "a2"} <= each or {"b1", "b2"} <= each for each in runs.together)


def test_an_exclusive_scenario_comes_last_and_nothing_runs_at_the_same_time() -> None:
    runs = Runs()

    run(runs, group("a1", "a2", is_exclusive=True), group("b1", "b2", "b3", name="b"))

    assert runs.begun[-2:] == ["a1", "a2"]
    assert {each for each in runs.together if each & {"a1", "a2"}} == {frozenset({"a1"}), frozenset({"a2"})}


def test_a_live_check_runs_one_case_at_a_time() -> None:
    runs = Runs()

    run(runs, group(*range(8)), group(*range(8, 16), name="b"), width=1)

    assert runs.most == 1
    assert runs.begun == list(range(16))


def test_nothing_runs_while_a_failing_case_is_looked_into() -> None:
    runs = Runs(failing=frozenset({1, 2, 9}))
    seen: list[Any] = []

    for failed in running(runs, group(*range(12)), group(*range(12, 24), name="b")):
        assert not runs.running
        assert [one.number for one in failed] == sorted(one.number for one in failed)
        seen += [one.case for one in failed]

    assert sorted(seen) == [1, 2, 9]
    assert sorted(runs.begun) == list(range(24))


def test_a_failing_case_has_the_cases_that_ran_at_the_same_time() -> None:
    runs = MeetingRuns(2, failing=frozenset({"a1"}))
    ((failed,),) = running(runs, group("a1"), group("b1", name="b"))

    assert [(of.name, case) for of, case in failed.beside] == [("b", "b1")]


def test_it_pauses_when_it_must_although_nothing_failed() -> None:
    pauses = iter([True])

    assert run(Runs(), group("a1", "a2"), must_pause=lambda: next(pauses, False)) == [[]]


def test_nothing_begins_when_the_time_is_over() -> None:
    runs = Runs()

    with pytest.raises(OutOfTime):
        run(runs, group("a1"), until=-math.inf)

    assert not runs.begun


def test_a_failure_is_kept_if_the_end_of_the_check_cuts_off_another_case() -> None:
    class CutOff(MeetingRuns):
        def __call__(self, running: RunningCase) -> RuleViolated | None:
            violated = super().__call__(running)
            if running.case == "a1":
                raise OutOfTime
            return violated

    runs = CutOff(2, failing=frozenset({"b1"}))
    cases = running(runs, group("a1"), group("b1", "b2", name="b"), width=2)

    assert [one.case for one in next(cases)] == ["b1"]
    with pytest.raises(OutOfTime):
        next(cases)
    assert set(runs.begun) == {"a1", "b1"}


def test_an_error_of_a_case_is_raised() -> None:
    def broken(running: RunningCase) -> None:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        list(running(broken, group("a1")))


def test_an_interrupt_stops_the_running_cases() -> None:
    stopped = threading.Event()
    waited: list[bool] = []

    def until_stopped(running: RunningCase) -> None:
        if running.case == "a1":
            raise KeyboardInterrupt  # as Ctrl-C in the thread that waits
        waited.append(stopped.wait(5))

    with pytest.raises(KeyboardInterrupt):
        list(running(until_stopped, group("b1", name="b"), group("a1"), stop=stopped.set))
    assert waited == [True]


# What a group spends


def test_a_part_that_has_spent_its_limit_can_be_continued() -> None:
    runs, cases = Runs(2), group(0, 1, 2, limit=3, is_parallel=False)

    run(runs, cases)
    assert runs.begun == [0, 1]
    assert (cases.tried, cases.spent, cases.has_ended) == (2, 4, False)
    cases.limit = math.inf
    run(runs, cases)
    assert runs.begun == [0, 1, 2]
    assert (cases.tried, cases.spent, cases.has_ended) == (3, 6, True)


def test_the_cases_of_a_part_do_not_depend_on_what_runs_at_the_same_time() -> None:
    def tried(*others: CaseGroup) -> int:
        one = group(*range(40), limit=30)
        run(Runs(4), one, *others)
        return one.tried

    assert tried() == tried(*(group(*range(100 * n, 100 * n + 20), name=str(n)) for n in range(1, 6)))


def test_a_batch_has_as_many_cases_as_its_limit_is_expected_to_bear() -> None:
    cases, runs, sizes = group(*range(60), limit=0), Runs(4), []
    for requests in (8, 16, 32, 8):
        before = len(runs.begun)
        cases.limit += requests
        run(runs, cases)
        sizes.append(len(runs.begun) - before)

    assert sizes == [2, 4, 8, 2]  # of 4 requests each; the first by itself, since its cost is not known


def test_a_part_without_a_limit_begins_a_whole_batch() -> None:
    cases = group(*range(60))

    assert [cases.next_case(together=True) for _ in range(BATCH + 1)] == [*range(BATCH), None]


@dataclasses.dataclass(frozen=True)
class LargeCreate(Case):
    number: int

    @property
    def expected_runs(self) -> int:
        return 1000


def large_creates() -> Iterator[LargeCreate]:
    return (LargeCreate(number) for number in range(4))


def test_runs_count_in_a_share_so_that_large_creates_do_not_all_come_at_once() -> None:
    cases, runs = group(*large_creates(), limit=16, is_parallel=False), Runs(0)

    run(runs, cases)
    assert [one.number for one in runs.begun] == [0]
    cases.limit += 32
    run(runs, cases)
    assert [one.number for one in runs.begun] == [0, 1, 2]


def test_a_batch_ends_with_the_case_whose_runs_use_up_the_share() -> None:
    cases = large_creates()

    assert [one.number for one in next_batch(cases, 3, 30)] == [0, 1]
    assert [one.number for one in next_batch(cases, 1, 30)] == [2]
