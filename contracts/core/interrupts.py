"""Ctrl-C, and a CI that stops its job, at moments that lose nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """A CI that stops the job sends SIGTERM: within, it is as Ctrl-C."""
    if not _in_main_thread():
        yield
        return

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held_back() -> Iterator[None]:
    """The first Ctrl-C within waits for the end: a create that is under way gets its answer, so that what it made can
    be taken away. A second one does not wait.
    """
    if not _in_main_thread():
        yield  # signals are handled in the main thread only
        return
    held: list[int] = []

    def hold(signum: int, frame: Any) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(signum)

    # What is ignored, or left to the system, stays so.
    before = {stop: handler for stop in _STOPS if callable(handler := signal.getsignal(stop))}
    for stop in before:
        signal.signal(stop, hold)
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
        if held:
            raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
