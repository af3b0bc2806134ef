"""The connection to a Valkey server: commands that wait at the same time are sent together.

A server that does not answer is reported within a second, unless its address says otherwise, and the next command
connects again. A command is sent once only: whether a commit was applied before its connection broke cannot be known,
so the caller has to ask again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha1
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from mockserver.errors import StartError, Unavailable

Arg = str | bytes | int
_log = logging.getLogger("mockserver.store")


class Address(NamedTuple):
    """Where the server is, the prefix of all keys there, and how long to wait for an answer.

    `shown` is the address without its password.
    """

    url: str
    prefix: str
    timeout_s: float
    shown: str

    @classmethod
    def from_url(cls, url: str) -> Address:
        """Parse `valkey://[user:password@]host[:port][/database][?prefix=…&timeout=…]`. Raises StartError."""
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        if len(query) < len(pairs):
            twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
            raise StartError(f"--store: {twice!r} is given twice")
        prefix = query.pop("prefix", "mockserver:")
        if not prefix:
            raise StartError("--store: an empty prefix would mix with the other keys of the server")
        timeout = query.pop("timeout", "0.8")
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", timeout) or not float(timeout):
            raise StartError(f"--store: the timeout is a number of seconds above 0, not {timeout!r}")
        if query:
            raise StartError(f"--store: {next(iter(query))!r} is not known; give ?prefix=NAME: and &timeout=SECONDS")
        if not re.fullmatch(r"/?|/\d{1,9}", parts.path):
            raise StartError(f"--store: the database is a number, as in /0, not {parts.path!r}")
        scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
        host = parts.netloc.rpartition("@")[2]
        connect_to = urlunsplit((scheme, parts.netloc, parts.path, "", ""))
        return cls(connect_to, prefix, float(timeout), urlunsplit((parts.scheme, host, parts.path, parts.query, "")))


EXTRA_MISSING = "run  pip install '.[valkey]'  in a checkout, or install the wheel with [valkey]"


class ValkeyConnection:
    """`on_connect` is awaited after each new connection, before any other command; what it raises stops the commands.

    May be used from several event loops, one after the other.
    """

    def __init__(self, address: Address) -> None:
        """Raises StartError."""
        try:
            from mockserver.store import valkey_client
        except ModuleNotFoundError as error:
            raise StartError(f"--store {address.shown} needs the package {error.name}: {EXTRA_MISSING}") from error
        self._client = valkey_client
        self.address = address
        self.on_connect: Callable[[Callable[..., Awaitable[Any]]], Awaitable[None]] | None = None
        self.starts = 0
        """How many server processes this connection has met. One may lack the last writes of the one before."""
        self._run_id: bytes | None = None
        self._scripts: dict[str, str] = {}
        self._connection: Any = None
        self._is_gone = False
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
            self._loop, self._connection, self._sender, self._waiting, self._joined = loop, None, None, [], {}
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
            cause = error.__cause__
            if isinstance(cause, StartError):
                raise cause from None
            why = str(cause or error.detail).rstrip(".")
            raise StartError(
                f"--store {self.address.shown} cannot be used ({why}): start a Valkey server there, or correct the URL"
            ) from error

    async def close(self) -> None:
        if self._connection is not None and self._loop is asyncio.get_running_loop():
            await self._connection.disconnect()
        self._connection = None

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
            connection = self._connection or await self._connected()
            answers = await self._client.executed(connection, commands)
            if any(isinstance(answer, self._client.LostScript) for answer in answers):
                # The server has lost its scripts. The next connection loads them again.
                self._connection = None
                await connection.disconnect()
            return answers
        except StartError as error:
            raise Unavailable(f"{error}", {"Retry-After": "1"}) from error
        except BaseException as error:
            # Answers that were not read must not be taken for those of the next commands.
            connection, self._connection = self._connection, None
            if not isinstance(error, self._client.ERRORS):
                raise
            if connection is not None:
                await connection.disconnect(nowait=True)
            if not self._is_gone:
                self._is_gone = True
                _log.warning("the store at %s does not answer: %s", self.address.shown, error or type(error).__name__)
            raise self._gone() from error

    async def _connected(self) -> Any:
        connection = await self._client.connected(self.address.url, self.address.timeout_s)

        async def execute(*command: Arg) -> Any:
            (answer,) = await self._client.executed(connection, [command])
            if isinstance(answer, Exception):
                raise answer
            return answer

        try:
            for text in self._scripts.values():
                await execute("SCRIPT", "LOAD", text)
            if self.on_connect is not None:
                await self.on_connect(execute)
            (about,) = await self._client.executed(connection, [("INFO", "server", "memory")])
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._warn_of_eviction(about)
        self._note_server(about)
        self._connection = connection
        if self._is_gone:
            self._is_gone = False
            _log.warning("the store at %s answers again", self.address.shown)
        return connection

    def _note_server(self, about: Any) -> None:
        """`about` is the answer to `INFO`, or an exception if that is not allowed: then it may be another server."""
        found = re.search(rb"^run_id:(\w+)", about, re.MULTILINE) if isinstance(about, bytes) else None
        if found is None or found[1] != self._run_id:
            self._run_id = found and found[1]
            self.starts += 1

    def _warn_of_eviction(self, about: Any) -> None:
        pattern = rb"^maxmemory:[1-9].*^maxmemory_policy:(allkeys\S+)"
        found = re.search(pattern, about, re.DOTALL | re.MULTILINE) if isinstance(about, bytes) else None
        if found is not None:
            _log.warning(
                "the store at %s removes runs when its memory is full: set its maxmemory-policy to noeviction, not %s",
                self.address.shown,
                found[1].decode(),
            )

    def _refused(self, command: tuple[Arg, ...], error: Exception) -> Unavailable:
        _log.error("the store at %s has refused %s: %s", self.address.shown, command[0], error)
        if isinstance(error, self._client.LostScript):
            return self._gone()
        why = str(error).partition(" script: ")[0].rstrip(".")
        return Unavailable(f"The store refuses what this request needs: {why}", {"Retry-After": "1"})

    def damaged(self, key: bytes, why: object) -> Unavailable:
        """Return the error for a key with a value that no server of this kind has written."""
        shown = key.decode("utf-8", "replace")
        _log.error("the store at %s has a value under %s that no mock has written: %s", self.address.shown, shown, why)
        what = f"The store has a value under {shown} that no mock has written: remove that key, or use another prefix"
        return Unavailable(what, {"Retry-After": "1"})

    def _gone(self) -> Unavailable:
        return Unavailable("The store does not answer at the moment; try again", {"Retry-After": "1"})
