"""The store: versioned units in spaces. It does not know what the units mean.

A *space* holds the state of one organisation in one namespace; spaces are isolated from each other. To change units, a
caller loads them with their versions and commits all writes at once. If any unit has another version by then, nothing
is written and `Conflict` is raised. A store needs no more than this compare-and-set.
"""

from __future__ import annotations

from typing import Protocol

from mockserver.store.memory import MemoryStore
from mockserver.store.units import ABSENT, Unit, Write

__all__ = ["ABSENT", "MemoryStore", "SpaceStore", "Store", "Unit", "Write"]


class SpaceStore(Protocol):
    async def load(self, kind: str, key: str) -> Unit: ...

    async def commit(self, *writes: Write) -> None:
        """Apply all writes or none. Raises Conflict if a unit has another version than its write."""

    async def items(self, kind: str) -> dict[str, Unit]:
        """Return all units of a kind by key, in the order in which the keys were created. Read-only."""

    async def written_since(self, version: int, *kinds: str) -> tuple[dict[str, list[str]], int]:
        """Return the keys of each kind that were written or removed after a version, and the current version.

        The last written key comes first. The cost depends on their number, not on the number of units.
        """

    async def is_empty(self, now: int) -> bool:
        """Whether the space has no unit that is still valid at the moment `now`."""


class Store(Protocol):
    def space(self, namespace: str, organisation: str) -> SpaceStore: ...

    def drop(self, namespace: str, organisation: str) -> None:
        """Delete everything in the space."""
