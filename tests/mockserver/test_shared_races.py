"""Servers with one store, where one request is suspended at a chosen call, or the store fails there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver.behaviour.batch import CHANGES, SESSION
from mockserver.behaviour.ledger import BLOCK, LEDGER
from mockserver.errors import Unavailable
from mockserver.settings import Limits
from mockserver.store import ABSENT, valkey_client
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.admin.test_events import Stream
from tests.mockserver.inprocess import ENDS_AT_ONCE, FRONT_DESK_1, FRONT_DESK_2, SUCCEEDS, world_file
from tests.mockserver.valkey import Valkey

_BODY = {"workflow_id": SUCCEEDS}


class Held:
    """The next call of a method is suspended: before it is made, or `after` it, with its result.

    Made in an event loop. Set `released` to let the call go on.
    """

    def __init__(self, owner: Any, name: str, *, after: bool = False) -> None:
        self._reached, self.released = asyncio.Event(), asyncio.Event()
        method = getattr(owner, name)

        async def held(*args: Any, **named: Any) -> Any:
            setattr(owner, name, method)
            result = await method(*args, **named) if after else None
            self._reached.set()
            await self.released.wait()
            return result if after else await method(*args, **named)

        setattr(owner, name, held)

    async def by(self, request: Coroutine[Any, Any, httpx.Response]) -> asyncio.Future[httpx.Response]:
        """Send a request, and return it when its call is suspended."""
        sent, reached = asyncio.ensure_future(request), asyncio.ensure_future(self._reached.wait())
        await asyncio.wait((sent, reached), return_when=asyncio.FIRST_COMPLETED)
        assert reached.done(), f"it was not called: {sent}"
        return sent


def fails_once(owner: Any, name: str) -> None:
    """The next call of a method raises Unavailable, as if the store did not answer."""
    method = getattr(owner, name)

    async def fails(*args: Any, **named: Any) -> Any:
        setattr(owner, name, method)
        raise Unavailable("The store does not answer at the moment; try again", {"Retry-After": "1"})

    setattr(owner, name, fails)


def records_of(mock: ControlledMock) -> Any:
    return mock.app.namespaces._records  # type: ignore[attr-defined]


def seeding_world(directory: Path) -> Path:
    return world_file(directory, f"runs:\n- {{workflow_id: {SUCCEEDS}, count: 3}}\n")


@pytest.mark.parametrize("is_restored", [False, True], ids=["a reset", "a restored state"])
def test_after_a_reset_that_has_failed_new_organisations_are_served(pair, is_restored: bool):
    mock, _ = pair
    run = mock.create()
    state = mock.asked("/state")
    fails_once(records_of(mock), "save")
    if is_restored:
        refused = mock.request("PUT", "/__admin/state", json=state, fails=True)
    else:
        refused = mock.post("/__admin/reset", fails=True)
    assert refused.status_code == 503
    assert mock.create(token="test-another")["status"] == "scheduling"
    assert mock.total(token="test-another") == 1
    assert mock.ids() == [run["id"]]


def test_an_organisation_whose_server_was_killed_after_it_had_seeded_it_is_served(url: str, tmp_path: Path):
    world = seeding_world(tmp_path)
    one, other = (ControlledMock(store=url, world=world, freezes=False, token="test") for _ in range(2))
    fails_once(records_of(one), "add_organisation")
    assert one.get("/v1/runs", fails=True).status_code == 503
    assert [each.total() for each in (one, other)] == [3, 3]
    assert [each.asked("/runs")["total"] for each in (one, other)] == [3, 3]


def test_of_two_first_requests_of_an_organisation_each_is_served_and_one_seeds(url: str, tmp_path: Path):
    mock = ControlledMock(store=url, world=seeding_world(tmp_path), freezes=False, token="test")

    async def go() -> list[int]:
        registered = Held(records_of(mock), "add_organisation")
        first = await registered.by(mock.sent("GET", "/v1/runs"))
        second = await mock.sent("GET", "/v1/runs")
        registered.released.set()
        return [answer.json()["total"] for answer in (await first, second)]

    assert mock.run(go()) == [3, 3]


async def _idle() -> None:
    """Let everything go on that waits neither for the store nor for a test."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_change_is_not_undone_by_a_request_that_loaded_the_record_before_it(pair):
    one, other = pair
    fault = {"match": "list_machines", "answer": {"status": 418}}

    async def go(method: str, path: str, body: Any) -> Any:
        loaded, saved = Held(records_of(one), "load", after=True), Held(records_of(one), "save")
        reading = await loaded.by(one.sent("GET", "/v1/health", token=None))
        changing = await saved.by(one.controlled(method, path, body))
        loaded.released.set()
        await _idle()
        saved.released.set()
        await reading
        return (await changing).json()

    clock = one.run(go("POST", "/clock", {"advance": "20m"}))
    assert clock == one.asked("/clock") == other.asked("/clock")
    assert clock["now"] == "2025-03-04T09:20:02.000000Z"
    one.run(go("POST", "/faults", fault))
    assert [each.get("/v1/machines").status_code for each in pair] == [418, 418]


