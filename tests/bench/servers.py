"""What the mock is measured beside: bare routes that send constant bytes, and a plain mock that builds dicts.

python -m tests.bench.servers bare 600 62000     /0 answers with 600 bytes, /1 with 62,000, to every method
python -m tests.bench.servers plain              POST /v1/runs/bulk
"""

from __future__ import annotations

import socket
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def bare(*sizes: str) -> Starlette:
    def route(number: int, size: int) -> Route:
        body = b"x" * size

        async def constant(request: Request) -> Response:
            return Response(body, media_type="application/json")

        return Route(f"/{number}", constant, methods=["GET", "POST"])

    return Starlette(routes=[route(number, int(size)) for number, size in enumerate(sizes)])


def plain() -> Starlette:
    runs: dict[str, dict[str, Any]] = {}

    async def bulk_create_runs(request: Request) -> Response:
        body = await request.json()
        created = []
        for _ in range(body["count"]):
            run = {
                "workflow_id": body["workflow_id"],
                "machine_id": body.get("machine_id"),
                "id": str(uuid.uuid4()),
                "user_id": str(uuid.uuid4()),
                "organization_id": "org",
                "status": "scheduling",
                "error": None,
                "output_data": None,
                "input_attachment_ids": None,
                "output_attachment_ids": None,
                "run_message_history": None,
                "input_values": body.get("input_values"),
                "pool_ids": body.get("pool_ids"),
                "sensitive_input_aliases": None,
                "session_id": None,
                "session_alias": None,
                "release_session_after": None,
                "created_at": datetime.now(UTC).isoformat(),
                "started_at": None,
                "ended_at": None,
            }
            runs[run["id"]] = run
            created.append(run)
        return JSONResponse({"created_runs": created, "failed_count": 0, "errors": []}, 201)

    return Starlette(routes=[Route("/v1/runs/bulk", bulk_create_runs, methods=["POST"])])


def main(kind: str, *arguments: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = bare(*arguments) if kind == "bare" else plain()
    config = uvicorn.Config(app, log_level="warning", access_log=False, http="httptools")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
