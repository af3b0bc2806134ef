"""Shrinks a failing case within a budget of tries: fewer members, smaller counts, shorter and simpler values.

A case is a dataclass (`case`). A field keeps its value or becomes simpler, or gets its default back; of the JSON values
in the fields, any part may be removed. Strings that contain a placeholder are not shortened, nor those that are the
value of a field, since they name the kind of case.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from contracts.engine.case import changed_fields, defaults_of

_A_FILE: Final = "YQ=="

C = TypeVar("C")
Where = tuple[str | int, ...]


class Spent(Exception):
    """The budget of tries is used up."""


def shrink(case: C, still_fails: Callable[[C], bool], *, tries: int) -> C:
    """Return the smallest case found for which `still_fails` is true; it must be true for `case`."""
    left, best = tries, case
    tried: set[str] = {repr(case)}

    def fails(candidate: C) -> bool:
        nonlocal left, best
        key = repr(candidate)
        if key in tried:
            return False
        if left <= 0:
            raise Spent
        left -= 1
        tried.add(key)
        if not still_fails(candidate):
            return False
        best = candidate
        return True

    try:
        while True:
            before = best
            for where in list(_places(before)):
                _shrink_at(best, where, fails)
            if best is before:
                return best
    except Spent:
        return best


def _places(case: Any) -> Iterator[Where]:
    """Yield the path of every part, outer parts first. Top-level lists, such as the requests of a case, come before
    everything else, then counts, since these cost the most.
    """
    todo: list[Where] = [(key,) for key in _members(case)]
    seen: list[Where] = []
    while todo:
        where = todo.pop(0)
        seen.append(where)
        value = _at(case, where)
        todo.extend((*where, key) for key in _members(value))
        if len(seen) > 400:
            break
    yield from sorted(seen, key=lambda where: _order(case, where))


def _members(value: Any) -> list[str] | range:
    """Return the names or indices of the parts of a value that shrinking looks at."""
    if dataclasses.is_dataclass(value):
        return list(changed_fields(value))
    if isinstance(value, dict):
        return list(value)
    return range(min(len(value), 20)) if isinstance(value, list | tuple) else range(0)


def _order(case: Any, where: Where) -> int:
    if len(where) == 1 and isinstance(_at(case, where), list | tuple):
        return 0
    return 1 if where[-1] in {"count", "times", "limit"} else 2


def _at(case: Any, where: Where) -> Any:
    for part in where:
        case = getattr(case, str(part)) if dataclasses.is_dataclass(case) else case[part]
    return case


def _has(case: Any, where: Where) -> bool:
    for part in where:
        if part not in _members(case):
            return False
        case = _at(case, (part,))
    return True


def _with(case: Any, where: Where, value: Any) -> Any:
    if not where:
        return value
    inner = _with(_at(case, where[:1]), where[1:], value)
    if dataclasses.is_dataclass(case) and not isinstance(case, type):
        return dataclasses.replace(case, **{str(where[0]): inner})
    made: Any = list(case) if isinstance(case, tuple) else copy.copy(case)
    made[where[0]] = inner
    return tuple(made) if isinstance(case, tuple) else made


def _without(case: Any, where: Where) -> Any:
    """Return the case without a part, or with the default of a field; None if the field has no default."""
    parent, name = _at(case, where[:-1]), where[-1]
    if dataclasses.is_dataclass(parent):
        defaults = defaults_of(parent)
        return _with(case, where, defaults[str(name)]) if name in defaults else None
    made: Any = list(parent) if isinstance(parent, tuple) else copy.copy(parent)
    del made[name]
    return _with(case, where[:-1], tuple(made) if isinstance(parent, tuple) else made)


def _is_field(case: Any, where: Where) -> bool:
    """Return whether the part is a field of a case, rather than a part of a JSON value."""
    return len(where) == 1 or dataclasses.is_dataclass(_at(case, where[:-1]))


def _shrink_at(case: Any, where: Where, fails: Callable[[Any], bool]) -> None:
    if not _has(case, where):
        return
    is_field = _is_field(case, where)
    if len(where) > 1 or dataclasses.is_dataclass(case):
        without = _without(case, where)
        if without is not None and fails(without):
            return
    value = _at(case, where)
    if where[-1] == "content" and isinstance(value, str):
        # The content of a file: an empty file would be another case, and not every substring is valid base64.
        if len(value) > len(_A_FILE):
            fails(_with(case, where, _A_FILE))
        return
    for simpler in _simpler(value, is_field=is_field):
        candidate = _with(case, where, simpler)
        if fails(candidate):
            case, value = candidate, simpler
            break
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2:
        _bisect(case, where, value, fails)
    elif isinstance(value, str) and (is_field or "«" in value):
        return  # it names the kind of case or contains a placeholder: a substring would mean nothing
    elif isinstance(value, (list, tuple, dict, str)) and len(value) > 3:
        _shorten(case, where, fails)


def _simpler(value: Any, *, is_field: bool) -> Iterator[Any]:
    """Yield simpler values of the same type, the simplest first."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        if "«" in value or is_field:
            return
        yield from (text for text in ("", "a", "ab") if len(text) < len(value) or (text == "a" and value != "a"))
    elif isinstance(value, int):
        yield from (n for n in (0, 1, 2, 3, 5, 10) if abs(n) < abs(value))
    elif isinstance(value, float):
        yield from (n for n in (0.5, 1.5) if n != value and len(repr(n)) < len(repr(value)))
    elif isinstance(value, dict) and not is_field:
        if value:
            yield {}
        for inner in list(value.values())[:3]:
            if isinstance(inner, dict):
                yield inner
    elif isinstance(value, list | tuple) and value:
        yield value[:1]
        if len(value) > 1:
            yield value[-1:]
            yield value[:2]
            yield value[-2:]


def _bisect(case: Any, where: Where, high: int, fails: Callable[[Any], bool]) -> None:
    """Search for the smallest number that fails, assuming that all larger ones fail."""
    sign = 1 if high > 0 else -1
    low, high = 0, abs(high)
    while high - low > 1:
        middle = (low + high) // 2
        if fails(_with(case, where, sign * middle)):
            high = middle
        else:
            low = middle


def _shorten(case: Any, where: Where, fails: Callable[[Any], bool]) -> None:
    """Remove chunks, from halves down to single members."""
    value = _at(case, where)
    size = len(value) // 2
    while size >= 1:
        start = 0
        while start < len(value) and len(value) > 1:
            kept = _cut(value, start, size)
            candidate = _with(case, where, kept)
            if fails(candidate):
                case, value = candidate, kept
            elif isinstance(value, str) and value.count(value[0]) == len(value):
                break  # of a text of one character, it does not matter where it is cut
            else:
                start += size
        if size == 1:
            break
        size = max(1, size // 4) if len(value) > 64 else size // 2


def _cut(value: Any, start: int, size: int) -> Any:
    if isinstance(value, dict):
        return {key: item for i, (key, item) in enumerate(value.items()) if not start <= i < start + size}
    return value[:start] + value[start + size :]
