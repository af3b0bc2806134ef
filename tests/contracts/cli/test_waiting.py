"""`--wait`: a check of a server that is just being started."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contracts.cli.wait import wait_for
from contracts.core.findings import CouldNotCheck
from contracts.core.target import Target


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.on_sleep = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


@contextmanager
def answering(port: int, answer: bytes) -> Iterator[list[bytes]]:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65_536))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait(port: int, clock: Clock, for_s: float = 30.0) -> list[str]:
    told: list[str] = []
    target = Target(f"http://127.0.0.1:{port}", "test-secret")
    wait_for(target, for_s, tell=told.append, sleep=clock.sleep, monotonic=lambda: clock.now)
    return told


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Service Unavailable"])
def test_any_answer_ends_the_wait_at_once_and_the_token_is_not_sent(status: str):
    port, clock = free_port(), Clock()
    with answering(port, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as asked:
        assert wait(port, clock) == []
    assert clock.now == 0
    assert asked[0].startswith(b"GET /v1/health HTTP/1.1\r\n")
    assert b"test-secret" not in asked[0]


def test_waiting_for_a_server_that_starts_later_is_reported_once():
    port, clock = free_port(), Clock()
    servers = []

    def start_after_a_second() -> None:
        if clock.now > 1 and not servers:
            servers.append(answering(port, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            servers[0].__enter__()

    clock.on_sleep = start_after_a_second
    told = wait(port, clock)
    servers[0].__exit__(None, None, None)
    assert told == [
        f"Waiting for http://127.0.0.1:{port} to answer, 30 s at most (cannot connect: Connection refused)."
    ]
    assert 1 < clock.now < 2


def test_no_answer_in_time_is_reported_with_the_reason():
    port, clock = free_port(), Clock()
    with pytest.raises(
        CouldNotCheck, match=rf"no answer from http://127.0.0.1:{port} within 3 s \(cannot connect: Connection refused"
    ):
        wait(port, clock, for_s=3)
    assert 2 < clock.now <= 3


def test_an_answer_that_is_not_http_does_not_count():
    port, clock = free_port(), Clock()
    with answering(port, b"220 mail.example ESMTP\r\n"), pytest.raises(CouldNotCheck, match=r"220 mail\.example"):
        wait(port, clock, for_s=0.1)


def test_the_command_waits_and_ends_with_one_line_and_exit_code_2(check):
    status, out, err = check("--wait", "0.3s", url=f"http://127.0.0.1:{(port := free_port())}")
    assert (status, out) == (2, "")
    waiting, error = err.splitlines()
    assert waiting.startswith(f"Waiting for http://127.0.0.1:{port} to answer, 0.3 s at most")
    assert error.startswith(f"Error: no answer from http://127.0.0.1:{port} within 0.3 s (")
    assert error.endswith("): start the server, or correct the URL")


def test_a_plan_waits_for_nobody(check):
    status, _, err = check("--plan", "--wait", "30s", url=f"http://127.0.0.1:{free_port()}")
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("soon", "'soon' is not a time: write 90s, 10m or 1h"),
        ("0s", "Invalid value for '--wait' (env var: 'CONTRACTS_WAIT'): it must be longer than 0 s"),
    ],
)
def test_a_wait_that_is_not_a_duration_is_refused(check, given, said):
    status, _, err = check("--wait", given)
    assert status == 2
    assert said in err
