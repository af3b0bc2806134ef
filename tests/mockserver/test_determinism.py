"""The same seed and the same requests give the same bytes; another seed gives others."""

from __future__ import annotations

from tests.mockserver.inprocess import SUCCEEDS, Mock, unknown_id

_DEFAULTS = unknown_id()


def _sim_time_through(mock: Mock) -> list[bytes]:
    """Every answer of a life with chance in all its parts."""
    answers = [mock.post("/v1/runs", {"workflow_id": _DEFAULTS, "sensitive_input_values": {"a": "b"}})]
    run_id = answers[0].json()["id"]
    answers.append(mock.post("/v1/runs/bulk", {"workflow_id": _DEFAULTS, "count": 50, "start_session": False}))
    answers.append(mock.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * 3}))
    answers.append(mock.post("/v1/pools", {"name": "New"}))
    answers.append(mock.post("/v1/workflows", {"name": "New", "main_prompt": "Do it."}))
    for _ in range(4):
        mock.clock.advance(7)
        answers.append(mock.get("/v1/runs", params={"limit": 1000}))
    mock.clock.advance(3600)
    answers.append(mock.post(f"/v1/runs/{run_id}/retry", {}))
    answers.append(mock.get(f"/v1/runs/{run_id}"))
    assert all(answer.is_success for answer in answers), [answer.text for answer in answers if not answer.is_success]
    return [answer.content for answer in answers]


def test_the_same_requests_give_the_same_bytes_in_another_server():
    assert _sim_time_through(Mock(seed=7)) == _sim_time_through(Mock(seed=7))


def test_another_seed_gives_other_ids_and_other_lives():
    one, other = Mock(seed=1), Mock(seed=2)
    first, second = _sim_time_through(one), _sim_time_through(other)
    assert not set(one.ids()) & set(other.ids())
    statuses = [[run["status"] for run in mock.listed()] for mock in (one, other)]
    assert statuses[0] != statuses[1]
    assert not set(first) & set(second)


def test_reading_in_between_changes_nothing():
    quiet, watched = Mock(), Mock()
    for mock in (quiet, watched):
        mock.create_many(20, _DEFAULTS)
    for _ in range(30):
        watched.clock.advance(1)
        watched.listed()
    quiet.clock.advance(30)
    assert quiet.listed() == watched.listed()


def test_organisations_do_not_disturb_each_other():
    alone, in_company = Mock(), Mock()
    in_company.create_many(3, token="test-two")
    assert alone.create() == in_company.create()


def test_a_refused_request_leaves_no_trace_in_what_comes_after():
    clean, tried = Mock(), Mock()
    assert tried.post("/v1/runs", {}).status_code == 422
    assert tried.post("/v1/runs", {"workflow_id": SUCCEEDS}, prefer="code=422").status_code == 422
    assert clean.create() == tried.create()
