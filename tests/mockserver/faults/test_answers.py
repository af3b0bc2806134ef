"""What faults answer, and what the journal tells of it: in the process, without a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from mockserver.faults import effects
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import SUCCEEDS, TAKES_TWENTY_MINUTES

_BULK = {"workflow_id": SUCCEEDS, "count": 10}


def _ask(mock: ControlledMock, method: str = "GET", path: str = "/v1/runs", **how: Any) -> httpx.Response:
    async def sent() -> httpx.Response:
        headers = {"Authorization": "Bearer test-one", **how.pop("headers", {})}
        return await mock._client.request(method, path, headers=headers, **how)

    return mock.run(sent())


@pytest.mark.parametrize("status", [200, 201, 204, 205, 301, 304, 400, 404, 418, 429, 499, 500, 502, 503, 599])
def test_any_status_is_answered_and_the_request_not_handled(status):
    mock = controlled_mock()
    mock.fault(match="create_run", answer={"status": status})

    answer = _ask(mock, "POST", json={"workflow_id": SUCCEEDS})

    assert answer.status_code == status
    assert (answer.content == b"") is (status in (204, 205, 304))
    assert ("content-length" in answer.headers) is (status not in (204, 304))
    assert mock.total() == 0


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"detail": "Down"}, b'{"detail":"Down"}'),
        ([1, None], b"[1,null]"),
        ("plain", b"plain"),
        ("", b""),
        (None, b"null"),
        (5, b"5"),
    ],
)
def test_any_body_is_answered(body, content):
    mock = controlled_mock()
    mock.fault(match="*", answer={"status": 503, "body": body})

    answer = _ask(mock)

    assert (answer.content, answer.headers["content-length"]) == (content, str(len(content)))


def test_without_a_body_the_phrase_of_the_status_is_the_detail():
    mock = controlled_mock()
    mock.fault(match="*", answer={"status": 503}, times=1)
    mock.fault(match="*", answer={"status": 499})

    assert [_ask(mock).json() for _ in range(2)] == [{"detail": "Service Unavailable"}, {"detail": "Status 499"}]


def test_headers_are_answered_as_they_were_given():
    mock = controlled_mock()
    headers = {"Retry-After": "7", "X-Mine": "caf\xe9", "Content-Type": "text/html"}
    mock.fault(match="*", answer={"status": 503, "headers": headers, "body": "<p>Down"})

    answer = _ask(mock)

    assert {name: answer.headers[name] for name in headers} == headers
    assert answer.text == "<p>Down"


@pytest.mark.parametrize(
    ("source", "status", "retry_after"),
    [
        ({"retry_after": 7}, 429, "7"),
        ({"retry_after": "7"}, 429, "7"),
        ({"retry_after": 0.5}, 429, "0.5"),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 429, "Wed, 21 Oct 2026 07:28:00 GMT"),
        ({"retry_after": 7, "answer": {"status": 503}}, 503, "7"),
        ({"retry_after": 1_000_000}, 429, "1000000"),
        ({"answer": {"status": 429, "headers": {"Retry-After": "7"}}}, 429, "7"),
    ],
)
def test_retry_after_is_a_field_or_a_header(source, status, retry_after):
    mock = controlled_mock()
    mock.fault(match="*", **source)

    answer = _ask(mock)

    assert (answer.status_code, answer.headers["retry-after"]) == (status, retry_after)


@pytest.mark.parametrize("fault", [{"preset": "rate-limited"}, {"match": "*", "retry_after": 1}])
def test_a_fault_says_of_a_429_what_the_rate_limit_and_the_document_say(fault):
    mock = controlled_mock(rate_limit="1/m")
    mock.get("/v1/runs")
    said = {"detail": "Rate limit exceeded"}
    assert mock.get("/v1/runs", prefer="code=429", token="test-other").json() == said
    assert mock.get("/v1/runs").json() == said

    mock.fault(**fault)

    assert _ask(mock).json() == said


def test_an_answer_to_head_has_no_body():
    mock = controlled_mock()
    mock.fault(match="*", answer={"status": 503, "body": {"a": 1}})

    answer = _ask(mock, "HEAD")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (503, b"", "7")


@pytest.mark.parametrize("fault", ["not-json", "truncated-json", "break-schema"])
def test_an_answer_without_a_body_is_not_changed(fault):
    mock = controlled_mock()
    run = mock.create()
    length = _ask(mock).headers["content-length"]
    mock.fault(match="*", fault=fault)

    head = _ask(mock, "HEAD")
    deleted = _ask(mock, "DELETE", f"/v1/runs/{run['id']}")

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", length)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-length" not in deleted.headers


@pytest.mark.parametrize("fault", ["not-json", "truncated-json", "break-schema", "slow"])
def test_an_answer_that_is_too_long_to_be_held_back_gets_a_503(fault, monkeypatch):
    monkeypatch.setattr(effects, "_MAX_HELD_BYTES", 10_000)
    mock = controlled_mock()
    mock.fault(match="*", fault=fault)

    answer = _ask(mock, "POST", "/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": 1000})

    assert answer.status_code == 503
    assert "10000 bytes" in answer.json()["detail"]
    assert mock.last_request()["status"] == 503
    mock.control("DELETE", "/faults")
    assert mock.total() == 1000


# --- Delays


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ({"delay_s": 2}, 2, 2),
        ({"delay": {"uniform": [1, 3]}}, 1, 3),
        ({"delay": {"uniform": [2, 2]}}, 2, 2),
        ({"delay": {"lognormal": [2, 0.5]}}, 0.2, 20),
        ({"delay": {"lognormal": [2, 0]}}, 2, 2),
        ({"delay_s": 2, "answer": {"status": 503}}, 2, 2),
        ({"delay_s": 2, "fault": "not-json"}, 2, 2),
        ({"delay": {"uniform": [2, 2]}, "fault": "slow", "delay_s": 0}, 2, 2),
    ],
    ids=str,
)
def test_an_answer_waits_so_long_by_the_clock(source, least, most):
    mock = controlled_mock()
    mock.fault(match="*", **source)
    waited = [_waited_s(mock, source) for _ in range(5)]

    assert all(least <= each <= most + 0.25 for each in waited)
    assert (len(set(waited)) > 1) is (least != most)


def _waited_s(mock: ControlledMock, source: dict[str, Any]) -> float:
    """To a quarter of a second."""

    async def go() -> float:
        asked = asyncio.ensure_future(
            mock._client.get("/v1/runs", headers={"Authorization": "Bearer test-one"}),
        )
        waited = 0.0
        clock = mock.app.namespaces.default.clock
        while True:
            for _ in range(10):  # who was woken may go on sleeping
                await asyncio.sleep(0)
            # A store may take its time before and after the delay.
            while not clock.has_sleepers and not asked.done():  # noqa: ASYNC110 - no event tells of a sleeper
                await asyncio.sleep(0)
            if asked.done():
                break
            clock.advance(0.25)
            waited += 0.25
        expected = source.get("answer", {"status": 200})["status"]
        assert (await asked).status_code == expected
        return waited

    return mock.run(go())


def test_delays_are_drawn_from_the_seed():
    def drawn() -> list[float]:
        mock = controlled_mock()
        source = {"delay": {"uniform": [0, 50]}}
        mock.fault(match="*", **source)
        return [_waited_s(mock, source) for _ in range(5)]

    assert drawn() == drawn()


def test_a_delay_holds_up_nobody_else():
    mock = controlled_mock()
    mock.fault(match="list_runs", times=1, delay_s=1_000)

    async def go() -> None:
        waiting = asyncio.ensure_future(mock.sent("GET", "/v1/runs"))
        await mock.until_delayed(waiting)
        for path in ("/v1/runs", "/v1/pools", "/__ns/a/v1/runs"):
            assert (await mock.sent("GET", path)).status_code == 200
        assert not waiting.done()
        await mock.controlled("POST", "/clock", {"advance": 1_000})
        assert (await waiting).status_code == 200

    mock.run(go())


# --- JSON that is none


def test_not_json_is_a_whole_answer_that_no_parser_takes():
    mock = controlled_mock()
    mock.fault(match="*", fault="not-json")

    answer = _ask(mock)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert int(answer.headers["content-length"]) == len(answer.content)
    with pytest.raises(ValueError):
        answer.json()


@pytest.mark.parametrize(("source", "size"), [({}, 40), ({"after_bytes": 7}, 7), ({"after_bytes": 0}, 0)])
def test_truncated_json_is_the_beginning_of_the_answer(source, size):
    mock = controlled_mock()
    whole = _ask(mock).content
    mock.fault(match="*", fault="truncated-json", **source)

    answer = _ask(mock)

    assert answer.content == whole[:size]
    assert int(answer.headers["content-length"]) == size
    with pytest.raises(ValueError):
        answer.json()


def test_what_is_truncated_is_never_whole():
    mock = controlled_mock()
    mock.fault(match="*", fault="truncated-json", after_bytes=1_000_000)

    with pytest.raises(ValueError):
        _ask(mock).json()


# --- What the application does when it is asked to


@pytest.mark.parametrize(
    ("source", "failed"),
    [({}, 5), ({"failed": 3}, 3), ({"failed": 99}, 10), ({"share": 0.2}, 2), ({"share": 0}, 0), ({"share": 1}, 10)],
)
def test_of_a_bulk_create_so_many_runs_are_not_created(source, failed):
    mock = controlled_mock()
    mock.fault(match="POST /v1/runs/bulk", fault="partial-failure", **source)

    answer = _ask(mock, "POST", "/v1/runs/bulk", json=_BULK).json()

    assert (answer["failed_count"], len(answer["created_runs"])) == (failed, 10 - failed)
    assert mock.total() == 10 - failed


def test_a_stale_read_gives_what_the_same_request_got_before():
    mock = controlled_mock()
    run = mock.create(TAKES_TWENTY_MINUTES)
    before = mock.read(run["id"])
    mock.turn_clock(advance="30m")
    mock.fault(match="get_run", fault="stale-read", times=1)

    assert mock.read(run["id"]) == before
    assert mock.read(run["id"])["status"] == "success"


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize(
    "fault",
    [{"fault": "not-json"}, {"fault": "truncated-json"}, {"fault": "break-schema"}, {"answer": {"status": 200}}],
    ids=str,
)
def test_a_stale_read_gives_what_the_mock_has_answered_and_not_what_a_fault_made_of_it(fault, again):
    mock = controlled_mock()
    run = mock.create(TAKES_TWENTY_MINUTES)
    before = mock.read(run["id"])
    mock.turn_clock(advance="30m")
    mock.fault(match="get_run", times=1, **fault)
    broken = mock.get(f"/v1/runs/{run['id']}")
    mock.fault(match="get_run", fault="stale-read")

    assert [mock.read(run["id"]) for _ in range(again)] == [before] * again
    assert broken.content != mock.get(f"/v1/runs/{run['id']}").content


def test_a_stale_read_of_what_was_never_read_shows_what_was_so_long_ago():
    mock = controlled_mock()
    run = mock.create(TAKES_TWENTY_MINUTES)
    mock.turn_clock(advance="30m")
    mock.fault(match="get_run", fault="stale-read", stale_s=1_799.9)

    assert mock.status(run["id"]) == "scheduling"


def test_a_stale_read_is_no_stale_write():
    mock = controlled_mock()
    run = mock.create(TAKES_TWENTY_MINUTES)
    mock.patch(f"/v1/runs/{run['id']}", {"output_data": {"a": 1}})
    mock.turn_clock(advance="30m")
    mock.fault(match="*", fault="stale-read", stale_s=1_000)

    created = mock.create()
    answer = mock.patch(f"/v1/runs/{run['id']}", {"output_data": {"a": 2}})

    assert created["created_at"] > run["created_at"]
    assert answer.json()["output_data"] == {"a": 2}


def test_nobody_is_given_what_another_token_was_answered():
    mock = controlled_mock()
    mock.create()
    assert mock.get("/v1/runs").json()["total"] == 1
    mock.fault(match="list_runs", fault="stale-read")

    assert mock.get("/v1/runs", token="test-two").json()["total"] == 0


def test_of_two_tokens_in_one_request_the_first_is_the_one_that_was_answered():
    mock = controlled_mock()
    mock.create()
    both = [("Authorization", f"Bearer {mock.token}"), ("Authorization", "Bearer test-two")]
    assert mock.get("/v1/runs", token=None, headers=both).json()["total"] == 1
    mock.fault(match="list_runs", fault="stale-read")

    assert mock.get("/v1/runs", token="test-two").json()["total"] == 0


# --- What the journal tells of it


def test_the_journal_tells_what_was_sent_to_a_request_that_a_fault_answered():
    mock = controlled_mock()
    fault_id = mock.fault(match="POST /v1/runs/bulk", times=2, answer={"status": 500})

    statuses = [_ask(mock, "POST", "/v1/runs/bulk", json=_BULK).status_code for _ in range(3)]

    assert statuses == [500, 500, 201]
    entries = mock.requests(match="bulk_create_runs")
    assert [each["status"] for each in entries] == statuses
    assert [each["body"] for each in entries] == [_BULK] * 3
    assert [each["fault"] for each in entries] == [fault_id, fault_id, None]
    assert entries[0]["answer"]["body"] == {"detail": "Internal Server Error"}
    assert mock.asked("/requests/unmatched")["total"] == 0


@pytest.mark.parametrize(
    "source", [{"fault": "not-json"}, {"fault": "break-schema"}, {"fault": "truncated-json"}, {"delay_s": 0}]
)
def test_the_journal_holds_the_answer_that_the_client_saw(source):
    mock = controlled_mock()
    mock.create()
    mock.fault(match="*", **source)

    answer = _ask(mock)

    entry = mock.run(mock.app.namespaces.default.journal.find(2))
    assert (entry.status, entry.answer, entry.operation_id) == (200, answer.content, "list_runs")


@pytest.mark.parametrize("fault", ["hang", "reset", "cut", "garbage", "lost-answer"])
def test_without_a_connection_of_the_mock_a_fault_that_needs_one_says_so(fault):
    mock = controlled_mock()
    mock.fault(match="*", fault=fault, **({"delay_s": 3_600} if fault == "hang" else {}))

    answer = _ask(mock)

    assert answer.status_code == 501
    assert "mockserver serve" in answer.json()["detail"]
    assert mock.last_request()["reason"] == answer.json()["detail"]
