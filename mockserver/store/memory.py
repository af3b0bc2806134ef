"""The store in this process: plain dicts. Gone with the process."""

from __future__ import annotations

from mockserver.errors import Conflict
from mockserver.store.units import ABSENT, Unit, Write

_NOTHING: dict[str, Unit] = {}


class MemorySpace:
    """Versions are numbered over the whole space, so that a unit removed and made again is never taken for the old."""

    def __init__(self) -> None:
        self._units: dict[str, dict[str, Unit]] = {}
        self._version = 0

    async def load(self, kind: str, key: str) -> Unit:
        units = self._units.get(kind)
        return ABSENT if units is None else units.get(key, ABSENT)

    async def commit(self, *writes: Write) -> None:
        units = self._units
        for kind, key, _, version in writes:
            if units.get(kind, _NOTHING).get(key, ABSENT).version != version:
                raise Conflict(f"{kind} {key} has moved on since version {version}")
        self._version += 1
        for kind, key, value, _ in writes:
            if value is None:
                units.get(kind, {}).pop(key, None)
            else:
                of_kind = units.get(kind)
                if of_kind is None:
                    of_kind = units[kind] = {}
                of_kind[key] = Unit(value, self._version)

    async def items(self, kind: str) -> dict[str, Unit]:
        return self._units.get(kind, _NOTHING)


class MemoryStore:
    def __init__(self) -> None:
        self._spaces: dict[tuple[str, str], MemorySpace] = {}

    def space(self, namespace: str, organisation: str) -> MemorySpace:
        key = (namespace, organisation)
        space = self._spaces.get(key)
        if space is None:
            space = self._spaces[key] = MemorySpace()
        return space
