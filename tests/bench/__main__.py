"""make bench: the mock beside a bare route and a plain mock, in one run, as ratios.

Each pair is measured in turns, so that a machine whose speed drifts slows both; the median of the rounds is shown.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
import urllib.request
from contextlib import AbstractContextManager, ExitStack

from tests import processes
from tests.bench.load import requests_per_second

ROUNDS = 5
SECONDS = 1.0
WORKFLOW = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
MANY_RUNS = 1_000_000


def serving(*command: str) -> AbstractContextManager[tuple[subprocess.Popen[bytes], str]]:
    return processes.serving(command=command, stderr=os.devnull)


def body(count: int) -> bytes:
    return json.dumps(
        {"workflow_id": WORKFLOW, "count": count, "input_values": {"invoice": "4711", "lines": 3}}
    ).encode()


def send(url: str, method: str = "GET", payload: bytes | None = None) -> bytes:
    headers = {"Authorization": "Bearer test", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, payload, headers, method=method)) as answer:
        return answer.read()


def memory_kib(process: subprocess.Popen[str]) -> int:
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))


def compare(what: str, aim: str, beside: str, mock: tuple[str, str, bytes], other: tuple[str, str, bytes]) -> None:
    rounds = []
    for _ in range(ROUNDS):
        pair = [
            requests_per_second(url, method=method, body=payload, seconds=SECONDS)
            for url, method, payload in (mock, other)
        ]
        rounds.append((*pair, pair[0] / pair[1]))
    ours, theirs, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
    spread = f"{min(each[2] for each in rounds):.2f}–{max(each[2] for each in rounds):.2f}"
    print(f"| {what} | {ours:,.0f}/s | {beside} {theirs:,.0f}/s | {ratio:.2f} | {spread} | {aim} |", flush=True)


def main() -> None:
    with ExitStack() as stack:
        mock = ("mockserver", "serve", "--port", "0")
        started = time.perf_counter()
        _, url = stack.enter_context(serving(*mock))
        ready_s = time.perf_counter() - started
        started = time.perf_counter()
        _, small = stack.enter_context(serving("tests.bench.servers", "bare", "600"))
        bare_ready_s = time.perf_counter() - started
        _, plain = stack.enter_context(serving("tests.bench.servers", "plain"))

        print("| what | the mock | beside it | ratio | from–to | aim |\n|---|---|---|---|---|---|")
        print(f"| ready after | {ready_s:.2f} s | bare route {bare_ready_s:.2f} s | {ready_s / bare_ready_s:.2f} | | |")
        bulk = f"{url}/v1/runs/bulk"
        compare(
            "bulk create, count 1", "≥ 0.6", "bare route", (bulk, "POST", body(1)),
            (f"{small}/v1/runs/bulk", "POST", body(1)),
        )  # fmt: skip
        compare(
            "bulk create, count 1000", "≥ 6", "plain mock", (bulk, "POST", body(1000)),
            (f"{plain}/v1/runs/bulk", "POST", body(1000)),
        )  # fmt: skip

        _, unwatched = stack.enter_context(serving(*mock, "--no-admin", "--journal-bytes", "0", "--no-warnings"))
        compare(
            "bulk create, count 1", "≥ 0.87", "without journal and control API", (bulk, "POST", body(1)),
            (f"{unwatched}/v1/runs/bulk", "POST", body(1)),
        )  # fmt: skip

        # Lists and reads are measured on a server of its own, with some thousand runs of different age.
        _, listed = stack.enter_context(serving(*mock))
        for _ in range(20):
            send(f"{listed}/v1/runs/bulk", "POST", body(100))
        page = f"{listed}/v1/runs?limit=100"
        answer = send(page)
        one = f"{listed}/v1/runs/{json.loads(answer)['items'][0]['id']}"
        for what, address in (("list of 100", page), ("read of one", one)):
            size = len(send(address))
            _, alike = stack.enter_context(serving("tests.bench.servers", "bare", str(size)))
            compare(
                what, "≥ 0.4", f"bare route of {size:,} bytes", (address, "GET", b""), (f"{alike}/v1/runs", "GET", b"")
            )

        process, full = stack.enter_context(serving(*mock))
        send(f"{full}/v1/runs/bulk", "POST", body(1000))
        before = memory_kib(process)
        for _ in range(MANY_RUNS // 1000):
            send(f"{full}/v1/runs/bulk", "POST", body(1000))
        each = (memory_kib(process) - before) * 1024 / MANY_RUNS
        print(f"| memory a run, after {MANY_RUNS:,} | {each:.1f} bytes | | | | ≤ 200 bytes |")


if __name__ == "__main__":
    main()
