"""A server that answers as no server should: one hostile behaviour, for every request or for those of a pattern.

What the pattern leaves out goes to a healthy server behind it, so that a check gets past its beginning first.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.contracts.guard.wire import read_request

CERTIFICATE = Path(__file__).parents[1] / "contracts" / "guard" / "tls" / "loopback.pem"
"""For `localhost` and 127.0.0.1, signed by itself: a client trusts it where it names it as its CA bundle."""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_NOT_SENT_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})

Say = Callable[[socket.socket, threading.Event], None]
"""Answers over a connection. The event is set when the server ends: who waits, waits for it."""


def endless_header_lines(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK)
    _endlessly(connection, over, b"X-More: and more\r\n" * 1_000)


def endless_header_line(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"X-Long: ")
    _endlessly(connection, over, b"x" * 65_536)


def endless_status_line(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    _endlessly(connection, over, b"x" * 65_536)


def endless_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"\r\n")
    _endlessly(connection, over, b" " * 65_536)


def endless_chunks(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    _endlessly(connection, over, b"1000\r\n" + b" " * 4096 + b"\r\n")


def endless_chunk_extension(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n1;")
    _endlessly(connection, over, b"x" * 65_536)


def endless_trailers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    _endlessly(connection, over, b"X-More: and more\r\n" * 1_000)


def negative_chunk(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n")
    over.wait()


def slow_head(connection: socket.socket, over: threading.Event) -> None:
    _byte_by_byte(connection, over, OK + b"X-Slow: " + b"x" * 100_000)


def slow_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 100000\r\n\r\n")
    _byte_by_byte(connection, over, b" " * 100_000)


def gzip_bomb(connection: socket.socket, over: threading.Event) -> None:
    """1 MiB that unpacks to 1 GiB."""
    packed = _bomb()
    connection.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)


def json_bomb(connection: socket.socket, over: threading.Event) -> None:
    """Few bytes, many objects."""
    body = b"[" + b"[]," * 4_000_000 + b"[]]"
    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def deep_json(connection: socket.socket, over: threading.Event) -> None:
    body = b"[" * 200_000
    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def redirect_elsewhere(connection: socket.socket, over: threading.Event) -> None:
    """To another origin that is this server too, so that whoever follows is seen among its requests."""
    location = b"http://localhost:%d/elsewhere" % connection.getsockname()[1]
    connection.sendall(b"HTTP/1.1 307 Elsewhere\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")


def length_too_long(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n{}")
    _hang_up(connection)


def length_too_long_and_silent(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n{}")
    over.wait()


def length_too_short(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n")


def length_of_an_exabyte(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000000000000000000\r\n\r\n{}")
    over.wait()


def length_that_is_no_number(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: -2\r\n\r\n{}")
    over.wait()


def two_lengths(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")
    over.wait()


def reset_in_the_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK[:20])
    _reset(connection)


def reset_in_the_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n" + b" " * 500)
    _reset(connection)


def not_http(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-Open\x1b[31mSSH\x1b]0;title\x07\r\n")
    over.wait()


def binary(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(bytes(range(256)) * 64)
    _hang_up(connection)


def informational_flood(connection: socket.socket, over: threading.Event) -> None:
    _endlessly(connection, over, b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)


def early_hints_flood(connection: socket.socket, over: threading.Event) -> None:
    _endlessly(connection, over, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1_000)


def switching_protocols(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    _endlessly(connection, over, b"\x81\x05hello" * 1_000)


def retry_after_a_year(connection: socket.socket, over: threading.Event) -> None:
    body = b'{"detail": "slow down"}'
    head = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 31536000\r\nContent-Type: application/json\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def unavailable_for_a_year(connection: socket.socket, over: threading.Event) -> None:
    body = b'{"detail": "come back"}'
    head = b"HTTP/1.1 503 Later\r\nRetry-After: 31536000\r\nContent-Type: application/json\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def closes_at_once(connection: socket.socket, over: threading.Event) -> None:
    _hang_up(connection)


def hostile_text(connection: socket.socket, over: threading.Event) -> None:
    """What would move a cursor, run as a script or break out of a quote, wherever a server can say something."""
    text = "\x1b]0;title\x07\x1b[2J\u202egnp.\x85\x00</script><script>alert(1)</script>'\"><img src=x onerror=alert(1)>"
    body = text.encode() + b"\xed\xa0\x80\xff"
    connection.sendall(
        b"HTTP/1.1 500 \x1b[31m" + text.encode() + b"\r\nX-\x1b: no\r\nX-Text: " + text.encode() + b"\r\n"
        b"Content-Type: text/html; charset=\x1b[0m\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


# What fails before a request can be sent


def silent_handshake(connection: socket.socket, over: threading.Event) -> None:
    """Takes the client's greeting, and says nothing."""
    connection.recv(65_536)
    over.wait()


