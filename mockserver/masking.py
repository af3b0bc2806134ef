"""Hides tokens and sensitive values of requests and answers before they are shown or stored outside this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from mockserver.journal import MAX_ANSWER_BYTES
from mockserver.spec import MASK, Masker, parse_json
from mockserver.suggestions import closest

_SECRET_PART = re.compile(
    r"authorization|cookie|token|secret|passw|passphrase|credential|signature|jwt|(?:api|access|private)key"
)
_SECRET_NAMES = frozenset({"auth", "key", "otp", "pass", "pin", "pwd", "sig"})
"""Names of headers and query parameters, reduced to lower-case letters and digits."""
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_SCHEMES = frozenset({"apikey", "basic", "bearer", "digest", "negotiate", "token"})
_SCHEMES_OF_TOKENS = frozenset({"basic", "bearer"})
"""A value that begins so is a token, whatever the name of its header."""
_MAX_MISSPELLED_LENGTH = 20
_MAX_CUTS = 8
_MAX_NESTING = 10_000
"""Also of a body that the API refuses. What is nested too deeply to be masked is hidden."""


def masked_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        # Keep the scheme: it may explain a refusal, and reveals nothing about the token.
        scheme, *rest = value.split(maxsplit=1) or [""]
        kind = scheme.lower() if rest else ""
        if _is_secret(name) or kind in _SCHEMES_OF_TOKENS:
            value = f"{scheme} {MASK}" if kind in _SCHEMES else MASK
        shown[name] = f"{shown[name]}, {value}" if name in shown else value
    return shown


def _is_secret(name: str) -> bool:
    plain = _NOT_PLAIN.sub("", name.lower())
    return (
        plain.removeprefix("x") in _SECRET_NAMES
        or _SECRET_PART.search(plain) is not None
        or (len(plain) <= _MAX_MISSPELLED_LENGTH and _is_misspelled(plain))
    )


@lru_cache(maxsize=1024)
def _is_misspelled(plain: str) -> bool:
    return closest(plain, ("authorization",), 0.85) is not None


def masked_query(query: bytes, masker: Masker) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        value = MASK if _is_secret(name) or masker.is_sensitive(name) else masker.masked(value)
        if name not in shown:
            shown[name] = value
        elif isinstance(shown[name], list):
            shown[name].append(value)
        else:
            shown[name] = [shown[name], value]
    return shown


def query_pairs(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and values of a masked query, with a pair for each value of a repeated name."""
    return [(name, each) for name, value in shown.items() for each in (value if isinstance(value, list) else [value])]


def masked_content(body: bytes, masker: Masker) -> Any:
    """Return the parsed JSON, or text if it is not JSON or too much; None for an empty body. Hides sensitive values."""
    if not body:
        return None
    try:
        value, _ = parse_json(body, allow_constants=True, max_nesting=_MAX_NESTING)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        value = _complete_part(text) if len(body) == MAX_ANSWER_BYTES else text
    try:
        return masker.masked(value)
    except RecursionError:
        return MASK


def _complete_part(text: str) -> Any:
    """Return the complete part of truncated JSON; the text if that part cannot be determined."""
    end = len(text)
    for _ in range(_MAX_CUTS):
        end = text.rfind("}", 0, end)
        if end < 0:
            break
        for closing in ("]}", "]", "}", "}]}"):
            with suppress(ValueError, RecursionError):
                return json.loads(text[: end + 1] + closing)
    return text
