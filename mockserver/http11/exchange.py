"""One request and its answer, as an ASGI application sees them: `receive` and `send`."""

from __future__ import annotations

import asyncio
import http
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from mockserver.http11.body import BodyReader
from mockserver.http11.errors import ClientDisconnected
from mockserver.http11.head import Head

if TYPE_CHECKING:
    from mockserver.http11.connection import Connection

_log = logging.getLogger("mockserver.http")

MAX_DISCARDED_BYTES = 262_144
"""The body of a request that was answered early is read and dropped; past this size the connection is closed."""
_AHEAD_BYTES = 65_536
"""How much of a body is read from the client before the application asks for it."""
_NOT_IN_TOKEN = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(100, 600)}


class Exchange:
    """Runs the application for one request. The connection supplies the body and writes the answer."""

    # Most requests never change these defaults. As class attributes they make instances faster than slots would.
    is_answered = False
    is_head_sent = False
    is_gone = False
    """The client is gone, or will not send the rest of its request."""
    leaves_at_eof = False
    """The answer has no end of its own: a client that closes its sending side is gone."""
    body_reader: BodyReader | None = None
    """None once the body has arrived completely."""
    body_since = 0.0
    """Since when it arrives, if it did not arrive with the head."""
    body_bytes = 0
    """How much of it has arrived."""
    is_body_read = False
    """The application has received it completely."""
    _bytes_waiting = 0
    """How much of it has arrived that the application has not received yet."""
    _is_chunked = False
    _is_bodiless = False
    _start: Any = None
    _length_left: int | None = None
    """The bytes of the body still to be sent, by its content-length; None if it has none, or is not sent."""
    _event: asyncio.Event | None = None
    """Set when `receive` can continue."""

    def __init__(self, connection: Connection, head: Head, scope: dict[str, Any]) -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self.head = head
        self.scope = scope
        self.keep_alive = head.keep_alive
        self.waits_for_continue = head.expects_continue

    # --- Called by the connection

    async def run(self, app: Any) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            if not self.is_answered and not self.is_gone:
                raise RuntimeError("the application returned before its answer was whole")
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        except (GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except MemoryError:
            _log.error("no memory for %s %s", self.head.method, self.scope["path"])
            await self._fail(503, "There was not enough memory to handle the request")
            return
        except BaseException:  # noqa: BLE001 - whatever it is (a panic in Rust is not an Exception), there is an answer
            _log.exception("the application failed at %s %r", self.head.method, self.scope["path"])
            await self._fail(500, "Internal Server Error")
            return

    @property
    def is_ahead(self) -> bool:
        """Whether no more of the body is read until the application has received what has arrived."""
        return self._bytes_waiting > _AHEAD_BYTES

    def add_body(self, part: bytes) -> None:
        self.body_bytes += len(part)
        if part and not self.is_answered:
            self._parts.append(part)
            self._bytes_waiting += len(part)
        if self._event is not None:
            self._event.set()

    def leave(self) -> None:
        self.is_gone = True
        if self._event is not None:
            self._event.set()

    async def _fail(self, status: int, detail: str) -> None:
        if self.is_gone or self.is_answered:
            return
        if self.is_head_sent:
            # The head was sent already: abort, so that the client sees that the answer is incomplete.
            self._connection.abort()
            return
        self._start = None
        self.keep_alive = False
        await self.send({"type": "http.response.start", "status": status, "headers": [JSON_TYPE]})
        await self.send({"type": "http.response.body", "body": error_body(detail)})

    # --- ASGI

    async def receive(self) -> dict[str, Any]:
        if self.waits_for_continue and self.body_reader is not None and not self.is_gone:
            self.waits_for_continue = False
            self._connection.write([b"HTTP/1.1 100 Continue\r\n\r\n"])
        while not (
            self._parts or (self.body_reader is None and not self.is_body_read) or self.is_gone or self.is_answered
        ):
            self._event = asyncio.Event()
            self._connection.advance()
            await self._event.wait()
        if self.is_gone or self.is_answered:
            return {"type": "http.disconnect"}
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._bytes_waiting = 0
        self.is_body_read = self.body_reader is None
        return {"type": "http.request", "body": body, "more_body": not self.is_body_read}

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
            return
        if kind != "http.response.body" or self._start is None or self.is_answered:
            raise RuntimeError(f"an application may not send {kind} here")
        connection = self._connection
        if connection.flow.is_paused:
            await connection.flow.drained()
        if self.is_gone:
            raise ClientDisconnected
        body: bytes = message.get("body", b"")
        is_last = not message.get("more_body", False)
        parts: list[bytes] = []
        if not self.is_head_sent:
            parts.append(self._head(len(body) if is_last else None))
            self.is_head_sent = True
        if self._is_chunked:
            if body:
                parts += (b"%x\r\n" % len(body), body, b"\r\n")
            if is_last:
                parts.append(b"0\r\n\r\n")
        elif body and not self._is_bodiless:
            parts.append(body)
        if self._length_left is not None:
            self._length_left -= len(body)
            if self._length_left < 0 or (is_last and self._length_left):
                raise RuntimeError("the answer is not as long as its content-length")
        if parts:
            connection.write(parts)
        if is_last:
            self.is_answered = True
            if self._event is not None:
                self._event.set()
            connection.has_answered(self)

    def _head(self, length: int | None) -> bytes:
        """Render the head. `length` is None if more of the body follows. Raises RuntimeError for an invalid header."""
        head = self.head
        status: int = self._start["status"]
        lines = [_STATUS_LINES[status], self._connection.default_lines]
        length_left: int | None = None
        for header in self._start.get("headers", ()):
            name, value = header
            if name == b"content-length":
                length_left = int(value)
            elif name != b"content-type" and (_NOT_IN_TOKEN.search(name) or _CONTROL.search(value)):
                raise RuntimeError(f"{name!r}: {value!r} cannot be a header")
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines.append(b"%b: %b\r\n" % header)
        self._is_bodiless = head.method == "HEAD" or status in _BODILESS
        if self._is_bodiless:
            length_left = None
        elif length_left is None:
            if length is not None:
                length_left = length
                lines.append(b"content-length: %d\r\n" % length)
            elif head.version == "1.1":
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        self._length_left = length_left
        if not self.is_body_read and (head.content_length or 0) > MAX_DISCARDED_BYTES:
            self.keep_alive = False
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(lines)


JSON_TYPE = (b"content-type", b"application/json")


def error_body(detail: str) -> bytes:
    return json.dumps({"detail": detail}, ensure_ascii=False, separators=(",", ":")).encode()


def error_answer(status: int, detail: str, default_lines: bytes) -> bytes:
    """Render a complete answer, after which the connection closes."""
    body = error_body(detail)
    head = b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (_STATUS_LINES[status], default_lines, len(body)) + body
