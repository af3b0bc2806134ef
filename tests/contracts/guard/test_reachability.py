"""A target that can no longer be reached: requests wait for it, then the check ends."""

from __future__ import annotations

import pytest

from contracts.guard import NoAnswer
from contracts.guard.reachability import Reachability
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import get
from tests.contracts.guard.standin import StandIn


def test_a_target_that_was_never_reached_is_not_waited_for(manual: ManualClock) -> None:
    assert not Reachability(manual.clock).wait("refused")
    assert manual.sleeps == []


def test_a_target_that_was_reached_is_waited_for_until_it_counts_as_gone(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    reachability.note_reached()

    while reachability.wait("refused"):
        assert not reachability.why_gone
    assert sum(manual.sleeps) == pytest.approx(10, abs=0.21)
    assert reachability.why_gone == "refused"
    assert not reachability.wait("refused")


def test_a_restart_in_between_does_not_count(manual: ManualClock) -> None:
    reachability = Reachability(manual.clock)
    for _ in range(3):
        reachability.note_reached()
        manual.moment += 9
        assert reachability.wait("refused")
        manual.moment += 9
        assert reachability.wait("refused")


def test_a_guard_knows_that_its_server_is_gone(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard()
    guard.send(get("/v1/runs"))
    server.__exit__(None, None, None)

    with pytest.raises(NoAnswer, match="cannot connect"):
        guard.send(get("/v1/runs"))
    assert "refused" in guard.reachability.why_gone
