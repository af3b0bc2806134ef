"""Handling of SIGINT and SIGTERM, so that an interrupted check does not lose the answer of a create."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, which a CI sends to stop a job. No effect outside the main thread."""
    if not _in_main_thread():
        yield
        return

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def interrupt_delayed() -> Iterator[None]:
    """Delay the first SIGINT or SIGTERM until the end of the block; a second one interrupts at once.

    A create in flight thus gets its answer, so that the runs that it created can be deleted.
    """
    held: list[bool] = []
    try:
        with first_interrupt_ignored(lambda: held.append(True)):
            yield
    finally:
        if held:
            raise KeyboardInterrupt


@contextmanager
def first_interrupt_ignored(on_first: Callable[[], object]) -> Iterator[None]:
    """Call `on_first` in place of an interruption by the first SIGINT or SIGTERM; a second one interrupts at once."""
    if not _in_main_thread():
        yield  # Python handles signals in the main thread only
        return
    has_come = False

    def hold(signum: int, frame: Any) -> None:
        nonlocal has_come
        if has_come:
            raise KeyboardInterrupt
        has_come = True
        on_first()

    # SIG_IGN and SIG_DFL are not callable: a signal that is ignored or has the default action is left so.
    previous = {stop: handler for stop in _STOP_SIGNALS if callable(handler := signal.getsignal(stop))}
    for stop in previous:
        signal.signal(stop, hold)
    try:
        yield
    finally:
        for stop, handler in previous.items():
            signal.signal(stop, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
