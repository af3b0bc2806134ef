"""Reads one HTTP answer from a connection (RFC 9112) within bounds, and describes what is wrong with an invalid one.

h11 would parse answers too, but it refuses requests that the suite must send (targets beyond ASCII, folded header
values), does not limit lines, headers and interim answers separately, and does not say which bytes are invalid.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from contracts.core.exchange import Answer, Headers, header_in
from contracts.guard.bounds import Bounds
from contracts.guard.connection import Closed, Connection, Cut, DeadlinePassed, ExchangeFailed, printable_excerpt
from contracts.guard.content_coding import inflated

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.(\d)[ \t]+([1-9]\d\d)(?:[ \t].*)?")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_CHUNK_LINE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_LENGTH: Final = re.compile(r"[0-9]{1,19}")
_STATUSES_WITHOUT_BODY: Final = frozenset({204, 304})
_SMALL_BODY_BYTES: Final = 1024 * 1024
"""JSON values are not counted in a body of at most this size: it cannot hold 4 million, the default `json_values`."""


class AnswerReader:
    """Reads a single answer. After `read`, `ends_connection` says whether the connection cannot be reused."""

    def __init__(self, connection: Connection, bounds: Bounds) -> None:
        self._connection = connection
        self._bounds = bounds
        self._head_left = bounds.head_bytes
        self.has_begun = False
        self.ends_connection = True

    def read(self, method: str) -> Answer:
        """Raises ExchangeFailed."""
        try:
            status, headers, minor = self._read_head()
        except (Cut, DeadlinePassed) as error:
            raise type(error)(self._head_error_text(error)) from None
        body = bytearray()
        try:
            delimited = self._read_body(method, status, headers, body)
        except (Cut, DeadlinePassed) as error:
            detail = f", {error}" if isinstance(error, Cut) and not isinstance(error, Closed) else ""
            verb = "was cut" if isinstance(error, Cut) else "was not complete in time: it stopped or was too slow"
            length = header_in(headers, "content-length")
            of_length = "" if length is None or _is_chunked(headers) else f" of {printable_excerpt(length, 20)}"
            raise ExchangeFailed(f"the answer {verb} after {len(body)}{of_length} bytes{detail}") from None
        self.ends_connection = not delimited or _closes_connection(headers, minor)
        answer = Answer(status, headers, bytes(body), received_at=datetime.now(UTC))
        decoded = self._decode_content(answer) if body else answer
        self._require_few_json_values(decoded.body)
        return decoded

    # Head

    def _read_head(self) -> tuple[int, Headers, int]:
        for _ in range(self._bounds.interim_answers + 1):
            line = self._read_line()
            match = _STATUS_LINE.fullmatch(line)
            if match is None:
                raise ExchangeFailed(f"the answer is not HTTP: {_describe_start(line)}")
            status, headers = int(match[2]), self._read_headers()
            if status == 101:
                raise ExchangeFailed("the answer is 101, though no other protocol was asked for")
            if status >= 200:
                return status, headers, int(match[1])
        raise ExchangeFailed(f"more than {self._bounds.interim_answers} interim answers (1xx) came and no final one")

    def _read_headers(self) -> Headers:
        lines: list[bytes] = []
        while line := self._read_line():
            if line[0] in b" \t" and lines:
                lines[-1] += b" " + line.strip(b" \t")
                continue
            if len(lines) == self._bounds.header_lines:
                raise ExchangeFailed(f"the answer has more than {self._bounds.header_lines} headers")
            lines.append(line)
        return tuple(map(_parse_header, lines))

    def _read_line(self) -> bytes:
        line = self._connection.line(self._head_left, "the head of the answer")
        self.has_begun = True
        self._head_left -= len(line) + 1
        return line

    def _head_error_text(self, error: ExchangeFailed) -> str:
        if not self.has_begun and not self._connection.has_unread_bytes:
            return "the connection was closed without an answer" if isinstance(error, Closed) else str(error)
        if isinstance(error, DeadlinePassed):
            return "the head of the answer was not complete in time"
        return f"the answer was cut in its head{'' if isinstance(error, Closed) else f': {error}'}"

    # Body

    def _read_body(self, method: str, status: int, headers: Headers, body: bytearray) -> bool:
        """Read the body. Return whether another answer may follow on the connection: not if the body ends where the
        connection is closed, nor if its length is stated in two ways.
        """
        if method == "HEAD" or status in _STATUSES_WITHOUT_BODY:
            return True
        coding = header_in(headers, "transfer-encoding")
        if coding is not None:
            if not _is_chunked(headers):
                raise ExchangeFailed(
                    f"the answer has Transfer-Encoding {printable_excerpt(coding)!r}, which was not asked for"
                )
            self._read_chunks(body)
            return header_in(headers, "content-length") is None
        length = _content_length(headers)
        if length is None:
            while chunk := self._connection.receive():
                self._append(body, chunk)
            return False
        if length > self._bounds.body_bytes:
            raise ExchangeFailed(
                f"the answer announces {length} bytes, more than the {self._bounds.body_bytes} that are read"
            )
        self._read_exactly(length, body)
        return True

    def _read_exactly(self, length: int, body: bytearray) -> None:
        while length:
            chunk = self._connection.receive(length)
            if not chunk:
                raise Closed
            self._append(body, chunk)
            length -= len(chunk)

    def _read_chunks(self, body: bytearray) -> None:
        while True:
            line = self._connection.line(self._bounds.chunk_line_bytes, "a chunk's size")
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise ExchangeFailed(f"the answer has a chunk of size {_quoted(line)}")
            size = int(match[1], 16)
            if not size:
                break
            self._read_exactly(size, body)
            if self._connection.line(self._bounds.chunk_line_bytes, "a chunk"):
                raise ExchangeFailed("the answer has a chunk that is longer than it says")
        self._head_left = self._bounds.head_bytes
        self._read_headers()  # trailers: read and discarded, no check needs them

    def _append(self, body: bytearray, chunk: bytes) -> None:
        body += chunk
        if len(body) > self._bounds.body_bytes:
            raise ExchangeFailed(f"the answer is larger than {self._bounds.body_bytes} bytes")

    def _decode_content(self, answer: Answer) -> Answer:
        """Decode gzip and deflate. A server may use them even though identity was requested.

        An answer that cannot be decoded is returned unchanged. Raises ExchangeFailed if the decoded body is too large.
        """
        coding = (answer.header("content-encoding") or "").strip().lower()
        if coding not in {"gzip", "x-gzip", "deflate"}:
            return answer
        body = inflated(answer.body, self._bounds.body_bytes)
        if body is None:
            return answer
        if len(body) > self._bounds.body_bytes:
            raise ExchangeFailed(f"the answer is larger than {self._bounds.body_bytes} bytes when unpacked")
        kept = tuple(h for h in answer.headers if h[0].lower() not in {"content-encoding", "content-length"})
        return replace(answer, headers=(*kept, ("content-length", str(len(body)))), body=body)

    def _require_few_json_values(self, body: bytes) -> None:
        """Raises ExchangeFailed if parsing the body as JSON would create too many values."""
        most = self._bounds.json_values
        if len(body) > _SMALL_BODY_BYTES and sum(map(body.count, (b",", b"[", b"{"))) > most:
            raise ExchangeFailed(f"the answer has more than {most} values as JSON")


def _parse_header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise ExchangeFailed(f"the answer has a malformed header: {_quoted(line)}")
    return name.decode("ascii"), value.strip(b" \t").decode("latin-1")


def _header_values(headers: Headers, name: str) -> list[str]:
    return [part.strip() for key, value in headers if key.lower() == name for part in value.split(",")]


def _is_chunked(headers: Headers) -> bool:
    return [coding.lower() for coding in _header_values(headers, "transfer-encoding")] == ["chunked"]


def _content_length(headers: Headers) -> int | None:
    lengths = _header_values(headers, "content-length")
    for length in lengths:
        if not _LENGTH.fullmatch(length):
            raise ExchangeFailed(
                f"the answer has Content-Length {printable_excerpt(length, 30)!r}, which is not a length"
            )
    if len(set(lengths)) > 1:
        raise ExchangeFailed(
            f"the answer has more than one Content-Length: {printable_excerpt(', '.join(lengths), 60)}"
        )
    return int(lengths[0]) if lengths else None


def _closes_connection(headers: Headers, minor: int) -> bool:
    options = [option.lower() for option in _header_values(headers, "connection")]
    return "close" in options or (minor == 0 and "keep-alive" not in options)


def _describe_start(line: bytes) -> str:
    if line[:2] in {b"\x15\x03", b"\x16\x03"}:
        return "the server uses TLS, so its URL begins with https"
    return f"it begins with {_quoted(line)}"


def _quoted(line: bytes) -> str:
    return f"'{printable_excerpt(line.decode('latin-1'), 40)}'"
