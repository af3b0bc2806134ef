"""Requests within the bounds that cost the most, and what they meet: for measuring how long others wait beside them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

WORKFLOW = "10000000-0000-4000-8000-000000000004"
_MEBIBYTE = 1024 * 1024


class Heavy(NamedTuple):
    """`body` makes the body of a POST; without one it is a GET."""

    what: str
    path: str
    body: Callable[[], bytes] | None = None
    headers: Mapping[str, str] = MappingProxyType({})


def _bulk(what: str, **members: Any) -> Heavy:
    return Heavy(what, "/v1/runs/bulk", lambda: json.dumps({"workflow_id": WORKFLOW, "count": 1, **members}).encode())


def _list(what: str, opening: bytes, item: bytes, count: int, *, path: str = "/v1/runs/bulk") -> Heavy:
    """A body that holds one item very often: `opening` is what stands before the list."""
    closing = b"]" + b"}" * opening.count(b"{")
    return Heavy(what, path, lambda: opening + b"[" + item * count + item.rstrip(b",") + closing)


def heavy(run_id: str, session_id: str) -> Iterator[Heavy]:
    valid = b'{"workflow_id":"' + WORKFLOW.encode() + b'","count":1,'
    inputs = valid + b'"input_values":{"a":'
    files = [{"filename": "f", "content": base64.b64encode(bytes(23 * _MEBIBYTE)).decode()}]
    steps = {"steps": [{"workflow_id": WORKFLOW}] * 1_000, "shared_inputs": {"a": "x" * _MEBIBYTE}}
    secrets = {f"sen{number}": 1 for number in range(595_000)}
    yield _bulk("a text of 31 MiB", input_values={"a": "x" * (31 * _MEBIBYTE)})
    yield _bulk("escapes, 30 MiB", input_values={"a": "\n" * (15 * _MEBIBYTE)})
    yield _bulk("a file of 23 MiB", file_inputs=files)
    yield _bulk("300,000 lists", input_values={"a": [[]] * 298_000})
    yield _bulk("600,000 keys", input_values={f"key {number}": number for number in range(595_000)})
    yield _list("600,000 numbers", inputs, b"1,", 590_000)
    yield _list("long integers, 30 MiB", inputs, b"9" * 4_300 + b",", 7_300)
    yield _list("600,000 infinities", inputs, b"1e400,", 590_000)
    yield _list("600,000 wrong pools", valid + b'"pool_ids":', b"1,", 590_000)
    yield _list("more values than may be, 30 MiB", valid + b'"pool_ids":', b"1,", 15_000_000)
    yield _list("300,000 empty steps", b'{"steps":', b"{},", 298_000, path="/v1/runs/chain")
    yield Heavy("names like a secret", "/v1/runs/bulk", lambda: json.dumps(secrets).encode())
    form = {"Content-Type": "text/plain"}
    yield Heavy("a form of 27 MiB", "/v1/runs/bulk", lambda: b"sensible=" * (3 * _MEBIBYTE), form)
    yield Heavy("a chain of 1000 steps, 1 MiB shared", "/v1/runs/chain", lambda: json.dumps(steps).encode())
    yield _bulk("a bulk answer of 1 GiB", count=1_000, input_values={"a": "x" * _MEBIBYTE})
    yield Heavy("a page of 1 GiB", "/v1/runs?limit=1000&search=xxxxxxxxx")
    yield Heavy("a list by status", "/v1/runs?status=running&limit=1")
    yield Heavy("a search", "/v1/runs?search=nothing&limit=1")
    yield Heavy("a deep search by status", "/v1/runs?search=nothing&deep_search=true&status=success&limit=1")
    yield Heavy("a list", "/v1/runs?limit=1000")
    yield Heavy("attachments", "/v1/run-attachments?limit=1000")
    yield Heavy("a session of 50,000 runs", f"/v1/runs?session_id={session_id}&limit=1")
    yield Heavy("a run of that session", f"/v1/runs/{run_id}")
    yield Heavy("Prefer of 60 kB", "/v1/health", None, {"Prefer": "," * 60_000})


def fill(create: Callable[..., list[dict[str, Any]]]) -> tuple[str, str]:
    """Many runs; returns the id of one of a large session, and that of the session. `create` makes runs in bulk."""
    for _ in range(150):
        create(count=1_000, input_values={"invoice": "4711"})
    for _ in range(5_000):
        create(count=1, input_values={"invoice": "4711"})
    first = create(count=1_000, start_session=True)[0]
    for _ in range(49):
        create(count=1_000, session_id=first["session_id"])
    create(count=1_000, file_inputs=[{"filename": "f", "content": ""}] * 500)
    return first["id"], first["session_id"]
