"""Counts the bytes that were written to a client, and that it has not acknowledged yet."""

from __future__ import annotations

import asyncio
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
