"""`--workers N`: several processes are one server; those that die are replaced, and no acknowledged run is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from mockserver.cli import main
from tests import processes
from tests.mockserver.inprocess import SUCCEEDS, world_file
from tests.mockserver.valkey import Valkey, serving
from tests.mockserver.workers import Workers, serving_workers

_CLIENTS = 8
_CREATES = 40
_COUNT = 3


def test_several_workers_serve_one_address_and_one_state(valkey_server: Valkey):
    with serving_workers(valkey_server.url("workers-1:"), 3) as workers:
        workers.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 5})
        totals = [workers.ask("GET", "/v1/runs?limit=1")["total"] for _ in range(20)]
        assert totals == [5] * 20
        assert len(workers.pids()) == 3
        assert workers.ready_file is not None
        assert workers.ready_file.read_text().strip() == workers.url


def test_where_a_process_cannot_fork_the_server_says_so(monkeypatch: pytest.MonkeyPatch):
    """As on Windows, which has no SO_REUSEPORT either."""
    monkeypatch.delattr(os, "fork")
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    refused = CliRunner().invoke(main, ["serve", "--workers", "2", "--port", "0", "--store", "valkey://127.0.0.1:1"])
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert "--workers needs a system with fork" in refused.output


def test_a_worker_that_dies_is_replaced(valkey_server: Valkey):
    with serving_workers(valkey_server.url("workers-2:"), 2) as workers:
        workers.post("/v1/runs", {"workflow_id": SUCCEEDS})
        before = workers.pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        processes.wait_until(lambda: len(set(workers.pids()) - set(before)) == 2, workers.states)
        assert workers.ask("GET", "/v1/runs")["total"] == 1


def test_the_workers_end_when_the_process_that_started_them_is_killed(valkey_server: Valkey):
    flags = ("--store", valkey_server.url("workers-3:"), "--workers", "2", "--log-level", "error")
    with processes.serving(*flags, stderr=os.devnull) as (process, url):
        workers = Workers(process, url)
        workers.post("/v1/runs", {"workflow_id": SUCCEEDS})
        pids = workers.pids()
        process.kill()
        process.wait()
        processes.wait_until(lambda: not any(_is_running(pid) for pid in pids))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_workers(valkey_server: Valkey, signum: signal.Signals):
    flags = ("--store", valkey_server.url("workers-4:"), "--workers", "2", "--log-level", "error")
    with processes.serving(*flags, stderr=os.devnull) as (process, url):
        Workers(process, url).post("/v1/runs", {"workflow_id": SUCCEEDS})
        process.send_signal(signum)
        assert process.wait(processes.PATIENCE_S) == 0


def test_a_worker_that_does_not_end_is_killed(valkey_server: Valkey):
    with serving_workers(valkey_server.url("workers-10:"), 2) as workers:
        pids = workers.pids()
        os.kill(pids[0], signal.SIGSTOP)
        workers.process.terminate()
        assert workers.process.wait(processes.PATIENCE_S) == 0
        assert not any(_is_running(pid) for pid in pids)


def test_a_closed_terminal_ends_all_workers_and_removes_the_ready_file(valkey_server: Valkey, tmp_path: Path, hangup):
    ready_file = tmp_path / "ready"
    flags = ("--port", "0", "--store", valkey_server.url("workers-9:"), "--workers", "2")
    with processes.started(*flags, "--ready-file", str(ready_file), stderr=os.devnull) as process:
        processes.wait_until(ready_file.exists)
        process.send_signal(hangup)
        assert process.wait(processes.PATIENCE_S) == 0
    assert not ready_file.exists()


def test_workers_that_end_at_the_same_moment_end_the_server(valkey_server: Valkey, tmp_path: Path):
    ready_file = tmp_path / "ready"
    flags = ("--store", valkey_server.url("workers-8:"), "--workers", "3", "--ready-file", str(ready_file))
    with processes.started(
        command=("tests.mockserver.workers_that_end_together", *flags), stderr=os.devnull
    ) as process:
        processes.wait_until(ready_file.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(processes.PATIENCE_S) == 0


def test_a_worker_that_cannot_start_ends_the_server(valkey_server: Valkey, tmp_path: Path):
    log = tmp_path / "log"
    flags = ("--store", valkey_server.url("workers-5:"), "--workers", "2")
    command = ("tests.mockserver.failing_worker", *flags)
    with processes.started(command=command, stderr=str(log)) as process:
        assert process.wait(processes.PATIENCE_S) == 1
    assert "before it was ready" in log.read_text()


def test_a_replacement_that_cannot_start_ends_the_server(valkey_server: Valkey, tmp_path: Path):
    log, ready_file = tmp_path / "log", tmp_path / "ready"
    world = world_file(tmp_path, "builtin: false\n")
    flags = ("--store", valkey_server.url("workers-7:"), "--workers", "2", "--log-level", "error")
    files = ("--world", str(world), "--ready-file", str(ready_file))
    with processes.serving(*flags, *files, stderr=str(log)) as (process, url):
        processes.wait_until(ready_file.exists)
        world.unlink()
        Workers(process, url).kill_one()
        assert process.wait(processes.PATIENCE_S) == 1
    killed, again, given_up = (line for line in log.read_text().splitlines() if line.startswith("mockserver: worker"))
    assert killed.endswith("was ended by signal 9; another one takes its place")
    assert again.endswith("has ended with exit code 1 before it was ready; another one takes its place")
    assert given_up.endswith("has ended with exit code 1 before it was ready")


def test_workers_that_are_replaced_without_a_standard_output_leave_the_ready_file(
    valkey_server: Valkey, tmp_path: Path
):
    """The process that ends there is a worker, and must not do what the first process does at its end."""
    log, ready_file = tmp_path / "log", tmp_path / "ready"
    flags = ("--port", "0", "--store", valkey_server.url("workers-12:"), "--workers", "2", "--log-level", "error")
    with processes.started(*flags, "--ready-file", str(ready_file), stdout="closed", stderr=str(log)) as process:
        processes.wait_until(ready_file.exists)
        workers = Workers(process, ready_file.read_text().strip())
        before = workers.pids()
        os.kill(before[0], signal.SIGTERM)
        processes.wait_until(lambda: before[0] not in workers.pids() and len(workers.pids()) == 2)
        assert ready_file.exists()
        process.terminate()
        assert process.wait(processes.PATIENCE_S) == 0
    assert "Traceback" not in log.read_text()
    assert not ready_file.exists()


@pytest.mark.parametrize("is_full", [False, True], ids=["closed", "full"])
def test_a_worker_is_replaced_while_standard_error_is_not_read(valkey_server: Valkey, tmp_path: Path, is_full: bool):
    pipe, ready_file = tmp_path / "pipe", tmp_path / "ready"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    flags = ("--store", valkey_server.url("workers-11:"), "--workers", "2", "--ready-file", str(ready_file))
    with processes.serving(*flags, stderr=str(pipe)) as (process, url):
        processes.wait_until(ready_file.exists)
        if is_full:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            for size in (4096, 1):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        os.write(writer, bytes(size))
            os.close(writer)
        else:
            os.close(reader)
        workers = Workers(process, url)
        before = workers.pids()
        workers.kill_one()
        processes.wait_until(lambda: len(set(workers.pids()) - set(before)) == 1 and len(workers.pids()) == 2)
        process.terminate()
        assert process.wait(processes.PATIENCE_S) == 0
    if is_full:
        os.close(reader)


def test_a_worker_that_was_killed_is_told_in_json_where_the_log_is_json(valkey_server: Valkey, tmp_path: Path):
    log, ready_file = tmp_path / "log", tmp_path / "ready"
    flags = ("--store", valkey_server.url("workers-10:"), "--workers", "2", "--log-format", "json")
    with processes.serving(*flags, "--ready-file", str(ready_file), stderr=str(log)) as (process, url):
        processes.wait_until(ready_file.exists)
        Workers(process, url).kill_one()
        processes.wait_until(lambda: "takes its place" in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (told,) = (line for line in lines if "takes its place" in line.get("message", ""))
    assert (told["level"], "was ended by signal 9" in told["message"]) == ("warning", True)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ("--workers", "2"),
            "--workers: several processes need a store that they share: give --store valkey://HOST:PORT",
        ),
        (("--store", "valkey://127.0.0.1:1"), "): start a Valkey server there, or correct the URL"),
        (("--store", "valkey://127.0.0.1:1", "--state", "x"), "keeps the state itself: leave out --state"),
    ],
    ids=["memory", "no store", "state"],
)
def test_what_cannot_work_is_refused_in_one_line(flags: tuple[str, ...], told: str, tmp_path: Path):
    log = tmp_path / "log"
    with processes.started("serve", "--port", "0", *flags, command=("mockserver",), stderr=str(log)) as process:
        assert process.wait(processes.PATIENCE_S) == 2
    (line,) = log.read_text().splitlines()
    assert told in line


def test_an_address_that_another_server_uses_is_refused(valkey_server: Valkey, tmp_path: Path):
    log = tmp_path / "log"
    with serving_workers(valkey_server.url("workers-6:"), 2) as workers:
        port = str(urlsplit(workers.url).port)
        flags = ("--port", port, "--store", valkey_server.url("workers-6:"), "--workers", "2")
        with processes.started("serve", *flags, command=("mockserver",), stderr=str(log)) as process:
            assert process.wait(processes.PATIENCE_S) == 2
    assert f"port {port} on 127.0.0.1 is in use" in log.read_text()


# --- Kills under load


class _Client(threading.Thread):
    """Creates runs in bulk, each with a key, and repeats every request until it is answered with 201."""

    def __init__(self, urls: list[str], number: int) -> None:
        super().__init__()
        self._urls = urls
        self._number = number
        self.created: dict[str, list[str]] = {}
        self.unexpected: list[tuple[int, bytes]] = []

    def run(self) -> None:
        body = json.dumps({"workflow_id": SUCCEEDS, "count": _COUNT})
        for place in range(_CREATES):
            key = f"{self._number}-{place}"
            headers = {"Authorization": "Bearer test", "Content-Type": "application/json", "Idempotency-Key": key}
            attempt = 0
            while key not in self.created and not self.unexpected:
                attempt += 1
                connection = http.client.HTTPConnection(
                    urlsplit(self._urls[(self._number + attempt) % len(self._urls)]).netloc, timeout=30
                )
                try:
                    connection.request("POST", "/v1/runs/bulk", body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)
                    continue
                finally:
                    connection.close()
                if answer.status == 201:
                    self.created[key] = [run["id"] for run in json.loads(content)["created_runs"]]
                elif answer.status in (409, 503):
                    time.sleep(0.02)
                else:
                    self.unexpected.append((answer.status, content))


@pytest.mark.parametrize("killed", ["workers", "a server", "the store"])
def test_under_kills_no_acknowledged_run_is_lost_and_none_is_made_twice(tmp_path: Path, killed: str):
    with ExitStack() as stack:
        store = stack.enter_context(serving(tmp_path, durable=True))
        workers = stack.enter_context(serving_workers(store.url(), 2))
        flags = ("--store", store.url(), "--log-level", "error")
        lonely, url = stack.enter_context(processes.serving(*flags, stderr=os.devnull))
        clients = [_Client([workers.url, url], number) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(4):
            if killed == "workers":
                workers.kill_one()
            elif killed == "a server":
                lonely.kill()
            else:
                store.kill()
                store.start()
            time.sleep(0.1)
        for client in clients:
            client.join()

        assert [client.unexpected for client in clients] == [[]] * _CLIENTS
        acknowledged = [run_id for client in clients for ids in client.created.values() for run_id in ids]
        assert len(acknowledged) == _CLIENTS * _CREATES * _COUNT
        page = workers.ask("GET", "/v1/runs?limit=1000")
        assert page["total"] == len(acknowledged)
        assert {run["id"] for run in page["items"]} == set(acknowledged)


def _is_running(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
