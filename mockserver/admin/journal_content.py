"""Entries of the journal as the content of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from mockserver.admin.context import Dependencies
from mockserver.journal import Entry
from mockserver.reply import LARGE_BYTES, BytesContent
from mockserver.spec import render_json
from mockserver.time_slice import Sliced

Show = Callable[[Entry, Dependencies], Any]


async def journal_content(
    before: bytes, entries: Sequence[Entry], after: bytes, dependencies: Dependencies, show: Show
) -> BytesContent | JournalContent:
    """Return the entries as items of a JSON array, between `before` and `after`."""
    content = JournalContent(before, entries, after, dependencies, show)
    if content.size > LARGE_BYTES:
        return content
    return BytesContent(b"".join([part async for part in content.parts()]))


class JournalContent:
    """Entries that are rendered while they are sent, by `in_parts`; `render` returns nothing.

    One entry is rendered at a time, whoever asks: otherwise the threads and the loops of many readers would compete
    with other requests. The bodies of the entries stay in memory until they are sent, although the journal may drop
    them before. So they have a limit for all readers together.
    """

    def __init__(
        self, before: bytes, entries: Sequence[Entry], after: bytes, dependencies: Dependencies, show: Show
    ) -> None:
        self.size = sum(entry.full_size() for entry in entries)
        self._before = before
        self._entries = entries
        self._after = after
        self._dependencies = dependencies
        self._show = show

    def render(self) -> Iterator[bytes]:
        return iter(())

    @asynccontextmanager
    async def in_parts(self) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        """Wait until clients have read enough of the contents before this one, then return its parts."""
        budget = self._dependencies.answer_budget
        taken = await budget.take(self.size)
        try:
            async with aclosing(self.parts()) as parts:
                yield parts
        finally:
            budget.give_back(taken)

    async def parts(self) -> AsyncGenerator[bytes, None]:
        yield self._before
        separator = b""
        async for entry in Sliced(self._entries):
            # A lock, so that those who wait have their turns in order.
            async with self._dependencies.journal_lock:
                if entry.is_long_to_show:
                    text = await asyncio.to_thread(self._rendered, entry)
                else:
                    text = self._rendered(entry)
            yield separator + text
            separator = b","
        yield self._after

    def _rendered(self, entry: Entry) -> bytes:
        return render_json(self._show(entry, self._dependencies))
