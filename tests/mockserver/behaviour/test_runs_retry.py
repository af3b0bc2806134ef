"""Retrying a run: the same id, in place, once it has ended."""

from __future__ import annotations

import pytest

from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ACCOUNTING_SOFTWARE,
    ENDS_AT_ONCE,
    FRONT_DESK_1,
    FRONT_DESK_2,
    FRONT_DESKS,
    HAS_OUTPUT_FILES,
    NEEDS_AN_INVOICE_NUMBER,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    TERMINAL,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)


def _retried(mock: Mock, run_id: str, **body):
    answer = mock.post(f"/v1/runs/{run_id}/retry", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_run_that_has_ended_goes_back_to_scheduling_under_its_id(status):
    mock = new_organisation()
    run = mock.create(input_values={"a": 1}, session_alias="x")
    mock.patch(f"/v1/runs/{run['id']}", {"status": status})

    retried = _retried(mock, run["id"])

    assert retried == {**run, "status": "scheduling"}
    assert mock.total() == 1


@pytest.mark.parametrize("start_session", [False, True])
@pytest.mark.parametrize("workflow_id", [TASK_FAILED, ENDS_AT_ONCE, HAS_OUTPUT_FILES])
def test_a_retry_answers_as_a_create_does_though_the_run_ends_at_once(workflow_id, start_session):
    mock = new_organisation(progression="immediate")
    run = mock.create(workflow_id, start_session=start_session)
    mock.clock.advance(1)
    ended = mock.read(run["id"])

    answers = [mock.post(f"/v1/runs/{run['id']}/retry", {}, key="one") for _ in range(2)]

    assert [answer.json() for answer in answers] == [run, run]
    assert mock.status(run["id"]) == ended["status"] != "scheduling"


@pytest.mark.parametrize("status", ["scheduling", "running", "running_checks"])
def test_a_run_that_has_not_ended_is_not_retried(status):
    mock = new_organisation(progression="manual")
    run = mock.create()
    mock.patch(f"/v1/runs/{run['id']}", {"status": status})
    before = mock.read(run["id"])

    answer = mock.post(f"/v1/runs/{run['id']}/retry", {})

    assert answer.status_code == 409
    assert status in answer.json()["detail"]
    assert mock.read(run["id"]) == before


def test_a_retry_clears_what_the_run_produced():
    mock = new_organisation()
    run = mock.create(TASK_FAILED, input_values={"kept": True})
    mock.clock.advance(60)
    produced = {
        "output_data": {"a": 1},
        "error": ["e"],
        "run_message_history": [{"a": 1}],
        "output_attachment_ids": ["x"],
        "usage_metadata": {"t": 1},
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:00Z",
    }
    mock.patch(f"/v1/runs/{run['id']}", produced)

    retried = _retried(mock, run["id"])

    assert {name: retried[name] for name in produced} == dict.fromkeys(produced)
    assert retried["input_values"] == {"kept": True}


def test_a_retried_run_lives_again_and_can_be_retried_again():
    mock = new_organisation()
    run = mock.create()

    for _ in range(3):
        mock.clock.advance(60)
        ended = mock.read(run["id"])
        assert ended["status"] == "success"
        assert ended["created_at"] == run["created_at"] < ended["started_at"]
        _retried(mock, run["id"])

    assert mock.status(run["id"]) == "scheduling"


def test_a_retry_may_bring_a_preferred_outcome():
    mock = new_organisation()
    run = mock.create(SUCCEEDS, prefer="duration=0")
    mock.clock.advance(60)

    mock.post(f"/v1/runs/{run['id']}/retry", {}, prefer="outcome=error, duration=0")
    mock.clock.advance(3)

    assert mock.status(run["id"]) == "error"


def test_new_inputs_replace_the_old_and_null_leaves_them():
    mock = new_organisation(progression="immediate")
    run = mock.create(input_values={"a": 1}, sensitive_input_values={"pin": "1"})

    left = _retried(mock, run["id"], input_values=None, sensitive_input_values=None, file_inputs=None)
    replaced = _retried(mock, run["id"], input_values={"b": 2.0}, sensitive_input_values={"otp": "2", "pin": "3"})

    assert (left["input_values"], left["sensitive_input_aliases"]) == ({"a": 1}, run["sensitive_input_aliases"])
    assert repr(replaced["input_values"]) == "{'b': 2.0}"
    assert set(replaced["sensitive_input_aliases"]) == {"otp", "pin"}
    assert replaced["sensitive_input_aliases"]["pin"] != run["sensitive_input_aliases"]["pin"]


def test_empty_inputs_replace_the_old_too():
    mock = new_organisation(progression="immediate")
    run = mock.create(
        input_values={"a": 1},
        sensitive_input_values={"pin": "1"},
        file_inputs=[{"filename": "a", "content": ""}],
    )

    retried = _retried(mock, run["id"], input_values={}, sensitive_input_values={}, file_inputs=[])

    assert retried["input_values"] == {}
    assert not retried["sensitive_input_aliases"]
    assert not retried["input_attachment_ids"]
    assert mock.get("/v1/run-attachments").json()["total"] == 0


def test_what_an_update_set_as_inputs_is_what_a_retry_keeps():
    mock = new_organisation(progression="immediate")
    run = mock.create(input_values={"a": 1})
    mock.patch(f"/v1/runs/{run['id']}", {"input_values": {"b": 2}})

    assert _retried(mock, run["id"])["input_values"] == {"b": 2}


# --- A workflow's own schema ---------------------------------------------------------------------------------------


def test_new_inputs_are_judged_by_the_workflows_schema():
    mock = new_organisation(progression="immediate")
    run = mock.create(NEEDS_AN_INVOICE_NUMBER, input_values={"invoice_number": 1})

    answer = mock.post(f"/v1/runs/{run['id']}/retry", {"input_values": {"invoice_number": "x"}})

    assert violations(answer) == [(("body", "input_values", "invoice_number"), "int_parsing")]
    assert mock.status(run["id"]) == "success"


def test_new_secrets_alone_are_judged_together_with_the_inputs_that_are_there():
    mock = new_organisation(progression="immediate")
    run = mock.create(NEEDS_AN_INVOICE_NUMBER, input_values={"invoice_number": 1})

    assert _retried(mock, run["id"], sensitive_input_values={"pin": "1"})["input_values"] == {"invoice_number": 1}


def test_new_inputs_alone_are_not_asked_for_the_secrets_that_were_given_before():
    mock = new_organisation(progression="immediate")
    schema = '{"type": "object", "required": ["$pin", "a"], "properties": {"$pin": {"type": "string"}, "a": {}}}'
    workflow_id = mock.post("/v1/workflows", {"main_prompt": "x", "input_schema": schema}).json()["id"]
    run = mock.create(workflow_id, input_values={"a": 1}, sensitive_input_values={"pin": "1"})

    retried = _retried(mock, run["id"], input_values={"a": 2})
    refused = mock.post(f"/v1/runs/{run['id']}/retry", {"input_values": {}})

    assert retried["sensitive_input_aliases"] == run["sensitive_input_aliases"]
    assert violations(refused) == [(("body", "input_values", "a"), "missing")]


# --- Files ---------------------------------------------------------------------------------------------------------


def test_new_files_replace_the_old_ones_of_this_run_only():
    mock = new_organisation(progression="immediate")
    run, other = mock.create_many(2, file_inputs=[{"filename": "old.txt", "content": "b2xk"}])
    old = run["input_attachment_ids"][0]

    new = _retried(mock, run["id"], file_inputs=[{"filename": f"{n}.txt", "content": "bmV3"} for n in range(2)])

    assert len(new["input_attachment_ids"]) == 2
    assert mock.get(f"/v1/run-attachments/{old}").status_code == 404
    assert mock.get(f"/v1/run-attachments/{other['input_attachment_ids'][0]}/download").content == b"old"
    for id_ in new["input_attachment_ids"]:
        assert mock.get(f"/v1/run-attachments/{id_}/download").content == b"new"
    listed = mock.get("/v1/run-attachments", params={"run_id": run["id"]}).json()["items"]
    assert [each["id"] for each in listed] == new["input_attachment_ids"]
    assert mock.get("/v1/run-attachments").json()["total"] == 3


def test_files_of_every_retry_have_ids_of_their_own_though_no_time_has_passed():
    mock = new_organisation(progression="immediate")
    run = mock.create(file_inputs=[{"filename": "a.txt", "content": "MA=="}])
    seen = set(run["input_attachment_ids"])

    for number in range(1, 4):
        retried = _retried(mock, run["id"], file_inputs=[{"filename": "a.txt", "content": "MQ=="}])
        seen |= set(retried["input_attachment_ids"])
        assert len(seen) == number + 1

    gone = [mock.get(f"/v1/run-attachments/{id_}").status_code for id_ in seen]
    assert sorted(gone) == [200, 404, 404, 404]


def test_files_stay_where_a_retry_brings_none():
    mock = new_organisation(progression="immediate")
    run = mock.create(file_inputs=[{"filename": "a.txt", "content": "aGk="}])
    _retried(mock, run["id"], file_inputs=[{"filename": "b.txt", "content": "aGk="}])

    retried = _retried(mock, run["id"])

    (id_,) = retried["input_attachment_ids"]
    assert mock.get(f"/v1/run-attachments/{id_}").json()["filename"] == "b.txt"


def test_a_file_that_is_refused_leaves_the_run_as_it_was():
    mock = new_organisation(progression="immediate")
    run = mock.create(file_inputs=[{"filename": "a.txt", "content": "aGk="}])
    before = mock.read(run["id"])

    answer = mock.post(f"/v1/runs/{run['id']}/retry", {"file_inputs": [{"filename": "a", "content": "?"}]})

    assert violations(answer) == [(("body", "file_inputs", 0, "content"), "base64_decode")]
    assert mock.read(run["id"]) == before


# --- Where it runs -------------------------------------------------------------------------------------------------


def test_a_retried_run_stays_in_its_session_on_its_machine():
    mock = new_organisation(progression="immediate")
    run = mock.create(start_session=True, machine_id=ACCOUNTING_1, session_alias="me", release_session_after=True)

    retried = _retried(mock, run["id"], machine_id=FRONT_DESK_1)

    kept = ("session_id", "machine_id", "session_alias", "release_session_after")
    assert [retried[name] for name in kept] == [run[name] for name in kept]


def test_a_retried_run_leaves_its_session_when_it_is_told_to():
    mock = new_organisation(progression="immediate")
    run = mock.create(start_session=True, machine_id=ACCOUNTING_1, session_alias="me")

    retried = _retried(mock, run["id"], reuse_session=False)

    assert (retried["session_id"], retried["session_alias"]) == (None, None)
    assert retried["machine_id"] == ACCOUNTING_1
    assert mock.ids(session_id=run["session_id"]) == []


@pytest.mark.parametrize("reuse_session", [True, None])
def test_to_reuse_the_session_is_the_default(reuse_session):
    mock = new_organisation(progression="immediate")
    run = mock.create(start_session=True)

    assert _retried(mock, run["id"], reuse_session=reuse_session)["session_id"] == run["session_id"]


def test_a_retried_run_starts_a_new_session():
    mock = new_organisation(progression="immediate")
    run = mock.create(start_session=True)

    once = _retried(mock, run["id"], start_session=True)
    twice = _retried(mock, run["id"], start_session=True, reuse_session=False)

    assert len({run["session_id"], once["session_id"], twice["session_id"]}) == 3
    assert mock.ids(session_id=twice["session_id"]) == [run["id"]]


def test_a_retried_run_joins_the_session_that_is_named_and_its_machine():
    mock = new_organisation()
    holder = mock.create(NEVER_ENDS, start_session=True, machine_id=ACCOUNTING_1)
    run = mock.create(machine_id=FRONT_DESK_1, prefer="duration=0")
    mock.clock.advance(5)

    joined = _retried(
        mock, run["id"], session_id=holder["session_id"], start_session=True, session_alias="b", pool_ids=[FRONT_DESKS]
    )

    assert (joined["session_id"], joined["machine_id"]) == (holder["session_id"], ACCOUNTING_1)
    assert joined["session_alias"] == "b"
    mock.clock.advance(1000)
    assert mock.status(run["id"]) == "scheduling"
    mock.delete(f"/v1/runs/{holder['id']}")
    assert mock.status(run["id"]) == "success"


def test_a_retried_run_takes_the_machine_or_one_of_the_pools_that_are_named():
    mock = new_organisation(progression="immediate")
    run = mock.create(machine_id=FRONT_DESK_1)

    named = _retried(mock, run["id"], machine_id=ACCOUNTING_1, pool_ids=[FRONT_DESKS])
    picked = _retried(mock, run["id"], pool_ids=[FRONT_DESKS, ACCOUNTING_SOFTWARE])
    stays = _retried(mock, run["id"])

    assert named["machine_id"] == ACCOUNTING_1
    assert (picked["machine_id"], picked["pool_ids"]) == (FRONT_DESK_2, [FRONT_DESKS, ACCOUNTING_SOFTWARE])
    assert (stays["machine_id"], stays["pool_ids"]) == (FRONT_DESK_2, picked["pool_ids"])


def test_a_retry_says_anew_what_becomes_of_the_session_and_its_name():
    mock = new_organisation(progression="immediate")
    run = mock.create(start_session=True, session_alias="old", release_session_after=True)
    mock.patch(f"/v1/runs/{run['id']}", {"release_session_after": False})

    kept = _retried(mock, run["id"])
    renamed = _retried(mock, run["id"], session_alias="new", release_session_after=True)

    assert (kept["session_alias"], kept["release_session_after"]) == ("old", False)
    assert (renamed["session_alias"], renamed["release_session_after"]) == ("new", True)


def test_a_run_of_no_session_can_be_retried_many_times_among_others():
    mock = new_organisation(progression="immediate")
    runs = mock.create_many(3)

    _retried(mock, runs[1]["id"], start_session=True)
    _retried(mock, runs[1]["id"], reuse_session=False)

    assert mock.read(runs[0]["id"])["status"] == "success"
    assert mock.read(runs[1]["id"])["session_id"] is None


@pytest.mark.parametrize("body", [{"machine_id": unknown_id()}, {"pool_ids": [unknown_id()]}])
def test_what_nobody_knows_is_refused_where_only_known_things_are_let_in(body):
    mock = new_organisation(progression="immediate", known_only=True)
    run = mock.create()

    answer = mock.post(f"/v1/runs/{run['id']}/retry", body)

    assert answer.status_code == 404
    assert mock.status(run["id"]) == "success"


def test_a_run_that_nobody_knows_is_not_found():
    assert new_organisation().post(f"/v1/runs/{unknown_id()}/retry", {}).status_code == 404


def test_a_retry_needs_a_body_as_the_real_server_does():
    mock = new_organisation(progression="immediate")
    run = mock.create()

    assert violations(mock.post(f"/v1/runs/{run['id']}/retry")) == [(("body",), "missing")]
