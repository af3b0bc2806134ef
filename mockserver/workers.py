"""`--workers N`: several processes that serve, and the one that starts them, replaces those that die, and ends them.

Each worker accepts from a listening socket of its own, and the system divides new connections between them. The first
process keeps all sockets open too, so connections that wait for a worker that has died are served by its replacement.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mockserver.errors import StartError

Serve = Callable[[socket.socket, Callable[[], None]], int]
"""Serves on a listening socket until a signal ends it; calls back once it answers. Returns an exit code."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Workers:
    """Runs in a process without other threads: `os.fork` copies only the one that calls it."""

    def __init__(self, listeners: Sequence[socket.socket], serve: Serve, report: Callable[[str], None]) -> None:
        """Raises StartError. `report` is called with a line for each worker that has died."""
        if not hasattr(os, "fork"):
            raise StartError("--workers needs a system with fork; start several servers with one --store instead")
        self._listeners = listeners
        self._serve = serve
        self._report = report
        self._places: dict[int, int] = {}  # by process id
        self._ready: set[int] = set()
        self._is_ending = False
        self._exit_code = 0
        self._news, self._tell = os.pipe()  # a byte from each worker that is ready, and one for each signal
        self._alive, self._keep_alive = os.pipe()  # at its end when this process has gone
        os.set_blocking(self._tell, False)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Return the exit code, once a signal has ended all workers. `on_ready` is called once all of them answer."""
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        for signum in _ENDING:
            signal.signal(signum, self._end)
        for place in range(len(self._listeners)):
            self._start(place)
        while self._places:
            select.select([self._news], [], [])
            news = os.read(self._news, 4_096)
            before = len(self._ready)
            self._ready.update(each - _FIRST_PLACE for each in news if each >= _FIRST_PLACE)
            if before < len(self._ready) == len(self._listeners):
                on_ready()
            self._replace_dead()
        return self._exit_code

    def _end(self, signum: int, frame: Any) -> None:
        self._is_ending = True
        for process_id in self._places:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process_id, signal.SIGTERM)

    def _replace_dead(self) -> None:
        while self._places:
            process_id, status = os.waitpid(-1, os.WNOHANG)
            if not process_id:
                return
            place = self._places.pop(process_id)
            code = os.waitstatus_to_exitcode(status)
            if self._is_ending:
                self._exit_code = self._exit_code or max(0, code)
                continue
            how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
            if place in self._ready:
                self._report(f"worker {process_id} {how}; another one takes its place")
                self._start(place)
            else:
                self._report(f"worker {process_id} {how} before it was ready")
                self._exit_code = 1
                self._end(signal.SIGTERM, None)

    def _start(self, place: int) -> None:
        # A signal must not arrive between the fork and the moment when its process is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        process_id = 0 if self._is_ending else os.fork()
        if process_id:
            self._places[process_id] = place
        elif not self._is_ending:
            self._work(place)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def _work(self, place: int) -> None:
        """In the new process. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for signum in _ENDING:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            os.close(self._keep_alive)

            def be_ready() -> None:
                asyncio.get_running_loop().add_reader(self._alive, self._end_with_parent)
                os.write(self._tell, bytes([_FIRST_PLACE + place]))

            code = self._serve(self._listeners[place], be_ready)
        except Exception:  # noqa: BLE001 - the process ends here, whatever it is
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _end_with_parent(self) -> None:
        asyncio.get_running_loop().remove_reader(self._alive)
        os.kill(os.getpid(), signal.SIGTERM)


_FIRST_PLACE = signal.NSIG
"""Smaller bytes in the pipe are the numbers of signals. With at most 128 workers, the places fit above them."""
