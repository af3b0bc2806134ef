"""A line for each request, on standard error. Never a header, a query or a body: no token and no secret.

Lines are gathered and written a few times a second: logging each by itself would halve the server's speed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import lru_cache
from typing import IO

from mockserver.settings import LogFormat

_GATHERED_S = 0.1


class AccessLog:
    def __init__(self, log_format: LogFormat, *, out: IO[str] | None = None) -> None:
        self._as_json = log_format == "json"
        self._out = out
        self._lines: list[tuple[float, str, str, int]] = []
        self._due = 0.0

    def add(self, method: str, path: str, status: int) -> None:
        now = time.time()
        if now >= self._due:
            # Past due without a flush: the loop that was to make it has been closed, as tests close theirs.
            self._due = now + _GATHERED_S
            asyncio.get_running_loop().call_later(_GATHERED_S, self.flush)
        self._lines.append((now, method, path, status))

    def flush(self) -> None:
        lines, self._lines, self._due = self._lines, [], 0.0
        if lines:
            out = self._out or sys.stderr
            out.write("".join(self._line(*line) for line in lines))
            out.flush()

    def _line(self, when: float, method: str, path: str, status: int) -> str:
        moment = _local(int(when))
        if self._as_json:
            line = {"time": moment, "level": "info", "method": method, "path": path, "status": status}
            return json.dumps(line) + "\n"
        # repr escapes what a path could do to a terminal; its quotes are not wanted.
        return f"{moment} {method} {repr(path)[1:-1]} -> {status}\n"


@lru_cache(maxsize=16)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second))


class NoAccessLog(AccessLog):
    """For levels above info."""

    def __init__(self) -> None:
        super().__init__("text")

    def add(self, method: str, path: str, status: int) -> None:
        pass
