"""The file descriptors of the process: a connection needs one."""

from __future__ import annotations

import contextlib
import os
import sys

if sys.platform != "win32":
    import resource

_STANDARD_ERROR = 2
_SPARE = 64
"""Descriptors for what is not a connection: streams, the event loop, the listener, state files, a shared store."""


def occupy_standard_descriptors() -> None:
    """Open those that were closed: else sockets would have their numbers, and libuv ends the process where it closes
    one of these. A text for standard error would be sent to a client.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)


def allow_descriptors(connections: int) -> None:
    """Raise the soft limit of open files to what so many connections need, as far as the hard limit allows.

    The soft limit is often 1024 (Linux) or 256 (macOS). With no descriptor left, libuv closes new connections without
    an answer, and `make_room` is not asked.
    """
    if sys.platform == "win32":  # it has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS has a further limit, which the hard one does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
