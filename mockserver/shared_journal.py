"""The journal of one namespace in a store that several servers share.

An entry is stored once, when its answer is known and before that is sent, so that a client that has the answer finds
the entry on any server. So `seq` numbers the answers, and requests in flight are not in the journal. Tokens and
sensitive values are masked before an entry is stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

from mockserver.errors import Unavailable
from mockserver.events import Events
from mockserver.journal import Entry, Journal, JournalBudget, Send
from mockserver.masking import masked_content, masked_headers, masked_query, query_pairs
from mockserver.scope_keys import JOURNAL_KEY
from mockserver.spec import Masker, render_json
from mockserver.store.valkey import NO_EPOCH, Epoch
from mockserver.store.valkey_journal import JournalTexts
from mockserver.time_slice import in_slices

_log = logging.getLogger("mockserver")
_PLAIN = (
    "at",
    "method",
    "path",
    "organisation",
    "operation_id",
    "status",
    "answer_bytes",
    "reason",
    "is_valid",
    "fault",
    "is_changed",
)


class SharedJournal(Journal):
    """`max_bytes` is that of all journals of the store together."""

    def __init__(self, name: str, texts: JournalTexts, events: Events, masker: Masker, max_bytes: int) -> None:
        super().__init__(JournalBudget(max_bytes), events)
        self.name = name
        self.epoch: Epoch = NO_EPOCH
        self.secret = b""
        """Keys the digests of tokens."""
        self._texts = texts
        self._masker = masker

    def begin(self, at: int, scope: Mapping[str, Any]) -> Entry:
        return _Unrecorded(self, sys.maxsize, at, scope)

    def answered(self, entry: Entry) -> None:
        """Does nothing: `_record` stores the entry."""

    async def serve_recorded(
        self, serve: Callable[[Send], Awaitable[None]], scope: Mapping[str, Any], send: Send
    ) -> None:
        async def send_recorded(message: Any) -> None:
            if message["type"] == "http.response.start":
                await self._record(scope.get(JOURNAL_KEY))
            await send(message)

        await serve(send_recorded)
        await self._record(scope.get(JOURNAL_KEY))

    async def _record(self, entry: Entry | None) -> None:
        """Store an entry whose answer is known, unless it is stored already.

        If the store does not answer, the journal lacks the entry: what the request did is done.
        """
        if entry is None or entry.seq < sys.maxsize or entry.answered_at is None:
            return
        entry.seq = 0
        is_long = entry.is_long_to_show
        text = await asyncio.to_thread(self._written, entry) if is_long else self._written(entry)
        try:
            entry.seq = await self._texts.add(self.name, self.epoch, text, entry.full_size(), self.budget.max_bytes)
        except Unavailable as error:
            _log.warning("the journal lacks %s %s: %s", entry.method, entry.path, error.detail)

    async def count(self) -> int:
        return await self._texts.count(self.name, self.epoch)

    async def entries(self, since: int = 0, before: int | None = None) -> Sequence[Entry]:
        found = await self._texts.texts(self.name, self.epoch, since, before)
        try:
            return await in_slices(lambda each: _Recorded(self, *each), found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._texts.damaged(self.name, self.epoch, error) from error

    async def last_seq(self) -> int:
        return await self._texts.last_number(self.name, self.epoch)

    async def recorded_after(self, seq: int) -> Sequence[Entry]:
        return await self.entries(seq)

    async def is_complete_after(self, seq: int) -> bool:
        return await self._texts.last_evicted(self.name, self.epoch) <= seq

    async def find(self, seq: int) -> Entry | None:
        found = await self.entries(seq - 1, seq + 1)
        return found[0] if found else None

    async def remove_all(self) -> None:
        await self._texts.clear(self.name, self.epoch)

    def digest(self, token: bytes) -> str:
        return blake2b(token, key=self.secret, digest_size=12).hexdigest()

    def _written(self, entry: Entry) -> bytes:
        """Return a line of JSON, the body of the request and the body of the answer."""
        body = self._masked(entry.body)
        # A success shows only values that are stored anyway; a refusal may quote any value.
        answer = entry.answer if entry.status is not None and entry.status < 300 else self._masked(entry.answer)
        head = {
            **{name: getattr(entry, name) for name in _PLAIN},
            "query": urlencode(query_pairs(masked_query(entry.query, self._masker))),
            "headers": masked_headers(entry.headers),
            "answer_headers": masked_headers(entry.answer_headers),
            "caller": entry.caller.decode(),
            "warnings": list(entry.warnings),
            "duration_ms": entry.duration_ms,
            "body": len(body),
        }
        return render_json(head) + b"\n" + body + answer

    def _masked(self, body: bytes) -> bytes:
        value: object = masked_content(body, self._masker)
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        return render_json(value)


class _Unrecorded(Entry):
    journal: SharedJournal

    @property
    def caller(self) -> bytes:
        return self.journal.digest(super().caller).encode()


class _Recorded(Entry):
    """An entry as it was stored."""

    def __init__(self, journal: SharedJournal, seq: int, text: bytes) -> None:
        line, _, bodies = text.partition(b"\n")
        head = json.loads(line)
        self.journal = journal
        self.seq = seq
        for name in head.keys() & _PLAIN:  # an older server may not know all
            setattr(self, name, head[name])
        self.query = head["query"].encode()
        self.headers = _pairs(head["headers"])
        self.answer_headers = _pairs(head["answer_headers"])
        self.warnings = head["warnings"]
        self.body, self.answer = bodies[: head["body"]], bodies[head["body"] :]
        self.started_at = 0.0
        self.answered_at = None if head["duration_ms"] is None else head["duration_ms"] / 1000
        self._caller: bytes = head["caller"].encode()

    @property
    def caller(self) -> bytes:
        return self._caller


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
