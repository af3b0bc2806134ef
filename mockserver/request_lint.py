"""Warnings about probable mistakes in a request that the API silently accepts: most are misspelled names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

from mockserver.headers import Headers
from mockserver.prefer import QUERY_PREFERENCES, QUERY_PREFIX
from mockserver.spec import Invalid, Operation, RawRequest, is_json
from mockserver.suggestions import closest, did_you_mean

_READ_HEADERS = frozenset({b"authorization", b"content-type", b"idempotency-key", b"prefer"})
_USUAL_HEADERS = _READ_HEADERS | {
    b"accept",
    b"accept-charset",
    b"accept-encoding",
    b"accept-language",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"cookie",
    b"date",
    b"dnt",
    b"expect",
    b"forwarded",
    b"from",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"keep-alive",
    b"origin",
    b"pragma",
    b"priority",
    b"proxy-connection",
    b"referer",
    b"te",
    b"traceparent",
    b"tracestate",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"upgrade-insecure-requests",
    b"user-agent",
    b"via",
}
_MAX_NAMES = 20
_MAX_HEADERS = 100
"""Of the headers that are not usual ones, so many are compared: thousands fit into a head, and each takes 30 µs."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def lint(
    operation: Operation,
    headers: Headers,
    query: str,
    sent: Any,
    unused_preferences: Sequence[str],
) -> Sequence[str]:
    """Return the warnings. `sent` is the parsed JSON body."""
    is_object = isinstance(sent, dict)
    fits = (
        not query
        and not unused_preferences
        and headers.keys() <= _USUAL_HEADERS
        and (not is_object or sent.keys() <= operation.known_fields)
    )
    if fits:
        return ()
    found: list[str] = []
    if not headers.keys() <= _USUAL_HEADERS:
        unusual = islice((header for header in headers if header not in _USUAL_HEADERS), _MAX_HEADERS)
        found += [warning for header in unusual if (warning := _lookalike(header[:100])) is not None]
    if query:
        names = [unquote_plus(part.partition("=")[0]) for part in query.split("&")]
        names = [name for name in names if name and name not in QUERY_PREFERENCES]
        # Only a name that begins as a preference does is taken for a misspelled one.
        preferences = [name for name in names if name.startswith(QUERY_PREFIX)]
        names = [name for name in names if not name.startswith(QUERY_PREFIX)]
        words = f"{operation.operation_id} has no query parameter"
        found += _unknown(preferences, operation.query_names | QUERY_PREFERENCES, words)
        found += _unknown(names, operation.query_names, words)
    found += unused_preferences
    if is_object and not sent.keys() <= operation.known_fields:
        found += _unknown(sent, operation.known_fields, f"{operation.operation_id} has no body field")
    return found


def wrong_content_type(request: RawRequest, invalid: Invalid) -> Sequence[str]:
    """Return a warning if a body was refused because its Content-Type kept it from being read as JSON."""
    is_refused = any(each["loc"] == ["body"] for each in invalid.violations)
    if not request.body or not is_refused or is_json(request.content_type):
        return ()
    if request.content_type is None:
        return ("There is no Content-Type: send application/json",)
    return (f"Content-Type is {request.content_type[:100]}: send application/json",)


def texts_of_numbers(invalid: Invalid) -> Sequence[str]:
    """Return a warning for each text in a JSON body that was refused where the real server reads it as an integer."""
    places = [
        ".".join(map(str, each["loc"]))
        for each in invalid.violations
        if each["type"] == "int_type" and each["loc"][0] == "body" and _is_integer(each["input"])
    ]
    return [f"{place} is text: the real server reads it as a number, as --coercion lax does" for place in places]


def _is_integer(value: Any) -> bool:
    # Of text only: to show a list of long integers as text takes seconds.
    return isinstance(value, str) and _INTEGER.fullmatch(value) is not None


def joined_values(invalid: Invalid) -> Sequence[str]:
    """Return a warning for each query parameter that was refused because commas join values in it."""
    names = {
        str(each["loc"][1]): None
        for each in invalid.violations
        if len(each["loc"]) == 3 and each["loc"][0] == "query" and "," in str(each["input"])
    }
    return [f"repeat '{name}' for each value: {name}=A&{name}=B, not {name}=A,B" for name in names]


def _unknown(names: Iterable[str], known: Collection[str], words: str) -> list[str]:
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    told = [f"{words} {name[:100]!r}{did_you_mean(name, known)}" for name in unknown[:_MAX_NAMES]]
    if len(unknown) > _MAX_NAMES:
        told.append(f"{words} of {len(unknown) - _MAX_NAMES} other names")
    return told


@lru_cache(maxsize=1024)
def _lookalike(header: bytes) -> str | None:
    """Return a warning if a header resembles one that is read, as Idempotency_Key does."""
    name = header.decode("latin-1")
    plain = name.replace("_", "-").removeprefix("x-")
    names = [each.decode("latin-1") for each in sorted(_READ_HEADERS)]
    near = closest(plain, names, 0.85)
    return None if near is None else f"the header {name!r} is not read; did you mean {near!r}?"
