"""Idempotency keys: a write with a key is processed at most once, and repeated from what it made.

What is kept of a request is a keyed fingerprint, and of its answer the content's references; never a body. A key is
its organisation's own, and is forgotten 24 hours of the clock after it was first used.
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
_LOOKED_AT = 2


@dataclass(frozen=True, slots=True)
class Use:
    """`reply` is None while the first request is still being handled."""

    fingerprint: bytes
    until: int
    reply: Reply | None


class Idempotency:
    def __init__(self, *, most_keys: int) -> None:
        """`most_keys` an organisation may have at once; past it the oldest that are settled are forgotten."""
        self._most_keys = most_keys

    def fingerprint(self, key: bytes, what: str, body: bytes) -> bytes:
        """`what` is method, path and query. Without the key it cannot be tried against guesses of what was sent."""
        hash_ = blake2b(f"{what}\n".encode("utf-8", "surrogateescape"), key=key, digest_size=20)
        hash_.update(body)
        return hash_.digest()

    async def claim(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> Reply | None:
        """The answer to repeat; or None, and then the key is held until it is settled or released.

        Raises Refused where the key was used for something else, or its first request is still being handled.
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
                    # Taken out first: so the keys stand in the order of the moments until which they are kept.
                    await store.commit(Write(KEY, key, None, unit.version))
                claimed = Write(KEY, key, Use(fingerprint, until, None), 0, until)
                await store.commit(claimed, *await self._forgotten(store, now))
            except Conflict:
                continue
            return None

    async def settle(self, store: SpaceStore, key: str, fingerprint: bytes, now: int, reply: Reply) -> None:
        """Keeps the answer. A key that was forgotten meanwhile, and claimed by another, is left to that one."""
        held = Use(fingerprint, now + KEPT_US, None)
        while (unit := await store.load(KEY, key)).value == held:
            try:
                await store.commit(Write(KEY, key, replace(held, reply=reply), unit.version, held.until))
            except Conflict:
                continue
            return

    async def release(self, store: SpaceStore, key: str, fingerprint: bytes, now: int) -> None:
        """Forgets a key whose request was refused: nothing was done, so it may be sent again. Another's is left."""
        held = Use(fingerprint, now + KEPT_US, None)
        while (unit := await store.load(KEY, key)).value == held:
            try:
                await store.commit(Write(KEY, key, None, unit.version))
            except Conflict:
                continue
            return

    async def _forgotten(self, store: SpaceStore, now: int) -> Sequence[Write]:
        """A few of the oldest keys, where they are past their time or there are too many."""
        forgotten: list[Write] = []
        uses = await store.items(KEY)
        too_many = len(uses) >= self._most_keys
        for key, unit in islice(uses.items(), _LOOKED_AT):
            if unit.value.until <= now or (too_many and unit.value.reply is not None):
                forgotten.append(Write(KEY, key, None, unit.version))
        return forgotten
