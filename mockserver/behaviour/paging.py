"""Paging of lists that are short enough to be held in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mockserver.reply import LARGE_BYTES, Reply
from mockserver.spec import Call

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListContent:
    """One page of rendered items, out of `total` items. `is_transient`: the items were made for this answer."""

    items: Sequence[bytes]
    total: int
    skip: int
    limit: int
    is_transient: bool

    @property
    def transient_bytes(self) -> int:
        return sum(map(len, self.items)) if self.is_transient else 0

    def render(self) -> bytes | Iterator[bytes]:
        parts = list_parts(self.items, self.total, self.skip, self.limit)
        return b"".join(parts) if sum(map(len, self.items)) <= LARGE_BYTES else parts


def list_parts(
    items: Iterable[bytes], total: int, skip: int, limit: int, more: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Yield the JSON of a page, item by item. `more` are parts of further members of its object, each after a comma."""
    separator = b'{"items":['
    for item in items:
        yield separator
        yield item
        separator = b","
    opening = b"" if separator == b"," else separator
    yield b'%b],"total":%d,"skip":%d,"limit":%d' % (opening, total, skip, limit)
    yield from more
    yield b"}"


def window(query: Mapping[str, Any]) -> tuple[int, int]:
    """Return `skip` and `limit`, or their defaults: a custom spec may not have these parameters."""
    return query.get("skip", 0), query.get("limit", 100)


async def page(
    call: Call, items: Sequence[Item], render: Callable[[Item], Awaitable[bytes]], *, is_transient: bool = True
) -> Reply:
    """`is_transient` is False if `render` returns what is stored."""
    skip, limit = window(call.query)
    shown = [await render(item) for item in items[skip : skip + limit]]
    return Reply(200, ListContent(shown, len(items), skip, limit, is_transient))
