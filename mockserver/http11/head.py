"""Reads the head of a request (request line and headers) with httptools, from a stream that may be split anywhere.

A request is refused at a fixed byte of the stream, so the answer does not depend on how the stream is split.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import httptools

from mockserver.http11.errors import RequestError

_END = b"\r\n\r\n"
_AROUND_TARGET = 40
"""Bytes of a request line besides its target: the longest method, the version and two spaces."""
_MAX_HEADERS = 1_000
"""A short header takes some fifty times as much memory as it has bytes, for as long as its request is handled."""
_MAX_LENGTH_DIGITS = 20
"""Of Content-Length. The parser allows any number of zeros before a number of 64 bits, and `int` only 4,300 digits."""
_NOT_HTTP = "Invalid HTTP request received."


class _TooManyHeaders(Exception):
    pass


class Head(NamedTuple):
    """`target` is as sent; header names are in lower case. `content_length` is None without the header."""

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    content_length: int | None
    is_chunked: bool
    keep_alive: bool
    expects_continue: bool


class _Callbacks:
    """The callbacks of the parser.

    It has no reference to the parser: a reference cycle would live until the garbage collector runs.
    """

    __slots__ = ("headers", "is_complete", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= _MAX_HEADERS:
            raise _TooManyHeaders
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


class HeadReader:
    """Reads one head. A new reader is made for each request."""

    __slots__ = (
        "_callbacks",
        "_last_bytes",
        "_max_bytes",
        "_max_header_bytes",
        "_max_target_bytes",
        "_parser",
        "_short_bytes",
        "_size",
        "head",
    )

    def __init__(self, *, max_target_bytes: int, max_header_bytes: int) -> None:
        self._max_target_bytes = max_target_bytes
        self._max_header_bytes = max_header_bytes
        self._short_bytes = min(max_target_bytes, max_header_bytes) - len(_END)
        self._callbacks = _Callbacks()
        self._parser = httptools.HttpRequestParser(self._callbacks)
        self._size = 0
        self._max_bytes = 0  # the maximum size of the head in bytes; 0 until its first line has been read
        self._last_bytes = b""
        self.head: Head | None = None

    @property
    def has_begun(self) -> bool:
        return self._size > 0

    def feed(self, data: bytes) -> int:
        """Consume the bytes that belong to the head and return their number; set `head` when it is complete.

        Raises RequestError (400, 414, 431), at the first byte that makes the request invalid or too long.
        """
        start = 0
        if not self._size and data[:1] not in (b"\r", b"\n"):
            end = data.find(_END)
            if 0 <= end <= self._short_bytes:
                # Fast path for nearly every request: the head has arrived completely, and is short.
                self._feed(data[: end + 4])
                self._size = end + 4
                self.head = self._finished()
                return end + 4
        elif not self._size:
            # RFC 9112, section 2.2: empty lines before a request line are ignored.
            while data[start : start + 1] in (b"\r", b"\n"):
                start += 1
        end = self._end_in(data, start)
        stop = len(data) if end < 0 else end
        self._parse(data[start:stop])
        self._size += stop - start
        if end < 0:
            self._last_bytes = (self._last_bytes + data[max(start, stop - 3) : stop])[-3:]
        else:
            self.head = self._finished()
        return stop

    def _end_in(self, data: bytes, start: int) -> int:
        """Return where the head ends in the data, or -1. The end marker may begin in earlier data."""
        last = self._last_bytes
        if last:
            found = (last + data[start : start + 3]).find(_END)
            if found >= 0:
                return start + found + 4 - len(last)
        found = data.find(_END, start)
        return found + 4 if found >= 0 else -1

    def _parse(self, part: bytes) -> None:
        """Parse a part of the head. Before refusing one that is too long, parse up to the limit: it may be invalid."""
        if not self._max_bytes:
            room = self._max_target_bytes + _AROUND_TARGET - self._size
            line_end = part.find(b"\n", 0, room)
            if line_end >= 0:
                self._max_bytes = self._size + line_end + 1 + self._max_header_bytes
            elif len(part) > room:
                self._feed(part[:room])
                raise self._target_too_long()
        if self._max_bytes and self._size + len(part) > self._max_bytes:
            self._feed(part[: self._max_bytes - self._size])
            raise RequestError(431, f"The headers are longer than {self._max_header_bytes} bytes")
        self._feed(part)

    def _feed(self, part: bytes) -> None:
        try:
            self._parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            # A request to upgrade the protocol: RFC 9110, section 7.8, allows a server to ignore it.
            pass
        except httptools.HttpParserCallbackError:
            raise RequestError(431, f"The request has more than {_MAX_HEADERS:,} headers") from None
        except httptools.HttpParserError:
            raise RequestError(400, _NOT_HTTP) from None

    def _target_too_long(self) -> RequestError:
        return RequestError(414, f"The target is longer than {self._max_target_bytes} bytes")

    def _finished(self) -> Head:
        callbacks, parser = self._callbacks, self._parser
        if not callbacks.is_complete:
            raise RequestError(400, _NOT_HTTP)
        if len(callbacks.target) > self._max_target_bytes:
            raise self._target_too_long()
        version: str = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise RequestError(400, f"HTTP/{version} is not supported; use HTTP/1.1 or HTTP/1.0")
        content_length: int | None = None
        codings: list[bytes] = []
        keep_alive, expects_continue = version == "1.1", False
        hosts = 0
        for name, value in callbacks.headers:
            if name == b"content-length":
                if len(value) > _MAX_LENGTH_DIGITS:
                    raise RequestError(400, _NOT_HTTP)
                content_length = int(value)
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
            elif name == b"connection":
                keep_alive = keep_alive and b"close" not in _options(value)
            elif name == b"expect":
                expects_continue = version == "1.1" and value.strip().lower() == b"100-continue"
            elif name == b"host":
                hosts += 1
        if hosts > 1:
            # RFC 9112, section 3.2: whoever read the other one would see another request.
            raise RequestError(400, "The header Host was sent more than once")
        if not hosts and version == "1.1":
            # By the same section. Proxies refuse it too, and every client library sends the header.
            raise RequestError(400, "The header Host is missing; HTTP/1.1 requires it")
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise RequestError(400, "The only Transfer-Encoding that is understood is chunked, in HTTP/1.1")
        return Head(
            parser.get_method().decode("ascii"),
            callbacks.target,
            version,
            callbacks.headers,
            content_length,
            bool(codings),
            keep_alive,
            expects_continue,
        )


def _options(value: bytes) -> list[bytes]:
    return [option.strip() for option in value.lower().split(b",")]


def split_target(head: Head) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """Return path and query of the target, as sent, and the headers. Raises RequestError for another target than a path
    or a URL.
    """
    target, headers = head.target, head.headers
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query, headers
    try:
        url: Any = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise RequestError(400, _NOT_HTTP) from None
    if url.host is not None:
        # RFC 9112, section 3.2.2: the header Host is ignored.
        host = _AROUND_HOST.split(target)[1].rpartition(b"@")[2]
        headers = [(b"host", host), *(header for header in headers if header[0] != b"host")]
    return url.path or b"/", url.query or b"", headers


_AROUND_HOST = re.compile(rb"://|[/?#]")
