"""One connection to the target, plain or TLS, optionally through a proxy tunnel: sends and receives bytes.

The target is not trusted: every read is limited in bytes and by the deadline of the exchange.
"""

import contextlib
import math
import select
import socket
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote

from contracts.core.printable import printable
from contracts.guard.bounds import Bounds

_RECEIVE_BYTES = 256 * 1024
_SEND_BYTES = 64 * 1024


class ExchangeFailed(Exception):
    """The exchange cannot continue; the message says why."""


class Cut(ExchangeFailed):
    """The target closed or reset the connection."""


class Closed(Cut):
    """The target closed the connection. The message says no more than that."""

    def __init__(self, message: str = "the connection was closed") -> None:
        super().__init__(message)


class DeadlinePassed(ExchangeFailed):
    """The deadline of the exchange, or of a step of it, has passed."""


@dataclass(eq=False)
class Connection:
    """`tunnel` is the URL of a proxy. The proxy sees the target's host and port, but not what is sent over TLS."""

    host: str
    port: int
    context: ssl.SSLContext | None
    tunnel: SplitResult | None
    bounds: Bounds
    sock: socket.socket | None = None
    used_at: float = -math.inf
    ends_at: float = math.inf
    """The deadline of the exchange (monotonic)."""
    must_close: bool = False
    """Whether the connection cannot be used for another request."""
    _buffer: bytearray = field(default_factory=bytearray)

    def open(self) -> None:
        """Connect, unless it is connected already. Raises ExchangeFailed."""
        if self.sock is not None:
            return
        try:
            try:
                self.sock = self._connect_tcp()
            except ExchangeFailed as error:
                if self.tunnel is None:
                    raise
                proxy = f"{self.tunnel.hostname}:{self.tunnel.port or 80}"
                raise ExchangeFailed(f"the proxy {proxy} of HTTPS_PROXY: {error}") from None
            if self.tunnel is not None:
                self._open_tunnel(self.tunnel)
            if self.context is not None:
                self.sock = self._wrap_tls(self.context, self.sock)
        except BaseException:
            self.close()
            raise

    def _connect_tcp(self) -> socket.socket:
        host, port = self.host, self.port
        if self.tunnel is not None:
            host, port = self.tunnel.hostname or "", self.tunnel.port or 80
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise ExchangeFailed(f"the host is not known: {error.strerror}") from None
        except UnicodeError:
            raise ExchangeFailed("the host is not known: its name is malformed") from None
        end = time.monotonic() + self.bounds.connect_s
        problem = "the host has no address"
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._remaining_s(end, "no connection"))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except TimeoutError:
                problem = f"no connection within {self.bounds.connect_s:g} s"
            except OSError as error:
                problem = error.strerror or str(error)
            except BaseException:
                sock.close()
                raise
            sock.close()
        raise ExchangeFailed(problem)

    def _open_tunnel(self, tunnel: SplitResult) -> None:
        """Open a tunnel to the target through the proxy (CONNECT). Raises ExchangeFailed."""
        host = f"[{self.host}]" if ":" in self.host else self.host.encode("idna").decode()
        lines = [f"CONNECT {host}:{self.port} HTTP/1.1", f"Host: {host}:{self.port}"]
        if tunnel.username is not None:
            pair = f"{unquote(tunnel.username)}:{unquote(tunnel.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
        previous_end, self.ends_at = self.ends_at, min(self.ends_at, time.monotonic() + self.bounds.connect_s)
        try:
            self.send("\r\n".join([*lines, "", ""]).encode())
            status_line = self.line(self.bounds.head_bytes, "the proxy's answer")
            size = len(status_line)
            while line := self.line(self.bounds.head_bytes - size, "the proxy's answer"):
                size += len(line) + 1
        finally:
            self.ends_at = previous_end
        status_text = status_line.decode("latin-1").partition(" ")[2].strip()
        if not status_text.startswith("2"):
            raise ExchangeFailed(f"the proxy refuses: {printable_excerpt(status_text)}")

    def _wrap_tls(self, context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
        end = time.monotonic() + self.bounds.connect_s
        try:
            sock.settimeout(self._remaining_s(end, "no TLS handshake"))
            return context.wrap_socket(sock, server_hostname=self.host, suppress_ragged_eofs=False)
        except TimeoutError:
            raise ExchangeFailed(f"the TLS handshake was not done within {self.bounds.connect_s:g} s") from None
        except OSError as error:
            raise ExchangeFailed(_error_text(error, "the TLS handshake")) from None

    def _remaining_s(self, end: float, problem: str) -> float:
        """Return the time left until `end` or the deadline of the exchange, whichever is earlier.

        Raises DeadlinePassed, with `problem` in its message.
        """
        left_s = min(end, self.ends_at) - time.monotonic()
        if left_s <= 0:
            raise DeadlinePassed(f"{problem} in time")
        return left_s

    # Bytes

    def send(self, data: bytes) -> None:
        """Raises DeadlinePassed, and Cut if the target no longer reads. It may have sent an answer even then."""
        sock = self._open_socket
        view = memoryview(data)
        try:
            for start in range(0, len(view), _SEND_BYTES):
                sock.settimeout(self._remaining_s(self.ends_at, "the request was not taken"))
                sock.sendall(view[start : start + _SEND_BYTES])
        except TimeoutError:
            raise DeadlinePassed("the request was not taken in time") from None
        except OSError as error:
            raise _cut_by(error) from None

    def receive(self, max_bytes: int = _RECEIVE_BYTES) -> bytes:
        """Return the next bytes, or b"" at the end of the stream. Raises DeadlinePassed, Cut."""
        if self._buffer:
            data = bytes(self._buffer[:max_bytes])
            del self._buffer[:max_bytes]
            return data
        return self._read_socket(max_bytes)

    def _read_socket(self, max_bytes: int) -> bytes:
        sock = self._open_socket
        try:
            sock.settimeout(self._remaining_s(self.ends_at, "no answer"))
            return sock.recv(min(max_bytes, _RECEIVE_BYTES))
        except TimeoutError:
            raise DeadlinePassed("no answer in time") from None
        except OSError as error:
            raise _cut_by(error) from None

    def line(self, max_bytes: int, what: str) -> bytes:
        """Return the next line without its line feed and a preceding carriage return.

        Raises ExchangeFailed if no line feed is within `max_bytes`; `what` names the line in the message.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched, max_bytes)) < 0:
            if len(self._buffer) >= max_bytes:
                raise ExchangeFailed(f"{what} is longer than it may be")
            searched = len(self._buffer)
            if not (data := self._read_socket(65_536)):
                raise Closed
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    @property
    def has_unread_bytes(self) -> bool:
        """Whether bytes were received that were not read yet."""
        return bool(self._buffer)

    @property
    def is_open(self) -> bool:
        """Also False if the server has closed its side or has sent unsolicited bytes."""
        return self.sock is not None and not self._buffer and not _is_readable(self.sock)

    @property
    def _open_socket(self) -> socket.socket:
        if self.sock is None:
            raise Cut("the connection is closed")
        return self.sock

    def abort(self) -> None:
        """Shut down the socket. Called from another thread: the thread that waits for an answer gets an error."""
        if (sock := self.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def printable_excerpt(text: str, max_length: int = 80) -> str:
    """Return text of the target for a message: in one line, without control characters, truncated to `max_length`."""
    plain = printable(text[: max_length + 1])
    return plain if len(plain) <= max_length else plain[:max_length] + "…"


def _cut_by(error: OSError) -> Cut:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Closed()
    return Cut(_error_text(error, "the connection"))


def _error_text(error: OSError, what: str) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate is not trusted: {error.verify_message}"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return f"{what} was closed"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return "TLS failed: wrong version number (if the server speaks no TLS, its URL begins with http://)"
        case ssl.SSLError():
            return f"TLS failed: {(error.reason or 'unknown').lower().replace('_', ' ')}"
        case ConnectionResetError() | BrokenPipeError():
            return f"{what} was reset"
        case _:
            return error.strerror or str(error) or type(error).__name__


def _is_readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])  # Windows: its select has no limit on file descriptor numbers
