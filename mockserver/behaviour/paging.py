"""Paging of lists that are short enough to be held in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from mockserver.behaviour.resource_view import View
from mockserver.reply import Reply, in_parts
from mockserver.spec import Call
from mockserver.time_slice import Sliced

Item = TypeVar("Item")


class ViewPage(NamedTuple):
    """One page of items, out of `total`."""

    views: Sequence[View]
    total: int
    skip: int
    limit: int

    def render(self) -> bytes | Iterator[bytes]:
        return in_parts(self._parts)

    def _parts(self) -> Iterator[bytes]:
        items = (view.parts() for view in self.views)
        return list_parts(items, self.total, self.skip, self.limit)


def list_parts(
    items: Iterable[bytes | Iterator[bytes]], total: int, skip: int, limit: int, more: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Yield the JSON of a page, item by item: an item may come in parts.

    `more` are parts of further members of its object, each after a comma.
    """
    separator = b'{"items":['
    for item in items:
        yield separator
        if isinstance(item, bytes):
            yield item
        else:
            yield from item
        separator = b","
    opening = b"" if separator == b"," else separator
    yield b'%b],"total":%d,"skip":%d,"limit":%d' % (opening, total, skip, limit)
    yield from more
    yield b"}"


def window(query: Mapping[str, Any]) -> tuple[int, int]:
    """Return `skip` and `limit`, or their defaults: a custom spec may not have these parameters."""
    return query.get("skip", 0), query.get("limit", 100)


async def page(call: Call, items: Sequence[Item], view: Callable[[Item], Awaitable[View]]) -> Reply:
    skip, limit = window(call.query)
    views = [await view(item) async for item in Sliced(items[skip : skip + limit])]
    return Reply(200, ViewPage(views, len(items), skip, limit))
