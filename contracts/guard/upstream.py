"""The HTTP/1.1 client of the guard: keeps connections alive and sends the request line and the body exactly as given.

It is made for hostile servers and for requests that other clients refuse to send: it normalises nothing, follows no
redirects, stores no cookies, and describes what is wrong with an answer. It resends a request only if it is a read and
a reused connection was closed before the answer began; the guard decides about every other retry.
"""

import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from contracts.core.exchange import Answer, Request, header_bytes
from contracts.core.findings import CouldNotCheck
from contracts.core.target import is_loopback
from contracts.guard.answer_reader import AnswerReader
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.concurrency import GroupStart
from contracts.guard.connection import Connection, Cut, ExchangeFailed

_MAX_IDLE_FOR_WRITE_S = 2.0
"""Writes do not use a connection that was idle for longer, since the server may be about to close it."""

_LAST_BYTES = 1024
"""What of a request is sent last, with those of its group: less than a packet. Most requests without a body are not
longer, so nothing of them is sent before: some servers carry out a request whose head is cut off.
"""

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
OF_CONNECTION = HOP_BY_HOP | {"host", "content-length", "expect"}
"""Headers that belong to one connection. They are not forwarded; the client sets its own."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_INVALID_IN_TARGET = re.compile(r"[\x00-\x20\x7f]")
_INVALID_IN_VALUE = re.compile(rb"\n(?![ \t])|\r(?![ \t\n])")
_METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})


@dataclass(frozen=True, slots=True)
class Lost:
    """No complete answer. `reached`: the request may have reached the target. `reason` contains no secret."""

    reason: str
    reached: bool
    was_cut: bool = False
    """The connection was closed before the first byte of an answer."""
    malformed: bool = False
    """Not sent, because the request cannot be serialised (for example, a line break in a header)."""
    group_failed: bool = False
    """Not sent completely, because another request of its group could not be sent."""


_GROUP_FAILED = Lost("another request of the group could not be sent", reached=False, group_failed=True)


class Upstream:
    """Thread-safe. `base` is the target's URL; a Request's path is appended to its path."""

    def __init__(
        self, base: str, *, ca_bundle: str | None = None, proxy: str | None = None, bounds: Bounds = BOUNDS
    ) -> None:
        """`proxy` is the URL of an HTTP proxy, for https only."""
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CouldNotCheck(f"{base} is not an http or https URL")
        if parts.username is not None or parts.password is not None:
            raise CouldNotCheck("the URL must not contain a user name or password")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._context = _tls_context(ca_bundle) if parts.scheme == "https" else None
        self._tunnel = urlsplit(proxy) if proxy and self._context else None
        self._bounds = bounds
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._closed = False
        self._lock = threading.Lock()

    def connection(self, *, for_write: bool) -> Connection:
        """Return an idle connection, or a new one that is not yet connected."""
        while True:
            try:
                idle = self._idle.pop()
            except IndexError:
                return self._new_connection()
            fresh = not for_write or time.monotonic() - idle.used_at < _MAX_IDLE_FOR_WRITE_S
            if fresh and idle.is_open:
                return idle
            idle.close()

    def _new_connection(self) -> Connection:
        return Connection(self._host, self._port, self._context, self._tunnel, self._bounds)

    def exchange(
        self,
        request: Request,
        insert_token: Callable[[str], str],
        connection: Connection | None = None,
        *,
        start: GroupStart | None = None,
        within_s: float = float("inf"),
        may_resend: Callable[[], bool] = lambda: True,
    ) -> Answer | Lost:
        """Send the request and read the whole answer, within `within_s` and the bounds. `insert_token` replaces the
        placeholder in the Authorization header by the token. `may_resend` is asked before a read is sent again: the
        target may have received it already. With `start`, the request ends together with the others of its group.

        A failure is returned, not raised, so that no traceback refers to a frame with a token.
        """
        writes = not request.is_read
        conn = connection or self.connection(for_write=writes or start is not None)
        conn.ends_at = time.monotonic() + min(self._bounds.exchange_s, within_s)
        was_used = conn.used_at > float("-inf")
        answered = False
        try:
            try:
                self._acquire(conn)
                conn.open()
            except ExchangeFailed as error:
                if start is None:
                    return Lost(f"cannot connect: {error}", reached=False)
                if not start.send(lambda: None):
                    return _GROUP_FAILED
                # The others are on their way: this one tries to connect once more.
                left_s = conn.ends_at - time.monotonic()
                return self.exchange(request, insert_token, within_s=left_s, may_resend=may_resend)
            outcome = self._exchange_over(conn, request, insert_token, start)
            answered = isinstance(outcome, Answer)
            was_stale = isinstance(outcome, Lost) and outcome.was_cut and was_used
            if was_stale and connection is None and start is None and not writes and may_resend():
                conn.close()
                left_s = conn.ends_at - time.monotonic()
                return self.exchange(request, insert_token, self._new_connection(), within_s=left_s)
            return outcome
        finally:
            conn.used_at = time.monotonic()
            conn.ends_at = float("inf")
            self._release(conn, usable=answered and conn.sock is not None and not conn.must_close)

    def _exchange_over(
        self, conn: Connection, request: Request, insert_token: Callable[[str], str], start: GroupStart | None
    ) -> Answer | Lost:
        try:
            head = self._head(request, insert_token)
        except ValueError:  # do not use its message: it may contain the token
            reason = "cannot be put on the wire: its method, path or a header is malformed"
            return Lost(reason, reached=False, malformed=True)
        reader = AnswerReader(conn, self._bounds)
        try:
            data = head + request.body if request.body else head
            try:
                if start is None:
                    conn.send(data)
                elif not _send_with_group(conn, data, start):
                    return _GROUP_FAILED
            except Cut:
                conn.must_close = True  # the target may still have answered, e.g. if the body is too large
            answer = reader.read(request.method)
        except ExchangeFailed as error:
            return Lost(str(error), reached=True, was_cut=isinstance(error, Cut) and not reader.has_begun)
        # After an unhandled error, some servers (uvicorn) close the connection without saying so in the answer.
        conn.must_close = conn.must_close or reader.ends_connection or answer.status >= 500
        return answer

    def _head(self, request: Request, insert_token: Callable[[str], str]) -> bytes:
        """Raises ValueError if the request cannot be serialised unchanged."""
        target = self._prefix + request.path
        if not _is_token(request.method) or not request.path.startswith("/") or _INVALID_IN_TARGET.search(target):
            raise ValueError("no request line")
        lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1")]
        for name, value in self._headers(request, insert_token):
            if _INVALID_IN_VALUE.search(value):
                raise ValueError("no header value")
            lines.append(name.encode("latin-1") + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def _headers(self, request: Request, insert_token: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
        yield "Host", self._netloc.encode("idna" if not self._netloc.isascii() else "ascii")
        names = {name.lower() for name, _ in request.headers}
        for name, value in request.headers:
            lower = name.lower()
            if lower in OF_CONNECTION:
                continue
            if not _is_token(name):
                raise ValueError("no header name")
            if lower == "authorization":
                value = insert_token(value)
            yield name, header_bytes(value)
        if "user-agent" not in names:
            yield "User-Agent", b"cyberdesk-contracts"
        if "accept-encoding" not in names:
            yield "Accept-Encoding", b"identity"
        if request.body or request.method not in _METHODS_WITHOUT_BODY:
            yield "Content-Length", str(len(request.body or b"")).encode()

    def _acquire(self, conn: Connection) -> None:
        with self._lock:
            if self._closed:
                raise ExchangeFailed("the guard is closed")
            self._busy.add(conn)

    def _release(self, conn: Connection, *, usable: bool) -> None:
        with self._lock:
            self._busy.discard(conn)
            if usable and not self._closed:
                self._idle.append(conn)
                return
        conn.close()

    def close(self) -> None:
        """Close idle connections and cut those in use: a thread that waits for an answer gets an error."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
            for conn in self._busy:
                conn.abort()
        for conn in idle:
            conn.close()