def test_changes_at_the_same_time_on_one_server_do_not_overwrite_that_of_another(pair):
    one, other = pair

    async def go() -> None:
        read = Held(one.app._admin._bodies, "read")
        fault = await read.by(one.controlled("POST", "/faults", {"match": "list_runs", "delay_s": 0}))
        saved = Held(records_of(one), "save")
        clock = await saved.by(one.controlled("POST", "/clock", {"scale": 7}))
        await other.controlled("POST", "/faults", {"match": "list_machines", "delay_s": 0})
        read.released.set()
        await _idle()
        saved.released.set()
        assert [(await each).status_code for each in (fault, clock)] == [201, 200]

    one.run(go())
    for each in pair:
        assert sorted(fault["match"] for fault in each.asked("/faults")["items"]) == ["list_machines", "list_runs"]
        assert each.asked("/clock")["scale"] == 7


def test_a_change_that_could_not_be_saved_is_not_seen(pair):
    one, _ = pair
    before = one.asked("/clock")
    fails_once(records_of(one), "save")
    assert one.post("/__admin/clock", {"advance": "20m"}, token=None, fails=True).status_code == 503
    assert one.asked("/clock") == before
    assert one.turn_clock(advance="20m")["now"] == "2025-03-04T09:20:02.000000Z"


def test_the_request_that_finds_no_room_is_served_where_there_is_some_to_make(url: str):
    one, other = (ControlledMock(store=url, freezes=False, limits=Limits(max_spaces=3)) for _ in range(2))
    run = other.post("/__ns/b/v1/runs", _BODY).json()
    for _ in range(3):
        assert one.get("/__ns/a/v1/runs").json()["total"] == 0
        assert one.get(f"/__ns/b/v1/runs/{run['id']}").json() == run


def test_namespaces_without_an_organisation_take_room_too(url: str):
    mock = ControlledMock(store=url, freezes=False, limits=Limits(max_spaces=5))
    for number in range(20):
        assert mock.get(f"/__ns/n{number}/v1/runs", token=None).status_code == 401
        assert len(mock.app.namespaces) <= 5
    assert mock.get("/__ns/n0/__admin/requests/1", token=None).json()["status"] == 401


def test_a_namespace_in_which_a_fault_holds_a_request_is_not_dropped_for_others(url: str):
    mock = ControlledMock(store=url, freezes=False, limits=Limits(max_spaces=5))
    mock.turn_clock("held", freeze=True)
    mock.control("POST", "/faults", {"match": "list_runs", "delay_s": 60}, namespace="held")

    async def go() -> None:
        held = asyncio.ensure_future(mock.sent("GET", "/__ns/held/v1/runs"))
        for number in range(20):
            await mock.sent("GET", f"/__ns/n{number}/v1/runs", token=None)
        assert not held.done()
        await mock.controlled("POST", "/clock", {"advance": 60}, namespace="held")
        assert (await held).status_code == 200

    mock.run(go())


def test_first_requests_of_an_organisation_at_the_same_time_take_the_room_of_one(url: str):
    mock = ControlledMock(store=url, freezes=False, limits=Limits(max_spaces=4))

    async def go(token: str) -> None:
        registered = Held(records_of(mock), "add_organisation")
        first = await registered.by(mock.sent("GET", "/v1/runs", token=token))
        await mock.sent("GET", "/v1/runs", token=token)
        registered.released.set()
        await first

    for place in range(8):
        mock.run(go(f"test-{place}"))


def test_an_organisation_that_comes_to_a_namespace_which_is_reset_meanwhile_takes_no_room(url: str):
    mock = ControlledMock(store=url, freezes=False, limits=Limits(max_spaces=4))

    async def go(token: str) -> None:
        registered = Held(records_of(mock), "add_organisation")
        request = await registered.by(mock.sent("GET", "/v1/runs", token=token))
        await mock.controlled("POST", "/reset")
        registered.released.set()
        await request

    for place in range(8):
        mock.run(go(f"test-{place}"))


def space_of(mock: ControlledMock) -> Any:
    (space,) = mock.app.namespaces.default.spaces.values()
    return space


