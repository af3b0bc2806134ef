"""What stands around the server may fail: standard error and output, signals at any moment, clients that vanish."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from tests.processes import PATIENCE_S, serving, started, wait_until

TEST = {"Authorization": "Bearer test"}


def ended(process: subprocess.Popen[bytes], *signals: signal.Signals) -> tuple[int, str]:
    """Exit code and standard error of a process that gets the signals."""
    for each in signals:
        process.send_signal(each)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err.decode()


def test_with_a_standard_error_that_nobody_reads_every_request_is_answered_and_it_ends():
    with serving() as (process, url), httpx.Client() as client:
        # A pipe holds 64 KiB. These lines are twice as much.
        for _ in range(70):
            assert client.get(f"{url}/v1/{'x' * 1_900}").status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("where", ["closed", "/dev/full"])
def test_with_a_standard_error_that_cannot_be_written_it_serves(where: str):
    with serving(stderr=where) as (process, url):
        for _ in range(20):
            assert httpx.get(f"{url}/v1/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("where", ["closed", "/dev/full", "unread"])
def test_with_a_standard_output_that_cannot_be_written_it_serves(where: str):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started("--port", str(port), stdout=where) as process:
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            assert client.get(f"http://127.0.0.1:{port}/v1/health").status_code == 200
        code, err = ended(process, signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in err


@contextmanager
def asked(url: str, head: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        yield connection


def answer_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def slow_request(delay: str) -> str:
    return f"GET /v1/machines HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer test\r\nPrefer: delay={delay}\r\n\r\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_answer_in_the_making_is_finished_within_the_grace_time(how: signal.Signals):
    with serving() as (process, url), asked(url, slow_request("1")) as connection:
        _wait_until_handled(url)
        code, err = ended(process, how)
        assert answer_of(connection).startswith(b"HTTP/1.1 200 ")
    assert code == 0
    assert "Traceback" not in err


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]])
def test_an_answer_that_takes_longer_is_cut_off_without_a_traceback(signals: list[signal.Signals]):
    with serving("--shutdown-grace", "1") as (process, url), asked(url, slow_request("200")) as connection:
        _wait_until_handled(url)
        code, err = ended(process, *signals)
        with suppress(ConnectionResetError):
            assert answer_of(connection) == b""
    assert code == 0, err
    assert "stopped with 1 requests unanswered" in err
    assert "Traceback" not in err


def _wait_until_handled(url: str) -> None:
    """What comes on a later connection is accepted after what came on an earlier one."""
    httpx.get(f"{url}/v1/health")


def test_many_signals_end_it_once_and_quietly():
    with serving() as (process, _):
        code, err = ended(process, *[signal.SIGINT, signal.SIGTERM] * 10)
    assert code == 0
    assert "Traceback" not in err


_SAYS_WHEN_IT_LOADS = """
import sys
sys.addaudithook(lambda event, args: event == "import" and args[0] == "mockserver.cli" and print("loading", flush=True))
from mockserver.__main__ import main
sys.argv = ["mockserver", "serve", "--port", "0"]
main()
"""


@pytest.mark.parametrize("pause_s", [0, 0.1, 0.2])
def test_a_signal_while_it_loads_ends_it_quietly(pause_s: float):
    process = subprocess.Popen(
        [sys.executable, "-c", _SAYS_WHEN_IT_LOADS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        # Whatever it is at by then: what is asserted holds at any moment.
        time.sleep(pause_s)
        assert ended(process, signal.SIGINT) == (0, "")


@pytest.mark.parametrize("size", [0, 1, 10, 60, 100, 150, 200])
def test_a_client_that_goes_away_at_any_byte_leaves_no_trace(size: int):
    body = b'{"workflow_id": "10000000-0000-4000-8000-000000000001", "count": 1000}'
    headers = f"Host: a\r\nAuthorization: Bearer test\r\nContent-Length: {len(body)}\r\n"
    head = f"POST /v1/runs/bulk HTTP/1.1\r\n{headers}\r\n".encode()
    stream = (head + body) * 20
    with serving("--log-level", "warning") as (process, url):
        for cut in (size, len(head) + size, len(stream) - size):
            with asked(url, "") as connection:
                connection.sendall(stream[:cut])
                # Closed with answers unread: the server gets a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert httpx.get(f"{url}/v1/health").status_code == 200
        code, err = ended(process, signal.SIGTERM)
    assert (code, err) == (0, "")


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def test_when_the_descriptors_are_used_up_it_serves_again_as_soon_as_some_are_free():
    with serving("--max-connections", "100000", max_files=(64, 64)) as (process, url):
        held = [connected(url) for _ in range(100)]
        for each in held:
            each.close()

        def is_served() -> bool:
            # Until the server has seen that some are closed, it closes new connections.
            with suppress(httpx.TransportError):
                return httpx.get(f"{url}/v1/health", timeout=PATIENCE_S).status_code == 200
            return False

        wait_until(is_served)
        code, err = ended(process, signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in err


def test_a_low_soft_limit_of_descriptors_is_raised_to_what_the_connections_need():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving("--max-connections", "200", max_files=(64, hard)) as (_, url), ExitStack() as held:
        for _ in range(199):
            held.enter_context(connected(url)).sendall(b"GET /v1/health HTTP/1.1\r\n")
        assert httpx.get(f"{url}/v1/health", timeout=PATIENCE_S).status_code == 200


def test_memory_that_runs_out_in_one_request_is_a_503_and_the_server_lives():
    # Four bytes in memory for each of these twenty million, because of the first character.
    text = "\N{GRINNING FACE}".encode() + b"x" * 20_000_000
    body = b'{"workflow_id":"10000000-0000-4000-8000-000000000001","count":1,"input_values":{"a":"%b"}}' % text
    headers = {**TEST, "Content-Type": "application/json"}
    with serving(max_memory=350_000_000) as (process, url):
        seen = set()
        for _ in range(4):
            answer = httpx.post(f"{url}/v1/runs/bulk", content=body, headers=headers, timeout=PATIENCE_S)
            seen.add(answer.status_code)
        assert httpx.get(f"{url}/v1/health").status_code == 200
        assert process.poll() is None
    assert 503 in seen
    assert seen <= {201, 503}


def test_an_empty_host_is_refused():
    process = subprocess.run(
        [sys.executable, "-m", "mockserver", "serve", "--host", ""], capture_output=True, timeout=PATIENCE_S, text=True
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "--host is empty" in process.stderr
