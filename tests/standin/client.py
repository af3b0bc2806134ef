"""A small client of a stand-in in this process, for direct demonstrations: no socket, and a clock set by hand."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from fastapi import FastAPI

from tests.standin.behaviour import Settings

W = "3f0a5c1e-5b0e-4a52-8a3e-0d6a2f0b9c11"
W2 = "c6a1f5d2-97a4-4f0b-9d0e-5f2b1c7e8a22"
M = "9b8d7c6e-1a2b-4c3d-8e4f-5a6b7c8d9e33"
P = [f"{digit * 8}-aaaa-4bbb-8ccc-dddddddddddd" for digit in "c1b2a3d4e5f6"]
S = "5e551011-0000-4000-8000-000000000001"
UNKNOWN = "00000000-dead-4bad-8bad-000000000404"
FILES = [
    {"filename": f"{name}.txt", "content": content} for name, content in (("a", "YQ=="), ("b", "Yg=="), ("c", "Yw=="))
]
FILE = FILES[0]
SECRET = "s3cr3tAndQuiteRandom81726354"


class Client:
    """`token` is "one", "two", or any text that is sent as it is; None sends no Authorization."""

    def __init__(self, create: Callable[[Settings], FastAPI]) -> None:
        self.ahead_s = 0.0
        settings = Settings(clock=lambda: time.time() + self.ahead_s)
        transport = httpx.ASGITransport(create(settings), raise_app_exceptions=False)
        self.runner = asyncio.Runner()
        self.client = httpx.AsyncClient(transport=transport, base_url="http://standin", verify=False)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "one",
        key: str | None = None,
        raw: bytes | None = None,
        authorization: str | bytes | None = None,
    ) -> httpx.Response:
        return self.runner.run(self._sent(method, path, body, token, key, raw, authorization))

    def together(self, method: str, path: str, body: Any, *, key: str, times: int = 2) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self._sent(method, path, body, "one", key, None, None) for _ in range(times)))

        return self.runner.run(all_of_them())

    async def _sent(
        self,
        method: str,
        path: str,
        body: Any,
        token: str | None,
        key: str | None,
        raw: bytes | None,
        authorization: str | bytes | None,
    ) -> httpx.Response:
        headers: dict[str, str | bytes] = {}
        if token is not None:
            headers["Authorization"] = "Bearer " + {"one": "standin-token-one", "two": "standin-token-two"}.get(
                token, token
            )
        if authorization is not None:
            headers["Authorization"] = authorization
        if key is not None:
            headers["Idempotency-Key"] = key
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = "application/json"
        return await self.client.request(method, path, content=raw, headers=list(headers.items()))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.call("POST", path, body, **more)

    def patch(self, run: dict[str, Any], **changes: Any) -> httpx.Response:
        return self.call("PATCH", f"/v1/runs/{run['id']}", changes)

    def delete(self, run: dict[str, Any], **more: Any) -> httpx.Response:
        return self.call("DELETE", f"/v1/runs/{run['id']}", **more)

    def retry(self, run: dict[str, Any], **changes: Any) -> httpx.Response:
        return self.post(f"/v1/runs/{run['id']}/retry", changes)

    def try_bulk(self, count: Any = 1, **fields: Any) -> httpx.Response:
        return self.post("/v1/runs/bulk", {"workflow_id": W, "count": count, **fields})

    def bulk(self, count: Any = 1, **fields: Any) -> list[dict[str, Any]]:
        answer = self.try_bulk(count, **fields)
        assert answer.status_code == 201, answer.text[:300]
        runs: list[dict[str, Any]] = answer.json()["created_runs"]
        return runs

    def try_create(self, **fields: Any) -> httpx.Response:
        return self.post("/v1/runs", {"workflow_id": W, **fields})

    def create(self, **fields: Any) -> dict[str, Any]:
        answer = self.try_create(**fields)
        assert answer.status_code == 201, answer.text[:300]
        run: dict[str, Any] = answer.json()
        return run

    def chain(self, steps: int | list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        named = [{"workflow_id": W}] * steps if isinstance(steps, int) else [{"workflow_id": W, **one} for one in steps]
        answer = self.post("/v1/runs/chain", {"steps": named, **fields})
        assert answer.status_code == 201, answer.text[:300]
        made: dict[str, Any] = answer.json()
        return made

    def read(self, run: dict[str, Any] | str) -> dict[str, Any]:
        answer = self.get(f"/v1/runs/{run if isinstance(run, str) else run['id']}")
        assert answer.status_code == 200, answer.text[:300]
        found: dict[str, Any] = answer.json()
        return found

    def listed(self, query: str = "", **more: Any) -> dict[str, Any]:
        answer = self.get(f"/v1/runs?sort_mode=created_at_desc&{query}", **more)
        assert answer.status_code == 200, answer.text[:300]
        listing: dict[str, Any] = answer.json()
        return listing

    def running(self, session: str) -> int:
        """How many runs of a session are running: in one list, since time passes between two reads."""
        return [item["status"] for item in self.listed(f"session_id={session}")["items"]].count("running")

    def ids(self, query: str = "", **more: Any) -> list[str]:
        return [item["id"] for item in self.listed(query, **more)["items"]]

    def cancelled(self, **fields: Any) -> dict[str, Any]:
        run = self.create(**fields)
        answer = self.patch(run, status="cancelled")
        assert answer.status_code == 200, answer.text
        return run

    def ended(self, status: str = "success", **fields: Any) -> dict[str, Any]:
        """A run that has ended by itself in that status."""
        for _ in range(200):
            run = self.create(**fields)
            self.wait(60)
            if self.read(run)["status"] == status:
                return run
        raise AssertionError(f"no run ended in {status}")

    def wait(self, seconds: float) -> None:
        self.ahead_s += seconds

    def attachments(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/v1/run-attachments?run_id={run['id']}").json()["items"]
        return items
