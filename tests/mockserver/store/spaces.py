"""A store of plain JSON values in the tests' Valkey server."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from mockserver.store.valkey import Kinds, ValkeyStore
from mockserver.store.valkey_connection import Address, ValkeyConnection
from tests.mockserver.valkey import Valkey

KINDS = Kinds(("run", "session", "other", "none", "key"), frozenset({"run", "none"}), frozenset({"key"}))
_prefixes = count(1)


class _JSON:
    def encode(self, kind: str, value: Any) -> bytes:
        return json.dumps(value).encode()

    def decode(self, kind: str, text: bytes) -> Any:
        return json.loads(text)


def valkey_store(server: Valkey, prefix: str | None = None) -> ValkeyStore:
    """With a prefix of its own, unless one is given."""
    prefix = prefix or f"store-{next(_prefixes)}:"
    return ValkeyStore(ValkeyConnection(Address.from_url(server.url(prefix))), KINDS, _JSON())
