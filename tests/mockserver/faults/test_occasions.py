"""Which requests a fault meets, and how often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import SUCCEEDS

_500 = {"status": 500}
_BODY = {"workflow_id": SUCCEEDS, "input_values": {"a/b": [{"c~d": 1}], "t": True, "n": None}}


def _failing(mock: ControlledMock, count: int, method: str = "GET", path: str = "/v1/runs", **how: Any) -> list[int]:
    """The places, from 1, of the requests that got a 500."""
    statuses = [_status(mock, method, path, **how) for _ in range(count)]
    return [place for place, status in enumerate(statuses, 1) if status == 500]


def _status(mock: ControlledMock, method: str, path: str, **how: Any) -> int:
    async def sent() -> int:
        headers = {"Authorization": "Bearer test-one", **how.pop("headers", {})}
        return (await mock._client.request(method, path, headers=headers, **how)).status_code

    return mock.run(sent())


@pytest.mark.parametrize(
    ("which", "met"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"times": 2}, [1, 2]),
        ({"nth": 3}, [3]),
        ({"nth": [2, 4]}, [2, 3, 4]),
        ({"nth": [2, 4], "times": 2}, [2, 3]),
        ({"cycle": 3}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"cycle": 3, "nth": 1}, [1, 4, 7]),
        ({"cycle": 3, "nth": [2, 3]}, [2, 3, 5, 6, 8]),
        ({"cycle": 3, "nth": 3, "times": 1}, [3]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
    ids=str,
)
def test_a_fault_meets_these_of_eight_requests(which, met):
    mock = controlled_mock()
    mock.fault(match="list_runs", answer=_500, **which)

    assert _failing(mock, 8) == met

    [shown] = mock.asked("/faults")["items"]
    assert shown["applied"] == len(met)
    assert shown["active"] is ("times" not in which)


def test_requests_that_do_not_match_are_not_counted():
    mock = controlled_mock()
    mock.fault(match="GET /v1/runs", nth=2, answer=_500)

    statuses = [_status(mock, "GET", path) for path in ("/v1/runs", "/v1/pools", "/v1/machines", "/v1/runs")]

    assert statuses == [200, 200, 200, 500]
    assert mock.asked("/faults")["items"][0]["matched"] == 2


@pytest.mark.parametrize(
    ("fault", "method", "path"),
    [
        ({"fault": "partial-failure"}, "POST", "/v1/runs/bulk"),
        ({"fault": "partial-failure", "delay_s": 0}, "POST", "/v1/runs/bulk"),
        ({"fault": "stale-read"}, "GET", "/v1/runs"),
    ],
    ids=str,
)
def test_only_requests_that_the_effect_can_change_are_counted(fault, method, path):
    mock = controlled_mock()
    mock.fault(match="*", times=1, nth=1, **fault)
    others = {("POST", "/v1/runs/bulk"), ("POST", "/v1/runs"), ("GET", "/v1/runs")} - {(method, path)}

    for other in others:
        _status(mock, *other, json={"workflow_id": SUCCEEDS, "count": 2})

    [shown] = mock.asked("/faults")["items"]
    assert (shown["matched"], shown["applied"], shown["active"]) == (0, 0, True)
    assert [entry["fault"] for entry in mock.requests()] == [None, None]

    _status(mock, method, path, json={"workflow_id": SUCCEEDS, "count": 2})

    [shown] = mock.asked("/faults")["items"]
    assert (shown["matched"], shown["applied"], shown["active"]) == (1, 1, False)
    assert mock.last_request()["fault"] == "f1"


def test_a_lifetime_goes_by_the_clock_of_the_namespace():
    mock = controlled_mock()
    mock.fault(match="*", for_s=60, answer=_500)
    assert _failing(mock, 1) == [1]
    mock.turn_clock(advance=59.999999)
    assert _failing(mock, 1) == [1]

    mock.turn_clock(advance=0.000001)

    assert _failing(mock, 1) == []
    assert mock.asked("/faults")["items"][0]["active"] is False


def _drawn(mock: ControlledMock) -> list[int]:
    mock.fault(match="list_runs", probability=0.5, answer=_500)
    return _failing(mock, 40)


def test_a_probability_is_drawn_from_the_seed():
    met = _drawn(controlled_mock())

    assert 8 < len(met) < 32
    assert _drawn(controlled_mock()) == met
    assert _drawn(controlled_mock(seed=1)) != met


def test_two_faults_of_one_namespace_draw_differently():
    mock = controlled_mock()
    one = mock.fault(match="list_runs", probability=0.5, answer=_500)
    first = _failing(mock, 40)
    mock.control("DELETE", f"/faults/{one}")

    mock.fault(match="list_runs", probability=0.5, answer=_500)

    assert _failing(mock, 40) != first


# --- Headers and body


@pytest.mark.parametrize(
    ("headers", "meets"),
    [
        ({"X-Mine": "one"}, True),
        ({"x-mine": "one", "X-OTHER": "two"}, True),
        ({"X-Mine": "One"}, False),
        ({"X-Mine": "one", "X-Missing": ""}, False),
    ],
)
def test_a_fault_may_ask_for_headers(headers, meets):
    mock = controlled_mock()
    mock.fault(match="*", headers=headers, answer=_500)

    assert _failing(mock, 1, headers={"X-Mine": "one", "x-other": "two"}) == ([1] if meets else [])


@pytest.mark.parametrize(
    ("body", "meets"),
    [
        ({"/workflow_id": SUCCEEDS}, True),
        ({"/workflow_id": "x"}, False),
        ({"/input_values/a~1b/0/c~0d": 1}, True),
        ({"/input_values/a~1b/0/c~0d": 1.0}, True),
        ({"/input_values/a~1b/0/c~0d": True}, False),
        ({"/input_values/t": True}, True),
        ({"/input_values/t": 1}, False),
        ({"/input_values/n": None}, True),
        ({"/input_values/missing": None}, False),
        ({"/input_values/a~1b": [{"c~d": 1}]}, True),
        ({"/input_values/a~1b/1": None}, False),
        ({"/input_values/a~1b/-": None}, False),
        ({"/workflow_id/0": "1"}, False),
        ({"/workflow_id": SUCCEEDS, "/input_values/t": False}, False),
        ({"": _BODY}, True),
    ],
    ids=str,
)
def test_a_fault_may_ask_for_values_of_the_body_by_json_pointer(body, meets):
    mock = controlled_mock()
    mock.fault(match="create_run", body=body, answer=_500)

    assert _failing(mock, 1, "POST", json=_BODY) == ([1] if meets else [])
    assert meets or mock.last_request()["status"] == 201


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_meets_no_fault_that_asks_for_values(content):
    mock = controlled_mock()
    mock.fault(match="*", body={"/workflow_id": SUCCEEDS}, answer=_500)

    refused = _status(mock, "POST", "/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert refused in (400, 422)


def test_a_body_of_too_many_values_meets_no_fault_and_is_not_parsed_for_it_or_for_the_journal():
    mock = controlled_mock()
    mock.fault(match="*", body={"/count": 5}, answer={"status": 400})
    body = b'{"count": 5, "input_values": {"a": [%b1]}}' % (b"1," * 600_000)

    headers = {"Content-Type": "application/json"}
    assert _status(mock, "POST", "/v1/runs/bulk", content=body, headers=headers) == 413
    assert isinstance(mock.last_request()["body"], str)


def test_a_body_that_is_too_large_to_look_into_is_refused_as_without_a_fault():
    mock = controlled_mock(max_body=1_000)
    mock.fault(match="*", body={"/workflow_id": SUCCEEDS}, answer=_500)

    async def parts() -> Any:
        for _ in range(5):
            yield b"x" * 400

    assert _status(mock, "POST", "/v1/runs", content=parts()) == 413
    assert _status(mock, "POST", "/v1/runs", content=b"x" * 2_000) == 413
    assert "larger than 1000 bytes" in mock.last_request()["reason"]


def test_faults_may_come_and_go_while_a_body_is_waited_for():
    mock = controlled_mock()
    mock.fault(match="*", body={"/workflow_id": "x"}, answer=_500)
    mock.fault(match="*", body={"/workflow_id": "y"}, answer=_500)

    async def slowly() -> Any:
        yield b'{"workflow_id": '
        await mock.controlled("POST", "/faults", {"match": "create_run", "answer": {"status": 503}})
        yield b'"%b"}' % SUCCEEDS.encode()

    assert _status(mock, "POST", "/v1/runs", content=slowly(), headers={"Content-Type": "application/json"}) == 201
    assert _status(mock, "POST", "/v1/runs", json={}) == 503


# --- Several faults


def test_the_first_fault_that_meets_a_request_applies_to_it():
    mock = controlled_mock()
    mock.fault(match="list_runs", times=1, answer={"status": 503})
    mock.fault(match="*", times=1, answer={"status": 429})

    assert [_status(mock, "GET", "/v1/runs") for _ in range(3)] == [503, 429, 200]


def test_a_fault_that_is_removed_meets_nothing_more():
    mock = controlled_mock()
    one, two = (mock.fault(match="*", answer=_500) for _ in range(2))

    assert mock.control("DELETE", f"/faults/{one}").status_code == 204
    assert [each["id"] for each in mock.asked("/faults")["items"]] == [two]
    gone = mock.control("DELETE", f"/faults/{one}")
    assert (gone.status_code, one in gone.json()["detail"]) == (404, True)
    assert _failing(mock, 1) == [1]

    assert mock.control("DELETE", "/faults").status_code == 204
    assert mock.asked("/faults") == {"items": [], "total": 0}
    assert _failing(mock, 1) == []


def test_no_namespace_meets_anothers_faults():
    mock = controlled_mock()
    fault_id = mock.fault("a", match="*", answer=_500)

    assert _status(mock, "GET", "/__ns/a/v1/runs") == 500
    assert _failing(mock, 1) == []
    assert _status(mock, "GET", "/__ns/b/v1/runs") == 200
    assert mock.control("DELETE", f"/faults/{fault_id}").status_code == 404
    mock.control("DELETE", "/faults")
    assert _status(mock, "GET", "/__ns/a/v1/runs") == 500


def test_the_same_faults_draw_the_same_in_every_namespace():
    mock = controlled_mock()
    met = []
    for name in ("a", "b"):
        mock.fault(name, match="*", probability=0.5, answer=_500)
        met.append(_failing(mock, 30, path=f"/__ns/{name}/v1/runs"))

    assert met[0] == met[1]


def test_a_reset_removes_the_faults_and_counts_their_ids_anew():
    mock = controlled_mock()
    fault_id = mock.fault(match="*", answer=_500)

    mock.control("POST", "/reset")

    assert mock.asked("/faults")["items"] == []
    assert mock.fault(match="*", answer=_500) == fault_id


def test_the_control_api_and_preflights_meet_no_fault():
    mock = controlled_mock()
    mock.fault(match="*", answer=_500)

    assert mock.control("GET", "/health").status_code == 200
    assert _status(mock, "OPTIONS", "/v1/runs") == 204


def test_a_fault_is_shown_as_it_was_made_with_its_counts():
    mock = controlled_mock()
    source = {"match": "list_runs", "headers": {"X-Mine": "1"}, "nth": [1, 2], "answer": {"status": 503}}
    fault_id = mock.fault(**source)
    _status(mock, "GET", "/v1/runs")

    assert mock.asked("/faults") == {
        "items": [{"id": fault_id, **source, "matched": 0, "applied": 0, "active": True}],
        "total": 1,
    }


def test_a_delayed_request_is_met_once():
    mock = controlled_mock()
    mock.fault(match="list_runs", times=1, delay_s=5)

    async def go() -> list[bool]:
        first = asyncio.ensure_future(mock.sent("GET", "/v1/runs"))
        second = asyncio.ensure_future(mock.sent("GET", "/v1/runs"))
        assert (await second).status_code == 200
        done = [first.done()]
        await mock.controlled("POST", "/clock", {"advance": 5})
        assert (await first).status_code == 200
        return done

    assert mock.run(go()) == [False]
