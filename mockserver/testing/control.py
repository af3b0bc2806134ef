"""Calls to the control API from the process of the mock.

They call the ASGI application on its own event loop, not over a socket: threads need not share a connection, no
connection counts against the server's limits, and a call takes a tenth of the time. From the routes on, the code is the
same as over HTTP, so both ways accept the same fields, refuse the same values and give the same messages.
"""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.types import ASGIApp, Message

from mockserver.errors import ControlError

PREFIX = "/__admin"
_LOOK_S = 1.0
"""How often a call that has no answer yet looks whether the event loop still runs."""


def is_refusal(failure: Any) -> bool:
    """For `__tracebackhide__`, which pytest reads: of a refused call, a test's report shows the line of the test. Other
    errors are shown with all their frames. `failure` is the ExceptionInfo of pytest.
    """
    return failure is not None and isinstance(failure.value, ControlError)


__tracebackhide__ = is_refusal


class Control:
    """Calls an application that is served at `server_url`, on the event loop of another thread."""

    def __init__(
        self, app: ASGIApp, loop: asyncio.AbstractEventLoop, *, server_url: str, admin_token: str | None
    ) -> None:
        self.server_url = server_url
        self._app = app
        self._loop = loop
        self._process_id = os.getpid()
        # The control API uses the host in the URLs that it returns.
        host = server_url.partition("//")[2]
        self._headers = [(b"host", host.encode()), (b"content-type", b"application/json")]
        if admin_token is not None:
            self._headers.append((b"authorization", b"Bearer " + admin_token.encode()))

    @property
    def is_of_this_process(self) -> bool:
        """A fork has this object too, but not the thread of the event loop."""
        return self._process_id == os.getpid()

    def call(
        self,
        method: str,
        path: str,
        *,
        namespace: str = "",
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """Return the JSON of the answer, or None if it has no body. `path` is the part after `/__admin`.

        Raises ControlError if the control API refuses the request, or the mock was stopped before it answered.
        """
        if not self.is_of_this_process:
            raise ControlError(None, "The mock runs in the process that this one was forked from: control it there")
        prefix = f"/__ns/{namespace}" if namespace else ""
        content = b"" if body is None else json.dumps(body, default=_as_json).encode()
        status, answer = self._answer_of(self._ask(method, f"{prefix}{PREFIX}{path}", _query(query or {}), content))
        value = json.loads(answer) if answer else None
        if status >= 400:
            raise ControlError(status, _detail(value))
        return value

    def _answer_of(self, asked: Coroutine[Any, Any, tuple[int, bytes]]) -> tuple[int, bytes]:
        """Wait for the event loop to handle a call. Raises ControlError if another thread has stopped the mock."""
        stopped = ControlError(None, "The mock was stopped before it had answered")
        try:
            future = asyncio.run_coroutine_threadsafe(asked, self._loop)
        except RuntimeError:  # the event loop is closed
            asked.close()
            raise stopped from None
        while True:
            try:
                return future.result(_LOOK_S)
            except CancelledError:
                raise stopped from None
            except TimeoutError:
                if future.done():
                    return future.result()
                # A loop that is being closed takes calls that it never begins.
                if self._loop.is_closed():
                    asked.close()
                    raise stopped from None

    async def _ask(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": headers,
            "client": None,
            "server": None,
        }
        status = 0
        parts: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts)


def _query(query: Mapping[str, Any]) -> str:
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return urlencode(texts, doseq=True)


def _as_json(value: object) -> str:
    """Convert Python types that JSON represents as text. Raises TypeError for other types."""
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r}")


def moment_text(moment: datetime) -> str:
    """Format as ISO 8601. A date-time without a zone is read as UTC, as the clock does."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _detail(answer: Any) -> str:
    detail = answer["detail"]
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'/'.join(map(str, each['loc']))}: {each['msg']}" for each in detail)
