"""Where state is kept: units with versions, in spaces. It knows nothing of what the units mean.

A *space* holds the state of one organisation in one namespace; no space sees another. Whoever changes units loads
them with their versions and commits all writes at once; if any unit has moved on meanwhile, nothing is written and
`Conflict` is raised. One compare-and-set serves any store.
"""

from __future__ import annotations

from typing import Protocol

from mockserver.store.memory import MemoryStore
from mockserver.store.units import ABSENT, Unit, Write

__all__ = ["ABSENT", "MemoryStore", "SpaceStore", "Store", "Unit", "Write"]


class SpaceStore(Protocol):
    async def load(self, kind: str, key: str) -> Unit: ...

    async def commit(self, *writes: Write) -> None:
        """All or nothing. Raises Conflict."""

    async def items(self, kind: str) -> dict[str, Unit]:
        """Every unit of a kind by key, in the order in which the keys came to be. Only to be read."""

    async def is_empty(self, now: int) -> bool:
        """Whether nothing is kept that still counts at the moment."""


class Store(Protocol):
    def space(self, namespace: str, organisation: str) -> SpaceStore: ...

    def drop(self, namespace: str, organisation: str) -> None:
        """Forgets all that is kept in the space."""
