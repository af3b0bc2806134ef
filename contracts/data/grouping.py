"""The order of cases, and several values in one case."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

A = TypeVar("A")
T = TypeVar("T")


def in_turn(kinds: Iterable[Iterator[T]]) -> Iterator[T]:
    """Yield from the iterators in round-robin order until all are exhausted."""
    left = list(kinds)
    while left:
        for kind in list(left):
            try:
                yield next(kind)
            except StopIteration:
                left.remove(kind)


def in_turn_by_operation(cases: Callable[[A], Iterator[T]]) -> Callable[[A], Iterator[T]]:
    """Decorate a function that yields cases for one operation after the other: yield them in turn by operation, so that
    the first few are about many operations.
    """

    @functools.wraps(cases)
    def in_order(check: A) -> Iterator[T]:
        by_operation: dict[str, list[T]] = {}
        for case in cases(check):
            by_operation.setdefault(case.operation, []).append(case)  # type: ignore[attr-defined]
        yield from in_turn(map(iter, by_operation.values()))

    return in_order


def covering(items: Iterable[T], *keys: Callable[[T], Hashable]) -> Iterator[T]:
    """Yield the items that are the first to have some value of a key. Few items then have every value of every key,
    where all combinations would be too many.
    """
    seen: set[Hashable] = set()
    for item in items:
        values = {(index, key(item)) for index, key in enumerate(keys)}
        if not values <= seen:
            seen |= values
            yield item


def rows(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield objects that together have every value of every member. A member with few values has them again."""
    for number in range(max(map(len, values.values()))):
        yield {name: options[number % len(options)] for name, options in values.items()}


def batches(items: Iterable[T], size: int, *, max_bytes: int = 400_000) -> Iterator[list[T]]:
    """Yield lists of up to `size` items, for operations where one request for each would be too many.

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


def objects(items: Iterable[Any], size: int, *, max_bytes: int = 400_000) -> Iterator[dict[str, Any]]:
    """Yield the batches of the items as objects with made-up keys."""
    for batch in batches(items, size, max_bytes=max_bytes):
        yield {f"v{index}": item for index, item in enumerate(batch)}
