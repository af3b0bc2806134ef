"""Both stores, step by step beside a model of plain dicts: one memory store, and two processes of one Valkey server.

The two processes are two `ValkeyStore` with connections of their own. Each step is done by one of them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mockserver.errors import VersionConflict
from mockserver.store import ABSENT, MemoryStore, SpaceStore, Transaction, Unit, Write
from mockserver.store.memory import MemorySpace
from tests.mockserver.store.spaces import valkey_store
from tests.mockserver.valkey import Valkey

_kinds = st.sampled_from(["run", "key", "other"])
_keys = st.sampled_from(["a", "b", "c/d", "é \ud800"])
_values = st.none() | st.integers(0, 9) | st.text(max_size=3) | st.dictionaries(st.text(max_size=2), st.integers())
_writes = st.lists(st.tuples(_kinds, _keys, _values), min_size=1, max_size=4, unique_by=lambda write: write[:2])
_processes = st.sampled_from([0, 1])
_Place = tuple[str, str]


class Model:
    """What a space holds: values, when each was created and last written, counted in commits."""

    def __init__(self) -> None:
        self.values: dict[_Place, Any] = {}
        self.written: dict[_Place, int] = {}
        self.commits = 0

    def apply(self, writes: list[tuple[str, str, Any]]) -> None:
        self.commits += 1
        for kind, key, value in writes:
            if value is None:
                self.values.pop((kind, key), None)
            else:
                self.values[kind, key] = value
            self.written[kind, key] = self.commits

    def keys(self, kind: str) -> list[str]:
        return [key for each, key in self.values if each == kind]


class Stores(RuleBasedStateMachine):
    server: Valkey

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.model = Model()
        first = valkey_store(self.server)
        self.stores = [first, valkey_store(self.server, first.connection.address.prefix)]
        memory = MemoryStore().space("n", "org")
        processes = [store.space("n", "org") for store in self.stores]
        self.spaces: list[list[SpaceStore]] = [[memory, space] for space in processes]
        self.runner.run(memory.written_since(0, "run"))  # from now on it keeps them
        self.seen: list[dict[_Place, list[Unit]]] = [{}, {}]
        """For each process what it has loaded last: the units of both stores."""

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            for store in self.stores:
                self.runner.run(store.connection.close())
            self.runner.close()

    def done(self, process: int, call: Any) -> list[Any]:
        """What a call returns for each store; a VersionConflict as its class."""

        async def one(space: SpaceStore) -> Any:
            try:
                return await call(space)
            except VersionConflict:
                return VersionConflict

        return [self.runner.run(one(space)) for space in self.spaces[process]]

    @rule(process=_processes, kind=_kinds, key=_keys)
    def load(self, process: int, kind: str, key: str) -> None:
        units = self.done(process, lambda space: space.load(kind, key))
        expected = self.model.values.get((kind, key))
        assert [unit.value for unit in units] == [expected, expected]
        assert {unit.version == 0 for unit in units} == {expected is None}
        self.seen[process][kind, key] = units

    @rule(process=_processes, kind=_kinds, key=_keys, value=_values)
    def change_ahead(self, process: int, kind: str, key: str, value: Any) -> None:
        """A commit that is based on `load_uncommitted` fails once at most, while nobody else commits."""

        async def change(space: SpaceStore) -> None:
            unit = await space.load_uncommitted(kind, key)
            try:
                await space.commit(Write(kind, key, value, unit.version))
            except VersionConflict:
                assert not isinstance(space, MemorySpace)
                unit = await space.load_uncommitted(kind, key)
                await space.commit(Write(kind, key, value, unit.version))

        assert self.done(process, change) == [None, None]
        self.model.apply([(kind, key, value)])

    @rule(process=_processes, writes=_writes, held=st.booleans())
    def commit(self, process: int, writes: list[tuple[str, str, Any]], held: bool) -> None:
        """Commit on the versions that the process has seen last: both stores decide alike, as the model does."""
        seen = self.seen[process]
        places = [write[:2] for write in writes]
        known = {place: seen.get(place, [ABSENT, ABSENT]) for place in places}
        now = {place: self.done(process, lambda space, place=place: space.load(*place)) for place in places}
        fits = [all(known[place][which].version == now[place][which].version for place in places) for which in (0, 1)]
        assert fits[0] == fits[1]

        async def commit(space: SpaceStore) -> None:
            which = self.spaces[process].index(space)
            first, *rest = [Write(*write, known[write[:2]][which].version) for write in writes]
            if not held:
                await space.commit(first, *rest)
                return
            transaction = Transaction(space)
            await transaction.commit(first)
            assert (await transaction.load(first.kind, first.key)).value == first.value
            await transaction.apply(*rest)

        assert self.done(process, commit) == ([None, None] if fits[0] else [VersionConflict, VersionConflict])
        if fits[0]:
            self.model.apply(writes)
        for place in places:
            self.load(process, *place)

    @rule(process=_processes, data=st.data())
    def written_since(self, process: int, data: st.DataObject) -> None:
        since = data.draw(st.integers(0, self.model.commits))
        expected = {key for (kind, key), at in self.model.written.items() if kind == "run" and at > since}
        for written, now in self.done(process, lambda space: space.written_since(since, "run")):
            assert set(written["run"]) == expected
            assert len(written["run"]) == len(expected)
            assert now == self.model.commits

    @rule(process=_processes, count=st.integers(1, 3))
    def oldest(self, process: int, count: int) -> None:
        keys = self.model.keys("key")
        for found, total in self.done(process, lambda space: space.oldest("key", count)):
            assert [key for key, _ in found] == keys[:count]
            assert total == len(keys)

    @precondition(lambda self: hasattr(self, "runner"))
    @invariant()
    def both_hold_what_the_model_holds(self) -> None:
        for process in (0, 1):
            for kept in self.done(process, lambda space: space.snapshot(("run", "key", "other"))):
                for kind, units in kept.items():
                    expected = {key: value for (each, key), value in self.model.values.items() if each == kind}
                    assert {key: unit.value for key, unit in units.items()} == expected
                    if kind != "other":
                        assert list(units) == self.model.keys(kind)


@pytest.fixture
def machine(valkey_server: Valkey) -> type[Stores]:
    return type("Machine", (Stores,), {"server": valkey_server})


def test_both_stores_and_the_model_agree_at_every_step(machine: type[Stores]):
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=25, deadline=None))
