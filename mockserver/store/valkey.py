"""The store in a Valkey server, shared by all processes that use the same prefix.

A commit is one script, so it is applied as a whole or not at all. Versions are made here, not in the server, so that a
commit can be based on the outcome of another one that is still in progress (`load_uncommitted`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

from mockserver.errors import TooLarge, Unavailable, VersionConflict
from mockserver.store.units import ABSENT, Unit, Write
from mockserver.store.valkey_connection import ValkeyConnection
from mockserver.store.valkey_scripts import COMMIT, OLDEST, SNAPSHOT, WRITTEN_SINCE

_MAX_BYTES = 100_663_296
"""Of one commit, encoded: three times the default of `--max-body`, as a reply that is kept for a key has it all again.

While the server reads and applies a commit it answers nobody, and all others give up after a second.
"""
_GIVE_WAY_S = 0.002
_LARGE_BYTES = 65_536
_DECODED_BYTES_AT_ONCE = 16_384
"""To decode them takes a millisecond, in which nothing else is handled."""
_DECODED_UNITS = 4_096
_MAX_DECODED_BYTES = 16_384
"""In bytes, encoded. Larger units are not kept."""
_Place = tuple[str, str]


class Codec(Protocol):
    def encode(self, kind: str, value: Any) -> bytes: ...

    def decode(self, kind: str, text: bytes) -> Any: ...


class Kinds(NamedTuple):
    """All kinds of units; those that `written_since` and `oldest` may be asked for."""

    every: tuple[str, ...]
    followed: frozenset[str] = frozenset()
    ordered: frozenset[str] = frozenset()

    def suffixes(self) -> list[str]:
        """What the keys of a space end in."""
        return ["#", "?", *self.every, *(f"{each}~" for each in self.followed), *(f"{each}!" for each in self.ordered)]

    def flags(self, kind: str) -> str:
        return "f" if kind in self.followed else "o" if kind in self.ordered else ""


class Epoch(NamedTuple):
    """A namespace from its creation or reset to the next: the hash with all namespaces, its field there, and its id."""

    namespaces: bytes
    field: bytes
    id: str


NO_EPOCH = Epoch(b"", b"", "")


class ValkeyStore:
    """`codec` is that of spaces which are not given one of their own."""

    def __init__(self, connection: ValkeyConnection, kinds: Kinds, codec: Codec) -> None:
        self.connection = connection
        self.kinds = kinds
        self._codec = codec
        self.process = secrets.token_hex(8)
        self._versions = count((int(self.process, 16) << 40) + 1)
        connect = connection.script
        self.scripts = {text: connect(text) for text in (COMMIT, WRITTEN_SINCE, SNAPSHOT, OLDEST)}

    def next_version(self) -> int:
        """A version that no other process makes."""
        return next(self._versions)

    def space(self, namespace: str, organisation: str) -> ValkeySpace:
        return self.space_in(NO_EPOCH, namespace, organisation, self._codec)

    def space_in(self, epoch: Epoch, namespace: str, organisation: str, codec: Codec) -> ValkeySpace:
        prefix = self.connection.key("space", namespace, epoch.id, organisation) + b"/"
        return ValkeySpace(self, prefix, epoch, codec)

    def drop(self, namespace: str, organisation: str) -> None:
        """Does nothing: another process may use the space. Its keys are removed with its namespace."""


class ValkeySpace:
    max_writes = 50_000

    def __init__(self, store: ValkeyStore, prefix: bytes, epoch: Epoch, codec: Codec) -> None:
        self._store = store
        self._connection = store.connection
        self._prefix = prefix
        self._epoch = epoch
        self._codec = codec
        self._uncommitted: dict[_Place, Unit] = {}
        """The units that `load_uncommitted` was asked for, as after the commits in progress."""
        self._groups: dict[_Place, object] = {}
        """For each of them an object that stands for the commits in progress that are based on one another."""
        self._gives_way_until = 0.0
        """Until then another process goes first, whose commit has conflicted. In the time of the event loop."""
        self._decoded: dict[_Place, Unit] = {}
        """Units that were loaded, so that a value is decoded once for each version."""

    async def load(self, kind: str, key: str) -> Unit:
        text = await self._connection.read("HGET", self._prefix + kind.encode(), field_name(key))
        return await self._decoded_unit(kind, key, text)

    async def load_many(self, *places: tuple[str, str]) -> list[Unit]:
        # Called before any is awaited, so that they are sent together, in this order.
        called = [self._connection.call("HGET", self._prefix + kind.encode(), field_name(key)) for kind, key in places]
        units: list[Unit] = []
        size = 0
        for place, answer in zip(places, called, strict=True):
            text = await answer
            units.append(await self._decoded_unit(*place, text))
            size += len(text or b"")
            if size > _DECODED_BYTES_AT_ONCE:
                size = 0
                await asyncio.sleep(0)  # let others go on
        return units

    async def load_uncommitted(self, kind: str, key: str) -> Unit:
        left = self._gives_way_until - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)
        unit = self._uncommitted.get((kind, key))
        if unit is None:
            loaded = await self.load(kind, key)
            unit = self._uncommitted.setdefault((kind, key), loaded)
            self._groups.setdefault((kind, key), object())
        return unit

    async def commit(self, *writes: Write) -> None:
        """Raises TooLarge if the server would hold up all others with it."""
        if len(writes) > self.max_writes:
            what = f"The store takes {self.max_writes} changes at once at most"
            raise TooLarge(f"{what}, and this request makes {len(writes)}")
        uncommitted, version = self._uncommitted, self._store.next_version()
        args: list[str | bytes | int] = [self._epoch.field, self._epoch.id, f"{version:x}", self._store.process]
        size = 0
        for kind, key, value, before, until in writes:
            text = b"" if value is None else self._codec.encode(kind, value)
            args += (kind, self._store.kinds.flags(kind), field_name(key), f"{before:x}", until, text)
            size += len(text)
            if size > _MAX_BYTES:
                raise TooLarge(
                    f"The store takes {_MAX_BYTES} bytes at once at most, and this request writes more: "
                    "each step of a chain has what the steps share"
                )
        groups: dict[_Place, object] = {}
        for kind, key, value, _, until in writes:
            if (kind, key) in uncommitted:
                groups[kind, key] = self._groups[kind, key]
                uncommitted[kind, key] = ABSENT if value is None else Unit(value, version, until)
        try:
            answer = await self._evaluate(COMMIT, *args)
            if answer[0] == 2:
                raise Unavailable("The namespace was reset meanwhile; try again", {"Retry-After": "1"})
        except BaseException:
            self._end(groups)
            raise
        if answer[0] == 1:
            place = answer[1].decode(), answer[2].decode(*UTF8)
            if self._end(groups).get(place):
                # The script has returned the current unit, so the next commit need not load it.
                uncommitted[place] = self._unit(*place, answer[3] or None)
                self._groups[place] = object()
            raise VersionConflict(f"{place[0]} {place[1]} has moved on since it was loaded")
        if answer[1]:
            # Let the other process go first. This one would win again and again: its next commits are on the way.
            self._gives_way_until = asyncio.get_running_loop().time() + _GIVE_WAY_S

    def _end(self, groups: dict[_Place, object]) -> dict[_Place, object]:
        """Forget what is based on a commit that has failed: it fails too. Return the groups that had not ended yet."""
        ended = {place: group for place, group in groups.items() if self._groups.get(place) is group}
        for place in ended:
            del self._groups[place], self._uncommitted[place]
        return ended

    async def items(self, kind: str) -> dict[str, Unit]:
        return (await self.snapshot((kind,)))[kind]

    async def snapshot(self, kinds: Collection[str]) -> dict[str, dict[str, Unit]]:
        answers = await self._evaluate(SNAPSHOT, *kinds)
        return {kind: await self._in_order(kind, answer) for kind, answer in zip(kinds, answers, strict=True)}

    async def oldest(self, kind: str, count: int) -> tuple[list[tuple[str, Unit]], int]:
        total, *found = await self._evaluate(OLDEST, kind, count)
        keys = [key.decode(*UTF8) for key in found[::2]]
        return [(key, self._unit(kind, key, text)) for key, text in zip(keys, found[1::2], strict=True)], total

    async def written_since(self, version: int, *kinds: str) -> tuple[dict[str, list[str]], int]:
        now, *found = await self._evaluate(WRITTEN_SINCE, version, *kinds)
        keys: dict[str, list[str]] = {}
        for kind, each in zip(kinds, found, strict=True):
            try:
                keys[kind] = [key.decode(*UTF8) for key in each]
            except UnicodeDecodeError as error:
                raise self._connection.damaged(self._prefix + kind.encode() + b"~", error) from error
        return keys, now

    async def is_empty(self, now: int) -> bool:
        for kind in self._store.kinds.every:
            if any(unit.until > now for unit in (await self.items(kind)).values()):
                return False
        return True

    async def _evaluate(self, script: str, *args: str | bytes | int) -> Any:
        keys = (self._prefix, self._epoch.namespaces) if script is COMMIT else (self._prefix,)
        return await self._connection.evaluate(self._store.scripts[script], keys, *args)

    async def _decoded_unit(self, kind: str, key: str, text: bytes | None) -> Unit:
        """As `_unit`, but a large one is decoded in a thread: one with 10,000 files takes 0.2 s."""
        if text is None or len(text) <= _LARGE_BYTES:
            return self._unit(kind, key, text)
        return await asyncio.to_thread(self._unit, kind, key, text)

    def _unit(self, kind: str, key: str, text: bytes | None) -> Unit:
        if text is None:
            return ABSENT
        try:
            head, _, until, value = text.split(b" ", 3)
            version = int(head, 16)
            unit = self._decoded.get((kind, key))
            if unit is None or unit.version != version:
                if len(self._decoded) >= _DECODED_UNITS:
                    self._decoded.clear()
                unit = Unit(self._codec.decode(kind, value), version, int(until))
                if len(value) <= _MAX_DECODED_BYTES:
                    self._decoded[kind, key] = unit
        except (ValueError, TypeError, RecursionError) as error:
            raise self._connection.damaged(self._prefix + kind.encode(), error) from error
        return unit

    async def _in_order(self, kind: str, answer: Sequence[bytes]) -> dict[str, Unit]:
        """Sort by creation: the count of commits, and the place in the commit."""
        found: list[tuple[list[int], str, bytes]] = []
        for field, text in zip(answer[::2], answer[1::2], strict=True):
            try:
                created = [int(each) for each in text.split(b" ", 2)[1].split(b".")]
                found.append((created, field.decode(*UTF8), text))
            except (ValueError, IndexError) as error:
                raise self._connection.damaged(self._prefix + kind.encode(), error) from error
        units: dict[str, Unit] = {}
        size = 0
        for _, key, text in sorted(found):
            units[key] = await self._decoded_unit(kind, key, text)
            size += len(text)
            if size > _DECODED_BYTES_AT_ONCE:
                size = 0
                await asyncio.sleep(0)
        return units


UTF8 = "utf-8", "surrogatepass"


def field_name(key: str) -> bytes:
    return key.encode(*UTF8)
