"""Requests of hostile and careless clients, over a real socket: each is answered as it should be, whole or in pieces.

To add one: put the bytes into corpus/NAME.http and what they are answered with into corpus/expected.yaml.
"""

from __future__ import annotations

import http.client
import io
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.documents import read_yaml
from tests.processes import PATIENCE_S, serving

CORPUS = Path(__file__).parent / "corpus"
EXPECTED: dict[str, dict[str, Any]] = read_yaml(CORPUS / "expected.yaml")


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    with serving(command=("mockserver", "serve", "--port", "0", "--self-check")) as (_, url):
        yield url


@pytest.fixture(scope="module")
def stock() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with serving(command=("tests.hostile.stock", "--self-check")) as (process, url):
        yield process, url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def answers(url: str, *segments: bytes) -> list[int]:
    """The status of each answer on one connection, on which the client sends the segments and then ends its side."""
    received = b""
    with connected(url) as connection, suppress(ConnectionResetError, BrokenPipeError):
        # The server may have closed it before the end; what it said until then counts.
        for segment in segments:
            connection.sendall(segment)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            received += part
    return statuses(received)


class _Received:
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> Any:
        return self._stream


def statuses(received: bytes) -> list[int]:
    stream = io.BytesIO(received)
    stream.close = lambda: None  # type: ignore[method-assign]  # http.client closes it behind each answer
    found: list[int] = []
    while stream.tell() < len(received):
        answer = http.client.HTTPResponse(_Received(stream))  # type: ignore[arg-type]
        answer.begin()
        body = answer.read()
        assert answer.getheader("content-type") == "application/json", (answer.status, body)
        found.append(answer.status)
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_is_answered_as_it_should_be_however_it_is_cut(name: str, mock: str):
    wanted = EXPECTED[name]["answers"] * EXPECTED[name].get("times", 1)
    stream = (CORPUS / f"{name}.http").read_bytes()
    middle = len(stream) // 2
    assert answers(mock, stream) == wanted
    assert answers(mock, stream[:middle], stream[middle:]) == wanted
    assert answers(mock, *(stream[at : at + 1] for at in range(min(300, len(stream)))), stream[300:]) == wanted


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_is_borne_behind_uvicorns_own_protocol(name: str, stock: tuple[subprocess.Popen[bytes], str]):
    process, url = stock
    with connected(url) as connection:
        connection.sendall((CORPUS / f"{name}.http").read_bytes())
        first = connection.recv(12)
    assert int(first[9:12]) == EXPECTED[name].get("stock", EXPECTED[name]["answers"][0])
    assert answers(url, b"GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == [200]
    assert process.poll() is None


def test_every_file_of_the_corpus_says_what_is_expected():
    assert {path.stem for path in CORPUS.glob("*.http")} == set(EXPECTED)
