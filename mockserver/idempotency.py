"""Idempotency keys: a write with a key takes effect at most once, and its reply is replayed to every repeat.

The reply is stored in the same commit as the effects of the request, on the condition that the key is not stored yet.
So neither a crash nor another server that handles the same key can separate them.

Of a request, only a keyed fingerprint is stored, never its body; of its reply, the content: for runs, references. A key
belongs to one organisation, and expires 24 hours after its first use, by the clock of the namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b

from mockserver.clock import SECOND
from mockserver.errors import Conflict, VersionConflict
from mockserver.reply import Reply
from mockserver.store import SpaceStore, Write

KEY = "idempotency"
KEPT_US = 24 * 3600 * SECOND
_EVICTED_AT_ONCE = 256
_EVICTING_BYTES = 256 // 32
"""A use evicts if its digest, one byte, is below this number: one use in 32."""


@dataclass(frozen=True, slots=True)
class Use:
    fingerprint: bytes
    until: int
    reply: Reply


class Idempotency:
    def __init__(self, *, max_keys: int) -> None:
        """`max_keys` limits the keys of an organisation; past it, the oldest are evicted, up to 256 at once."""
        self._max_keys = max_keys
        self._in_flight: dict[tuple[object, str], bytes] = {}
        """The fingerprints of the requests that this process is handling, by space and key."""

    def fingerprint(self, key: bytes, target: str, body: bytes) -> bytes:
        """`target` is method, path and query. `key` is secret: without it, guesses of a request cannot be tested."""
        hash_ = blake2b(f"{target}\n".encode("utf-8", "surrogateescape"), key=key, digest_size=20)
        hash_.update(body)
        return hash_.digest()

    @contextmanager
    def in_progress(self, space: object, key: str, fingerprint: bytes) -> Iterator[None]:
        """Hold a key while its request is handled. Raises Conflict if another request of this process holds it."""
        place = (space, key)
        other = self._in_flight.get(place)
        if other is not None:
            _check(other, fingerprint)
            raise Conflict(
                "The first request with this Idempotency-Key is still being handled",
                {"Idempotency-Status": "in_progress"},
            )
        self._in_flight[place] = fingerprint
        try:
            yield
        finally:
            del self._in_flight[place]

    async def reply(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> Reply | None:
        """Return the reply to replay, or None for a new key. Raises Conflict if it was used for another request."""
        unit = await store.load(KEY, key)
        use: Use | None = unit.value
        if use is None:
            return None
        if use.until > now:
            _check(use.fingerprint, fingerprint)
            return use.reply
        # Remove the expired key: this keeps the keys ordered by the moment at which they expire.
        with suppress(VersionConflict):  # another request has used it
            await store.commit(Write(KEY, key, None, unit.version))
        return await self.reply(store, key, fingerprint, now)

    def reply_write(self, key: str, fingerprint: bytes, now: int, reply: Reply) -> Write:
        """Return the write of the reply, for the commit of its effects."""
        until = now + KEPT_US
        return Write(KEY, key, Use(fingerprint, until, reply), 0, until)

    async def evict(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> None:
        """Remove some of the oldest keys: expired ones, and others if there are too many.

        If there are many keys, only one use in 32 does so, and removes many: to find the oldest key, a dict passes the
        places of all keys that were removed before, which takes up to 40 µs.
        """
        _, total = await store.oldest(KEY, 0)
        if _EVICTED_AT_ONCE < total <= self._max_keys + _EVICTED_AT_ONCE and not should_evict(key, fingerprint):
            return
        uses, total = await store.oldest(KEY, _EVICTED_AT_ONCE)
        old = [
            Write(KEY, key, None, unit.version)
            for place, (key, unit) in enumerate(uses)
            if unit.until <= now or total - place > self._max_keys
        ]
        if old:
            with suppress(VersionConflict):  # another request has removed one of them
                await store.commit(*old)


def should_evict(key: str, fingerprint: bytes) -> bool:
    """Whether a use of one of many keys evicts. No client can predict it, since the fingerprint is keyed."""
    return blake2b(key.encode("utf-8", "surrogateescape"), key=fingerprint, digest_size=1).digest()[0] < _EVICTING_BYTES


def _check(known: bytes, fingerprint: bytes) -> None:
    if known != fingerprint:
        raise Conflict("This Idempotency-Key was used before, for another request")
