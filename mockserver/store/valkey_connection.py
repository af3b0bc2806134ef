"""The connection to a Valkey server: commands that wait at the same time are sent together.

A server that does not answer is reported within a second, and the next command connects again. A command is sent once
only: whether a commit was applied before its connection broke cannot be known, so the caller has to ask again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha1
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mockserver.errors import StartError, Unavailable

try:
    import redis.asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Disconnected
    from redis.exceptions import RedisError, ResponseError
except ModuleNotFoundError:  # pragma: no cover - the extra is not installed
    redis = None  # type: ignore[assignment]

Arg = str | bytes | int
_CONNECT_TIMEOUT_S = 0.4
_ANSWER_TIMEOUT_S = 0.8
_log = logging.getLogger("mockserver.store")


class Address(NamedTuple):
    """Where the server is, and the prefix of all keys there. `shown` is the address without its password."""

    url: str
    prefix: str
    shown: str

    @classmethod
    def from_url(cls, url: str) -> Address:
        """Parse `valkey://[user:password@]host[:port][/database][?prefix=…]`. Raises StartError."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = query.pop("prefix", "mockserver:")
        if not prefix:
            raise StartError("--store: an empty prefix would mix with the other keys of the server")
        scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
        host = parts.netloc.rpartition("@")[2]
        connect_to = urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), ""))
        return cls(connect_to, prefix, urlunsplit((parts.scheme, host, parts.path, parts.query, "")))


class Connection:
    """`on_connect` is awaited after each new connection, before any other command; what it raises stops the commands.

    May be used from several event loops, one after the other.
    """

    def __init__(self, address: Address) -> None:
        """Raises StartError."""
        if redis is None:
            raise StartError(
                "--store valkey needs a client library: python -m pip install 'cyberdesk-mockserver[valkey]'"
            )
        self.address = address
        self.on_connect: Callable[[Callable[..., Awaitable[Any]]], Awaitable[None]] | None = None
        self._scripts: dict[str, str] = {}
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[tuple[Arg, ...], asyncio.Future[Any]]] = []
        self._joined: dict[tuple[Arg, ...], asyncio.Future[Any]] = {}
        self._sender: asyncio.Task[None] | None = None

    def key(self, *names: str) -> bytes:
        """A key below the prefix."""
        return self.address.prefix.encode() + self.part(*names)

    def part(self, *names: str) -> bytes:
        """A part of a key. `/` in a name is escaped, so that names joined by it stay distinct."""
        escaped = "/".join(each.replace("%", "%25").replace("/", "%2F") for each in names)
        return escaped.encode("utf-8", "surrogatepass")

    def script(self, text: str) -> str:
        """Register a Lua script, which is loaded with each connection. Return the name to call it by."""
        name = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._scripts[name] = text
        return name

    def call(self, *command: Arg) -> asyncio.Future[Any]:
        """Send a command; the future is its answer. It raises Unavailable if there is no good answer."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # The sockets of another loop cannot be used in this one, nor closed.
            self._loop, self._client, self._sender, self._waiting, self._joined = loop, None, None, [], {}
        answer = loop.create_future()
        self._waiting.append((command, answer))
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        return answer

    async def read(self, *command: Arg) -> Any:
        """As `call`, for commands that only read: callers that wait for the same one to be sent share the answer."""
        if self._loop is not asyncio.get_running_loop():
            self._joined = {}
        joined = self._joined.get(command)
        if joined is None or joined.done():
            joined = self.call(*command)
            self._joined[command] = joined
        # A caller that is cancelled must not cancel the others.
        return await asyncio.shield(joined)

    async def evaluate(self, script: str, keys: tuple[Arg, ...], *args: Arg) -> Any:
        return await self.call("EVALSHA", script, len(keys), *keys, *args)

    async def open(self) -> None:
        """Connect, if that has not happened yet. Raises StartError."""
        try:
            await self.call("PING")
        except Unavailable as error:
            raise StartError(f"--store {self.address.shown}: {error.__cause__ or error.detail}") from error

    async def close(self) -> None:
        if self._client is not None and self._loop is asyncio.get_running_loop():
            await self._client.aclose()
        self._client = None

    async def _send(self) -> None:
        """Send what is waiting, until nothing is."""
        try:
            while self._waiting:
                batch, self._waiting, self._joined = self._waiting, [], {}
                try:
                    answers = await self._answers([command for command, _ in batch])
                except Exception as error:  # noqa: BLE001 - whatever it is, each caller gets it
                    # Commands that came meanwhile have waited too: they must not wait for another attempt.
                    late, self._waiting, self._joined = self._waiting, [], {}
                    for _, answer in (*batch, *late):
                        if not answer.done():
                            answer.set_exception(error)
                            answer.exception()  # it is not reported if the caller is gone
                    continue
                for (command, answer), value in zip(batch, answers, strict=True):
                    if answer.done():
                        continue
                    if isinstance(value, Exception):
                        answer.set_exception(self._refused(command, value))
                        answer.exception()
                    else:
                        answer.set_result(value)
        finally:
            self._sender = None

    async def _answers(self, commands: list[tuple[Arg, ...]]) -> list[Any]:
        try:
            client = self._client or await self._connected()
            return await _executed(client, commands)
        except StartError as error:
            raise Unavailable(f"{error}", {"Retry-After": "1"}) from error
        except (RedisError, OSError) as error:
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()
            _log.warning("the store at %s does not answer: %s", self.address.shown, error or type(error).__name__)
            raise self._gone() from error

    async def _connected(self) -> Any:
        # Not retried: a commit that was sent twice would be refused by what it has written itself.
        client = redis.Redis.from_url(
            self.address.url,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            socket_timeout=_ANSWER_TIMEOUT_S,
        )
        try:
            for answer in await _executed(client, [("SCRIPT", "LOAD", text) for text in self._scripts.values()]):
                if isinstance(answer, Exception):
                    raise answer
            if self.on_connect is not None:
                await self.on_connect(client.execute_command)
        except BaseException:
            await client.aclose()
            raise
        self._client = client
        return client

    def _refused(self, command: tuple[Arg, ...], error: Exception) -> Unavailable:
        if not isinstance(error, Disconnected):
            _log.error("the store at %s has refused %s: %s", self.address.shown, command[0], error)
        return self._gone()

    def _gone(self) -> Unavailable:
        return Unavailable("The store does not answer at the moment; try again", {"Retry-After": "1"})


async def _executed(client: Any, commands: list[tuple[Arg, ...]]) -> list[Any]:
    """Return the answers; an error of a single command is an answer too."""
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers
