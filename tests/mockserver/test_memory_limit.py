"""Past --max-memory nothing more is stored, and what is deleted makes room again."""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from pathlib import Path

import httpx
import pytest

from mockserver import memory_limit
from mockserver.errors import Unavailable
from mockserver.memory_limit import MemoryLimit
from mockserver.settings import MEBIBYTE, Limits
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import SUCCEEDS
from tests.processes import serving

FULL = Limits(max_memory=1)
"""Every process takes more."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process takes")


@linux
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 2}),
        ("POST", "/v1/runs", {"workflow_id": SUCCEEDS}),
        ("POST", "/v1/pools", {"name": "a"}),
        ("PATCH", "/v1/runs/3c90c3cc-0d44-4b50-8888-8dd25736052a", {"input_values": {}}),
        ("POST", "/__admin/runs", [{"workflow_id": SUCCEEDS}]),
        ("POST", "/__admin/faults", {"match": "*", "fault": "reset"}),
    ],
)
def test_what_would_store_more_is_refused(method: str, path: str, body: object):
    mock = ControlledMock(limits=FULL)

    answer = mock.request(method, path, json=body, fails=True)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "--max-memory" in answer.json()["detail"]


@linux
def test_what_stores_nothing_is_answered():
    mock = ControlledMock(limits=FULL)

    assert mock.get("/v1/runs").status_code == 200
    assert mock.delete("/v1/runs/3c90c3cc-0d44-4b50-8888-8dd25736052a").status_code == 404
    assert mock.control("POST", "/reset").status_code == 204


class Process:
    """One whose memory a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes = 0
        self.freed = 0
        self.now = 100.0
        monkeypatch.setattr(memory_limit, "return_freed_memory", lambda: None)
        self.limit = MemoryLimit(1_000, self.free, measure=lambda: self.takes)

    def free(self) -> None:
        self.freed += 1

    def has_room(self, *, after_s: float) -> bool:
        async def asked() -> bool:
            self.now += after_s
            asyncio.get_running_loop().time = lambda: self.now  # type: ignore[method-assign]
            try:
                self.limit.require_room()
            except Unavailable:
                return False
            return True

        return asyncio.run(asked())


def test_memory_is_freed_at_the_limit_and_then_every_five_seconds(monkeypatch: pytest.MonkeyPatch):
    process = Process(monkeypatch)
    assert process.has_room(after_s=1)
    process.takes = 1_001

    rooms = [process.has_room(after_s=1) for _ in range(8)]

    assert not any(rooms)
    assert process.freed == 2
    process.takes = 1_000
    assert process.has_room(after_s=1)
    assert process.freed == 2


def test_after_a_reset_memory_is_freed_at_once(monkeypatch: pytest.MonkeyPatch):
    process = Process(monkeypatch)
    process.takes = 1_001
    assert not process.has_room(after_s=1)

    process.limit.measure_again()
    process.has_room(after_s=0)

    assert process.freed == 2


@linux
def test_the_limit_is_at_most_a_share_of_the_memory_of_the_system(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_limit, "system_bytes", lambda: 1_000)
    limit = MemoryLimit(4096 * MEBIBYTE, lambda: None, measure=lambda: 801)

    async def asked() -> None:
        limit.require_room()

    with pytest.raises(Unavailable, match="over 800 bytes"):
        asyncio.run(asked())


@linux
def test_lists_keep_no_deleted_runs_at_the_limit(monkeypatch: pytest.MonkeyPatch):
    mock = ControlledMock()
    run = mock.create()
    assert mock.ids() == [run["id"]]
    mock.delete(f"/v1/runs/{run['id']}")
    (space,) = mock.app.namespaces.default.spaces.values()
    index = weakref.ref(space.cached.index)
    monkeypatch.setattr(mock.app._memory_limit, "_max_bytes", 1)
    mock.app._memory_limit.measure_again()

    mock.post("/v1/runs", {"workflow_id": SUCCEEDS}, fails=True)

    assert index() is None


@linux
def test_large_runs_do_not_take_more_memory_and_a_reset_frees_it():
    most = 300 * MEBIBYTE
    large = {"workflow_id": SUCCEEDS, "count": 1, "input_values": {"text": "x" * (16 * MEBIBYTE)}}
    small = {"workflow_id": SUCCEEDS, "count": 1}
    with (
        serving("--max-memory", str(most)) as (process, url),
        httpx.Client(base_url=url, headers={"Authorization": "Bearer test"}, timeout=60) as client,
    ):
        statuses = [client.post("/v1/runs/bulk", json=large).status_code for _ in range(30)]
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        # A list refers to all runs: what it keeps must not outlive the reset.
        assert client.get("/v1/runs", params={"limit": 1}).status_code == 200
        assert client.post("/__admin/reset").status_code == 204
        after = client.post("/v1/runs/bulk", json=small).status_code

    assert set(statuses) == {201, 503}
    assert pages * os.sysconf("SC_PAGE_SIZE") < most + 150 * MEBIBYTE  # the request that came last
    assert after == 201
