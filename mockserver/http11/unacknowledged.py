"""What was written to a client, and what it has not acknowledged yet: how much that is, and how long it may take."""

from __future__ import annotations

import asyncio
import math
import sys

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ


def unacknowledged_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes wait in this process and, on Linux, in the system until the client confirms them.

    The system takes up to some megabytes, and reports a slow client's reading to a transport in large steps only.
    """
    size: int = transport.get_write_buffer_size()
    if sys.platform == "linux":
        sock = transport.get_extra_info("socket")
        if sock is not None:
            size += int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
    return size


class Unread:
    """The wait for a client to read what was written. It has `timeout_s` seconds from what it has read last."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.deadline = math.inf
        """Infinity if nothing waits for the client."""
        self.bytes = 0
        """As of the last look, if there is a deadline."""
        self._since = math.inf  # when the answer had to wait for the client for the first time

    def wait(self, transport: asyncio.WriteTransport, now: float) -> None:
        self.bytes = unacknowledged_bytes(transport)
        self.deadline = now + self._timeout_s
        self._since = min(self._since, now)

    def look(self, transport: asyncio.WriteTransport, now: float) -> None:
        """Give the client new time if it has read something since the last look."""
        before, self.bytes = self.bytes, unacknowledged_bytes(transport)
        if self.bytes < before:
            self.deadline = now + self._timeout_s

    def end_wait(self) -> None:
        self.deadline = math.inf

    def begin_answer(self) -> None:
        self._since = math.inf

    @property
    def stalled_since(self) -> float:
        """Since when nothing was read, or since the answer began to wait if that is long ago. Infinity: none waits."""
        if self.deadline == math.inf:
            return math.inf
        last_read = self.deadline - self._timeout_s
        return last_read if last_read < self._since + self._timeout_s else self._since
