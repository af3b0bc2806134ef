"""Selects the exchanges that reproduce a finding when they are sent alone, in their order, to a new server.

A rule gives the exchanges that it judged. This module adds those that they depend on: the exchanges that created or
changed the resources they name, earlier uses of their idempotency key, and, for a read that succeeded before and now
gets a 5xx, the writes in between.
"""

import functools
import re
from collections.abc import Collection, Iterator, Sequence, Set
from typing import Final

from contracts.core.exchange import Exchange, Request
from contracts.openapi.schemas import UUID_PATTERN
from contracts.oracle.refusal import accepts, fails

MOST_SUSPECTS: Final = 12
"""If writes of other cases may have made a read fail, at most this many are included, the last ones."""

_UUID: Final = re.compile(UUID_PATTERN.encode())


def repro_of(
    evidence: Sequence[Exchange],
    case_exchanges: Sequence[Exchange],
    recorded: Sequence[Exchange] = (),
    *,
    replaceable: Collection[str] = (),
) -> tuple[Exchange, ...]:
    """`evidence` are the exchanges that show the violation, `case_exchanges` all of its case and `recorded` all of the
    check, the last two in the order sent. Exchanges that are not part of the case come first in the result. For a
    `replaceable` id in a body, `recorded` is not searched for its origin, since the target also accepts made-up ids
    there.
    """
    return _ReproBuilder(evidence, case_exchanges, recorded, {known_id.encode() for known_id in replaceable}).build()


def _may_have_written(exchange: Exchange) -> bool:
    """Return whether it is a write that may have taken effect: it was accepted, got a 5xx or no answer (status 0)."""
    return not exchange.request.is_read and (accepts(exchange.answer) or fails(exchange.answer))


def names_resource(request: Request) -> bool:
    """Return whether the path contains an id: a write to it changes a resource that the next attempt uses too."""
    return bool(ids_in(request.path_without_query.encode()))


def succeeded_before(request: Request, recorded: Sequence[Exchange]) -> bool:
    """Return whether the same request succeeded before, so that its content is not what makes it fail now."""
    return any(_same(request, exchange.request) and accepts(exchange.answer) for exchange in recorded)


def _has_key_of(earlier: Request, request: Request) -> bool:
    """Return whether an earlier write used the idempotency key of a request. Reads ignore keys."""
    key = request.idempotency_key
    return key is not None and earlier.idempotency_key == key and not earlier.is_read


