"""The mock in this process, as a client sees it: plain calls, an answer each, on a clock that the test turns.

Every mock here checks its own answers against the spec. An answer of 5xx fails the test at once, unless it asks for it.
"""

from __future__ import annotations

import asyncio
import copy
import json
import weakref
from collections.abc import Callable, Coroutine
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import pytest

from mockserver import Settings, create_app
from mockserver.app import MockApp
from mockserver.clock import Clock, ManualClock
from mockserver.store import Store
from mockserver.time_slice import TimeSlice

SUCCEEDS = "10000000-0000-4000-8000-000000000001"
TASK_FAILED = "10000000-0000-4000-8000-000000000002"
ERROR = "10000000-0000-4000-8000-000000000003"
NEVER_ENDS = "10000000-0000-4000-8000-000000000004"
ENDS_AT_ONCE = "10000000-0000-4000-8000-000000000005"
FAILS_IN_PART = "10000000-0000-4000-8000-000000000006"
NEEDS_AN_INVOICE_NUMBER = "10000000-0000-4000-8000-000000000007"
FAILS_ONCE = "10000000-0000-4000-8000-000000000008"
TAKES_TWENTY_MINUTES = "10000000-0000-4000-8000-000000000009"
IS_CHECKED = "10000000-0000-4000-8000-000000000010"
HAS_OUTPUT_FILES = "10000000-0000-4000-8000-000000000011"
FIRST_CREATE_FAILS = "10000000-0000-4000-8000-000000000012"
WAITS_FOR_A_MACHINE = "10000000-0000-4000-8000-000000000013"

FRONT_DESK_1 = "20000000-0000-4000-8000-000000000001"
FRONT_DESK_2 = "20000000-0000-4000-8000-000000000002"
ACCOUNTING_1 = "20000000-0000-4000-8000-000000000003"
IN_THE_BASEMENT = "20000000-0000-4000-8000-000000000004"

FRONT_DESKS = "30000000-0000-4000-8000-000000000001"
ACCOUNTING_SOFTWARE = "30000000-0000-4000-8000-000000000002"

TERMINAL = {"success", "task_failed", "error", "cancelled"}


def new_store() -> str:
    """Where the next mock keeps its state: a value of `--store`. The tests over both stores replace it."""
    return "memory"


def close(loop: asyncio.AbstractEventLoop, app: MockApp) -> None:
    if asyncio._get_running_loop() is None:  # else its end comes within another loop, in which this one cannot run
        loop.run_until_complete(app.close_store())
    loop.close()


