"""`--workers N`: several processes that serve, and the one that starts them, replaces those that die, and ends them.

Each worker accepts from a listening socket of its own. Linux divides new connections between the sockets; other systems
may give most of them to one. The first process keeps all sockets open too, so connections that wait for a worker that
has died are served by its replacement.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from mockserver.clock import real_time
from mockserver.errors import StartError
from mockserver.signals import ending_signals

Serve = Callable[[socket.socket, Callable[[], None]], int]
"""Serves on a listening socket until a signal ends it; calls back once it answers. Returns an exit code."""


def check_system() -> None:
    """Raises StartError where there can be no workers, as on Windows."""
    if not hasattr(os, "fork"):
        raise StartError("--workers needs a system with fork; start several servers with one --store instead")


class Workers:
    """Runs in a process without other threads: `os.fork` copies only the one that calls it."""

    def __init__(
        self, listeners: Sequence[socket.socket], serve: Serve, report: Callable[[str], None], *, shutdown_grace: float
    ) -> None:
        """`report` is called with a line for each worker that has died. Workers end within `shutdown_grace` seconds."""
        self._listeners = listeners
        self._serve = serve
        self._report = report
        self._shutdown_grace = shutdown_grace
        self._places: dict[int, int] = {}  # by process id
        self._ready: set[int] = set()
        """The places whose worker answers."""
        self._all_were_ready = False
        self._failed: set[int] = set()
        """The places whose last worker has ended by itself before it was ready."""
        self._started: dict[int, float] = {}  # when, by place
        self._due: dict[int, float] = {}
        """When to start a worker, by place, for those that have none."""
        self._is_ending = False
        self._kill_at = math.inf
        self._ending = ending_signals()
        self._exit_code = 0
        # A byte from each worker that is ready, and one for each signal.
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._parent_read, self._parent_write = os.pipe()  # at its end once this process has ended
        for end in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(end, False)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Return the exit code, once a signal has ended all workers. `on_ready` is called once all of them answer."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        for signum in self._ending:
            signal.signal(signum, self._end)
        for place in range(len(self._listeners)):
            self._start(place)
        while self._places or self._due:
            next_at = min([self._kill_at, *self._due.values()])
            select.select([self._wakeup_read], [], [], None if next_at == math.inf else max(0.0, next_at - real_time()))
            dead = self._dead()
            if not self._all_were_ready and len(self._ready) == len(self._listeners):
                self._all_were_ready = True
                on_ready()
            for process_id, code in dead:
                self._replace(process_id, code)
            self._start_due()
            if self._kill_at <= real_time():
                self._kill()
        return self._exit_code

    def _end(self, signum: int, frame: Any) -> None:
        self._is_ending = True
        self._kill_at = min(self._kill_at, real_time() + self._shutdown_grace + _KILL_AFTER_S)
        self._send(signal.SIGTERM)

    def _kill(self) -> None:
        """End workers that are stopped, or hang."""
        self._kill_at = math.inf
        for process_id in self._places:
            self._report(f"worker {process_id} does not end; it is killed")
        self._send(signal.SIGKILL)

    def _send(self, signum: signal.Signals) -> None:
        for process_id in self._places:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process_id, signum)

    def _dead(self) -> list[tuple[int, int]]:
        """Return the processes that have ended, with their exit codes, or the negative numbers of their signals.

        Also reads the pipe, and repeats both until no further process has ended. So a message that a dead worker wrote
        is always seen, and the SIGCHLD of a later one wakes `select`.
        """
        dead: list[tuple[int, int]] = []
        while True:
            self._read_wakeups()
            known = len(dead)
            while len(dead) < len(self._places):
                process_id, status = os.waitpid(-1, os.WNOHANG)
                if not process_id:
                    break
                dead.append((process_id, os.waitstatus_to_exitcode(status)))
            if len(dead) == known:
                return dead

    def _read_wakeups(self) -> None:
        with suppress(BlockingIOError):
            while True:
                ready = {each - _FIRST_PLACE for each in os.read(self._wakeup_read, 4_096) if each >= _FIRST_PLACE}
                self._ready |= ready
                self._failed -= ready

    def _replace(self, process_id: int, code: int) -> None:
        """Have another worker started, or end if that seems hopeless: connections to this place would wait forever."""
        place = self._places.pop(process_id)
        was_ready = place in self._ready
        self._ready.discard(place)
        if self._is_ending:
            self._exit_code = self._exit_code or max(0, code)
            return
        how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
        if not was_ready:
            how += " before it was ready"
        if not was_ready and (place in self._failed or not self._all_were_ready):
            self._report(f"worker {process_id} {how}")
            self._exit_code = 1
            self._end(signal.SIGTERM, None)
            return
        self._report(f"worker {process_id} {how}; another one takes its place")
        if not was_ready and code >= 0:
            self._failed.add(place)
        self._due[place] = self._started[place] + _SHORTEST_LIFE_S

    def _start_due(self) -> None:
        now = real_time()
        for place in [place for place, due in self._due.items() if due <= now or self._is_ending]:
            del self._due[place]
            self._start(place)

    def _start(self, place: int) -> None:
        self._started[place] = real_time()
        # A signal must not arrive between the fork and the moment when its process is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._ending)
        process_id = 0 if self._is_ending else os.fork()
        if process_id:
            self._places[process_id] = place
        elif not self._is_ending:
            self._work(place)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ending)

    def _work(self, place: int) -> None:
        """In the new process. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for signum in self._ending:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ending)
            os.close(self._parent_write)

            def be_ready() -> None:
                asyncio.get_running_loop().add_reader(self._parent_read, self._end_with_parent)
                os.write(self._wakeup_write, bytes([_FIRST_PLACE + place]))

            code = self._serve(self._listeners[place], be_ready)
        except StartError as error:
            print(f"mockserver: {error}", file=sys.stderr)
        except Exception:  # noqa: BLE001 - the process ends here, whatever it is
            traceback.print_exc()
        finally:
            _flush(sys.stdout, sys.stderr)
            os._exit(code)

    def _end_with_parent(self) -> None:
        asyncio.get_running_loop().remove_reader(self._parent_read)
        os.kill(os.getpid(), signal.SIGTERM)


def _flush(*streams: TextIO | None) -> None:
    """Never raises: a worker must reach its exit. A stream is None if it was closed before Python started."""
    for stream in streams:
        if stream is not None:
            with suppress(OSError, ValueError):  # its reader is gone, the disk is full, or it was closed
                stream.flush()


_SHORTEST_LIFE_S = 0.5
"""The next worker of a place is started no earlier after the last: one that dies at once must not take all the time."""
_KILL_AFTER_S = 3.0
"""How much longer than its `shutdown_grace` a worker may take to end."""
_FIRST_PLACE = signal.NSIG
"""Smaller bytes in the pipe are the numbers of signals. With at most 128 workers, the places fit above them."""
