"""Reads the body of a request, by its length or in chunks, from a stream that may be split anywhere."""

from __future__ import annotations

import re
from typing import Protocol

from mockserver.http11.errors import RequestError

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_MAX_CHUNK_LINE = 1024
_BROKEN = "The body is not chunked as its header says"


class BodyReader(Protocol):
    is_complete: bool

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return the part of the body in the data, and how many bytes of the data belong to the request."""


class SizedBody:
    """A body with a Content-Length."""

    __slots__ = ("_left", "is_complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_complete = not length

    def feed(self, data: bytes) -> tuple[bytes, int]:
        part = data if len(data) <= self._left else data[: self._left]
        self._left -= len(part)
        self.is_complete = not self._left
        return part, len(part)


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1). Chunk extensions and trailers are read and dropped."""

    __slots__ = ("_left", "_line", "_max_trailer_bytes", "_part", "_trailers", "is_complete")

    def __init__(self, *, max_trailer_bytes: int) -> None:
        self._line = b""
        self._left = 0
        self._part = "size"
        self._trailers = 0
        self._max_trailer_bytes = max_trailer_bytes
        self.is_complete = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Raises RequestError (400, 431)."""
        parts: list[bytes] = []
        at = 0
        while at < len(data) and not self.is_complete:
            if self._part == "content":
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._part = "end of content"
            else:
                at = self._feed_line(data, at)
        return b"".join(parts) if len(parts) != 1 else parts[0], at

    def _feed_line(self, data: bytes, at: int) -> int:
        """Consume a line, or the part of it that has arrived. Return the position after it."""
        most = {"size": _MAX_CHUNK_LINE, "end of content": 2, "trailers": self._max_trailer_bytes - self._trailers}
        room = most[self._part] - len(self._line)
        newline = data.find(b"\n", at, at + room)
        stop = newline + 1 if newline >= 0 else min(len(data), at + room)
        self._line += data[at:stop]
        if newline >= 0:
            line, self._line = self._line, b""
            self._process_line(line)
        elif stop - at == room:
            if self._part == "trailers":
                raise RequestError(431, f"The trailers are longer than {self._max_trailer_bytes} bytes")
            raise RequestError(400, _BROKEN)
        return stop

    def _process_line(self, line: bytes) -> None:
        if self._part == "size":
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise RequestError(400, _BROKEN)
            self._left = int(match[1], 16)
            self._part = "content" if self._left else "trailers"
        elif self._part == "end of content":
            if line != b"\r\n":
                raise RequestError(400, _BROKEN)
            self._part = "size"
        else:
            self._trailers += len(line)
            self.is_complete = line == b"\r\n"
            if not line.endswith(b"\r\n"):
                raise RequestError(400, _BROKEN)
