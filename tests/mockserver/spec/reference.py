"""A FastAPI server whose models are written by hand (`tests/api_models.py`): what the mock is compared with.

Each operation answers with what it read: the values, defaults included, and the names of the body's fields that were
sent. Violations are rendered with escapes, where stock FastAPI would fail to render them at all.
"""

import asyncio
import json
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from tests.api_models import ChainCreate, RunBulkCreate, RunField, RunRetry, RunUpdate, SortMode, Status

IdempotencyKey = Annotated[str | None, Header(max_length=255)]


def _plain(value: Any) -> Any:
    """As our decoder gives it: UUIDs and enums as text, moments aware."""
    if isinstance(value, BaseModel):
        return {name: _plain(member) for name, member in value}
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return value


class Reference:
    """The server, called without a network. After a 200, `read` is what the operation was called with."""

    def __init__(self) -> None:
        self.read: dict[str, Any] = {}
        self.given: frozenset[str] = frozenset()
        self._app = FastAPI()
        self._loop = asyncio.new_event_loop()
        self._routes()

    def close(self) -> None:
        self._loop.close()

    def _keep(self, *, body: Any = None, **parameters: Any) -> None:
        self.read = {name: _plain(value) for name, value in parameters.items() if value is not None}
        if body is not None:
            self.read["body"] = _plain(body)
        self.given = frozenset(body.model_fields_set) if body is not None else frozenset()

    def _routes(self) -> None:
        app = self._app

        @app.exception_handler(RequestValidationError)
        async def show(_request: Request, error: RequestValidationError) -> Response:
            return Response(json.dumps({"detail": jsonable_encoder(error.errors())}), 422)

        @app.post("/v1/runs/bulk")
        async def bulk_create_runs(body: RunBulkCreate, idempotency_key: IdempotencyKey = None) -> None:
            self._keep(body=body, idempotency_key=idempotency_key)

        @app.patch("/v1/runs/{run_id}")
        async def update_run(run_id: UUID, body: RunUpdate, idempotency_key: IdempotencyKey = None) -> None:
            self._keep(body=body, run_id=run_id, idempotency_key=idempotency_key)

        @app.post("/v1/runs/{run_id}/retry")
        async def retry_run(run_id: UUID, body: RunRetry, idempotency_key: IdempotencyKey = None) -> None:
            self._keep(body=body, run_id=run_id, idempotency_key=idempotency_key)

        @app.post("/v1/runs/chain")
        async def create_run_chain(body: ChainCreate, idempotency_key: IdempotencyKey = None) -> None:
            self._keep(body=body, idempotency_key=idempotency_key)

        @app.get("/v1/runs")
        async def list_runs(
            workflow_id: UUID | None = None,
            machine_id: UUID | None = None,
            session_id: UUID | None = None,
            status: Status | None = None,
            created_at_from: datetime | None = None,
            created_at_to: datetime | None = None,
            search: str | None = None,
            deep_search: bool = False,
            fields: Annotated[list[RunField] | None, Query()] = None,
            sort_mode: SortMode = SortMode.ACTIVITY,
            include: str | None = None,
            skip: Annotated[int, Query(ge=0)] = 0,
            limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        ) -> None:
            self._keep(
                workflow_id=workflow_id,
                machine_id=machine_id,
                session_id=session_id,
                status=status,
                created_at_from=created_at_from,
                created_at_to=created_at_to,
                search=search,
                deep_search=deep_search,
                fields=fields,
                sort_mode=sort_mode,
                include=include,
                skip=skip,
                limit=limit,
            )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: bytes = b"",
        headers: dict[str, str] | None = None,
        content_type: str | None = "application/json",
        body: bytes = b"",
    ) -> tuple[int, Any]:
        """Status and JSON of the answer; 500 and the exception when the server fails."""
        sent = dict(headers or {})
        if content_type is not None:
            sent["content-type"] = content_type
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        answer: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
            else:
                answer["body"] += message.get("body", b"")

        try:
            self._loop.run_until_complete(self._app(scope, receive, send))
        except Exception as error:  # noqa: BLE001  the failure is the answer
            return 500, repr(error)
        return answer["status"], json.loads(answer["body"])
