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

_MAX_DELAY_S = 300.0
_MAX_REPORTED = 10
QUERY_PREFIX = "__"
_STARTS_RUNS = ("bulk_create_runs", "create_run", "create_run_chain", "retry_run")
_OPERATIONS_OF = {"outcome": _STARTS_RUNS, "duration": _STARTS_RUNS, "failed": ("bulk_create_runs",)}

FOR_BEHAVIOUR = ("outcome", "duration", "failed", "dynamic", "delay")
"""Those that an answer of a behaviour may have applied: `dynamic=false` among them."""
FOR_DOCUMENTED_REPLY = ("code", "example", "dynamic", "delay")


def read_preferences(prefer: str, query: str, operation_id: str) -> Preferences:
    """Read the preferences. Those that are unknown or do not apply to the operation are ignored, as the RFC asks.

    Raises BadRequest for a value that cannot be honoured.
    """
    asked = _parse(prefer)
    if "__" in query:
        for name, text in parse_qsl(query, keep_blank_values=True):
            if name.startswith(QUERY_PREFIX) and name[len(QUERY_PREFIX) :] in _PARSERS:
                asked[name[len(QUERY_PREFIX) :]] = text
    if not asked:
        return NO_PREFERENCES
    values: dict[str, Any] = {}
    applied: list[str] = []
    unused: list[str] = []
    for name, text in asked.items():
        reader = _PARSERS.get(name)
        if reader is not None and operation_id in _OPERATIONS_OF.get(name, (operation_id,)):
            field, read = reader
            values[field] = read(name, text)
            applied.append(f"{name}={text}")
        elif len(unused) >= _MAX_REPORTED:
            continue
        elif reader is None:
            unused.append(f"the preference {name[:100]!r} is not known{did_you_mean(name, _PARSERS)}")
        else:
            unused.append(f"the preference {name!r} does not apply to {operation_id}")
    return Preferences(**values, applied=tuple(applied), unused=tuple(unused))


def _parse(prefer: str) -> dict[str, str]:
    """Return the preferences by name, without their parameters. Malformed elements are skipped."""
    asked: dict[str, str] = {}
    for element in _ELEMENT.finditer(prefer):
        name, quoted, bare = element.group("name", "quoted", "bare")
        if name is not None:
            # If a name is repeated, the first one counts: RFC 7240, section 2.
            asked.setdefault(name.lower(), (bare or "") if quoted is None else _ESCAPED.sub(r"\1", quoted))
    return asked


_ELEMENT = re.compile(
    r"""
    [ \t]*+
    (?:
        (?P<name> [!#$%&'*+.^_`|~0-9A-Za-z-]++ ) [ \t]*+
        (?: = [ \t]*+ (?: "(?P<quoted> (?: [^"\\] | \\. )*+ )" | (?P<bare> [^\s;,"]*+ ) ) [ \t]*+ )?+
        (?= [;,] | \Z )
    )?+
    (?: [^",] | "(?: [^"\\] | \\. )*+ (?: " | \\?\Z ) )*+   # parameters, or what is malformed
    (?: , | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
"""One element of the list, with its comma. A comma in a quoted-string (RFC 9110, section 5.6.4) does not end it."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


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


_PARSERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "code": ("code", _code),
    "example": ("example", lambda name, text: text),
    "dynamic": ("dynamic", _boolean),
    "outcome": ("outcome", _outcome),
    "duration": ("duration_s", _seconds),
    "failed": ("failed", _whole_number),
    "delay": ("delay_s", _delay),
}
QUERY_PREFERENCES = frozenset(QUERY_PREFIX + name for name in _PARSERS)
