"""make hostile: a long seeded fuzz, then the heaviest requests; how long others wait meanwhile, and what stays.

It fails where an answer is a 5xx, a traceback is logged, a client beside it waits longer than a second, or the memory
does not come back to within a fifth of what it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from tests.hostile.fuzz import NAMESPACES, TOKENS, Outcome, attack
from tests.hostile.heavy import WORKFLOW, fill, heavy
from tests.processes import resident_kib, serving

_MOST_WAIT_S = 1.0
_MOST_GROWTH = 1.2
_COMMAND = ("mockserver", "serve", "--port", "0", "--self-check", "--log-level", "warning")


@contextmanager
def probe(port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.hostile.probe", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def longest_wait_s(process: subprocess.Popen[str]) -> float:
    """Since it was last asked."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    return resident_kib(process.pid) / 1000


def send(connection: HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    every = {"Authorization": "Bearer test", "Content-Type": "application/json", **headers}
    connection.request(method, path, body, every)
    answer = connection.getresponse()
    content = bytearray()
    while part := answer.read(1_000_000):
        # Of an answer of a gigabyte the beginning is enough.
        if len(content) < 50_000_000:
            content += part
    if answer.will_close:
        connection.close()
    if answer.status >= 500 or (method == "GET" and answer.status != 200):
        raise AssertionError(f"{method} {path}: {answer.status} {bytes(content[:500])!r}")
    return bytes(content)


def clean_up(port: int) -> None:
    """Deletes all runs that the fuzz has made, and what the journals hold of it: up to --journal-bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for token in TOKENS:
        who = f"Bearer {token.decode()}"
        for namespace in NAMESPACES:
            runs = f"{namespace.decode()}/v1/runs"
            while ids := [run["id"] for run in _page(connection, f"{runs}?limit=500&fields=error", who)]:
                for id_ in ids:
                    send(connection, "DELETE", f"{runs}/{id_}", Authorization=who)
    for namespace in NAMESPACES:
        send(connection, "DELETE", f"{namespace.decode()}/__admin/requests")


def _page(connection: HTTPConnection, path: str, who: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = json.loads(send(connection, "GET", path, Authorization=who))["items"]
    return items


def say(outcome: Outcome) -> None:
    print(f"  {outcome.requests:,} requests, {sum(outcome.statuses.values()):,} answers", flush=True)


def fuzz(requests: int, seed: int) -> list[str]:
    with serving(command=_COMMAND) as (process, url):
        port = int(url.rpartition(":")[2])
        with probe(port) as beside:
            # So long that the journal has been full once.
            asyncio.run(attack(port, seed=seed, requests=requests // 4))
            clean_up(port)
            before = memory_mb(process)
            longest_wait_s(beside)
            started = time.perf_counter()
            outcome = asyncio.run(attack(port, seed=seed + 1, requests=requests, on_progress=say))
            took = time.perf_counter() - started
            wait = longest_wait_s(beside)
            peak = memory_mb(process)
            clean_up(port)
            after = memory_mb(process)
        process.terminate()
        _, err = process.communicate(timeout=60)
    problems = outcome.problems
    print(f"{outcome.requests:,} requests in {took:.0f} s: {dict(sorted(outcome.statuses.items()))}")
    print(
        f"longest wait beside: {wait:.3f} s; memory: {before:.0f} MB before, {peak:.0f} behind, {after:.0f} cleaned up"
    )
    if err:
        problems.append(f"standard error: {err.decode()[:2_000]}")
    if wait > _MOST_WAIT_S:
        problems.append(f"another client waited for {wait:.2f} s")
    if after > before * _MOST_GROWTH:
        problems.append(f"memory has grown from {before:.0f} to {after:.0f} MB")
    return problems


def weigh() -> list[str]:
    problems = []
    with serving(command=("mockserver", "serve", "--port", "0", "--log-level", "warning")) as (process, url):
        port = int(url.rpartition(":")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=300)

        def create(**members: Any) -> list[dict[str, Any]]:
            body = json.dumps({"workflow_id": WORKFLOW, **members}).encode()
            runs: list[dict[str, Any]] = json.loads(send(connection, "POST", "/v1/runs/bulk", body))["created_runs"]
            return runs

        run_id, session_id = fill(create)
        print("| request | takes | another waits | memory |\n|---|---|---|---|")
        with probe(port) as beside:
            for each in heavy(run_id, session_id):
                body = None if each.body is None else each.body()
                longest_wait_s(beside)
                started = time.perf_counter()
                send(connection, "GET" if body is None else "POST", each.path, body, **each.headers)
                took, wait = time.perf_counter() - started, longest_wait_s(beside)
                print(f"| {each.what} | {took:.2f} s | {wait:.3f} s | {memory_mb(process):.0f} MB |", flush=True)
                if wait > _MOST_WAIT_S:
                    problems.append(f"beside {each.what} another client waited for {wait:.2f} s")
        process.terminate()
        _, err = process.communicate(timeout=60)
    if err:
        problems.append(f"standard error: {err.decode()[:2_000]}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    problems = [*fuzz(options.requests, options.seed), *weigh()]
    sys.exit("\n".join(problems) if problems else None)


if __name__ == "__main__":
    main()
