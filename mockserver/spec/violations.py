"""What is wrong with a request, in FastAPI's words, with nothing secret in them, and not all of it where it is much."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
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


class Violations:
    """Those of one request, up to a number; the rest is counted.

    It is also the context of the validators: they ask it how many are still to be told, and tell it what they left out.
    """

    # One is made for each request, and nearly all stay empty.
    __slots__ = ("_most", "_omitted", "_told")

    def __init__(self, most: int = MAX_VIOLATIONS) -> None:
        self._most = most
        self._told: list[Violation] | None = None
        self._omitted = 0

    def __bool__(self) -> bool:
        return self._told is not None

    @property
    def room(self) -> int:
        return max(0, self._most - len(self._told or ()))

    def omit(self, count: int) -> None:
        self._omitted += count

    def add(self, *violations: Violation) -> None:
        if violations:
            told = list(violations[: self.room])
            self._omitted += len(violations) - len(told)
            self._told = (self._told or []) + told

    def add_all(self, error: ValidationError, masker: Masker, place: str, name: str | None = None) -> None:
        """Those of one place (path, query, header, body), and there of one parameter."""
        prefix: Loc = (place,) if name is None else (place, name)
        lines = error.errors(include_url=False)
        told = [masker.violation(line, prefix) for line in lines[: self.room]]
        self._omitted += len(lines) - len(told)
        self._told = (self._told or []) + told

    def listed(self) -> list[Violation]:
        """With one more that tells how many there are that are not listed."""
        told = self._told or []
        if not self._omitted:
            return told
        more = {
            "type": "too_many_violations",
            "loc": told[-1]["loc"][:1],
            "msg": f"{self._omitted} more violations are not listed",
            "input": None,
            "ctx": {"omitted": self._omitted},
        }
        return [*told, more]


class Masker:
    """Hides what stands under a sensitive name in what violations echo.

    A name is sensitive when the document says so (`x-sensitive: true`), when it contains "sensitive", or when it looks
    like a misspelling of either; capitals and what is neither letter nor digit make no difference. Text that contains
    such a name, however it is escaped, may be a document of its own, so it is hidden as a whole.
    """

    def __init__(self, names: Iterable[str]) -> None:
        plain = sorted({_plain(name) for name in names} - {""})
        self._names = [Misspelled(name, len(name) // _LETTERS_TO_AN_EDIT) for name in plain]
        self._parts = [Misspelled("sensitive", 2), *self._names]

    def violation(self, line: Any, prefix: Loc) -> Violation:
        echo = _Echo(self)
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

    def masked(self, value: Any) -> Any:
        """A JSON value with what is sensitive hidden."""
        return _Echo(self).of(value)

    def is_sensitive(self, name: str) -> bool:
        plain = _plain(name)
        return self._parts[0].is_part_of(plain, most_looks=_MOST_LOOKS) or any(
            each.is_whole(plain) for each in self._names
        )

    def mentions_sensitive(self, text: str) -> bool:
        readable = _unescaped(text)
        if readable is None:
            return True
        plain = _plain(readable)
        return any(each.is_part_of(plain, most_looks=_MOST_LOOKS) for each in self._parts)


class _Echo:
    """What is shown of one value. Each name is judged once; past a number of names, others count as secret."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._judged: dict[str, bool] = {}

    def is_sensitive(self, name: str) -> bool:
        judged = self._judged.get(name)
        if judged is None:
            if len(self._judged) >= _MOST_NAMES:
                return True
            judged = self._judged[name] = self._masker.is_sensitive(name)
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


_LETTERS_TO_AN_EDIT = 5
"""A name of so many letters may have one edit, of twice as many two."""
_MOST_NAMES = 20_000
_MOST_LOOKS = 2_000

_MOST_ESCAPES = 50_000
_LONGEST_NORMALIZED = 1_000_000

_LOWER = bytes(range(128)).lower() + bytes(128)
_NOT_PLAIN = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})|=([0-9A-F]{2})|&#x([0-9a-fA-F]{1,6});|&#([0-9]{1,7});"
)
_MOST_ESCAPED = 3
"""How often a text may be escaped: in JSON, that in a form, and that in JSON."""


def _plain(text: str) -> str:
    """Its letters and digits alone, in lower case."""
    if not text.isascii() and len(text) <= _LONGEST_NORMALIZED:
        text = unicodedata.normalize("NFKC", text)
    return text.encode("ascii", "ignore").translate(_LOWER, _NOT_PLAIN).decode("ascii")


def _unescaped(text: str) -> str | None:
    """None for a text with too many escapes to look at."""
    for _ in range(_MOST_ESCAPED):
        marks = sum(map(text.count, ("\\u", "\\x", "%", "=", "&#")))
        if not marks:
            break
        if marks > _MOST_ESCAPES:
            return None
        text = _ESCAPE.sub(_character, text)
    return text


def _character(escape: re.Match[str]) -> str:
    *hexadecimal, decimal = escape.groups()
    code = int(decimal) if decimal else int(next(filter(None, hexadecimal)), 16)
    return chr(code) if code <= sys.maxunicode else ""