class _ReproBuilder:
    def __init__(
        self,
        evidence: Sequence[Exchange],
        case_exchanges: Sequence[Exchange],
        recorded: Sequence[Exchange],
        replaceable: Collection[bytes],
    ) -> None:
        self._replaceable = replaceable
        self._case = list(case_exchanges)
        self._recorded = recorded
        self._position = {id(exchange): position for position, exchange in enumerate(case_exchanges)}
        self._needed: dict[int, Exchange] = {}
        self._pending: list[Exchange] = []
        self._ids_in = functools.cache(ids_in)
        for exchange in evidence:
            self._need(exchange)

    def build(self) -> tuple[Exchange, ...]:
        while self._pending:
            exchange = self._pending.pop()
            for other in [*self._writes_before_failure(exchange), *self._dependencies(exchange)]:
                self._need(other)
        recorded = {id(exchange): position for position, exchange in enumerate(self._recorded)}

        def order(exchange: Exchange) -> tuple[bool, int]:
            return id(exchange) in self._position, self._position.get(id(exchange), recorded.get(id(exchange), -1))

        return tuple(sorted(self._needed.values(), key=order))

    def _need(self, exchange: Exchange) -> None:
        if id(exchange) not in self._needed:
            self._needed[id(exchange)] = exchange
            self._pending.append(exchange)

    def _dependencies(self, exchange: Exchange) -> Iterator[Exchange]:
        """Yield the exchanges that an exchange depends on: earlier ones of its case, and the origins of its ids."""
        request = exchange.request
        before = self._case[: self._position.get(id(exchange), 0)]
        with_same_key = [earlier for earlier in before if _has_key_of(earlier.request, request)]
        # The answer depends on the resources that the request names, on the runs of the case that a list shows, and on
        # what an earlier write with the same key created.
        named_ids = self._ids_named_in(request)
        relevant_ids = named_ids.union(self._listed(exchange), *map(self._new_ids_in, with_same_key))
        siblings = self._siblings(named_ids, before) if exchange.answer.status == 404 else set()
        for earlier in before:
            if (
                _has_key_of(earlier.request, request)
                or _is_delete_that_matters(earlier.request, request, siblings)
                or _may_have_changed(earlier, relevant_ids)
                or (request.is_read and self._may_have_created_for(earlier, named_ids))
            ):
                yield earlier
        for each in sorted(relevant_ids):
            is_replaceable = each in self._replaceable and each not in request.path.encode()
            origin = self._origin(each, before, is_sought=each in named_ids and not is_replaceable)
            if origin is not None:
                yield origin

    def _may_have_created_for(self, earlier: Exchange, named_ids: Set[bytes]) -> bool:
        """Return whether an earlier exchange is a create whose body names one of the ids that a read names: a list by
        this id may contain what it created.
        """
        is_create = _may_have_written(earlier) and not ids_in(earlier.request.path.encode())
        return is_create and not named_ids.isdisjoint(self._ids_named_in(earlier.request))

    def _siblings(self, named_ids: Set[bytes], before: Sequence[Exchange]) -> set[bytes]:
        """Return the ids in the answers of the creates that created the named resources."""
        answers = [self._ids_in(other.answer.body) for other in before if _creates(other)]
        return set().union(*(ids for ids in answers if ids & named_ids))

    def _listed(self, exchange: Exchange) -> set[bytes]:
        """Return the runs of the case that a list is about, so that the writes that changed them are included."""
        if not exchange.request.is_read or names_resource(exchange.request):
            return set()
        of_the_case = set().union(*(self._new_ids_in(other) for other in self._case if _creates(other)))
        shown = [self._ids_in(needed.answer.body) for key, needed in self._needed.items() if key in self._position]
        return of_the_case.intersection(set().union(*shown))

    def _origin(self, resource_id: bytes, before: Sequence[Exchange], *, is_sought: bool) -> Exchange | None:
        """Return the exchange whose answer first contained an id; None if a request contained it earlier. If the case
        has none and `is_sought` is set, it may be an exchange of another case.
        """
        for other in before:
            if resource_id in self._ids_named_in(other.request):
                return None
            if resource_id in self._ids_in(other.answer.body):
                return other
        if is_sought:
            for other in self._recorded:
                if resource_id in other.request.path.encode() or resource_id in (other.request.body or b""):
                    return None
                if accepts(other.answer) and resource_id in other.answer.body:
                    return other
        return None

    def _writes_before_failure(self, exchange: Exchange) -> Iterator[Exchange]:
        """Yield the writes between the last success of a read and its 5xx: those of the case if there are any."""
        if not exchange.request.is_read or exchange.answer.status < 500:
            return
        since: list[Exchange] = []
        has_succeeded = False
        for other in self._recorded:
            if other is exchange:
                break
            if _same(other.request, exchange.request) and accepts(other.answer):
                has_succeeded, since = True, []
            elif _may_have_written(other):
                since.append(other)
        if has_succeeded:
            own = [other for other in since if id(other) in self._position]
            yield from own or since[-MOST_SUSPECTS:]

    def _ids_named_in(self, request: Request) -> frozenset[bytes]:
        return self._ids_in(request.path.encode()) | self._ids_in(request.body or b"")

    def _new_ids_in(self, exchange: Exchange) -> frozenset[bytes]:
        """Return the ids in an answer that its request does not contain."""
        return self._ids_in(exchange.answer.body) - self._ids_named_in(exchange.request)


def _creates(exchange: Exchange) -> bool:
    return exchange.request.method == "POST" and accepts(exchange.answer)


def _may_have_changed(earlier: Exchange, resource_ids: Set[bytes]) -> bool:
    return _may_have_written(earlier) and not resource_ids.isdisjoint(ids_in(earlier.request.path.encode()))


def _is_delete_that_matters(earlier: Request, request: Request, siblings: Set[bytes]) -> bool:
    """Return whether an earlier delete may have deleted more than its run, or is the same request as a delete: how
    often it was sent may matter.
    """
    if earlier.method != "DELETE":
        return False
    return _same(earlier, request) or bool(ids_in(earlier.path.encode()) & siblings)


def _same(one: Request, other: Request) -> bool:
    return (one.method, one.path, one.headers) == (other.method, other.path, other.headers)


def ids_in(text: bytes) -> frozenset[bytes]:
    return frozenset(_UUID.findall(text))
