"""A transaction: several commits that are applied as one, together with more writes, or not at all."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from mockserver.errors import VersionConflict
from mockserver.store.units import ABSENT, Unit, Write

if TYPE_CHECKING:
    from mockserver.store import UnitStore

_versions = count(-1, -1)
"""Versions of units that are not in the store yet. They never repeat, so that what is cached by version stays right."""


class Transaction:
    """A view of a space in which commits are seen, and which holds them back until `apply`.

    `written_since` does not see them.
    """

    def __init__(self, space: UnitStore) -> None:
        self._space = space
        self._units: dict[tuple[str, str], Unit] = {}
        self._writes: dict[tuple[str, str], Write] = {}

    @property
    def max_writes(self) -> int:
        return self._space.max_writes

    async def apply(self, *writes: Write) -> None:
        """Commit all that was held back, and these. Raises VersionConflict."""
        if self._writes or writes:
            await self._space.commit(*self._writes.values(), *writes)

    async def load(self, kind: str, key: str) -> Unit:
        unit = self._units.get((kind, key))
        return await self._space.load(kind, key) if unit is None else unit

    async def load_uncommitted(self, kind: str, key: str) -> Unit:
        unit = self._units.get((kind, key))
        return await self._space.load_uncommitted(kind, key) if unit is None else unit

    async def load_many(self, *places: tuple[str, str]) -> list[Unit]:
        units = await self._space.load_many(*places)
        return [self._units.get(place, unit) for place, unit in zip(places, units, strict=True)]

    async def commit(self, *writes: Write) -> None:
        for kind, key, _, version, _ in writes:
            held = self._units.get((kind, key))
            if held is not None and held.version != version:
                raise VersionConflict(f"{kind} {key} has moved on since version {version}")
        version = next(_versions)
        for write in writes:
            place = write.kind, write.key
            first = self._writes.get(place, write)
            self._writes[place] = write._replace(version=first.version)
            self._units[place] = ABSENT if write.value is None else Unit(write.value, version, write.until)

    async def items(self, kind: str) -> dict[str, Unit]:
        held = {key: unit for (each, key), unit in self._units.items() if each == kind}
        return {key: unit for key, unit in {**await self._space.items(kind), **held}.items() if unit.version}

    async def written_since(self, version: int, *kinds: str) -> tuple[dict[str, list[str]], int]:
        return await self._space.written_since(version, *kinds)
