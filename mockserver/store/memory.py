"""The in-memory store: plain dicts, lost when the process ends."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection
from itertools import islice, takewhile

from mockserver.errors import VersionConflict
from mockserver.store.units import ABSENT, Unit, Write


class MemorySpace:
    """Versions count per space, not per unit, so a unit that is removed and created again never repeats a version."""

    max_writes = sys.maxsize

    def __init__(self) -> None:
        self._units: defaultdict[str, dict[str, Unit]] = defaultdict(dict)
        self._version = 0
        self._written: dict[str, dict[str, int]] = {}
        """By kind, for the kinds that `written_since` was asked for: the version of each last write, in its order."""

    async def load(self, kind: str, key: str) -> Unit:
        return self._units[kind].get(key, ABSENT)

    async def load_many(self, *places: tuple[str, str]) -> list[Unit]:
        return [self._units[kind].get(key, ABSENT) for kind, key in places]

    load_uncommitted = load  # a commit is never in progress

    async def commit(self, *writes: Write) -> None:
        units = self._units
        for kind, key, _, version, _ in writes:
            if units[kind].get(key, ABSENT).version != version:
                raise VersionConflict(f"{kind} {key} has moved on since version {version}")
        version = self._version = self._version + 1
        for kind, key, value, _, until in writes:
            if value is None:
                units[kind].pop(key, None)
            else:
                units[kind][key] = Unit(value, version, until)
            written = self._written.get(kind)
            if written is not None:
                written.pop(key, None)
                written[key] = version

    async def items(self, kind: str) -> dict[str, Unit]:
        return self._units[kind]

    async def snapshot(self, kinds: Collection[str]) -> dict[str, dict[str, Unit]]:
        return {kind: self._units[kind].copy() for kind in kinds}

    async def oldest(self, kind: str, count: int) -> tuple[list[tuple[str, Unit]], int]:
        units = self._units[kind]
        return list(islice(units.items(), count)), len(units)

    async def written_since(self, version: int, *kinds: str) -> tuple[dict[str, list[str]], int]:
        return {kind: self._keys_since(version, kind) for kind in kinds}, self._version

    def _keys_since(self, version: int, kind: str) -> list[str]:
        written = self._written.get(kind)
        if written is None:
            every = sorted(self._units[kind].items(), key=lambda item: item[1].version)
            written = self._written[kind] = {key: unit.version for key, unit in every}
        return list(takewhile(lambda key: written[key] > version, reversed(written)))

    async def is_empty(self, now: int) -> bool:
        return all(unit.until <= now for units in self._units.values() for unit in units.values())


class MemoryStore:
    def __init__(self) -> None:
        self._spaces: dict[tuple[str, str], MemorySpace] = {}

    def space(self, namespace: str, organisation: str) -> MemorySpace:
        key = (namespace, organisation)
        space = self._spaces.get(key)
        if space is None:
            space = self._spaces[key] = MemorySpace()
        return space

    def drop(self, namespace: str, organisation: str) -> None:
        self._spaces.pop((namespace, organisation), None)
