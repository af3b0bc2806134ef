"""What the journal says of requests of web pages that may not use the mock."""

from __future__ import annotations

from tests.mockserver.admin.control import controlled_mock
from tests.mockserver.inprocess import SUCCEEDS
from tests.mockserver.test_browsers import OTHER, OWN, asked, preflight


def test_what_was_refused_to_a_page_is_in_the_journal_with_what_to_do():
    mock = controlled_mock()
    preflight(mock, OTHER)
    asked(mock, "GET", "/__ns/a/v1/runs")
    asked(mock, "POST", "/__ns/a/v1/runs/bulk", headers={"Origin": OTHER}, json={"workflow_id": SUCCEEDS, "count": 1})
    asked(mock, "POST", "/v1/runs", host="rebound.example", headers={"Origin": OWN}, json={})

    of_preflight, of_host = mock.requests()
    _, of_post = mock.requests("a")

    assert (of_preflight["method"], of_preflight["path"], of_preflight["status"]) == ("OPTIONS", "/v1/runs", 400)
    assert (of_post["method"], of_post["path"], of_post["status"]) == ("POST", "/__ns/a/v1/runs/bulk", 403)
    for each, flag in (
        (of_preflight, f"--cors-origin {OTHER}"),
        (of_post, f"--cors-origin {OTHER}"),
        (of_host, "--allowed-host rebound.example"),
    ):
        assert flag in each["reason"]
        assert each["answer"]["headers"]["mock-warning"] == f"{each['status']}: {each['reason']}"
        assert not each["valid"]
    # Its path is not what is wrong with it.
    assert mock.asked("/requests/unmatched")["items"] == []


def test_a_page_that_may_not_use_the_mock_makes_no_namespace():
    mock = controlled_mock()
    answer = asked(mock, "POST", "/__ns/evil/v1/runs/bulk", headers={"Origin": OTHER}, json={})
    assert answer.status_code == 403
    assert "evil" not in {each["name"] for each in mock.asked("/namespaces")["items"]}


def test_a_read_that_the_browser_hides_from_the_page_has_a_warning():
    mock = controlled_mock()
    answer = asked(mock, params={"pagesize": 3}, headers={"Origin": OTHER})
    asked(mock, headers={"Origin": OWN})
    asked(mock, headers={"Origin": "http://192.0.2.7:4010"}, host="192.0.2.7:4010")

    foreign, own, same = mock.requests()

    assert foreign["status"] == 200
    hidden, misspelled = foreign["warnings"]
    assert hidden == (
        f"The browser hides this answer from the page of {OTHER!r}: start the mock with --cors-origin {OTHER}"
    )
    assert "pagesize" in misspelled
    assert answer.headers["mock-warning"] == f"{hidden} | {misspelled}"
    assert own["warnings"] == same["warnings"] == []
