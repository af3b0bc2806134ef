"""The store: units with versions, all writes or none; and that what is built on it bears a VersionConflict."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mockserver.errors import VersionConflict
from mockserver.store import ABSENT, MemoryStore, SpaceStore, Store, Unit, Write
from tests.mockserver.inprocess import ACCOUNTING_1, FRONT_DESKS, SUCCEEDS, Mock
from tests.mockserver.store.spaces import valkey_store
from tests.mockserver.valkey import Valkey


@pytest.fixture(params=["memory", "valkey"])
def stored(request: pytest.FixtureRequest) -> Iterator[_Stored]:
    with asyncio.Runner() as runner:
        if request.param == "memory":
            yield _Stored(MemoryStore(), runner)
            return
        store = valkey_store(request.getfixturevalue("valkey_server"))
        yield _Stored(store, runner)
        runner.run(store.connection.close())


class _Stored:
    """A store, and the event loop in which it is asked."""

    def __init__(self, store: Store, runner: asyncio.Runner) -> None:
        self.store = store
        self.done = runner.run

    def space(self, organisation: str = "org") -> SpaceStore:
        return self.store.space("", organisation)

    def version(self, space: SpaceStore, key: str) -> int:
        return self.done(space.load("run", key)).version


def test_what_is_not_there_is_absent_and_at_version_0(stored: _Stored):
    space, done = stored.space(), stored.done
    assert done(space.load("run", "a")) == ABSENT == Unit(None, 0)
    assert done(space.items("run")) == {}
    done(space.commit(Write("run", "b", 1, 0)))
    assert done(space.load("run", "a")) == ABSENT


def test_what_was_committed_is_loaded_and_listed_in_the_order_in_which_keys_came(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "b", 1, 0), Write("run", "a", 2, 0)))
    done(space.commit(Write("run", "b", 3, stored.version(space, "b"))))
    assert [(key, unit.value) for key, unit in done(space.items("run")).items()] == [("b", 3), ("a", 2)]
    assert done(space.items("other")) == {}
    assert [unit.value for unit in done(space.load_many(("run", "a"), ("other", "none"), ("run", "b")))] == [2, None, 3]
    assert done(space.load_many()) == []
    snapshot = done(space.snapshot(("run", "other")))
    assert {kind: list(units) for kind, units in snapshot.items()} == {"run": ["b", "a"], "other": []}


@pytest.mark.parametrize("version", ["none", "older", "unknown"])
def test_a_write_to_a_unit_that_has_moved_on_is_a_conflict(stored: _Stored, version: str):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "a", 0, 0)))
    older = stored.version(space, "a")
    done(space.commit(Write("run", "a", 1, older)))
    newer = done(space.load("run", "a"))
    with pytest.raises(VersionConflict, match="run a has moved on"):
        done(space.commit(Write("run", "a", 2, {"none": 0, "older": older, "unknown": 99}[version])))
    assert done(space.load("run", "a")) == newer
    assert newer.value == 1


def test_where_one_write_conflicts_none_is_done(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "a", 1, 0), Write("run", "gone", 1, 0)))
    gone = Write("run", "gone", None, stored.version(space, "gone"))
    with pytest.raises(VersionConflict):
        done(space.commit(Write("run", "new", 1, 0), gone, Write("run", "a", 2, 0)))
    assert {key: unit.value for key, unit in done(space.items("run")).items()} == {"a": 1, "gone": 1}


def test_a_unit_that_was_removed_and_made_again_is_not_taken_for_the_old(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "a", 1, 0)))
    old = done(space.load("run", "a"))
    done(space.commit(Write("run", "a", None, old.version)))
    assert done(space.load("run", "a")) == ABSENT
    done(space.commit(Write("run", "a", 1, 0)))
    with pytest.raises(VersionConflict):
        done(space.commit(Write("run", "a", 2, old.version)))


def test_what_never_was_can_be_removed(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "a", None, 0)))
    assert done(space.load("run", "a")) == ABSENT


def test_a_write_that_changes_nothing_else_but_the_version_holds_a_unit_in_place(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("session", "s", "same", 0)))
    seen = done(space.load("session", "s"))
    done(space.commit(Write("session", "s", "same", seen.version)))
    with pytest.raises(VersionConflict):
        done(space.commit(Write("session", "s", "other", seen.version)))


def test_each_space_is_one_of_its_own_and_the_same_when_asked_for_again(stored: _Stored):
    store, done = stored.store, stored.done
    done(store.space("", "a").commit(Write("run", "x", 1, 0)))
    assert done(store.space("", "a").load("run", "x")).value == 1
    assert done(store.space("", "b").load("run", "x")) == ABSENT
    assert done(store.space("n", "a").load("run", "x")) == ABSENT
    done(store.space("a/b", "c").commit(Write("run", "x", 1, 0)))
    assert done(store.space("a", "b/c").load("run", "x")) == ABSENT


def test_what_was_written_or_removed_since_a_version_is_known_the_last_write_first(stored: _Stored):
    space, done = stored.space(), stored.done
    done(space.commit(Write("run", "x", 1, 0), Write("run", "y", 1, 0), Write("other", "z", 1, 0)))
    keys, first = done(space.written_since(0, "run", "none"))
    assert {kind: sorted(each) for kind, each in keys.items()} == {"run": ["x", "y"], "none": []}
    assert done(space.written_since(first, "run")) == ({"run": []}, first)
    done(space.commit(Write("run", "x", 2, stored.version(space, "x"))))
    done(space.commit(Write("run", "y", None, stored.version(space, "y")), Write("run", "new", 1, 0)))
    keys, last = done(space.written_since(first, "run"))
    assert keys["run"][-1] == "x"
    assert sorted(keys["run"]) == ["new", "x", "y"]
    assert done(space.written_since(last, "run")) == ({"run": []}, last)
    assert sorted(done(space.written_since(last - 1, "run"))[0]["run"]) == ["new", "y"]


def test_the_oldest_of_a_kind_are_those_that_were_created_first(stored: _Stored):
    space, done = stored.space(), stored.done
    assert done(space.oldest("key", 2)) == ([], 0)
    for key in ("c", "a", "b"):
        done(space.commit(Write("key", key, key, 0)))
    unit = done(space.load("key", "c"))
    done(space.commit(Write("key", "c", "again", unit.version)))
    found, total = done(space.oldest("key", 2))
    assert ([(key, each.value) for key, each in found], total) == ([("c", "again"), ("a", "a")], 3)
    done(space.commit(Write("key", "c", None, found[0][1].version)))
    assert [key for key, _ in done(space.oldest("key", 5))[0]] == ["a", "b"]


def test_a_space_is_empty_when_nothing_in_it_is_valid(stored: _Stored):
    space, done = stored.space(), stored.done
    assert done(space.is_empty(0))
    done(space.commit(Write("run", "x", 1, 0, 10)))
    assert [done(space.is_empty(now)) for now in (9, 10)] == [False, True]


@pytest.mark.parametrize("how", ["load_many", "items"])
def test_large_units_of_a_server_are_decoded_with_others_in_between(valkey_server: Valkey, how: str):
    async def told() -> list[int]:
        store = valkey_store(valkey_server)
        space = store.space("", "org")
        await space.commit(*(Write("run", str(number), "x" * 20_000, 0) for number in range(20)))
        turns = 0
        decoded: list[int] = []

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        def unit(*args: Any) -> Unit:
            decoded.append(turns)
            return made(*args)

        made, space._unit = space._unit, unit  # type: ignore[method-assign]
        taking = asyncio.ensure_future(take_turns())
        await (space.items("run") if how == "items" else space.load_many(*(("run", str(each)) for each in range(20))))
        taking.cancel()
        await store.connection.close()
        return decoded

    decoded = asyncio.run(told())

    assert len(set(decoded)) == len(decoded) == 20


@pytest.mark.parametrize("how", ["load", "load_many", "items"])
def test_a_very_large_unit_of_a_server_is_decoded_in_a_thread(valkey_server: Valkey, how: str):
    async def told() -> tuple[Any, list[threading.Thread]]:
        store = valkey_store(valkey_server)
        space = store.space("", "org")
        await space.commit(Write("run", "a", "x" * 100_000, 0))
        threads: list[threading.Thread] = []

        def unit(*args: Any) -> Unit:
            threads.append(threading.current_thread())
            return made(*args)

        made, space._unit = space._unit, unit  # type: ignore[method-assign]
        asked = {
            "load": space.load("run", "a"),
            "load_many": space.load_many(("run", "a")),
            "items": space.items("run"),
        }
        found = await asked.pop(how)
        for each in asked.values():
            each.close()
        await store.connection.close()
        return found, threads

    found, [thread] = asyncio.run(told())

    unit = {"load": lambda: found, "load_many": lambda: found[0], "items": lambda: found["a"]}[how]()
    assert unit.value == "x" * 100_000
    assert thread is not threading.main_thread()


def test_a_commit_may_be_based_on_one_in_progress_and_fails_with_it(stored: _Stored):
    async def told() -> None:
        space, other = stored.space(), stored.space()
        await space.commit(Write("run", "x", 0, 0))
        for number in range(1, 20):  # each is based on the one before, and none waits for it
            unit = await space.load_uncommitted("run", "x")
            assert unit.value == number - 1
            in_progress.append(asyncio.ensure_future(space.commit(Write("run", "x", number, unit.version))))
            await asyncio.sleep(0)
        await asyncio.gather(*in_progress)
        assert (await other.load("run", "x")).value == 19
        stale = await space.load_uncommitted("run", "x")
        await other.commit(Write("run", "x", 20, stale.version))
        if isinstance(stored.store, MemoryStore):
            return  # there is one space of a name, which knows of every commit
        first = asyncio.ensure_future(space.commit(Write("run", "x", 21, stale.version)))
        await asyncio.sleep(0)
        unit = await space.load_uncommitted("run", "x")
        assert unit.value == 21
        second = space.commit(Write("run", "x", 22, unit.version))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(each) for each in outcomes] == [VersionConflict, VersionConflict]
        assert (await space.load_uncommitted("run", "x")).value == 20

    in_progress: list[asyncio.Future[None]] = []
    stored.done(told())


def test_of_two_processes_that_change_one_unit_at_the_same_time_neither_starves(valkey_server: Valkey):
    first = valkey_store(valkey_server)
    stores = [first, valkey_store(valkey_server, first.connection.address.prefix)]

    async def count(space: SpaceStore) -> None:
        for _ in range(30):
            for _ in range(100):  # so often a request is tried
                unit = await space.load_uncommitted("run", "x")
                try:
                    await space.commit(Write("run", "x", (unit.value or 0) + 1, unit.version))
                except VersionConflict:
                    await asyncio.sleep(0)
                else:
                    break
            else:
                raise AssertionError("it was never its turn")

    async def both() -> int:
        spaces = [store.space("", "org") for store in stores]
        await asyncio.gather(*(count(space) for space in spaces for _ in range(8)))
        for store in stores:
            await store.connection.close()
        return (await spaces[0].load("run", "x")).value

    assert asyncio.run(both()) == 2 * 8 * 30


class EveryOther:
    """A store where, before every other commit, another was quicker."""

    def __init__(self, *, always: bool = False) -> None:
        self._store = MemoryStore()
        self._always = always
        self.refused = 0

    def space(self, namespace: str, organisation: str) -> SpaceStore:
        return _Space(self, self._store.space(namespace, organisation))

    def refuses(self) -> bool:
        self.refused += 1
        return self._always or bool(self.refused % 2)


class _Space:
    def __init__(self, owner: EveryOther, space: SpaceStore) -> None:
        self._owner = owner
        self._space = space

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    async def commit(self, *writes: Write) -> None:
        if self._owner.refuses():
            raise VersionConflict("another was quicker")
        await self._space.commit(*writes)


def test_what_is_written_is_right_although_every_other_commit_conflicts():
    store = EveryOther()
    mock, plain = Mock(store=store), Mock()
    for each in (mock, plain):
        run = each.create(key="k")
        assert each.create(key="k") == run
        many = each.create_many(5)
        assert each.total() == 6
        assert each.patch(f"/v1/runs/{run['id']}", {"status": "cancelled"}).json()["status"] == "cancelled"
        assert each.post(f"/v1/runs/{run['id']}/retry", {}).status_code == 200
        assert each.delete(f"/v1/runs/{many[0]['id']}").status_code == 204
        assert each.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * 2}).status_code == 201
        assert each.post("/v1/pools", {"name": "New"}).status_code == 201
        added = each.post(f"/v1/pools/{FRONT_DESKS}/machines", {"machine_ids": [ACCOUNTING_1]})
        assert added.status_code == 200
        assert each.post("/v1/workflows", {"name": "New", "main_prompt": "Do it."}).status_code == 201
        each.clock.advance(3600)
    assert store.refused > 10
    # Retried or not, the same requests come to the same.
    assert mock.listed() == plain.listed()
    assert mock.get("/v1/pools").json() == plain.get("/v1/pools").json()
    assert mock.get("/v1/workflows").json() == plain.get("/v1/workflows").json()


def test_many_at_once_create_just_as_many_although_commits_conflict():
    mock = Mock(store=EveryOther())
    sent = {"workflow_id": SUCCEEDS, "count": 3}
    answers = mock.together(*(mock.sent("POST", "/v1/runs/bulk", json=sent) for _ in range(10)))
    ids = [run["id"] for answer in answers for run in answer.json()["created_runs"]]
    assert len(set(ids)) == 30
    assert sorted(mock.ids()) == sorted(ids)


def test_a_store_that_always_conflicts_ends_in_a_refusal_and_not_in_a_loop():
    mock = Mock(store=EveryOther(always=True))
    answer = mock.post("/v1/runs", {"workflow_id": SUCCEEDS})
    assert answer.status_code == 409
    assert "try again" in answer.json()["detail"]
    assert mock.total() == 0


class _Suspending:
    """A space of a store that lets others go first, each time it is asked: as one behind a network does."""

    def __init__(self, space: SpaceStore) -> None:
        self._space = space
        self.max_writes = space.max_writes

    def __getattr__(self, name: str) -> Any:
        async def suspended(*args: Any) -> Any:
            await asyncio.sleep(0)
            result = await getattr(self._space, name)(*args)
            await asyncio.sleep(0)
            return dict(result) if name == "items" else result

        return suspended


class Suspending:
    def __init__(self) -> None:
        self._store = MemoryStore()

    def space(self, namespace: str, organisation: str) -> SpaceStore:
        return _Suspending(self._store.space(namespace, organisation))


def test_requests_at_once_lose_nothing_of_each_other_on_a_store_that_suspends():
    mock = Mock(store=Suspending())
    bulk = mock.create_many(12)
    session = mock.create(start_session=True)["session_id"]

    answers = mock.together(
        *(mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS}) for _ in range(8)),
        *(mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS, "session_id": session}) for _ in range(4)),
        *(mock.sent("POST", "/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": 3}) for _ in range(4)),
        *(mock.sent("POST", "/v1/runs/chain", json={"steps": [{"workflow_id": SUCCEEDS}] * 2}) for _ in range(2)),
        *(
            mock.sent("PATCH", f"/v1/runs/{run['id']}", json={"output_data": {"place": place}})
            for place, run in enumerate(bulk[:10])
        ),
        *(mock.sent("DELETE", f"/v1/runs/{run['id']}") for run in bulk[10:]),
    )

    assert {answer.status_code for answer in answers} == {200, 201, 204}
    assert [mock.read(run["id"])["output_data"] for run in bulk[:10]] == [{"place": place} for place in range(10)]
    assert mock.total() == 10 + 1 + 8 + 4 + 4 * 3 + 2 * 2
    assert mock.total(session_id=session) == 5
    ids = mock.ids(limit=1000)
    assert len(set(ids)) == len(ids) == mock.total()


def test_one_key_makes_one_run_on_a_store_that_suspends():
    mock = Mock(store=Suspending())
    body = {"workflow_id": SUCCEEDS}

    answers = mock.together(*(mock.sent("POST", "/v1/runs", json=body, key="k") for _ in range(6)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert mock.total() == 1
