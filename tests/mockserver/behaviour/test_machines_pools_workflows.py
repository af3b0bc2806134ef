"""Machines, pools and workflows: those of the world, and those that were created."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ACCOUNTING_SOFTWARE,
    ENDS_AT_ONCE,
    ERROR,
    FAILS_IN_PART,
    FAILS_ONCE,
    FIRST_CREATE_FAILS,
    FRONT_DESK_1,
    FRONT_DESK_2,
    FRONT_DESKS,
    HAS_OUTPUT_FILES,
    IN_THE_BASEMENT,
    IS_CHECKED,
    NEEDS_AN_INVOICE_NUMBER,
    NEVER_ENDS,
    SUCCEEDS,
    TAKES_TWENTY_MINUTES,
    TASK_FAILED,
    WAITS_FOR_A_MACHINE,
    new_organisation,
    unknown_id,
    violations,
)

MACHINES = [FRONT_DESK_1, FRONT_DESK_2, ACCOUNTING_1, IN_THE_BASEMENT]
WORKFLOWS = [
    SUCCEEDS,
    TASK_FAILED,
    ERROR,
    NEVER_ENDS,
    ENDS_AT_ONCE,
    FAILS_IN_PART,
    NEEDS_AN_INVOICE_NUMBER,
    FAILS_ONCE,
    TAKES_TWENTY_MINUTES,
    IS_CHECKED,
    HAS_OUTPUT_FILES,
    FIRST_CREATE_FAILS,
    WAITS_FOR_A_MACHINE,
]


def _ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("path", "ids"), [("machines", MACHINES), ("pools", [FRONT_DESKS, ACCOUNTING_SOFTWARE]), ("workflows", WORKFLOWS)]
)
def test_the_world_is_there_for_every_organisation(path, ids):
    mock = new_organisation()

    assert _ids(mock.get(f"/v1/{path}")) == ids
    for item in mock.get(f"/v1/{path}").json()["items"]:
        assert mock.get(f"/v1/{path}/{item['id']}").json() == item
        assert item["organization_id"] == mock.create()["organization_id"]


@pytest.mark.parametrize("path", ["machines", "pools", "workflows"])
def test_pages_put_together_are_the_whole(path):
    mock = new_organisation()
    whole = mock.get(f"/v1/{path}").json()

    pages = [mock.get(f"/v1/{path}", params={"skip": skip, "limit": 2}).json() for skip in range(0, 14, 2)]

    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert {page["total"] for page in pages} == {len(whole["items"])}
    assert [page["skip"] for page in pages] == list(range(0, 14, 2))
    assert _ids(mock.get(f"/v1/{path}", params={"skip": 10**25})) == []


@pytest.mark.parametrize("path", ["machines", "pools", "workflows"])
@pytest.mark.parametrize(
    ("name", "value"), [("skip", -1), ("limit", 0), ("limit", 1001), ("limit", "x"), ("skip", "9" * 5000)]
)
def test_a_page_that_there_cannot_be_is_refused(path, name, value):
    ((loc, _),) = violations(new_organisation().get(f"/v1/{path}", params={name: value}))

    assert loc == ("query", name)


@pytest.mark.parametrize("path", ["machines", "pools", "workflows"])
def test_what_nobody_knows_is_not_found_and_what_is_malformed_is_refused(path):
    mock = new_organisation()

    assert mock.get(f"/v1/{path}/{unknown_id()}").status_code == 404
    assert mock.get(f"/v1/{path}/abc").status_code == 422


# --- Machines ------------------------------------------------------------------------------------------------------


def test_machines_are_filtered_by_status_name_and_search():
    mock = new_organisation()

    def machines(**query):
        return _ids(mock.get("/v1/machines", params=query))

    assert machines(status="disconnected") == [IN_THE_BASEMENT]
    assert machines(status="error") == []
    assert machines(name="front-desk-1") == [FRONT_DESK_1]
    assert machines(name="front-desk") == []
    assert machines(search="FRONT") == [FRONT_DESK_1, FRONT_DESK_2]
    assert machines(search="front", status="disconnected") == []


def test_only_a_connected_machine_is_available():
    machines = new_organisation().get("/v1/machines").json()["items"]

    assert [machine["is_available"] for machine in machines] == [True, True, True, False]
    assert {machine["status"] for machine in machines} == {"connected", "disconnected"}


def test_a_machine_shows_its_pools():
    mock = new_organisation()

    pools = mock.get(f"/v1/machines/{FRONT_DESK_2}").json()["pools"]

    assert [pool["id"] for pool in pools] == [FRONT_DESKS, ACCOUNTING_SOFTWARE]


# --- Pools ---------------------------------------------------------------------------------------------------------


def test_a_created_pool_is_listed_and_read_and_seen_by_its_organisation_only():
    mock, other = new_organisation(), new_organisation()

    answer = mock.post("/v1/pools", {"name": "Night shift", "description": None, "pool_parameters": {"a": 1}})

    pool = answer.json()
    assert answer.status_code == 201
    assert (pool["name"], pool["machine_count"], pool["pool_parameters"]) == ("Night shift", 0, {"a": 1})
    assert UUID(pool["id"])
    assert mock.get(f"/v1/pools/{pool['id']}").json() == pool
    assert _ids(mock.get("/v1/pools")) == [FRONT_DESKS, ACCOUNTING_SOFTWARE, pool["id"]]
    assert other.get(f"/v1/pools/{pool['id']}").status_code == 404


def test_machines_are_put_into_a_pool_once_each():
    mock = new_organisation()
    pool_id = mock.post("/v1/pools", {"name": "mine"}).json()["id"]
    mock.clock.advance(1)

    first = mock.post(f"/v1/pools/{pool_id}/machines", {"machine_ids": [ACCOUNTING_1, ACCOUNTING_1]}).json()
    second = mock.post(f"/v1/pools/{pool_id}/machines", {"machine_ids": [ACCOUNTING_1, FRONT_DESK_1]}).json()

    assert [machine["id"] for machine in first["machines"]] == [ACCOUNTING_1]
    assert [machine["id"] for machine in second["machines"]] == [ACCOUNTING_1, FRONT_DESK_1]
    assert second["machine_count"] == 2
    assert second["created_at"] < second["updated_at"]
    assert mock.create(pool_ids=[pool_id, FRONT_DESKS])["machine_id"] == FRONT_DESK_1


def test_machines_are_put_into_a_pool_of_the_world_for_this_organisation_only():
    mock, other = new_organisation(), new_organisation()

    mock.post(f"/v1/pools/{FRONT_DESKS}/machines", {"machine_ids": [ACCOUNTING_1]})

    assert mock.get(f"/v1/pools/{FRONT_DESKS}").json()["machine_count"] == 3
    assert _ids(mock.get("/v1/pools")) == [FRONT_DESKS, ACCOUNTING_SOFTWARE]
    assert FRONT_DESKS in [pool["id"] for pool in mock.get(f"/v1/machines/{ACCOUNTING_1}").json()["pools"]]
    assert other.get(f"/v1/pools/{FRONT_DESKS}").json()["machine_count"] == 2


def test_a_machine_that_nobody_knows_is_counted_unless_only_known_ones_are_let_in():
    free, known_only = new_organisation(), new_organisation(known_only=True)
    body = {"machine_ids": [unknown_id()]}

    taken = free.post(f"/v1/pools/{FRONT_DESKS}/machines", body).json()

    assert (taken["machine_count"], len(taken["machines"])) == (3, 2)
    assert known_only.post(f"/v1/pools/{FRONT_DESKS}/machines", body).status_code == 404


def test_a_pool_that_nobody_knows_takes_no_machines():
    answer = new_organisation().post(f"/v1/pools/{unknown_id()}/machines", {"machine_ids": [ACCOUNTING_1]})

    assert answer.status_code == 404


# --- Workflows -----------------------------------------------------------------------------------------------------


def test_a_created_workflow_is_listed_and_read_and_seen_by_its_organisation_only():
    mock, other = new_organisation(), new_organisation()

    answer = mock.post(
        "/v1/workflows",
        {
            "main_prompt": "Open the \ud800 door.",
            "name": "Doors",
            "output_schema": "no schema",
            "is_webhooks_enabled": True,
        },
    )

    workflow = answer.json()
    assert answer.status_code == 201
    assert (workflow["name"], workflow["is_webhooks_enabled"], workflow["input_schema"]) == ("Doors", True, None)
    assert mock.get(f"/v1/workflows/{workflow['id']}").json() == workflow
    assert _ids(mock.get("/v1/workflows")) == [*WORKFLOWS, workflow["id"]]
    for word in ("DOORS", "open THE", workflow["id"][5:20].upper()):
        assert _ids(mock.get("/v1/workflows", params={"search": word})) == [workflow["id"]]
    assert other.get(f"/v1/workflows/{workflow['id']}").status_code == 404


def test_a_created_workflow_needs_a_prompt():
    assert violations(new_organisation().post("/v1/workflows", {"name": "x"})) == [(("body", "main_prompt"), "missing")]


def test_runs_of_a_created_workflow_live_as_the_worlds_defaults_say():
    mock = new_organisation()
    workflow_id = mock.post("/v1/workflows", {"main_prompt": "x"}).json()["id"]
    run = mock.create(workflow_id)

    mock.clock.advance(24)

    assert mock.status(run["id"]) in ("success", "task_failed", "error")


def test_a_created_workflow_refuses_what_its_schema_refuses():
    mock = new_organisation()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    workflow_id = mock.post("/v1/workflows", {"main_prompt": "x", "input_schema": json.dumps(schema)}).json()["id"]

    answer = mock.post("/v1/runs", {"workflow_id": workflow_id, "input_values": {"n": 1.5, "m": 1}})

    assert violations(answer) == [
        (("body", "input_values", "n"), "int_from_float"),
        (("body", "input_values", "m"), "extra_forbidden"),
    ]


@pytest.mark.parametrize(
    "schema",
    [
        "{}",
        "no json",
        "[]",
        "5",
        '{"type": "bogus"}',
        '{"properties": {"a": {"$ref": "#/nowhere"}}}',
        '{"properties": {"a": {"type": "string", "pattern": "("}}}',
        '{"if": {}, "then": false}',
        '{"type": "object", "properties": null, "required": ["a"]}',
        json.dumps({"type": "object", "properties": {"a": {"type": "string", "pattern": "a{999999}" * 52}}}),
        json.dumps({"type": "object", "properties": {"a": {"$ref": f"#/anyOf/{'1' * 5_000}"}}, "anyOf": [{}]}),
        "[" * 100_000,
        '{"properties":{"a":' * 400 + "{}" + "}}" * 400,
    ],
)
def test_a_schema_that_is_not_understood_judges_nothing(schema):
    mock = new_organisation()
    answer = mock.post("/v1/workflows", {"main_prompt": "x", "input_schema": schema})

    assert answer.json()["input_schema"] == schema
    assert mock.create(answer.json()["id"], input_values={"a": 1})["status"] == "scheduling"


# --- Included with runs --------------------------------------------------------------------------------------------


def test_what_runs_name_is_included_once_each_with_its_type():
    mock = new_organisation()
    mock.create_many(3, machine_id=FRONT_DESK_2)
    mock.create(TASK_FAILED, machine_id=ACCOUNTING_1)
    mock.create(unknown_id(), pool_ids=[unknown_id()])

    page = mock.get("/v1/runs", params={"include": "workflow, machine,machine.pools"}).json()

    found = sorted((each["type"], each["id"]) for each in page["included"])
    assert found == [
        ("machine", FRONT_DESK_2),
        ("machine", ACCOUNTING_1),
        ("pool", FRONT_DESKS),
        ("pool", ACCOUNTING_SOFTWARE),
        ("workflow", SUCCEEDS),
        ("workflow", TASK_FAILED),
    ]
    for each in page["included"]:
        resource = mock.get(f"/v1/{each['type']}s/{each['id']}").json()
        assert {**resource, "type": each["type"]} == each


@pytest.mark.parametrize(
    ("include", "types"),
    [
        ("workflow", {"workflow"}),
        ("machine", {"machine"}),
        ("machine.pools", {"pool"}),
        ("workflow,bogus,", {"workflow"}),
        ("workflow,workflow", {"workflow"}),
    ],
)
def test_only_what_is_asked_for_is_included(include, types):
    mock = new_organisation()
    run = mock.create(machine_id=ACCOUNTING_1)

    one = mock.get(f"/v1/runs/{run['id']}", params={"include": include}).json()
    page = mock.get("/v1/runs", params={"include": include}).json()

    assert {each["type"] for each in one["included"]} == types
    assert page["included"] == one["included"]
    assert len(one["included"]) == 1
    assert {name: value for name, value in one.items() if name != "included"} == run


@pytest.mark.parametrize("include", [None, "", "bogus"])
def test_nothing_is_included_where_nothing_is_asked_for(include):
    mock = new_organisation()
    run = mock.create()

    assert "included" not in mock.get(f"/v1/runs/{run['id']}", params={"include": include}).json()


def test_a_page_includes_what_its_own_runs_name_only():
    mock = new_organisation()
    mock.create(TASK_FAILED)
    mock.create(SUCCEEDS)

    page = mock.get("/v1/runs", params={"include": "workflow", "limit": 1}).json()

    assert [each["id"] for each in page["included"]] == [SUCCEEDS]
