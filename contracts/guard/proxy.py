"""A loopback HTTP proxy in front of the guard, for schemathesis and its probes.

It forwards each request unchanged through `send` and returns the answer unchanged. A request that the guard refuses
gets an answer with the `X-Contracts-Guard` header. The proxy removes this header from the target's answers, so that the
two cannot be confused. The proxy adds tokens to requests, so its base URL has a random segment: other processes of this
machine cannot use it.
"""

import asyncio
import json
import re
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import uvicorn

from contracts.core.exchange import Answer, Exchange, Request
from contracts.guard.refusals import NoAnswer, Refused
from contracts.guard.upstream import HOP_BY_HOP, OF_CONNECTION

MARK: Final = "X-Contracts-Guard"
_WORKERS = 64
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_FORWARDED = OF_CONNECTION | {"accept-encoding"}  # the proxy does not compress the answers
"""Headers of the connection to the proxy: a finding must not show them."""
_Message = MutableMapping[str, Any]


class Proxy:
    """Serves in its own thread, from its construction until `close`."""

    def __init__(self, send: Callable[[Request], Exchange]) -> None:
        self._send = send
        self._exchanges: list[Exchange] = []
        self._key = secrets.token_urlsafe(12)
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="guard-proxy")
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                lifespan="off",
                ws="none",
                http="h11",  # accepts any method; httptools accepts only a fixed list
                access_log=False,
                log_level="error",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="guard-proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/{self._key}"

    @property
    def forwarded(self) -> int:
        """How many exchanges there were since the last `take_exchanges`."""
        return len(self._exchanges)

    def take_exchanges(self) -> list[Exchange]:
        """Return, and forget, the exchanges, oldest first."""
        taken, self._exchanges = self._exchanges, []
        return taken

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        with self._socket:
            self._server.run(sockets=[self._socket])

    async def _app(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        body = await _body(receive)
        fault: Exception | None = None
        path = (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode("latin-1")
        prefix = f"/{self._key}"
        if not path.startswith(f"{prefix}/"):
            answer = _guard_answer(403, "refused", "wrong URL: the path must begin with the key of the proxy")
        else:
            text_headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            request = Request(
                method=scope["method"],
                path=path.removeprefix(prefix),
                headers=tuple(header for header in text_headers if header[0] not in _NOT_FORWARDED),
                body=body or None,
            )
            loop = asyncio.get_running_loop()
            try:
                answer = await loop.run_in_executor(self._workers, self._forward, request)
            except Exception as error:  # noqa: BLE001  raised again below, once the client has its answer
                fault = error
                answer = _guard_answer(502, "fault", f"{type(error).__name__}: {error}")
        await send({"type": "http.response.start", "status": answer.status, "headers": _wire_headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})
        if fault is not None:
            raise fault

    def _forward(self, request: Request) -> Answer:
        try:
            exchange = self._send(request)
        except Refused as error:
            return _guard_answer(403, f"refused; {type(error).__name__}", str(error))
        except NoAnswer as error:
            return _guard_answer(502, "no-answer", str(error))
        self._exchanges.append(exchange)
        answer = exchange.answer
        headers = tuple(h for h in answer.headers if h[0].lower() != MARK.lower())
        return Answer(answer.status, headers, answer.body)


async def _body(receive: Callable[[], Awaitable[_Message]]) -> bytes:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _wire_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers that uvicorn can send: without hop-by-hop headers and without control characters in values.

    Content-Length is set to the length of the body. Without a body, it is kept: that of HEAD is the length for GET.
    """
    headers: list[tuple[bytes, bytes]] = []
    for name, value in answer.headers:
        if name.lower() in HOP_BY_HOP:
            continue
        if name.lower() == "content-length" and answer.body:
            value = str(len(answer.body))
        headers.append((name.encode("latin-1"), _CONTROL.sub(" ", value).encode("latin-1")))
    return headers


def _guard_answer(status: int, mark: str, why: str) -> Answer:
    body = json.dumps({"detail": f"not sent by the guard: {why}"}).encode()
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(body))), (MARK, mark))
    return Answer(status, headers, body)
