"""Single runs under control: any status at any time, how a run will end, and what hangs on it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from mockserver.behaviour import run_control, run_overview
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import (
    IS_CHECKED,
    NEVER_ENDS,
    SUCCEEDS,
    TAKES_TWENTY_MINUTES,
    turns_of,
)

_STATUSES = ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled")
_ENDED = ("success", "task_failed", "error", "cancelled")
_NOW = "2025-03-04T09:00:02.000000Z"


def _changed(mock: ControlledMock, run_id: str, **change: Any) -> dict[str, Any]:
    answer = mock.control("PATCH", f"/runs/{run_id}", change)
    assert answer.status_code == 200, answer.text
    assert answer.json() == mock.read(run_id)
    return answer.json()


def _pushed(mock: ControlledMock, run_id: str, how: str) -> dict[str, Any]:
    answer = mock.control("POST", f"/runs/{run_id}/{how}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == mock.read(run_id)
    return answer.json()


# --- Statuses


@pytest.mark.parametrize("before", _STATUSES)
def test_a_run_is_put_into_any_status_from_any(before):
    mock = controlled_mock()
    for number, status in enumerate(_STATUSES):
        run_id = mock.create()["id"]
        _changed(mock, run_id, status=before)

        run = _changed(mock, run_id, status=status)

        assert run["status"] == status
        assert (run["ended_at"] is not None) is (status in _ENDED)
        assert mock.ids(status=status) == [run_id]
        assert mock.asked("/runs")["counts"] == {status: 1} | dict.fromkeys(_STATUSES[:number], 1)


@pytest.mark.parametrize("status", ["scheduling", "running", "running_checks"])
def test_a_run_that_was_taken_back_lives_on_from_there(status):
    mock = controlled_mock()
    run_id = mock.create()["id"]
    _changed(mock, run_id, status="error")

    assert _changed(mock, run_id, status=status)["status"] == status
    mock.turn_clock(advance="1h")

    assert mock.status(run_id) == "success"


def test_a_status_holds_on_a_frozen_clock():
    mock = controlled_mock()
    run_id = mock.create()["id"]

    for status in (*_STATUSES, *reversed(_STATUSES)):
        assert _changed(mock, run_id, status=status)["status"] == status


@pytest.mark.parametrize("progression", ["immediate", "manual"])
def test_a_run_is_put_into_any_status_whatever_the_progression(progression):
    mock = controlled_mock(progression=progression)
    run_id = mock.create()["id"]

    for status in _STATUSES:
        assert _changed(mock, run_id, status=status)["status"] == status


def test_finish_and_fail_end_a_run_now():
    mock = controlled_mock()
    one, other = (run["id"] for run in mock.create_many(2, NEVER_ENDS))
    mock.turn_clock(advance="10m")

    finished, failed = _pushed(mock, one, "finish"), _pushed(mock, other, "fail")

    assert (finished["status"], failed["status"]) == ("success", "task_failed")
    assert {finished["ended_at"], failed["ended_at"]} == {"2025-03-04T09:10:02.000000Z"}
    assert failed["error"]
    assert not finished["error"]


@pytest.mark.parametrize("how", ["finish", "fail", "advance"])
@pytest.mark.parametrize("status", _ENDED)
def test_a_run_that_has_ended_is_pushed_no_further_and_says_how_it_could_be(status, how):
    mock = controlled_mock()
    run_id = mock.create()["id"]
    before = _changed(mock, run_id, status=status)

    answer = mock.control("POST", f"/runs/{run_id}/{how}")

    assert answer.status_code == 409
    assert f"has ended in {status}; use PATCH to set another status" in answer.json()["detail"]
    assert mock.read(run_id) == before


def test_advance_takes_a_run_from_status_to_status():
    mock = controlled_mock()
    plain, checked = mock.create()["id"], mock.create(IS_CHECKED)["id"]

    assert [_pushed(mock, plain, "advance")["status"] for _ in range(2)] == ["running", "success"]
    assert [_pushed(mock, checked, "advance")["status"] for _ in range(3)] == ["running", "running_checks", "success"]


# --- How a run will end


@pytest.mark.parametrize("outcome", ["success", "task_failed", "error"])
def test_how_a_run_will_end_is_decided_before_it_does(outcome):
    mock = controlled_mock()
    run_id = mock.create(TAKES_TWENTY_MINUTES)["id"]
    assert _changed(mock, run_id, outcome=outcome, duration_s=300)["status"] == "scheduling"
    assert _pushed(mock, run_id, "advance")["status"] == "running"

    mock.turn_clock(advance=299.999999)
    assert mock.status(run_id) == "running"
    mock.turn_clock(advance=0.000001)

    run = mock.read(run_id)
    assert (run["status"], run["ended_at"]) == (outcome, "2025-03-04T09:05:02.000000Z")


def test_a_run_does_not_end_in_the_past():
    mock = controlled_mock()
    run_id = mock.create(TAKES_TWENTY_MINUTES)["id"]
    _pushed(mock, run_id, "advance")
    mock.turn_clock(advance="10m")

    run = _changed(mock, run_id, duration_s=60)

    assert (run["status"], run["ended_at"]) == ("success", "2025-03-04T09:10:02.000000Z")


def test_one_of_outcome_and_duration_leaves_the_other():
    mock = controlled_mock()
    run_id = mock.create(TAKES_TWENTY_MINUTES)["id"]
    _changed(mock, run_id, duration_s=60)
    _changed(mock, run_id, outcome="error")
    _pushed(mock, run_id, "advance")

    mock.turn_clock(advance="60s")

    assert mock.status(run_id) == "error"


@pytest.mark.parametrize("change", [{"outcome": "error"}, {"duration_s": 60}, {"status": "error", "outcome": "error"}])
def test_how_a_run_has_ended_is_decided(change):
    mock = controlled_mock()
    run_id = mock.create()["id"]
    before = _changed(mock, run_id, status="success")

    answer = mock.control("PATCH", f"/runs/{run_id}", change)

    assert answer.status_code == 409
    needed = "outcome and duration_s need a status of scheduling, running or running_checks in the same request"
    assert answer.json() == {"detail": f"This run has ended in success: {needed}"}
    assert mock.read(run_id) == before


@pytest.mark.parametrize("status", ["scheduling", "running", "running_checks"])
@pytest.mark.parametrize("before", ["success", "cancelled"])
def test_a_change_that_takes_a_run_back_decides_how_it_will_end(before, status):
    mock = controlled_mock()
    run_id = mock.create()["id"]
    _changed(mock, run_id, status=before)

    assert _changed(mock, run_id, status=status, outcome="error")["status"] == status
    mock.turn_clock(advance="1h")

    assert mock.status(run_id) == "error"


@pytest.mark.parametrize("before", ["running", "running_checks", "success"])
def test_a_change_that_takes_a_run_back_decides_how_long_it_runs_from_then(before):
    mock = controlled_mock()
    run_id = mock.create(TAKES_TWENTY_MINUTES)["id"]
    _changed(mock, run_id, status=before)
    mock.turn_clock(advance="10m")

    _changed(mock, run_id, status="running", duration_s=60)

    mock.turn_clock(advance=59.999999)
    assert mock.status(run_id) == "running"
    mock.turn_clock(advance=0.000001)
    assert mock.status(run_id) == "success"


# --- Fields


def test_fields_are_shown_as_they_were_set_and_null_clears_them():
    mock = controlled_mock()
    run_id = mock.create()["id"]
    change = {
        "input_values": {"a": [1, None]},
        "output_data": {"found": "Zoë"},
        "error": ["one", "two"],
        "run_message_history": [{"role": "user"}],
        "usage_metadata": {"tokens": 10**20},
        "started_at": "2025-03-04T08:00:00Z",
        "ended_at": "2025-03-04T08:30:00.5+00:00",
    }

    run = _changed(mock, run_id, **change)

    assert {name: run[name] for name in change} == {
        **change,
        "started_at": "2025-03-04T08:00:00.000000Z",
        "ended_at": "2025-03-04T08:30:00.500000Z",
    }
    cleared = _changed(mock, run_id, **dict.fromkeys(change))
    assert {cleared[name] for name in change} == {None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "done"}, "scheduling"),
        ({"status": None}, "status"),
        ({"stauts": "success"}, "stauts"),
        ({"outcome": "cancelled"}, "task_failed"),
        ({"duration_s": -1}, "should be 0 or more"),
        ({"ended_at": "soon"}, "ended_at"),
        ({"error": "text"}, "error"),
        ([], "should be an object, not a list"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(change, words):
    mock = controlled_mock()
    before = mock.create()

    answer = mock.control("PATCH", f"/runs/{before['id']}", change)

    assert answer.status_code == 422
    assert words in answer.text
    assert mock.read(before["id"]) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("PATCH", ""), ("POST", "/finish"), ("POST", "/fail"), ("POST", "/advance"), ("GET", "/attachments")],
)
def test_a_run_that_is_not_there_is_not_found(method, path):
    mock = controlled_mock()
    elsewhere = mock.post("/__ns/a/v1/runs", {"workflow_id": SUCCEEDS}).json()["id"]
    body = {} if method == "PATCH" else None

    for run_id in (str(uuid4()), elsewhere):
        answer = mock.control(method, f"/runs/{run_id}{path}", body)
        assert (answer.status_code, run_id in answer.json()["detail"]) == (404, True)
    assert mock.control(method, f"/runs/x{path}", body).status_code == 422


def test_a_change_of_nothing_leaves_the_run_as_it_is():
    mock = controlled_mock()
    run = mock.create()

    assert _changed(mock, run["id"]) == run


def test_runs_of_every_organisation_can_be_changed():
    mock = controlled_mock()
    run_id = mock.create(token="test-two")["id"]

    assert mock.control("POST", f"/runs/{run_id}/finish").json()["status"] == "success"
    assert mock.read(run_id, token="test-two")["status"] == "success"


# --- What hangs on it


def test_a_change_of_one_run_of_a_thousand_leaves_the_others_alone():
    mock = controlled_mock()
    ids = [run["id"] for run in mock.create_many(1000)]
    before = {run["id"]: run for run in mock.asked("/runs?limit=1000")["items"]}

    _changed(mock, ids[500], status="running_checks", output_data={"a": 1})

    after = {run["id"]: run for run in mock.asked("/runs?limit=1000")["items"]}
    assert [run_id for run_id in ids if after[run_id] != before[run_id]] == [ids[500]]
    assert mock.asked("/runs")["counts"] == {"scheduling": 999, "running_checks": 1}
    assert mock.total(status="running_checks") == 1
    assert mock.listed(status="running_checks", fields="output_data")[0]["output_data"] == {"a": 1}


def test_in_a_session_the_next_run_starts_when_the_one_before_is_ended():
    mock = controlled_mock()
    first = mock.create(NEVER_ENDS, start_session=True)
    second = mock.create(session_id=first["session_id"])
    mock.turn_clock(advance="1h")
    assert (mock.status(first["id"]), mock.status(second["id"])) == ("running", "scheduling")

    _pushed(mock, first["id"], "finish")

    assert mock.status(second["id"]) == "running"
    assert mock.read(second["id"])["started_at"] == "2025-03-04T10:00:02.000000Z"


def test_in_a_chain_a_step_that_is_taken_back_holds_up_those_behind_it():
    mock = controlled_mock()
    steps = [{"workflow_id": SUCCEEDS}, {"workflow_id": SUCCEEDS}]
    ids = mock.post("/v1/runs/chain", {"steps": steps}).json()["run_ids"]
    mock.turn_clock(advance="1h")
    assert [mock.status(each) for each in ids] == ["success", "success"]
    _changed(mock, ids[1], status="scheduling")
    _changed(mock, ids[0], status="running")

    assert [mock.status(each) for each in ids] == ["running", "scheduling"]
    mock.turn_clock(advance="1h")
    assert [mock.status(each) for each in ids] == ["success", "success"]


def test_a_session_with_a_run_that_was_seeded_by_the_api_stays_in_order_after_a_change():
    mock = controlled_mock()
    steps = [{"workflow_id": NEVER_ENDS}, {"workflow_id": SUCCEEDS}, {"workflow_id": SUCCEEDS}]
    ids = mock.post("/v1/runs/chain", {"steps": steps}).json()["run_ids"]
    mock.turn_clock(advance="5m")

    _pushed(mock, ids[0], "fail")
    mock.turn_clock(advance="1h")

    runs = [mock.read(each) for each in ids]
    assert [run["status"] for run in runs] == ["task_failed", "success", "success"]
    assert runs[0]["ended_at"] <= runs[1]["started_at"] <= runs[1]["ended_at"] <= runs[2]["started_at"]


def test_counts_follow_the_clock():
    mock = controlled_mock()
    mock.create_many(5, prefer="duration=60")
    mock.create(NEVER_ENDS)
    assert mock.asked("/runs")["counts"] == {"scheduling": 6}

    mock.turn_clock(advance="10m")

    assert mock.asked("/runs")["counts"] == {"running": 1, "success": 5}


def test_the_counts_are_those_of_all_runs_however_many():
    mock = controlled_mock()
    for _ in range(11):
        mock.create_many(1_000, prefer="duration=60")
    mock.turn_clock(advance="10m")
    mock.create(NEVER_ENDS, token="test-two")

    listed = mock.asked("/runs?limit=1")

    assert (listed["total"], listed["counts"]) == (11_001, {"scheduling": 1, "success": 11_000})
    assert mock.asked(f"/runs?limit=1&workflow_id={NEVER_ENDS}&status=success")["counts"] == {"scheduling": 1}


def test_a_deleted_run_is_seen_nowhere():
    mock = controlled_mock()
    run_id = mock.create()["id"]
    mock.delete(f"/v1/runs/{run_id}")

    assert mock.control("GET", f"/runs/{run_id}").status_code == 404
    assert mock.asked("/runs")["total"] == 0


def test_a_retry_of_a_run_that_was_put_into_an_end_lives_anew():
    mock = controlled_mock()
    run_id = mock.create()["id"]
    _changed(mock, run_id, status="error", output_data={"old": 1})

    retried = mock.post(f"/v1/runs/{run_id}/retry", {}).json()

    assert retried["status"] == "scheduling"
    assert retried["output_data"] is None
    mock.turn_clock(advance="1h")
    assert mock.status(run_id) == "success"


def test_changes_at_once_are_all_done():
    mock = controlled_mock()
    ids = [run["id"] for run in mock.create_many(30)]

    async def all_at_once() -> list[int]:
        import asyncio

        answers = await asyncio.gather(*(mock.controlled("POST", f"/runs/{run_id}/finish") for run_id in ids))
        return [answer.status_code for answer in answers]

    assert mock.run(all_at_once()) == [200] * 30
    assert mock.asked("/runs")["counts"] == {"success": 30}


def test_a_list_over_many_organisations_lets_other_requests_run_after_each(monkeypatch):
    turns = turns_of(monkeypatch, run_overview)
    mock = controlled_mock()
    for number in range(5):
        mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, token=f"test-{number}")

    assert mock.asked("/runs")["total"] == 5
    organisations, rows, counts = 5, 5, 5
    assert len(turns) == organisations + rows + counts


def test_a_run_is_sought_in_many_organisations_with_others_in_between(monkeypatch):
    mock = controlled_mock()
    for number in range(5):
        mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, token=f"test-{number}")
    turns = turns_of(monkeypatch)

    assert mock.control("GET", f"/runs/{SUCCEEDS}").status_code == 404
    contexts, looks = 5, 5
    assert len(turns) >= contexts + looks


def test_a_run_is_moved_so_often_at_most_until_it_is_retried(monkeypatch):
    """Each read of the run looks at all its moves."""
    monkeypatch.setattr(run_control, "_MAX_MOVES", 20)
    mock = controlled_mock()
    run = mock.create(NEVER_ENDS)
    for number in range(19):
        status = ("running", "running_checks")[number % 2]
        assert mock.control("PATCH", f"/runs/{run['id']}", {"status": status}).status_code == 200
    mock.control("PATCH", f"/runs/{run['id']}", {"status": "success"})

    refused = mock.control("PATCH", f"/runs/{run['id']}", {"status": "running"})
    assert refused.status_code == 409
    assert "was set 20 times" in refused.json()["detail"]

    assert mock.post(f"/v1/runs/{run['id']}/retry", {}).status_code == 200
    assert mock.control("POST", f"/runs/{run['id']}/advance").json()["status"] == "running"


def test_many_attachments_of_a_run_are_shown_with_others_in_between(monkeypatch):
    """A run may have ten thousand, and each has a URL of its own that is signed."""
    mock = controlled_mock()
    files = [{"filename": f"{number}.txt", "content": "YQ=="} for number in range(20)]
    run = mock.create(file_inputs=files)
    turns = turns_of(monkeypatch)

    assert mock.asked(f"/runs/{run['id']}/attachments")["total"] == 20
    assert len(turns) > 20
