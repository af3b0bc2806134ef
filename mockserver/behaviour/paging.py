"""One page of a list that is short enough to be held whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mockserver.reply import Reply
from mockserver.spec import Call

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListContent:
    """One page of rendered items, of `total`; some that stand together may be one text."""

    items: Sequence[bytes]
    total: int
    skip: int
    limit: int
    included: tuple[bytes, ...] | None = None

    def render(self) -> bytes:
        more = b"" if self.included is None else b',"included":[%b]' % b",".join(self.included)
        numbers = (b",".join(self.items), self.total, self.skip, self.limit, more)
        return b'{"items":[%b],"total":%d,"skip":%d,"limit":%d%b}' % numbers


def window(query: Mapping[str, Any]) -> tuple[int, int]:
    """How many items to pass over, and how many to show. Another spec may not let clients say either."""
    return query.get("skip", 0), query.get("limit", 100)


async def page(call: Call, items: Sequence[Item], render: Callable[[Item], Awaitable[bytes]]) -> Reply:
    skip, limit = window(call.query)
    shown = [await render(item) for item in items[skip : skip + limit]]
    return Reply(200, ListContent(shown, len(items), skip, limit))