def test_machines_that_two_servers_add_to_one_pool_are_all_in_it(pair):
    one, other = pair
    path = f"/v1/pools/{one.post('/v1/pools', {'name': 'New'}).json()['id']}/machines"

    async def go() -> None:
        loaded = Held(space_of(one).store, "load", after=True)
        adding = await loaded.by(one.sent("POST", path, json={"machine_ids": [FRONT_DESK_1]}))
        await other.sent("POST", path, json={"machine_ids": [FRONT_DESK_2]})
        loaded.released.set()
        assert len((await adding).json()["machines"]) == 2

    one.run(go())
    (pool,) = (each for each in other.get("/v1/pools").json()["items"] if each["name"] == "New")
    assert pool["machine_count"] == 2


def test_a_change_of_a_run_whose_block_is_closed_meanwhile_reaches_the_lists_of_other_servers(pair):
    one, other = pair
    runs = [one.create() for _ in range(BLOCK - 1)]
    assert other.read(runs[0]["id"]) == runs[0]

    async def go() -> int:
        loaded = Held(space_of(other).store, "load_uncommitted")
        changing = await loaded.by(other.sent("DELETE", f"/v1/runs/{runs[0]['id']}"))
        await one.sent("POST", "/v1/runs", json=_BODY)  # it closes the block
        await one.sent("GET", "/v1/runs")  # its list has taken that in
        loaded.released.set()
        return (await changing).status_code

    assert one.run(go()) == 204
    assert runs[0]["id"] not in one.ids()
    assert other.total() == one.total() == BLOCK - 1


def test_a_run_that_another_server_has_created_since_the_last_write_of_this_one_can_be_changed(pair):
    one, other = pair
    other.create()
    run = one.create()
    assert other.request("PATCH", f"/v1/runs/{run['id']}", json={"status": "cancelled"}).json()["status"] == "cancelled"


@pytest.mark.parametrize("what", ["retry", "update", "control", "delete"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_change_of_a_run_whose_batch_is_removed_meanwhile_leaves_nothing(pair, what: str, count: int):
    one, other = pair
    in_session = one.create(start_session=True)
    runs = one.create_many(count, ENDS_AT_ONCE)
    for _ in range(BLOCK - 2):
        one.create()  # the last one closes the block
    path = f"/v1/runs/{runs[0]['id']}"
    method, path, body = {
        "retry": ("POST", f"{path}/retry", {"session_id": in_session["session_id"]}),
        "update": ("PATCH", path, {"error": ["late"]}),
        "control": ("PATCH", f"/__admin/runs/{runs[0]['id']}", {"status": "cancelled"}),
        "delete": ("DELETE", path, {}),
    }[what]
    other.total()

    async def go() -> int:
        store = space_of(other).store
        load = store.load

        async def load_after_the_deletes(kind: str, key: str) -> Any:
            if kind == LEDGER:
                store.load = load
                for run in runs:
                    assert (await one.sent("DELETE", f"/v1/runs/{run['id']}")).status_code == 204
            return await load(kind, key)

        store.load = load_after_the_deletes
        answer = await other.sent(method, path, json=body)
        assert store.load == load, answer.text
        return answer.status_code

    assert one.run(go()) == 404
    tail = runs[0]["id"][8:]
    for each in pair:
        assert each.read(in_session["id"])["status"] == "scheduling"
        assert each.ids(session_id=in_session["session_id"]) == [in_session["id"]]
        assert each.run(space_of(each).store.load(CHANGES, tail)) == ABSENT


@pytest.mark.parametrize("is_retried", [False, True], ids=["created", "retried"])
def test_a_session_whose_block_is_closed_while_a_list_reads_it_is_listed(pair, is_retried: bool):
    one, other = pair
    runs = [one.create() for _ in range(BLOCK - 2)]
    assert other.total() == BLOCK - 2

    async def go() -> str:
        session = await one.sent("POST", "/v1/runs", json={**_BODY, "start_session": True})
        session_id = session.json()["session_id"]
        if is_retried:
            await one.sent("DELETE", f"/v1/runs/{session.json()['id']}")
            await one.sent("PATCH", f"/v1/runs/{runs[0]['id']}", json={"status": "cancelled"})
            await one.sent("POST", f"/v1/runs/{runs[0]['id']}/retry", json={"session_id": session_id})
        looked = Held(space_of(other).store, "written_since", after=True)
        listing = await looked.by(other.sent("GET", "/v1/runs"))
        await one.sent("POST", "/v1/runs", json=_BODY)  # it closes the block
        looked.released.set()
        await listing
        return session_id

    session_id = one.run(go())
    assert other.get("/v1/runs", params={"session_id": session_id}).json()["total"] == 1


@pytest.mark.parametrize("call", ["load", "commit"])
def test_seeds_that_two_servers_make_at_the_same_moment_are_all_made(pair, call: str):
    one, other = pair
    organisation = one.create()["organization_id"]
    other.total()
    seeds = [{"workflow_id": SUCCEEDS, "organization": organisation}]

    async def go() -> list[httpx.Response]:
        called = Held(space_of(one).store, call, after=call == "load")
        seeding = await called.by(one.controlled("POST", "/runs", seeds))
        meanwhile = await other.controlled("POST", "/runs", seeds)
        called.released.set()
        return [await seeding, meanwhile]

    answers = one.run(go())
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["ids"][0] for answer in answers}) == 2
    assert one.total() == other.total() == 3


