"""Creating many runs in one go."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.spec.jsontext import MAX_NESTING
from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ACCOUNTING_SOFTWARE,
    FAILS_IN_PART,
    FRONT_DESK_2,
    FRONT_DESKS,
    NEEDS_AN_INVOICE_NUMBER,
    SUCCEEDS,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 999, 1000])
def test_as_many_runs_are_made_as_were_asked_for(count):
    mock = new_organisation()

    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": count})

    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (len(body["created_runs"]), body["failed_count"], body["errors"]) == (count, 0, [])
    assert len({run["id"] for run in body["created_runs"]}) == count
    assert mock.total() == count


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (0, "greater_than"),
        (-1, "greater_than"),
        (1001, "less_than_equal"),
        (10**30, "less_than_equal"),
        (1.5, "int_from_float"),
        ("5", "int_type"),
        (True, "int_type"),
        (None, "int_type"),
        ([], "int_type"),
    ],
)
def test_a_count_outside_its_range_or_type_makes_nothing(count, kind):
    mock = new_organisation()

    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": count})

    assert violations(answer) == [(("body", "count"), kind)]
    assert mock.total() == 0


def test_a_number_without_a_fraction_is_an_integer_by_the_letter_of_json_schema():
    assert len(Mock().create_many(5.0)) == 5


def test_both_required_fields_are_missed_at_once():
    assert violations(new_organisation().post("/v1/runs/bulk", {})) == [
        (("body", "workflow_id"), "missing"),
        (("body", "count"), "missing"),
    ]


@pytest.mark.parametrize(("count", "made"), [("5", 5), (5.0, 5), (True, 1), ("7.0", 7)])
def test_in_lax_a_count_is_read_as_leniently_as_the_real_server_does(count, made):
    mock = new_organisation(coercion="lax")

    assert len(mock.create_many(count)) == made


def test_every_run_of_a_call_is_alike_but_for_its_id():
    mock = new_organisation()

    runs = mock.create_many(
        50,
        machine_id=ACCOUNTING_1,
        pool_ids=[FRONT_DESKS],
        input_values={"id": ',"id":"', "n": [1, 1.0, None]},
        sensitive_input_values={"pin": "0000"},
    )

    first = {**runs[0], "id": None}
    assert all({**run, "id": None} == first for run in runs)
    assert first["input_values"] == {"id": ',"id":"', "n": [1, 1.0, None]}
    assert set(first["sensitive_input_aliases"]) == {"pin"}


def test_every_run_of_a_call_can_be_read_as_it_was_answered():
    mock = new_organisation()
    runs = mock.create_many(30, input_values={"a": 1})

    assert [mock.read(run["id"]) for run in runs] == runs
    assert mock.listed() == runs[::-1]


def test_ids_are_unique_over_all_calls():
    mock = new_organisation()

    ids = [run["id"] for count in (1, 1, 1000, 17, 1000, 16) for run in mock.create_many(count)]

    assert len(set(ids)) == len(ids)
    assert all(UUID(id_).version == 4 for id_ in ids)


def test_a_started_session_is_one_new_id_on_every_run():
    mock = new_organisation()

    runs = mock.create_many(5, start_session=True)

    (session_id,) = {run["session_id"] for run in runs}
    assert str(UUID(session_id)) == session_id
    assert session_id not in {run["id"] for run in runs}
    assert len({run["machine_id"] for run in runs}) == 1


def test_a_joined_session_is_on_every_run_with_its_machine():
    mock = new_organisation()
    first = mock.create(start_session=True, machine_id=ACCOUNTING_1)

    runs = mock.create_many(3, session_id=first["session_id"], machine_id=FRONT_DESK_2, start_session=True)

    assert {(run["session_id"], run["machine_id"]) for run in runs} == {(first["session_id"], ACCOUNTING_1)}


def test_no_session_is_no_session():
    assert {run["session_id"] for run in new_organisation().create_many(3, start_session=False)} == {None}


def test_a_machine_of_all_the_pools_is_picked():
    runs = new_organisation().create_many(3, pool_ids=[FRONT_DESKS, ACCOUNTING_SOFTWARE])

    assert {run["machine_id"] for run in runs} == {FRONT_DESK_2}
    assert runs[0]["pool_ids"] == [FRONT_DESKS, ACCOUNTING_SOFTWARE]


def test_each_run_has_attachments_of_its_own():
    mock = new_organisation()
    files = [{"filename": f"{name}.txt", "content": "aGk="} for name in "ab"]

    runs = mock.create_many(20, file_inputs=files)

    assert all(len(run["input_attachment_ids"]) == 2 for run in runs)
    assert len({id_ for run in runs for id_ in run["input_attachment_ids"]}) == 40


# --- Partial failure -----------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 80))
def test_as_many_fail_as_is_preferred(count, failed):
    mock = new_organisation()

    answer = mock.post(
        "/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": count}, headers={"Prefer": f"failed={failed}"}
    )

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == f"failed={failed}"
    assert body["failed_count"] == len(body["errors"]) == min(failed, count)
    assert len(body["created_runs"]) + body["failed_count"] == count
    assert mock.total() == len(body["created_runs"])


@pytest.mark.parametrize(
    ("count", "places"), [(1, []), (2, [2]), (3, [3]), (4, [2, 4]), (7, [3, 5, 7]), (1_000, [*range(2, 1_001, 2)])]
)
def test_every_second_run_of_the_workflow_that_fails_in_part_is_not_made(count, places):
    body = new_organisation().post("/v1/runs/bulk", {"workflow_id": FAILS_IN_PART, "count": count}).json()

    assert (len(body["created_runs"]), body["failed_count"]) == (count - len(places), len(places))
    assert body["errors"] == [f"Run {place} of {count} could not be created" for place in places]


def test_what_is_preferred_goes_before_what_the_workflow_does():
    body = (
        new_organisation().post("/v1/runs/bulk", {"workflow_id": FAILS_IN_PART, "count": 10}, prefer="failed=0").json()
    )

    assert (len(body["created_runs"]), body["failed_count"]) == (10, 0)


def test_a_single_create_of_the_workflow_that_fails_in_part_works():
    assert Mock().create(FAILS_IN_PART)["status"] == "scheduling"


@pytest.mark.parametrize("prefer", ["failed=-1", "failed=x", "failed=1.5", "failed=", "failed=99999999999"])
def test_a_number_of_failures_that_is_none_is_refused(prefer):
    mock = new_organisation()

    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 2}, prefer=prefer)

    assert answer.status_code == 400
    assert "whole number" in answer.json()["detail"]
    assert mock.total() == 0


# --- All or nothing ------------------------------------------------------------------------------------------------


def test_a_refused_file_makes_no_run_of_any():
    mock = new_organisation()
    files = [{"filename": "a", "content": "aGk="}, {"filename": "b", "content": "&"}]

    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 5, "file_inputs": files})

    assert violations(answer) == [(("body", "file_inputs", 1, "content"), "base64_decode")]
    assert mock.total() == 0
    assert mock.get("/v1/run-attachments").json()["total"] == 0


def test_a_schema_that_refuses_the_inputs_makes_no_run_of_any():
    mock = new_organisation()

    answer = mock.post("/v1/runs/bulk", {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "count": 5, "input_values": {}})

    assert violations(answer) == [(("body", "input_values", "invoice_number"), "missing")]
    assert mock.total() == 0


def test_a_refused_call_takes_no_ids_away_from_the_next():
    refused, smooth = Mock(known_only=True), Mock(known_only=True)
    refused.post("/v1/runs/bulk", {"workflow_id": unknown_id(), "count": 5})

    assert refused.create_many(3) == smooth.create_many(3)


@pytest.mark.parametrize("failed", [None, "failed=5"])
def test_an_unknown_machine_is_refused_where_only_known_ones_are_let_in(failed):
    mock = new_organisation(known_only=True)

    answer = mock.post(
        "/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 5, "machine_id": unknown_id()}, prefer=failed
    )

    assert answer.status_code == 404
    assert mock.total() == 0


def test_blocks_of_many_batches_are_all_listed():
    mock = new_organisation()

    made = [run["id"] for _ in range(140) for run in mock.create_many(2)]

    assert mock.ids(sort_mode="created_at_desc") == made[::-1]
    mock.clock.advance(100)
    assert mock.ids() == made[::-1]


def test_what_is_nested_as_deep_as_can_be_read_comes_back_in_creates_reads_and_lists():
    # One level is the body's own, one that of input_values: the mock checks its own answers here.
    deep: Any = 1
    for _ in range(MAX_NESTING - 2):
        deep = [deep]
    mock = Mock()
    run = mock.create_many(1, SUCCEEDS, input_values={"deep": deep})[0]

    assert run["input_values"] == {"deep": deep}
    assert mock.read(run["id"])["input_values"] == {"deep": deep}
    assert mock.listed()[0]["input_values"] == {"deep": deep}
    too_deep = {"workflow_id": SUCCEEDS, "count": 1, "input_values": {"deep": [deep]}}
    assert mock.post("/v1/runs/bulk", too_deep).status_code == 400


def test_an_answer_of_ordinary_size_is_sent_whole_and_a_large_one_in_parts():
    mock = Mock(self_check=False)

    ordinary = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 1000, "input_values": {"a": "x" * 50}})
    large = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 1000, "input_values": {"a": "x" * 900}})

    assert int(ordinary.headers["content-length"]) == len(ordinary.content)
    assert "content-length" not in large.headers
    assert len(large.json()["created_runs"]) == 1000
