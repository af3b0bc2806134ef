"""Cases that wait, each in its own thread."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import pytest

from contracts.engine.results import OutOfTime
from contracts.engine.scenario import Scenario
from contracts.engine.waiting import WaitingCases

WAITS: Scenario[Any] = Scenario("waits", (), lambda context, case: None, lambda check: (), mostly_waits=True)
LONGEST_S = 30.0


def later() -> float:
    return time.monotonic() + LONGEST_S


@pytest.fixture
def slow() -> Event:
    """What the case "slow" waits for."""
    return Event()


@pytest.fixture
def waiting(slow: Event) -> Any:
    def run(scenario: Scenario[Any], case: str) -> None:
        if case == "out of time":
            raise OutOfTime
        if case == "slow":
            slow.wait(LONGEST_S)

    cases = WaitingCases(run)
    yield cases
    slow.set()
    cases.end()


def test_a_case_is_taken_as_soon_as_it_ends(waiting: WaitingCases, slow: Event) -> None:
    for case in ("slow", "quick"):
        waiting.start(WAITS, case)

    ended = waiting.take_ended(later())

    assert next(ended).case == "quick"
    assert not slow.is_set()
    slow.set()
    assert [each.case for each in ended] == ["slow"]
    assert not waiting.scenarios


def test_a_case_that_is_started_meanwhile_is_taken_too(waiting: WaitingCases) -> None:
    waiting.start(WAITS, "first")
    taken = []

    for each in waiting.take_ended(later()):
        taken.append(each.case)
        if each.case == "first":
            waiting.start(WAITS, "again", is_repeat=True)

    assert taken == ["first", "again"]


def test_a_case_that_runs_out_of_time_is_left(waiting: WaitingCases) -> None:
    for case in ("out of time", "quick"):
        waiting.start(WAITS, case)

    assert [each.case for each in waiting.take_ended(later())] == ["quick"]
    assert waiting.scenarios == {WAITS: None}


def test_only_cases_that_have_ended_are_taken_at_once(waiting: WaitingCases) -> None:
    waiting.start(WAITS, "slow")

    assert list(waiting.take_ended(0.0)) == []
    assert waiting.scenarios
