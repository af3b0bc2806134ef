"""Idempotency keys: a write with a key is processed at most once, and its reply is replayed to every repeat.

Of a request, only a keyed fingerprint is stored; of its reply, the references of its content; never a body. A key
belongs to one organisation, and expires 24 hours after its first use, by the clock of the namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice

from mockserver.clock import SECOND
from mockserver.errors import Conflict, Refused
from mockserver.reply import Reply
from mockserver.store import SpaceStore, Write

KEY = "idempotency"
KEPT_US = 24 * 3600 * SECOND
_CHECKED_PER_CLAIM = 2


@dataclass(frozen=True, slots=True)
class Use:
    """`reply` is None while the first request is in flight."""

    fingerprint: bytes
    until: int
    reply: Reply | None


class Idempotency:
    def __init__(self, *, most_keys: int) -> None:
        """`most_keys` limits the keys of an organisation; past it, the oldest settled keys are evicted."""
        self._most_keys = most_keys

    def fingerprint(self, key: bytes, target: str, body: bytes) -> bytes:
        """`target` is method, path and query. `key` is secret: without it, guesses of a request cannot be tested."""
        hash_ = blake2b(f"{target}\n".encode("utf-8", "surrogateescape"), key=key, digest_size=20)
        hash_.update(body)
        return hash_.digest()

    async def claim(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> Reply | None:
        """Return the reply to replay; or None, and then the key is held until it is settled or released.

        Raises Refused if the key was used for another request, or its first request is still in flight.
        """
        while True:
            unit = await store.load(KEY, key)
            use: Use | None = unit.value
            if use is not None and use.until > now:
                if use.fingerprint != fingerprint:
                    raise Refused("This Idempotency-Key was used before, for another request")
                if use.reply is None:
                    raise Refused(
                        "The first request with this Idempotency-Key is still being handled",
                        {"Idempotency-Status": "in_progress"},
                    )
                return use.reply
            until = now + KEPT_US
            try:
                if use is not None:
                    # Remove the expired key first: this keeps the keys ordered by the moment at which they expire.
                    await store.commit(Write(KEY, key, None, unit.version))
                claimed = Write(KEY, key, Use(fingerprint, until, None), 0, until)
                await store.commit(claimed, *await self._evictions(store, now))
            except Conflict:
                continue
            return None

    async def settle(self, store: SpaceStore, key: str, fingerprint: bytes, now: int, reply: Reply) -> None:
        """Store the reply, unless the key has expired meanwhile and another request has claimed it."""
        held = Use(fingerprint, now + KEPT_US, None)
        while (unit := await store.load(KEY, key)).value == held:
            try:
                await store.commit(Write(KEY, key, replace(held, reply=reply), unit.version, held.until))
            except Conflict:
                continue
            return

    async def release(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> None:
        """Remove the key of a refused request, so that it can be sent again, unless another request has claimed it."""
        held = Use(fingerprint, now + KEPT_US, None)
        while (unit := await store.load(KEY, key)).value == held:
            try:
                await store.commit(Write(KEY, key, None, unit.version))
            except Conflict:
                continue
            return

    async def _evictions(self, store: SpaceStore, now: int) -> Sequence[Write]:
        """Return writes that remove a few of the oldest keys: expired ones, and settled ones if there are too many."""
        evictions: list[Write] = []
        uses = await store.items(KEY)
        too_many = len(uses) >= self._most_keys
        for key, unit in islice(uses.items(), _CHECKED_PER_CLAIM):
            if unit.value.until <= now or (too_many and unit.value.reply is not None):
                evictions.append(Write(KEY, key, None, unit.version))
        return evictions
