"""Creating one run: what is echoed, what is picked, what is refused."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.clock import SECOND
from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ACCOUNTING_SOFTWARE,
    FRONT_DESK_1,
    FRONT_DESK_2,
    FRONT_DESKS,
    IN_THE_BASEMENT,
    NEEDS_AN_INVOICE_NUMBER,
    SUCCEEDS,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)


def test_a_created_run_starts_in_scheduling_with_nothing_to_show_yet():
    mock = new_organisation()

    run = mock.create()

    assert run["status"] == "scheduling"
    empty = ("error", "output_data", "input_attachment_ids", "output_attachment_ids", "run_message_history")
    assert [run[name] for name in (*empty, "started_at", "ended_at", "session_id")] == [None] * 8
    assert str(UUID(run["id"])) == run["id"]
    created = datetime.fromisoformat(run["created_at"])
    assert created.timestamp() == mock.clock.now() / SECOND
    assert created.tzinfo is not None


def test_a_created_run_is_read_as_it_was_answered():
    mock = new_organisation()

    run = mock.create(input_values={"a": 1}, sensitive_input_values={"pin": "x"}, session_alias="me", pool_ids=[])

    assert mock.read(run["id"]) == run
    assert mock.listed() == [run]


def test_all_that_was_asked_for_is_echoed():
    mock = new_organisation()

    run = mock.create(
        machine_id=ACCOUNTING_1,
        pool_ids=[FRONT_DESKS],
        input_values={"patient": "4711"},
        session_alias="intake",
        release_session_after=True,
        start_session=True,
    )

    assert (run["machine_id"], run["pool_ids"]) == (ACCOUNTING_1, [FRONT_DESKS])
    assert (run["input_values"], run["session_alias"]) == ({"patient": "4711"}, "intake")
    assert run["release_session_after"] is True
    assert run["session_id"] == run["id"]


@pytest.mark.parametrize(
    "name",
    [
        "machine_id",
        "pool_ids",
        "input_values",
        "file_inputs",
        "sensitive_input_values",
        "session_id",
        "start_session",
        "session_alias",
        "release_session_after",
    ],
)
def test_null_means_the_same_as_leaving_a_field_out(name):
    given, left_out = Mock(), Mock()

    assert given.create(**{name: None}) == left_out.create()


def test_properties_that_nobody_knows_are_ignored():
    mock = new_organisation()

    run = mock.create(is_priority=False, colour="blue")

    assert "colour" not in run


def test_an_id_in_capitals_comes_back_in_small_letters():
    mock = new_organisation()
    machine_id, workflow_id = unknown_id(), unknown_id()

    run = mock.create(workflow_id.upper(), machine_id=machine_id.upper())

    assert (run["workflow_id"], run["machine_id"]) == (workflow_id, machine_id)


@pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s", "nodashes"])
def test_an_id_in_another_form_is_read_leniently_in_lax_only(form):
    workflow_id = unknown_id()
    sent = workflow_id.replace("-", "") if form == "nodashes" else form % workflow_id

    strict = new_organisation().post("/v1/runs", {"workflow_id": sent})
    lax = Mock(coercion="lax").post("/v1/runs", {"workflow_id": sent})

    assert violations(strict) == [(("body", "workflow_id"), "uuid_parsing")]
    assert (lax.status_code, lax.json()["workflow_id"]) == (201, workflow_id)


# --- Values --------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _same(one: object, other: object) -> bool:
    """Equal, and of the same JSON types, floats by their bits: 1 is not 1.0, 0.0 is not -0.0."""
    return repr(one) == repr(other)


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_input_values_come_back_as_they_were_sent(values):
    mock = new_organisation()

    run = mock.create(input_values=values)

    assert _same(run["input_values"], values)
    assert _same(mock.read(run["id"])["input_values"], values)
    assert _same(mock.listed(fields="input_values")[0]["input_values"], values)


@pytest.mark.parametrize(
    "text",
    [
        "1" + "0" * 299,
        "-" + "9" * 300,
        "1.0",
        "-0.0",
        "1e300",
        "5e-324",
        "1.7976931348623157e308",
        "0.1",
        '""',
        '"\\u0000"',
        '"\\ud800"',
        '"\\udfff\\ud800"',
        '"👩‍🚀 e\u0301 Å"',
        '{"": {"": ""}}',
        '{"\\ud83d": 1}',
        "[" * 63 + "]" * 63,
        '{"a":' * 62 + "1" + "}" * 62,
        "[[], {}, null, true, false, 0]",
    ],
)
def test_an_unusual_value_comes_back_as_it_was_sent(text):
    mock = new_organisation()
    body = f'{{"workflow_id": "{SUCCEEDS}", "input_values": {{"v": {text}}}}}'.encode()

    answer = mock.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 201, answer.text
    assert _same(answer.json()["input_values"], {"v": json.loads(text)})
    assert _same(mock.listed()[0]["input_values"], {"v": json.loads(text)})


def test_long_texts_and_thousands_of_keys_come_back_whole():
    mock = new_organisation()
    values = {"long": "x€" * 50_000, **{f"key {number}": number for number in range(5_000)}}

    run = mock.create(input_values=values, session_alias="s" * 100_000)

    assert mock.read(run["id"]) == run
    assert (run["input_values"], run["session_alias"]) == (values, "s" * 100_000)


def test_the_last_of_two_equal_names_counts():
    mock = new_organisation()
    body = f'{{"workflow_id": "{SUCCEEDS}", "input_values": {{"a": 1, "a": 2}}}}'.encode()

    answer = mock.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.json()["input_values"] == {"a": 2}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("coercion", ["strict", "lax"])
def test_a_number_that_is_not_finite_is_refused(number, coercion):
    mock = new_organisation(coercion=coercion)
    body = f'{{"workflow_id": "{SUCCEEDS}", "input_values": {{"a": {number}}}}}'.encode()

    answer = mock.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert mock.total() == 0


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b"1" * 5000, b'{"count": ' + b"9" * 5000 + b"}", b'"\xff"', b"\xff\xfe"],
)
def test_a_body_that_cannot_be_read_is_refused_and_makes_nothing(body):
    mock = new_organisation()

    answer = mock.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert mock.total() == 0


# --- Machines ------------------------------------------------------------------------------------------------------


def test_a_machine_is_picked_among_those_that_are_connected():
    mock = new_organisation()

    picked = {mock.create()["machine_id"] for _ in range(40)}

    assert picked == {FRONT_DESK_1, FRONT_DESK_2, ACCOUNTING_1}


def test_a_picked_machine_belongs_to_the_pool():
    mock = new_organisation()

    picked = {mock.create(pool_ids=[FRONT_DESKS])["machine_id"] for _ in range(20)}

    assert picked == {FRONT_DESK_1, FRONT_DESK_2}


def test_a_picked_machine_belongs_to_all_of_the_pools():
    mock = new_organisation()

    picked = {mock.create(pool_ids=[FRONT_DESKS, ACCOUNTING_SOFTWARE])["machine_id"] for _ in range(20)}

    assert picked == {FRONT_DESK_2}


def test_no_machine_is_picked_where_the_pools_share_none():
    mock = new_organisation()

    run = mock.create(pool_ids=[FRONT_DESKS, unknown_id()])

    assert run["machine_id"] is None
    assert mock.status(run["id"]) == "scheduling"


def test_a_machine_that_is_named_is_taken_even_if_it_is_not_connected():
    mock = new_organisation()

    assert mock.create(machine_id=IN_THE_BASEMENT)["machine_id"] == IN_THE_BASEMENT


# --- Sessions ------------------------------------------------------------------------------------------------------


def test_a_session_that_is_started_takes_the_machine_that_was_named():
    mock = new_organisation()

    run = mock.create(start_session=True, machine_id=ACCOUNTING_1)
    joined = mock.create(session_id=run["id"], machine_id=FRONT_DESK_1, pool_ids=[FRONT_DESKS])

    assert (joined["session_id"], joined["machine_id"]) == (run["id"], ACCOUNTING_1)


def test_a_session_is_joined_by_an_id_that_nobody_knows():
    mock = new_organisation()
    session_id = unknown_id()

    first = mock.create(session_id=session_id, machine_id=FRONT_DESK_1)
    second = mock.create(session_id=session_id)

    assert {run["session_id"] for run in (first, second)} == {session_id}
    assert first["machine_id"] == second["machine_id"]


def test_a_session_id_overrides_start_session():
    mock = new_organisation()
    session_id = unknown_id()

    assert mock.create(session_id=session_id, start_session=True)["session_id"] == session_id


# --- What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "loc", "kind"),
    [
        ("workflow_id", "x", (), "uuid_parsing"),
        ("workflow_id", 5, (), "uuid_type"),
        ("workflow_id", None, (), "uuid_type"),
        ("machine_id", "x", (), "uuid_parsing"),
        ("pool_ids", "x", (), "list_type"),
        ("pool_ids", [SUCCEEDS, "x"], (1,), "uuid_parsing"),
        ("pool_ids", [None], (0,), "uuid_type"),
        ("input_values", [], (), "dict_type"),
        ("sensitive_input_values", "x", (), "dict_type"),
        ("session_id", "", (), "uuid_parsing"),
        ("start_session", "yes", (), "bool_type"),
        ("session_alias", 5, (), "string_type"),
        ("release_session_after", 1, (), "bool_type"),
        ("file_inputs", {}, (), "list_type"),
        ("file_inputs", [{"content": ""}], (0, "filename"), "missing"),
        ("file_inputs", [{"filename": "a"}], (0, "content"), "missing"),
        ("file_inputs", [{"filename": "a", "content": "%"}], (0, "content"), "base64_decode"),
        ("file_inputs", [{"filename": "a", "content": "é"}], (0, "content"), "base64_decode"),
    ],
)
def test_a_wrong_value_is_named_and_makes_nothing(name, value, loc, kind):
    mock = new_organisation()

    answer = mock.post("/v1/runs", {"workflow_id": SUCCEEDS, name: value})

    assert violations(answer) == [(("body", name, *loc), kind)]
    assert mock.total() == 0


def test_all_violations_are_told_at_once():
    answer = new_organisation().post("/v1/runs", {"machine_id": 1, "start_session": "x", "pool_ids": [1, "x"]})

    assert [loc for loc, _ in violations(answer)] == [
        ("body", "workflow_id"),
        ("body", "machine_id"),
        ("body", "pool_ids", 0),
        ("body", "pool_ids", 1),
        ("body", "start_session"),
    ]


def test_a_workflow_refuses_inputs_that_its_schema_refuses():
    mock = new_organisation()

    missing = mock.post("/v1/runs", {"workflow_id": NEEDS_AN_INVOICE_NUMBER})
    wrong = mock.post(
        "/v1/runs",
        {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "input_values": {"invoice_number": 0, "customer": 5}},
    )

    assert violations(missing) == [(("body", "input_values", "invoice_number"), "missing")]
    assert violations(wrong) == [
        (("body", "input_values", "invoice_number"), "greater_than_equal"),
        (("body", "input_values", "customer"), "string_type"),
    ]
    assert mock.total() == 0
    assert mock.create(NEEDS_AN_INVOICE_NUMBER, input_values={"invoice_number": 1})["status"] == "scheduling"


@pytest.mark.parametrize(
    "body",
    [
        {"workflow_id": unknown_id()},
        {"workflow_id": SUCCEEDS, "machine_id": unknown_id()},
        {"workflow_id": SUCCEEDS, "pool_ids": [unknown_id()]},
        {"workflow_id": SUCCEEDS, "pool_ids": [FRONT_DESKS, unknown_id()], "session_id": unknown_id()},
    ],
)
def test_what_nobody_knows_is_taken_unless_only_known_things_are(body):
    free, known_only = Mock(), Mock(known_only=True)

    assert free.post("/v1/runs", body).status_code == 201
    refused = known_only.post("/v1/runs", body)
    assert refused.status_code == 404
    assert "not found" in refused.json()["detail"]
    assert known_only.total() == 0


def test_what_is_known_is_taken_where_only_known_things_are():
    mock = new_organisation(known_only=True)
    workflow_id = mock.post("/v1/workflows", {"main_prompt": "Do it."}).json()["id"]
    pool_id = mock.post("/v1/pools", {"name": "mine"}).json()["id"]

    run = mock.create(workflow_id, machine_id=IN_THE_BASEMENT, pool_ids=[pool_id, FRONT_DESKS], session_id=unknown_id())

    assert run["workflow_id"] == workflow_id
