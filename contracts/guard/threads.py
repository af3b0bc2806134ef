"""Calls a function for many items in a few threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

WORKERS: Final = 8
T = TypeVar("T")


def in_threads(do: Callable[[T], None], items: Iterable[T]) -> None:
    """Call `do` for every item, in up to `WORKERS` threads.

    The first error stops the other threads after their current item and is raised. Ctrl-C is raised at once.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                do(item)
            except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(WORKERS, waiting.qsize()))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as interruption:
        errors.append(interruption)
        raise
    if errors:
        raise errors[0]
