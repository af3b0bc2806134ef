"""python -m tests.bench.lists [--runs N …]: what a list costs with many runs, beside the same list with 1,000.

The application is called in this process, without a socket, on a clock that the bench turns: a list is timed alone, and
the moment at which the runs are looked at is exact. The runs are made by creates of 1000, and one by one. `at rest`
all of them have ended; `in motion` they end between two lists: the clock passes 5 ms before each. The first list of
each kind is shown apart, since it also takes in the runs that were created since the last list. Times are of the
processor, so that other processes of the machine do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from mockserver import Settings, create_app
from mockserver.clock import ManualClock

WORKFLOWS = ["3c90c3cc-0d44-4b50-8888-8dd25736052a", "10000000-0000-4000-8000-000000000001"]
MACHINE = "20000000-0000-4000-8000-000000000002"
ROUNDS = 15
REST_S, MOTION_S = 60.0, 12.0

QUERIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "created_at_desc": {"sort_mode": "created_at_desc"},
    **{f"status={status}": {"status": status} for status in ("scheduling", "running", "success", "error")},
    "workflow_id": {"workflow_id": WORKFLOWS[0]},
    "machine_id": {"machine_id": MACHINE},
    "created_at_from": {"created_at_from": "2026-01-01T00:00:00.000050Z"},
    "workflow_id, status": {"workflow_id": WORKFLOWS[0], "status": "success"},
    "machine_id, status": {"machine_id": MACHINE, "status": "success"},
    "workflow_id, machine_id": {"workflow_id": WORKFLOWS[0], "machine_id": MACHINE},
    "created_at_to, status": {"created_at_to": "2026-01-01T00:10:00Z", "status": "success"},
    "session_id": {"session_id": "7d90c3cc-0d44-4b50-8888-8dd257360000"},
    "search, nothing found": {"search": "no such text"},
    "search, status": {"search": "invoice-77", "status": "success"},
    "deep_search": {"search": "invoice-77", "deep_search": "true"},
}


class Server:
    """The application in this process. `call` returns the body of an answer; it fails unless that is a 2xx."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.app = create_app(Settings(**{"log_level": "warning", **settings}), clock=self.clock)
        self.longest_s = 0.0
        """How long a call has kept the event loop at most, without giving way."""

    async def call(self, method: str, path: str, query: str = "", body: bytes = b"", key: bytes = b"") -> bytes:
        sent: list[bytes] = []
        status = 0
        headers = [(b"authorization", b"Bearer test"), (b"host", b"mock"), (b"content-type", b"application/json")]
        headers.append((b"content-length", b"%d" % len(body)))
        if key:
            headers.append((b"idempotency-key", key))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {}, "extensions": {},
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            sent.append(message.get("body", b""))

        await _Stepped(self.app(scope, receive, send), self)
        answer = b"".join(sent)
        assert 200 <= status < 300, answer[:300]
        return answer


class _Stepped:
    """Awaits a coroutine, and keeps the longest time between two of its suspensions."""

    def __init__(self, coroutine: Any, server: Server) -> None:
        self._coroutine = coroutine
        self._server = server

    def __await__(self) -> Iterator[Any]:
        steps = self._coroutine.__await__()
        while True:
            started = time.process_time()
            try:
                waiting = next(steps)
            except StopIteration as stop:
                return stop.value
            finally:
                self._server.longest_s = max(self._server.longest_s, time.process_time() - started)
            yield waiting


async def made(runs: int, each: int) -> Server:
    server = Server()
    session = {"session_id": QUERIES["session_id"]["session_id"]}
    for number in range(runs // each):
        workflow = WORKFLOWS[number % 10 == 9]
        inputs = {"invoice": f"invoice-{number:07d}", "customer": "somebody"}
        content: dict[str, Any] = {"workflow_id": workflow, "input_values": inputs}
        if each > 1:
            content["count"] = each
        elif number < 20:
            content |= session
        await server.call("POST", "/v1/runs/bulk" if each > 1 else "/v1/runs", body=json.dumps(content).encode())
        server.clock.pass_time(1e-6)
    return server


async def timed(server: Server, query: dict[str, Any], *, moving: bool) -> tuple[float, float, float]:
    """The first time, the median of the others, and the longest hold of the event loop after the first, in ms."""
    times = []
    text = urlencode(query)
    for _ in range(ROUNDS + 1):
        if moving:
            server.clock.pass_time(0.005)
        if len(times) == 1:
            server.longest_s = 0.0
        started = time.process_time()
        await server.call("GET", "/v1/runs", text)
        times.append((time.process_time() - started) * 1000)
        if len(times) > 1 and times[-1] > 2_000:
            break
    return times[0], statistics.median(times[1:] or times), server.longest_s * 1000


async def table(runs: list[int], each: int, *, moving: bool, only: str) -> None:
    how = f"{'one by one' if each == 1 else f'by creates of {each}'}, {'in motion' if moving else 'at rest'}"
    results: dict[str, list[tuple[float, float, float]]] = {}
    for count in runs:
        server = await made(count, each)
        server.clock.pass_time(MOTION_S if moving else REST_S)
        gc.collect()
        gc.freeze()
        for name, query in QUERIES.items():
            if only in name:
                for page, skip in (("", 0), (", page 1,000", 99_900)):
                    if not skip or not moving:
                        # With few runs, a page that is not empty either.
                        shown = {**query, "skip": min(skip, count * 7 // 10)} if skip else query
                        results.setdefault(name + page, []).append(await timed(server, shown, moving=moving))
        gc.unfreeze()
        del server
        gc.collect()
    print(f"\n### Made {how} (ms)\n")
    print(f"| list | {' | '.join(f'{count:,} runs' for count in runs)} | ratio | first | longest hold |")
    print("|---|" + "---:|" * (len(runs) + 3))
    for name, row in results.items():
        cells = " | ".join(f"{median:.2f}" for _, median, _ in row)
        print(f"| {name} | {cells} | {row[-1][1] / row[0][1]:.1f} | {row[-1][0]:.1f} | {row[-1][2]:.1f} |", flush=True)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, nargs="+", default=[1_000, 1_000_000])
    options.add_argument("--each", type=int, nargs="+", default=[1000, 1])
    options.add_argument("--only", default="", help="a part of the names of the lists to time")
    given = options.parse_args()
    for each in given.each:
        for moving in (False, True):
            asyncio.run(table(given.runs, each, moving=moving, only=given.only))


if __name__ == "__main__":
    main()
