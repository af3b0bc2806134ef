"""Violations: validation errors of a request in FastAPI's format, with secrets masked and limited in number."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import ValidationError

from mockserver.spec.misspelling import Misspelled

MASK = "**********"
MAX_VIOLATIONS = 100

Violation = dict[str, Any]
Loc = tuple[str | int, ...]


def missing(loc: Loc) -> Violation:
    return {"type": "missing", "loc": list(loc), "msg": "Field required", "input": None}


def json_invalid(position: int, reason: str) -> Violation:
    return {
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": reason},
    }


def violation_of(line: Any, prefix: Loc, masker: Masker) -> Violation:
    """Return an error of pydantic-core as the API shows it, with its text, and with sensitive values masked."""
    echo = _Echo(masker)
    loc = [*prefix, *line["loc"]]
    hidden = any(isinstance(part, str) and echo.is_sensitive(part) for part in loc)
    violation = {
        "type": line["type"],
        "loc": loc,
        "msg": line["msg"],
        "input": MASK if hidden else echo.of(line["input"]),
    }
    if "ctx" in line:
        violation["ctx"] = line["ctx"]
    return violation


class Violations:
    """The violations of one request, up to a limit; those past the limit are counted.

    Also the context of the validators: they ask it for the room that is left, and report the violations that they omit.
    """

    # One is made per request, and nearly all stay empty.
    __slots__ = ("_limit", "_listed", "_omitted")

    def __init__(self, most: int = MAX_VIOLATIONS) -> None:
        self._limit = most
        self._listed: list[Violation] | None = None
        self._omitted = 0

    def __bool__(self) -> bool:
        return self._listed is not None

    @property
    def room(self) -> int:
        return max(0, self._limit - len(self._listed or ()))

    def omit(self, count: int) -> None:
        self._omitted += count

    def add(self, *violations: Violation) -> None:
        if violations:
            kept = list(violations[: self.room])
            self._omitted += len(violations) - len(kept)
            self._listed = (self._listed or []) + kept

    def add_all(self, error: ValidationError, masker: Masker, place: str, name: str | None = None) -> None:
        """Add the violations of one place (path, query, header, body), or of one parameter in it."""
        prefix: Loc = (place,) if name is None else (place, name)
        lines = error.errors(include_url=False)
        kept = [violation_of(line, prefix, masker) for line in lines[: self.room]]
        self._omitted += len(lines) - len(kept)
        self._listed = (self._listed or []) + kept

    def listed(self) -> list[Violation]:
        """Return the violations, plus one that says how many were omitted, if any."""
        kept = self._listed or []
        if not self._omitted:
            return kept
        more = {
            "type": "too_many_violations",
            "loc": kept[-1]["loc"][:1],
            "msg": f"{self._omitted} more violations are not listed",
            "input": None,
            "ctx": {"omitted": self._omitted},
        }
        return [*kept, more]


class Masker:
    """Masks the values of sensitive names in the input that violations echo.

    A name is sensitive if the document says so (`x-sensitive: true`), if it contains "sensitive", or if it looks like
    a misspelling of either. Case and characters other than letters and digits do not matter. Text that contains such a
    name, also in escaped form, may be an embedded document, so the whole text is masked.

    A value of an enumeration of the document is no secret, nor is the list of its values in a violation: such a text is
    shown.
    """

    def __init__(self, names: Iterable[str], enumerations: Iterable[tuple[str, ...]] = ()) -> None:
        plain = sorted({_plain(name) for name in names} - {""})
        self._names = [Misspelled(name, len(name) // _LETTERS_PER_EDIT) for name in plain]
        self._parts = [Misspelled("sensitive", 2), *self._names]
        self._known: dict[str, bool] = {}
        self._public = frozenset(text for values in enumerations for text in _texts_of_enumeration(values))

    def masked(self, value: Any) -> Any:
        """Return a JSON value with sensitive values masked."""
        return _Echo(self).of(value)

    def is_sensitive(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._judged(name)
            if len(name) <= _MAX_KNOWN_LENGTH:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[name] = known
        return known

    def _judged(self, name: str) -> bool:
        plain = _plain(name)
        return self._parts[0].is_part_of(plain, max_looks=_MAX_LOOKS) or any(
            each.is_whole(plain) for each in self._names
        )

    def mentions_sensitive(self, text: str) -> bool:
        if text in self._public:
            return False
        readable = _unescaped(text)
        if readable is None:
            return True
        plain = _plain(readable)
        return any(each.is_part_of(plain, max_looks=_MAX_LOOKS) for each in self._parts)


def _texts_of_enumeration(values: tuple[str, ...]) -> Iterator[str]:
    """Return the values, and the list of them in the words of pydantic-core."""
    yield from values
    *others, last = (f"'{value}'" for value in values)
    expected = f"{', '.join(others)} or {last}" if others else last
    yield expected
    yield f"Input should be {expected}"


class _Echo:
    """Masks one value. Checks each distinct name once; past `_MAX_NAMES` names, every further name is sensitive."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._is_sensitive_by_name: dict[str, bool] = {}

    def is_sensitive(self, name: str) -> bool:
        judged = self._is_sensitive_by_name.get(name)
        if judged is None:
            if len(self._is_sensitive_by_name) >= _MAX_NAMES:
                return True
            judged = self._is_sensitive_by_name[name] = self._masker.is_sensitive(name)
        return judged

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: MASK if member is not None and self.is_sensitive(name) else self.of(member)
                for name, member in value.items()
            }
        if isinstance(value, list):
            return [self.of(member) for member in value]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str) and self._masker.mentions_sensitive(value):
            return MASK
        return value


