"""HTTP requests and answers as values, and the exchange of both.

These values never contain a token: a request has the placeholder `Bearer $TOKEN` or `Bearer $SECOND_TOKEN`, and the
guard replaces it with the secret when it sends the request. So no report, log or database made from exchanges can
show a token.
"""

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

TOKEN = "Bearer $TOKEN"
SECOND_TOKEN = "Bearer $SECOND_TOKEN"
ENCODED_TOKEN: Final = re.compile(r"base64\((:?\$(?:SECOND_)?TOKEN:?)\)")
"""The base64 form of a token as the name or the password of Basic authentication, as in `Basic base64($TOKEN:)`."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that only read (RFC 9110, 9.2.1)."""

Headers = tuple[tuple[str, str], ...]


def header_in(headers: Headers, name: str) -> str | None:
    """Return the first header of that name, ignoring case."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def header_bytes(value: str) -> bytes:
    """Return the bytes of a header value: in latin-1, as it is sent, or in UTF-8 if it has other characters."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` follows the target's base URL: percent-encoded, query included."""

    method: str
    path: str
    headers: Headers = ()
    body: bytes | None = None

    @property
    def is_read(self) -> bool:
        return self.method in SAFE_METHODS

    @property
    def path_without_query(self) -> str:
        return self.path.partition("?")[0]

    @property
    def has_own_token(self) -> bool:
        """Whether it has one of the two tokens of the check."""
        return self.header("Authorization") in (TOKEN, SECOND_TOKEN)

    @property
    def idempotency_key(self) -> str | None:
        return self.header("Idempotency-Key")

    def header(self, name: str) -> str | None:
        return header_in(self.headers, name)

    def with_header(self, name: str, value: str | None) -> Self:
        """Return the request with this header in place of one of that name, or at the end; None removes it."""
        names = [key.lower() for key, _ in self.headers]
        at = names.index(name.lower()) if name.lower() in names else len(names)
        new = () if value is None else ((name, value),)
        return replace(self, headers=(*self.headers[:at], *new, *self.headers[at + 1 :]))

    def json(self) -> Any:
        """Return the body as JSON, not to be changed. Raises ValueError if it is not JSON, is nested too deeply, or has
        an integer that Python does not convert, and so cannot write again.
        """
        return _json(self.body or b"", int)


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 if no complete answer arrived; `lost` then says why. A report may leave out `left_out` bytes in the
    middle of a long body. `received_at` is by our clock, None for an answer from a report.
    """

    status: int
    headers: Headers
    body: bytes
    lost: str = ""
    left_out: int = 0
    received_at: datetime | None = field(default=None, compare=False, repr=False)

    def header(self, name: str) -> str | None:
        return header_in(self.headers, name)

    def json(self) -> Any:
        """Return the body as JSON, not to be changed. An integer that Python does not convert is a LongInteger. Raises
        ValueError if it is not JSON or is nested too deeply.
        """
        return _json(self.body, _integer)

    def json_or_none(self) -> Any:
        """Like `json`, but None if the body is not JSON."""
        try:
            return self.json()
        except ValueError:
            return None


def json_object_in(message: Request | Answer) -> dict[str, Any]:
    """Return the JSON object in the body of a request or an answer, not to be changed; an empty one if it has none."""
    try:
        value = message.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def date_of(answer: Answer) -> datetime | None:
    """Return the moment in the Date header, None without a valid one."""
    return _http_date(answer.header("date") or "")


def retry_after_of(answer: Answer) -> float | datetime | None:
    """Return the seconds or the moment in Retry-After (RFC 9110, 10.2.3), None without a valid one."""
    text = (answer.header("retry-after") or "").strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    return _http_date(text)


def _http_date(text: str) -> datetime | None:
    """A date without a zone, or with `-0000`, is in UTC."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


@dataclass(frozen=True, slots=True)
class Exchange:
    request: Request
    answer: Answer


def is_nested_too_deeply(body: bytes) -> bool:
    """Whether a text cannot be read as JSON, since it is nested more deeply than Python reads. It may well be JSON."""
    if body.count(b"[") + body.count(b"{") < _LEAST_DEPTH:
        return False
    try:
        _json(body, _integer)
    except NestedTooDeeply:
        return True
    except ValueError:
        pass
    return False


_LEAST_DEPTH: Final = 200
"""Python reads this depth wherever it is called."""


class NestedTooDeeply(ValueError):
    """Raised for a text that Python does not read as JSON, since it is nested too deeply."""


class LongInteger(str):
    """The digits of an integer that Python does not convert, since it has too many of them (4,300 by default)."""


@functools.lru_cache(maxsize=8)  # several rules read an answer, in each of the threads
def _json(body: bytes, parse_int: Callable[[str], Any]) -> Any:
    try:
        return json.loads(body, parse_int=parse_int)
    except RecursionError:
        raise NestedTooDeeply("it is nested too deeply") from None


def _integer(digits: str) -> int | LongInteger:
    try:
        return int(digits)
    except ValueError:
        return LongInteger(digits)
