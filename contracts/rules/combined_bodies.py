"""Several invalid bodies in one request. A 422 that names each invalid part shows that the server refuses all."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.json_tree import Path
from contracts.data import limits
from contracts.oracle import is_same
from contracts.rules.writes import Body, read_filled

_ABSENT: Final = object()
_CONFLICT: Final = object()

ALONE: Final = 1
"""How many of the bodies that are invalid at one place are sent alone, to show that this part alone is refused."""


@dataclass(slots=True)
class _Combination:
    body: Any
    invalid_paths: frozenset[Path]
    parts: list[Body]


def combined(
    operation: str, base: dict[str, Any], bodies: Iterable[dict[str, Any]], *, alone: int = ALONE
) -> Iterator[Body]:
    """Yield those of the bodies, which are variants of `base`, that are invalid.

    Combinations of variants that are invalid at different places come first. Then come the variants that are sent
    alone: the first `alone` ones for each place, and those that cannot be combined. In a list, all indexes but 0 are
    one place.
    """
    at_place: Counter[Path] = Counter()
    combinations: list[_Combination] = []
    single: list[Body] = []
    seen: set[str] = set()
    for body in bodies:
        parsed = read_filled(operation, body)
        if not parsed.is_invalid or repr(body) in seen:
            continue
        seen.add(repr(body))
        invalid_paths = frozenset(invalid.path for invalid in parsed.invalid_parts)
        places = {tuple(min(part, 1) if isinstance(part, int) else part for part in path) for path in invalid_paths}
        at_place.update(places)
        if any(at_place[place] <= alone for place in places) or not _add(
            combinations, operation, base, body, invalid_paths
        ):
            single.append(Body(body))
    for combination in combinations:
        parts = tuple(combination.parts)
        yield Body(combination.body, parts=parts) if len(parts) > 1 else parts[0]
    yield from single


def _add(
    combinations: list[_Combination], operation: str, base: Any, body: dict[str, Any], invalid_paths: frozenset[Path]
) -> bool:
    """Add a body to the first combination that has room for it. Return false if it cannot be combined."""
    if not all(invalid_paths) or _may_cost_much(body.get("count")):
        return False  # the whole body is wrong, or the budget may not cover it
    for combination in combinations:
        if invalid_paths & combination.invalid_paths:
            continue
        both = merge(base, combination.body, body)
        if both is _CONFLICT:
            continue
        parsed = read_filled(operation, both)
        if (
            parsed.is_invalid
            and {invalid.path for invalid in parsed.invalid_parts} == invalid_paths | combination.invalid_paths
        ):
            combination.body, combination.invalid_paths = both, invalid_paths | combination.invalid_paths
            combination.parts.append(Body(body))
            return True
    combinations.append(_Combination(body, invalid_paths, [Body(body)]))
    return True


def _may_cost_much(count: Any) -> bool:
    """Whether a faulty server could create more runs for a count than a check can afford."""
    return isinstance(count, int | float) and abs(count) > limits.MAX_COUNT * 10


def merge(base: Any, one: Any, other: Any) -> Any:
    """Return `base` with the changes of two variants, or _CONFLICT if both change the same part."""
    if is_same(other, base) or is_same(one, other):
        return one
    if is_same(one, base):
        return other
    if isinstance(base, dict) and isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys((*base, *one, *other))
        merged = {name: merge(*(value.get(name, _ABSENT) for value in (base, one, other))) for name in names}
        if any(value is _CONFLICT for value in merged.values()):
            return _CONFLICT
        return {name: value for name, value in merged.items() if value is not _ABSENT}
    lists = [value for value in (base, one, other) if isinstance(value, list)]
    if len({len(value) for value in lists}) == 1 and len(lists) == 3:
        items = [merge(*values) for values in zip(*lists, strict=True)]
        return _CONFLICT if any(item is _CONFLICT for item in items) else items
    return _CONFLICT
