"""python -m tests.bench.shared_store [--runs N]: the store in Valkey beside the memory store, as ratios in one run.

Both servers run on this machine, with the Valkey server and the load, and are measured in turns. Then two workers with
one store hold --runs runs, by creates of 1000: the memory that they take in Valkey, and how long lists and reads take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests import processes
from tests.bench.load import Call, requests_per_second
from tests.bench.measures import Effort, bulk, compare, send
from tests.bench.results import Table
from tests.mockserver import valkey

_TIMED = 30
_LIST_LIMIT = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000_000, help="0: only the ratios")
    parser.add_argument(
        "--durable", action="store_true", help="Valkey writes each commit to the disk before it answers"
    )
    asked = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(valkey.serving(directory, durable=asked.durable))
        _ratios(stack, server)
        if asked.runs:
            _many(stack, server, asked.runs)


def _serving(stack: ExitStack, *flags: str) -> tuple[processes.subprocess.Popen[bytes], str]:
    command = ("mockserver", "serve", "--port", "0", "--log-level", "warning", *flags)
    return stack.enter_context(processes.serving(command=command, stderr=os.devnull))


def _ratios(stack: ExitStack, server: valkey.Valkey) -> None:
    _, memory = _serving(stack)
    _, shared = _serving(stack, "--store", server.url("ratios:"))
    table = Table("Valkey beside memory", "")
    for count, goal in ((1, "≥ 0.25"), (1000, "≥ 0.4")):
        what = f"bulk create of {count}"
        table.add(compare(what, bulk(shared, count), bulk(memory, count), "memory", Effort(), goal))
    lists = [Call(f"{url}/v1/runs?limit={_LIST_LIMIT}") for url in (shared, memory)]
    table.add(compare(f"list of {_LIST_LIMIT}", lists[0], lists[1], "memory", Effort()))
    reads = [Call(_newest(url)) for url in (shared, memory)]
    table.add(compare("read of one", reads[0], reads[1], "memory", Effort()))


def _newest(url: str) -> str:
    items = json.loads(send(f"{url}/v1/runs?limit=1"))["items"]
    return f"{url}/v1/runs/{items[0]['id']}"


def _many(stack: ExitStack, server: valkey.Valkey, runs: int) -> None:
    workers, url = _serving(stack, "--store", server.url("many:"), "--workers", "2", "--journal-bytes", "0")
    before = _used_bytes(server)
    started, made, rate = time.perf_counter(), 0, 0.0
    while made < runs:
        seconds = 2.0
        rate = requests_per_second(bulk(url, 1000), seconds)
        made = json.loads(send(f"{url}/v1/runs?limit=1"))["total"]
    took = time.perf_counter() - started
    print(f"\n{made:,} runs made in {took:.0f} s, at last {rate * 1000:,.0f} runs/s")
    print(f"in Valkey: {(_used_bytes(server) - before) / made:.2f} bytes a run")
    children = Path(f"/proc/{workers.pid}/task/{workers.pid}/children").read_text().split()
    print(f"in each worker: {', '.join(f'{processes.resident_kib(int(each)) / 1024:.0f} MiB' for each in children)}")
    _, late = _serving(stack, "--store", server.url("many:"))
    started = time.perf_counter()
    send(f"{late}/v1/runs?limit={_LIST_LIMIT}")
    print(f"a server that starts now: its first list after {time.perf_counter() - started:.2f} s")
    one = _newest(url)
    for what, address in (
        (f"list of {_LIST_LIMIT}", f"{url}/v1/runs?limit={_LIST_LIMIT}"),
        (f"list of {_LIST_LIMIT}, status=success", f"{url}/v1/runs?limit={_LIST_LIMIT}&status=success"),
        ("list at the end", f"{url}/v1/runs?limit={_LIST_LIMIT}&skip={made - _LIST_LIMIT}"),
        ("read of one", one),
    ):
        print(f"{what}: {_median_ms(lambda address=address: send(address)):.2f} ms")


def _median_ms(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def _used_bytes(server: valkey.Valkey) -> int:
    lines = server.ask("INFO", "memory").decode().splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("used_memory:")))


if __name__ == "__main__":
    main()
