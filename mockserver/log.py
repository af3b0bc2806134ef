"""The log on standard error: a line for each request, and errors.

It never contains a query, a header or a body. It does contain the reasons of refusals, masked, which may quote a name
or a value of them, and the origins of web pages that may not use the mock.

A separate thread writes the lines. The server never waits for it: while standard error is not read, is closed or full,
lines are dropped and counted, and the count is logged once lines can be written again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from mockserver.settings import LogFormat

_FLUSH_INTERVAL_S = 0.1
"""Lines are collected for this long and written together: one write per line would halve the server's speed."""
_MAX_PATH_LENGTH = 2_000
"""The rest of a longer path is not logged: while nobody reads the log, 10,000 lines wait in memory."""
_CLOSE_TIMEOUT_S = 1.0
"""How long `close` waits until the last lines are written."""


class AccessLog(Protocol):
    def add(
        self, method: str, path: str, status: int | None, note: str | None = None, fault: str | None = None
    ) -> None:
        """`status` is None if no answer was sent. `note` is a detail, such as why the request was refused; `fault` is
        the id of the fault that was applied.
        """


class NoAccessLog:
    def add(
        self, method: str, path: str, status: int | None, note: str | None = None, fault: str | None = None
    ) -> None:
        pass


class _Access(NamedTuple):
    at: float
    method: str
    path: str
    status: int | None
    note: str | None = None
    fault: str | None = None


class Log:
    """Thread-safe. `max_lines` is how many lines may wait to be written; further lines are dropped."""

    def __init__(self, log_format: LogFormat, *, fd: int | None, max_lines: int) -> None:
        """`fd` is the file descriptor to write to, or None for nowhere."""
        self._format: Callable[[_Access | logging.LogRecord], str] = _as_json if log_format == "json" else _as_text
        self._fd = fd
        self._max_lines = max_lines
        self._lines: deque[_Access | logging.LogRecord] = deque()
        self.dropped = 0
        self._being_written = 0
        self._has_lines = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def add(
        self, method: str, path: str, status: int | None, note: str | None = None, fault: str | None = None
    ) -> None:
        path = path if len(path) <= _MAX_PATH_LENGTH else f"{path[:_MAX_PATH_LENGTH]}..."
        self._put(_Access(time.time(), method, path, status, note, fault))

    def add_record(self, record: logging.LogRecord) -> None:
        self._put(record)

    def _put(self, line: _Access | logging.LogRecord) -> None:
        if len(self._lines) + self._being_written >= self._max_lines:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._has_lines.is_set():
            self._has_lines.set()

    def close(self) -> None:
        """Write the remaining lines, unless that takes too long."""
        self._closing.set()
        self._has_lines.set()
        self._thread.join(_CLOSE_TIMEOUT_S)

    # --- In the thread

    def _write_all(self) -> None:
        while not self._closing.is_set():
            self._has_lines.wait()
            self._closing.wait(_FLUSH_INTERVAL_S)
            self._has_lines.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        self._being_written = len(self._lines)
        text = "".join([self._format(self._lines.popleft()) for _ in range(self._being_written)])
        dropped = self.dropped
        if dropped and self._write(self._format(_notice(dropped))):
            self.dropped -= dropped  # not to 0: more may have been dropped meanwhile
        if not self._write(text):
            self.dropped += self._being_written
        self._being_written = 0

    def _write(self, text: str) -> bool:
        """Return whether the text could be written: False if `fd` is None or closed, or the disk is full."""
        left = text.encode("utf-8", "backslashreplace")
        while left:
            if self._fd is None:
                return False
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError:
                return False
        return True


def _notice(dropped: int) -> logging.LogRecord:
    return _warning(f"{dropped} log lines were dropped, because standard error was not read or could not be written")


def _warning(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", "msg": message})


def write_warning(message: str, log_format: LogFormat) -> None:
    """Write a line in a process that has no Log, whose thread a fork would not copy. The line is dropped if standard
    error is closed or is not read.
    """
    line = _as_json(_warning(message)) if log_format == "json" else f"mockserver: {message}\n"
    # OSError and ValueError: it is closed. AttributeError: it was closed from the start.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        fd = sys.stderr.fileno()
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, line.encode("utf-8", "backslashreplace"))


class LogHandler(logging.Handler):
    """Sends records of `logging` to the Log that also takes the access log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            record.getMessage()
        except Exception:  # noqa: BLE001 - whatever the values raise; it would end the thread that writes
            self.handleError(record)
        else:
            self._log.add_record(record)


_traceback_of = logging.Formatter().formatException


def _as_text(line: _Access | logging.LogRecord) -> str:
    if isinstance(line, _Access):
        note = f" ({_printable(line.note.removeprefix(f'{line.status}: '))})" if line.note else ""
        fault = f" (fault {line.fault})" if line.fault else ""
        answer = "no answer" if line.status is None else line.status
        return f"{_local(int(line.at))} {line.method} {_printable(line.path)} -> {answer}{fault}{note}\n"
    text = f"{_local(int(line.created))} {line.levelname} {_printable(line.getMessage())}\n"
    return text + _traceback_of(line.exc_info) + "\n" if line.exc_info else text


def _as_json(line: _Access | logging.LogRecord) -> str:
    if isinstance(line, _Access):
        members: dict[str, Any] = {"time": _local(int(line.at)), "level": "info", **line._asdict()}
        del members["at"]
        for name in ("note", "fault"):
            if members[name] is None:
                del members[name]
    else:
        members = {"time": _local(int(line.created)), "level": line.levelname.lower(), "message": line.getMessage()}
        if line.exc_info:
            members["traceback"] = _traceback_of(line.exc_info)
    return json.dumps(members) + "\n"


def _printable(text: str) -> str:
    """Escape characters that could move the cursor of a terminal, or begin a new line."""
    return text if text.isprintable() else repr(text)[1:-1]


def _local(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second))


def standard_error() -> int | None:
    """Return a duplicated descriptor, so that no other file can ever have its number; None if stderr is closed."""
    if sys.stderr is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        return os.dup(sys.stderr.fileno())
    return None
