"""Preferences: what a client asks the mock to do, beside what it asks of the API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from mockserver.errors import BadRequest
from mockserver.prefer import read_preferences
from tests.mockserver.inprocess import NEVER_ENDS, SUCCEEDS, Mock, unknown_id, violations


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("outcome=error", ("outcome=error",)),
        ('outcome="error"', ("outcome=error",)),
        (r'outcome="e\rror"', ("outcome=error",)),
        ("OUTCOME=error", ("outcome=error",)),
        ("outcome = error ; strict=1 , duration=2.5", ("outcome=error", "duration=2.5")),
        ("respond-async, wait=10, failed=2", ("failed=2",)),
        ("outcome=error, outcome=success", ("outcome=error",)),
        ("dynamic", ("dynamic=",)),
        ("", ()),
        ("handling=lenient", ()),
        (",,,", ()),
    ],
)
def test_a_header_is_read_as_the_rfc_writes_it(prefer: str, applied: tuple[str, ...]):
    assert read_preferences(prefer, "", "bulk_create_runs").applied == applied


@pytest.mark.parametrize(
    ("prefer", "said"),
    [
        ("code=99", "should be a status from 200 to 599"),
        ("code=600", "should be a status from 200 to 599"),
        ("code=two", "should be a status from 200 to 599"),
        ("outcome=cancelled", "should be one of success, task_failed, error"),
        ("outcome", "should be one of success, task_failed, error"),
        ("failed=-1", "should be a whole number"),
        ("failed=1.5", "should be a whole number"),
        ("failed=1234567890", "should be a whole number"),
        ("failed=٣", "should be a whole number"),
        ("duration=-1", "should be a number of seconds"),
        ("duration=1e3", "should be a number of seconds"),
        ("duration=٣", "should be a number of seconds"),
        ("delay=301", "should be 300 seconds at most"),
        ("delay=soon", "should be a number of seconds"),
        ("dynamic=yes", "should be true or false"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused_with_what_it_should_be(prefer: str, said: str):
    with pytest.raises(BadRequest, match=said):
        read_preferences(prefer, "", "bulk_create_runs")


@pytest.mark.parametrize(
    ("method", "path", "body", "applied"),
    [
        ("POST", "/v1/runs", {"workflow_id": SUCCEEDS}, "outcome=error, duration=1"),
        ("POST", "/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 2}, "outcome=error, duration=1, failed=1"),
        ("POST", "/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}]}, "outcome=error, duration=1"),
        ("GET", "/v1/runs", None, None),
    ],
)
def test_only_what_means_something_to_an_operation_is_said_to_be_applied(method, path, body, applied):
    answer = Mock().request(method, path, json=body, prefer="outcome=error, duration=1, failed=1")
    assert answer.is_success
    assert answer.headers.get("preference-applied") == applied


def test_a_preference_that_means_nothing_to_an_operation_is_not_judged():
    assert Mock().get("/v1/runs", prefer="outcome=nonsense, failed=many").status_code == 200


def test_several_lines_are_read_as_one():
    mock = Mock()
    body = {"workflow_id": SUCCEEDS, "count": 3}
    lines = [("prefer", "failed=1"), ("prefer", "outcome=error")]
    answer = mock.request("POST", "/v1/runs/bulk", json=body, headers=lines)
    assert answer.headers["preference-applied"] == "failed=1, outcome=error"
    assert answer.json()["failed_count"] == 1


def test_a_refused_preference_is_a_400_and_does_nothing():
    mock = Mock()
    answer = mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, prefer="outcome=cancelled")
    assert answer.status_code == 400
    assert "preference-applied" not in answer.headers
    assert mock.total() == 0


def test_the_code_in_the_query_goes_before_that_in_the_header_and_its_last_counts():
    assert read_preferences("code=404", "__code=401&__code=422", "get_run").code == 422
    assert read_preferences("", "x__code=1", "get_run").code is None
    assert read_preferences("dynamic=false", "", "get_run").dynamic is False


@pytest.mark.parametrize("status", [401, 404, 409, 422, 429])
def test_a_documented_code_is_answered_and_nothing_is_done(status: int):
    mock = Mock()
    answer = mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, prefer=f"code={status}")
    documented = status in mock.app.operations["create_run"].responses
    assert answer.status_code == (status if documented else 400)
    assert mock.total() == 0


def test_the_code_can_be_asked_for_in_the_query():
    mock = Mock()
    assert mock.get("/v1/runs?__code=422").status_code == 422
    assert mock.get("/v1/runs?__code=").status_code == 400


def test_a_preference_in_the_query_that_is_not_known_is_warned_of():
    mock = Mock()
    answer = mock.get("/v1/runs?__cod=422&__x=1")
    assert answer.status_code == 200
    assert answer.headers["mock-warning"] == (
        "list_runs has no query parameter '__cod'; did you mean '__code'? | list_runs has no query parameter '__x'"
    )


def test_any_status_can_be_asked_for_and_an_undocumented_one_has_a_detail():
    answer = Mock().get("/v1/health", prefer="code=418")
    assert (answer.status_code, answer.json()) == (418, {"detail": "I'm a Teapot"})
    assert answer.headers["preference-applied"] == "code=418"
    assert Mock().get("/v1/health", prefer="code=599", fails=True).json() == {"detail": "Status 599"}
    assert "preference-applied" not in Mock().get("/v1/health", prefer="code=99").headers


@pytest.mark.parametrize(("status", "length"), [(204, None), (205, "0"), (304, None)])
def test_a_status_without_content_that_was_asked_for_has_none_and_the_length_that_http_allows(
    status: int, length: str | None
):
    answer = Mock().get("/v1/health", prefer=f"code={status}")
    assert (answer.status_code, answer.content, answer.headers.get("content-length")) == (status, b"", length)


def test_a_429_that_was_asked_for_says_when_to_come_back():
    mock = Mock()
    answer = mock.get("/v1/runs", prefer="code=429")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["preference-applied"] == "code=429"


def test_an_answer_without_a_body_can_be_asked_for():
    mock = Mock()
    run = mock.create()
    answer = mock.delete(f"/v1/runs/{run['id']}", prefer="code=204")
    assert (answer.status_code, answer.content) == (204, b"")
    assert mock.read(run["id"]) == run


def test_bytes_can_be_asked_for():
    mock = Mock()
    path = "/v1/run-attachments/00000000-0000-4000-8000-000000000000/download"
    answer = mock.get(path, prefer="code=200")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"


def test_every_named_example_of_every_operation_can_be_asked_for_and_fits_the_spec():
    mock = Mock()
    asked = 0
    for operation in mock.app.operations.values():
        path = operation.path
        for name in ("run_id", "attachment_id", "machine_id", "pool_id", "workflow_id"):
            path = path.replace(f"{{{name}}}", "00000000-0000-4000-8000-000000000000")
        if operation.method in ("POST", "PATCH"):
            continue
        for status in operation.responses:
            for name in operation.responses[status].examples:
                answer = mock.request(
                    operation.method, path, prefer=f"code={status}, example={name}", fails=status >= 500
                )
                assert answer.status_code == status, answer.text
                asked += 1
    assert asked


def test_the_example_of_a_refusal_is_about_what_the_operation_has():
    mock = Mock()
    checked = 0
    for operation in mock.app.operations.values():
        if 422 not in operation.responses:
            continue
        path = re.sub(r"\{\w+\}", "3c90c3cc-0d44-4b50-8888-8dd25736052a", operation.path)
        body = {"json": _VALID[operation.operation_id]} if operation.operation_id in _VALID else {}
        answer = mock.request(operation.method, f"{path}?__code=422", **body)
        assert answer.status_code == 422
        assert "mock-warning" not in answer.headers, "the request itself is not valid"
        [violation] = answer.json()["detail"]
        place, *rest = violation["loc"]
        if place == "body":
            assert operation.body is not None
            assert rest == [1] or rest[0] in operation.body.fields, operation
        else:
            assert (place, rest[0]) in [(each.place, each.name) for each in operation.parameters], operation
        checked += 1
    assert checked == 21
    assert mock.get("/v1/runs?__code=422").json()["detail"][0]["loc"] == ["query", "limit"]


_VALID = {
    "bulk_create_runs": {"workflow_id": SUCCEEDS, "count": 1},
    "create_run": {"workflow_id": SUCCEEDS},
    "create_run_chain": {"steps": [{"workflow_id": SUCCEEDS}]},
    "update_run": {"input_values": {}},
    "retry_run": {},
    "create_pool": {"name": "a"},
    "add_machine_to_pool": {"machine_ids": []},
    "create_workflow": {"main_prompt": "a"},
}


def test_an_example_that_is_not_there_is_refused_by_name():
    detail = Mock().get("/v1/runs", prefer="example=none-such").json()["detail"]
    assert "documents no example 'none-such' of 200" in detail


def test_dynamic_makes_an_answer_up_the_same_for_the_same_request():
    first, second = Mock(), Mock()
    made_up = [mock.get("/v1/runs", prefer="dynamic=true").content for mock in (first, first, second)]
    assert len(set(made_up)) == 1
    assert Mock(seed=1).get("/v1/runs", prefer="dynamic=true").content != made_up[0]


@pytest.mark.parametrize("outcome", ["success", "task_failed", "error"])
def test_runs_end_as_they_were_asked_to(outcome: str):
    mock = Mock()
    runs = mock.create_many(5, prefer=f"outcome={outcome}")
    mock.clock.advance(3600)
    assert {mock.status(run["id"]) for run in runs} == {outcome}


def test_a_run_runs_for_as_long_as_was_asked_even_one_that_would_never_end():
    mock = Mock()
    run = mock.create(NEVER_ENDS, prefer="duration=100, outcome=success")
    mock.clock.advance(90)
    assert mock.status(run["id"]) == "running"
    mock.clock.advance(20)
    assert mock.status(run["id"]) == "success"


def test_so_many_of_a_bulk_create_fail_as_were_asked_to():
    mock = Mock()
    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 5}, prefer="failed=3")
    assert answer.status_code == 201
    assert answer.json()["failed_count"] == 3
    assert len(answer.json()["created_runs"]) == 2
    assert answer.headers["preference-applied"] == "failed=3"
    assert mock.total() == 2


def test_preferences_do_not_let_a_broken_request_through_and_are_not_said_to_be_applied():
    mock = Mock()
    answer = mock.post("/v1/runs", {}, prefer="outcome=error, delay=0")
    assert violations(answer) == [(("body", "workflow_id"), "missing")]
    assert "preference-applied" not in answer.headers
    answer = mock.get("/v1/runs?limit=0", prefer="example=foo, code=200")
    assert violations(answer) == [(("query", "limit"), "greater_than_equal")]
    assert "preference-applied" not in answer.headers


def test_only_what_was_done_is_said_to_be_applied():
    mock = Mock()
    body = {"workflow_id": SUCCEEDS}
    made_up = mock.post("/v1/runs", body, prefer="code=422, outcome=error, delay=0")
    created, repeated = (mock.post("/v1/runs", body, key="k", prefer="outcome=error, delay=0") for _ in range(2))

    assert made_up.headers["preference-applied"] == "code=422, delay=0"
    assert created.headers["preference-applied"] == "outcome=error, delay=0"
    assert repeated.headers["idempotency-status"] == "replayed"
    assert "preference-applied" not in repeated.headers


def test_a_delay_before_a_refusal_is_said_to_be_applied():
    mock = Mock()
    path = f"/v1/runs/{unknown_id()}/retry"
    answer = mock.run(_while_hours_pass(mock, mock.sent("POST", path, json={}, prefer="delay=2, outcome=error")))
    assert (answer.status_code, answer.headers["preference-applied"]) == (404, "delay=2")


@pytest.mark.parametrize(
    ("sent", "told"),
    [("%E2%82%AC", "'\\u20ac'"), ("%0d%0aX:1", "'\\r\\nX:1'"), ("%00%7f", "'\\x00\\x7f'"), ("e" * 5_000, "'eee")],
)
def test_a_refusal_quotes_a_preference_only_as_a_header_can(sent: str, told: str):
    answer = Mock().get(f"/v1/runs?__example={sent}")
    assert answer.status_code == 400
    assert f"documents no example {told}" in answer.headers["mock-warning"]
    assert len(answer.headers["mock-warning"]) <= 2_000


def test_a_delayed_answer_tells_of_the_time_after_the_delay():
    mock = Mock()
    run = mock.create(prefer="outcome=success")

    answer = mock.run(_while_hours_pass(mock, mock.sent("GET", f"/v1/runs/{run['id']}", prefer="delay=2")))

    assert answer.json()["status"] == "success"


async def _while_hours_pass(mock: Mock, request: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Until the answer is there: a store may take its time before the delay begins."""
    waiting = asyncio.ensure_future(request)
    while not waiting.done():
        await asyncio.sleep(0)
        mock.clock.advance(3600)
    return await waiting
