"""The creates that are on their way: cleaning up begins when the last has ended, and lets no new one out."""

from __future__ import annotations

import threading
from types import TracebackType

from contracts.guard.refusals import NotAllowed


class InFlight:
    """Entered by each create for as long as it is on its way. Raises NotAllowed once it is closed."""

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
        """Whether all had ended in that time."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._count == 0, timeout=wait_s)
