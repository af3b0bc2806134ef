"""The store: versioned units in spaces. It does not know what the units mean.

A *space* holds the state of one organisation in one namespace; spaces are isolated from each other. To change units, a
caller loads them with their versions and commits all writes at once. If any unit has another version by then, nothing
is written and `VersionConflict` is raised. A store needs no more than this compare-and-set.

`MemoryStore` keeps the units in this process. `ValkeyStore` keeps them in a Valkey server, for any number of processes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from mockserver.store.memory import MemoryStore
from mockserver.store.retry import retried
from mockserver.store.transaction import Transaction
from mockserver.store.units import ABSENT, Unit, Write

__all__ = ["ABSENT", "MemoryStore", "SpaceStore", "Store", "Transaction", "Unit", "UnitStore", "Write", "retried"]


class UnitStore(Protocol):
    """The units of a space. Versions are not 0, and never repeat.

    A store in another process raises Unavailable if it does not answer.
    """

    @property
    def max_writes(self) -> int:
        """How many writes a commit may have. One with more raises TooLarge."""

    async def load(self, kind: str, key: str) -> Unit: ...

    async def load_many(self, *places: tuple[str, str]) -> list[Unit]:
        """Load several units, in this order. Each is at least as recent as the one before it."""

    async def load_uncommitted(self, kind: str, key: str) -> Unit:
        """Like `load`, but includes commits that are still in progress.

        Use the result only as the basis of a commit: if one of those commits fails, that commit raises
        VersionConflict. So requests that all change one unit need not wait for each other.
        """

    async def commit(self, *writes: Write) -> None:
        """Apply all writes or none. Raises VersionConflict if a unit has another version than its write."""

    async def items(self, kind: str) -> dict[str, Unit]:
        """Return all units of a kind by key, in the order in which the keys were created. Read-only."""

    async def written_since(self, version: int, *kinds: str) -> tuple[dict[str, list[str]], int]:
        """Return the keys of each kind that were written or removed after a version, and the current version.

        These versions are those of the space, and begin at 0. The last written key comes first. The cost depends on
        the number of keys, not on the number of units.
        """


class SpaceStore(UnitStore, Protocol):
    """The units of a space, and what only the server itself asks for, not a behaviour."""

    async def snapshot(self, kinds: Collection[str]) -> dict[str, dict[str, Unit]]:
        """As `items` for each kind, all as of one moment."""

    async def oldest(self, kind: str, count: int) -> tuple[list[tuple[str, Unit]], int]:
        """Return the first `count` items at most, and how many there are in total."""

    async def is_empty(self, now: int) -> bool:
        """Whether the space has no unit that is still valid at the moment `now`."""


class Store(Protocol):
    def space(self, namespace: str, organisation: str) -> SpaceStore: ...

    def drop(self, namespace: str, organisation: str) -> None:
        """Delete everything in the space."""
