"""Faults of the connection, as a client sees them on its socket."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.mockserver.faults.sockets import Served, comes_within, until_the_end
from tests.mockserver.inprocess import SUCCEEDS

_BULK = {"workflow_id": SUCCEEDS, "count": 5}


def _head_and_body(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def _length(head: bytes) -> int:
    [line] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(line[15:])


# --- hang


def test_a_request_that_hangs_gets_not_one_byte_and_its_connection_stays_open(served: Served):
    served.fault(match="list_runs", times=1, fault="hang")
    with served.asked() as connection:
        assert comes_within(connection, 0.3) is None
        assert served.ask("GET", "/v1/runs").status_code == 200

    entry = served.last_request()
    assert entry["operation"] == "list_runs"


def test_a_request_that_hangs_is_let_go_when_its_client_leaves(served: Served):
    served.fault(match="list_runs", times=1, fault="hang")
    with served.asked() as connection:
        assert comes_within(connection, 0.2) is None

    entry = served.last_request()
    assert (entry["status"], entry["answer"]["bytes"]) == (None, 0)
    assert entry["duration_ms"] >= 190


def test_a_request_hangs_for_as_long_as_was_asked_and_is_then_reset(served: Served):
    served.control("POST", "/clock", {"freeze": True})
    served.fault(match="list_runs", times=1, fault="hang", delay_s=100)
    with served.asked() as connection:
        assert comes_within(connection, 0.2) is None
        served.control("POST", "/clock", {"advance": 100})
        assert until_the_end(connection) == (b"", True)


# --- reset, lost-answer


def test_a_reset_is_a_reset_and_the_request_was_not_handled(served: Served):
    served.fault(match="bulk_create_runs", times=1, fault="reset")
    with served.asked("POST", "/v1/runs/bulk", _BULK) as connection:
        assert until_the_end(connection) == (b"", True)

    assert served.total() == 0
    assert served.control("GET", "/requests?match=bulk_create_runs").json()["items"][0]["body"] == _BULK


def test_a_lost_answer_is_a_reset_and_the_request_was_handled(served: Served):
    served.fault(match="bulk_create_runs", times=1, fault="lost-answer")
    with served.asked("POST", "/v1/runs/bulk", _BULK) as connection:
        assert until_the_end(connection) == (b"", True)

    assert served.total() == 5
    [entry] = served.control("GET", "/requests?match=bulk_create_runs").json()["items"]
    assert (entry["status"], entry["answer"]["bytes"]) == (None, 0)


def test_with_an_idempotency_key_a_lost_create_is_repeated_without_a_second_run(served: Served):
    served.fault(match="create_run", times=1, fault="lost-answer")
    headers = {**served.headers, "Idempotency-Key": "k-1"}
    with httpx.Client(base_url=served.base_url, headers=headers) as client:
        with pytest.raises(httpx.TransportError):
            client.post("/v1/runs", json={"workflow_id": SUCCEEDS})
        repeated = client.post("/v1/runs", json={"workflow_id": SUCCEEDS})

    assert (repeated.status_code, repeated.headers["idempotency-status"]) == (201, "replayed")
    assert served.total() == 1


# --- cut


@pytest.mark.parametrize("after_bytes", [0, 1, 40, 10_000_000])
def test_an_answer_is_cut_after_so_many_bytes_of_its_body(served: Served, after_bytes: int):
    served.ask("POST", "/v1/runs/bulk", json=_BULK)
    served.fault(match="list_runs", times=1, fault="cut", after_bytes=after_bytes)
    with served.asked() as connection:
        answer, _ = until_the_end(connection)

    head, body = _head_and_body(answer)
    whole = served.ask("GET", "/v1/runs").content
    assert head.startswith(b"HTTP/1.1 200")
    assert _length(head) == len(whole)
    assert len(body) == min(after_bytes, len(whole) - 1)
    assert served.control("GET", "/requests/2").json()["answer"]["bytes"] == len(body)


def test_a_client_sees_that_a_cut_answer_is_not_whole(served: Served):
    served.fault(match="list_runs", times=1, fault="cut", after_bytes=10)

    with pytest.raises(httpx.RemoteProtocolError):
        served.ask("GET", "/v1/runs")
    assert served.ask("GET", "/v1/runs").status_code == 200


def test_a_cut_answer_is_not_repeated_by_a_stale_read(served: Served):
    served.fault(match="list_runs", times=1, fault="cut", after_bytes=10)
    served.fault(match="list_runs", fault="stale-read")

    with pytest.raises(httpx.RemoteProtocolError):
        served.ask("GET", "/v1/runs")
    assert served.ask("GET", "/v1/runs").json()["total"] == 0
    assert served.ask("HEAD", "/v1/runs").status_code == 200


def test_a_cut_answer_without_a_body_has_no_head_either(served: Served):
    (run,) = served.ask("POST", "/v1/runs/bulk", json=_BULK | {"count": 1}).json()["created_runs"]
    served.fault(match="delete_run", times=1, fault="cut")

    with pytest.raises(httpx.RemoteProtocolError):
        served.ask("DELETE", f"/v1/runs/{run['id']}")
    assert served.ask("GET", f"/v1/runs/{run['id']}").status_code == 404


# --- garbage


def test_garbage_is_no_http_and_the_end_of_the_connection(served: Served):
    served.fault(match="list_runs", times=2, fault="garbage")
    with served.asked() as connection:
        answer, _ = until_the_end(connection)

    assert len(answer) > 100
    assert not answer.startswith(b"HTTP")
    with pytest.raises(httpx.RemoteProtocolError):
        served.ask("GET", "/v1/runs")
    assert served.ask("GET", "/v1/runs").status_code == 200


# --- slow


def test_a_slow_answer_comes_in_pieces_and_is_whole(served: Served):
    served.ask("POST", "/v1/runs/bulk", json=_BULK)
    served.control("POST", "/clock", {"freeze": True})
    served.fault(match="list_runs", times=1, fault="slow", delay_s=20)
    with served.asked() as connection:
        answer, pieces = b"", 0
        while b"\r\n\r\n" not in answer or len(_head_and_body(answer)[1]) < _length(_head_and_body(answer)[0]):
            data = comes_within(connection, 0.1)
            if data is None:
                served.control("POST", "/clock", {"advance": 1})
                pieces += 1
                assert pieces < 40
                continue
            answer += data

    assert pieces >= 15
    json.loads(_head_and_body(answer)[1])


def test_a_slow_answer_without_a_body_comes_late(served: Served):
    (run,) = served.ask("POST", "/v1/runs/bulk", json=_BULK | {"count": 1}).json()["created_runs"]
    served.control("POST", "/clock", {"freeze": True})
    served.fault(match="delete_run", times=1, fault="slow", delay_s=20)
    with served.asked("DELETE", f"/v1/runs/{run['id']}") as connection:
        assert comes_within(connection, 0.3) is None
        served.control("POST", "/clock", {"advance": 20})
        assert connection.recv(100).startswith(b"HTTP/1.1 204")


def test_a_client_that_leaves_a_slow_answer_is_noticed(served: Served):
    served.fault(match="list_runs", times=1, fault="slow", delay_s=2)
    with served.asked() as connection:
        assert comes_within(connection, 5)

    assert served.last_request()["duration_ms"] is not None


def test_a_client_that_leaves_a_slow_answer_is_noticed_while_nothing_is_sent(served: Served):
    served.control("POST", "/clock", {"freeze": True})
    served.fault(match="list_runs", times=1, fault="slow", delay_s=2)
    with served.asked() as connection:
        assert comes_within(connection, 5)

    assert served.last_request()["duration_ms"] is not None


# --- JSON on the wire


def test_truncated_json_has_the_length_that_it_says(served: Served):
    served.fault(match="list_runs", times=1, fault="truncated-json", after_bytes=10)
    with served.asked() as connection:
        connection.sendall(served.request("GET", "/v1/health"))
        answer = b""
        while answer.count(b"HTTP/1.1") < 2:
            answer += connection.recv(65_536)

    head, body = _head_and_body(answer)
    assert _length(head) == 10
    assert body[10:].startswith(b"HTTP/1.1 200")
    with pytest.raises(ValueError):
        json.loads(body[:10])


# --- Beside others


@pytest.mark.parametrize("fault", [{"delay_s": 1_000}, {"fault": "hang"}, {"fault": "slow", "delay_s": 1_000}])
def test_fifty_requests_that_wait_hold_up_nobody_else(served: Served, fault: dict[str, object]):
    served.control("POST", "/clock", {"freeze": True})
    served.fault(match="list_runs", **fault)
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(served.asked())
        for _ in range(20):
            assert served.ask("GET", "/v1/pools").status_code == 200
        assert served.control("GET", "/faults").json()["items"][0]["applied"] == 50
        waiting = served.control("GET", "/requests?match=list_runs").json()["items"]
        assert [each["duration_ms"] for each in waiting] == [None] * 50


def test_what_comes_behind_a_broken_answer_on_the_same_connection_is_not_answered(served: Served):
    served.fault(match="list_runs", times=1, fault="cut", after_bytes=5)
    with served.connected() as connection:
        connection.sendall(served.request() + served.request("POST", "/v1/runs", {"workflow_id": SUCCEEDS}))
        answer, _ = until_the_end(connection)

    assert answer.count(b"HTTP/1.1") == 1
    assert served.total() == 0


def test_resets_at_once_from_many_threads_leave_the_mock_well(served: Served):
    served.fault(match="list_runs", fault="reset")
    resets: list[bool] = []

    def one() -> None:
        with served.asked() as connection:
            resets.append(until_the_end(connection)[1])

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert resets == [True] * 20
    assert served.control("GET", "/faults").json()["items"][0]["applied"] == 20


# --- Presets


def _outcomes(served: Served, count: int, method: str = "GET", path: str = "/v1/runs", **how: object) -> list[object]:
    outcomes: list[object] = []
    for _ in range(count):
        try:
            outcomes.append(served.ask(method, path, **how).status_code)
        except httpx.TransportError:
            outcomes.append("reset")
    return outcomes


def test_flaky_gives_each_third_request_its_answer(served: Served):
    served.fault(preset="flaky")

    assert _outcomes(served, 7) == [503, "reset", 200, 503, "reset", 200, 503]


def test_rate_limited_tells_when_to_come_again(served: Served):
    served.fault(preset="rate-limited")
    refused = served.ask("GET", "/v1/runs")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert _outcomes(served, 3) == [200, 429, 200]


def test_outage_lasts_until_it_is_removed(served: Served):
    served.fault(preset="outage")
    assert _outcomes(served, 3) == [503] * 3

    served.control("DELETE", "/faults")

    assert _outcomes(served, 1) == [200]


def test_lost_answer_makes_the_run_of_every_second_create_whose_answer_is_lost(served: Served):
    served.fault(preset="lost-answer")
    create = {"json": {"workflow_id": SUCCEEDS}}

    assert _outcomes(served, 3, "POST", "/v1/runs", **create) == ["reset", 201, "reset"]
    assert served.total() == 3


def test_partial_failure_leaves_half_of_the_runs_out(served: Served):
    served.fault(preset="partial-failure")

    answer = served.ask("POST", "/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": 10}).json()

    assert (len(answer["created_runs"]), answer["failed_count"]) == (5, 5)


def test_slow_makes_every_answer_wait(served: Served):
    served.control("POST", "/clock", {"freeze": True})
    served.fault(preset="slow")
    with served.asked() as connection:
        assert comes_within(connection, 0.2) is None
        served.control("POST", "/clock", {"advance": 3})
        assert comes_within(connection, 10)


def test_a_preset_may_be_narrowed(served: Served):
    served.fault(preset="outage", match="list_runs", times=1)

    assert [served.ask("GET", path).status_code for path in ("/v1/pools", "/v1/runs", "/v1/runs")] == [200, 503, 200]


def test_presets_are_listed_and_each_can_be_taken(served: Served):
    presets = served.control("GET", "/presets").json()["items"]

    assert [each["name"] for each in presets] == [
        "flaky",
        "slow",
        "outage",
        "rate-limited",
        "partial-failure",
        "lost-answer",
    ]
    for preset in presets:
        added = served.control("POST", "/faults", {"preset": preset["name"]}).json()
        assert len(added["ids"]) == len(preset["faults"])


def test_time_that_passes_ends_a_delay(served: Served):
    served.fault(match="list_runs", times=1, delay_s=0.3)
    before = time.monotonic()

    assert served.ask("GET", "/v1/runs").status_code == 200

    assert time.monotonic() - before >= 0.3
