"""A server that says exactly the bytes it is told to, for answers that no HTTP library would send."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Say = Callable[[socket.socket, bytes], None]


class Wire:
    """Each connection is read up to the end of a request's headers and body, then `says[n]` for the n-th request; the
    last one is for all that follow. A connection stays open until its `say` closes it.
    """

    def __init__(self, *says: Say | bytes, context: ssl.SSLContext | None = None) -> None:
        self._says = says
        self._context = context
        self._lock = threading.Lock()
        self.requests: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a connection
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while request := read_request(connection):
                with self._lock:
                    say = self._says[min(len(self.requests), len(self._says) - 1)]
                    self.requests.append(request)
                if isinstance(say, bytes):
                    connection.sendall(say)
                else:
                    say(connection, request)
        except OSError:
            connection.close()


def read_request(connection: socket.socket) -> bytes:
    raw = b""
    while b"\r\n\r\n" not in raw:
        if not (chunk := connection.recv(65536)):
            return b""
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def ok(body: bytes = b"{}", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def then_close(raw: bytes) -> Say:
    def say(connection: socket.socket, _: bytes) -> None:
        connection.sendall(raw)
        hang_up(connection)

    return say


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def close(connection: socket.socket, _: bytes) -> None:
    hang_up(connection)