def _send_with_group(conn: Connection, data: bytes, start: GroupStart) -> bool:
    """Send all but the last bytes, and those together with the last bytes of the other requests. The target then begins
    to process all of them at about the same moment. Return False if another request of the group cannot be sent.

    Raises like `Connection.send`.
    """
    failures: list[ExchangeFailed] = []

    def send(part: bytes) -> None:
        try:
            conn.send(part)
        except ExchangeFailed as error:
            failures.append(error)

    send(data[:-_LAST_BYTES])
    if not start.send(lambda: send(data[-_LAST_BYTES:])):
        return False
    if failures:
        raise failures[0]
    return True


@lru_cache(maxsize=1024)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def proxy_for(url: str) -> str | None:
    """Return the proxy of the environment for a URL (HTTPS_PROXY, NO_PROXY). None for a loopback address, and for http:
    a proxy could read the token. Raises CouldNotCheck.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    proxy = getproxies().get("https")
    if proxy is None:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        is_usable = urlsplit(proxy).scheme == "http" and urlsplit(proxy).hostname and urlsplit(proxy).port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise CouldNotCheck("HTTPS_PROXY is not a proxy URL: give it as http://HOST:PORT")
    return proxy


def step_without_answer(url: str, *, reached: bool) -> str:
    """Return what the user can do about a target that gives no answer. `reached`: it took the request."""
    if reached:
        return "it took the request, so see its log"
    proxy = "" if proxy_for(url) is None else ", or HTTPS_PROXY, through which it is reached"
    return f"start the server, or correct the URL{proxy}"


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        raise CouldNotCheck(f"the CA bundle {ca_bundle} cannot be used: {error}") from None
