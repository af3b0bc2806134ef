"""Many requests through a bounded journal: what is kept stays bounded. `python -m tests.bench.journal_memory` is the
same for a million requests over sockets."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from mockserver import Settings, create_app
from mockserver.app import MockApp

_BYTES = 1_000_000
_HEADERS = [(b"host", b"localhost"), (b"authorization", b"Bearer test-one")]


def _scope(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "client": None,
        "headers": _HEADERS,
    }


async def _sent(_message: Any) -> None:
    pass


async def _whole() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _gone() -> Any:
    return {"type": "http.disconnect"}


async def _fill(app: MockApp, count: int, method: str, path: str, receive: Any) -> None:
    for _ in range(count):
        await app(_scope(method, path), receive, _sent)


_KINDS = {
    "answered": ("GET", "/v1/health", _whole),
    "refused": ("GET", "/v1/nothing", _whole),
    "left": ("POST", "/v1/runs", _gone),
    "in another namespace": ("GET", "/__ns/a/v1/health", _whole),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_the_number_of_entries_and_their_bytes_stay_bounded(kind):
    method, path, receive = _KINDS[kind]
    app = create_app(Settings(journal_bytes=_BYTES, log_level="error"))
    budget = app._journals

    asyncio.run(_fill(app, 5_000, method, path, receive))

    assert 0 < budget._used <= _BYTES
    assert 100 < len(budget._entries) < 700
    kept = [len(namespace.journal) for _, namespace in app.namespaces.items()]
    assert sum(kept) == len(budget._entries)


def test_headers_of_a_few_bytes_count_with_their_objects():
    app = create_app(Settings(journal_bytes=_BYTES, log_level="error"))

    async def fill() -> None:
        for number in range(60):
            scope = _scope("GET", "/v1/health")
            scope["headers"] = [*_HEADERS, *((b"h%d" % each, b"%d" % number) for each in range(2_000))]
            await app(scope, _whole, _sent)

    tracemalloc.start(1)
    try:
        asyncio.run(fill())
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 2 * _BYTES


@pytest.mark.parametrize("faults", [False, True], ids=["by its preference", "by a fault"])
def test_a_request_that_is_cancelled_while_it_waits_counts_in_the_size(faults: bool):
    app = create_app(Settings(journal_bytes=_BYTES, log_level="error"))
    scope = _scope("GET", "/v1/machines")
    if faults:
        clock = app.namespaces.default.clock
        app._fault_parser.add(app.namespaces.default.faults, {"match": "*", "delay_s": 300}, clock)
    else:
        scope["headers"] = [*_HEADERS, (b"prefer", b"delay=300")]

    async def go() -> None:
        waiting = asyncio.ensure_future(app(scope, _whole, _sent))
        for _ in range(20):
            await asyncio.sleep(0)
        assert app._journals._used == 0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(go())
    assert app._journals._used > 0


def test_a_hundred_thousand_requests_leave_memory_as_ten_thousand_do():
    app = create_app(Settings(journal_bytes=_BYTES, log_level="error"))
    asyncio.run(_fill(app, 10_000, "GET", "/v1/health", _whole))
    tracemalloc.start(1)
    try:
        asyncio.run(_fill(app, 2_000, "GET", "/v1/health", _whole))
        before, _ = tracemalloc.get_traced_memory()
        asyncio.run(_fill(app, 5_000, "GET", "/v1/health", _whole))
        middle, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    asyncio.run(_fill(app, 83_000, "GET", "/v1/health", _whole))

    assert middle - before < 200_000
    assert len(app.namespaces.default.journal) == len(app._journals._entries) < 700
    assert app._journals._used <= _BYTES


def test_emptying_the_journal_again_and_again_keeps_nothing_of_it():
    app = create_app(Settings(journal_bytes=100_000_000, log_level="error"))

    async def fill_and_empty() -> None:
        for _ in range(50):
            await _fill(app, 200, "GET", "/v1/health", _whole)
            app.namespaces.default.journal.clear()

    asyncio.run(fill_and_empty())

    assert app._journals._used == 0
    assert len(app._journals._entries) <= 2_200


def test_dropping_namespaces_again_and_again_keeps_nothing_of_their_journals():
    app = create_app(Settings(journal_bytes=100_000_000, log_level="error"))

    async def use_and_drop() -> None:
        for number in range(1_000):
            await _fill(app, 3, "GET", f"/__ns/n{number}/v1/health", _whole)
            await app.namespaces.drop(f"n{number}")

    asyncio.run(use_and_drop())

    assert app._journals._used == 0
    assert len(app._journals._entries) <= 2_200
    assert len(app.namespaces) == 1
