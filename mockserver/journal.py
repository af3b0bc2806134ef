"""The journal: requests of clients and their answers, in order of arrival, up to a total size in bytes.

An entry references the data of its request instead of copying it: keeping one costs next to nothing. Tokens and
sensitive values are masked when entries are shown (`mockserver.admin.requests`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any

from mockserver.clock import real_time
from mockserver.events import SMALL_BYTES, Events

_ENTRY_BYTES = 1_500
"""The size of an entry without its bodies, headers, path and query, but with the objects of a few headers."""
_FEW_HEADERS = 10
_HEADER_BYTES = 130
"""What a header takes in memory besides its text. A request of 64 KB may have 10,000 headers."""
_MUCH_TO_SHOW = 65_536
_MANY_HEADERS = 100
"""Of more headers, the names are searched in a thread, each for words that mean a secret."""
_LONG_QUERY = 4_096
"""Longer queries are masked in a thread: each of their names is searched for words that mean a secret."""
MAX_ANSWER_BYTES = 65_536
"""In bytes. A longer answer is truncated to this length."""
Send = Callable[[Any], Awaitable[None]]
"""The `send` of ASGI."""


class Entry:
    """A request and its answer. `status` is None while the request is in flight, and if no answer was sent."""

    # Defaults that most requests keep are class attributes: creating an instance is faster than with slots.
    body = b""
    organisation = ""
    operation_id: str | None = None
    status: int | None = None
    answer_headers: Sequence[tuple[bytes, bytes]] = ()
    answer = b""
    answer_bytes: int | None = None
    """None until the last part of an answer in parts is sent, and if the client has left before."""
    answered_at: float | None = None
    reason: str | None = None
    """Why the request was refused."""
    is_valid = True
    """Whether the request by itself is valid, whatever the state of the mock."""
    warnings: Sequence[str] = ()
    fault: str | None = None
    is_changed = False
    """Whether a fault answered, or changed the answer of the mock."""
    size = 0
    is_kept = True
    is_held_back = False
    """True while a fault holds back the answer of the mock, and may send another one."""

    def __init__(self, journal: Journal, seq: int, at: int, scope: Mapping[str, Any]) -> None:
        """`at` is a moment."""
        self.journal = journal
        self.seq = seq
        self.at = at
        self.started_at = real_time()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]

    def answered(
        self, status: int | None, headers: list[tuple[bytes, bytes]], body: bytes, *, is_whole: bool = True
    ) -> None:
        """`body` may be only the beginning, of MAX_ANSWER_BYTES: whoever sends the rest sets `answer_bytes`.

        `status` is None if the connection ended without an answer.
        """
        if self.is_held_back:
            return
        self.answered_at = real_time()
        self.status = status
        self.answer_headers = headers
        self.answer_bytes = len(body) if is_whole else None
        self.answer = body if len(body) <= MAX_ANSWER_BYTES else body[:MAX_ANSWER_BYTES]
        self.journal.answered(self)

    def unanswered(self) -> None:
        """The connection ended without an answer. An entry in progress does not count in the size of the journal."""
        self.answered(None, [], b"")

    def full_size(self) -> int:
        """The approximate size in bytes, with the answer."""
        size = _ENTRY_BYTES + len(self.body) + len(self.answer) + len(self.path) + len(self.query)
        size += _HEADER_BYTES * max(0, len(self.headers) - _FEW_HEADERS)
        return size + sum(map(len, chain.from_iterable(self.headers)))

    def summary_size(self) -> int:
        """The approximate size in bytes, without headers and bodies."""
        texts = (self.path, self.query, self.reason or "", *self.warnings)
        return SMALL_BYTES + sum(map(len, texts))

    @property
    def is_long_to_show(self) -> bool:
        """Whether showing it may take more than a few milliseconds, so that a thread should do it."""
        is_long = len(self.body) > _MUCH_TO_SHOW or len(self.query) > _LONG_QUERY
        return is_long or len(self.headers) > _MANY_HEADERS

    def without_contents(self) -> Entry:
        """Return a copy for a summary. A slow reader may keep it after the journal has dropped the entry."""
        entry = copy(self)
        entry.headers, entry.body, entry.answer_headers, entry.answer = (), b"", (), b""
        return entry

    @property
    def caller(self) -> bytes:
        """The same for requests with the same token."""
        return next((value for name, value in self.headers if name == b"authorization"), b"")

    @property
    def duration_ms(self) -> float | None:
        return None if self.answered_at is None else (self.answered_at - self.started_at) * 1000


class JournalBudget:
    """Limits the size of all journals together; past it the oldest entries are evicted, of whichever journal."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._used = 0
        self._entries: deque[Entry] = deque()
        self._gone = 0  # how many of these entries are no longer kept

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def grow(self, entry: Entry, size: int) -> None:
        self._used += size - entry.size
        entry.size = size
        while self._used > self.max_bytes and self._entries:
            oldest = self._entries.popleft()
            if oldest.is_kept:
                oldest.journal.evict(oldest)
                self._drop(oldest)
            else:
                self._gone -= 1

    def forget(self, entry: Entry) -> None:
        """Release the bytes of an entry that its journal has removed."""
        self._drop(entry)
        self._gone += 1
        if self._gone > 1_000 and self._gone > len(self._entries) // 2:
            self._entries = deque(each for each in self._entries if each.is_kept)
            self._gone = 0

    def _drop(self, entry: Entry) -> None:
        self._used -= entry.size
        entry.size = 0
        entry.is_kept = False