def test_a_namespace_that_another_server_removes_ends_the_streams_of_it_and_stays_removed(pair):
    one, other = pair

    async def go() -> None:
        stream = Stream(one, "a")
        await stream.next("runs")
        await other.controlled("DELETE", "/namespaces/a")
        await asyncio.wait_for(stream.task, 20)

    one.run(go())
    for each in pair:
        assert [item["name"] for item in each.asked("/namespaces")["items"]] == [""]


@pytest.mark.parametrize("call", ["add_organisation", "matched", "applied"])
def test_a_request_in_progress_during_a_reset_leaves_nothing(pair, valkey_server: Valkey, call: str):
    one, other = pair
    one.fault(match="*", delay_s=0)
    prefix = one.app.settings.store.url.partition("prefix=")[2]

    async def go() -> list[bytes]:
        called = Held(records_of(one), call)
        reading = await called.by(one.sent("GET", "/v1/machines"))
        await other.controlled("POST", "/reset")
        clean = valkey_server.keys(prefix)
        called.released.set()
        assert (await reading).status_code == 200
        return clean

    clean = one.run(go())
    assert valkey_server.keys(prefix) == clean


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/{}", "/__admin/runs"])
def test_a_read_whose_session_is_gone_by_a_reset_is_answered_as_after_it(pair, path: str):
    one, other = pair
    run = one.post("/v1/runs", {**_BODY, "start_session": True}).json()
    assert other.total() == 1
    one.request("PATCH", f"/v1/runs/{run['id']}", json={"status": "cancelled"})

    async def go() -> httpx.Response:
        store = space_of(other).store
        load = store.load

        async def load_after_the_reset(kind: str, key: str) -> Any:
            if kind == SESSION:
                store.load = load
                await one.controlled("POST", "/reset")
            return await load(kind, key)

        store.load = load_after_the_reset
        answer = await other.sent("GET", path.format(run["id"]))
        assert store.load == load
        return answer

    answer = one.run(go())
    assert answer.status_code == 404 or answer.json()["total"] == 0


def test_a_run_of_a_long_session_is_read_in_as_many_round_trips_as_one_of_a_short_one(
    pair, monkeypatch: pytest.MonkeyPatch
):
    one, other = pair
    other.total()
    executed = valkey_client.executed
    round_trips: list[int] = []

    async def counted(connection: Any, commands: Any) -> list[Any]:
        round_trips.append(len(commands))
        return await executed(connection, commands)

    taken = []
    for length in (3, 30):
        session = [one.create(start_session=True)]
        session += [one.create(session_id=session[0]["session_id"]) for _ in range(length)]
        monkeypatch.setattr(valkey_client, "executed", counted)
        other.read(session[-1]["id"])
        monkeypatch.setattr(valkey_client, "executed", executed)
        taken.append(len(round_trips))
        round_trips.clear()
    assert taken == taken[:1] * 2


def test_seeds_of_two_organisations_are_made_once_where_another_server_is_faster_with_those_of_the_second(pair):
    one, other = pair
    seeds = [{"workflow_id": SUCCEEDS, "organization": each} for each in ("org_a", "org_b")]
    one.seed(*seeds)
    second = one.app.namespaces.default.spaces["org_b"].store

    async def go() -> list[str]:
        committing = Held(second, "commit")
        seeding = await committing.by(one.controlled("POST", "/runs", seeds))
        await other.controlled("POST", "/runs", seeds[1:])
        committing.released.set()
        return (await seeding).json()["ids"]

    ids = one.run(go())
    for organisation, total in (("org_a", 2), ("org_b", 3)):
        page = other.asked(f"/runs?organization={organisation}")
        assert page["total"] == total
        assert len({run["id"] for run in page["items"]} & set(ids)) == 1
