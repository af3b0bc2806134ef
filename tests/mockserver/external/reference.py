"""A FastAPI application with the operations of the API that reads requests, and does nothing with them.

What it answers to an invalid request is what the real server, which is built with FastAPI, answers too. Its models are
those of `tests/api_models.py`. One thing is not stock: where FastAPI fails to write what it echoes (a lone surrogate,
an infinity), the answer is written with escapes.
"""

import json
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tests.api_models import (
    AttachmentType,
    ChainCreate,
    MachineStatus,
    PoolCreate,
    PoolMachines,
    RunBulkCreate,
    RunCreate,
    RunField,
    RunRetry,
    RunUpdate,
    SortMode,
    Status,
    WorkflowCreate,
)

Skip = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


def _let_in(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    if not credentials.credentials.startswith("test"):
        raise HTTPException(401, "Not authenticated")


def create_reference() -> FastAPI:
    app = FastAPI(openapi_url=None)
    secured = {"dependencies": [Depends(_let_in)]}

    @app.exception_handler(RequestValidationError)
    async def show(_request: Request, error: RequestValidationError) -> Response:
        return Response(json.dumps({"detail": jsonable_encoder(error.errors())}), 422, media_type="application/json")

    @app.post("/v1/runs/bulk", status_code=201, **secured)
    async def bulk_create_runs(body: RunBulkCreate, key: Key = None) -> None: ...

    @app.post("/v1/runs/chain", status_code=201, **secured)
    async def create_run_chain(body: ChainCreate, key: Key = None) -> None: ...

    @app.post("/v1/runs", status_code=201, **secured)
    async def create_run(body: RunCreate, key: Key = None) -> None: ...

    @app.get("/v1/runs", **secured)
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
        skip: Skip = 0,
        limit: Limit = 100,
    ) -> None: ...

    @app.get("/v1/runs/{run_id}", **secured)
    async def get_run(run_id: UUID, include: str | None = None) -> None: ...

    @app.patch("/v1/runs/{run_id}", **secured)
    async def update_run(run_id: UUID, body: RunUpdate, key: Key = None) -> None: ...

    @app.delete("/v1/runs/{run_id}", status_code=204, **secured)
    async def delete_run(run_id: UUID, key: Key = None) -> None: ...

    @app.post("/v1/runs/{run_id}/retry", **secured)
    async def retry_run(run_id: UUID, body: RunRetry, key: Key = None) -> None: ...

    @app.get("/v1/run-attachments", **secured)
    async def list_run_attachments(
        run_id: UUID | None = None,
        attachment_type: AttachmentType | None = None,
        skip: Skip = 0,
        limit: Limit = 100,
    ) -> None: ...

    @app.get("/v1/run-attachments/{attachment_id}", **secured)
    async def get_run_attachment(attachment_id: UUID) -> None: ...

    @app.get("/v1/run-attachments/{attachment_id}/download", **secured)
    async def download_run_attachment(attachment_id: UUID) -> None: ...

    @app.get("/v1/run-attachments/{attachment_id}/download-url", **secured)
    async def get_run_attachment_download_url(
        attachment_id: UUID, expires_in: Annotated[int, Query(ge=10, le=3600)] = 300
    ) -> None: ...

    @app.get("/v1/machines", **secured)
    async def list_machines(
        search: str | None = None,
        name: str | None = None,
        status: MachineStatus | None = None,
        skip: Skip = 0,
        limit: Limit = 100,
    ) -> None: ...

    @app.get("/v1/machines/{machine_id}", **secured)
    async def get_machine(machine_id: UUID) -> None: ...

    @app.get("/v1/pools", **secured)
    async def list_pools(skip: Skip = 0, limit: Limit = 100) -> None: ...

    @app.post("/v1/pools", status_code=201, **secured)
    async def create_pool(body: PoolCreate, key: Key = None) -> None: ...

    @app.get("/v1/pools/{pool_id}", **secured)
    async def get_pool(pool_id: UUID) -> None: ...

    @app.post("/v1/pools/{pool_id}/machines", **secured)
    async def add_machine_to_pool(pool_id: UUID, body: PoolMachines, key: Key = None) -> None: ...

    @app.get("/v1/workflows", **secured)
    async def list_workflows(search: str | None = None, skip: Skip = 0, limit: Limit = 100) -> None: ...

    @app.post("/v1/workflows", status_code=201, **secured)
    async def create_workflow(body: WorkflowCreate, key: Key = None) -> None: ...

    @app.get("/v1/workflows/{workflow_id}", **secured)
    async def get_workflow(workflow_id: UUID) -> None: ...

    @app.get("/v1/health")
    async def health_check() -> None: ...

    return app
