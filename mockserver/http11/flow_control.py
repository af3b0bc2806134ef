"""Flow control of answers: writing pauses until the client reads, and each wait for it has a deadline."""

from __future__ import annotations

import asyncio
import math
import sys

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ


class FlowControl:
    def __init__(self, transport: asyncio.WriteTransport, timeout_s: float) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._resumed: asyncio.Event | None = None
        """Set when writing goes on; None while it is not paused."""
        self.deadline = math.inf
        """By when the client must have read something; infinity if it need not read."""
        self.unacknowledged = 0
        """In bytes, when it was last counted."""
        self._waited_since = math.inf
        """When the answer had to wait for the client for the first time."""

    @property
    def is_paused(self) -> bool:
        return self._resumed is not None

    def pause(self) -> None:
        self._resumed = asyncio.Event()
        self.set_deadline()

    def resume(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def drained(self) -> None:
        """Wait until the client has read enough of what was written, or is gone."""
        while self._resumed is not None:
            await self._resumed.wait()

    def begin_answer(self) -> None:
        self._waited_since = math.inf

    def set_deadline(self) -> None:
        now = asyncio.get_running_loop().time()
        self.unacknowledged = unacknowledged_bytes(self._transport)
        self.deadline = now + self._timeout_s
        self._waited_since = min(self._waited_since, now)

    def follow(self, now: float) -> None:
        """If the client has a deadline: give it new time if it has read something since the last call."""
        if self.deadline < math.inf:
            before, self.unacknowledged = self.unacknowledged, unacknowledged_bytes(self._transport)
            if self.unacknowledged < before:
                self.deadline = now + self._timeout_s

    @property
    def stalled_since(self) -> float:
        """Since when the client has read nothing, or since the answer began to wait if that is long ago; infinity if it
        need not read.
        """
        if self.deadline == math.inf:
            return math.inf
        last_read = self.deadline - self._timeout_s
        return last_read if last_read < self._waited_since + self._timeout_s else self._waited_since


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
