"""One request and its answer, as an ASGI application sees them: `receive` and `send`."""

from __future__ import annotations

import asyncio
import http
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from mockserver.http11.errors import ClientDisconnected
from mockserver.http11.head import Head

if TYPE_CHECKING:
    from mockserver.http11.connection import Connection

_log = logging.getLogger("mockserver.http")

_NO_TOKEN = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(100, 600)}


class Exchange:
    """Runs the application for one request. The connection brings the body and takes the answer."""

    __slots__ = (
        "_body",
        "_body_has_come",
        "_connection",
        "_event",
        "_is_bodiless",
        "_is_chunked",
        "_left",
        "_start",
        "head",
        "is_answered",
        "is_body_read",
        "is_gone",
        "is_head_sent",
        "keep_alive",
        "scope",
        "waits_for_continue",
    )

    def __init__(self, connection: Connection, head: Head, scope: dict[str, Any]) -> None:
        self._connection = connection
        self.head = head
        self.scope = scope
        self.keep_alive = head.keep_alive
        self.waits_for_continue = head.expects_continue
        self._body: list[bytes] = []
        self._body_has_come = False
        self._event: asyncio.Event | None = None  # set when there is something for `receive`
        self.is_body_read = False
        self.is_gone = False  # the client has, or will not send the rest of its request
        self._start: Any = None
        self.is_head_sent = False
        self.is_answered = False
        self._is_chunked = False
        self._is_bodiless = False
        self._left: int | None = None  # of the content-length that the application has set

    # --- What the connection calls

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
        except MemoryError:
            _log.error("no memory for %s %s", self.head.method, self.scope["path"])
            await self._fail(503, "There was not enough memory to handle the request")
            return
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the traceback
            _log.exception("the application failed at %s %r", self.head.method, self.scope["path"])
            await self._fail(500, "Internal Server Error")
            return

    def add_body(self, part: bytes, *, is_last: bool) -> None:
        if part and not self.is_answered:
            self._body.append(part)
        self._body_has_come = is_last
        self._wake()

    def leave(self) -> None:
        """The client has gone, or the rest of its request will not come."""
        self.is_gone = True
        self._wake()

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()

    @property
    def bytes_waiting(self) -> int:
        return sum(map(len, self._body))

    async def _fail(self, status: int, detail: str) -> None:
        if self.is_gone or self.is_answered:
            return
        if self.is_head_sent:
            # What was promised cannot be kept: the client sees that the answer is not whole.
            self._connection.abort()
            return
        self._start = None
        self.keep_alive = False
        await self.send({"type": "http.response.start", "status": status, "headers": [JSON_TYPE]})
        await self.send({"type": "http.response.body", "body": error_body(detail)})

    # --- ASGI

    async def receive(self) -> dict[str, Any]:
        if self.waits_for_continue and not self._body_has_come and not self.is_gone:
            self.waits_for_continue = False
            self._connection.write([b"HTTP/1.1 100 Continue\r\n\r\n"])
        while not (self._body or (self._body_has_come and not self.is_body_read) or self.is_gone or self.is_answered):
            self._event = asyncio.Event()
            self._connection.wants_body()
            await self._event.wait()
        if self.is_gone or self.is_answered:
            return {"type": "http.disconnect"}
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self.is_body_read = self._body_has_come
        return {"type": "http.request", "body": body, "more_body": not self.is_body_read}

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
            return
        if kind != "http.response.body" or self._start is None or self.is_answered:
            raise RuntimeError(f"an application may not send {kind} here")
        connection = self._connection
        if connection.is_write_paused:
            await connection.drained()
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
        if self._left is not None and not self._is_bodiless:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the answer is not as long as its content-length")
        if parts:
            connection.write(parts)
        if is_last:
            self.is_answered = True
            self._wake()
            connection.has_answered(self)

    def _head(self, length: int | None) -> bytes:
        """`length` is None where more of the body follows. Raises: RuntimeError for a header that cannot be one."""
        head = self.head
        status: int = self._start["status"]
        lines = [_STATUS_LINES[status]]
        for header in self._connection.default_headers:
            lines.append(b"%b: %b\r\n" % header)
        for header in self._start.get("headers", ()):
            name, value = header
            if name == b"content-length":
                self._left = int(value)
            elif name != b"content-type" and (_NO_TOKEN.search(name) or _CONTROL.search(value)):
                raise RuntimeError(f"{name!r}: {value!r} cannot be a header")
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines.append(b"%b: %b\r\n" % header)
        self._is_bodiless = head.method == "HEAD" or status in _BODILESS
        if self._left is None and not self._is_bodiless:
            if length is not None:
                self._left = length
                lines.append(b"content-length: %d\r\n" % length)
            elif head.version == "1.1":
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if not self.is_body_read and self._connection.is_too_long_to_discard(head.content_length or 0):
            self.keep_alive = False
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(lines)


JSON_TYPE = (b"content-type", b"application/json")


def error_body(detail: str) -> bytes:
    return json.dumps({"detail": detail}, ensure_ascii=False, separators=(",", ":")).encode()


def error_answer(status: int, detail: str) -> bytes:
    """A whole answer, behind which the connection is closed."""
    body = error_body(detail)
    head = b"%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (_STATUS_LINES[status], len(body)) + body
