"""A namespace of a mock that serves on a socket: asked over connections of which each byte is seen."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.mockserver.admin.control import assert_documented

PATIENCE_S = 20


class Served:
    def __init__(self, url: str, namespace: str) -> None:
        self.base_url = f"{url}/__ns/{namespace}"
        self.namespace = namespace
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self._address = address.hostname, address.port
        self.headers = {"Authorization": "Bearer test-one"}

    # --- As clients do

    def control(self, method: str, path: str, body: Any = None, **how: Any) -> httpx.Response:
        if body is not None:
            how["json"] = body
        answer = httpx.request(method, f"{self.base_url}/__admin{path}", timeout=PATIENCE_S, **how)
        assert_documented(method, f"/__admin{path.partition('?')[0]}", answer)
        return answer

    def fault(self, **source: Any) -> str:
        answer = self.control("POST", "/faults", source)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return httpx.request(method, self.base_url + path, headers=self.headers, timeout=PATIENCE_S, **how)

    def total(self) -> int:
        return self.ask("GET", "/v1/runs?limit=1").json()["total"]

    def last_request(self) -> dict[str, Any]:
        """That of the journal which was asked for last, once it is over."""
        end = time.monotonic() + PATIENCE_S
        while True:
            last = self.control("GET", "/requests").json()["items"][-1]
            if last["duration_ms"] is not None or time.monotonic() > end:
                return last
            time.sleep(0.01)

    # --- Byte by byte

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(self._address, PATIENCE_S) as connection:
            yield connection

    @contextmanager
    def asked(self, method: str = "GET", path: str = "/v1/runs", body: Any = None) -> Iterator[socket.socket]:
        """A connection on which one request has been sent."""
        with self.connected() as connection:
            connection.sendall(self.request(method, path, body))
            yield connection

    def request(self, method: str = "GET", path: str = "/v1/runs", body: Any = None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method} /__ns/{self.namespace}{path} HTTP/1.1",
            "Host: localhost",
            "Authorization: Bearer test-one",
            f"Content-Length: {len(content)}",
            "Content-Type: application/json",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + content


def until_the_end(connection: socket.socket) -> tuple[bytes, bool]:
    """All that was sent, and whether the connection ended with a reset."""
    seen = b""
    try:
        while data := connection.recv(65_536):
            seen += data
    except ConnectionResetError:
        return seen, True
    return seen, False


def comes_within(connection: socket.socket, seconds: float) -> bytes | None:
    """What comes, or None where nothing does."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    finally:
        connection.settimeout(PATIENCE_S)
