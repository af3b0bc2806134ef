"""What is kept has a bound, what is shared is kept once, and long work gives way to others."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from mockserver import reply
from mockserver.admin import server as admin_server
from mockserver.admin import state as admin_state
from mockserver.admin.journal_content import JournalContent
from mockserver.behaviour import attachments, resource_view, run_creation, secrets
from mockserver.behaviour.context import RenderedBudget
from mockserver.behaviour.session_timelines import SessionTimelines
from mockserver.bodies import Bodies
from mockserver.byte_budget import ByteBudget
from mockserver.errors import Unavailable
from mockserver.journal import Entry
from mockserver.namespaces import Namespaces
from mockserver.scope_keys import CONNECTION_KEY
from mockserver.settings import MEBIBYTE, Limits
from mockserver.time_slice import TimeSlice
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.http11.wire import Server, Wire, answers, request
from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ACCOUNTING_SOFTWARE,
    ENDS_AT_ONCE,
    FRONT_DESK_1,
    FRONT_DESK_2,
    FRONT_DESKS,
    NEVER_ENDS,
    SUCCEEDS,
    Mock,
    turns_of,
    unknown_id,
    violations,
)


def spaces(mock: Mock) -> set[str]:
    """The namespaces in which some organisation has a space."""
    return {name for name, namespace in mock.app.namespaces.items() if namespace.spaces}


# --- Namespaces, organisations, rate windows


def test_what_keeps_nothing_is_let_go():
    mock = Mock(rate_limit=None)
    kept = mock.create()["id"]
    for number in range(1_500):
        assert mock.get(f"/__ns/n{number}/v1/runs/{kept}").status_code == 404
    assert len(spaces(mock)) < 1_200
    assert mock.read(kept)["id"] == kept


def test_where_each_keeps_something_no_more_than_so_many_are_taken():
    mock = Mock(limits=Limits(max_spaces=7))
    for number in range(3):
        assert mock.post(f"/__ns/n{number}/v1/runs", {"workflow_id": SUCCEEDS}).status_code == 201
    refused = mock.get("/__ns/n3/v1/runs", fails=True)
    assert refused.status_code == 503
    assert "7 namespaces and organisations" in refused.json()["detail"]
    # Those that are there go on.
    for number in range(3):
        assert mock.get(f"/__ns/n{number}/v1/runs").json()["total"] == 1


def test_at_the_limit_others_are_answered_while_room_is_sought_once_for_all(monkeypatch: pytest.MonkeyPatch):
    mock = Mock(limits=Limits(max_spaces=61))
    for number in range(30):
        assert mock.post(f"/__ns/n{number}/v1/runs", {"workflow_id": SUCCEEDS}).status_code == 201
    cleanups: list[object] = []
    clean_up = Namespaces._clean_up

    def counted(namespaces: Namespaces) -> Awaitable[None]:
        cleanups.append(namespaces)
        return clean_up(namespaces)

    monkeypatch.setattr(Namespaces, "_clean_up", counted)
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def go() -> list[int]:
        new = [asyncio.ensure_future(mock.sent("GET", f"/__ns/new{each}/v1/runs", fails=True)) for each in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await mock.sent("GET", "/v1/health")).status_code == 200
        assert not any(each.done() for each in new)
        return [(await each).status_code for each in new]

    assert mock.run(go()) == [503] * 5
    assert len(cleanups) == 1


def test_requests_that_wait_for_room_for_the_same_name_get_the_same_namespace(monkeypatch: pytest.MonkeyPatch):
    mock = Mock(limits=Limits(max_spaces=20))
    for number in range(9):
        assert mock.get(f"/__ns/n{number}/v1/runs").status_code == 200
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def go() -> list[int]:
        body = {"workflow_id": SUCCEEDS}
        sent = [mock.sent("POST", "/__ns/new/v1/runs", json=body) for _ in range(3)]
        return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert mock.run(go()) == [201] * 3
    assert mock.get("/__ns/new/v1/runs").json()["total"] == 3


def test_a_rate_window_that_is_over_and_a_key_that_is_forgotten_keep_no_one():
    from mockserver.settings import RateLimit

    mock = Mock(rate_limit=RateLimit(5, 1), limits=Limits(max_spaces=5))
    assert mock.get("/__ns/a/v1/runs").status_code == 200
    failing = {"workflow_id": "10000000-0000-4000-8000-000000000006", "count": 1}
    assert mock.post("/__ns/b/v1/runs/bulk", failing, key="k", prefer="failed=1").json()["failed_count"] == 1
    assert mock.get("/__ns/c/v1/runs", fails=True).status_code == 503
    mock.clock.advance(24 * 3600)
    assert mock.get("/__ns/c/v1/runs").status_code == 200
    assert spaces(mock) == {"c"}


def test_a_space_in_use_is_not_let_go_although_it_is_empty():
    mock = Mock(limits=Limits(max_spaces=3))

    async def go() -> int:
        body = {"workflow_id": SUCCEEDS}
        writing = asyncio.ensure_future(mock.sent("POST", "/__ns/a/v1/runs", json=body, prefer="delay=5"))
        await asyncio.sleep(0)
        other = await mock.sent("GET", "/__ns/b/v1/runs", fails=True)
        mock.clock.advance(5)
        assert (await writing).status_code == 201
        return other.status_code

    assert mock.run(go()) == 503
    assert mock.get("/__ns/a/v1/runs").json()["total"] == 1


def test_an_organisation_that_comes_to_a_namespace_which_was_reset_meanwhile_takes_no_room():
    mock = ControlledMock(limits=Limits(max_spaces=3))

    async def go(token: str) -> None:
        await mock.controlled("POST", "/faults", {"match": "*", "delay_s": 60})
        waiting = asyncio.ensure_future(mock.sent("GET", "/v1/machines", token=token))
        await asyncio.sleep(0)
        await mock.controlled("POST", "/reset")
        assert (await waiting).status_code == 200

    for place in range(5):
        mock.run(go(f"test-{place}"))


def test_a_name_of_a_namespace_is_utf_8_and_not_too_long():
    mock = Mock()
    assert mock.get("/__ns/\ufffd/v1/runs").status_code == 200
    for name in ("%ff", "%fe", "\ufffd%ff"):
        assert mock.get(f"/__ns/{name}/v1/runs").status_code == 404
    assert mock.get(f"/__ns/{'n' * 200}/v1/runs").status_code == 200
    assert mock.get(f"/__ns/{'n' * 201}/v1/runs").status_code == 404


# --- Idempotency keys


def keys(mock: Mock) -> list[str]:
    ((_, space),) = mock.app.namespaces.default.spaces.items()
    return list(mock.run(space.store.items("idempotency")))


def test_of_too_many_keys_the_oldest_that_are_settled_are_forgotten():
    mock = Mock(limits=Limits(max_idempotency_keys=3))
    for number in range(10):
        mock.create(key=f"key-{number}")
    assert len(keys(mock)) <= 3
    assert keys(mock)[-1] == "key-9"


def test_an_expired_key_that_is_used_again_holds_up_no_clean_up():
    mock = Mock()
    mock.create(key="again")
    for number in range(3):
        mock.create(key=f"old-{number}")
    mock.clock.advance(24 * 3600)
    for _ in range(2):
        mock.create(key="again")
    for number in range(2):
        mock.create(key=f"new-{number}")
    assert keys(mock) == ["again", "new-0", "new-1"]


# --- Chains, files, pools


def test_a_chain_of_more_steps_than_may_be_is_a_413_and_makes_nothing():
    mock = Mock()
    steps = [{"workflow_id": SUCCEEDS}] * 1_001
    refused = mock.post("/v1/runs/chain", {"steps": steps})
    assert refused.status_code == 413
    assert "1000 steps" in refused.json()["detail"]
    assert mock.total() == 0
    assert len(mock.post("/v1/runs/chain", {"steps": steps[1:]}).json()["run_ids"]) == 1_000


def stored(mock: Mock) -> int:
    """Bytes of all that the store keeps, each object once."""
    seen: set[int] = set()
    size = 0
    waiting: list[Any] = [space._units for space in mock.app._store._spaces.values()]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        size += sys.getsizeof(value)
        if isinstance(value, dict):
            waiting += (*value.keys(), *value.values())  # no pairs: those are gone at once, and their ids used again
        elif isinstance(value, list | tuple):
            waiting += value
        else:
            waiting += [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
    return size


@pytest.mark.parametrize("own", [None, {}, {"a": 1}, {"mine": "b" * 50}])
def test_what_the_steps_of_a_chain_share_is_kept_once(own: dict[str, Any] | None):
    mock = Mock()
    shared = {
        "shared_inputs": {"a": "x" * 100_000, "b": 1},
        "shared_sensitive_inputs": {f"secret {number}": "s" for number in range(1_000)},
        "shared_file_inputs": [{"filename": "f", "content": base64.b64encode(b"y" * 100_000).decode()}],
        "pool_ids": [FRONT_DESKS] * 2_000,
    }
    step = {"workflow_id": SUCCEEDS} | ({} if own is None else {"inputs": own, "sensitive_inputs": {"mine": "s"}})
    answer = mock.post("/v1/runs/chain", {"steps": [step] * 100, **shared})
    assert answer.status_code == 201, answer.text
    assert stored(mock) < 1_000_000
    last = mock.read(answer.json()["run_ids"][-1])
    assert last["input_values"] == {**shared["shared_inputs"], **(own or {})}
    names = [*shared["shared_sensitive_inputs"], *(["mine"] if own is not None else [])]
    assert list(last["sensitive_input_aliases"]) == names
    assert last["sensitive_input_aliases"] == mock.read(last["id"])["sensitive_input_aliases"]
    (attachment,) = last["input_attachment_ids"]
    assert mock.get(f"/v1/run-attachments/{attachment}/download").content == b"y" * 100_000
    found = [run_id for run_id in mock.ids(search="x" * 50) if run_id == last["id"]]
    assert len(found) == (0 if (own or {}).get("a") else 1)


def test_the_names_of_secrets_that_steps_share_are_not_read_to_know_the_size_of_a_page(monkeypatch: pytest.MonkeyPatch):
    mock, read = Mock(), []
    monkeypatch.setattr(secrets, "aliases_size", lambda names: read.append(names))
    secret = {f"secret {number}": "s" for number in range(100)}
    mock.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * 10, "shared_sensitive_inputs": secret})

    [aliases, *_] = [run["sensitive_input_aliases"] for run in mock.get("/v1/runs").json()["items"]]

    assert aliases.keys() == secret.keys()
    assert read == []


def test_more_attachments_than_one_request_may_make_are_a_413():
    mock = Mock(limits=Limits(max_files=10))
    file = {"filename": "f", "content": ""}
    bulk = {"workflow_id": SUCCEEDS, "count": 2}
    assert mock.post("/v1/runs/bulk", {**bulk, "file_inputs": [file] * 10}).status_code == 201
    assert mock.post("/v1/runs/bulk", {**bulk, "file_inputs": [file] * 11}).status_code == 413
    steps = [{"workflow_id": SUCCEEDS}] * 5
    assert mock.post("/v1/runs/chain", {"steps": steps, "shared_file_inputs": [file] * 2}).status_code == 201
    assert mock.post("/v1/runs/chain", {"steps": steps, "shared_file_inputs": [file] * 3}).status_code == 413


@pytest.mark.parametrize("own", [0, 2])
def test_a_run_has_no_more_secrets_than_so_many(own: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(secrets, "_MAX_NAMES", 10)
    mock = Mock()
    run = mock.create(ENDS_AT_ONCE)["id"]

    def ask(count: int) -> list[int]:
        given = {"sensitive_input_values": {f"secret {number}": "s" for number in range(count)}}
        step = {"workflow_id": SUCCEEDS, "sensitive_inputs": {f"own {number}": "s" for number in range(own)}}
        shared = {f"secret {number}": "s" for number in range(count - own)}
        answers = (
            mock.post("/v1/runs", {"workflow_id": SUCCEEDS, **given}),
            mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 2, **given}),
            mock.post(
                "/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}, step], "shared_sensitive_inputs": shared}
            ),
            mock.post(f"/v1/runs/{run}/retry", given),
        )
        return [answer.status_code for answer in answers]

    assert ask(11) == [413] * 4
    assert mock.total() == 1
    assert ask(10) == [201, 201, 201, 200]


def test_a_pool_takes_no_more_machines_than_it_may_have():
    mock = Mock(limits=Limits(max_pool_machines=4))
    path = f"/v1/pools/{FRONT_DESKS}/machines"
    assert mock.post(path, {"machine_ids": [unknown_id(), unknown_id()]}).status_code == 200
    assert mock.post(path, {"machine_ids": [unknown_id()]}).status_code == 413
    assert mock.get(f"/v1/pools/{FRONT_DESKS}").json()["machine_count"] == 4


def test_replies_that_are_kept_for_keys_refer_to_large_pools_and_do_not_contain_them():
    mock = ControlledMock()
    pools = [mock.post("/v1/pools", {"name": "p", "description": "d" * 500_000}).json()["id"] for _ in range(3)]
    for pool in pools:
        machine_ids = [FRONT_DESK_1, ACCOUNTING_1, *(unknown_id() for _ in range(1_000))]
        mock.post(f"/v1/pools/{pool}/machines", {"machine_ids": machine_ids})
    before = stored(mock)

    answers = []
    for number in range(20):
        mock.control("POST", "/clock/advance", {"seconds": 1})
        path, body = f"/v1/pools/{pools[number % 3]}/machines", {"machine_ids": [FRONT_DESK_2] if number > 15 else []}
        answers.append((path, body, mock.post(path, body, key=f"k{number}").text))

    assert sum(len(text) for _, _, text in answers) > 40_000_000
    assert stored(mock) - before < 20 * 3_000
    state = mock.control("GET", "/state").text
    assert len(state) < 2_000_000
    assert mock.control("PUT", "/state", json.loads(state)).status_code == 204
    for number, (path, body, text) in enumerate(answers):
        assert mock.post(path, body, key=f"k{number}").text == text


def test_a_pool_that_is_named_many_times_is_looked_up_once(monkeypatch: pytest.MonkeyPatch):
    mock, looked_up = Mock(), []
    pool_machines = run_creation.pool_machines

    async def counted(context: Any, pool_id: str) -> Any:
        looked_up.append(pool_id)
        return await pool_machines(context, pool_id)

    monkeypatch.setattr(run_creation, "pool_machines", counted)
    pool_ids = [FRONT_DESKS] * 3 + [ACCOUNTING_SOFTWARE] + [FRONT_DESKS]

    assert mock.create(pool_ids=pool_ids)["pool_ids"] == pool_ids
    assert looked_up == [FRONT_DESKS, ACCOUNTING_SOFTWARE]


def test_a_run_that_is_retried_again_and_again_costs_no_more_each_time():
    mock = Mock()
    for start_session in (False, True):
        run = mock.create(start_session=start_session)["id"]
        sizes = []
        for _ in range(60):
            mock.patch(f"/v1/runs/{run}", {"status": "cancelled"})
            assert mock.post(f"/v1/runs/{run}/retry", {}).status_code == 200
            sizes.append(stored(mock))
        assert sizes[-1] - sizes[10] < 500


def test_a_retry_does_not_compute_the_timelines_of_its_session(monkeypatch: pytest.MonkeyPatch):
    """They take a moment each, in which nothing else is handled, and there may be many ten thousands."""
    mock = Mock()
    first = mock.create(ENDS_AT_ONCE, start_session=True)
    for _ in range(3):
        mock.create_many(100, ENDS_AT_ONCE, session_id=first["session_id"])
    mock.read(first["id"])
    computed = 0
    compute_to = SessionTimelines._compute_to

    def counted(timelines: SessionTimelines, position: int) -> None:
        nonlocal computed
        before = len(timelines._timelines)
        compute_to(timelines, position)
        computed += len(timelines._timelines) - before

    monkeypatch.setattr(SessionTimelines, "_compute_to", counted)
    assert mock.post(f"/v1/runs/{first['id']}/retry", {}).json()["status"] == "scheduling"
    assert computed <= 2
    assert mock.status(first["id"]) == "success"
    assert computed >= 300


def test_the_runs_that_lists_keep_rendered_have_one_limit_for_all_organisations():
    mock = Mock(self_check=False, journal_bytes=0)
    for number in range(3):
        token = f"test-{number}"
        for _ in range(20):
            mock.create_many(100, token=token, input_values={"text": "x" * 10_000})
        for skip in range(0, 2_000, 50):
            mock.get(f"/v1/runs?limit=50&skip={skip}", token=token)

    kept = 0
    for space in mock.app.namespaces.default.spaces.values():
        kept += sum(len(each.text) for runs in space.cached.rendered.values() for each in runs.values())
        kept += sum(len(text) for _, _, text in space.cached.rendered_ranges.values())
    assert MEBIBYTE < kept <= 32 * MEBIBYTE


@pytest.mark.parametrize("is_retried", [True, False])
def test_a_session_without_runs_keeps_its_machine_and_nothing_else(is_retried: bool):
    mock = Mock(self_check=False)
    run = mock.create(ENDS_AT_ONCE, start_session=True)
    sessions, sizes = {run["session_id"]}, []
    for _ in range(50):
        mock.read(run["id"])
        mock.total()
        if is_retried:
            run = mock.post(f"/v1/runs/{run['id']}/retry", {"start_session": True}).json()
        else:
            mock.delete(f"/v1/runs/{run['id']}")
            run = mock.create(ENDS_AT_ONCE, start_session=True)
        sessions.add(run["session_id"])
        sizes.append(stored(mock))

    (space,) = mock.app.namespaces.default.spaces.values()
    assert len(sessions) == 51
    assert space.cached.sessions.keys() <= {run["session_id"]}
    assert space.cached.timeline_count <= 1
    assert (sizes[-1] - sizes[10]) / 39 < 600


# --- Large answers, long work


def in_parts(mock: Mock, method: str, path: str, body: Any = None, *, parts: list[bytes] | None = None) -> list[bytes]:
    """The body of an answer, in the parts in which it is sent; they are added to `parts`."""
    parts = [] if parts is None else parts

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        parts.append(message.get("body", b""))

    names = {"host": "localhost", "authorization": "Bearer test-one", "content-type": "application/json"}
    headers = [(name.encode(), value.encode()) for name, value in names.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    mock.run(mock.app(scope, receive, send))
    return parts


@pytest.mark.parametrize(
    "given",
    [{"input_values": {"a": "x" * 100_000}}, {"pool_ids": [unknown_id() for _ in range(3_000)]}],
    ids=["inputs", "pools"],
)
def test_a_large_answer_never_stands_in_memory_as_a_whole(given: dict[str, Any]):
    mock = Mock(self_check=False)
    created = in_parts(mock, "POST", "/v1/runs/bulk", {"workflow_id": NEVER_ENDS, "count": 100, **given})
    answers = [created]
    runs = json.loads(b"".join(created))["created_runs"]
    (field,) = given
    for path in ("/v1/runs?limit=100", "/__admin/runs?limit=100", f"/__admin/runs?limit=100&fields={field}"):
        answers.append(in_parts(mock, "GET", path))
        assert [run[field] for run in json.loads(b"".join(answers[-1]))["items"]] == [runs[0][field]] * 100
    for parts in answers:
        assert sum(map(len, parts)) > 10_000_000
        assert max(map(len, parts)) < 200_000


def test_a_large_list_of_attachments_is_rendered_while_it_is_sent(monkeypatch: pytest.MonkeyPatch):
    mock = Mock(self_check=False)
    file = {"filename": "x" * 100_000, "content": "YQ=="}
    mock.create_many(100, NEVER_ENDS, file_inputs=[file])
    parts: list[bytes] = []
    sent_before: list[int] = []
    attachment_fields = attachments.attachment_fields

    def counted(attachment: Any) -> dict[str, Any]:
        sent_before.append(len(parts))
        return attachment_fields(attachment)

    monkeypatch.setattr(attachments, "attachment_fields", counted)
    in_parts(mock, "GET", "/v1/run-attachments?limit=100", parts=parts)
    assert [each["filename"] for each in json.loads(b"".join(parts))["items"]] == [file["filename"]] * 100
    assert sent_before == sorted(set(sent_before))


class SlowReader:
    """A client that takes nothing of its answer until it `reads`."""

    def __init__(self, mock: Mock, method: str, path: str, body: bytes = b"", *, has_connection: bool = False) -> None:
        self.reads = asyncio.Event()
        self.was_aborted = False
        self.was_offered = 0
        self.status: int | None = None
        self.offered = asyncio.Event()
        names = {"host": "localhost", "authorization": "Bearer test-one", "content-type": "application/json"}
        headers = [(name.encode(), value.encode()) for name, value in names.items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        if has_connection:
            scope[CONNECTION_KEY] = self
        self._body = body
        self.answered = asyncio.ensure_future(mock.app(scope, self._receive, self._send))

    def abort(self) -> None:
        self.was_aborted = True

    async def _receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.was_offered += 1
        self.offered.set()
        assert len(message.get("body", b"")) <= 262_144
        await self.reads.wait()


OF_THE_CONTROL_API = ["a journal", "any run", "any runs", "any attachments", "faults", "namespaces", "a state"]


@pytest.mark.parametrize("what", ["a run", "a list", "an attachment", "a refusal", *OF_THE_CONTROL_API])
def test_a_large_answer_waits_until_slow_readers_have_taken_those_before_it(what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(admin_state, "_BYTES_OF_UNIT", 1_000_000)
    monkeypatch.setattr(admin_server, "_BYTES_OF_NAMESPACE", 3_000_000)
    mock = Mock(max_body=4_000_000, limits=Limits(max_bodies_bytes=4_000_000), self_check=False)
    run = mock.create(
        NEVER_ENDS, input_values={"a": "x" * 3_000_000}, file_inputs=[{"filename": "x" * 900_000, "content": "YQ=="}]
    )
    fault = {"match": "get_machine", "fault": "reset", "body": {"/a": "x" * 3_000_000}}
    assert mock.post("/__admin/faults", fault, headers={"Host": "localhost"}).status_code == 201
    requests = {
        "a run": ("GET", f"/v1/runs/{run['id']}"),
        "a list": ("GET", "/v1/runs"),
        "an attachment": ("GET", f"/v1/run-attachments/{run['input_attachment_ids'][0]}"),
        "a journal": ("GET", "/__admin/requests"),
        "any run": ("GET", f"/__admin/runs/{run['id']}"),
        "any runs": ("GET", "/__admin/runs"),
        "any attachments": ("GET", f"/__admin/runs/{run['id']}/attachments"),
        "faults": ("GET", "/__admin/faults"),
        "namespaces": ("GET", "/__admin/namespaces"),
        "a state": ("GET", "/__admin/state"),
        "a refusal": ("POST", "/v1/runs", json.dumps({"input_values": "x" * 3_000_000}).encode()),
    }

    async def go() -> None:
        readers = [SlowReader(mock, *requests[what]) for _ in range(5)]
        offers = [asyncio.ensure_future(each.offered.wait()) for each in readers]
        await asyncio.wait(offers, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(50):
            await asyncio.sleep(0)
        assert sum(each.was_offered > 0 for each in readers) <= 2
        assert (await mock.sent("GET", "/v1/machines")).status_code == 200
        for each in readers:
            each.reads.set()
        await asyncio.gather(*(each.answered for each in readers))
        assert all(each.was_offered > 1 for each in readers)

    mock.run(go())


@pytest.mark.parametrize("path", ["/v1/runs/{}", "/__admin/requests", "/__admin/runs/{}"])
def test_clients_that_never_take_their_large_answers_lose_them_once_others_wait(path: str):
    limits = Limits(max_bodies_bytes=4_000_000, send_timeout=0.1)
    mock = Mock(max_body=4_000_000, limits=limits, self_check=False)
    run = mock.create(NEVER_ENDS, input_values={"a": "x" * 3_000_000})

    async def go() -> None:
        alone = SlowReader(mock, "GET", path.format(run["id"]), has_connection=True)
        await alone.offered.wait()
        await asyncio.sleep(0.3)
        assert not alone.was_aborted
        last = SlowReader(mock, "GET", path.format(run["id"]), has_connection=True)
        last.reads.set()
        async with asyncio.timeout(20):
            await asyncio.gather(alone.answered, last.answered)
        assert (alone.was_aborted, last.was_aborted, last.status) == (True, False, 200)

    mock.run(go())


def test_the_answers_that_faults_hold_back_have_a_limit_together():
    mock = ControlledMock(max_body=4_000_000, limits=Limits(max_bodies_bytes=4_000_000), self_check=False)
    run = mock.create(NEVER_ENDS, input_values={"a": "x" * 1_500_000})
    mock.fault(match="get_run", fault="slow", delay_s=1_000_000)

    async def go() -> None:
        readers = [SlowReader(mock, "GET", f"/v1/runs/{run['id']}") for _ in range(2)]
        await asyncio.gather(*(each.offered.wait() for each in readers))
        async with asyncio.timeout(20):  # one that is not refused takes days
            refused = await mock.sent("GET", f"/v1/runs/{run['id']}", fails=True)
        assert (refused.status_code, "--max-bodies-bytes" in refused.json()["detail"]) == (503, True)
        readers[0].answered.cancel()
        await asyncio.wait([readers[0].answered])
        third = SlowReader(mock, "GET", f"/v1/runs/{run['id']}")
        await third.offered.wait()
        assert third.status == 200
        for each in (readers[1], third):
            each.answered.cancel()

    mock.run(go())


LARGE_RESOURCES = {
    "a pool": "/v1/pools/{pool}",
    "pools": "/v1/pools",
    "a machine": f"/v1/machines/{FRONT_DESK_1}",
    "machines": "/v1/machines",
    "workflows": "/v1/workflows",
    "resources of runs": "/v1/runs?include=workflow,machine,machine.pools",
    "resources of a run": "/v1/runs/{run}?include=workflow,machine,machine.pools",
    "a pool with machines": "POST /v1/pools/{pool}/machines",
}


def with_large_resources(what: str, **settings: Any) -> tuple[Mock, str, str, Any]:
    """A mock with some, and the method, path and body of a request for them."""
    mock = Mock(self_check=False, **settings)
    workflow, pool = "", ""
    for _ in range(3):
        workflow = mock.post("/v1/workflows", {"main_prompt": "\0" * 500_000}).json()["id"]
        texts = {"name": "\ud800" * 100_000, "description": "\0" * 400_000, "pool_parameters": {"a": "\0" * 100_000}}
        pool = mock.post("/v1/pools", texts).json()["id"]
        mock.post(f"/v1/pools/{pool}/machines", {"machine_ids": [FRONT_DESK_1]})
    run = mock.create(workflow, machine_id=FRONT_DESK_1)["id"]
    method, _, path = LARGE_RESOURCES[what].rpartition(" ")
    return mock, method or "GET", path.format(pool=pool, run=run), {"machine_ids": []} if method else None


@pytest.mark.parametrize("what", LARGE_RESOURCES)
def test_large_pools_machines_and_workflows_are_rendered_in_parts_while_they_are_sent(
    what: str, monkeypatch: pytest.MonkeyPatch
):
    mock, method, path, body = with_large_resources(what)
    parts: list[bytes] = []
    rendered: list[int] = []
    parts_of_text = resource_view.StoredView.parts if "workflow" in what else resource_view._text_parts

    def counted(*args: Any) -> Iterator[bytes]:
        for part in parts_of_text(*args):
            rendered.append(sum(map(len, parts)))
            yield part

    owner, name = (resource_view.StoredView, "parts") if "workflow" in what else (resource_view, "_text_parts")
    monkeypatch.setattr(owner, name, counted)

    in_parts(mock, method, path, body, parts=parts)

    assert json.loads(b"".join(parts))
    sizes = list(map(len, parts))
    assert sum(sizes) > 3_000_000
    assert max(sizes) <= 262_144
    # The last text is rendered when nearly all is sent.
    assert rendered[-1] > sum(sizes) - 2 * MEBIBYTE


@pytest.mark.parametrize("what", LARGE_RESOURCES)
def test_slow_readers_of_large_pools_machines_and_workflows_hold_up_nobody_and_next_to_no_memory(
    what: str, monkeypatch: pytest.MonkeyPatch
):
    mock, method, path, body = with_large_resources(what, max_body=4_000_000, limits=Limits(max_bodies_bytes=4_000_000))

    async def go() -> int:
        tracemalloc.start()
        try:
            sent = b"" if body is None else json.dumps(body).encode()
            slow = [SlowReader(mock, method, path, sent) for _ in range(10)]
            for each in slow:
                await each.offered.wait()
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        for each in slow:
            each.reads.set()
            await each.answered
        return held

    assert mock.run(go()) < 10 * MEBIBYTE


def test_a_small_answer_is_sent_as_a_whole_and_the_small_parts_of_a_large_one_together():
    mock = Mock(self_check=False)
    for _ in range(1_000):
        mock.post("/v1/pools", {"name": "p"})

    _, whole = in_parts(mock, "GET", "/v1/pools?limit=1000")

    assert len(json.loads(whole)["items"]) == 1_000
    assert reply.in_parts(lambda: iter([b"a", b"b"])) == b"ab"
    for parts in ([b"small"] * 100_000, [b"x", b"y" * 2_000_000, b"z"], [b""] * 10_000):
        sent = reply.in_parts(lambda parts=parts: iter(parts))
        assert not isinstance(sent, bytes)
        joined = list(sent)
        assert b"".join(joined) == b"".join(parts)
        assert len(joined) <= 10


def test_a_large_body_is_refused_in_the_words_of_a_small_one():
    mock = Mock()
    padding = {"input_values": {"a": "x" * 100_000}}
    small, large = ({"workflow_id": "x", "count": 0, **more} for more in ({}, padding))
    expected = violations(mock.post("/v1/runs/bulk", small))
    assert violations(mock.post("/v1/runs/bulk", large)) == expected
    assert mock.post("/v1/runs/bulk", content=b'{"a": "' + b"x" * 100_000, headers=_JSON).status_code == 422
    assert mock.post("/v1/runs/bulk", content=b"\xff" + b"x" * 100_000, headers=_JSON).status_code == 400


_JSON = {"Content-Type": "application/json"}


def test_a_token_and_a_limit_are_judged_before_the_body_is_read():
    mock = Mock()

    async def never() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def ask(headers: list[tuple[bytes, bytes]]) -> int:
        statuses = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/v1/runs", "query_string": b"", "headers": headers}
        await mock.app(scope, never, send)
        return statuses[0]

    assert mock.run(ask([])) == 401
    assert mock.run(ask([(b"authorization", b"Bearer test"), (b"prefer", b"code=9")])) == 400
    assert mock.run(ask([(b"authorization", b"Bearer test"), (b"content-length", b"9999999999")])) == 413


def test_a_list_of_many_runs_gives_way_and_shows_one_moment_between_its_request_and_its_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    mock = Mock(self_check=False)
    first = [mock.create(workflow_id=NEVER_ENDS)["id"] for _ in range(200)]
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def go() -> tuple[Any, str]:
        listing = asyncio.ensure_future(mock.sent("GET", "/v1/runs?status=scheduling&limit=1000"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not listing.done()
        await mock.sent("DELETE", f"/v1/runs/{first[0]}")
        created = await mock.sent("POST", "/v1/runs", json={"workflow_id": NEVER_ENDS})
        assert not listing.done()
        return (await listing).json(), created.json()["id"]

    page, created = mock.run(go())
    shown = [run["id"] for run in reversed(page["items"])]
    assert page["total"] == len(shown)
    assert shown in (first, first[1:], [*first[1:], created])


def test_a_session_of_many_runs_is_worked_out_again_where_it_moves_on_meanwhile(monkeypatch: pytest.MonkeyPatch):
    mock = Mock(self_check=False)
    session = unknown_id()
    for _ in range(50):
        mock.create(session_id=session)
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def go() -> Any:
        reading = asyncio.ensure_future(mock.sent("GET", "/v1/runs", params={"session_id": session}))
        await asyncio.sleep(0)
        await mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS, "session_id": session})
        return (await reading).json()

    assert mock.run(go())["total"] in (50, 51)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        # what was created, then each pool or workflow of the page or machine, also of the world
        (f"/v1/machines/{FRONT_DESK_1}", 30 + 32),
        ("/v1/machines", 30 + 4 * 32),
        ("/v1/pools", 30 + 32),
        ("/v1/workflows", 30 + 42),
        ("/v1/workflows?search=x", 30 + 42),
        ("/v1/runs?include=machine.pools", 30 + 32 + 31),
    ],
)
def test_what_is_shown_of_many_pools_or_workflows_gives_way(monkeypatch: pytest.MonkeyPatch, path: str, steps: int):
    mock = Mock()
    mock.create(machine_id=FRONT_DESK_1)
    for _ in range(30):
        mock.post("/v1/workflows", {"main_prompt": "p"})
        pool = mock.post("/v1/pools", {"name": "p"}).json()["id"]
        mock.post(f"/v1/pools/{pool}/machines", {"machine_ids": [FRONT_DESK_1]})
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def turns() -> int:
        reading, turns = asyncio.ensure_future(mock.sent("GET", path)), 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert mock.run(turns()) >= 2 * steps


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("GET", "/requests.har", {}),
        ("GET", "/requests", {}),
        ("GET", "/requests?status=404", {}),
        ("GET", "/requests/unmatched", {}),
        ("GET", "/namespaces", {}),
        ("POST", "/requests/count", {"json": {"match": "get_run"}}),
    ],
)
def test_what_is_shown_of_a_long_journal_or_many_namespaces_gives_way(
    method: str, path: str, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    mock = Mock()
    for number in range(100):
        mock.get("/v1/none")
        mock.get(f"/__ns/n{number}/v1/health")
    monkeypatch.setattr(TimeSlice, "is_over", True)

    async def go() -> httpx.Response:
        shown = asyncio.ensure_future(mock.sent(method, f"/__admin{path}", headers={"Host": "localhost"}, **how))
        for _ in range(50):
            await asyncio.sleep(0)
        assert (await mock.sent("GET", "/v1/health")).status_code == 200
        assert not shown.done()
        return await shown

    assert mock.run(go()).status_code == 200


def mock_with_large_entries() -> Mock:
    mock = Mock()
    for size in (1_500_000, 100_000, 100_000, 10):
        mock.create(input_values={"a": "x" * size})
    return mock


@pytest.mark.parametrize("path", ["/requests", "/requests.har"])
def test_a_large_journal_is_rendered_while_it_is_sent(path: str, monkeypatch: pytest.MonkeyPatch):
    mock = mock_with_large_entries()
    parts: list[bytes] = []
    sent_before: list[int] = []
    rendered = JournalContent._rendered

    def counted(content: JournalContent, entry: Entry) -> bytes:
        sent_before.append(len(parts))
        return rendered(content, entry)

    monkeypatch.setattr(JournalContent, "_rendered", counted)
    in_parts(mock, "GET", f"/__admin{path}", parts=parts)
    shown = json.loads(b"".join(parts))
    assert len(shown.get("items") or shown["log"]["entries"]) == len(sent_before) == 4
    assert sent_before == sorted(set(sent_before))
    assert max(map(len, parts)) <= 262_144


def test_of_all_large_journals_that_are_read_one_entry_is_rendered_at_a_time(monkeypatch: pytest.MonkeyPatch):
    mock = mock_with_large_entries()
    in_threads = most = 0

    async def to_thread(work: Callable[[Entry], bytes], entry: Entry) -> bytes:
        nonlocal in_threads, most
        in_threads += 1
        most = max(most, in_threads)
        for _ in range(20):
            await asyncio.sleep(0)
        in_threads -= 1
        return work(entry)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    paths = ["/requests", "/requests.har", "/requests/1", "/requests/2"] * 2
    answers = mock.together(*(mock.sent("GET", f"/__admin{path}", headers={"Host": "localhost"}) for path in paths))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert most == 1


# --- What `include` asks for


def test_what_many_runs_refer_to_is_looked_up_with_others_in_between(monkeypatch: pytest.MonkeyPatch):
    mock = Mock()
    for _ in range(30):
        mock.create(mock.post("/v1/workflows", {"main_prompt": "p"}).json()["id"])
    mock.get("/v1/runs")
    turns = turns_of(monkeypatch)

    mock.get("/v1/runs")
    of_the_list = len(turns)
    assert len(mock.get("/v1/runs?include=workflow").json()["included"]) == 30

    assert len(turns) - of_the_list >= of_the_list + 30


# --- The budget of bodies


def test_bodies_wait_for_one_another_in_their_order():
    async def go() -> list[str]:
        budget, order = ByteBudget(10), []

        async def take(name: str, size: int) -> int:
            taken = await budget.take(size)
            order.append(name)
            return taken

        assert await take("first", 6) == 6
        waiting = [asyncio.ensure_future(take(name, size)) for name, size in (("large", 8), ("small", 1), ("gone", 1))]
        await asyncio.sleep(0)
        waiting[2].cancel()
        await asyncio.sleep(0)
        assert order == ["first"]
        budget.give_back(6)
        await asyncio.sleep(0)
        budget.give_back(8)
        budget.give_back(1)
        # More than there is waits for all there is, and gets it.
        assert await take("too large", 1_000) == 10
        return order

    assert asyncio.run(go()) == ["first", "large", "small", "too large"]


def test_one_that_is_let_in_and_cancelled_at_once_gives_back_what_it_got():
    async def go() -> int:
        budget = ByteBudget(10)
        await budget.take(10)
        waiting = asyncio.ensure_future(budget.take(10))
        await asyncio.sleep(0)
        budget.give_back(10)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await budget.take(10)

    assert asyncio.run(go()) == 10


class Sender:
    """A client that sends these parts of a body, and then no more, or the end."""

    def __init__(self, *parts: bytes, ends: bool) -> None:
        self._parts = list(parts)
        self._ends = ends

    async def receive(self) -> Message:
        if not self._parts:
            await asyncio.get_running_loop().create_future()
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts) or not self._ends}


_LENGTHS = [{}, {b"content-length": b"%d" % MEBIBYTE}]


async def read_beside_slow_ones(timeout_s: float, part: bytes, headers: dict[bytes, bytes]) -> list[Any]:
    """What comes of eight bodies that do not arrive, and of one that does. There is memory for eight of them."""
    bodies = Bodies(max_bytes=MEBIBYTE, max_together=8 * MEBIBYTE, timeout_s=timeout_s)
    stalled = [Sender(part, ends=False) for _ in range(8)]
    normal = Sender(*[bytes(MEBIBYTE // 4)] * 4, ends=True)
    scope: dict[str, Any] = {"headers": list(headers.items())}
    reads = [asyncio.ensure_future(bodies.read(scope, each.receive)) for each in (*stalled, normal)]
    await reads[-1]
    ended = [each for each in reads if each.done()]
    for each in reads:
        each.cancel()
    return [each.exception() or each.result() for each in ended]


@pytest.mark.parametrize("headers", _LENGTHS)
def test_clients_that_send_next_to_nothing_of_a_body_take_no_memory(headers: dict[bytes, bytes]):
    assert asyncio.run(read_beside_slow_ones(3_600, b"x", headers)) == [(bytes(MEBIBYTE), MEBIBYTE)]


@pytest.mark.parametrize("headers", _LENGTHS)
def test_clients_that_stop_within_a_large_body_cannot_hold_up_another_one(headers: dict[bytes, bytes]):
    *slow, normal = asyncio.run(read_beside_slow_ones(0.3, bytes(100_000), headers))
    assert normal == (bytes(MEBIBYTE), MEBIBYTE)
    assert slow
    assert all(isinstance(each, Unavailable) and "did not arrive within 0.3 s" in each.detail for each in slow)


def test_a_slow_body_has_all_the_time_while_no_other_waits():
    async def go() -> bool:
        bodies = Bodies(max_bytes=MEBIBYTE, max_together=2 * MEBIBYTE, timeout_s=0)
        slow = asyncio.ensure_future(bodies.read({"headers": []}, Sender(bytes(100_000), ends=False).receive))
        for _ in range(5):
            await asyncio.sleep(0)
            _, taken = await bodies.read({"headers": []}, Sender(bytes(MEBIBYTE), ends=True).receive)
            bodies.give_back(taken)
        is_arriving = not slow.done()
        slow.cancel()
        return is_arriving

    assert asyncio.run(go())


def test_a_body_of_unknown_length_takes_no_more_than_its_length_once_it_has_arrived():
    async def go() -> tuple[int, bool]:
        bodies = Bodies(max_bytes=MEBIBYTE, max_together=MEBIBYTE, timeout_s=3_600)
        _, taken = await bodies.read({"headers": []}, Sender(bytes(100_000), ends=True).receive)
        return taken, bodies._budget.has(MEBIBYTE - 100_000)

    assert asyncio.run(go()) == (100_000, True)


def test_a_body_that_waits_too_long_for_those_before_it_is_refused():
    async def go() -> Any:
        bodies = Bodies(max_bytes=MEBIBYTE, max_together=MEBIBYTE, timeout_s=0.01)
        await bodies.read({"headers": []}, Sender(bytes(MEBIBYTE), ends=True).receive)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable) as refused:
                await bodies.read({"headers": []}, Sender(bytes(100_000), ends=True).receive)
        return refused.value

    refused = asyncio.run(go())
    assert "--max-bodies-bytes" in refused.detail
    assert refused.headers == {"Retry-After": "1"}


def test_when_a_large_one_gives_up_a_small_one_behind_it_has_its_turn():
    async def go() -> int:
        budget = ByteBudget(10)
        await budget.take(6)
        large, small = (asyncio.ensure_future(budget.take(size)) for size in (8, 3))
        await asyncio.sleep(0)
        large.cancel()
        return await asyncio.wait_for(small, 10)

    assert asyncio.run(go()) == 3


async def until_delayed(mock: Mock) -> None:
    while not mock.clock._waiting:  # noqa: ASYNC110 - the clock has no event for it
        await asyncio.sleep(0)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_delayed_request_with_a_large_body_cannot_hold_up_another_one(key: str | None):
    mock = Mock(max_body=2_000_000, limits=Limits(max_bodies_bytes=2_000_000, body_timeout=0.3))
    body = {"workflow_id": SUCCEEDS, "input_values": {"a": "x" * 1_500_000}}

    async def go() -> httpx.Response:
        delayed = asyncio.ensure_future(
            mock.sent("POST", "/v1/runs", json=body, prefer="delay=60", key=key, fails=True)
        )
        await until_delayed(mock)
        assert (await mock.sent("POST", "/v1/runs", json=body)).status_code == 201
        return await delayed

    refused = mock.run(go())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "delay was not over within 0.3 s" in refused.json()["detail"]
    assert mock.total() == 1


@pytest.mark.parametrize("fault", [{"delay_s": 1_000_000}, {"fault": "hang"}])
def test_a_request_with_a_large_body_that_a_fault_delays_cannot_hold_up_another_one(fault: dict[str, Any]):
    mock = ControlledMock(max_body=2_000_000, limits=Limits(body_timeout=0.3))
    mock.fault(match="create_run", times=1, **fault)
    mock.fault(match="create_run", answer={"status": 418})
    body = {"workflow_id": SUCCEEDS, "input_values": {"a": "x" * 1_500_000}}

    async def go() -> httpx.Response:
        async with asyncio.timeout(20):  # without an end to the delay it takes days
            delayed = asyncio.ensure_future(mock.sent("POST", "/v1/runs", json=body, fails=True))
            entries = mock.app.namespaces.default.journal._entries
            while not any(entry.fault for entry in entries):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
            assert (await mock.sent("POST", "/v1/runs", json=body)).status_code == 418
            return await delayed

    refused = mock.run(go())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "delay was not over within 0.3 s" in refused.json()["detail"]


def test_a_request_with_a_large_body_is_delayed_as_long_as_it_asks_while_no_other_waits():
    mock = Mock(max_body=2_000_000, limits=Limits(max_bodies_bytes=2_000_000, body_timeout=0.3))
    body = {"workflow_id": SUCCEEDS, "input_values": {"a": "x" * 1_500_000}}

    async def go() -> int:
        delayed = asyncio.ensure_future(mock.sent("POST", "/v1/runs", json=body, prefer="delay=60"))
        await until_delayed(mock)
        mock.clock.advance(60)
        return (await delayed).status_code

    assert mock.run(go()) == 201


# --- Connections


@pytest.mark.parametrize(("fault", "headers"), [(None, "Prefer: delay=300\r\n"), ({"delay_s": 300}, "")])
def test_past_the_last_connection_the_request_delayed_for_longest_is_refused_after_a_second(
    fault: dict[str, Any] | None, headers: str
):
    mock = ControlledMock()
    if fault is not None:
        mock.fault(match="GET /v1/runs", **fault)

    async def run() -> list[Wire]:
        server = Server(mock.app, max_connections=2)
        wires = []
        for path in ("/v1/runs", "/v1/runs", "/v1/health", "/v1/health"):
            protocol, wire = server.connect()
            wires.append(wire)
            if not wire.is_half_closed:
                sent = f"Authorization: Bearer test\r\n{headers if path == '/v1/runs' else ''}"
                protocol.data_received(request(path, headers=sent))
            for _ in range(20):
                await asyncio.sleep(0)
            if len(wires) == 3:
                server.pass_time(1.5)
        return wires

    delayed, later, early, late = mock.run(run())

    ((status, body),) = answers(delayed.written)
    assert status == 503
    assert "--max-connections" in json.loads(body)["detail"]
    assert delayed.is_half_closed
    assert not later.written
    assert [status for wire in (early, late) for status, _ in answers(wire.written)] == [503, 200]


def test_past_the_last_connection_the_body_that_has_waited_for_memory_for_longest_is_refused_after_a_second():
    mock = Mock(max_body=200_000, limits=Limits(max_bodies_bytes=200_000))

    async def run() -> list[Wire]:
        server = Server(mock.app, max_connections=2)
        wires, protocols = [], []
        whole = request("/v1/runs", body=bytes(200_000), headers="Authorization: Bearer test\r\n")
        for sent in (whole[:-9], whole[:-9], request("/v1/health"), request("/v1/health")):
            if len(wires) == 3:
                server.pass_time(1.5)
                protocols[0].data_received(b"0")  # the body that has the memory is not stalled
            protocol, wire = server.connect()
            wires.append(wire)
            protocols.append(protocol)
            for start in range(0, len(sent), 60_000):
                if not wire.is_half_closed:
                    protocol.data_received(sent[start : start + 60_000])
                for _ in range(20):
                    await asyncio.sleep(0)
        protocols[0].connection_lost(None)
        await server.settle()
        return wires

    arriving, waiting, early, late = mock.run(run())

    assert not arriving.written
    assert not arriving.is_aborted
    ((status, body),) = answers(waiting.written)
    assert status == 503
    assert "--max-connections" in json.loads(body)["detail"]
    assert [status for wire in (early, late) for status, _ in answers(wire.written)] == [503, 200]


def test_past_the_last_connection_the_answer_that_has_waited_for_memory_for_longest_is_refused_after_a_second():
    mock = Mock(max_body=2_000_000, limits=Limits(max_bodies_bytes=2_000_000))
    run = mock.create(input_values={"a": "x" * 1_500_000})

    async def run_all() -> list[Wire]:
        server = Server(mock.app, max_connections=2, max_response_buffer=10_000)
        wires: list[Wire] = []
        for path in (f"/v1/runs/{run['id']}", f"/v1/runs/{run['id']}", "/v1/health", "/v1/health"):
            if len(wires) == 3:
                server.pass_time(1)
                wires[0].take(1)  # its client reads
                server.pass_time(0.5)
            protocol, wire = server.connect()
            wire.is_stuck = not wires
            wires.append(wire)
            if not wire.is_half_closed:
                protocol.data_received(request(path, headers=f"Authorization: Bearer {mock.token}\r\n"))
            for _ in range(40):
                await asyncio.sleep(0)
        wires[0].protocol.connection_lost(None)
        await server.settle()
        return wires

    sending, waiting, early, late = mock.run(run_all())

    assert not sending.is_aborted
    ((status, body),) = answers(waiting.written)
    assert status == 503
    assert json.loads(body)["detail"].endswith("The request was handled")
    assert [status for wire in (early, late) for status, _ in answers(wire.written)] == [503, 200]


def test_a_rendered_text_that_replaces_another_or_was_removed_is_not_counted_twice():
    budget, texts, large = RenderedBudget(), {"first": ""}, MEBIBYTE
    budget.add(texts, large, None)
    for _ in range(40):
        budget.add(texts, large, large)
        budget.add(texts, large, None)
        budget.remove([large])
    assert texts
    for _ in range(40):
        budget.add(texts, large, None)
    assert not texts
