"""Faults that cannot be made are refused with what would be right, and those that can be are made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mockserver.admin.control import controlled_mock

_500 = {"answer": {"status": 500}}

_ISSUE: list[dict[str, Any]] = [
    {"match": "POST /v1/runs/bulk", "times": 2, "answer": {"status": 500}},
    {"match": "GET /v1/runs/*", "times": 1, "answer": {"status": 429, "headers": {"Retry-After": "7"}}},
    *(
        {"match": "list_runs", "times": 1, "fault": fault, "after_bytes": 40, "delay_s": 2}
        for fault in ("hang", "reset", "cut", "garbage", "slow")
    ),
    {"match": "list_runs", "times": 1, "fault": "cut", "after_bytes": 40},
    {"match": "list_runs", "times": 1, "fault": "slow", "delay_s": 2},
    *(
        {"match": "get_run", "fault": "break-schema", "how": how}
        for how in ("missing-field", "wrong-type", "unknown-status", "bad-date", "extra-null")
    ),
    {"preset": "flaky"},
]


@pytest.mark.parametrize("source", _ISSUE, ids=str)
def test_the_documented_calls_work_as_they_stand(source):
    answer = controlled_mock().control("POST", "/faults", source)

    assert answer.status_code == 201
    assert answer.json()["id"] == answer.json()["ids"][0]


_WRONG: list[tuple[Any, str]] = [
    ([], "should be an object, not a list"),
    ({}, "match: say which requests are meant"),
    ({"match": 5, **_500}, "match"),
    ({"match": "list_rusn", **_500}, "match: 'list_rusn' matches no request: did you mean 'list_runs'?"),
    ({"match": "/v1/runs", **_500}, "write 'METHOD /path'"),
    (
        {"match": "POST /v1/run/bulk", **_500},
        "match: no operation has the path '/v1/run/bulk': did you mean '/v1/runs/bulk'?",
    ),
    ({"match": "GET /v1/Runs", **_500}, "did you mean '/v1/runs'?"),
    ({"match": "POST /runs", **_500}, "match: no operation has the path '/runs': did you mean '/v1/runs'?"),
    ({"match": "GET /v1/run/*", **_500}, "no operation has the path '/v1/run/*': did you mean '/v1/runs/{run_id}'?"),
    ({"match": "POST /v1/runs/bluk", **_500}, "match: no operation is 'POST /v1/runs/bluk': did you mean"),
    ({"match": "PSOT /v1/runs", **_500}, "match: unknown method 'PSOT'; did you mean 'POST'?"),
    ({"match": "OPTIONS /v1/runs", **_500}, "match: no fault applies to OPTIONS"),
    ({"preset": "outage", "match": "options /v1/**"}, "match: no fault applies to OPTIONS"),
    (
        {"match": "GET /v1/runs", "fault": "partial-failure"},
        "match: partial-failure applies to bulk creates only: write 'POST /v1/runs/bulk'",
    ),
    ({"match": "POST /v1/runs", "fault": "stale-read"}, "match: stale-read applies to reads only: match a GET, or '*'"),
    ({"match": "create_run", "fault": "stale-read"}, "match: stale-read applies to reads only"),
    ({"match": "*", "status": 500}, """'status' belongs in the answer: "answer": {"status": 500}"""),
    ({"match": "*"}, "say what happens: answer, retry_after, delay_s, delay, or fault with one of hang, reset"),
    ({"match": "*", "time": 2, **_500}, "unknown key 'time' in a fault; did you mean 'times'?"),
    ({"match": "*", "zzz": 2, **_500}, "there are match, headers"),
    # which requests
    ({"match": "*", "times": 0, **_500}, "times: a whole number from 1, not 0"),
    ({"match": "*", "times": 1.5, **_500}, "times: a whole number from 1, not 1.5"),
    ({"match": "*", "times": True, **_500}, "times: a whole number from 1, not True"),
    ({"match": "*", "times": "2", **_500}, "times: a whole number from 1, not '2'"),
    ({"match": "*", "times": None, **_500}, "times: a whole number from 1, not None"),
    ({"match": "*", "times": 10**400, **_500}, "times: a whole number from 1"),
    ({"match": "*", "nth": 0, **_500}, "nth: a number from 1, or [from, to], not 0"),
    ({"match": "*", "nth": [3, 2], **_500}, "nth: a number from 1, or [from, to]"),
    ({"match": "*", "nth": [1, 2, 3], **_500}, "nth: a number from 1, or [from, to]"),
    ({"match": "*", "nth": "first", **_500}, "nth: a number from 1, or [from, to]"),
    ({"match": "*", "cycle": 0, **_500}, "cycle: a whole number from 1"),
    ({"match": "*", "cycle": 2, "nth": 3, **_500}, "nth: in a cycle of 2 there is no request 3"),
    ({"match": "*", "probability": 1.1, **_500}, "probability: a number from 0 to 1, not 1.1"),
    ({"match": "*", "probability": True, **_500}, "probability: a number from 0 to 1"),
    ({"match": "*", "for_s": -1, **_500}, "for_s: a number from 0 to 1,000,000, not -1"),
    ({"match": "*", "headers": ["X-Mine"], **_500}, "should be an object"),
    ({"match": "*", "headers": {"X-Mine": 1}, **_500}, "headers: a mapping of names to values"),
    ({"match": "*", "headers": {"\u20ac": "x"}, **_500}, "headers: a mapping of names to values"),
    ({"match": "*", "body": "x", **_500}, "should be an object"),
    ({"match": "*", "body": {"count": 5}, **_500}, 'such as {"/count": 5}'),
    # answers
    ({"match": "*", "answer": 500}, 'answer: a mapping, such as {"status": 500'),
    ({"match": "*", "answer": {}}, "answer/status: from 200 to 599, not None"),
    ({"match": "*", "answer": {"status": 100}}, "answer/status: from 200 to 599, not 100"),
    ({"match": "*", "answer": {"status": 600}}, "answer/status: from 200 to 599, not 600"),
    ({"match": "*", "answer": {"status": "500"}}, "answer/status: from 200 to 599, not '500'"),
    (
        {"match": "*", "answer": {"status": 500, "heders": {}}},
        "unknown key 'heders' in an answer; did you mean 'headers'?",
    ),
    ({"match": "*", "answer": {"status": 500, "headers": []}}, "answer/headers: a mapping"),
    ({"match": "*", "answer": {"status": 500, "headers": {"A": 5}}}, "answer/headers: a mapping of names to texts"),
    ({"match": "*", "answer": {"status": 500, "headers": {"A": "x\r\nB: y"}}}, "without control characters"),
    ({"match": "*", "answer": {"status": 500, "headers": {"A: x": "y"}}}, "answer/headers"),
    ({"match": "*", "answer": {"status": 500, "headers": {"A": "\u20ac"}}}, "answer/headers"),
    ({"match": "*", "answer": {"status": 500, "headers": {"Content-Length": "5"}}}, "answer/headers: Content-Length"),
    ({"match": "*", "retry_after": -1}, "retry_after: a number from 0"),
    ({"match": "*", "retry_after": True}, "retry_after: a number from 0"),
    ({"match": "*", "retry_after": {"s": 1}}, "retry_after: a number from 0"),
    ({"match": "*", "retry_after": "5\r\nX: y"}, "retry_after: seconds, or a text"),
    ({"match": "*", "fault": "hang", **_500}, "a fault has one effect: give answer or fault, not both"),
    ({"match": "*", "fault": "reset", "retry_after": 7}, "a fault has one effect: give retry_after or fault, not both"),
    (
        {"match": "*", "fault": "reset", "retry_after": 7, **_500},
        "a fault has one effect: give answer and retry_after or fault, not both",
    ),
    # effects
    ({"match": "*", "fault": "hanging"}, "did you mean 'hang'?"),
    ({"match": "*", "fault": "explode"}, "there are hang, reset, cut"),
    ({"match": "*", "fault": ["hang"]}, "fault"),
    (
        {"match": "*", "fault": "break-schema", "how": "bad-dates"},
        "how: 'bad-dates' is not one of missing-field, wrong-type",
    ),
    ({"match": "*", "fault": "break-schema", "how": []}, "how: [] is not one of"),
    ({"match": "*", "fault": "cut", "after_bytes": -1}, "after_bytes: a whole number from 0"),
    ({"match": "*", "fault": "slow", "delay_s": -1}, "delay_s: a number from 0"),
    ({"match": "*", "fault": "hang", "how": "missing-field"}, "'how' does not apply to hang"),
    ({"match": "*", "fault": "reset", "share": 0.5}, "'share' does not apply to reset"),
    ({"match": "*", "answer": {"status": 500}, "how": "bad-date"}, "'how' does not apply to answer"),
    ({"match": "*", "delay_s": 1, "after_bytes": 5}, "'after_bytes' does not apply to delay"),
    ({"match": "*", "delay_s": 1, "delay": {"uniform": [1, 2]}}, "give one of them"),
    ({"match": "*", "delay": 5, "fault": "hang"}, 'delay: {"uniform": [from, to]} or'),
    (
        {"match": "*", "delay": 5},
        'delay: {"uniform": [from, to]} or {"lognormal": [median, sigma]}, in seconds; a fixed delay is delay_s',
    ),
    ({"match": "*", "delay": {"uniform": [2, 1]}}, "delay: {"),
    ({"match": "*", "delay": {"uniform": [1, "2"]}}, "delay: {"),
    ({"match": "*", "delay": {"uniform": [1, True]}}, "delay: {"),
    ({"match": "*", "delay": {"lognormal": [0, 1]}}, "delay: {"),
    ({"match": "*", "delay": {"normal": [1, 1]}}, "delay: {"),
    ({"match": "*", "delay": {"uniform": [1, 2], "lognormal": [1, 1]}}, "delay: {"),
    ({"match": "*", "fault": "partial-failure", "failed": 1, "share": 0.5}, "give one of them"),
    ({"match": "*", "fault": "partial-failure", "share": 2}, "share: a number from 0 to 1"),
    ({"match": "*", "fault": "stale-read", "stale_s": "old"}, "stale_s: a number from 0"),
    # presets
    ({"preset": "flakey"}, "preset: 'flakey' is not one of flaky, slow, outage"),
    ({"preset": 5}, "should be text, not 5"),
    ({"preset": "flaky", "answer": {"status": 500}}, "unknown key 'answer' beside a preset"),
    ({"preset": "flaky", "times": 0}, "times: a whole number from 1"),
]


@pytest.mark.parametrize(("source", "words"), _WRONG, ids=lambda each: str(each)[:80])
def test_a_wrong_fault_is_refused_with_what_would_be_right_and_none_is_added(source, words):
    mock = controlled_mock()

    answer = mock.control("POST", "/faults", source)

    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert words in (detail if isinstance(detail, str) else str(detail))
    assert mock.asked("/faults")["total"] == 0
    assert mock.fault(match="*", **_500) == "f1"


@pytest.mark.parametrize("path", ["/docs", "/v1/runs/", "/v1/runs/no-id", "/v2/*", "/v1/{id}/x/y", "/nothing/like/it"])
def test_a_path_of_no_operation_may_be_meant(path):
    assert controlled_mock().fault(match=f"GET {path}", **_500) == "f1"


def test_what_is_not_json_is_refused():
    mock = controlled_mock()

    answer = mock.control("POST", "/faults", content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert "JSON" in answer.text


def test_there_are_so_many_faults_at_most():
    mock = controlled_mock()
    for _ in range(999):
        mock.app._fault_parser.add(
            mock.app.namespaces.default.faults, {"match": "*", **_500}, mock.app.namespaces.default.clock
        )

    refused = mock.control("POST", "/faults", {"preset": "flaky"})
    assert refused.status_code == 422
    assert "DELETE /__admin/faults" in refused.json()["detail"]

    mock.fault(match="*", **_500)
    assert mock.control("POST", "/faults", {"match": "*", **_500}).status_code == 422


def test_the_faults_of_a_namespace_have_so_many_bytes_at_most():
    """Each request looks at all of them, and a list shows them at once."""
    mock = controlled_mock()
    large = {"match": "*", "answer": {"status": 500, "body": "x" * 2_500_000}}
    first = mock.fault(**large)

    refused = mock.control("POST", "/faults", large)
    assert refused.status_code == 422
    assert "4194304 bytes" in refused.json()["detail"]

    mock.control("DELETE", f"/faults/{first}")
    assert mock.control("POST", "/faults", large).status_code == 201
    state = mock.asked("/state")
    state["faults"]["items"].append({**state["faults"]["items"][0], "id": "f9"})
    assert "4194304 bytes" in mock.control("PUT", "/state", state).text


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"body": {"/" * 1_001: 1}}, "JSON pointers"),
        ({"body": {f"/{number}": 1 for number in range(33)}}, "32 values at most, not 33"),
        ({"headers": {f"h{number}": "" for number in range(33)}}, "32 values at most, not 33"),
    ],
    ids=["pointer", "body", "headers"],
)
def test_conditions_are_few_and_short(conditions, words):
    """Every request is compared with them."""
    refused = controlled_mock().control("POST", "/faults", {"match": "*", **_500, **conditions})

    assert refused.status_code == 422
    assert words in refused.json()["detail"]
