"""The mock as its users have it: started by its command, on a free port, checking every answer it gives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(*flags: str) -> Iterator[str]:
    """The URL of a mock that was started with these flags."""
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
