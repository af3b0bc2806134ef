"""Shrinks a failing case within a budget of tries: fewer members, smaller counts, shorter and plainer values.

A case is a dataclass (`case.py`). The value of a field is made simpler, or replaced by its default. Any part of the
JSON values in the fields may be removed. Strings that contain a placeholder are not shortened, nor strings that are the
value of a field, since these name the kind of case.

A long list, object or text is first reduced to the shortest beginning that fails, and this to its shortest end that
fails. So the part that matters is found in few tries, wherever it is. If only the length matters, the exact length is
found.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from contracts.core.json_tree import Path, at, drop, put
from contracts.data.combining import defaults_of
from contracts.engine.case import changed_fields

_A_FILE: Final = "YQ=="
_COUNTS: Final = frozenset({"count", "times", "limit"})
_MOST_MEMBERS: Final = 20
"""How many members of a list or an object are shrunk one by one."""
_FEW_MEMBERS: Final = 3
_MOST_PLACES: Final = 400
_LARGEST_COUNT: Final = 1_000_000
"""A larger number is a value rather than a count, so the smallest one that fails is not searched for."""
_LARGE_NUMBERS: Final = tuple(n for power in (31, 32, 53, 63, 64) for n in (2**power - 1, 2**power, 2**power + 1))
_SHORT_TEXT: Final = 12
"""How many characters of a text are made plain one by one."""

C = TypeVar("C")


class OutOfTries(Exception):
    """The budget of tries is used up."""


def shrink(case: C, still_fails: Callable[[C], bool], *, tries: int) -> C:
    """Return the smallest case found for which `still_fails` is true; it must be true for `case`."""
    shrinker = _Shrinker(case, still_fails, tries)
    with contextlib.suppress(OutOfTries):
        shrinker.run()
    return shrinker.best


class _Shrinker(Generic[C]):
    """`best` is the smallest case so far. Each method tries to make a part of it smaller: the part at `where`."""

    def __init__(self, case: C, still_fails: Callable[[C], bool], tries: int) -> None:
        self.best = case
        self._still_fails = still_fails
        self._left = tries
        self._tried = {repr(case)}

    def run(self) -> None:
        """Shrink until nothing gets smaller. Top-level lists, such as the requests of a case, come first, then whole
        fields and counts, since these cost the most; then the structure, outer parts first; then texts and numbers.
        Raises OutOfTries.
        """
        before = None
        while before is not self.best:
            before = self.best
            for name in _members(self.best):
                if isinstance(at(self.best, (name,)), list | tuple):
                    self._shorten((name,))
            for name in _members(self.best):
                self._remove((name,))
            for where in _places(self.best):
                if where[-1] in _COUNTS and _has(self.best, where):
                    self._number(where)
            self._structure()
            for where in _places(self.best):
                if _has(self.best, where):
                    self._leaf(where)

    def _try(self, where: Path, value: Any) -> bool:
        return self._try_case(put(self.best, where, value))

    def _try_case(self, candidate: C) -> bool:
        key = repr(candidate)
        if key in self._tried:
            return False
        if self._left <= 0:
            raise OutOfTries
        self._left -= 1
        self._tried.add(key)
        if not self._still_fails(candidate):
            return False
        self.best = candidate
        return True

    def _try_each(self, where: Path, values: Iterable[Any]) -> bool:
        """Try the values in order until the case fails with one of them, and return whether it does."""
        return any(self._try(where, value) for value in values)

    def _structure(self) -> None:
        """Remove parts, and make lists and objects shorter and plainer."""
        todo: list[Path] = [(name,) for name in _members(self.best)]
        for where in todo:
            if len(todo) > _MOST_PLACES or not _has(self.best, where) or self._remove(where):
                continue
            value = at(self.best, where)
            if isinstance(value, list | tuple | dict) and not _is_pair(value):
                if not _is_field(self.best, where):
                    self._try_each(where, _simpler(value))
                self._shorten(where)
                self._plain_members(where)
                self._plain_keys(where)
            # The last members come first, so that the indices of the others stay right if one is removed.
            todo += [(*where, name) for name in reversed(_members(at(self.best, where)))]

    def _remove(self, where: Path) -> bool:
        is_of_pair = _is_pair(at(self.best, where[:-1]))
        if is_of_pair or not (len(where) > 1 or dataclasses.is_dataclass(self.best)):
            return False
        without = _without(self.best, where)
        return without is not None and self._try_case(without)

    def _leaf(self, where: Path) -> None:
        value = at(self.best, where)
        if where[-1] == "content" and isinstance(value, str):
            # The content of a file: an empty file would be another case, and not every substring is valid base64.
            if len(value) > len(_A_FILE):
                self._try(where, _A_FILE)
        elif not isinstance(value, str):
            self._number(where)
        elif self._is_free_text(where):
            self._text(where)

    def _is_free_text(self, where: Path) -> bool:
        """Return whether a substring of the text would mean something too."""
        value, parent = at(self.best, where), at(self.best, where[:-1])
        if not value or "«" in value:
            return False  # nothing to shorten, or a placeholder
        if _is_field(self.best, where):
            return False  # it may name the kind of case
        if not isinstance(parent, tuple):
            return True  # a part of a JSON value
        # The lists of a case are tuples where their members are names, or the name and the value of a parameter.
        return _is_pair(parent) and where[-1] == 1 and parent[0] not in _TAKE_NAMES

    def _number(self, where: Path) -> None:
        value = at(self.best, where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if isinstance(value, float):
            self._try_each(where, (n for n in (0.5, 1.5) if len(repr(n)) < len(repr(value))))
            return
        least = 1 if where[-1] in _COUNTS else 0  # a count of 0 is invalid, which would be another fault
        if self._try_each(where, (n for n in (0, 1, 2, 3, 5, 10) if least <= n < abs(value))):
            return
        sign = 1 if value > 0 else -1
        if abs(value) > _LARGEST_COUNT:
            self._try_each(where, (sign * n for n in _LARGE_NUMBERS if n < abs(value)))
            return
        self._least(abs(value), lambda n: self._try(where, sign * n))

    def _least(self, high: int, fails: Callable[[int], bool]) -> None:
        """Search for the smallest number that fails. `high` fails. The search assumes that if a number fails, all
        larger ones fail too.
        """
        low = high // 2
        if high < 2 or not fails(low):
            if high - low < 2 or not fails(high - 1):  # most values cannot get smaller
                return
            high -= 1
        else:
            low, high = 0, low
        while high - low > 1:
            middle = (low + high) // 2
            if fails(middle):
                high = middle
            else:
                low = middle

    def _text(self, where: Path) -> None:
        value = at(self.best, where)
        for text in ("", "a", "ab"):
            if (len(text) < len(value) or (text == "a" and value != "a")) and self._try(where, text):
                return
        self._shorten(where)
        value = at(self.best, where)
        if len(value) > 1 and not self._try(where, "a" * len(value)) and len(value) <= _SHORT_TEXT:
            for index in range(len(value)):
                value = at(self.best, where)
                if value[index] != "a":
                    self._try(where, f"{value[:index]}a{value[index + 1 :]}")

    def _shorten(self, where: Path) -> None:
        """Shorten a list, an object or a text: to a single member, or else to its shortest beginning that fails, then
        to the shortest end of that, then by removing parts of its middle.
        """
        value = at(self.best, where)
        if len(value) < 2 or (not isinstance(value, str) and self._try_each(where, _singles(value))):
            return
        self._least(len(value), lambda n: self._try(where, _cut(value, 0, n)))
        rest = at(self.best, where)
        self._least(len(rest), lambda n: self._try(where, _cut(rest, len(rest) - n, len(rest))))
        self._remove_chunks(where)

    def _remove_chunks(self, where: Path) -> None:
        """Remove chunks, from halves down to single members, and to quarters of a text. Stop early if a long value
        needs many of its members.
        """
        value = at(self.best, where)
        size = len(value) // 2
        least = max(1, size // 2) if isinstance(value, str) else 1
        while size >= least:
            start, removed = 0, False
            while start < len(value := at(self.best, where)) and len(value) > 1:
                before, after = _cut(value, 0, start), _cut(value, start + size, len(value))
                if self._try(where, before | after if isinstance(value, dict) else before + after):
                    removed = True
                else:
                    start += size
            if not removed and len(value) > 8 * size and len(value) > _MOST_MEMBERS:
                return
            size //= 2

    def _plain_members(self, where: Path) -> None:
        """Replace all members of a long list or object by plain ones: often only their number matters."""
        value = at(self.best, where)
        if len(value) < 3:
            return
        if isinstance(value, dict):
            self._try(where, dict.fromkeys(value, 0))
            value = at(self.best, where)
            self._try(where, {f"k{number}": one for number, one in enumerate(value.values())})
        elif plain := _PLAIN.get(type(value[0])):
            self._try(where, type(value)(copy.copy(plain[0]) for _ in value))

    def _plain_keys(self, where: Path) -> None:
        """Replace each unusual name by a plain one, or else by one without its unusual characters, if there are only a
        few members left.
        """
        value = at(self.best, where)
        if isinstance(value, dict) and len(value) <= _FEW_MEMBERS:
            for unusual in filter(_is_unusual, value):
                value = at(self.best, where)
                names = [name for name in ("a", _without_unusual_characters(unusual)) if name and name not in value]
                self._try_each(
                    where, ({name if key == unusual else key: one for key, one in value.items()} for name in names)
                )


def _is_unusual(name: str) -> bool:
    """Return whether a name is of another form than those of the contract, such as `workflow_id`."""
    return not name.isidentifier() or name != name.lower() or name != name.strip("_")


def _without_unusual_characters(name: str) -> str:
    return "".join(c for c in name.lower().strip("_") if c.isascii() and (c.isalnum() or c == "_"))


_TAKE_NAMES: Final = frozenset({"fields", "include", "sort_mode", "status"})
"""Parameters whose values are names: a substring would be refused, or ignored."""
_PLAIN: Final[dict[type, tuple[Any]]] = {int: (0,), float: (0.5,), str: ("a",), dict: ({},), list: ([],)}


def _singles(value: Any) -> Iterator[Any]:
    """Yield the value with a single member, for each member. To save tries, use only the first and last of a long list
    or of an object.
    """
    indexes = range(len(value)) if isinstance(value, list | tuple) and len(value) <= _MOST_MEMBERS else (0,)
    for index in (0, len(value) - 1, *indexes[1:-1]):
        yield _cut(value, index, index + 1)


def _simpler(value: Any) -> Iterator[Any]:
    """Yield an empty object for an object, and then the values of the same type up to two levels inside the value."""
    if isinstance(value, dict) and value:
        yield {}
    inner = _inner(value)
    deeper = [one for outer in inner for one in _inner(outer)]
    yield from (one for one in (*inner, *deeper) if type(one) is type(value))


def _inner(value: Any) -> list[Any]:
    members = list(value.values()) if isinstance(value, dict) else value
    return [one for one in members[:2] if isinstance(one, dict | list) and one]


def _is_pair(value: Any) -> bool:
    """Return whether a value is the name and the value of a header or a parameter."""
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _cut(value: Any, start: int, end: int | None) -> Any:
    """Return a slice of a list, an object or a text."""
    return dict(list(value.items())[start:end]) if isinstance(value, dict) else value[start:end]


def _members(value: Any) -> Sequence[str | int]:
    """Return the names or indices of the parts of a value that shrinking looks at."""
    if dataclasses.is_dataclass(value):
        return list(changed_fields(value))
    if isinstance(value, dict):
        return list(value)[:_MOST_MEMBERS]
    return range(min(len(value), _MOST_MEMBERS)) if isinstance(value, list | tuple) else range(0)


def _places(case: Any) -> list[Path]:
    """Return the path of every part, outer parts first."""
    found: list[Path] = [(name,) for name in _members(case)]
    for where in found:
        if len(found) > _MOST_PLACES:
            break
        found.extend((*where, name) for name in _members(at(case, where)))
    return found


def _has(case: Any, where: Path) -> bool:
    for part in where:
        if part not in _members(case):
            return False
        case = at(case, (part,))
    return True


def _without(case: Any, where: Path) -> Any:
    """Return the case without a part, or with the default of a field; None if the field has no default."""
    parent, name = at(case, where[:-1]), where[-1]
    if dataclasses.is_dataclass(parent):
        defaults = defaults_of(parent)
        return put(case, where, defaults[str(name)]) if name in defaults else None
    return drop(case, where)


def _is_field(case: Any, where: Path) -> bool:
    """Return whether the part is a field of a case, rather than a part of a JSON value."""
    return len(where) == 1 or dataclasses.is_dataclass(at(case, where[:-1]))
