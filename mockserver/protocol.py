"""HTTP as uvicorn reads it, but for what it does by itself, before any application is asked, and for its pace.

What is no HTTP gets a JSON answer, as every other error does. A request that offers to upgrade the connection (Java's
client does, to HTTP/2, with every first request) keeps its body, which the parser would drop.

And a request that has come whole becomes a task only where it has to wait; what comes at once is handled at once, and
each answer leaves in one write. All this together is a third of what a small request costs.
"""

from __future__ import annotations

import asyncio
import re
import types
from collections.abc import Coroutine, Generator
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mockserver.spec import render_json

_UPGRADE = re.compile(rb"^upgrade(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)
# A longer body is handed to the application as it comes, so that one that is too long is refused before it is read.
_AWAITED = 16_384
# A longer body is not copied behind its head; both still leave together.
_COPIED = 8_192


class _Turn:
    """What comes in one turn of the loop is answered together: all is read, then all is handled, then all is written.

    A system call leaves the processor's caches cold, and between two requests that are handled here there is none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._come: list[tuple[Protocol, _Exchange]] = []
        self._answers: list[tuple[asyncio.Transport, list[bytes]]] | None = None

    def add(self, protocol: Protocol, exchange: _Exchange) -> None:
        if not self._come:
            self._loop.call_soon(self._handle)
        self._come.append((protocol, exchange))

    def write(self, transport: asyncio.Transport, answer: list[bytes]) -> None:
        if self._answers is None:
            transport.writelines(answer)
        else:
            self._answers.append((transport, answer))

    def _handle(self) -> None:
        come, self._come = self._come, []
        answers = self._answers = []
        try:
            for protocol, exchange in come:
                protocol.start(exchange)
        finally:
            self._answers = None
            for transport, answer in answers:
                transport.writelines(answer)


_turns: WeakKeyDictionary[ServerState, _Turn] = WeakKeyDictionary()


class Protocol(HttpToolsProtocol):
    _awaited: _Exchange | None = None
    """The exchange whose body is on its way, and which is started when it has come."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        turn = _turns.get(server_state)
        if turn is None:
            turn = _turns[server_state] = _Turn(self.loop)
        self._turn = turn

    def data_received(self, data: bytes) -> None:
        # The offer is taken out of the parser's sight: RFC 9110, section 7.8, lets a server ignore it.
        in_body = self.cycle is not None and self.cycle.more_body
        if not in_body and (b"pgrade" in data or b"PGRADE" in data):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"x-ignored-upgrade", head) + end + rest
        super().data_received(data)

    def on_headers_complete(self) -> None:
        scope = self.scope
        version = self.parser.get_http_version()
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        earlier = self.cycle
        cycle = self.cycle = _Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.turn = self._turn
        if earlier is not None and not earlier.response_complete:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        elif self.expect_100_continue or _body_may_be_long(self.headers):
            self.start(cycle)
        else:
            self._awaited = cycle

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._awaited is not None:
            cycle, self._awaited = self._awaited, None
            self._turn.add(self, cycle)

    def start(self, cycle: _Exchange) -> None:
        """Runs the application until it is done or has to wait; what then remains is a task."""
        answering = cycle.run_asgi(self.app)
        try:
            awaited = answering.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_rest(answering, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def send_400_response(self, msg: str) -> None:
        body = render_json({"detail": msg})
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


def _body_may_be_long(headers: list[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and int(value) > _AWAITED):
            return True
    return False


async def _rest(started: Coroutine[Any, Any, None], awaited: Any) -> None:
    """What remains of a coroutine that has been run up to where it awaits something."""
    await _going_on(started, awaited)


@types.coroutine
def _going_on(started: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the coroutine to bear
                awaited = started.throw(error)
            else:
                awaited = started.send(sent)
    except StopIteration:
        return


class _Exchange(RequestResponseCycle):
    """Holds the head of an answer back until its body is there, and writes both at once where that is all of it."""

    turn: _Turn
    _head: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if message["type"] == "http.response.body" and self._write_whole(head, message):
                return
            await super().send(head)
        await super().send(message)

    def _write_whole(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Whether it has written them: what is not whole or not plain is left to uvicorn."""
        if message.get("more_body") or self.flow.write_paused or self.disconnected or self.scope["method"] == "HEAD":
            return False
        lines = [STATUS_LINE[head["status"]]]
        sized = head["status"] == 204
        for header in (*self.default_headers, *head["headers"]):
            name, value = header
            if name == b"content-length":
                sized = True
            elif name == b"connection":
                return False
            elif name != b"content-type" and HEADER_VALUE_RE.search(value):
                raise RuntimeError(f"the header {name!r} has a value that is none: {value!r}")
            lines.append(b"%b: %b\r\n" % header)
        if not sized:
            return False
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        body: bytes = message["body"]
        if len(body) > _COPIED:
            answer = [b"".join(lines), body]
        else:
            lines.append(body)
            answer = [b"".join(lines)]
        if self.keep_alive:
            self.turn.write(self.transport, answer)
        else:
            self.transport.writelines(answer)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

    async def send_500_response(self) -> None:
        body = render_json({"detail": "Internal Server Error"})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
