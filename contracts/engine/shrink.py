"""Shrinks a failing case within a budget of tries: fewer members, smaller counts, shorter and simpler values.

A case is a JSON value. Its top-level members stay; everything below them may be removed. Strings that contain a
placeholder are not shortened.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

_A_FILE: Final = "YQ=="

Case = dict[str, Any]
Where = tuple[str | int, ...]


class Spent(Exception):
    """The budget of tries is used up."""


def shrink(case: Case, still_fails: Callable[[Case], bool], *, tries: int) -> Case:
    """Return the smallest case found for which `still_fails` is true; it must be true for `case`."""
    left, best = tries, case
    tried: set[str] = {repr(case)}

    def fails(candidate: Case) -> bool:
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


def _places(case: Case) -> Iterator[Where]:
    """Yield the path of every part, outer parts first. Top-level lists, such as the requests of a case, come before
    everything else, then counts, since these cost the most.
    """
    todo: list[Where] = [(key,) for key in case]
    seen: list[Where] = []
    while todo:
        where = todo.pop(0)
        seen.append(where)
        value = _at(case, where)
        if isinstance(value, dict):
            todo.extend((*where, key) for key in value)
        elif isinstance(value, list):
            todo.extend((*where, index) for index in range(min(len(value), 20)))
        if len(seen) > 400:
            break
    yield from sorted(seen, key=lambda where: _order(case, where))


def _order(case: Case, where: Where) -> int:
    if len(where) == 1 and isinstance(_at(case, where), list):
        return 0
    return 1 if where[-1] in {"count", "times", "limit"} else 2


def _at(case: Any, where: Where) -> Any:
    for part in where:
        case = case[part]
    return case


def _has(case: Any, where: Where) -> bool:
    for part in where:
        if not isinstance(case, dict | list):
            return False
        there = part in case if isinstance(case, dict) else isinstance(part, int) and part < len(case)
        if not there:
            return False
        case = case[part]  # type: ignore[index]
    return True


def _with(case: Any, where: Where, value: Any) -> Any:
    if not where:
        return value
    made = copy.copy(case)
    made[where[0]] = _with(case[where[0]], where[1:], value)
    return made


def _without(case: Any, where: Where) -> Any:
    parent = _at(case, where[:-1])
    made = copy.copy(parent)
    del made[where[-1]]
    return _with(case, where[:-1], made)


def _shrink_at(case: Case, where: Where, fails: Callable[[Case], bool]) -> None:
    if not _has(case, where):
        return
    if len(where) > 1 and fails(_without(case, where)):
        return
    value = _at(case, where)
    if where[-1] == "content" and isinstance(value, str):
        # The content of a file: an empty file would be another case, and not every substring is valid base64.
        if len(value) > len(_A_FILE):
            fails(_with(case, where, _A_FILE))
        return
    for simpler in _simpler(value, top=len(where) == 1):
        candidate = _with(case, where, simpler)
        if fails(candidate):
            case, value = candidate, simpler
            break
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2:
        _bisect(case, where, value, fails)
    elif isinstance(value, str) and (len(where) == 1 or "«" in value):
        return  # it names the kind of case or contains a placeholder: a substring would mean nothing
    elif isinstance(value, (list, dict, str)) and len(value) > 3:
        _shorten(case, where, fails)


def _simpler(value: Any, *, top: bool) -> Iterator[Any]:
    """Yield simpler values of the same type, the simplest first."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        if "«" in value or top:
            return
        yield from (text for text in ("", "a", "ab") if len(text) < len(value) or (text == "a" and value != "a"))
    elif isinstance(value, int):
        yield from (n for n in (0, 1, 2, 3, 5, 10) if abs(n) < abs(value))
    elif isinstance(value, float):
        yield from (n for n in (0.5, 1.5) if n != value and len(repr(n)) < len(repr(value)))
    elif isinstance(value, dict) and not top:
        if value:
            yield {}
        for inner in list(value.values())[:3]:
            if isinstance(inner, dict):
                yield inner
    elif isinstance(value, list) and value:
        yield value[:1]
        if len(value) > 1:
            yield value[-1:]
            yield value[:2]
            yield value[-2:]


def _bisect(case: Case, where: Where, high: int, fails: Callable[[Case], bool]) -> None:
    """Search for the smallest number that fails, assuming that all larger ones fail."""
    sign = 1 if high > 0 else -1
    low, high = 0, abs(high)
    while high - low > 1:
        middle = (low + high) // 2
        if fails(_with(case, where, sign * middle)):
            high = middle
        else:
            low = middle


def _shorten(case: Case, where: Where, fails: Callable[[Case], bool]) -> None:
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
            else:
                start += size
        if size == 1:
            break
        size = max(1, size // 4) if len(value) > 64 else size // 2


def _cut(value: Any, start: int, size: int) -> Any:
    if isinstance(value, dict):
        return {key: item for i, (key, item) in enumerate(value.items()) if not start <= i < start + size}
    return value[:start] + value[start + size :]
