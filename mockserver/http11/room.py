"""Makes room for a new connection where no more may be open."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mockserver.http11.connection import Connection

_STALLED_S = 1.0
"""How long a client has sent nothing of the rest of its request, or has read nothing of its answer, or has had one
without an end, or a request has been delayed, before another client may have its place.
"""


class Delay:
    """A delay of a request, or its wait for memory, which began now and ends at the latest when it is cut."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self.since = asyncio.get_running_loop().time()
        self._timeout = timeout

    def cut(self) -> None:
        self._timeout.reschedule(self.since)


def make_room(connections: set[Connection], most: int) -> bool:
    """Return whether another connection may be open. For it, abort the one that is of least use, or else end the
    longest delay, if that is needed.

    Refused connections do not count: they are closed soon.
    """
    if len(connections) < most or sum(not each.is_refused for each in connections) < most:
        return True
    now = asyncio.get_running_loop().time()
    gone = _least_useful(connections, now)
    if gone is None:
        return _cut_a_delay(connections, now)
    gone.abort()
    # Not left to `connection_lost`, which the transport calls only in a later turn of the event loop.
    connections.discard(gone)
    return True


def _least_useful(connections: Collection[Connection], now: float) -> Connection | None:
    """Return the connection to close for another one, if there is one. In order of preference:

    - the oldest one whose client has its answer, and can only send what is dropped
    - the one that has been idle for longest
    - the oldest one whose client has closed its sending side: most likely, the client has left
    - the one whose client has kept the mock waiting for the rest of a request for longest, if for over a second
    - the one whose client has kept its answer waiting for longest, if for over a second
    - the oldest one whose answer has no end of its own, if for over a second
    """
    counted = [each for each in connections if not each.is_refused]
    quiet = [each for each in counted if each.has_sent_everything]
    unused = (
        [each for each in quiet if each.is_over]
        or [each for each in quiet if each.is_idle]
        or [each for each in quiet if each.has_eof]
    )
    if unused:
        return min(unused, key=lambda each: each.idle_since)
    stalled = [each for each in quiet if each.stalled_since < now - _STALLED_S]
    if stalled:
        return min(stalled, key=lambda each: each.stalled_since)
    unread = [each for each in counted if each.flow.stalled_since < now - _STALLED_S]
    if unread:
        return min(unread, key=lambda each: each.flow.stalled_since)
    endless = [each for each in counted if each.leaves_at_eof and each.idle_since < now - _STALLED_S]
    return min(endless, key=lambda each: each.idle_since, default=None)


def _cut_a_delay(connections: Collection[Connection], now: float) -> bool:
    """Refuse the request that has been delayed for longest, if that is over a second. Return whether there is one."""
    delayed = [(each.delay.since, each.delay, each) for each in connections if each.delay and not each.is_refused]
    since, delay, connection = min(delayed, key=lambda each: each[0], default=(now, None, None))
    if delay is None or connection is None or since >= now - _STALLED_S:
        return False
    delay.cut()
    connection.is_refused = True
    connection.shutdown()  # after its answer
    return True
