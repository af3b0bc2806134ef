"""What is wrong with a request, in FastAPI's words, with nothing secret in them."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic_core import ValidationError

MASK = "**********"

Violation = dict[str, Any]
Loc = tuple[str | int, ...]

_NOT_PLAIN = re.compile("[^a-z0-9]+")


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


class Masker:
    """Hides what stands under a sensitive name in what violations echo.

    A name is sensitive when the document says so (`x-sensitive: true`), or when it contains "sensitive"; capitals and
    what is neither letter nor digit make no difference. Text that contains such a name may be a document of its own,
    so it is hidden as a whole.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_plain(name) for name in names)
        self._in_text = re.compile("|".join(map(re.escape, sorted({"sensitive", *self._names}))))

    def violations(self, error: ValidationError, place: str, name: str | None = None) -> list[Violation]:
        """Those of one place (path, query, header, body), and there of one parameter."""
        prefix: Loc = (place,) if name is None else (place, name)
        return [self._violation(line, prefix) for line in error.errors(include_url=False)]

    def _violation(self, line: Any, prefix: Loc) -> Violation:
        loc = [*prefix, *line["loc"]]
        hidden = any(isinstance(part, str) and self._is_sensitive(part) for part in loc)
        violation = {
            "type": line["type"],
            "loc": loc,
            "msg": line["msg"],
            "input": MASK if hidden else self._echo(line["input"]),
        }
        if "ctx" in line:
            violation["ctx"] = line["ctx"]
        return violation

    def _is_sensitive(self, name: str) -> bool:
        plain = _plain(name)
        return "sensitive" in plain or plain in self._names

    def _echo(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: MASK if member is not None and self._is_sensitive(name) else self._echo(member)
                for name, member in value.items()
            }
        if isinstance(value, list):
            return [self._echo(member) for member in value]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str) and self._in_text.search(_plain(value)):
            return MASK
        return value


def _plain(text: str) -> str:
    return _NOT_PLAIN.sub("", text.lower())
