"""A small server of runs for the guard's tests, in threads of this process, that a test may make behave badly.

What came in is kept byte for byte; `answer` may be replaced for single requests, and handlers may wait for events.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    @property
    def raw(self) -> bytes:
        return (
            self.body if isinstance(self.body, bytes) else b"" if self.body is None else json.dumps(self.body).encode()
        )


CUT = Reply(0)
"""The connection is closed without an answer."""
NOT_FOUND = Reply(404, {"detail": "Run not found"})


@dataclass
class StandIn:
    """`meddle` may answer a request itself; what it answers None to is answered as a healthy server would."""

    organisations: dict[str, str] = field(default_factory=lambda: {FIRST: "one", SECOND: "two"})
    offers_delete: bool = True
    requires_auth: bool = True
    meddle: Callable[[Received], Reply | None] = lambda _: None
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                standin.connections.append(self.connection)

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                received = Received(self.command, self.path, tuple(self.headers.items()), body)
                with standin.lock:
                    standin.received.append(received)
                reply = standin.meddle(received) or standin.answer(received)
                if reply is CUT:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response_only(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                if reply.status not in {204, 304}:
                    self.send_header("Content-Length", str(len(reply.raw)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.raw)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.handle_any
                raise AttributeError(name)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None: ...

        self.lock = threading.RLock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def sent(self, method: str) -> list[str]:
        """The targets of the requests of that method, in the order they came."""
        return [each.target for each in self.received if each.method == method]

    def add_run(self, organisation: str = "one", **values: Any) -> str:
        """Someone else's run, unless the values say otherwise."""
        run = {
            "id": str(uuid.uuid4()),
            "workflow_id": WORKFLOW,
            "machine_id": None,
            "status": "scheduling",
            "input_values": None,
            "session_id": None,
            "created_at": datetime.now(UTC).isoformat(),
            "organisation": organisation,
        } | values
        with self.lock:
            self.runs[run["id"]] = run
        return str(run["id"])

    def answer(self, received: Received) -> Reply:
        parts = urlsplit(received.target)
        token = (received.header("authorization") or "").removeprefix("Bearer ")
        organisation = self.organisations.get(token, "one" if not self.requires_auth else None)
        if organisation is None:
            return Reply(401, {"detail": "Not authenticated"})
        match received.method, parts.path.strip("/").split("/"):
            case "POST", ["v1", "runs", "bulk"]:
                return self._bulk(received, organisation)
            case "POST", ["v1", "runs"]:
                run = self._create(received.json(), organisation)
                return Reply(201, run)
            case "POST", ["v1", "runs", "chain"]:
                body = received.json()
                session = body.get("session_id") or str(uuid.uuid4())
                made = [self._create(step | {"session_id": session}, organisation)["id"] for step in body["steps"]]
                return Reply(201, {"session_id": session, "run_ids": made})
            case "GET", ["v1", "runs"]:
                return self._list(parse_qs(parts.query), organisation)
            case "POST", ["v1", "runs", run_id, "retry"]:
                return Reply(200, self.runs[run_id] | {"status": "scheduling"}) if run_id in self.runs else NOT_FOUND
            case "POST", ["v1", "pools" | "workflows"]:
                return Reply(201, {"id": str(uuid.uuid4()), "name": "made"})
            case method, ["v1", "runs", run_id] if method in {"GET", "PATCH", "DELETE"}:
                return self._one(method, run_id, received, organisation)
            case _:
                return Reply(404, {"detail": "Not Found"})

    def _bulk(self, received: Received, organisation: str) -> Reply:
        body = received.json()
        count = body.get("count")
        if not isinstance(count, int) or not 0 < count <= 1000:
            return Reply(422, {"detail": [{"loc": ["body", "count"], "msg": "bad", "type": "bad", "input": body}]})
        made = [self._create(body, organisation) for _ in range(count)]
        return Reply(201, {"created_runs": made, "failed_count": 0, "errors": []})

    def _create(self, body: dict[str, Any], organisation: str) -> dict[str, Any]:
        with self.lock:
            values = {name: body.get(name) for name in ("workflow_id", "input_values", "session_id")}
            return self.runs[self.add_run(organisation, **values)]

    def _list(self, query: dict[str, list[str]], organisation: str) -> Reply:
        with self.lock:
            runs = [run for run in reversed(self.runs.values()) if run["organisation"] == organisation]
        for text in query.get("search", []):
            runs = [run for run in runs if text in json.dumps(run["input_values"])]
        for session in query.get("session_id", []):
            runs = [run for run in runs if run["session_id"] == session]
        for since in query.get("created_at_from", []):
            runs = [run for run in runs if run["created_at"] >= since]
        skip, limit = int(query.get("skip", ["0"])[0]), int(query.get("limit", ["100"])[0])
        return Reply(200, {"items": runs[skip : skip + limit], "total": len(runs), "skip": skip, "limit": limit})

    def _one(self, method: str, run_id: str, received: Received, organisation: str) -> Reply:
        try:
            uuid.UUID(run_id)
        except ValueError:
            return Reply(422, {"detail": []})
        if method == "DELETE" and not self.offers_delete:
            return Reply(405, {"detail": "Method Not Allowed"})
        with self.lock:
            run = self.runs.get(run_id)
            if run is None or run["organisation"] != organisation:
                return NOT_FOUND
            if method == "DELETE":
                del self.runs[run_id]
                return Reply(204)
            if method == "PATCH":
                run |= received.json()
            return Reply(200, run)


FIRST = "first-token-0123456789abcdef"
SECOND = "second-token-0123456789abcdef"
WORKFLOW = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
