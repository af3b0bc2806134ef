"""Idempotency keys: what was done once is answered again, in the same bytes, and done once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mockserver.clock import Clock
from mockserver.errors import VersionConflict
from mockserver.idempotency import KEPT_US, KEY, Idempotency, Use, should_evict
from mockserver.reply import Reply
from mockserver.store import MemoryStore, Unit, Write
from mockserver.store.memory import MemorySpace
from tests.mockserver.inprocess import ACCOUNTING_1, FRONT_DESKS, SUCCEEDS, Mock

_FILE = {"filename": "a.txt", "content": "c2VjcmV0LWZpbGU="}


def _ended(mock: Mock) -> str:
    run = mock.create()
    mock.clock.advance(3600)
    return run["id"]


_WRITES = {
    "create_run": lambda mock: ("POST", "/v1/runs", {"workflow_id": SUCCEEDS}),
    "bulk_create_runs": lambda mock: ("POST", "/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 3}),
    "create_run_chain": lambda mock: ("POST", "/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}]}),
    "update_run": lambda mock: ("PATCH", f"/v1/runs/{mock.create()['id']}", {"status": "running"}),
    "retry_run": lambda mock: ("POST", f"/v1/runs/{_ended(mock)}/retry", {}),
    "delete_run": lambda mock: ("DELETE", f"/v1/runs/{mock.create()['id']}", None),
    "create_pool": lambda mock: ("POST", "/v1/pools", {"name": "New"}),
    "add_machine_to_pool": lambda mock: ("POST", f"/v1/pools/{FRONT_DESKS}/machines", {"machine_ids": [ACCOUNTING_1]}),
    "create_workflow": lambda mock: ("POST", "/v1/workflows", {"name": "New", "main_prompt": "Do it."}),
}


def test_every_write_operation_is_among_those_that_are_replayed_here():
    operations = Mock().app.operations.values()
    assert {each.operation_id for each in operations if each.method != "GET"} == set(_WRITES)


@pytest.mark.parametrize("operation", _WRITES)
def test_a_repeated_write_is_answered_with_the_same_bytes_although_its_runs_moved_on_and_are_gone(operation: str):
    mock = Mock()
    method, path, body = _WRITES[operation](mock)
    how: dict[str, Any] = {"key": "k"} if body is None else {"key": "k", "json": body}

    first = mock.request(method, path, **how)
    assert first.is_success, first.text
    assert "idempotency-status" not in first.headers
    total = mock.total()
    mock.clock.advance(3600)
    second = mock.request(method, path, **how)
    for run in mock.listed():
        mock.delete(f"/v1/runs/{run['id']}")
    third = mock.request(method, path, **how)

    for again in (second, third):
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-status"] == "replayed"
        assert again.headers.get("content-type") == first.headers.get("content-type")
    assert total >= mock.total() == 0


def test_a_repeat_while_the_first_is_being_handled_is_told_so_and_creates_nothing():
    mock = Mock(clock=Clock())
    body = {"workflow_id": SUCCEEDS}
    answers = mock.together(*(mock.sent("POST", "/v1/runs", key="k", prefer="delay=0.01", json=body) for _ in range(5)))
    refusals = [each for each in answers if each.status_code == 409]
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
    assert {each.headers.get("idempotency-status") for each in refusals} == {"in_progress"}
    assert mock.total() == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/runs", {"workflow_id": SUCCEEDS, "input_values": {"a": 1}}),
        ("/v1/runs?x=1", {"workflow_id": SUCCEEDS}),
        ("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 1}),
    ],
    ids=["body", "query", "path"],
)
def test_a_key_used_for_another_request_is_refused(path: str, body: dict[str, Any]):
    mock = Mock()
    mock.create(key="k")
    answer = mock.post(path, body, key="k")
    assert answer.status_code == 409
    assert "used before" in answer.json()["detail"]
    assert "idempotency-status" not in answer.headers
    assert mock.total() == 1


def test_a_key_is_its_organisations_own():
    mock = Mock()
    ours = mock.create(key="k")
    theirs = mock.create(key="k", token="test-two")
    assert ours["id"] != theirs["id"]


def test_a_key_is_its_namespaces_own():
    mock = Mock()
    ours = mock.create(key="k")
    assert mock.post("/__ns/other/v1/runs", {"workflow_id": SUCCEEDS}, key="k").json()["id"] != ours["id"]


def test_a_key_is_forgotten_24_hours_after_its_first_use_and_not_before():
    mock = Mock()
    first = mock.create(key="k")
    mock.clock.advance(24 * 3600 - 1)
    assert mock.create(key="k") == first
    mock.clock.advance(1)
    assert mock.create(key="k")["id"] != first["id"]
    assert mock.total() == 2


def test_forgotten_keys_are_thrown_away_as_new_ones_come():
    mock = Mock()
    for number in range(6):
        mock.create(key=f"old-{number}")
    mock.clock.advance(24 * 3600)
    for number in range(3):
        mock.create(key=f"new-{number}")
    assert set(_kept(mock)) == {"new-0", "new-1", "new-2"}


@pytest.mark.parametrize(
    ("body", "prefer", "status"),
    [
        ({}, None, 422),
        ({"workflow_id": SUCCEEDS, "machine_id": ACCOUNTING_1, "session_id": "x"}, None, 422),
        ({"workflow_id": SUCCEEDS}, "code=422", 422),
    ],
)
def test_a_refused_request_frees_its_key(body: dict[str, Any], prefer: str | None, status: int):
    mock = Mock()
    assert mock.post("/v1/runs", body, key="k", prefer=prefer).status_code == status
    assert _kept(mock) == {}
    assert mock.create(key="k")["status"] == "scheduling"


def test_a_refusal_by_the_state_frees_the_key_too():
    mock = Mock()
    run = mock.create()
    assert mock.post(f"/v1/runs/{run['id']}/retry", {}, key="k").status_code == 409
    mock.clock.advance(3600)
    assert mock.post(f"/v1/runs/{run['id']}/retry", {}, key="k").status_code == 200


def test_an_error_that_was_asked_for_frees_the_key():
    mock = Mock()
    answer = mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, key="k", prefer="code=500", fails=True)
    assert answer.status_code == 500
    assert mock.create(key="k")["status"] == "scheduling"


def test_a_key_on_a_read_means_nothing():
    mock = Mock()
    mock.create()
    before = mock.get("/v1/runs", key="k")
    mock.create()
    after = mock.get("/v1/runs", key="k")
    assert (before.json()["total"], after.json()["total"]) == (1, 2)
    assert _kept(mock) == {}


def test_an_empty_key_is_none():
    mock = Mock()
    assert mock.create(key="")["id"] != mock.create(key="")["id"]


def test_nothing_of_a_body_is_kept_with_its_key():
    mock = Mock()
    mock.create(key="k", sensitive_input_values={"pin": "hunter2-hunter2"}, file_inputs=[_FILE])
    assert mock.create(key="k", sensitive_input_values={"pin": "hunter2-hunter2"}, file_inputs=[_FILE])
    kept = _kept(mock)["k"]
    assert len(kept.fingerprint) == 20
    assert "hunter2" not in repr(kept)


def test_a_fingerprint_cannot_be_made_without_its_key():
    keys = Idempotency(max_keys=100)
    sent = ("POST /v1/runs?", b"{}")
    assert keys.fingerprint(b"a", *sent) == keys.fingerprint(b"a", *sent)
    assert keys.fingerprint(b"a", *sent) != keys.fingerprint(b"b", *sent)
    one, other = (Mock().app.namespaces.default for _ in range(2))
    assert one.secret != other.secret


class _Suspending:
    """A space that lets another use a key at the next commit, as a store in another process may."""

    def __init__(self) -> None:
        self._space = MemoryStore().space("", "")
        self.faster: Write | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    async def commit(self, *writes: Write) -> None:
        faster, self.faster = self.faster, None
        if faster is not None:
            await self._space.commit(faster)
        await self._space.commit(*writes)


def test_of_two_servers_that_use_a_key_one_is_first():
    async def told() -> None:
        keys, space = Idempotency(max_keys=100), _Suspending()
        assert await keys.reply(space, "k", b"print", 0) is None
        space.faster = keys.reply_write("k", b"print", 0, Reply(204))
        with pytest.raises(VersionConflict):
            await space.commit(keys.reply_write("k", b"print", 0, Reply(201)))
        reply = await keys.reply(space, "k", b"print", 1)
        assert reply is not None
        assert reply.status == 204

    asyncio.run(told())


def test_an_expired_key_that_another_has_removed_or_used_again_is_no_error():
    async def told() -> None:
        keys, space = Idempotency(max_keys=100), _Suspending()
        for again in (None, Use(b"print", 2 * KEPT_US, Reply(204))):
            await space.commit(Write(KEY, "k", Use(b"print", 1, Reply(201)), (await space.load(KEY, "k")).version, 1))
            unit = await space.load(KEY, "k")
            space.faster = Write(KEY, "k", again, unit.version)
            reply = await keys.reply(space, "k", b"print", KEPT_US)
            assert (reply is None) == (again is None)

    asyncio.run(told())


def test_an_oldest_key_that_another_has_removed_is_no_error():
    async def told() -> None:
        keys, space = Idempotency(max_keys=0), _Suspending()
        await space.commit(keys.reply_write("k", b"print", 0, Reply(204)))
        space.faster = Write(KEY, "k", None, 1)
        await keys.evict(space, "k", b"print", 0)
        assert await space.items(KEY) == {}

    asyncio.run(told())


class _Counting(MemorySpace):
    looked_at = 0

    async def oldest(self, kind: str, count: int) -> tuple[list[tuple[str, Unit]], int]:
        found, total = await super().oldest(kind, count)
        self.looked_at += len(found)
        return found, total


_KEYS = [f"use-{number}" for number in range(1_000)]
_EVICTS = next(key for key in _KEYS if should_evict(key, b"print"))
_EVICTS_NOT = next(key for key in _KEYS if not should_evict(key, b"print"))


def _with_keys(count: int) -> _Counting:
    async def stored() -> _Counting:
        space = _Counting()
        for number in range(count):
            await space.commit(Idempotency(max_keys=count).reply_write(f"{number}", b"print", 0, Reply(204)))
        return space

    return asyncio.run(stored())


def test_of_many_keys_most_uses_look_at_none():
    space = _with_keys(1_000)
    keys = Idempotency(max_keys=900)
    for now in (0, KEPT_US):
        asyncio.run(keys.evict(space, _EVICTS_NOT, b"print", now))
    assert space.looked_at == 0


def test_a_use_that_evicts_removes_many_keys_but_none_too_many():
    for max_keys, now, left in ((900, 0, 900), (1_000, 0, 1_000), (900, KEPT_US, 744), (10, 0, 744)):
        space = _with_keys(1_000)
        asyncio.run(Idempotency(max_keys=max_keys).evict(space, _EVICTS, b"print", now))
        assert list(asyncio.run(space.items(KEY))) == [f"{number}" for number in range(1_000 - left, 1_000)]


def test_of_equal_requests_with_other_keys_some_evict():
    mock = Mock()
    path = f"/v1/runs/{mock.create()['id']}"
    for number in range(300):
        mock.request("PATCH", path, json={"error": None}, key=f"old-{number}")
    mock.clock.advance(25 * 3600)
    for number in range(3_000):
        mock.request("PATCH", path, json={"error": None}, key=f"new-{number}")
        if "old-0" not in _kept(mock):
            return
    raise AssertionError("no use of 3,000 has removed an expired key")


def test_far_too_many_keys_are_removed_by_any_use():
    space = _with_keys(1_000)
    asyncio.run(Idempotency(max_keys=700).evict(space, _EVICTS_NOT, b"print", 0))
    assert len(asyncio.run(space.items(KEY))) == 744


def _kept(mock: Mock) -> dict[str, Any]:
    (space,) = mock.app.namespaces.default.spaces.values()
    return {key: unit.value for key, unit in mock.run(space.store.items(KEY)).items()}
