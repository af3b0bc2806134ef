"""GET and PUT /state: a namespace put back answers as it did, byte for byte."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from datetime import datetime
from typing import Any

import pytest

from mockserver import state as state_module
from mockserver.clock import moment_from
from mockserver.spec import Operation, RawRequest
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import (
    FAILS_IN_PART,
    FIRST_CREATE_FAILS,
    FRONT_DESK_1,
    HAS_OUTPUT_FILES,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    turns_of,
)

LONG_TEXT = "x" * 500
BINARY = base64.b64encode(bytes(range(256)) * 4).decode()
FILE = {"filename": "a.bin", "content": BINARY}
A_CHAIN = {
    "steps": [
        {"workflow_id": SUCCEEDS, "inputs": {"b": 1}, "sensitive_inputs": {"pin": "1"}},
        {"workflow_id": TASK_FAILED},
        {"workflow_id": SUCCEEDS, "inputs": {"b": 2}},
    ],
    "shared_inputs": {"a": LONG_TEXT},
    "shared_sensitive_inputs": {"password": "s"},
    "shared_file_inputs": [FILE],
}

A_FAULT = {
    "id": "f1",
    "source": {"match": "*", "probability": 0.5, "fault": "reset"},
    "seed": "0 f1",
    "until": None,
    "matched": 0,
    "applied": 0,
}


def filled(**settings: Any) -> ControlledMock:
    """A mock in whose default namespace there is something of every kind that is kept."""
    mock = ControlledMock(rate_limit="1000/m", **settings)
    body = {"input_values": {"a": LONG_TEXT}, "sensitive_input_values": {"pin": "s"}, "file_inputs": [FILE]}
    runs = mock.create_many(30, key="bulk", **body)
    mock.post("/v1/runs/bulk", {"workflow_id": FAILS_IN_PART, "count": 10}, key="in part")
    mock.create(HAS_OUTPUT_FILES, key="single", start_session=True)
    mock.post("/v1/runs/chain", A_CHAIN, key="chain")
    mock.patch(f"/v1/runs/{runs[3]['id']}", {"status": "running", "output_data": {"x": [1.5, None]}}, key="update")
    mock.patch(f"/v1/runs/{runs[4]['id']}", {"status": "cancelled"})
    mock.post(f"/v1/runs/{runs[4]['id']}/retry", {"file_inputs": [FILE]}, key="retry")
    mock.delete(f"/v1/runs/{runs[5]['id']}", key="delete")
    mock.post("/v1/workflows", {"name": "w", "main_prompt": "p"}, key="workflow")
    pool = mock.post("/v1/pools", {"name": "p"}, key="pool").json()
    machine = mock.get("/v1/machines").json()["items"][0]["id"]
    mock.post(f"/v1/pools/{pool['id']}/machines", {"machine_ids": [machine]}, key="machine")
    mock.post("/v1/runs", {"workflow_id": FIRST_CREATE_FAILS}, fails=True)
    mock.create(NEVER_ENDS, token="test-two")
    mock.seed(
        {"workflow_id": SUCCEEDS, "status": "error", "created_at": "2024-01-01T00:00:00Z", "outputs": [FILE]},
        {"workflow_id": SUCCEEDS, "ids": ["aaaaaaaa-0000-4000-8000-000000000001"]},
    )
    mock.fault(match="get_workflow", probability=0.5, times=3, for_s=3600, answer={"status": 404})
    mock.turn_clock(scale=60)
    mock.turn_clock(advance="5s")
    return mock


def seen(mock: ControlledMock, namespace: str = "") -> list[tuple[str, bytes]]:
    """What clients and the control API see, with the headers that may differ between two answers left out."""
    root = f"/__ns/{namespace}" if namespace else ""
    paths = ["/v1/runs?limit=100", "/v1/runs?limit=100&include=workflow,machine", "/v1/runs?search=x"]
    paths += ["/v1/pools", "/v1/workflows", "/v1/machines", "/v1/run-attachments?limit=100"]
    ids = [run["id"] for run in mock.get(f"{root}/v1/runs", params={"limit": 100}).json()["items"]]
    paths += [f"/v1/runs/{id_}" for id_ in ids]
    attachments = mock.get(f"{root}/v1/run-attachments", params={"limit": 100}).json()["items"]
    paths += [f"/v1/run-attachments/{each['id']}/download-url" for each in attachments]
    answers = [(path, mock.get(f"{root}{path}").content) for path in paths]
    answers += [("two", mock.get(f"{root}/v1/runs", token="test-two").content)]
    answers += [
        (path, mock.control("GET", path, namespace=namespace).content) for path in ("/faults", "/clock", "/runs")
    ]
    return answers


def repeated(mock: ControlledMock, root: str = "") -> list[tuple[str, bytes]]:
    """Each write with an idempotency key once more."""
    body = {"input_values": {"a": LONG_TEXT}, "sensitive_input_values": {"pin": "s"}, "file_inputs": [FILE]}
    runs = mock.post(f"{root}/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 30, **body}, key="bulk")
    ids = [run["id"] for run in runs.json()["created_runs"]]
    answers = [
        runs,
        mock.post(f"{root}/v1/runs/bulk", {"workflow_id": FAILS_IN_PART, "count": 10}, key="in part"),
        mock.post(f"{root}/v1/runs", {"workflow_id": HAS_OUTPUT_FILES, "start_session": True}, key="single"),
        mock.post(f"{root}/v1/runs/chain", A_CHAIN, key="chain"),
        mock.patch(f"{root}/v1/runs/{ids[3]}", {"status": "running", "output_data": {"x": [1.5, None]}}, key="update"),
        mock.post(f"{root}/v1/runs/{ids[4]}/retry", {"file_inputs": [FILE]}, key="retry"),
        mock.delete(f"{root}/v1/runs/{ids[5]}", key="delete"),
        mock.post(f"{root}/v1/workflows", {"name": "w", "main_prompt": "p"}, key="workflow"),
        mock.post(f"{root}/v1/pools", {"name": "p"}, key="pool"),
    ]
    assert all(answer.headers.get("Idempotency-Status") == "replayed" for answer in answers)
    return [(str(answer.status_code), answer.content) for answer in answers]


def test_all_that_is_kept_comes_back_after_a_reset():
    mock = filled()
    first = mock.asked("/state")
    before, first_repeats = seen(mock), repeated(mock)

    mock.control("POST", "/reset")
    assert mock.total() == 0
    assert mock.control("PUT", "/state", first).status_code == 204

    assert mock.asked("/state") == first
    assert seen(mock) == before
    assert repeated(mock) == first_repeats


def test_what_comes_after_is_the_same_too():
    mock = filled()
    state = mock.asked("/state")

    def later() -> list[Any]:
        created = [mock.create(SUCCEEDS)["id"], mock.create_many(20)[7]["id"]]
        drawn = [mock.get(f"/v1/workflows/{SUCCEEDS}").status_code for _ in range(8)]
        mock.turn_clock(advance="10s")
        half_way = seen(mock)
        mock.turn_clock(advance="1h")
        headers = mock.get("/v1/runs").headers
        return [created, drawn, half_way, seen(mock), headers["X-RateLimit-Remaining"]]

    first = later()
    assert set(first[1]) == {200, 404}
    mock.control("PUT", "/state", state)

    assert later() == first


def test_a_state_can_be_put_into_another_namespace_and_into_another_mock():
    mock = filled()
    state = mock.asked("/state")
    statuses = [(run["id"], run["status"]) for run in mock.get("/v1/runs?limit=100").json()["items"]]
    repeats, generated = repeated(mock), mock.get("/v1/machines", prefer="dynamic=true").content
    other = ControlledMock(rate_limit="1000/m", seed=7, freezes=False)

    mock.control("PUT", "/state", state, namespace="copy")
    other.control("PUT", "/state", state)

    assert repeated(mock, "/__ns/copy") == repeated(other) == repeats
    assert mock.get("/__ns/copy/v1/machines", prefer="dynamic=true").content == generated
    for items in (mock.get("/__ns/copy/v1/runs?limit=100"), other.get("/v1/runs?limit=100")):
        assert [(run["id"], run["status"]) for run in items.json()["items"]] == statuses
    [attachment, *_] = mock.get("/__ns/copy/v1/run-attachments").json()["items"]
    url = mock.get(f"/__ns/copy/v1/run-attachments/{attachment['id']}/download-url").json()["url"]
    assert "/copy/" in url or "-copy" in url
    assert mock.get(url.removeprefix("http://localhost:4010"), token=None).status_code == 200


def test_a_change_after_a_restore_leaves_other_namespaces_alone():
    mock = filled()
    mock.control("PUT", "/state", mock.asked("/state"), namespace="copy")
    before = seen(mock)

    for run in mock.get("/__ns/copy/v1/runs?limit=100").json()["items"]:
        mock.delete(f"/__ns/copy/v1/runs/{run['id']}")

    assert mock.get("/__ns/copy/v1/runs").json()["total"] == 0
    assert seen(mock) == before


def test_what_is_shared_stands_in_a_state_once():
    mock = ControlledMock(store="memory")  # in which the steps share one object
    mock.post("/v1/runs/chain", {**A_CHAIN, "steps": [{"workflow_id": SUCCEEDS, "inputs": {"b": 1}}] * 50})

    text = mock.control("GET", "/state").text

    assert text.count(LONG_TEXT) == 1
    assert text.count(BINARY) == 1


def test_a_clock_that_runs_goes_on_while_the_state_is_kept():
    mock = ControlledMock(freezes=False)
    state = mock.asked("/state")
    mock.control("PUT", "/state", state)

    assert moment_from(datetime.fromisoformat(mock.asked("/clock")["now"])) >= state["clock"]["moment"]
    assert not mock.asked("/clock")["frozen"]


def test_a_state_is_written_with_others_in_between(monkeypatch):
    """Of a value that others refer to, such as the input of a run, there may be hundreds of megabytes."""
    mock = filled()
    state = mock.asked("/state")
    turns = turns_of(monkeypatch)

    assert mock.asked("/state").keys() == state.keys()

    organisations = state["organizations"].values()
    units = sum(len(each["units"]) for each in organisations)
    assert len(turns) >= len(organisations) + units + len(state["shared"])


def test_a_state_is_made_in_parts_while_it_is_sent():
    """Of what all requests for it kept as a whole, there were gigabytes."""
    mock = ControlledMock()
    files = [{"filename": "f", "content": base64.b64encode(bytes(range(256)) * 4_000).decode()}]
    mock.create(input_values={"a": "\u00e9\n" * 500_000}, file_inputs=files)
    state = mock.asked("/state")

    async def parts() -> list[bytes]:
        written = await mock.app.states.written(mock.app.namespaces.default)
        mock.app.namespaces.default.spaces.clear()  # it shows what was there when it was asked for
        return list(written)

    made = mock.run(parts())
    assert json.loads(b"".join(made)) == {**state, "clock": json.loads(b"".join(made))["clock"]}
    assert max(map(len, made)) <= 262_144


def replace(document: Any, path: list[Any], value: Any) -> None:
    *way, last = path
    for step in way:
        document = document[step]
    document[last] = value


def refusal_of(mock: ControlledMock, state: Any) -> str:
    answer = mock.control("PUT", "/state", state)
    assert answer.status_code == 422
    return answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["format"], 2, "/format: expected 1"),
        (["secret"], "abc", "/secret: expected 64 hex digits"),
        (["secret"], 5, "/secret: expected 64 hex digits"),
        (["clock"], None, "/clock: expected an object"),
        (["clock", "segments"], [], "/clock: the segments"),
        (["clock", "segments"], [[0, 0, 1.0, True]] * 10_001, "/clock: there are more than 10000 segments"),
        (["clock", "scale"], "fast", "/clock: "),
        (["clock", "scale"], -1, "/clock: a scale is from 0 to 1,000,000"),
        (["clock", "scale"], "inf", "/clock: a scale is from 0 to 1,000,000"),
        (["clock", "moment"], 1 << 61, "/clock: the moment lies outside"),
        (["clock", "scale"], 10**309, "/clock: "),
        (["clock", "segments", 0, 1], 1 << 62, "/clock: a time is too large"),
        (["clock", "wall"], -(1 << 62), "/clock: a time is too large"),
        (["faults", "items"], [{"id": "f1"}], "/faults: "),
        (["faults", "items"], [{"id": "f1", "source": []}], "/faults: the source of a fault is not an object"),
        (["faults", "items"], [{}] * 1_001, "/faults: there are more than 1000 faults"),
        (["faults", "made"], 1 << 62, "/faults: a number"),
        (["faults", "made"], 1.5, "/faults: a number"),
        (["faults", "items"], [{**A_FAULT, "seed": "\ud800"}], "/faults: 'utf-8' codec can't encode"),
        (["faults", "items"], [{**A_FAULT, "id": "\ud800"}], "/faults: 'utf-8' codec can't encode"),
        (["shared"], {}, "/shared: expected an array"),
        (["organizations"], [], "/organizations: expected an object"),
        (["organizations", "ORG", "units"], {}, "/organizations/ORG/units: expected an array"),
        (["organizations", "ORG", "units", 0], ["batch"], "/organizations/ORG/units/0: expected [kind, key, value]"),
        (["organizations", "ORG", "units", 0, 0], "bath", "/organizations/ORG/units/0/0: 'bath' is not one of batch, "),
        (["organizations", "ORG", "units", 0, 2, "ids", "first"], "x", "/units/0/2/ids/first: expected an integer"),
        (["organizations", "ORG", "units", 0, 2, "ids", "first"], True, "/units/0/2/ids/first: expected an integer"),
        (["organizations", "ORG", "units", 0, 2, "ids", "class"], "Row", "/ids: expected an object whose 'class' is"),
        (["organizations", "ORG", "units", 0, 2, "ids", "class"], [], "/ids: expected an object whose 'class' is"),
        (["organizations", "ORG", "units", 0, 2, "idz"], 1, "/units/0/2/idz: Batch has no such member"),
        (["organizations", "ORG", "units", 0, 2, "input_values"], {"shared": 99}, "/input_values: expected {"),
        (["organizations", "ORG", "units", 0, 2, "input_values"], {"base64": "?"}, "/input_values: expected a string"),
        (["organizations", "ORG", "units", 0, 2, "input_values"], {"base64": "\ud800"}, "/input_values: expected a"),
        (["organizations", "ORG", "units", 0, 2, "input_values"], {"shared": 0}, "/shared/0: expected a value that"),
        (["organizations", "ORG", "units", 0, 2, "ids", "size"], 10**18, "/ids/size: expected a number from 1 to 1000"),
        (["organizations", "ORG", "units", 0, 2, "ids", "first"], 1 << 63, "/ids/first: expected an integer of 64"),
        (["organizations", "ORG", "units", 0], ["changes", "-a", {"1" * 5_000: {}}], ": expected an integer as the"),
        (["organizations", "ORG", "units", 0], ["changes", "-a", {"1000": {}}], "/0/2: expected changes of runs 0 to"),
        (["organizations"], {"\ud800": {"key": "00" * 32, "units": []}}, "/organizations: expected names without"),
        (["organizations", "ORG", "units", 0, 2, "files"], "none", "/files: expected an array"),
        (["organizations", "ORG", "units", 0, 2, "ids", "tail"], "-x", "/organizations/ORG: run "),
        (["organizations", "ORG", "units", 0, 2, "placement", "session_id"], "none", "/organizations/ORG: the list of"),
        (["organizations", "ORG", "units", 0, 2, "input_values"], "{", "/organizations/ORG: run "),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_with_its_place_and_changes_nothing(path, value, told):
    mock = ControlledMock()
    mock.create_many(3)
    before, state = seen(mock), mock.asked("/state")
    state["shared"] = [{"shared": 0}]
    organisation = next(iter(state["organizations"]))
    replace(state, [organisation if step == "ORG" else step for step in path], value)

    assert told.replace("ORG", organisation) in refusal_of(mock, state)
    assert seen(mock) == before


@pytest.mark.parametrize(
    ("kind", "path", "value", "told"),
    [
        ("workflow", ["shown"], "[1]", "workflow KEY cannot be shown: ValueError: it is not an object with this id"),
        ("workflow", ["shown"], "{}", "workflow KEY cannot be shown"),
        ("workflow", ["shown"], "{", "workflow KEY cannot be shown: JSONDecodeError"),
        ("pool", ["parameters"], "{", "the pools cannot be shown"),
        ("session", ["machine_id"], "\ud800", "the machine of session KEY cannot be shown"),
        ("session", ["machine_id"], '"', "the machine of session KEY cannot be shown"),
        ("bulk", ["batch", "workflow_id"], "\ud800", "the reply to the idempotency key bulk cannot be shown"),
        ("bulk", ["batch", "workflow_id"], '","id":"', "the reply to the idempotency key bulk cannot be shown"),
        ("bulk", ["batch", "ids", "tail"], "\ud800", "the reply to the idempotency key bulk cannot be shown"),
        ("bulk", ["batch", "ids", "first"], (1 << 32) - 1, "the reply to the idempotency key bulk cannot be shown"),
        ("bulk", ["batch", "placement", "machine_id"], "\ud800", "the reply to the idempotency key bulk cannot be"),
        ("bulk", ["batch", "input_values"], "{", "the reply to the idempotency key bulk cannot be shown: JSONDecode"),
        ("single", ["batch", "workflow_id"], "\ud800", "the reply to the idempotency key single cannot be shown"),
        ("update", ["run", "batch", "workflow_id"], "\ud800", "the reply to the idempotency key update cannot be"),
        ("machines", ["view", "pool"], {"shared": "POOL"}, "the reply to the idempotency key machines cannot be shown"),
        ("machines", ["machines", 0, "pools", 0], {"shared": "POOL"}, "the idempotency key machines cannot be shown"),
    ],
)
def test_a_state_of_which_something_cannot_be_shown_is_refused_with_its_place_and_changes_nothing(
    kind: str, path: list[Any], value: Any, told: str
):
    mock = ControlledMock()
    body = {"workflow_id": SUCCEEDS, "start_session": True}
    mock.post("/v1/runs/bulk", {**body, "count": 20}, key="bulk")
    run = mock.create(**body, key="single")["id"]
    mock.patch(f"/v1/runs/{run}", {"status": "running"}, key="update")
    mock.post("/v1/workflows", {"name": "w", "main_prompt": "p"})
    pool = mock.post("/v1/pools", {"name": "p"}).json()["id"]
    mock.post(f"/v1/pools/{pool}/machines", {"machine_ids": [FRONT_DESK_1]}, key="machines")
    before, state = seen(mock), mock.asked("/state")
    units = next(iter(state["organizations"].values()))["units"]
    key, place = next(unit[1:3] for unit in units if kind == unit[unit[0] == "idempotency"])
    if key == kind:
        place = place["reply"]["content"]
    if value == {"shared": "POOL"}:
        value = {"shared": len(state["shared"])}
        state["shared"].append({**next(unit[2] for unit in units if unit[1] == pool), "parameters": "{"})
    replace(place, path, value)

    assert told.replace("KEY", key) in refusal_of(mock, state)
    assert seen(mock) == before


def test_a_state_is_read_in_a_thread_and_not_deeper_than_the_interpreter_can(monkeypatch):
    threads: list[threading.Thread] = []

    def recorded(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return decoded(*given)

    decoded = state_module._writes
    monkeypatch.setattr(state_module, "_writes", recorded)
    mock = ControlledMock()
    mock.create_many(3)
    state = mock.asked("/state")
    assert mock.control("PUT", "/state", state).status_code == 204
    assert threads
    assert threading.main_thread() not in threads

    state["shared"] = [{"shared": place + 1} for place in range(5_000)]
    next(iter(state["organizations"].values()))["units"][0][2]["input_values"] = {"shared": 0}
    assert "/units: shared values refer to one another too deeply" in refusal_of(mock, state)


def test_what_only_a_search_reads_of_a_run_is_refused_too():
    mock = ControlledMock()
    run = mock.create()["id"]
    mock.control("POST", f"/runs/{run}/fail")
    assert mock.post(f"/v1/runs/{run}/retry", {}).status_code == 200
    state = mock.asked("/state")
    ((_, tail, batch),) = (unit for unit in next(iter(state["organizations"].values()))["units"] if unit[0] == "batch")
    batch["placement"]["session_alias"] = '"'

    assert f"the session alias of the runs {tail} cannot be shown" in refusal_of(mock, state)


def test_a_file_whose_id_cannot_be_shown_is_refused_before_its_run_shows_it():
    mock = ControlledMock()
    mock.create(HAS_OUTPUT_FILES)
    state = mock.asked("/state")
    ((_, tail, batch),) = (unit for unit in next(iter(state["organizations"].values()))["units"] if unit[0] == "batch")
    batch["outputs"][0]["ids"]["tail"] = "-\ud800"

    assert f"a file of the runs {tail} cannot be shown" in refusal_of(mock, state)


def test_a_header_that_cannot_be_sent_is_refused_too():
    mock = ControlledMock()
    mock.create(key="k")
    state = mock.asked("/state")
    (use,) = (unit[2] for unit in next(iter(state["organizations"].values()))["units"] if unit[1] == "k")

    for headers in ({"A": "\ud800"}, {"A": "a\r\nB: b"}, {"\u0101": "a"}):
        use["reply"]["headers"] = headers
        assert "cannot stand in a header" in mock.control("PUT", "/state", state).json()["detail"]


@pytest.mark.parametrize("first", [-(10**18), 10**18])
def test_a_session_is_not_searched_for_more_runs_than_one_call_can_make(first):
    mock = ControlledMock()
    mock.create_many(3, start_session=True)
    state = mock.asked("/state")
    [session] = [unit for unit in next(iter(state["organizations"].values()))["units"] if unit[0] == "session"]
    session[2]["slots"][0]["first"] = first

    answer = mock.control("PUT", "/state", state)

    assert answer.status_code == 422
    assert "/slots/0/first: expected a number from 0 to 999" in answer.json()["detail"]


def test_a_shared_value_is_of_the_type_of_each_place_that_refers_to_it():
    mock = ControlledMock()
    mock.post("/v1/runs/chain", {**A_CHAIN, "shared_file_inputs": []})
    mock.create(input_values={"a": LONG_TEXT})
    state = mock.asked("/state")
    units = next(iter(state["organizations"].values()))["units"]
    inputs = [unit[2]["input_values"] for unit in units if unit[0] == "batch"]
    inputs[0]["shared"] = inputs[-1]
    units.reverse()  # the text is read first

    answer = mock.control("PUT", "/state", state)

    assert answer.status_code == 422
    assert f"/shared/{inputs[-1]['shared']}: expected an object" in answer.json()["detail"]


def test_a_large_state_is_read_in_a_thread(monkeypatch):
    mock = ControlledMock()
    mock.create(input_values={"a": "b" * 100_000})
    state, threads = mock.asked("/state"), []
    decode = Operation.decode

    def decode_noted(operation: Operation, raw: RawRequest) -> Any:
        threads.append(threading.current_thread())
        return decode(operation, raw)

    monkeypatch.setattr(Operation, "decode", decode_noted)

    assert mock.control("PUT", "/state", state).status_code == 204
    assert threads
    assert threading.main_thread() not in threads


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_what_clients_have_nested_as_deeply_as_they_may_comes_back():
    mock = ControlledMock()
    mock.post(
        "/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS, "inputs": nested(252)}], "shared_inputs": {"b": 1}}
    )
    mock.post(
        "/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS, "inputs": {"b": 1}}], "shared_inputs": nested(254)}
    )
    mock.post("/v1/workflows", {"main_prompt": "p", "input_schema": json.dumps(nested(256))})
    mock.fault(match="get_run", body={"/a": nested(253)}, fault="reset")
    assert mock.total() == 2
    before, state = seen(mock), mock.asked("/state")
    mock.control("POST", "/reset")

    assert mock.control("PUT", "/state", state).status_code == 204
    assert seen(mock) == before


def test_a_missing_member_is_named():
    mock = ControlledMock()
    mock.create_many(3)
    state = mock.asked("/state")
    del state["organizations"][next(iter(state["organizations"]))]["units"][0][2]["number"]

    assert "/units/0/2/number: Batch needs this member" in mock.control("PUT", "/state", state).json()["detail"]


def test_a_request_that_is_being_handled_is_not_in_the_state():
    mock = ControlledMock()

    async def written_meanwhile() -> Any:
        write = mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS}, key="k", prefer="delay=5")
        slow = asyncio.ensure_future(write)
        await mock.until_delayed(slow)
        assert mock.app.namespaces.default.spaces
        state = (await mock.controlled("GET", "/state")).json()
        await mock.controlled("POST", "/clock", {"advance": "10s"})
        assert (await slow).status_code == 201
        return state

    state = mock.run(written_meanwhile())

    assert "idempotency" not in json.dumps(state)
    assert "idempotency" in json.dumps(mock.asked("/state"))


def test_a_state_of_another_world_is_told_in_the_log(caplog):
    mock = ControlledMock()
    state = mock.asked("/state")
    state["made_by"]["world"] = "another"

    mock.control("PUT", "/state", state)

    assert "written with another world" in caplog.text
