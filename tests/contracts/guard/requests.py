"""The requests that the guard's tests send, in one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from contracts.core.exchange import TOKEN, Request
from contracts.guard.identity import PossibleRun
from tests.contracts.guard.standin import WORKFLOW


def bulk(count: Any = 1, *, authorization: str | None = TOKEN, **fields: Any) -> Request:
    return post("/v1/runs/bulk", {"workflow_id": WORKFLOW, "count": count} | fields, authorization=authorization)


def post(path: str, body: Any, *, authorization: str | None = TOKEN, method: str = "POST") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, (*of(authorization), ("Content-Type", "application/json")), raw)


def get(path: str, *, authorization: str | None = TOKEN, method: str = "GET") -> Request:
    return Request(method, path, of(authorization))


def of(authorization: str | None) -> tuple[tuple[str, str], ...]:
    return () if authorization is None else (("Authorization", authorization),)


def ids_of(runs: Iterable[PossibleRun]) -> set[str]:
    return {run.id for run in runs}