class Journal:
    """The entries of one namespace. `seq` numbers all requests, including those no longer kept."""

    def __init__(self, budget: JournalBudget, events: Events) -> None:
        self.budget = budget
        self.events = events
        self._entries: deque[Entry] = deque()
        self._next_seq = 1
        self._evicted_to = 0
        """The `seq` of the last entry that was evicted because the budget was used up."""

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, at: int, scope: Mapping[str, Any]) -> Entry:
        entry = Entry(self, self._next_seq, at, scope)
        self._next_seq += 1
        self._entries.append(entry)
        self.budget.add(entry)
        return entry

    def answered(self, entry: Entry) -> None:
        if entry.is_kept:
            self.budget.grow(entry, entry.full_size())
        if self.events:
            self.events.publish("request", entry.without_contents(), entry.summary_size())

    def serve_recorded(
        self, serve: Callable[[Send], Awaitable[None]], scope: Mapping[str, Any], send: Send
    ) -> Awaitable[None]:
        """Let `serve` answer a request. Every reader of the journal finds its entry before the client has it."""
        return serve(send)

    async def count(self) -> int:
        return len(self)

    async def entries(self, since: int = 0, before: int | None = None) -> Sequence[Entry]:
        """Return the entries after the `seq` `since`, and before the `seq` `before`."""
        return [each for each in self._entries if each.seq > since and (before is None or each.seq < before)]

    async def last_seq(self) -> int:
        return self._next_seq - 1

    async def recorded_after(self, seq: int) -> Sequence[Entry]:
        """Return the entries after `seq` that are not published as events: those of other servers may be among them."""
        return ()

    async def is_complete_after(self, seq: int) -> bool:
        """Whether no later entry was evicted. Entries that were cleared do not count."""
        return self._evicted_to <= seq

    async def find(self, seq: int) -> Entry | None:
        return next((entry for entry in self._entries if entry.seq == seq), None)

    async def remove_all(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove what this process keeps."""
        entries, self._entries = self._entries, deque()
        self._evicted_to = 0
        for entry in entries:
            self.budget.forget(entry)

    def evict(self, entry: Entry) -> None:
        """Called by the budget for the oldest of all entries, which is also the oldest of its journal."""
        assert self._entries[0] is entry
        self._entries.popleft()
        self._evicted_to = entry.seq
