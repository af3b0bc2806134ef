"""`mockserver serve --workers N` in processes of its own, whose workers a test can kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import processes


class Workers:
    def __init__(self, process: subprocess.Popen[bytes], url: str, ready_file: Path | None = None) -> None:
        self.process = process
        self.url = url
        self.ready_file = ready_file
        self._random = random.Random(0)

    def pids(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def states(self) -> dict[int, str]:
        """Return the state of the first process and of each worker, as in "S (sleeping)", and what it waits for."""
        found = {}
        for pid in (self.process.pid, *self.pids()):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[pid] = f"{lines[2]} {Path(f'/proc/{pid}/wchan').read_text()}"
        return found

    def kill_one(self) -> None:
        """Kill a worker, if there is one."""
        pids = self.pids()
        if pids:
            os.kill(self._random.choice(pids), signal.SIGKILL)

    def post(self, path: str, body: Any) -> Any:
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": "Bearer test", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, sent, headers, method=method)
        with urllib.request.urlopen(request, timeout=processes.PATIENCE_S) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def serving_workers(store: str, number: int) -> Iterator[Workers]:
    """Serve until the end of the block, from the moment when all workers are ready: one that dies before that ends the
    server, and others may answer meanwhile.
    """
    with tempfile.TemporaryDirectory() as directory:
        ready_file = Path(directory) / "url"
        flags = ("--store", store, "--workers", str(number), "--log-level", "error", "--ready-file", str(ready_file))
        with processes.serving(*flags, stderr="shared") as (process, url):
            processes.wait_until(ready_file.exists)
            yield Workers(process, url, ready_file)
            process.terminate()
            assert process.wait(timeout=processes.PATIENCE_S) == 0
        assert not ready_file.exists()
