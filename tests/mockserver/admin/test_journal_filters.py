"""Filters of the journal, its count, and what it says where entries had to go."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mockserver.behaviour.run_view import FIELDS
from tests.documents import control_document
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import SUCCEEDS, unknown_id


def _told() -> ControlledMock:
    """A mock that was asked for seven things."""
    mock = controlled_mock()
    run = mock.create()  # 1
    mock.create_many(2)  # 2
    mock.get(f"/v1/runs/{run['id']}")  # 3
    mock.get(f"/v1/runs/{unknown_id()}")  # 4
    mock.get("/v1/runs", token=None)  # 5
    mock.post("/v1/runs/bulk", {})  # 6
    mock.get("/v1/rnus")  # 7
    return mock


_FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6, 7]),
    ({"operation": "get_run"}, [3, 4]),
    ({"operation": "list_pools"}, []),
    ({"path": "/v1/rnus"}, [7]),
    ({"path": "/v1/runs/bluk", "method": "POST"}, []),
    ({"method": "POST"}, [1, 2, 6]),
    ({"method": "post"}, [1, 2, 6]),
    ({"path": "/v1/runs"}, [1, 5]),
    ({"path": "/v1/runs/*"}, [2, 3, 4, 6]),
    ({"path": "/v1/**"}, [1, 2, 3, 4, 5, 6, 7]),
    ({"status": 404}, [4, 7]),
    ({"valid": True}, [1, 2, 3, 4]),
    ({"valid": False}, [5, 6, 7]),
    ({"since": 4}, [5, 6, 7]),
    ({"since": 99}, []),
    ({"match": "POST /v1/runs/bulk"}, [2, 6]),
    ({"match": "* /v1/runs"}, [1, 5]),
    ({"match": "list_runs"}, [5]),
    ({"match": "*"}, [1, 2, 3, 4, 5, 6, 7]),
    ({"match": "POST /v1/runs/bulk", "status": 422, "valid": False, "since": 2}, [6]),
]


def test_a_path_without_the_name_of_a_namespace_is_not_one_inside_a_namespace():
    mock = controlled_mock()
    for path in ("/__ns//v1/runs", "/v1/runs"):
        mock.get(path)
    assert [each["path"] for each in mock.asked("/requests?path=/v1/runs")["items"]] == ["/v1/runs"]


_MATCH_NOTHING: list[tuple[dict[str, Any], str]] = [
    ({"match": "POST /v1/rums"}, "match: no operation has the path '/v1/rums': did you mean '/v1/runs'?"),
    (
        {"match": "POST /v1/runs/bluk"},
        "match: no operation is 'POST /v1/runs/bluk': did you mean 'POST /v1/runs/bulk'?",
    ),
    ({"match": "PSOT /v1/runs"}, "match: unknown method 'PSOT'; did you mean 'POST'?"),
    ({"operation": "list_rnus"}, "operation: unknown operationId 'list_rnus'; did you mean 'list_runs'?"),
    ({"operation": "foo"}, "operation: unknown operationId 'foo'; "),
]


@pytest.mark.parametrize(("filters", "words"), _MATCH_NOTHING, ids=lambda each: str(each))
def test_a_filter_that_no_request_can_match_is_refused(filters, words):
    mock = controlled_mock()
    listed = mock.control("GET", "/requests", params=filters)
    counted = mock.control("POST", "/requests/count", filters)
    for answer in (listed, counted):
        assert answer.status_code == 422
        assert words in answer.json()["detail"]


def test_a_misspelled_path_is_refused_with_the_filter_that_takes_any_path():
    mock = controlled_mock()
    filters = {"match": "POST /v1/rums"}
    misspelled = "match: no operation has the path '/v1/rums': did you mean '/v1/runs'?"

    listed = mock.control("GET", "/requests", params=filters).json()
    counted = mock.control("POST", "/requests/count", filters).json()

    # `verify` shows the latter, and has no filter 'path'.
    assert listed == {"detail": f"{misspelled} The filter 'path' takes any path"}
    assert counted == {"detail": misspelled}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/requests?statuss=200", "list_requests has no query parameter 'statuss': did you mean 'status'?"),
        ("/runs?stauts=running", "list_runs has no query parameter 'stauts': did you mean 'status'?"),
        (
            "/runs?zzz=1",
            "list_runs has no query parameter 'zzz': there are fields, limit, ",
        ),
    ],
)
def test_a_query_parameter_that_is_not_known_is_refused(path, words):
    answer = controlled_mock().control("GET", path)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(words)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method.upper(), re.sub(r"\{\w+\}", "x", path.removeprefix("/__admin")))
        for path, item in control_document()["paths"].items()
        for method in item
        if method != "parameters"
    ],
)
def test_every_operation_refuses_a_query_parameter_that_it_does_not_have(method, path):
    answer = controlled_mock().control(method, f"{path}?zzz=1")

    assert answer.status_code == 422
    assert " has no query parameter 'zzz': " in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/requests?status=500&status=503", "list_requests takes one 'status', and 2 were sent"),
        ("/runs?limit=1&status=error&st%61tus=success&status=error", "list_runs takes one 'status', and 3 were sent"),
    ],
)
def test_a_filter_that_is_sent_twice_is_refused(path, words):
    answer = controlled_mock().control("GET", path)
    assert (answer.status_code, answer.json()["detail"]) == (422, words)


def test_a_list_of_values_is_sent_as_several():
    mock = controlled_mock()
    mock.create()
    [run] = mock.control("GET", "/runs?fields=error&fields=started_at").json()["items"]
    assert {"error", "started_at"} <= run.keys()


def test_a_run_may_be_asked_for_each_of_its_fields_and_no_others():
    mock = controlled_mock()
    mock.create()
    listed = mock.control("GET", "/runs", params={"fields": list(FIELDS)})
    assert listed.status_code == 200
    assert listed.json()["items"][0].keys() == set(FIELDS)
    refused = mock.control("GET", "/runs?fields=eror")  # no field of a run
    assert refused.status_code == 422
    assert "'error'" in refused.text


def test_a_filter_that_an_operation_does_not_have_deletes_nothing():
    mock = _told()
    before = mock.requests()
    fault_id = mock.fault(match="*", answer={"status": 500})

    for path in ("/requests?status=200", "/faults?match=list_runs"):
        assert mock.control("DELETE", path).status_code == 422

    assert mock.requests() == before
    assert [each["id"] for each in mock.asked("/faults")["items"]] == [fault_id]


@pytest.fixture(scope="module")
def told(store: None) -> ControlledMock:
    return _told()


@pytest.mark.parametrize(("filters", "seqs"), _FILTERS, ids=lambda each: str(each))
def test_a_filter_leaves_what_it_asks_for_and_the_count_agrees(told, filters, seqs):
    query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in filters.items()}

    listed = told.control("GET", "/requests", params=query).json()

    assert [each["seq"] for each in listed["items"]] == seqs
    assert (listed["total"], listed["complete"]) == (len(seqs), True)
    assert told.control("POST", "/requests/count", filters).json() == {"count": len(seqs), "complete": True}


@pytest.mark.parametrize("match", ["GET /nothing/like/it", "* /nothing/like/it", "PUT /v1/runs"])
def test_a_match_that_no_operation_has_may_be_counted_and_has_a_hint(told, match):
    counted = told.control("POST", "/requests/count", {"match": match}).json()
    listed = told.asked("/requests", params={"match": match})

    assert counted["count"] == listed["total"] == 0
    assert counted["hint"] == listed["hint"]
    assert counted["hint"].startswith("no operation has ")


def test_the_match_of_the_issue_is_taken_as_it_stands(told):
    assert len(told.asked("/requests?match=POST+/v1/runs/bulk")["items"]) == 2


def test_the_limit_keeps_the_latest_and_the_total_counts_all(told):
    listed = told.asked("/requests?limit=2")

    assert ([each["seq"] for each in listed["items"]], listed["total"]) == ([6, 7], 7)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("match=list_rusn", "did you mean 'list_runs'?"),
        ("match=/v1/runs", "write 'METHOD /path', an operationId, or *"),
        ("match=", "write 'METHOD /path'"),
        ("status=99", "should be 100 or more"),
        ("status=x", "should be a whole number"),
        ("valid=perhaps", "should be true or false"),
        ("since=-1", "should be 0 or more"),
        ("limit=0", "should be 1 or more"),
        ("limit=10001", "should be 10000 or less"),
    ],
)
def test_a_wrong_filter_is_refused_with_what_would_be_right(told, query, words):
    answer = told.control("GET", f"/requests?{query}")

    assert answer.status_code == 422
    assert words in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"mach": "*"}, "mach"),
        ({"match": 1}, "match"),
        ({"match": "POST"}, "write 'METHOD /path'"),
        ([], "should be an object"),
    ],
)
def test_a_wrong_count_is_refused_with_what_would_be_right(told, body, words):
    answer = told.control("POST", "/requests/count", body)

    assert answer.status_code == 422
    assert words in answer.text


def test_filters_in_a_namespace_go_by_the_path_in_it():
    mock = controlled_mock()
    mock.get("/__ns/a/v1/runs")

    assert len(mock.requests("a", match="GET /v1/runs")) == len(mock.requests("a", path="/v1/runs")) == 1


# --- Where entries had to go


def test_where_an_entry_had_to_go_that_may_have_matched_it_is_said():
    mock = controlled_mock(journal_bytes=20_000)
    for _ in range(30):
        mock.get("/v1/health")

    listed = mock.asked("/requests")
    seqs = [each["seq"] for each in listed["items"]]

    assert listed["complete"] is False
    assert 3 < len(seqs) < 30
    assert seqs == list(range(31 - len(seqs), 31))
    assert mock.control("POST", "/requests/count", {}).json() == {"count": len(seqs), "complete": False}
    assert mock.asked("/requests/unmatched")["complete"] is False
    assert mock.control("GET", f"/requests/{seqs[0] - 1}").status_code == 404
    assert mock.control("GET", f"/requests/{seqs[0]}").status_code == 200


def test_what_came_after_the_last_that_had_to_go_is_complete():
    mock = controlled_mock(journal_bytes=20_000)
    for _ in range(30):
        mock.get("/v1/health")
    first = mock.requests()[0]["seq"]

    assert mock.asked(f"/requests?since={first - 1}")["complete"] is True
    assert mock.asked(f"/requests?since={first - 2}")["complete"] is False


def test_what_was_emptied_is_not_missed():
    mock = controlled_mock(journal_bytes=20_000)
    for _ in range(30):
        mock.get("/v1/health")
    mock.control("DELETE", "/requests")

    assert mock.asked("/requests")["complete"] is True


def test_the_room_is_shared_and_the_oldest_entry_of_all_namespaces_goes_first():
    mock = controlled_mock(journal_bytes=20_000)
    mock.get("/__ns/a/v1/health")
    mock.get("/__ns/b/v1/health")
    for _ in range(30):
        mock.get("/v1/health")
    mock.get("/__ns/b/v1/health")

    assert mock.asked("/requests", namespace="a") == {"items": [], "total": 0, "complete": False}
    assert [each["seq"] for each in mock.requests("b")] == [2]


def test_a_request_that_is_larger_than_the_room_is_not_kept_and_missed():
    mock = controlled_mock(journal_bytes=20_000)
    mock.post("/v1/runs", {"workflow_id": SUCCEEDS, "input_values": {"text": "x" * 30_000}})

    assert mock.asked("/requests") == {"items": [], "total": 0, "complete": False}
