"""A server in a process of its own, mostly the mock as its users have it: started by its command, on a free port.

A test chooses its streams, its limits, and the variables of its environment.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

PATIENCE_S = 30


@contextmanager
def started(
    *flags: str,
    command: Sequence[str] = ("mockserver", "serve"),
    stdin: str = "shared",
    stdout: str = "read",
    stderr: str = "read",
    max_files: tuple[int, int] | None = None,
    max_memory: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A stream is `read` (a pipe), `unread` (a pipe whose reader is gone), `closed`, `shared` with us, or a path.
    Standard input is `shared` or `closed`. `max_files` are the soft and the hard limit.
    """

    def limit() -> None:
        if max_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, max_files)
        if max_memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
        for descriptor, how in ((0, stdin), (1, stdout), (2, stderr)):
            if how == "closed":
                os.close(descriptor)

    process = subprocess.Popen(
        [sys.executable, "-m", *command, *flags],
        stdout=_stream(stdout),
        stderr=_stream(stderr),
        preexec_fn=limit,
        env={**os.environ, **(environment or {})},
    )
    try:
        if stdout == "unread":
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _stream(how: str) -> IO[Any] | int | None:
    if how in ("read", "unread"):
        return subprocess.PIPE
    return None if how in ("closed", "shared") else open(how, "w")


@contextmanager
def serving(
    *flags: str, command: Sequence[str] = ("mockserver", "serve", "--port", "0"), **how: Any
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server on a free port, with its URL as it printed it."""
    with started(*flags, command=command, **how) as process:
        yield process, url_of(process)


@contextmanager
def served(*flags: str, log: str = "shared") -> Iterator[str]:
    """The URL of a mock that checks every answer it gives. It ends well, with exit code 0."""
    with serving("--self-check", "--log-level", "warning", *flags, stderr=log) as (process, url):
        yield url
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


def wait_until(condition: Callable[[], bool], state: Callable[[], object] = lambda: None) -> None:
    """Wait until it is true; a failure shows the state."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, state()
        time.sleep(0.01)


def resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS:")))


def url_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        url = re.search(rb"http://\S+", line)
        if url:
            return url[0].decode()
    raise AssertionError(f"it never said where it listens: {said!r}")
