"""Many clients at once, on two workers of which some are killed: each run and each key behaves as if it were alone.

The first tests are those of the checker itself.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.mockserver.inprocess import NEVER_ENDS
from tests.mockserver.linearizability import Operation, is_linearizable, unanswered
from tests.mockserver.valkey import serving
from tests.mockserver.workers import serving_workers

_CLIENTS = 8
_REQUESTS = 60
_RUNS = 4
_KEYS = 6


def _register(request: Any, state: Any) -> tuple[Any, Any]:
    return (state, state) if request == "read" else ("ok", request)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], True),
        ([Operation(0, 1, 5, "ok"), Operation(2, 3, "read", 5)], True),
        ([Operation(0, 1, 5, "ok"), Operation(2, 3, "read", 0)], False),
        ([Operation(0, 3, 5, "ok"), Operation(1, 2, "read", 0)], True),
        ([Operation(0, 3, 5, "ok"), Operation(1, 2, "read", 5)], True),
        ([Operation(0, 9, 5, "ok"), Operation(1, 2, "read", 5), Operation(3, 4, "read", 0)], False),
        ([unanswered(0, 5), Operation(1, 2, "read", 0), Operation(3, 4, "read", 5)], True),
        ([unanswered(0, 5), Operation(1, 2, "read", 5), Operation(3, 4, "read", 0)], False),
        ([unanswered(5, 5), Operation(1, 2, "read", 5)], False),
        ([Operation(0, 4, 1, "ok"), Operation(0, 4, 2, "ok"), Operation(5, 6, "read", 1)], True),
        ([Operation(0, 1, 1, "ok"), Operation(2, 4, 2, "ok"), Operation(5, 6, "read", 1)], False),
    ],
)
def test_the_checker_finds_what_no_order_explains(history: list[Operation], expected: bool):
    assert is_linearizable(history, 0, _register) is expected


# --- The models


def run_step(request: tuple[str, Any], state: Any) -> tuple[Any, Any]:
    """A run: the value that updates have set, "deleted" once it is."""
    what, value = request
    if state == "deleted":
        return 404, state
    if what == "read":
        return (200, state), state
    return ((204, "deleted") if what == "delete" else (200, value)), ("deleted" if what == "delete" else value)


def key_step(request: str, state: Any) -> tuple[Any, Any]:
    """A key: the id of the run that its first use created. `request` is the id that the answer had, if any."""
    return (state, state) if state is not None else (request, request)


class _Client(threading.Thread):
    """Sends requests one after the other, and notes when each was called and has returned."""

    def __init__(self, url: str, number: int, runs: list[str]) -> None:
        super().__init__()
        self._address = urlsplit(url).netloc
        self._random = random.Random(number)
        self._number = number
        self._runs = runs
        self._connection: http.client.HTTPConnection | None = None
        self.histories: dict[tuple[str, str], list[Operation]] = {}
        self.unexpected: list[Any] = []

    def run(self) -> None:
        for place in range(_REQUESTS):
            choice = self._random.random()
            if choice < 0.3:
                self._use_key(f"key-{self._random.randrange(_KEYS)}")
                continue
            run_id = self._random.choice(self._runs)
            if choice < 0.65:
                self._note_run(run_id, ("read", None), "GET", None)
            elif choice < 0.99:
                value = f"{self._number}-{place}"
                self._note_run(run_id, ("write", value), "PATCH", {"output_data": {"value": value}})
            else:
                self._note_run(run_id, ("delete", None), "DELETE", None)

    def _note_run(self, run_id: str, request: tuple[str, Any], method: str, body: Any) -> None:
        called = time.monotonic()
        status, content = self._asked(method, f"/v1/runs/{run_id}", body)
        returned = time.monotonic()
        if status in (200, 204):
            shown = content["output_data"] and content["output_data"].get("value") if content else "deleted"
            operation = Operation(called, returned, request, (status, shown))
        elif status == 404:
            operation = Operation(called, returned, request, 404)
        else:
            operation = unanswered(called, request)
        self.histories.setdefault(("run", run_id), []).append(operation)

    def _use_key(self, key: str) -> None:
        called = time.monotonic()
        status, content = self._asked("POST", "/v1/runs", {"workflow_id": NEVER_ENDS}, key)
        returned = time.monotonic()
        if status == 201:
            self.histories.setdefault(("key", key), []).append(
                Operation(called, returned, content["id"], content["id"])
            )

    def _asked(self, method: str, path: str, body: Any, key: str = "") -> tuple[int | None, Any]:
        """The status and content; None without an answer. A 409 is expected for a key that is in use."""
        headers = {"Authorization": "Bearer test", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=30)
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None, None
        if answer.status == 503:
            time.sleep(0.05)
        if answer.status not in (200, 201, 204, 404, 409, 503):
            self.unexpected.append((method, path, answer.status, text))
        return answer.status, json.loads(text) if text else None


def _relevant(history: list[Operation]) -> list[Operation]:
    """Leave out what has no answer and no visible effect: reads, and writes of values that no answer shows."""
    shown = {operation.answer[1] for operation in history if isinstance(operation.answer, tuple)}
    return [
        each for each in history if each.answer is not None or each.request[0] == "delete" or each.request[1] in shown
    ]


def _histories(url: str, runs: list[str], disturb: Any) -> dict[tuple[str, str], list[Operation]]:
    clients = [_Client(url, number, runs) for number in range(_CLIENTS)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        disturb()
    for client in clients:
        client.join()
    assert [client.unexpected for client in clients] == [[]] * _CLIENTS
    every: dict[tuple[str, str], list[Operation]] = {}
    for client in clients:
        for name, operations in client.histories.items():
            every.setdefault(name, []).extend(operations)
    return every


@pytest.mark.parametrize("kills", ["nothing", "workers", "the store"])
def test_each_run_and_each_key_is_linearizable_over_two_workers(tmp_path: Path, kills: str):
    with serving(tmp_path, durable=True) as store, serving_workers(store.url(), 2) as workers:
        created = workers.post("/v1/runs/bulk", {"workflow_id": NEVER_ENDS, "count": _RUNS})
        runs = [run["id"] for run in created["created_runs"]]

        left = [5]  # so often something is killed

        def disturb() -> None:
            time.sleep(0.15)
            if kills == "nothing" or not left[0]:
                return
            left[0] -= 1
            if kills == "workers":
                workers.kill_one()
            else:
                store.kill()
                store.start()

        histories = _histories(workers.url, runs, disturb)

    assert sum(map(len, histories.values())) > _CLIENTS * _REQUESTS // 4
    for (kind, name), history in histories.items():
        answered = [operation for operation in history if operation.answer is not None]
        assert answered, name
        step = run_step if kind == "run" else key_step
        relevant = _relevant(history)
        assert is_linearizable(relevant, None, step), (name, sorted(relevant, key=lambda each: each.called))
