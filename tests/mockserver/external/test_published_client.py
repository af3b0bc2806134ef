"""The client that Cyberdesk publishes, with its base_url set and nothing else changed: it takes the mock for the API.

Each test runs with the client's synchronous and with its asynchronous methods. The mock's runs move by updates only.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from cyberdesk import CyberdeskClient
from cyberdesk.client import RetryConfig
from openapi_client.cyberdesk_cloud_client.errors import UnexpectedStatus
from openapi_client.cyberdesk_cloud_client.models import (
    AttachmentType,
    ChainStep,
    FileInput,
    HTTPValidationError,
    MachinePoolAssignment,
    MachineStatus,
    PoolCreate,
    RunBulkCreate,
    RunBulkCreateInputValuesType0,
    RunCreate,
    RunCreateInputValuesType0,
    RunCreateSensitiveInputValuesType0,
    RunField,
    RunListSortMode,
    RunRetry,
    RunRetryInputValuesType0,
    RunStatus,
    RunUpdate,
    RunUpdateOutputDataType0,
    RunUpdateRunMessageHistoryType0Item,
    WorkflowChainCreate,
    WorkflowCreate,
)

from tests.mockserver.external.cutting_proxy import cutting_proxy
from tests.mockserver.external.published import Client, MakeClient
from tests.processes import served

SUCCEEDS = UUID("10000000-0000-4000-8000-000000000001")
FAILS_IN_PART = UUID("10000000-0000-4000-8000-000000000006")
NEEDS_AN_INVOICE_NUMBER = UUID("10000000-0000-4000-8000-000000000007")
FRONT_DESK_1 = UUID("20000000-0000-4000-8000-000000000001")
FRONT_DESK_2 = UUID("20000000-0000-4000-8000-000000000002")
BASEMENT = UUID("20000000-0000-4000-8000-000000000004")
FRONT_DESKS = UUID("30000000-0000-4000-8000-000000000001")
ACCOUNTING = UUID("30000000-0000-4000-8000-000000000002")
LETTER = "Grüße aus Zürich\x00\r\n".encode()


@pytest.fixture(scope="module")
def manual_mock() -> Iterator[str]:
    with served("--progression", "manual") as url:
        yield url


@pytest.fixture
def client(make_client: MakeClient, manual_mock: str) -> Client:
    return make_client(manual_mock)


def a_run(**fields: Any) -> RunCreate:
    return RunCreate(workflow_id=SUCCEEDS, **fields)


def inputs(**values: Any) -> RunCreateInputValuesType0:
    return RunCreateInputValuesType0.from_dict(values)


def a_file(name: str = "letter.txt", content: bytes = LETTER) -> FileInput:
    return FileInput(filename=name, content=base64.b64encode(content).decode())


def ids(page: Any) -> list[UUID]:
    return [item.id for item in page.items]


# --- Runs -------------------------------------------------------------------------------------------------------------


def test_a_created_run_is_what_was_asked_for_and_reads_the_same(client):
    asked = a_run(
        machine_id=FRONT_DESK_1,
        input_values=inputs(patient_id="4711", visit={"year": 2025, "cost": 1.5, "tags": [None, True]}),
        sensitive_input_values=RunCreateSensitiveInputValuesType0.from_dict({"pin": "correct-horse"}),
        file_inputs=[a_file()],
        session_alias="lookup",
        release_session_after=False,
        start_session=True,
    )

    run = client.call("runs.create", asked)

    assert (run.workflow_id, run.machine_id, run.status) == (SUCCEEDS, FRONT_DESK_1, RunStatus.SCHEDULING)
    assert run.input_values.to_dict() == asked.input_values.to_dict()
    assert run.sensitive_input_aliases.to_dict().keys() == {"pin"}
    assert "correct-horse" not in str(run.to_dict())
    assert (run.session_id, run.session_alias, run.release_session_after) == (run.id, "lookup", False)
    assert len(run.input_attachment_ids) == 1
    assert (run.error, run.output_data, run.started_at, run.ended_at) == (None, None, None, None)
    assert abs(run.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert client.call("runs.get", str(run.id)).to_dict() == run.to_dict()


def test_is_priority_is_sent_and_taken(client):
    assert a_run().to_dict()["is_priority"] is False
    assert RunBulkCreate(workflow_id=SUCCEEDS, count=1).to_dict()["is_priority"] is False

    runs = [client.call("runs.create", a_run(is_priority=priority)) for priority in (False, True)]
    page = client.call("runs.list", fields=[RunField.IS_PRIORITY])

    assert ids(page) == [run.id for run in reversed(runs)]


def test_runs_are_listed_by_every_filter_the_client_has(client):
    plain = client.call("runs.create", a_run(machine_id=FRONT_DESK_1, input_values=inputs(note="Zebra crossing")))
    placed = client.call("runs.create", a_run(machine_id=FRONT_DESK_2, session_alias="zebra"))
    other = client.call("runs.create", RunCreate(workflow_id=FAILS_IN_PART, start_session=True))
    client.call("runs.update", str(other.id), RunUpdate(status=RunStatus.RUNNING))
    history = [RunUpdateRunMessageHistoryType0Item.from_dict({"role": "assistant", "content": "saw a zebra"})]
    client.call("runs.update", str(other.id), RunUpdate(run_message_history=history))

    def listed(**filters: Any) -> list[UUID]:
        page = client.call("runs.list", sort_mode=RunListSortMode.CREATED_AT_DESC, **filters)
        assert page.total == len(page.items)
        return ids(page)

    assert listed() == [other.id, placed.id, plain.id]
    assert listed(workflow_id=str(SUCCEEDS)) == [placed.id, plain.id]
    assert listed(machine_id=str(FRONT_DESK_2), search="zebra") == [placed.id]
    assert listed(session_id=str(other.session_id)) == [other.id]
    assert listed(status=RunStatus.RUNNING) == [other.id]
    assert listed(search="ZEBRA") == [placed.id, plain.id]
    assert listed(search="zebra", deep_search=True) == [other.id, placed.id, plain.id]
    assert listed(created_at_from=plain.created_at, created_at_to=placed.created_at) == [placed.id, plain.id]
    assert listed(created_at_from=other.created_at + timedelta(microseconds=1)) == []
    assert listed(created_at_to=(plain.created_at - timedelta(microseconds=1)).isoformat()) == []


def test_pages_and_projections_of_a_list(client):
    bulk = client.call("runs.bulk_create", RunBulkCreate(workflow_id=SUCCEEDS, count=7))
    created = [run.id for run in bulk.created_runs]

    pages = [client.call("runs.list", skip=skip, limit=3) for skip in (0, 3, 6, 9)]
    shown = client.call("runs.list", limit=1, fields=[RunField.SESSION_ID, RunField.ERROR]).items[0]

    assert [len(page.items) for page in pages] == [3, 3, 1, 0]
    assert {page.total for page in pages} == {7}
    assert sorted(run_id for page in pages for run_id in ids(page)) == sorted(created)
    assert shown.to_dict().keys() - {"is_priority"} == {
        *("id", "workflow_id", "machine_id", "status", "created_at"),
        *("session_id", "error"),
    }


def test_included_resources_stand_beside_the_runs_each_once(client):
    runs = [client.call("runs.create", a_run(machine_id=FRONT_DESK_2)) for _ in range(2)]

    page = client.call("runs.list", include=["workflow", "machine", "machine.pools"])
    one = client.call("runs.get", str(runs[0].id), include=["machine"])

    assert sorted((each.type_, each.id) for each in page.included) == [
        ("machine", FRONT_DESK_2),
        ("pool", FRONT_DESKS),
        ("pool", ACCOUNTING),
        ("workflow", SUCCEEDS),
    ]
    assert [(each["type"], each["id"]) for each in one.to_dict()["included"]] == [("machine", str(FRONT_DESK_2))]


def test_an_update_moves_a_run_through_its_life_and_changes_only_what_it_names(client):
    run = client.call("runs.create", a_run(input_values=inputs(a=1)))

    running = client.call("runs.update", str(run.id), RunUpdate(status=RunStatus.RUNNING))
    output = RunUpdateOutputDataType0.from_dict({"rows": [1, 2.5, "x"]})
    done = client.call("runs.update", str(run.id), RunUpdate(status=RunStatus.SUCCESS, output_data=output))

    assert (running.status, running.ended_at) == (RunStatus.RUNNING, None)
    assert run.created_at <= running.started_at
    assert (done.status, done.output_data.to_dict(), done.error) == (RunStatus.SUCCESS, {"rows": [1, 2.5, "x"]}, None)
    assert done.started_at == running.started_at <= done.ended_at
    assert (done.id, done.input_values.to_dict(), done.created_at) == (run.id, {"a": 1}, run.created_at)
    assert client.call("runs.get", str(run.id)).to_dict() == done.to_dict()


def test_a_deleted_run_is_gone(client):
    gone, kept = (client.call("runs.create", a_run()) for _ in range(2))

    assert client.call("runs.delete", str(gone.id)) == {"success": True}

    assert ids(client.call("runs.list")) == [kept.id]
    for method in ("runs.get", "runs.delete"):
        error = client.answer(method, str(gone.id)).error
        assert isinstance(error, UnexpectedStatus)
        assert error.status_code == 404


def test_a_retry_starts_an_ended_run_over_in_place(client):
    run = client.call("runs.create", a_run(input_values=inputs(a=1), file_inputs=[a_file()]))
    too_early = client.answer("runs.retry", str(run.id), RunRetry())
    client.call("runs.update", str(run.id), RunUpdate(status=RunStatus.ERROR, error=["lost the machine"]))

    retried = client.call(
        "runs.retry",
        str(run.id),
        RunRetry(input_values=RunRetryInputValuesType0.from_dict({"a": 2}), file_inputs=[a_file("b"), a_file("c")]),
    )

    assert too_early.error.status_code == 409
    assert (retried.id, retried.status) == (run.id, RunStatus.SCHEDULING)
    assert (retried.error, retried.output_data, retried.ended_at) == (None, None, None)
    assert retried.input_values.to_dict() == {"a": 2}
    assert len(set(retried.input_attachment_ids) - set(run.input_attachment_ids)) == 2
    assert ids(client.call("runs.list")) == [run.id]


def test_a_bulk_create_makes_runs_that_differ_in_their_ids_only(client):
    asked = RunBulkCreate(
        workflow_id=SUCCEEDS,
        count=25,
        pool_ids=[FRONT_DESKS, ACCOUNTING],
        input_values=RunBulkCreateInputValuesType0.from_dict({"a": [1, {"b": None}]}),
        file_inputs=[a_file()],
        start_session=True,
    )

    bulk = client.call("runs.bulk_create", asked)
    runs = bulk.created_runs

    assert (len(runs), bulk.failed_count, bulk.errors) == (25, 0, [])
    assert len({run.id for run in runs}) == len({run.input_attachment_ids[0] for run in runs}) == 25
    assert {run.session_id for run in runs} == {runs[0].session_id}
    assert runs[0].session_id is not None
    assert {run.machine_id for run in runs} == {FRONT_DESK_2}
    assert {run.status for run in runs} == {RunStatus.SCHEDULING}
    for run in (runs[0], runs[-1]):
        assert (run.pool_ids, run.input_values.to_dict()) == ([FRONT_DESKS, ACCOUNTING], {"a": [1, {"b": None}]})
        assert client.call("runs.get", str(run.id)).to_dict() == run.to_dict()


def test_a_bulk_create_that_fails_in_part_says_what_failed(client):
    bulk = client.call("runs.bulk_create", RunBulkCreate(workflow_id=FAILS_IN_PART, count=5))

    assert 0 < bulk.failed_count < 5
    assert len(bulk.created_runs) + bulk.failed_count == 5
    assert len(bulk.errors) == bulk.failed_count
    assert sorted(ids(client.call("runs.list"))) == sorted(run.id for run in bulk.created_runs)


def test_a_chain_makes_a_run_for_each_step_in_one_session(client):
    steps = [
        {"workflow_id": str(SUCCEEDS), "session_alias": "first", "inputs": {"own": 1, "both": "step"}},
        {"workflow_id": str(FAILS_IN_PART), "session_alias": "second"},
    ]

    chain = client.call(
        "runs.chain",
        WorkflowChainCreate.from_dict({"steps": steps, "shared_inputs": {"both": "shared", "all": True}}),
    )
    first, second = (client.call("runs.get", str(run_id)) for run_id in chain.run_ids)

    assert [ChainStep.from_dict(step).workflow_id for step in steps] == [first.workflow_id, second.workflow_id]
    assert (first.session_id, second.session_id) == (chain.session_id, chain.session_id)
    assert (first.session_alias, second.session_alias) == ("first", "second")
    assert first.input_values.to_dict() == {"own": 1, "both": "step", "all": True}
    assert second.input_values.to_dict() == {"both": "shared", "all": True}


@pytest.mark.parametrize(
    ("method", "asked", "loc"),
    [
        ("runs.bulk_create", RunBulkCreate(workflow_id=SUCCEEDS, count=0), ["body", "count"]),
        ("runs.bulk_create", RunBulkCreate(workflow_id=SUCCEEDS, count=1001), ["body", "count"]),
        ("runs.chain", WorkflowChainCreate(steps=[]), ["body", "steps"]),
        (
            "runs.create",
            RunCreate(workflow_id=NEEDS_AN_INVOICE_NUMBER, input_values=inputs(invoice_number=0)),
            ["body", "input_values", "invoice_number"],
        ),
    ],
)
def test_the_client_understands_why_a_request_is_refused(client, method, asked, loc):
    answer = client.answer(method, asked)

    refusal = answer.data or answer.error
    assert isinstance(refusal, HTTPValidationError)
    assert [violation.loc for violation in refusal.detail] == [loc]
    assert client.call("runs.list").total == 0


def test_a_token_that_is_not_let_in_is_told_apart(client, make_client, manual_mock):
    stranger = Client(CyberdeskClient("real-key", base_url=manual_mock), None)

    error = stranger.answer("runs.get", str(SUCCEEDS)).error

    assert error.status_code == 401
    assert b"mock" in error.content
    assert b"real-key" not in error.content


# --- Attachments ------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_byte_for_byte_in_every_way_the_client_has(client, tmp_path):
    run = client.call("runs.create", a_run(file_inputs=[a_file("../letter.txt"), a_file("b.bin", b"\xff\x00")]))
    client.call("runs.create", a_run(file_inputs=[a_file()]))
    letter_id = run.input_attachment_ids[0]

    page = client.call("run_attachments.list", run_id=str(run.id), attachment_type=AttachmentType.INPUT)
    known = client.call("run_attachments.get", letter_id)
    link = client.call("run_attachments.get_download_url", letter_id, expires_in=60)
    into_folder = client.call("run_attachments.save_to_file", letter_id, tmp_path)
    as_named = client.call("run_attachments.save_to_file", run.input_attachment_ids[1], tmp_path / "renamed.bin")

    assert [str(attachment_id) for attachment_id in ids(page)] == run.input_attachment_ids
    assert (page.total, page.skip, page.limit) == (2, 0, 100)
    assert known.to_dict() == page.items[0].to_dict()
    assert (known.run_id, known.filename, known.size_bytes) == (run.id, "../letter.txt", len(LETTER))
    assert known.attachment_type == AttachmentType.INPUT
    assert client.call("run_attachments.download", letter_id) == LETTER
    assert link.expires_in == 60
    assert httpx.get(link.url).content == LETTER
    assert into_folder == {"path": str(tmp_path / "letter.txt"), "size": len(LETTER)}
    assert (tmp_path / "letter.txt").read_bytes() == LETTER
    assert as_named["size"] == 2
    assert (tmp_path / "renamed.bin").read_bytes() == b"\xff\x00"


def test_a_run_has_no_output_files_and_an_unknown_attachment_is_not_found(client):
    client.call("runs.create", a_run(file_inputs=[a_file()]))

    assert client.call("run_attachments.list", attachment_type=AttachmentType.OUTPUT).total == 0
    assert client.call("run_attachments.list", skip=1, limit=1).items == []
    for method in ("get", "get_download_url", "download"):
        assert client.answer(f"run_attachments.{method}", str(SUCCEEDS)).error.status_code == 404


# --- Machines, pools, workflows ---------------------------------------------------------------------------------------


def test_machines_are_listed_and_read(client):
    every = client.call("machines.list")
    away = client.call("machines.list", status=MachineStatus.DISCONNECTED)
    machine = client.call("machines.get", str(FRONT_DESK_2), include=["pools"])

    assert every.total == len(every.items) == 4
    assert ids(away) == [BASEMENT]
    assert ids(client.call("machines.list", skip=1, limit=1)) == [FRONT_DESK_2]
    assert ids(client.call("machines.list", search="BASE")) == [BASEMENT]
    assert ids(client.call("machines.list", name="front-desk-1")) == [FRONT_DESK_1]
    assert ids(client.call("machines.list", name="Front-desk-1")) == []
    assert ids(client.call("machines.list", name="front-desk")) == []
    assert (machine.name, machine.status, machine.is_available) == ("front-desk-2", MachineStatus.CONNECTED, True)
    assert [pool.id for pool in machine.pools] == [FRONT_DESKS, ACCOUNTING]
    assert client.answer("machines.get", str(SUCCEEDS)).error.status_code == 404


def test_a_created_pool_is_listed_and_takes_machines(client):
    pool = client.call("pools.create", PoolCreate(name="Night shift", description="After hours"))
    filled = client.call(
        "pools.add_machines", str(pool.id), MachinePoolAssignment(machine_ids=[FRONT_DESK_1, BASEMENT])
    )
    run = client.call("runs.create", a_run(pool_ids=[pool.id]))

    assert (pool.name, pool.description, pool.machine_count) == ("Night shift", "After hours", 0)
    assert ids(client.call("pools.list")) == [FRONT_DESKS, ACCOUNTING, pool.id]
    assert [machine.id for machine in filled.machines] == [FRONT_DESK_1, BASEMENT]
    assert client.call("pools.get", str(pool.id)).machine_count == 2
    assert (run.machine_id, run.pool_ids) == (FRONT_DESK_1, [pool.id])


def test_a_created_workflow_is_listed_and_judges_its_inputs(client):
    schema = '{"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}'
    before = client.call("workflows.list").total
    made = client.call("workflows.create", WorkflowCreate(main_prompt="Book a room", name="Rooms", input_schema=schema))

    refused = client.answer("runs.create", RunCreate(workflow_id=made.id, input_values=inputs(city=1))).data
    run = client.call("runs.create", RunCreate(workflow_id=made.id, input_values=inputs(city="Bern")))

    assert (made.main_prompt, made.name, made.input_schema) == ("Book a room", "Rooms", schema)
    assert client.call("workflows.get", str(made.id)).to_dict() == made.to_dict()
    assert client.call("workflows.list", skip=12).total == before + 1
    assert ids(client.call("workflows.list", search="rooms")) == [made.id]
    assert [violation.loc for violation in refused.detail] == [["body", "input_values", "city"]]
    assert run.workflow_id == made.id


# --- What the client does when the way is bad -------------------------------------------------------------------------


def test_the_client_waits_as_the_rate_limit_says_and_gets_through(make_client, serve):
    waited: list[dict[str, Any]] = []
    client = make_client(serve("--rate-limit", "2/s"), retry=RetryConfig(on_retry=waited.append))

    runs = []
    while not waited:
        assert len(runs) < 100
        runs.append(client.call("runs.create", a_run()))

    # 1 s until the window ends is what the mock says; the client's own guess would be a quarter of it at most.
    assert [(each["reason"], each["status_code"], each["delay_seconds"]) for each in waited] == [
        ("http_status", 429, 1.0)
    ]
    assert ids(client.call("runs.list")) == [run.id for run in reversed(runs)]


WRITES: dict[str, Callable[[UUID], tuple[Any, ...]]] = {
    "runs.create": lambda _: (a_run(),),
    "runs.bulk_create": lambda _: (RunBulkCreate(workflow_id=SUCCEEDS, count=3),),
    "runs.chain": lambda _: (WorkflowChainCreate(steps=[ChainStep(workflow_id=SUCCEEDS)] * 2),),
    "runs.update": lambda run_id: (str(run_id), RunUpdate(error=["late"])),
    "runs.retry": lambda run_id: (str(run_id), RunRetry()),
    "runs.delete": lambda run_id: (str(run_id),),
    "pools.create": lambda _: (PoolCreate(name="Night shift"),),
    "workflows.create": lambda _: (WorkflowCreate(main_prompt="Book a room"),),
}
MADE = {"runs.create": 1, "runs.bulk_create": 3, "runs.chain": 2, "runs.delete": -1}


@pytest.mark.parametrize("method", WRITES)
def test_a_write_whose_answer_is_lost_is_repeated_and_done_once(make_client, client, manual_mock, method):
    ended = client.call("runs.create", a_run())
    client.call("runs.update", str(ended.id), RunUpdate(status=RunStatus.SUCCESS))
    workflows = client.call("workflows.list").total
    tried: list[dict[str, Any]] = []
    with cutting_proxy(manual_mock) as proxy:
        unlucky = make_client(proxy.url, retry=RetryConfig(min_delay_seconds=0.001, on_retry=tried.append))
        made = unlucky.call(method, *WRITES[method](ended.id))
        runs = unlucky.call("runs.list")

    assert [each["reason"] for each in tried] == ["network_error"]
    assert proxy.cuts_left == 0
    assert runs.total == 1 + MADE.get(method, 0)
    assert client.call("pools.list").total == 2 + (method == "pools.create")
    assert client.call("workflows.list").total == workflows + (method == "workflows.create")
    told = {
        "runs.create": lambda: [made.id],
        "runs.bulk_create": lambda: [run.id for run in made.created_runs],
        "runs.chain": lambda: made.run_ids,
    }
    if method in told:
        assert sorted(ids(runs)) == sorted([ended.id, *told[method]()])
    if method == "runs.retry":
        assert (made.id, made.status, ids(runs)) == (ended.id, RunStatus.SCHEDULING, [ended.id])


def test_a_write_is_given_up_when_no_answer_ever_comes(make_client, client, manual_mock):
    tried: list[dict[str, Any]] = []
    with cutting_proxy(manual_mock, cuts=4) as proxy:
        unlucky = make_client(proxy.url, retry=RetryConfig(min_delay_seconds=0.001, on_retry=tried.append))
        answer = unlucky.answer("runs.create", a_run())

    assert isinstance(answer.error, httpx.TransportError)
    assert len(tried) == 3
    assert client.call("runs.list").total == 1
