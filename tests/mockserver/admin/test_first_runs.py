"""`runs:` of a world file: runs that each namespace begins with."""

from __future__ import annotations

import itertools
import time

import pytest

from mockserver.clock import Clock
from mockserver.errors import WorldError
from tests.mockserver.admin.control import START, ControlledMock
from tests.mockserver.inprocess import SUCCEEDS, Mock

WORLD = f"""
runs:
  - workflow_id: {SUCCEEDS}
    status: task_failed
    created_at: 2025-03-04T08:00:00Z
    ended_at: 2025-03-04T08:20:00Z
    outputs: [{{filename: r.txt, content: aGVsbG8=}}]
    count: 3
  - {{workflow_id: {SUCCEEDS}, ids: [aaaaaaaa-0000-4000-8000-000000000001], organization: acme}}
"""


@pytest.fixture
def mock(tmp_path):
    world = tmp_path / "world.yaml"
    world.write_text(WORLD, encoding="utf-8")
    return ControlledMock(world=world, token="test")


def test_they_are_in_each_namespace_of_their_organisation(mock):
    for root in ("", "/__ns/x"):
        runs = mock.get(f"{root}/v1/runs").json()["items"]
        assert [run["status"] for run in runs] == ["task_failed"] * 3
        assert {run["ended_at"] for run in runs} == {"2025-03-04T08:20:00.000000Z"}
        attachments = mock.get(f"{root}/v1/run-attachments").json()["items"]
        assert [each["filename"] for each in attachments] == ["r.txt"] * 3
    assert mock.get("/v1/runs", token="test-another").json()["total"] == 0


def test_the_control_api_shows_them_before_anybody_has_asked_for_them(mock):
    organisations = {run["organization_id"] for run in mock.asked("/runs")["items"]}

    assert mock.asked("/runs")["total"] == 4
    assert "acme" in organisations
    assert mock.asked("/runs/aaaaaaaa-0000-4000-8000-000000000001")["organization_id"] == "acme"


def test_a_reset_brings_them_back(mock):
    [first, *_] = mock.get("/v1/runs").json()["items"]
    mock.delete(f"/v1/runs/{first['id']}")
    mock.create()

    mock.control("POST", "/reset")

    assert {run["status"] for run in mock.listed()} == {"task_failed"}
    assert first["id"] in mock.ids()


def test_a_state_does_not_bring_them_back(mock):
    for run in mock.listed():
        mock.delete(f"/v1/runs/{run['id']}")
    state = mock.asked("/state")
    mock.control("POST", "/reset")

    mock.control("PUT", "/state", state)

    assert mock.total() == 0


def test_one_without_moments_lives_from_the_first_request_on(mock):
    run = mock.asked("/runs/aaaaaaaa-0000-4000-8000-000000000001")
    assert (run["created_at"], run["status"]) == (START.replace("Z", ".000000Z"), "scheduling")

    mock.turn_clock(advance="1h")

    assert mock.asked("/runs/aaaaaaaa-0000-4000-8000-000000000001")["status"] == "success"


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (f"[{{workflow_id: {SUCCEEDS}, count: x}}]", "#/runs/0/count: should be a whole number, not 'x'"),
        ("[{count: 2}]", "#/runs/0/workflow_id: is missing"),
        (
            f"[{{workflow_id: {SUCCEEDS}, statuss: success}}]",
            "#/runs/0/statuss: unknown key 'statuss'; did you",
        ),
        (f"[{{workflow_id: {SUCCEEDS}, ended_at: 2025-01-01T00:00:00Z}}]", "#/runs/0: ended_at is given"),
        (f"[{{workflow_id: {SUCCEEDS}, outputs: [{{filename: a, content: '?'}}]}}]", "#/runs/0/outputs/0/content: "),
        ("5", "#/runs: should be a list, not "),
        ("[5]", "#/runs/0: should be a mapping, not "),
        (
            f"[{{workflow_id: {SUCCEEDS}, input_values: {{a: !!binary aGk=}}}}]",
            "#/runs: should hold nothing but what JSON",
        ),
    ],
)
def test_what_is_wrong_is_told_at_the_start_with_its_place(tmp_path, runs, told):
    world = tmp_path / "world.yaml"
    world.write_text(f"runs: {runs}", encoding="utf-8")

    with pytest.raises(WorldError) as raised:
        ControlledMock(world=world)

    assert f"world.yaml: {told}" in str(raised.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    world = tmp_path / "world.yaml"
    world.write_text("runs: [{workflow_id: x}, {status: done}]", encoding="utf-8")

    with pytest.raises(WorldError) as raised:
        ControlledMock(world=world)

    places = [line.removeprefix(f"{world}: ").partition(": ")[0] for line in str(raised.value).splitlines()]
    assert places == ["#/runs/0/workflow_id", "#/runs/1/workflow_id", "#/runs/1/status"]


@pytest.mark.parametrize("status", ["running", "success", "task_failed", "error", "cancelled"])
def test_the_first_answer_shows_the_status_on_a_clock_that_does_not_stand_still(tmp_path, status):
    world = tmp_path / "world.yaml"
    world.write_text(f"runs: [{{workflow_id: {SUCCEEDS}, status: {status}}}]", encoding="utf-8")
    now_ns = itertools.count(time.time_ns(), 1_000_000)
    mock = Mock(clock=Clock(source=lambda: next(now_ns)), world=world, token="test")

    for root in ("", "/__ns/x"):
        [run] = mock.get(f"{root}/v1/runs", params={"status": status}).json()["items"]
        assert run["status"] == status
