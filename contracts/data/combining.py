"""Puts cases in an order in which the first few differ most, and combines several values in one case."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

A = TypeVar("A")
T = TypeVar("T")
_EXHAUSTED: Any = object()


def in_turn(kinds: Iterable[Iterator[T]]) -> Iterator[T]:
    """Yield from the iterators in round-robin order until all are exhausted."""
    for in_round in itertools.zip_longest(*kinds, fillvalue=_EXHAUSTED):
        yield from (item for item in in_round if item is not _EXHAUSTED)


def in_turn_by_kind(cases: Callable[[A], Iterator[T]]) -> Callable[[A], Iterator[T]]:
    """Reorder the cases of the decorated function, so that the first few are of many kinds.

    They come in turn by operation, and those of an operation in turn by kind. Two cases are of one kind if they set the
    same optional fields and have the same kinds of events.
    """

    @functools.wraps(cases)
    def in_order(check: A) -> Iterator[T]:
        by_operation: dict[str, dict[Hashable, list[T]]] = {}
        for case in cases(check):
            of_operation = by_operation.setdefault(getattr(case, "operation", ""), {})
            of_operation.setdefault(_kind_of(case), []).append(case)
        yield from in_turn(in_turn(map(iter, kinds.values())) for kinds in by_operation.values())

    return in_order


def _kind_of(case: Any) -> Hashable:
    given = tuple(name for name, default in defaults_of(case).items() if getattr(case, name) != default)
    return given, tuple(event.kind for event in getattr(case, "events", ()))


def defaults_of(case: Any) -> dict[str, Any]:
    """Return the defaults of a dataclass, by field. Fields without a default are left out."""
    found = {}
    for field in dataclasses.fields(case):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def covering(items: Iterable[T], *keys: Callable[[T], Hashable]) -> Iterator[T]:
    """Yield each item that has a new value of at least one key. Together these few items have every value of every key,
    but not every combination of them.
    """
    seen: set[Hashable] = set()
    for item in items:
        values = {(index, key(item)) for index, key in enumerate(keys)}
        if not values <= seen:
            seen |= values
            yield item


def rows(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield objects that together have every value of every member. A member with fewer values repeats them."""
    for number in range(max(map(len, values.values()))):
        yield {name: options[number % len(options)] for name, options in values.items()}


def batches(items: Iterable[T], size: int, *, max_bytes: int = 400_000) -> Iterator[list[T]]:
    """Yield lists of up to `size` items, to send several in one request or case.

    `max_bytes` bounds the size of a list of several items, estimated as 4 bytes per character of their repr.
    """
    batch: list[T] = []
    weight = 0
    for item in items:
        cost = len(repr(item)) * 4
        if batch and (len(batch) == size or weight + cost > max_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += cost
    if batch:
        yield batch
