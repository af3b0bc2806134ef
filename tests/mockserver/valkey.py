"""A Valkey server of the tests' own: on a free port, in a temporary directory, for as long as a `with` lasts.

It takes the server that VALKEY names, else valkey-server or redis-server, whichever is there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

PATIENCE_S = 30


def executable() -> str:
    """Without a server the test is skipped, or fails if REQUIRE_VALKEY=1 insists."""
    names = (os.environ.get("VALKEY", ""), "valkey-server", "redis-server")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        problem = "neither valkey-server nor redis-server is installed"
        if os.environ.get("REQUIRE_VALKEY") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    return found


class Valkey:
    """With `durable`, an acknowledged write survives the end of the process. `flags` are those of the server."""

    def __init__(self, directory: Path, *, durable: bool = False, flags: Sequence[str] = ()) -> None:
        self._executable = executable()
        self._directory = directory
        always = ("--appendonly", "yes", "--appendfsync", "always")
        self._flags = (*flags, *(always if durable else ()))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "test:", *, timeout_s: float = PATIENCE_S) -> str:
        """With the patience of tests on a machine that is busy."""
        return f"valkey://127.0.0.1:{self.port}/0?timeout={timeout_s}&prefix={prefix}"

    def start(self) -> Self:
        """Return once it answers."""
        flags = (
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self._directory),
            "--save",
            "",
            *self._flags,
        )
        log = open(self._directory / "valkey.log", "ab")  # noqa: SIM115 - the process has it
        self._process = subprocess.Popen([self._executable, *flags], stdout=log, stderr=log)
        log.close()
        until = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < until, (self._directory / "valkey.log").read_text()
            assert self._process.poll() is None, (self._directory / "valkey.log").read_text()
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def ask(self, *words: str) -> bytes:
        """The first part of the answer to a command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(65_536)

    def keys(self, prefix: str) -> list[bytes]:
        return sorted(line for line in self._ask_all("KEYS", f"{prefix}*") if not line.startswith((b"*", b"$")))

    def everything(self, prefix: str = "") -> bytes:
        """All keys with a prefix, and what they hold."""
        commands = {
            "hash": ("HGETALL",),
            "zset": ("ZRANGE", "0", "-1"),
            "string": ("GET",),
            "list": ("LRANGE", "0", "-1"),
        }
        found: list[bytes] = []
        for key in self.keys(prefix):
            kind = self._ask_all("TYPE", key.decode())[0][1:].decode()
            name, *rest = commands[kind]
            found += [key, *self._ask_all(name, key.decode(), *rest)]
        return b"\n".join(found)

    def _ask_all(self, *words: str) -> list[bytes]:
        """The lines of an answer; a command that is known to fail ends it."""
        packed = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"*%d\r\n%bQUIT\r\n" % (len(words), packed))
            answer = b""
            while part := connection.recv(1 << 20):
                answer += part
        return answer.removesuffix(b"+OK\r\n").split(b"\r\n")[:-1]

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """It keeps its connections, and does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, signum: int) -> None:
        assert self._process is not None
        self._process.send_signal(signum)


@contextmanager
def serving(directory: Path, *, durable: bool = False, flags: Sequence[str] = ()) -> Iterator[Valkey]:
    valkey = Valkey(directory, durable=durable, flags=flags).start()
    try:
        yield valkey
    finally:
        valkey.kill()
