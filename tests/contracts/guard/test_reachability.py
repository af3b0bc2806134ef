"""A target that can no longer be reached: requests wait for it, then the check ends."""

from __future__ import annotations

import pytest

from contracts.guard import NoAnswer
from contracts.guard.reachability import Reachability
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import get
from tests.contracts.guard.standin import StandIn


def test_a_target_that_was_never_reached_is_not_waited_for(manual: ManualClock) -> None:
    assert not Reachability(manual.clock).wait("refused", sent_at=manual.moment)
    assert manual.sleeps == []


def test_a_target_that_was_reached_is_waited_for_until_it_counts_as_gone(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    reachability.note_answered()

    while reachability.wait("refused", sent_at=manual.moment):
        assert not reachability.why_gone
    assert sum(manual.sleeps) == pytest.approx(10, abs=0.21)
    assert reachability.why_gone == "refused"
    assert not reachability.wait("refused", sent_at=manual.moment)


def test_a_restart_in_between_does_not_count(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    for _ in range(3):
        reachability.note_answered()
        manual.moment += 9
        assert reachability.wait("refused", sent_at=manual.moment)
        manual.moment += 9
        assert reachability.wait("refused", sent_at=manual.moment)


def test_a_target_that_is_reached_and_does_not_answer_is_gone_too(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    reachability.note_answered()
    sent_at = manual.moment = manual.moment + 1
    manual.moment += 30

    reachability.note_unanswered(get("/v1/runs"))
    assert not reachability.wait("timed out", sent_at=sent_at)
    assert reachability.why_gone == "timed out"
    assert reachability.unanswered == [get("/v1/runs")]


def test_an_answer_since_the_request_was_sent_shows_that_the_target_is_there(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    sent_at = manual.moment
    manual.moment += 30
    reachability.note_answered()

    assert reachability.wait("timed out", sent_at=sent_at)
    reachability.note_cut_off("timed out", sent_at=sent_at)
    assert not reachability.why_gone


@pytest.mark.parametrize(("silent_s", "gone"), [(19, False), (21, True)])
def test_a_target_that_answers_nothing_when_the_time_is_over_is_gone(
    silent_s: int, gone: bool, manual: ManualClock
) -> None:
    reachability = Reachability(manual.clock)
    reachability.note_answered()
    sent_at = manual.moment = manual.moment + 5
    manual.moment += silent_s

    reachability.note_cut_off("timed out", sent_at=sent_at)

    assert bool(reachability.why_gone) == gone


def test_a_guard_knows_that_its_server_is_gone(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard()
    guard.send(get("/v1/runs"))
    server.__exit__(None, None, None)

    with pytest.raises(NoAnswer, match="cannot connect"):
        guard.send(get("/v1/runs"))
    assert "refused" in guard.reachability.why_gone
