"""Counts the creates in flight: cleaning up waits for them to end and blocks new ones."""

from __future__ import annotations

import threading
from types import TracebackType

from contracts.guard.refusals import NotAllowed


class InFlight:
    """A context manager that each create holds while it is in flight. Entering raises NotAllowed after `close`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._closed:
                raise NotAllowed("cleaning up has begun: nothing more is created")
            self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def close(self, *, wait_s: float) -> bool:
        """Block new creates, wait for those in flight, and return whether all ended within `wait_s`."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._count == 0, timeout=wait_s)
