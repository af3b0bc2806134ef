"""What a test asks of a running mock: its requests, its clock, its runs and its faults, as Python objects."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from mockserver import ControlError, CyberdeskMock
from mockserver.behaviour.batch import Outcome, Status
from tests.documents import control_document
from tests.mockserver.testing.conftest import SUCCEEDS

NEVER_ENDS = "10000000-0000-4000-8000-000000000004"
NINE = datetime(2025, 3, 4, 9, tzinfo=UTC)


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = control_document()["components"]["schemas"][name]["properties"]
    return found


def keywords(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


# --- The objects are those of the control API


def test_a_fault_takes_every_field_of_the_control_api():
    assert keywords(CyberdeskMock.fault) == schema("NewFault").keys() | {"status"}


def test_a_seed_takes_every_field_of_the_control_api():
    assert keywords(CyberdeskMock.seed) == schema("Seed").keys()


def test_requests_take_every_filter_of_the_control_api():
    assert keywords(CyberdeskMock.requests) == schema("RequestFilter").keys()


def test_the_statuses_in_the_types_are_those_of_the_control_api():
    schemas = control_document()["components"]["schemas"]

    assert list(Status.__args__) == schemas["RunStatus"]["enum"]
    assert list(Outcome.__args__) == schemas["Outcome"]["enum"]


# --- Requests


def test_requests_are_what_the_client_sent_and_what_it_was_told(mock, client):
    client.post("/v1/runs/bulk?x=1", json={"workflow_id": SUCCEEDS, "count": 2}, headers={"X-Mine": "a"})
    client.post("/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": 0})
    client.get("/v1/runs")

    created, refused = mock.requests("POST /v1/runs/bulk")

    assert (created.method, created.path, created.query) == ("POST", "/v1/runs/bulk", {"x": "1"})
    assert created.body == {"workflow_id": SUCCEEDS, "count": 2}
    assert (created.status, created.operation, created.valid, created.reason) == (201, "bulk_create_runs", True, None)
    assert created.headers["x-mine"] == "a"
    assert created.headers["authorization"] == "Bearer **********"
    assert len(created.answer.body["created_runs"]) == 2
    assert [warning for warning in created.warnings if "'x'" in warning]
    assert created.duration_ms is not None
    assert abs(created.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (refused.status, refused.valid) == (422, False)
    assert "count" in (refused.reason or "")


def test_requests_are_filtered(mock, client):
    client.get("/v1/runs")
    client.get("/v1/nowhere")
    client.get(f"/v1/runs/{SUCCEEDS}")

    every = mock.requests()

    assert [request.status for request in every] == [200, 404, 404]
    assert mock.requests(status=404) == every[1:]
    assert mock.requests(operation="list_runs", method="get", valid=True) == every[:1]
    assert mock.requests(path="/v1/runs/*") == every[2:]
    assert mock.requests(since=every[1].seq) == every[2:]
    mock.clear_requests()
    assert mock.requests() == []


def test_a_match_that_means_nothing_is_refused_with_what_would(mock):
    with pytest.raises(ControlError, match="did you mean 'list_runs'"):
        mock.requests("list_rums")


def test_requests_that_had_to_go_are_not_silently_missing(server):
    from mockserver import MockServer
    from tests.mockserver.testing.conftest import client_of

    with MockServer(journal_bytes=20_000) as mock, client_of(mock) as client:
        for _ in range(30):
            client.get("/v1/runs")
        with pytest.raises(ControlError, match="journal_bytes"):
            mock.requests()


# --- Clock


def test_a_clock_that_is_to_advance_by_nothing_says_what_to_give(mock):
    with pytest.raises(TypeError, match=r"advance\(\) needs an amount, such as advance\(minutes=20\)"):
        mock.clock.advance()
    before = mock.clock.freeze()
    assert mock.clock.advance(minutes=0) == mock.clock.advance(0) == before


def test_the_clock_is_frozen_advanced_scaled_and_goes_on(mock, client, create):
    assert mock.clock.freeze(NINE) == NINE == mock.clock.now
    assert mock.clock.frozen
    (run_id,) = create()

    assert mock.clock.advance(minutes=20) == NINE + timedelta(minutes=20)
    assert mock.clock.advance("1h30m") == NINE + timedelta(minutes=110)
    assert mock.clock.advance(timedelta(days=1), seconds=1.5) == NINE + timedelta(days=1, minutes=110, seconds=1.5)
    assert mock.clock.advance(2) == NINE + timedelta(days=1, minutes=110, seconds=3.5)
    assert client.get(f"/v1/runs/{run_id}").json()["status"] == "success"

    assert mock.clock.scale == 1
    mock.clock.scale = 600
    assert mock.clock.scale == 600
    assert mock.clock.resume() >= NINE
    assert not mock.clock.frozen


def test_a_moment_without_a_zone_is_utc(mock):
    assert mock.clock.freeze(NINE.replace(tzinfo=None)) == NINE
    assert mock.clock.freeze("2025-03-04T10:00:00+01:00") == NINE
    assert mock.clock.freeze() == NINE


def test_a_clock_does_not_go_back(mock):
    with pytest.raises(ControlError, match="advance"):
        mock.clock.advance(seconds=-1)
    with pytest.raises(ControlError, match="use 20m"):
        mock.clock.advance("20 minutes")
    with pytest.raises(TypeError, match="not both"):
        mock.clock.advance("20m", seconds=1)


# --- Runs


def test_a_run_is_what_it_is_when_it_is_asked(mock, client, create):
    (run_id,) = create()
    run = mock.runs[run_id]

    assert run.status == "scheduling"
    assert (run.id, run.workflow_id, run.started_at, run.output_data) == (run_id, SUCCEEDS, None, None)
    mock.clock.advance(minutes=20)
    assert run.status == "success"
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.created_at < run.started_at < run.ended_at
    assert run.json()["output_data"] == run.output_data
    assert mock.runs[UUID(run_id)] == run
    shown = client.get(f"/v1/runs/{run_id}").json()
    assert (run.machine_id, run.organization_id) == (shown["machine_id"], shown["organization_id"])
    assert (run.input_values, run.error) == (shown["input_values"], shown["error"])
    assert run_id in repr(run)
    assert len({run, mock.runs[run_id]}) == 1


def test_runs_are_iterated_newest_first_and_filtered(mock, create):
    ids = [create()[0] for _ in range(3)]
    mock.runs[ids[1]].finish()

    assert [run.id for run in mock.runs] == ids[::-1]
    assert len(mock.runs) == 3
    assert [run.id for run in mock.runs.filter(status="success")] == [ids[1]]
    assert mock.runs.filter(workflow_id=NEVER_ENDS) == []
    assert mock.runs.filter(organization="another") == []


def test_more_runs_than_a_page_are_all_there(mock):
    mock.seed(SUCCEEDS, count=1000)
    mock.seed(SUCCEEDS, count=50)

    assert len({run.id for run in mock.runs}) == len(mock.runs) == 1050


@pytest.mark.parametrize("id_", ["00000000-0000-4000-8000-000000000000", "x", "", 5])
def test_an_unknown_run_is_a_key_error(mock, id_):
    assert id_ not in mock.runs
    with pytest.raises(KeyError):
        mock.runs[id_]


def test_runs_are_moved_on_ended_and_changed(mock, client, create):
    one, two, three, four = (mock.runs[run_id] for run_id in create(4))

    assert one.advance().status == "running"
    assert two.finish().status == "success"
    assert three.fail().status == "task_failed"
    assert four.update(status="error", error=["lost"], started_at=NINE).error == ["lost"]
    assert four.started_at == NINE
    assert client.get(f"/v1/runs/{four.id}").json()["status"] == "error"
    with pytest.raises(ControlError, match="ended in success"):
        two.fail()


def test_seeds_are_there_with_their_files(mock, client):
    runs = mock.seed(
        UUID(SUCCEEDS),
        count=3,
        status="success",
        created_at=NINE,
        ended_at=NINE + timedelta(minutes=20),
        outputs=[{"filename": "r-{n}.txt", "content": b"\xffhello"}],
    )

    assert [run.status for run in runs] == ["success"] * 3
    assert runs[0].created_at == NINE
    (attachment,) = runs[0].attachments()
    assert attachment["filename"] == "r-1.txt"
    assert httpx.get(attachment["url"], trust_env=False).content == b"\xffhello"
    assert client.get("/v1/runs").json()["total"] == 3
    with pytest.raises(ControlError, match=r"body/0/workflow_id"):
        mock.seed("x")
    with pytest.raises(TypeError, match="set cannot be written as JSON"):
        mock.seed(SUCCEEDS, input_values={"a": {1}})


# --- Faults


def test_a_fault_meets_as_often_as_it_says(mock, client):
    fault = mock.fault("POST /v1/runs/bulk", status=500, times=2)

    statuses = [client.post("/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": 1}).status_code for _ in range(3)]

    assert statuses == [500, 500, 201]
    assert (fault.matched, fault.applied, fault.active) == (2, 2, False)
    assert [request.fault for request in mock.requests()] == [fault.id, fault.id, None]


def test_status_and_answer_are_one_answer(mock, client):
    mock.fault("list_runs", status=429, answer={"headers": {"Retry-After": "7"}, "body": {"a": 1}})

    answer = client.get("/v1/runs")

    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "7", {"a": 1})


def test_a_fault_is_there_until_its_block_ends(mock, client):
    with mock.fault(preset="flaky") as fault:
        assert len(fault.ids) == 2
        assert client.get("/v1/runs").status_code == 503
    assert client.get("/v1/runs").status_code == 200
    fault.remove()


def test_faults_break_connections_and_schemas(mock, client):
    mock.fault("list_runs", fault="reset", times=1)
    with pytest.raises(httpx.TransportError):
        client.get("/v1/runs")
    mock.fault("list_runs", fault="break-schema", how="missing-field", times=1)
    broken = client.get("/v1/runs").json()
    assert len(client.get("/v1/runs").json().keys() - broken.keys()) == 1


def test_a_fault_that_means_nothing_is_refused_with_what_would(mock):
    with pytest.raises(ControlError, match="did you mean 'reset'") as refused:
        mock.fault("list_runs", fault="rest")
    assert refused.value.status == 422
    with pytest.raises(ControlError, match="say what happens"):
        mock.fault("list_runs", times=2)


def test_faults_are_cleared(mock, client):
    mock.fault("*", status=500)
    mock.clear_faults()
    assert client.get("/v1/runs").status_code == 200


# --- All of it


def test_a_reset_is_the_start(mock, client, create):
    first = create()
    mock.fault("*", status=500)
    mock.clock.freeze(NINE)

    mock.reset()

    assert (mock.requests(), list(mock.runs), mock.clock.frozen) == ([], [], False)
    assert create() == first


def test_a_state_is_put_back_and_goes_to_another_mock(mock, client, create, server):
    mock.clock.freeze(NINE)
    create(3)
    mock.fault("GET /v1/pools", status=503)
    before = client.get("/v1/runs").content
    state = mock.state()

    mock.reset()
    assert client.get("/v1/runs").json()["total"] == 0
    mock.load_state(state)

    assert client.get("/v1/runs").content == before
    assert client.get("/v1/pools").status_code == 503
    assert mock.clock.now == NINE
    with server.namespace("the other") as other:
        other.load_state(state)
        assert list(other.runs) == list(mock.runs)
    with pytest.raises(ControlError):
        mock.load_state({"version": "none"})


def test_a_mock_tells_its_url_and_settings(mock, server):
    assert mock.url.startswith(f"{server.url}/__ns/")
    assert mock.settings.self_check
    assert mock.url in repr(mock)
