"""Turns errors into replies, and sends a Reply to the client: its headers, and its body, in parts if it is large."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import chain

from starlette.types import Scope, Send

from mockserver.errors import HTTPError
from mockserver.journal import MAX_ANSWER_BYTES, Entry
from mockserver.reply import JSON, WITHOUT_LENGTH, JSONContent, Reply, error_reply
from mockserver.scope_keys import JOURNAL_KEY
from mockserver.spec import Invalid
from mockserver.time_slice import TimeSlice

_PART_BYTES = 262_144

_JSON_TYPE = (b"content-type", b"application/json")
_log = logging.getLogger("mockserver")


def reply_to(error: Exception, scope: Scope) -> Reply:
    """Return the answer to a request that has failed. Unexpected errors are logged with their traceback."""
    if isinstance(error, Invalid):
        return Reply(error.status, JSONContent({"detail": error.violations or error.detail}))
    if isinstance(error, HTTPError):
        return error_reply(error.status, error.detail, error.headers)
    if isinstance(error, MemoryError):
        _log.error("there was not enough memory for %s %s", scope["method"], scope["path"])
        return error_reply(503, "There was not enough memory to handle the request")
    _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    return error_reply(500, "Internal Server Error")


async def send_error(error: HTTPError, scope: Scope, send: Send) -> None:
    reply = reply_to(error, scope)
    await send_reply(reply, reply.render(), {}, scope, send)


async def send_reply(
    reply: Reply,
    body: bytes | Iterator[bytes] | AsyncIterator[bytes],
    extra: Mapping[str, str],
    scope: Scope,
    send: Send,
) -> None:
    """`body` is the rendered reply; `extra` are additional headers."""
    headers = _headers(reply, body, extra)
    entry: Entry | None = scope.get(JOURNAL_KEY)
    if scope["method"] == "HEAD":
        body = b""
    if isinstance(body, bytes):
        if entry is not None:
            entry.answered(reply.status, headers, body)
        if len(body) > _PART_BYTES:
            body = _parts(body)
    elif entry is not None and isinstance(body, Iterator):  # no request of the journal has another answer
        body = await _recorded(body, reply.status, headers, entry)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    elif isinstance(body, AsyncIterator):
        async for part in body:
            for piece in _parts(part):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        time_slice = TimeSlice()
        for part in body:
            # A large part too: the connection waits for the client between two pieces.
            for piece in _parts(part):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if time_slice.is_over:
                await time_slice.give_way()
        await send({"type": "http.response.body", "body": b""})


async def _recorded(
    parts: Iterator[bytes], status: int, headers: list[tuple[bytes, bytes]], entry: Entry
) -> Iterator[bytes]:
    """Record the beginning of an answer, and return its parts. When all of them were taken, their size is recorded."""
    taken, beginning = [], []
    size = 0
    time_slice = TimeSlice()
    try:
        for part in parts:
            taken.append(part)
            beginning.append(part[: MAX_ANSWER_BYTES - size])
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                break
            if time_slice.is_over:
                await time_slice.give_way()
    except BaseException:
        entry.unanswered()
        raise
    is_whole = size <= MAX_ANSWER_BYTES
    entry.answered(status, headers, b"".join(beginning), is_whole=is_whole)
    return iter(taken) if is_whole else _counted(chain(taken, parts), entry)


def _counted(parts: Iterable[bytes], entry: Entry) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        yield part
    entry.answer_bytes = size


def _parts(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PART_BYTES):
        yield body[start : start + _PART_BYTES]


def _headers(
    reply: Reply, body: bytes | Iterator[bytes] | AsyncIterator[bytes], extra: Mapping[str, str]
) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    if reply.status not in WITHOUT_LENGTH:
        media_type = reply.media_type
        headers.append(_JSON_TYPE if media_type is JSON else (b"content-type", media_type.encode("latin-1")))
        if isinstance(body, bytes):
            headers.append((b"content-length", b"%d" % len(body)))
    if reply.headers or extra:
        every = {**reply.headers, **extra}
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
    return headers
