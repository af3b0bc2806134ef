"""The client library, as far as the store needs it: one connection, and commands whose answers come in their order.

Imported only where a Valkey server is used: the library is an extra, and takes a fifth of a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import hiredis
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

Arg = str | bytes | int
ERRORS = (RedisError, OSError)
"""The server does not answer, or not as it should."""
LostScript = NoScriptError


@contextmanager
def _closed_sockets_reported() -> Iterator[None]:
    """Raise ConnectionError where uvloop raises RuntimeError: the socket was closed before something was sent."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(str(error)) from error


async def connected(url: str, timeout_s: float) -> Any:
    """Return a connection. Nothing is retried: a commit that is sent twice would be refused for what it has written."""
    pool: Any = redis.ConnectionPool.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=timeout_s / 2,
        socket_timeout=timeout_s,
        protocol=2,
    )
    connection = pool.make_connection()
    try:
        with _closed_sockets_reported():
            await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def executed(connection: Any, commands: Sequence[tuple[Arg, ...]]) -> list[Any]:
    """Return the answers; an error of a single command is an answer too.

    Raises ConnectionError if they may be those of other commands: then each later answer would be too.
    """
    pack: Callable[[Any], bytes] = hiredis.pack_command
    mark = b"%x" % next(_marks)
    with _closed_sockets_reported():
        await connection.send_packed_command(b"".join([pack(command) for command in (*commands, ("PING", mark))]))
    answers: list[Any] = []
    for _ in range(len(commands) + 1):
        try:
            answers.append(await connection.read_response())
        except ResponseError as error:
            answers.append(error)
    last = answers.pop()
    if last != mark and not isinstance(last, ResponseError):
        raise ConnectionError("its answers are not those of the commands")
    return answers


_marks = count()
