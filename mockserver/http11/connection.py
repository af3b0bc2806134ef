"""One connection: reads only as much as it can answer.

A request is read only when the one before it has been answered. Pipelined data waits in the buffer, and reading is
paused. Every wait for the client has a timeout: for a head, for the next bytes of a body, for the next request, and for
the client to read more of an answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.server import ServerState

from mockserver.http11.address import address
from mockserver.http11.body import BodyReader, ChunkedBody, SizedBody
from mockserver.http11.errors import RequestError
from mockserver.http11.exchange import MAX_DISCARDED_BYTES, Exchange, error_answer
from mockserver.http11.flow_control import FlowControl, unacknowledged_bytes
from mockserver.http11.head import Head, HeadReader, split_target
from mockserver.http11.room import Delay, make_room
from mockserver.scope_keys import CONNECTION_KEY

if TYPE_CHECKING:
    from mockserver.http11.factory import ConnectionFactory

_log = logging.getLogger("mockserver.http")

_SLICE_BYTES = 65_536
"""A chunked body is decoded in slices of this size, so that the event loop can serve others between them."""
_MAX_JOINED_BYTES = 8_192
"""A longer body is not joined with its head into one buffer."""
_LINGER_S = 2.0
"""How long a client that has the last answer may go on sending before its connection is aborted."""
_ASGI = {"version": "3.0", "spec_version": "2.4"}


class Connection(asyncio.Protocol):
    """Its state, unless it is closing, follows from its exchange:

    - None: it waits for the head of a request, and is idle until the first byte of one has come
    - one with a `body_reader`: it reads the body; the application runs, and may have answered already
    - one without: the request has been read completely, but not answered
    """

    _transport: asyncio.Transport
    flow: FlowControl

    def __init__(
        self,
        factory: ConnectionFactory,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.loop = loop
        self._factory = factory
        self._limits = factory.limits
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._buffer = b""
        self._head_reader = self._new_head_reader()
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None  # handles the last request
        self.delay: Delay | None = None  # of the exchange
        self.has_eof = False  # the client has closed its sending side
        self._is_closing = False  # no further request will be answered
        self.is_refused = False  # it does not count as open, since it is closed soon
        self._is_reading = True
        self._is_continued = False  # `_continue` is scheduled to read the rest of the buffer
        self.idle_since = loop.time()
        """When the connection was opened, or its last request was over."""
        self._read_deadline = math.inf
        """By when the client must have sent something; infinity if it need not send."""

    # --- Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.max_response_buffer)
        self.flow = FlowControl(self._transport, self._limits.send_timeout)
        self._same_in_all_scopes = {
            "type": "http",
            "asgi": _ASGI,
            "server": address(transport.get_extra_info("sockname")),
            "client": address(transport.get_extra_info("peername")),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": self._config.root_path,
        }
        most = min(self._limits.max_connections, self._config.limit_concurrency or self._limits.max_connections)
        self.is_refused = not make_room(self._factory.connections, most)
        # uvicorn only calls its `shutdown`.
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._factory.add(self)
        self._read_deadline = self.loop.time() + self._limits.head_timeout
        if self.is_refused:
            self._refuse(RequestError(503, f"{most} connections are open, and no more are taken"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self._factory.connections.discard(self)
        self._is_closing = True
        self._buffer = b""
        if self._exchange is not None:
            self._exchange.leave()
        if self._task is not None:
            self._factory.abandoned.add(self._task)
        self._exchange = self._task = None  # without reference cycles, all this is freed at once
        self.flow.resume()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        self._buffer = self._buffer + data if self._buffer else data
        self.advance()

    def eof_received(self) -> bool:
        """The client may still read after it has closed its sending side: answer its requests before closing."""
        if self._is_closing:
            return False
        self.has_eof = True
        if self._exchange is not None and self._exchange.leaves_at_eof:
            self._exchange.leave()
            return False
        self.advance()
        return True

    def pause_writing(self) -> None:
        self.flow.pause()

    def resume_writing(self) -> None:
        self.flow.resume()
        if not self._is_closing:
            self.flow.deadline = math.inf

    # --- Called by the server

    def shutdown(self) -> None:
        """Close the connection, after the current answer if there is one."""
        exchange = self._exchange
        if exchange is None or exchange.is_answered:
            self._close(lingers=False)
        elif exchange.leaves_at_eof:
            exchange.leave()
            self._close(lingers=False)
        else:
            exchange.keep_alive = False

    # --- Called by the timer of the factory

    @property
    def deadline(self) -> float:
        return min(self._read_deadline, self.flow.deadline)

    def check(self, now: float) -> None:
        """Handle the deadlines that have passed."""
        flow = self.flow
        flow.extend_deadline(now)
        lingers = self._is_closing and not self._transport.is_closing()
        if lingers and not flow.unacknowledged and self._read_deadline == math.inf:
            self._read_deadline = now + _LINGER_S
        if self.deadline > now:
            return
        if self._is_closing or flow.deadline <= now:
            self.abort()
        elif self.is_idle:
            self._close(lingers=False)
        else:
            self._refuse(RequestError(408, "The rest of the request did not come in time"))

    # --- Asked when another connection needs its place (`room.py`)

    @property
    def is_idle(self) -> bool:
        return self._exchange is None and not self._head_reader.has_begun and not self._is_closing

    @property
    def stalled_since(self) -> float:
        """Since when the mock has waited for the rest of a request; infinity if it does not wait.

        For a head, since it began. For a body, since its last part, or since it began if that is long ago.
        """
        if self.is_idle or self._is_closing or self._read_deadline == math.inf:
            return math.inf
        if self._exchange is None:
            return self._read_deadline - self._limits.head_timeout
        last_part, body_since = self._read_deadline - self._limits.body_timeout, self._exchange.body_since
        return last_part if last_part < body_since + self._limits.body_timeout else body_since

    @property
    def leaves_at_eof(self) -> bool:
        return self._exchange is not None and self._exchange.leaves_at_eof

    @property
    def is_over(self) -> bool:
        """Whether the client has its answer, and all that it may still send is dropped."""
        is_answered = self._is_closing or (self._exchange is not None and self._exchange.is_answered)
        return is_answered and not unacknowledged_bytes(self._transport)

    @property
    def has_sent_everything(self) -> bool:
        """Whether closing the connection would lose nothing: the system sends what it has."""
        return not self._transport.get_write_buffer_size()

    # --- Reading

    def _new_head_reader(self) -> HeadReader:
        limits = self._limits
        return HeadReader(max_target_bytes=limits.max_target_bytes, max_header_bytes=limits.max_header_bytes)

    def advance(self) -> None:
        """Process the buffer until it must wait for the application or the client."""
        try:
            while self._buffer and not self._is_closing and not self._is_continued:
                exchange = self._exchange
                if exchange is None:
                    self._read_head()
                elif exchange.body_reader is None or exchange.is_ahead:
                    break
                else:
                    self._read_body(exchange, exchange.body_reader)
        except RequestError as error:
            self._refuse(error)
        except MemoryError:
            self._refuse(RequestError(503, "There was not enough memory to read the request"))
        if self._is_closing:
            return
        exchange = self._exchange
        if self.has_eof and not self._buffer and (exchange is None or exchange.body_reader is not None):
            self.end()  # no more will come
        is_ahead = exchange is not None and exchange.is_ahead
        if is_ahead:
            # It waits for the application, not for the client.
            self._read_deadline = math.inf
        self._set_reading(not self._buffer and not is_ahead)

    def _read_head(self) -> None:
        reader, buffer = self._head_reader, self._buffer
        is_first_part = not reader.has_begun
        taken = reader.feed(buffer)
        if reader.head is None:
            self._buffer = b""
            if is_first_part:
                self._read_deadline = self.loop.time() + self._limits.head_timeout
            return
        exchange = self._exchange = Exchange(self, reader.head, self._scope(reader.head))
        self._head_reader = self._new_head_reader()
        self._begin_body(exchange, buffer, taken)
        # A copy per request: later requests must not see the context variables that this one sets.
        context = self._factory.context.copy()
        self._task = task = self.loop.create_task(exchange.run(self._config.loaded_app), context=context)
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def _begin_body(self, exchange: Exchange, buffer: bytes, at: int) -> None:
        """Take the body, which begins at this place of the buffer, if all of it has arrived; else begin to read it."""
        head = exchange.head
        length = head.content_length or 0
        if head.is_chunked or length > len(buffer) - at:
            self._buffer = buffer[at:]
            most = self._limits.max_header_bytes
            exchange.body_reader = ChunkedBody(max_trailer_bytes=most) if head.is_chunked else SizedBody(length)
            exchange.body_since = self.loop.time()
            self._read_deadline = exchange.body_since + self._limits.body_timeout
        else:
            # Fast path for nearly every request: the body has arrived with the head.
            self._buffer = buffer[at + length :]
            self._read_deadline = math.inf
            exchange.add_body(buffer[at : at + length])

    def _read_body(self, exchange: Exchange, reader: BodyReader) -> None:
        part, taken = reader.feed(self._buffer[:_SLICE_BYTES] if exchange.head.is_chunked else self._buffer)
        self._buffer = self._buffer[taken:]
        if reader.is_complete:
            exchange.body_reader = None
        exchange.add_body(part)
        self._wait_for_body(exchange)
        if exchange.is_answered:
            self._end_exchange(exchange)
        if self._buffer and not reader.is_complete:
            self._is_continued = True
            self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._is_continued = False
        self.advance()

    def _end_exchange(self, exchange: Exchange) -> None:
        """After an answer, go on once the body is read completely; close if too much of an unread body was sent."""
        if not exchange.is_body_read and exchange.body_bytes > MAX_DISCARDED_BYTES:
            self._close()
        elif exchange.body_reader is None:
            self._exchange = None
            self.flow.end_answer()
            self.idle_since = self.loop.time()
            self._read_deadline = self.idle_since + self._limits.keep_alive_timeout

    def _wait_for_body(self, exchange: Exchange) -> None:
        is_over = exchange.body_reader is None
        self._read_deadline = math.inf if is_over else self.loop.time() + self._limits.body_timeout

    def _set_reading(self, wanted: bool) -> None:
        if wanted != self._is_reading:
            self._is_reading = wanted
            if wanted:
                if self._exchange is not None and not self._is_closing:
                    self._wait_for_body(self._exchange)
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _scope(self, head: Head) -> dict[str, Any]:
        path, query, headers = split_target(head)
        text = path.decode("ascii")
        root_path = self._config.root_path
        scope: dict[str, Any] = {
            **self._same_in_all_scopes,
            "http_version": head.version,
            "method": head.method,
            "path": root_path + (unquote(text) if "%" in text else text),
            "raw_path": root_path.encode() + path,
            "query_string": query,
            "headers": headers,
            CONNECTION_KEY: self,
        }
        if self._app_state:
            scope["state"] = self._app_state.copy()
        return scope

    # --- Called by an exchange

    @property
    def default_lines(self) -> bytes:
        return self._factory.default_lines(self._server_state.default_headers)

    def write(self, parts: list[bytes]) -> None:
        if self._transport.is_closing():
            return
        if len(parts) > 1 and len(parts[1]) <= _MAX_JOINED_BYTES:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    def has_answered(self, exchange: Exchange) -> None:
        self._server_state.total_requests += 1
        if not exchange.keep_alive:
            self._close()
            return
        self._end_exchange(exchange)
        if self._buffer or self.has_eof or not self._is_reading:
            self.advance()

    # --- Called by an application that disturbs its connection on purpose

    def reset(self) -> None:
        """End the connection at once, with a TCP reset."""
        if self._exchange is not None:
            self._exchange.leave()
        self._is_closing = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # SO_LINGER with a timeout of 0: closing the socket sends a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def leave_at_eof(self) -> None:
        """Treat a client that closes its sending side as gone: for an exchange that never ends by itself."""
        if self._exchange is not None:
            self._exchange.leaves_at_eof = True
            if self.has_eof:
                self._exchange.leave()

    def end(self) -> None:
        """Close the connection after everything that was written has been sent."""
        if self._exchange is not None:
            self._exchange.leave()
        self._close()

    # --- Closing

    def abort(self) -> None:
        self._transport.abort()

    def _refuse(self, error: RequestError) -> None:
        """Answer with an error and close: where the next request begins is unknown.

        If an answer has begun, abort the connection instead; if it is complete, only close.
        """
        exchange = self._exchange
        if exchange is not None:
            exchange.leave()
            if exchange.is_answered:
                self._close()
                return
            if exchange.is_head_sent:
                self.abort()
                return
        _log.debug("refused with %d: %s", error.status, error.detail)
        self.write([error_answer(error.status, error.detail, self.default_lines)])
        self._close()

    def _close(self, *, lingers: bool = True) -> None:
        """Close the connection after everything that was written has been sent.

        If it `lingers`, it first reads and drops what the client still sends, until a while after the client has read
        the answer. Closing a connection with unread bytes resets it, and the client can lose the answer.
        """
        if self._is_closing:
            if not lingers:
                self._transport.close()
            return
        self._is_closing = True
        self._buffer = b""
        self._read_deadline = math.inf
        self.flow.set_deadline()
        if lingers and not self.has_eof and self._transport.can_write_eof():
            self._transport.write_eof()
            self._set_reading(True)
        else:
            self._transport.close()
