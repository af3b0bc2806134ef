"""The parts of a store that several servers share, and what all of its servers have to agree on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mockserver.behaviour.context import Space
from mockserver.errors import StartError
from mockserver.kinds import FOLLOWED, KINDS, ORDERED, UnitCodec
from mockserver.store.valkey import Epoch, Kinds, ValkeySpace, ValkeyStore
from mockserver.store.valkey_connection import Address, ValkeyConnection
from mockserver.store.valkey_journal import JournalTexts
from mockserver.store.valkey_namespaces import NamespaceRecords


class SharedStore:
    """`units` of all spaces, the records of `namespaces`, and the entries of `journals`, over one `connection`."""

    def __init__(self, url: str, fingerprint: Mapping[str, str]) -> None:
        """`fingerprint` is everything that answers depend on, besides the state. Raises StartError."""
        self.connection = ValkeyConnection(Address.from_url(url))
        self.connection.on_connect = self._compare
        self.units = ValkeyStore(self.connection, Kinds(tuple(KINDS), FOLLOWED, ORDERED), UnitCodec())
        self.namespaces = NamespaceRecords(self.units)
        self.journals = JournalTexts(self.connection)
        self._fingerprint = fingerprint

    def space_of(self, space: Space, epoch: Epoch) -> ValkeySpace:
        """Return the store of a space in an epoch of its namespace."""
        return self.units.space_in(epoch, space.namespace, space.organisation, UnitCodec(space))

    async def _compare(self, execute: Callable[..., Awaitable[Any]]) -> None:
        """Compare with the servers before this one. The first of them writes what the others need.

        Raises StartError if something differs.
        """
        address, fingerprint = self.connection.address, self._fingerprint
        key = self.connection.key("made_by")
        await execute("SET", key, json.dumps(fingerprint), "NX")
        try:
            there: dict[str, str] = dict(json.loads(await execute("GET", key)))
        except (ValueError, TypeError) as error:
            raise self.connection.damaged(key, error) from None
        different = [
            name for name in sorted(fingerprint.keys() | there.keys()) if fingerprint.get(name) != there.get(name)
        ]
        if different:
            told = ", ".join(_difference(name, there.get(name), fingerprint.get(name)) for name in different)
            raise StartError(
                f"--store {address.shown} has the state of servers with another {told}: "
                "give another prefix, or the same settings"
            )


def _difference(name: str, there: str | None, here: str | None) -> str:
    """Name a setting by its flag, with its values unless they are digests."""
    shown = name if name == "version" else f"--{name.replace('_', '-')}"
    if name in _DIGESTS:
        return shown
    return f"{shown} ({_WORDS.get(str(there), there)} there, {_WORDS.get(str(here), here)} here)"


_DIGESTS = frozenset({"faults", "spec", "world"})
_WORDS = {"None": "none", "False": "off", "True": "on"}