_LETTERS_PER_EDIT = 5
"""A name counts as misspelled with up to one edit per this number of letters."""
_MAX_NAMES = 20_000
_MAX_LOOKS = 2_000
_MAX_KNOWN, _MAX_KNOWN_LENGTH = 4_096, 64
"""The largest number and length of names whose judgement is kept for other values."""

_MAX_ESCAPES = 50_000
_MAX_NORMALIZED_LENGTH = 1_000_000

_LOWER = bytes(range(128)).lower() + bytes(128)
_NOT_PLAIN = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})|=([0-9A-F]{2})|&#x([0-9a-fA-F]{1,6});|&#([0-9]{1,7});"
)
_ESCAPE_BEGINS = re.compile(r"[\\%=&]")
_LONGEST_ESCAPE = len("&#1114111;")
_PART = 65_536
_MAX_ESCAPE_LEVELS = 3
"""How many levels of escaping are undone: for example JSON in a form in JSON."""


class _Compatible(dict[int, str]):
    """The ASCII characters that a character stands for, such as fi for a ligature.

    For each character by itself: to normalise a text takes quadratic time in the length of its rows of combining marks.
    """

    def __missing__(self, code: int) -> str:
        return unicodedata.normalize("NFKD", chr(code)).encode("ascii", "ignore").decode()


_COMPATIBLE = _Compatible()


def _plain(text: str) -> str:
    """Return only the ASCII letters and digits of a text, in lower case."""
    if not text.isascii() and len(text) <= _MAX_NORMALIZED_LENGTH:
        text = text.translate(_COMPATIBLE)
    return text.encode("ascii", "ignore").translate(_LOWER, _NOT_PLAIN).decode("ascii")


def _unescaped(text: str) -> str | None:
    """Undo escapes in a text. Return None if there are too many of them."""
    for _ in range(_MAX_ESCAPE_LEVELS):
        marks = sum(map(text.count, ("\\u", "\\x", "%", "=", "&#")))
        if not marks:
            break
        if marks > _MAX_ESCAPES:
            return None
        text = "".join(_ESCAPE.sub(_character, part) for part in _parts(text))
    return text


def _parts(text: str) -> Iterator[str]:
    """Split a long text between its escapes: other threads wait while a regular expression searches a part."""
    start = 0
    while start < len(text):
        end = start + _PART
        mark = _ESCAPE_BEGINS.search(text, end - _LONGEST_ESCAPE, end) if end < len(text) else None
        stop = end if mark is None else mark.start()
        yield text[start:stop]
        start = stop


def _character(escape: re.Match[str]) -> str:
    *hexadecimal, decimal = escape.groups()
    code = int(decimal) if decimal else int(next(filter(None, hexadecimal)), 16)
    return chr(code) if code <= sys.maxunicode else ""
