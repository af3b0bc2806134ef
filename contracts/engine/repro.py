"""Which exchanges a finding needs, so that it shows again when they are sent alone, in their order, to a new server.

A rule shows the exchanges that it judged. What they build on is found here: what made or changed the resources that
they name, earlier uses of their idempotency key, and the writes since which a read that was well before is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from contracts.core.exchange import Exchange, Request

MOST_SUSPECTS: Final = 12
"""Of the writes of other cases that may have brought a read down, as many of the last are told."""

_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def repro_of(
    shown: Sequence[Exchange],
    told: Sequence[Exchange],
    recorded: Sequence[Exchange] = (),
    *,
    replaceable: Collection[str] = (),
) -> tuple[Exchange, ...]:
    """`told` are all exchanges of the case that shows it, `recorded` those of the whole check, both in their order.
    What is shown and was no part of the case comes first. Of an id that is `replaceable` in a body, since the target
    takes made-up ones there as well, nobody needs to know where it is from.
    """
    return _ReproBuilder(shown, told, recorded, {one.encode() for one in replaceable}).whole()


def accepted(exchange: Exchange) -> bool:
    return 200 <= exchange.answer.status < 300


def _may_be_done(exchange: Exchange) -> bool:
    """Accepted, or failed on the way (0: no answer came), when what it asked for may have been done already."""
    return accepted(exchange) or exchange.answer.status >= 500 or exchange.answer.status == 0


def is_read(request: Request) -> bool:
    return request.method in _READS


def succeeded_before(request: Request, recorded: Sequence[Exchange]) -> bool:
    """Whether the same request was answered with a success once: then what is wrong with it now is not in itself."""
    return any(_same(request, exchange.request) and accepted(exchange) for exchange in recorded)


def _uses(exchange: Exchange, key: str) -> bool:
    """A key means nothing to a read."""
    return exchange.request.header("Idempotency-Key") == key and not is_read(exchange.request)


class _ReproBuilder:
    def __init__(
        self,
        shown: Sequence[Exchange],
        told: Sequence[Exchange],
        recorded: Sequence[Exchange],
        replaceable: Collection[bytes],
    ) -> None:
        self._replaceable = replaceable
        self._told = list(told)
        self._recorded = recorded
        self._at = {id(exchange): position for position, exchange in enumerate(told)}
        self._origins: list[Exchange] = []
        self._needed: dict[int, Exchange] = {}
        self._open: list[Exchange] = []
        self._named = {id(exchange): _named_in(exchange.request) for exchange in told}
        self._given = {id(exchange): _ids_in(exchange.answer.body) for exchange in told}
        for exchange in shown:
            self._need(exchange)

    def whole(self) -> tuple[Exchange, ...]:
        while self._open:
            exchange = self._open.pop()
            for other in [*self._bringing_down(exchange), *self._built_on(exchange)]:
                self._need(other)
        kept = sorted((e for e in self._needed.values() if id(e) in self._at), key=lambda e: self._at[id(e)])
        return (*self._in_order_of_record(self._origins), *kept)

    def _need(self, exchange: Exchange) -> None:
        if id(exchange) in self._needed:
            return
        self._needed[id(exchange)] = exchange
        self._open.append(exchange)
        if id(exchange) not in self._at:
            self._origins.append(exchange)

    def _in_order_of_record(self, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
        positions = {id(exchange): position for position, exchange in enumerate(self._recorded)}
        yield from sorted(exchanges, key=lambda exchange: positions.get(id(exchange), -1))

    def _built_on(self, exchange: Exchange) -> Iterator[Exchange]:
        names = self._named.get(id(exchange)) or _named_in(exchange.request)
        before = self._told[: self._at.get(id(exchange), 0)]
        looks_at = names | self._listed(exchange)
        key = exchange.request.header("Idempotency-Key")
        if key is not None:
            uses = [other for other in before if _uses(other, key)]
            looks_at = looks_at.union(*(self._given[id(use)] - self._named[id(use)] for use in uses))
        for other in before:
            if key is not None and _uses(other, key):
                yield other
            elif exchange.request.method == "DELETE" and _same(other.request, exchange.request):
                yield other  # how often it was sent may be what matters
            elif not is_read(other.request) and _may_be_done(other):
                path = _ids_in(other.request.path.encode())
                made_there = is_read(exchange.request) and not path and self._named[id(other)] & names
                if path & looks_at or made_there:
                    yield other
        for name in sorted(looks_at):
            origin = self._origin(name, before, is_sought=name in names and not self._is_replaceable(name, exchange))
            if origin is not None:
                yield origin

    def _listed(self, exchange: Exchange) -> set[bytes]:
        """The runs of the case that a list is about, so that what changed them is told too."""
        if not is_read(exchange.request) or _ids_in(exchange.request.path.partition("?")[0].encode()):
            return set()
        made = [self._given[id(other)] - self._named[id(other)] for other in self._told if self._makes(other)]
        of_the_talk = set().union(*made)
        needed = set().union(*(self._given.get(key, set()) for key in self._needed)) & of_the_talk
        return (self._given.get(id(exchange), set()) & of_the_talk) | needed

    @staticmethod
    def _makes(exchange: Exchange) -> bool:
        return exchange.request.method == "POST" and accepted(exchange)

    def _is_replaceable(self, name: bytes, exchange: Exchange) -> bool:
        return name in self._replaceable and name not in exchange.request.path.encode()

    def _origin(self, name: bytes, before: Sequence[Exchange], *, is_sought: bool) -> Exchange | None:
        """What first told of an id; None where that was a request, which made it up."""
        for other in before:
            if name in self._named[id(other)]:
                return None
            if name in self._given[id(other)]:
                return other
        if is_sought:
            for other in self._recorded:
                if name in other.request.path.encode() or name in (other.request.body or b""):
                    return None
                if accepted(other) and name in other.answer.body:
                    return other
        return None

    def _bringing_down(self, exchange: Exchange) -> Iterator[Exchange]:
        """The writes between the last good answer to a read and the one that is a 5xx."""
        if not is_read(exchange.request) or exchange.answer.status < 500:
            return
        since: list[Exchange] = []
        was_well = False
        for other in self._recorded:
            if other is exchange:
                break
            if _same(other.request, exchange.request) and accepted(other):
                was_well, since = True, []
            elif not is_read(other.request) and _may_be_done(other):
                since.append(other)
        if was_well:
            own = [other for other in since if id(other) in self._at]
            yield from own or since[-MOST_SUSPECTS:]


def _same(one: Request, other: Request) -> bool:
    return (one.method, one.path, one.headers) == (other.method, other.path, other.headers)


def _named_in(request: Request) -> set[bytes]:
    return _ids_in(request.path.encode()) | _ids_in(request.body or b"")


def _ids_in(text: bytes) -> set[bytes]:
    return set(_UUID.findall(text))
