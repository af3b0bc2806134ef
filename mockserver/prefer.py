"""The `Prefer` header (RFC 7240): what a client asks the mock to do.

Each preference can also be a query parameter, as Prism's `?__code=`.

code=422, example=name, dynamic=true    an answer from the spec instead of the behaviour
outcome=task_failed, duration=5         how the runs of a create end, and after how many seconds of running
failed=3                                this many runs of a bulk create are not created
delay=2                                 the answer is delayed by this many seconds
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from mockserver.behaviour.batch import OUTCOMES
from mockserver.behaviour.context import NO_PREFERENCES, Preferences
from mockserver.errors import BadRequest
from mockserver.suggestions import did_you_mean

_BLANKS = re.compile(r"[ \t]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BARE = re.compile(r'[^\s;,"]*')
_MAX_DELAY_S = 300.0
_MAX_REPORTED = 10
QUERY_PREFIX = "__"
_STARTS_RUNS = ("bulk_create_runs", "create_run", "create_run_chain", "retry_run")
_OPERATIONS_OF = {"outcome": _STARTS_RUNS, "duration": _STARTS_RUNS, "failed": ("bulk_create_runs",)}


def read_preferences(prefer: str, query: str, operation_id: str) -> Preferences:
    """Read the preferences. Those that are unknown or do not apply to the operation are ignored, as the RFC asks.

    Raises BadRequest for a value that cannot be honoured.
    """
    asked = _parse(prefer)
    if "__" in query:
        for name, text in parse_qsl(query, keep_blank_values=True):
            if name.startswith(QUERY_PREFIX) and name[len(QUERY_PREFIX) :] in _READERS:
                asked[name[len(QUERY_PREFIX) :]] = text
    if not asked:
        return NO_PREFERENCES
    values: dict[str, Any] = {}
    applied: list[str] = []
    unused: list[str] = []
    for name, text in asked.items():
        reader = _READERS.get(name)
        if reader is not None and operation_id in _OPERATIONS_OF.get(name, (operation_id,)):
            field, read = reader
            values[field] = read(name, text)
            applied.append(f"{name}={text}")
        elif len(unused) >= _MAX_REPORTED:
            continue
        elif reader is None:
            unused.append(f"the preference {name[:100]!r} is not known{did_you_mean(name, _READERS)}")
        else:
            unused.append(f"the preference {name!r} does not apply to {operation_id}")
    return Preferences(**values, applied=tuple(applied), unused=tuple(unused))


def _parse(prefer: str) -> dict[str, str]:
    """Return the preferences by name, without their parameters, in a single pass. Malformed elements are skipped."""
    asked: dict[str, str] = {}
    at = 0
    while at < len(prefer):
        at = _skip_blanks(prefer, at)
        name = _NAME.match(prefer, at)
        if name is None:
            at = _skip_past_comma(prefer, at)
            continue
        value, end = _value(prefer, name.end())
        at = _skip_past_comma(prefer, end)
        if end == len(prefer) or prefer[end : end + 1] in (",", ";"):
            # If a name is repeated, the first one counts: RFC 7240, section 2.
            asked.setdefault(name[0].lower(), value)
    return asked


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the value after a name ("" if there is none), and the position after it and its trailing blanks."""
    at = _skip_blanks(text, at)
    value = ""
    if text[at : at + 1] == "=":
        at = _skip_blanks(text, at + 1)
        if text[at : at + 1] == '"':
            value, at = _quoted(text, at)
            if at > len(text):
                return value, at  # the quote is never closed: not a preference
        else:
            bare = _BARE.match(text, at)
            assert bare is not None
            value, at = bare[0], bare.end()
        at = _skip_blanks(text, at)
    return value, at


def _skip_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    assert blanks is not None
    return blanks.end()


def _quoted(text: str, at: int) -> tuple[str, int]:
    """A quoted-string (RFC 9110, section 5.6.4) and the position after it, past the end if it is not closed."""
    characters: list[str] = []
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        characters.append(text[at : at + 1])
        at += 1
    return "".join(characters), at + 1


def _skip_past_comma(text: str, at: int) -> int:
    """Return where the next element of the list begins. Commas in a quoted-string do not count."""
    while at < len(text):
        if text[at] == ",":
            return at + 1
        at = _quoted(text, at)[1] if text[at] == '"' else at + 1
    return at


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"Prefer: {name}={text}: should be a whole number")
    return int(text)


def _code(name: str, text: str) -> int:
    if not re.fullmatch("[2-5][0-9][0-9]", text):
        raise BadRequest(f"Prefer: {name}={text}: should be a status from 200 to 599")
    return int(text)


def _seconds(name: str, text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise BadRequest(f"Prefer: {name}={text}: should be a number of seconds")
    return float(text)


def _delay(name: str, text: str) -> float:
    seconds = _seconds(name, text)
    if seconds > _MAX_DELAY_S:
        raise BadRequest(f"Prefer: {name}={text}: should be {_MAX_DELAY_S:g} seconds at most")
    return seconds


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false", ""):
        raise BadRequest(f"Prefer: {name}={text}: should be true or false")
    return text != "false"


def _outcome(name: str, text: str) -> str:
    if text not in OUTCOMES:
        raise BadRequest(f"Prefer: {name}={text}: should be one of {', '.join(OUTCOMES)}")
    return text


def _text(name: str, text: str) -> str:
    return text


_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "code": ("code", _code),
    "example": ("example", _text),
    "dynamic": ("dynamic", _boolean),
    "outcome": ("outcome", _outcome),
    "duration": ("duration_s", _seconds),
    "failed": ("failed", _whole_number),
    "delay": ("delay_s", _delay),
}
QUERY_PREFERENCES = frozenset(QUERY_PREFIX + name for name in _READERS)
