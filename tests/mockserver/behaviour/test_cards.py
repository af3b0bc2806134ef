"""The test cards of the built-in world that do more than to end in one way."""

from __future__ import annotations

from datetime import datetime

import pytest

from mockserver.clock import ManualClock
from tests.mockserver.inprocess import (
    FAILS_ONCE,
    FIRST_CREATE_FAILS,
    IS_CHECKED,
    TAKES_TWENTY_MINUTES,
    WAITS_FOR_A_MACHINE,
    Mock,
    new_organisation,
)


def test_a_run_that_fails_once_succeeds_on_a_retry():
    mock = new_organisation()
    run = mock.create(FAILS_ONCE)
    mock.clock.advance(60)
    failed = mock.read(run["id"])
    assert (failed["status"], failed["error"]) == ("task_failed", ["The window was closed by somebody else."])

    for _ in range(2):
        mock.post(f"/v1/runs/{run['id']}/retry", {})
        mock.clock.advance(60)
        assert mock.status(run["id"]) == "success"


def test_a_run_that_succeeds_takes_two_to_three_seconds():
    mock = new_organisation()
    mock.create_many(200)
    mock.clock.advance(1.999)
    assert {run["status"] for run in mock.listed()} == {"running"}

    mock.clock.advance(1.001)

    assert {run["status"] for run in mock.listed()} == {"success"}


def test_a_run_of_twenty_minutes_shows_twenty_minutes():
    mock = new_organisation()
    run = mock.create(TAKES_TWENTY_MINUTES)
    mock.clock.advance(2 + 1200 - 0.001)
    assert mock.status(run["id"]) == "running"

    mock.clock.advance(0.001)

    ended = mock.read(run["id"])
    took = datetime.fromisoformat(ended["ended_at"]) - datetime.fromisoformat(ended["started_at"])
    assert (ended["status"], took.total_seconds()) == ("success", 1200)


def test_a_run_that_waits_for_a_machine_stays_in_scheduling():
    mock = new_organisation()
    run = mock.create(WAITS_FOR_A_MACHINE)

    mock.clock.advance(1_000_000)

    assert mock.status(run["id"]) == "scheduling"


@pytest.mark.parametrize("retried", [False, True])
def test_a_run_that_is_checked_passes_through_running_checks(retried):
    mock = Mock(clock=ManualClock())
    run = mock.create(IS_CHECKED)
    if retried:
        mock.patch(f"/v1/runs/{run['id']}", {"status": "error"})
        mock.post(f"/v1/runs/{run['id']}/retry", {})

    seen = []
    for _ in range(12):
        shown = mock.read(run["id"])
        assert mock.ids(status=shown["status"]) == [run["id"]]
        assert (shown["ended_at"] is None) == (shown["status"] != "success")
        seen.append(shown["status"])
        mock.clock.advance(1)

    assert seen == ["scheduling"] + ["running"] * 5 + ["running_checks"] * 5 + ["success"]


@pytest.mark.parametrize("made_by", ["bulk", "one", "chain"])
def test_the_first_create_in_an_organisation_gets_503(made_by):
    mock, other = new_organisation(), new_organisation()
    path, body = {
        "bulk": ("/v1/runs/bulk", {"workflow_id": FIRST_CREATE_FAILS, "count": 3}),
        "one": ("/v1/runs", {"workflow_id": FIRST_CREATE_FAILS}),
        "chain": ("/v1/runs/chain", {"steps": [{"workflow_id": FIRST_CREATE_FAILS}]}),
    }[made_by]

    first = mock.post(path, body, key="k", fails=True)
    again = mock.post(path, body, key="k")

    assert (first.status_code, first.headers["Retry-After"]) == (503, "1")
    assert again.status_code == 201
    assert "Idempotency-Status" not in again.headers
    assert mock.total() == (3 if made_by == "bulk" else 1)
    assert other.post(path, body, fails=True).status_code == 503


def test_a_create_that_is_refused_is_not_the_first():
    mock = new_organisation()
    assert mock.post("/v1/runs/bulk", {"workflow_id": FIRST_CREATE_FAILS, "count": 0}).status_code == 422

    assert mock.post("/v1/runs", {"workflow_id": FIRST_CREATE_FAILS}, fails=True).status_code == 503
