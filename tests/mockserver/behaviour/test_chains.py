"""Chains: one run a step, in one session, one after the other."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest

from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    FRONT_DESK_2,
    FRONT_DESKS,
    NEEDS_AN_INVOICE_NUMBER,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    new_organisation,
    turns_of,
    unknown_id,
    violations,
)


def _chained(mock, *steps, **body):
    answer = mock.post("/v1/runs/chain", {"steps": list(steps), **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["session_id"], [mock.read(run_id) for run_id in answer.json()["run_ids"]]


def test_a_chain_makes_one_run_a_step_in_the_order_of_the_steps():
    mock = new_organisation()
    workflow_ids = [SUCCEEDS, TASK_FAILED, unknown_id(), SUCCEEDS]

    session_id, runs = _chained(mock, *({"workflow_id": each} for each in workflow_ids))

    assert [run["workflow_id"] for run in runs] == workflow_ids
    assert {run["session_id"] for run in runs} == {session_id}
    assert {run["status"] for run in runs} == {"scheduling"}
    assert len({run["id"] for run in runs}) == 4
    assert str(UUID(session_id)) == session_id
    assert mock.ids(session_id=session_id) == [run["id"] for run in reversed(runs)]


def test_steps_run_one_after_the_other_though_one_fails():
    mock = new_organisation()
    _, runs = _chained(mock, *({"workflow_id": each} for each in (SUCCEEDS, TASK_FAILED, SUCCEEDS)))

    mock.clock.advance(200)

    ended = [mock.read(run["id"]) for run in runs]
    assert [run["status"] for run in ended] == ["success", "task_failed", "success"]
    assert all(one["ended_at"] <= next_["started_at"] for one, next_ in itertools.pairwise(ended))


def test_a_steps_own_inputs_lie_over_the_shared_ones():
    mock = new_organisation()

    _, runs = _chained(
        mock,
        {"workflow_id": SUCCEEDS, "session_alias": "one", "inputs": {"b": 2}, "sensitive_inputs": {"q": "2"}},
        {"workflow_id": SUCCEEDS},
        {"workflow_id": SUCCEEDS, "inputs": {"c": {"$ref": "one.outputs.rows"}}, "session_alias": None},
        shared_inputs={"a": 1, "b": 1},
        shared_sensitive_inputs={"p": "1", "q": "1"},
    )

    assert [run["input_values"] for run in runs] == [
        {"a": 1, "b": 2},
        {"a": 1, "b": 1},
        {"a": 1, "b": 1, "c": {"$ref": "one.outputs.rows"}},
    ]
    assert [run["session_alias"] for run in runs] == ["one", None, None]
    assert all(set(run["sensitive_input_aliases"]) == {"p", "q"} for run in runs)


def test_a_chain_without_inputs_has_none():
    _, (run,) = _chained(new_organisation(), {"workflow_id": SUCCEEDS}, shared_inputs=None, shared_file_inputs=None)

    assert (run["input_values"], run["sensitive_input_aliases"], run["input_attachment_ids"]) == (None, None, None)


def test_shared_files_go_with_every_step():
    mock = new_organisation()

    _, runs = _chained(
        mock,
        {"workflow_id": SUCCEEDS},
        {"workflow_id": SUCCEEDS},
        shared_file_inputs=[{"filename": "a.txt", "content": "aGk="}],
    )

    ids = [id_ for run in runs for id_ in run["input_attachment_ids"]]
    assert len(set(ids)) == 2
    assert [mock.get(f"/v1/run-attachments/{id_}").json()["run_id"] for id_ in ids] == [run["id"] for run in runs]


@pytest.mark.parametrize(("keep", "released"), [(None, True), (False, True), (True, False)])
def test_the_last_step_releases_the_session_unless_it_is_kept(keep, released):
    _, runs = _chained(new_organisation(), *[{"workflow_id": SUCCEEDS}] * 3, **{"keep_session_after_completion": keep})

    assert [run["release_session_after"] for run in runs] == [False, False, released]


def test_a_chain_runs_on_one_machine():
    mock = new_organisation()

    _, named = _chained(mock, *[{"workflow_id": SUCCEEDS}] * 2, machine_id=ACCOUNTING_1)
    _, picked = _chained(mock, *[{"workflow_id": SUCCEEDS}] * 2, pool_ids=[FRONT_DESKS])

    assert {run["machine_id"] for run in named} == {ACCOUNTING_1}
    (machine_id,) = {run["machine_id"] for run in picked}
    assert machine_id in mock.get(f"/v1/machines/{machine_id}").text
    assert {tuple(run["pool_ids"]) for run in picked} == {(FRONT_DESKS,)}


def test_a_chain_joins_a_session_and_waits_for_those_before_it():
    mock = new_organisation()
    holder = mock.create(NEVER_ENDS, start_session=True, machine_id=FRONT_DESK_2)

    session_id, runs = _chained(
        mock, {"workflow_id": SUCCEEDS}, session_id=holder["session_id"], machine_id=ACCOUNTING_1
    )
    mock.clock.advance(1000)

    assert (session_id, runs[0]["machine_id"]) == (holder["session_id"], FRONT_DESK_2)
    assert mock.status(runs[0]["id"]) == "scheduling"


def test_a_preferred_outcome_is_that_of_every_step():
    mock = new_organisation()
    body = {"steps": [{"workflow_id": SUCCEEDS}] * 2}
    run_ids = mock.post("/v1/runs/chain", body, prefer="outcome=error, duration=1").json()["run_ids"]

    mock.clock.advance(20)

    assert [mock.status(run_id) for run_id in run_ids] == ["error", "error"]


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({}, ("steps",), "missing"),
        ({"steps": []}, ("steps",), "too_short"),
        ({"steps": {}}, ("steps",), "list_type"),
        ({"steps": [{}]}, ("steps", 0, "workflow_id"), "missing"),
        ({"steps": [{"workflow_id": SUCCEEDS}, {"workflow_id": "x"}]}, ("steps", 1, "workflow_id"), "uuid_parsing"),
        ({"steps": [{"workflow_id": SUCCEEDS, "inputs": 5}]}, ("steps", 0, "inputs"), "dict_type"),
        (
            {"steps": [{"workflow_id": SUCCEEDS}], "shared_file_inputs": [{"filename": "a", "content": "?"}]},
            ("shared_file_inputs", 0, "content"),
            "base64_decode",
        ),
    ],
)
def test_a_wrong_chain_is_refused_and_makes_nothing(body, loc, kind):
    mock = new_organisation()

    answer = mock.post("/v1/runs/chain", body)

    assert violations(answer) == [(("body", *loc), kind)]
    assert mock.total() == 0


def test_a_steps_inputs_are_judged_by_its_workflows_schema_and_named_where_they_stand():
    mock = new_organisation()
    steps = [{"workflow_id": SUCCEEDS}, {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "inputs": {"invoice_number": "x"}}]

    answer = mock.post("/v1/runs/chain", {"steps": steps})

    assert violations(answer) == [(("body", "steps", 1, "inputs", "invoice_number"), "int_parsing")]
    assert mock.total() == 0


def test_a_shared_input_is_enough_for_a_workflows_schema():
    steps = [{"workflow_id": NEEDS_AN_INVOICE_NUMBER}]

    _, runs = _chained(new_organisation(), *steps, shared_inputs={"invoice_number": 3})

    assert runs[0]["input_values"] == {"invoice_number": 3}


def test_what_an_earlier_step_will_produce_is_not_judged_yet():
    step = {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "inputs": {"invoice_number": {"$ref": "lookup.outputs.number"}}}

    _, runs = _chained(new_organisation(), {"workflow_id": SUCCEEDS, "session_alias": "lookup"}, step)

    assert runs[1]["input_values"] == step["inputs"]


@pytest.mark.parametrize(
    "body",
    [
        {"steps": [{"workflow_id": SUCCEEDS}, {"workflow_id": unknown_id()}]},
        {"steps": [{"workflow_id": SUCCEEDS}], "machine_id": unknown_id()},
        {"steps": [{"workflow_id": SUCCEEDS}], "pool_ids": [unknown_id()]},
    ],
)
def test_what_nobody_knows_is_refused_where_only_known_things_are_let_in(body):
    mock = new_organisation(known_only=True)

    assert mock.post("/v1/runs/chain", body).status_code == 404
    assert mock.total() == 0


def test_a_chain_of_many_steps_is_made_whole():
    mock = new_organisation()

    session_id, runs = _chained(mock, *[{"workflow_id": SUCCEEDS}] * 150)

    assert mock.total(session_id=session_id) == len(runs) == 150
    mock.clock.advance(150 * 23)
    assert mock.total(session_id=session_id, status="success") == 150


def test_many_steps_without_an_input_schema_are_checked_with_others_in_between(monkeypatch):
    mock = new_organisation()
    turns = turns_of(monkeypatch)

    mock.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * 50})

    assert len(turns) >= 50
