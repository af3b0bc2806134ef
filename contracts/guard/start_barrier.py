"""Requests of a group that are sent at the same moment."""

from __future__ import annotations

import threading


class NotDelivered(Exception):
    """The request did not reach the target, so it had no effect."""


class StartBarrier:
    """A barrier for the requests of a group. If one of them cannot be sent, the waiting ones are not sent either."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)
        self._passed: set[int] = set()

    def meet(self) -> None:
        """Wait for the others. Raises NotDelivered if one of them cannot be sent."""
        try:
            self._barrier.wait()
        except threading.BrokenBarrierError:
            raise NotDelivered("not sent, since another request of the group could not be") from None
        self._passed.add(threading.get_ident())

    def abandon(self) -> None:
        if threading.get_ident() not in self._passed:
            self._barrier.abort()