def slow_handshake(connection: socket.socket, over: threading.Event) -> None:
    """The first bytes of a TLS record, one a second."""
    connection.recv(65_536)
    _byte_by_byte(connection, over, b"\x16\x03\x03\x40\x00" + bytes(16_384))


def reset_in_the_handshake(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65_536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00")
    _reset(connection)


def plain_text_in_the_handshake(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")
    over.wait()


def tls_cut_in_the_answer(connection: socket.socket, over: threading.Event) -> None:
    """Half of an answer, and then bytes that are no TLS."""
    with _tls_server().wrap_socket(connection, server_side=True) as secure:
        read_request(secure)
        secure.sendall(OK + b"Content-Length: 1000\r\n\r\n" + b" " * 500)
        raw = socket.socket(fileno=secure.detach())
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xff" * 32)
        _hang_up(raw)


def reset_in_a_tls_answer(connection: socket.socket, over: threading.Event) -> None:
    with _tls_server().wrap_socket(connection, server_side=True) as secure:
        read_request(secure)
        secure.sendall(OK + b"Content-Length: 1000\r\n\r\n" + b" " * 500)
        _reset(socket.socket(fileno=secure.detach()))


TO_A_REQUEST: tuple[Say, ...] = (
    endless_header_lines,
    endless_header_line,
    endless_status_line,
    endless_body,
    endless_chunks,
    endless_chunk_extension,
    endless_trailers,
    negative_chunk,
    slow_head,
    slow_body,
    gzip_bomb,
    json_bomb,
    deep_json,
    redirect_elsewhere,
    length_too_long,
    length_too_long_and_silent,
    length_too_short,
    length_of_an_exabyte,
    length_that_is_no_number,
    two_lengths,
    reset_in_the_head,
    reset_in_the_body,
    not_http,
    binary,
    informational_flood,
    early_hints_flood,
    switching_protocols,
    retry_after_a_year,
    unavailable_for_a_year,
    silent,
    closes_at_once,
    hostile_text,
)
TO_A_CONNECTION: tuple[Say, ...] = (
    silent_handshake,
    slow_handshake,
    reset_in_the_handshake,
    plain_text_in_the_handshake,
    tls_cut_in_the_answer,
    reset_in_a_tls_answer,
)
BEHAVIOURS = {say.__name__: say for say in (*TO_A_REQUEST, *TO_A_CONNECTION)}


class HostileServer:
    """Speaks TLS, as far as it does, where the behaviour is one of a connection. `behind` is the URL of the healthy
    server that gets all requests of which `where` (searched for in `METHOD target`) says nothing.
    """

    def __init__(self, say: Say, *, behind: str | None = None, where: str = "") -> None:
        self._say = say
        self._behind = None if behind is None else urlsplit(behind)
        self._where = re.compile(where)
        self._over = threading.Event()
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a connection
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._say in TO_A_CONNECTION else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._say in TO_A_CONNECTION:
                self._say(connection, self._over)
                return
            while request := read_request(connection):
                self.requests.append(request)
                what = request.partition(b" HTTP/")[0].decode("latin-1")
                if self._behind is None or self._where.search(what):
                    self._say(connection, self._over)
                else:
                    connection.sendall(self._healthy(request))

    def _healthy(self, request: bytes) -> bytes:
        """What the server behind answers."""
        assert self._behind is not None
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = line.partition(" ")
        headers = dict(each.split(": ", 1) for each in lines if ": " in each)
        behind = http.client.HTTPConnection(self._behind.hostname or "", self._behind.port or 80, timeout=60)
        try:
            behind.request(method, rest.rpartition(" ")[0], body or None, headers)
            reply = behind.getresponse()
            content = reply.read()
        finally:
            behind.close()
        kept = [f"{name}: {value}" for name, value in reply.getheaders() if name.lower() not in _NOT_SENT_ON]
        length = reply.getheader("content-length", "0") if method == "HEAD" else str(len(content))
        told = [f"HTTP/1.1 {reply.status} {reply.reason}", *kept, f"Content-Length: {length}", "", ""]
        return "\r\n".join(told).encode("latin-1") + content


def _endlessly(connection: socket.socket, over: threading.Event, piece: bytes) -> None:
    while not over.is_set():
        connection.sendall(piece)


def _byte_by_byte(connection: socket.socket, over: threading.Event, all_of_it: bytes) -> None:
    for byte in all_of_it:
        connection.sendall(bytes([byte]))
        if over.wait(1):
            return


def _hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(bytes(1024**3), 1)


def _tls_server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
