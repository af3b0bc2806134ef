"""make bench: the mock beside a bare route, a plain mock, and other mocks, as ratios of one run on one machine.

    make bench                          the tables, some minutes
    make bench ARGS="--write"           also docs/benchmarks.md and its picture
    make bench ARGS="--rivals --write"  also Prism, Mockoon and WireMock: needs npm, and Java for WireMock

`tests.bench.lists`, `tests.bench.shared_store`, `tests.bench.memory` and `tests.bench.journal_memory` measure what
takes longer.
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path

from tests.bench import rivals
from tests.bench.load import Call, response_times
from tests.bench.measures import (
    BARE,
    MOCK,
    STOCK,
    Effort,
    body,
    bulk,
    compare,
    seconds_until_ready,
    send,
    send_call,
    serving,
)
from tests.bench.results import Row, Table, page, picture
from tests.processes import resident_kib

_DOCS = Path(__file__).parents[2] / "docs"
_PICTURE = "images/benchmarks.svg"
_GOALS = {
    "bulk create of 1": "≥ 0.8",
    "bulk create of 100": "≥ 0.8",
    "bulk create of 1000": "≥ 0.5",
    "read of one": "≥ 0.85",
    "list of 100": "≥ 0.6",
}


def calls_of(url: str) -> dict[str, Call]:
    """Return a call of each kind to a mock, which has 2,000 runs from then on. Those that make more come last."""
    for _ in range(20):
        send_call(bulk(url, 100))
    one = json.loads(send(f"{url}/v1/runs?limit=1"))["items"][0]["id"]
    return {
        "read of one": Call(f"{url}/v1/runs/{one}"),
        "list of 100": Call(f"{url}/v1/runs?limit=100"),
        **{f"bulk create of {count}": bulk(url, count) for count in (1, 100, 1000)},
    }


def requests(effort: Effort) -> Table:
    table = Table(
        "Requests",
        "8 connections, beside a bare Starlette route under uvicorn that sends as many constant bytes.",
        bars=True,
    )
    with ExitStack() as stack:
        _, url = stack.enter_context(serving(*MOCK))
        calls = calls_of(url)
        sizes = [str(len(send_call(call))) for call in calls.values()]
        _, bare = stack.enter_context(serving(*BARE, *sizes))
        for number, (what, call) in enumerate(calls.items()):
            same_size = Call(f"{bare}/{number}", call.method, call.body)
            table.add(compare(what, call, same_size, "bare route", effort, _GOALS[what]))
    return table


def protocol(effort: Effort) -> Table:
    table = Table(
        "The HTTP protocol",
        "The mock beside itself under uvicorn's own protocol class, which has fewer limits (ARCHITECTURE.md, *HTTP*).",
    )
    with ExitStack() as stack:
        _, url = stack.enter_context(serving(*MOCK))
        _, stock = stack.enter_context(serving(*STOCK))
        for (what, call), by_stock in zip(calls_of(url).items(), calls_of(stock).values(), strict=True):
            table.add(compare(what, call, by_stock, "uvicorn's", effort))
    return table


def ways(effort: Effort) -> Table:
    table = Table(
        "What the design wins, and what the control API costs",
        "A *plain mock* builds a dict for each run, as most people would.",
    )
    with ExitStack() as stack:
        _, url = stack.enter_context(serving(*MOCK))
        _, plain = stack.enter_context(serving("tests.bench.servers", "plain"))
        _, unwatched = stack.enter_context(serving(*MOCK, "--no-admin", "--journal-bytes", "0", "--no-warnings"))
        table.add(compare("bulk create of 1000", bulk(url, 1000), bulk(plain, 1000), "plain mock", effort, "≥ 6"))
        table.add(compare("bulk create of 1", bulk(url, 1), bulk(unwatched, 1), "without journal", effort, "≥ 0.87"))
    starts = ((MOCK, "/v1/machines"), ((*BARE, "600"), "/0"))
    ready = [[seconds_until_ready(command, path) for command, path in starts] for _ in range(effort.rounds)]
    ours, theirs = (statistics.median(times) for times in zip(*ready, strict=True))
    ratios = [one / other for one, other in ready]
    table.add(Row("ready after start", f"{ours:.2f} s", f"bare route {theirs:.2f} s", ratios, "≤ 1.5"))
    return table


def mixed(effort: Effort) -> Table:
    table = Table(
        "Beside other work",
        "The 99th percentile of the time of a bulk create of one, while a second client lists by status and a third "
        "creates 1000 runs at a time. The bare routes send as many bytes.",
    )
    with ExitStack() as stack:
        _, url = stack.enter_context(serving(*MOCK))
        calls = [bulk(url, 1), Call(f"{url}/v1/runs?status=success&limit=100"), bulk(url, 1000)]
        _, bare = stack.enter_context(serving(*BARE, *(str(len(send_call(call))) for call in calls)))
        same = [Call(f"{bare}/{number}", call.method, call.body) for number, call in enumerate(calls)]
        rounds = []
        for _ in range(effort.rounds):
            first = [response_times(each, effort.seconds)[0] for each in (calls, same)]
            rounds.append([statistics.quantiles(times, n=100)[98] * 1000 for times in first])
        ours, theirs = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratios = [one / other for one, other in rounds]
        table.add(Row("p99 of a bulk create of 1", f"{ours:.1f} ms", f"bare routes {theirs:.1f} ms", ratios, "≤ 3"))
    return table


def memory(effort: Effort) -> Table:
    table = Table("Memory", "Bytes of resident memory for each stored run, beside the goal.")
    few = max(1, effort.runs // 20)
    kinds = [
        (f"{effort.runs:,} runs, 1000 with each create", effort.runs, 1000, False, 8),
        (f"{few:,} runs, one with each create", few, None, False, 600),
        (f"{few:,} runs, each with a key and an input of 50 bytes", few, None, True, 600),
    ]
    for what, runs, count, has_key, goal in kinds:
        with serving(*MOCK, "--journal-bytes", "0") as (process, url):
            send_many(url, runs // 10, count, "warm", has_key=has_key)
            before = resident_kib(process.pid)
            send_many(url, runs, count, "run", has_key=has_key)
            bytes_each = (resident_kib(process.pid) - before) * 1024 / runs
        table.add(Row(what, f"{bytes_each:.1f} bytes", f"{goal} bytes", [bytes_each / goal], "≤ 1"))
    return table


def send_many(url: str, runs: int, count: int | None, name: str, *, has_key: bool) -> None:
    """Create runs, `count` with each bulk create; or one by one, without a count."""
    path = "/v1/runs" if count is None else "/v1/runs/bulk"
    for number in range(runs // (count or 1)):
        payload = body(count, invoice=f"{name}-{number:045d}") if has_key else body(count)
        send(f"{url}{path}", "POST", payload, **({"Idempotency-Key": f"{name}-{number}"} if has_key else {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of each: only whether it runs")
    parser.add_argument("--rivals", action="store_true", help="also Prism, Mockoon and WireMock")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its picture")
    asked = parser.parse_args()
    effort = Effort(rounds=1, seconds=0.1, warm_up_s=0.1, runs=10_000) if asked.quick else Effort()
    tables = [measure(effort) for measure in (requests, protocol, ways, mixed, memory)]
    if asked.rivals:
        tables.append(rivals.table(effort))
    if asked.write:
        (_DOCS / _PICTURE).write_text(picture(tables), encoding="utf-8")
        (_DOCS / "benchmarks.md").write_text(page(tables, _PICTURE), encoding="utf-8")


if __name__ == "__main__":
    main()
