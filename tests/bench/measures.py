"""How a server is started, called and measured, alone or in turns with another."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from tests import processes
from tests.bench.load import Call, requests_per_second
from tests.bench.results import Row

WORKFLOW: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
MOCK: Final = ("mockserver", "serve", "--port", "0", "--log-level", "warning")
BARE: Final = ("tests.bench.servers", "bare")
STOCK: Final = ("tests.hostile.stock",)


@dataclass(frozen=True)
class Effort:
    """How long is measured: rounds of so many seconds, after a warm-up; and how many runs are stored."""

    rounds: int = 5
    seconds: float = 1.0
    warm_up_s: float = 8.0
    runs: int = 1_000_000


def serving(*command: str) -> AbstractContextManager[tuple[subprocess.Popen[bytes], str]]:
    return processes.serving(command=command, stderr=os.devnull)


def body(count: int | None, *, invoice: str = "4711") -> bytes:
    """The body of a bulk create; without a count, of a create of one run."""
    content = {"workflow_id": WORKFLOW, "input_values": {"invoice": invoice, "lines": 3}}
    return json.dumps(content if count is None else content | {"count": count}).encode()


def bulk(url: str, count: int) -> Call:
    return Call(f"{url}/v1/runs/bulk", "POST", body(count))


def send(url: str, method: str = "GET", payload: bytes | None = None, **headers: str) -> bytes:
    given = {"Authorization": "Bearer test", "Content-Type": "application/json"} | headers
    with urllib.request.urlopen(urllib.request.Request(url, payload, given, method=method)) as answer:
        return answer.read()


def send_call(call: Call) -> bytes:
    return send(call.url, call.method, call.body or None)


def in_turns(calls: Sequence[Call], effort: Effort) -> list[list[float]]:
    """Return the requests per second of each call in each round, so that a machine whose speed drifts slows all."""
    rounds = [[requests_per_second(call, effort.seconds) for call in calls] for _ in range(effort.rounds)]
    return [list(rates) for rates in zip(*rounds, strict=True)]


def compare(what: str, mock: Call, other: Call, beside: str, effort: Effort, goal: str = "") -> Row:
    ours, theirs = in_turns([mock, other], effort)
    ratios = [one / another for one, another in zip(ours, theirs, strict=True)]
    return Row(what, per_second(ours), f"{beside} {per_second(theirs)}", ratios, goal)


def per_second(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):,.0f}/s"


def seconds_until_ready(command: Sequence[str], path: str) -> float:
    """Start a server, and return the time until it has answered its first request."""
    with ExitStack() as stack:
        started = time.perf_counter()
        _, url = stack.enter_context(serving(*command))
        send(url + path)
        return time.perf_counter() - started
