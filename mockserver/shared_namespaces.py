"""Namespaces in a store that several servers share.

The record of a namespace has its clock, its secret and its faults. Each request loads the version of the record first,
and the whole of it only if it has changed, so a change on one server applies to every later request on all of them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mockserver.behaviour.context import Space
from mockserver.errors import Unprocessable, VersionConflict
from mockserver.events import Events
from mockserver.faults import FaultParser
from mockserver.namespaces import MakeSpace, Namespace, Namespaces
from mockserver.shared_faults import SharedFaults
from mockserver.shared_journal import SharedJournal
from mockserver.shared_store import SharedStore
from mockserver.spec import render_json
from mockserver.store import Write
from mockserver.store.valkey import NO_EPOCH, Epoch
from mockserver.store.valkey_namespaces import Record

_NO_RECORD = "0"
_WRITES_AT_ONCE = 2_000


class SharedNamespaces(Namespaces):
    def __init__(
        self,
        make: Callable[[str, Events], Namespace],
        make_space: MakeSpace,
        seed_space: Callable[[Space], Awaitable[None]],
        shared: SharedStore,
        fault_parser: FaultParser,
        *,
        max_spaces: int,
    ) -> None:
        super().__init__(make, make_space, seed_space, shared.units, max_spaces=max_spaces)
        self._shared = shared
        self._records = shared.namespaces
        self._fault_parser = fault_parser
        self._saves: dict[Namespace, asyncio.Future[str | None]] = {}
        """The last save in progress of each namespace. Its result is the new version, None if it has failed.

        The saves of a namespace follow each other, each based on the version of the one before it.
        """
        self._store_starts = 0

    async def get(self, name: str) -> Namespace:
        while True:
            namespace = await self.find(name)
            if namespace is not None:
                return namespace
            await self._create(name)

    async def find(self, name: str) -> Namespace | None:
        """Return the namespace as its record says now; None if it has none. Raises Unavailable at the limit."""
        while True:
            record = await self._records.load(name)
            self._forget_what_may_be_lost()
            if record is None:
                return None
            known = self._namespaces.get(name)
            if known is None:
                await self._make_room()
            elif known.version == record.version:
                return known
            elif known in self._saves:
                # The record may be older than the change that is being saved, and would undo it here.
                await asyncio.shield(self._saves[known])
                continue
            return self._apply(record, name)

    async def find_space(self, namespace: Namespace, organisation: str) -> Space | None:
        known = namespace.spaces.get(organisation)
        if known is None and organisation in await self.organisations(namespace):
            known = await self.space(namespace, organisation)
        return known

    async def names(self) -> Sequence[str]:
        return await self._records.names()

    async def organisations(self, namespace: Namespace) -> Sequence[str]:
        return list(await self._records.organisations(namespace.name, namespace.epoch))

    async def save(self, namespace: Namespace) -> None:
        """The change must have been made without a pause before the call."""
        before, content = self._saves.get(namespace), self._content(namespace)
        save = self._saves[namespace] = asyncio.get_running_loop().create_future()
        based_on, namespace.version = namespace.version, None
        saved = None
        try:
            if before is not None:
                # The content has that change too, so it can only follow it.
                based_on = await asyncio.shield(before)
            if based_on is None:
                raise VersionConflict(
                    f"what this server knows of the namespace {namespace.name!r} is not what is stored"
                )
            saved = await self._records.save(namespace.name, based_on, namespace.epoch, content)
        finally:
            save.set_result(saved)
            if self._saves[namespace] is save:
                del self._saves[namespace]
                namespace.version = saved  # None: it is not known what is stored, so the next request loads it

    async def space(self, namespace: Namespace, organisation: str) -> Space:
        known = namespace.spaces.get(organisation)
        if known is not None:
            return known
        key = await self._records.organisation_key(namespace.name, namespace.epoch, organisation)
        await self._make_room(namespace)
        space = self._make_space(namespace, organisation, key)
        if key is None:  # it is not in the store yet
            with suppress(VersionConflict):  # another server has seeded it
                await self._seed_space(space)
            epoch = self._records.epoch(namespace.name, namespace.epoch)
            await self._records.add_organisation(namespace.name, epoch, organisation, space.key)
        return self._added(namespace, space)

    async def drop(self, name: str) -> bool:
        removed = await self._records.remove(name)
        known = self._forget(name)
        if known is not None:
            known.events.close()
        return removed

    async def replace(self, namespace: Namespace, contents: Sequence[tuple[Space, Sequence[Write]]]) -> None:
        name = namespace.name
        self._check_room(name, len(contents))
        epoch = self._new_epoch(name)
        self._set_epoch(namespace, epoch)
        # A commit is possible only in the current epoch. So the units are written without a look at it first.
        not_begun = NO_EPOCH._replace(id=epoch.id)
        for space, writes in contents:
            space.store = self._shared.space_of(space, not_begun)
            for start in range(0, len(writes), _WRITES_AT_ONCE):
                await space.store.commit(*writes[start : start + _WRITES_AT_ONCE])
            await self._records.add_organisation(name, not_begun, space.organisation, space.key)
        assert isinstance(namespace.faults, SharedFaults)
        await self._records.set_fault_counts(name, epoch.id, namespace.faults.counts())
        namespace.version = await self._records.save(name, None, epoch.id, self._content(namespace))
        self._put(namespace)
        for space, _ in contents:
            space.store = self._shared.space_of(space, epoch)
            self._added(namespace, space)
        namespace.events.publish("reset", {})

    async def _create(self, name: str) -> None:
        namespace = self.make(name)
        with suppress(VersionConflict):  # another server was faster
            await self._records.save(name, _NO_RECORD, self._new_epoch(name).id, self._content(namespace))

    def _apply(self, record: Record, name: str) -> Namespace:
        """Return the namespace as its record says. Raises Unavailable if the record cannot be read."""
        namespace = self._namespaces.get(name)
        if namespace is None or namespace.epoch != record.epoch:
            namespace = self.make(name)
            self._set_epoch(namespace, self._records.epoch(name, record.epoch))
            self._put(namespace)
        try:
            self._restore(namespace, json.loads(record.content))
        except (KeyError, TypeError, ValueError, OverflowError, Unprocessable) as error:
            raise self._records.damaged(name, error) from error
        namespace.version = record.version
        return namespace

    def _restore(self, namespace: Namespace, content: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError, OverflowError or Unprocessable for what `_content` did not return."""
        if not namespace.shares_clock:
            namespace.clock.restore(content["clock"])
        namespace.secret = bytes.fromhex(content["secret"])
        counts = {each.id: (each.matched, each.applied) for each in namespace.faults}
        namespace.faults.clear()
        self._fault_parser.restore(namespace.faults, content["faults"], namespace.clock)
        for fault in namespace.faults:
            fault.matched, fault.applied = counts.get(fault.id, (0, 0))
        if isinstance(namespace.journal, SharedJournal):
            namespace.journal.secret = namespace.secret

    def _content(self, namespace: Namespace) -> bytes:
        faults = self._fault_parser.state(namespace.faults)
        return render_json({"clock": namespace.clock.state(), "secret": namespace.secret.hex(), "faults": faults})

    def _new_epoch(self, name: str) -> Epoch:
        return self._records.epoch(name, secrets.token_hex(8))

    def _set_epoch(self, namespace: Namespace, epoch: Epoch) -> None:
        namespace.epoch = epoch.id
        for each in (namespace.journal, namespace.faults):
            if isinstance(each, SharedJournal | SharedFaults):
                each.epoch = epoch

    def _forget_what_may_be_lost(self) -> None:
        """If the store was started again, it may lack its last commits. So each space is read anew: the index of its
        runs has them, and what is made now may get the same ids.
        """
        if self._store_starts != self._shared.connection.starts:
            self._store_starts = self._shared.connection.starts
            for namespace in self._namespaces.values():
                self._spaces -= len(namespace.spaces)
                namespace.spaces.clear()

    async def _make_room(self, wanted: Namespace | None = None) -> None:
        """Forget what this server knows of namespaces and spaces that are not in use. The store keeps them.

        The namespace `wanted` is in use: a space in it is about to be made.
        """
        if len(self._namespaces) + self._spaces < self._max_spaces:
            return
        for name, namespace in list(self._namespaces.items()):
            for organisation, space in list(namespace.spaces.items()):
                if not space.requests:
                    del namespace.spaces[organisation]
                    self._spaces -= 1
            is_used = namespace is wanted or namespace.spaces or namespace.events or namespace.clock.has_sleepers
            if name and not is_used:
                self._forget(name)
        if len(self._namespaces) + self._spaces >= self._max_spaces:
            raise self._unavailable()
