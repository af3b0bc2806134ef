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
        """Wakes those who wait to write; None if writing is not paused."""
        self.deadline = math.inf
        """By when the client must have read something; infinity if it need not read."""
        self.unacknowledged = 0
        """In bytes, when it was last counted."""
        self._waited_since = math.inf
        """When this answer first had to wait for the client."""

    @property
    def is_paused(self) -> bool:
        return self._resumed is not None

    def pause(self) -> None:
        self._resumed = asyncio.Event()
        self.set_deadline()

    def resume(self) -> None:
        """Go on writing. The deadline is the caller's: while a connection closes, it stays."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def drained(self) -> None:
        """Wait until the client has read enough of what was written, or is gone."""
        while self._resumed is not None:
            await self._resumed.wait()

    def end_answer(self) -> None:
        """Forget how long the client took for the answer."""
        self._waited_since = math.inf

    def set_deadline(self) -> None:
        """Wait for the client from now on."""
        now = asyncio.get_running_loop().time()
        self.unacknowledged = unacknowledged_bytes(self._transport)
        self.deadline = now + self._timeout_s
        self._waited_since = min(self._waited_since, now)

    def extend_deadline(self, now: float) -> None:
        """Give the client new time if it has a deadline, and has read something since the last call."""
        if self.deadline < math.inf:
            before, self.unacknowledged = self.unacknowledged, unacknowledged_bytes(self._transport)
            if self.unacknowledged < before:
                self.deadline = now + self._timeout_s

    @property
    def stalled_since(self) -> float:
        """Since when the client has read nothing; infinity if it need not read.

        If the answer first waited for it longer ago than the timeout, since then: a client that reads a little now and
        then does not keep its place for good.
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