class Mock:
    """`clock` is a ManualClock unless another is given; `store` may be a URL; keyword arguments are settings."""

    def __init__(
        self, *, clock: Clock | None = None, store: Store | str | None = None, token: str = "test-one", **settings: Any
    ) -> None:
        self.clock: Any = clock or ManualClock(scale=settings.get("time_scale", 1.0))
        self.token = token
        url = store if isinstance(store, str) else new_store() if store is None else "memory"
        settings = {"self_check": True, "log_level": "warning", "store": url, **settings}
        self.app = create_app(Settings(**settings), clock=self.clock, store=None if isinstance(store, str) else store)
        self._loop = asyncio.new_event_loop()
        weakref.finalize(self, close, self._loop, self.app)
        transport = httpx.ASGITransport(self.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://mock.test")

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    def request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """`token` other than the mock's own, None for none; `fails=True` where a 5xx is what is expected."""
        return self.run(self.sent(method, path, **how))

    async def sent(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        prefer: str | None = None,
        key: str | None = None,
        fails: bool = False,
        **how: Any,
    ) -> httpx.Response:
        every = httpx.Headers(headers)
        if token is not None:
            every["Authorization"] = f"Bearer {token or self.token}"
        if prefer is not None:
            every["Prefer"] = prefer
        if key is not None:
            every["Idempotency-Key"] = key
        if "json" in how:
            # With escapes, so that a text may hold a lone surrogate.
            how["content"] = json.dumps(how.pop("json")).encode()
            every.setdefault("Content-Type", "application/json")
        answer = await self._client.request(method, path, headers=every, **how)
        assert fails == (answer.status_code >= 500), f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def together(self, *requests: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
        """Sends what `sent` made, all at once."""

        async def gathered() -> list[httpx.Response]:
            return list(await asyncio.gather(*requests))

        return self.run(gathered())

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.request("GET", path, **how)

    def post(self, path: str, body: Any = None, **how: Any) -> httpx.Response:
        if body is not None:
            how["json"] = body
        return self.request("POST", path, **how)

    def patch(self, path: str, body: Any, **how: Any) -> httpx.Response:
        return self.request("PATCH", path, json=body, **how)

    def delete(self, path: str, **how: Any) -> httpx.Response:
        return self.request("DELETE", path, **how)

    # --- What most tests arrange

    def create(self, workflow_id: str = SUCCEEDS, **body_and_how: Any) -> dict[str, Any]:
        """A run, by a single create that has to work."""
        how = {name: body_and_how.pop(name) for name in ("token", "headers", "prefer", "key") if name in body_and_how}
        answer = self.post("/v1/runs", {"workflow_id": workflow_id, **body_and_how}, **how)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def create_many(self, count: int, workflow_id: str = SUCCEEDS, **body_and_how: Any) -> list[dict[str, Any]]:
        """Runs, by a bulk create that has to work."""
        how = {name: body_and_how.pop(name) for name in ("token", "headers", "prefer", "key") if name in body_and_how}
        answer = self.post("/v1/runs/bulk", {"workflow_id": workflow_id, "count": count, **body_and_how}, **how)
        assert answer.status_code == 201, answer.text
        return answer.json()["created_runs"]

    def read(self, run_id: str, **how: Any) -> dict[str, Any]:
        answer = self.get(f"/v1/runs/{run_id}", **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, run_id: str) -> str:
        return self.read(run_id)["status"]

    def listed(self, **query: Any) -> list[dict[str, Any]]:
        """All items of a list of runs that fits one page."""
        answer = self.get("/v1/runs", params={"limit": 1000, **query})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["total"] == len(page["items"]), page
        return page["items"]

    def ids(self, **query: Any) -> list[str]:
        return [run["id"] for run in self.listed(**query)]

    def total(self, **query: Any) -> int:
        return self.get("/v1/runs", params={"limit": 1, **query}).json()["total"]


def new_organisation(**settings: Any) -> Mock:
    """A mock that is started once for all who ask for these settings, as seen by an organisation of its own.

    For tests of many examples: starting a mock takes longer than most of what is asked of it.
    """
    seen = copy.copy(_started(tuple(sorted(settings.items())), new_store))
    seen.token = f"test-{uuid4()}"
    return seen


@lru_cache
def _started(settings: tuple[tuple[str, Any], ...], new_store: Callable[[], str]) -> Mock:
    return Mock(**dict(settings))


def violations(answer: httpx.Response) -> list[tuple[tuple[str | int, ...], str]]:
    """(loc, type) of each violation of a 422."""
    assert answer.status_code == 422, answer.text
    return [(tuple(each["loc"]), each["type"]) for each in answer.json()["detail"]]


def unknown_id() -> str:
    return str(uuid4())


def world_file(directory: Path, text: str) -> Path:
    path = directory / "world.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def turns_of(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None = None) -> list[TimeSlice]:
    """Where work gives way, in one module or everywhere, as if every slice of time were over at once."""
    turns: list[TimeSlice] = []
    kind = TimeSlice if module is None else type("OverAtOnce", (TimeSlice,), {})

    async def give_way(time_slice: TimeSlice) -> None:
        turns.append(time_slice)

    monkeypatch.setattr(kind, "is_over", True)
    monkeypatch.setattr(kind, "give_way", give_way)
    if module is not None:
        monkeypatch.setattr(module, "TimeSlice", kind)
    return turns
