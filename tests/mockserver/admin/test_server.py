"""The mock itself: health, version, settings, namespaces, and back to the start."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pytest

from mockserver.admin import server
from mockserver.admin.context import AdminContext
from mockserver.reply import Reply
from mockserver.settings import RateLimit
from mockserver.spec import Call
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import SUCCEEDS

_BODY = {"workflow_id": SUCCEEDS}


def test_it_tells_that_it_is_up_and_which_version_it_is():
    mock = controlled_mock()

    assert mock.asked("/health")["status"] == "ok"
    assert mock.asked("/health")["uptime_s"] >= 0
    assert mock.asked("/version") == {"name": "cyberdesk-mockserver", "version": version("cyberdesk-mockserver")}


def test_it_tells_what_it_was_started_with():
    shown = controlled_mock(rate_limit=RateLimit.from_text("5/m"), time_scale=3.0, seed=7).asked("/settings")

    assert (shown["seed"], shown["time_scale"], shown["admin_token"], shown["token"]) == (7, 3.0, None, [])
    assert shown["rate_limit"]["window_s"] == 60


def test_the_namespaces_in_use_are_listed():
    mock = controlled_mock()
    mock.get("/__ns/a/v1/runs")
    mock.get("/__ns/a/v1/pools")
    mock.fault("b", match="*", delay_s=0)

    listed = mock.asked("/namespaces")

    assert listed["total"] == 3
    told = {each["name"]: (each["requests"], each["faults"], len(each["organizations"])) for each in listed["items"]}
    assert told == {"": (0, 0, 0), "a": (2, 0, 1), "b": (0, 1, 0)}
    assert {each["name"]: each["clock"]["frozen"] for each in listed["items"]} == {"": True, "a": False, "b": False}


def test_the_health_check_belongs_to_no_organisation():
    mock = controlled_mock()
    for token in (None, "test-one"):
        for how in ({}, {"prefer": "delay=0, example=up"}, {"headers": {"Idempotency-Key": "k"}}):
            answer = mock.get("/v1/health", token=token, **how)
            assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')
    assert mock.get("/__ns/a/v1/health", token=None).status_code == 200

    listed = {each["name"]: each["organizations"] for each in mock.asked("/namespaces")["items"]}
    assert listed == {"": [], "a": []}
    assert mock.asked("/state")["organizations"] == {}


def test_a_namespace_that_is_deleted_is_as_if_it_had_never_been():
    mock = controlled_mock()
    first = mock.post("/__ns/a/v1/runs", _BODY).json()["id"]

    assert mock.control("DELETE", "/namespaces/a").status_code == 204

    assert [each["name"] for each in mock.asked("/namespaces")["items"]] == [""]
    gone = mock.control("DELETE", "/namespaces/a")
    assert (gone.status_code, "'a'" in gone.json()["detail"]) == (404, True)
    assert mock.get("/__ns/a/v1/runs").json()["total"] == 0
    assert mock.post("/__ns/a/v1/runs", _BODY).json()["id"] == first


def test_namespaces_with_names_that_are_escaped_are_deleted_too():
    mock = controlled_mock()
    mock.get("/__ns/caf%C3%A9%20%3F/v1/runs")

    assert mock.control("DELETE", "/namespaces/caf%C3%A9%20%3F").status_code == 204

    assert len(mock.asked("/namespaces")["items"]) == 1


def _sim_time(mock: ControlledMock, prefix: str = "") -> list[Any]:
    """What a mock answers to the same requests: ids, statuses, headers of limits and keys."""
    namespace = prefix.removeprefix("/__ns/")
    mock.control("POST", "/clock", {"freeze": "2025-03-04T09:00:02Z"}, namespace=namespace)
    answers = [
        mock.post(f"{prefix}/v1/runs", _BODY, key="k"),
        mock.post(f"{prefix}/v1/runs/bulk", {**_BODY, "count": 3}),
        mock.post(f"{prefix}/v1/pools", {"name": "mine"}),
        mock.get(f"{prefix}/v1/runs"),
        mock.get(f"{prefix}/v1/pools"),
    ]
    mock.control("POST", "/runs", [_BODY], namespace=namespace)
    mock.fault(namespace, match="list_machines", probability=0.5, answer={"status": 404})
    mock.control("POST", "/clock", {"scale": 5, "advance": "1d"}, namespace=namespace)
    answers += [mock.get(f"{prefix}/v1/machines") for _ in range(5)]
    answers.append(mock.control("GET", "/runs", namespace=namespace))
    answers.append(mock.control("GET", "/clock", namespace=namespace))
    return [(each.status_code, each.content, dict(each.headers)) for each in answers]


def test_after_a_reset_all_is_as_at_the_start():
    mock = controlled_mock(rate_limit=RateLimit.from_text("100/m"))
    first = _sim_time(mock)
    assert _sim_time(mock) != first

    assert mock.control("POST", "/reset").status_code == 204

    assert mock.asked("/clock")["scale"] == 1.0
    assert (mock.asked("/runs")["total"], mock.asked("/requests")["total"], mock.asked("/faults")["total"]) == (0, 0, 0)
    assert _sim_time(mock) == first


def test_a_reset_of_one_namespace_leaves_the_others():
    mock = controlled_mock()
    here, there = mock.create()["id"], mock.post("/__ns/a/v1/runs", _BODY).json()["id"]

    mock.control("POST", "/reset", namespace="a")

    assert mock.status(here) == "scheduling"
    assert mock.get(f"/__ns/a/v1/runs/{there}").status_code == 404
    mock.control("POST", "/reset")
    assert mock.get(f"/v1/runs/{here}").status_code == 404


def test_fifty_namespaces_at_once_do_not_see_each_other():
    mock = controlled_mock()
    names = [f"n{uuid4().hex}" for _ in range(50)]

    async def used(name: str) -> tuple[list[str], list[str], int]:
        prefix = f"/__ns/{name}"
        await mock.controlled("POST", "/clock", {"freeze": "2025-03-04T09:00:02Z"}, namespace=name)
        await mock.controlled("POST", "/faults", {"match": "list_pools", "answer": {"status": 404}}, namespace=name)
        created = [(await mock.sent("POST", f"{prefix}/v1/runs", json=_BODY)).json()["id"] for _ in range(3)]
        await mock.controlled("POST", "/clock", {"advance": "20m"}, namespace=name)
        listed = (await mock.sent("GET", f"{prefix}/v1/runs")).json()["items"]
        assert (await mock.sent("GET", f"{prefix}/v1/pools")).status_code == 404
        requests = (await mock.controlled("GET", "/requests", namespace=name)).json()
        return created, [run["id"] for run in listed], requests["total"]

    async def all_of_them() -> list[tuple[list[str], list[str], int]]:
        import asyncio

        return await asyncio.gather(*map(used, names))

    results = mock.run(all_of_them())

    assert all(sorted(created) == sorted(listed) and total == 5 for created, listed, total in results)
    assert len({run_id for created, _, _ in results for run_id in created}) == 150
    assert mock.total() == 0


def test_a_request_for_which_there_is_not_enough_memory_is_a_503(monkeypatch: pytest.MonkeyPatch):
    async def needs_too_much(call: Call, context: AdminContext) -> Reply:
        raise MemoryError

    monkeypatch.setattr(server, "get_settings", needs_too_much)
    answer = ControlledMock(freezes=False).get("/__admin/settings", token=None, fails=True)
    assert answer.status_code == 503
    assert "not enough memory" in answer.json()["detail"]
