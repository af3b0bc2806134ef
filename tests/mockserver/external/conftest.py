"""The mock as its users have it: started by its command, on a port of its own, checking every answer it gives."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest

Serve = Callable[..., str]
"""Starts a mock with these flags, and gives its URL."""


@contextmanager
def _served(*flags: str) -> Iterator[str]:
    command = [sys.executable, "-m", "mockserver", "serve", "--port", "0", "--self-check", "--log-level", "warning"]
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _url(process)
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0


def _url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if " on http://" in line:
            return line.rstrip().rpartition(" on ")[2]
    raise AssertionError(f"the mock did not start: exit code {process.wait(timeout=10)}")


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """The URL of a mock with no flags of its own. Tests keep apart by their tokens."""
    with _served() as url:
        yield url


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(_served(*flags))


@pytest.fixture
def token() -> str:
    """A token that no other test has, and so an organisation that no other test sees."""
    return f"test-{uuid4()}"
