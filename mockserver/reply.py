"""What a behaviour returns: a status, and a content that can be rendered repeatedly.

The content of runs and pools holds references to values of the store, not the bytes of an answer. So an idempotent
repeat renders the same content again, and storing it costs next to nothing. Other contents hold their value, or its
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from mockserver.spec import render_json

JSON = "application/json"
LARGE_BYTES = 1_048_576
"""A content that may be larger is rendered in parts, so that it is never in memory as a whole."""
_MAX_JOINED_PARTS = 8_192
"""Making this number of small parts takes about 4 ms, in which nothing else is handled."""
_PART_BYTES = 65_536
WITHOUT_CONTENT = frozenset({204, 205, 304})
"""The statuses whose answers have no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5)."""
WITHOUT_LENGTH = WITHOUT_CONTENT - {205}
"""Of these, the ones that do not say so: in a 304 a length would be that of a 200 (section 8.6)."""


class Content(Protocol):
    def render(self) -> bytes | Iterator[bytes]:
        """Return the body, the same on each call; a large one as an iterator of parts, made one by one."""


@dataclass(frozen=True, slots=True)
class JSONContent:
    value: Any

    def render(self) -> bytes:
        return render_json(self.value)


@dataclass(frozen=True, slots=True)
class BytesContent:
    value: bytes

    def render(self) -> bytes:
        return self.value


def in_parts(make: Callable[[], Iterator[bytes]]) -> bytes | Iterator[bytes]:
    """Return what `make` yields as a whole if it is small; else as an iterator that makes it once more."""
    joined: list[bytes] = []
    size = 0
    for part in make():
        joined.append(part)
        size += len(part)
        if size > LARGE_BYTES or len(joined) > _MAX_JOINED_PARTS:
            return _without_small_parts(make())
    return b"".join(joined)


def _without_small_parts(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts, since each that is sent costs something. A large one is not copied."""
    small: list[bytes] = []
    size = 0
    for part in parts:
        if size + len(part) > _PART_BYTES:
            yield b"".join(small)
            small, size = [], 0
        if len(part) > _PART_BYTES:
            yield part
        else:
            small.append(part)
            size += len(part)
    yield b"".join(small)


class Reply(NamedTuple):
    """`content` is None for an answer without a body."""

    status: int
    content: Content | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = {}
    is_documented: bool = True  # False if the document need not describe it

    def render(self) -> bytes | Iterator[bytes]:
        return b"" if self.content is None else self.content.render()

    @property
    def held_bytes(self) -> int:
        """How much memory the rendered body takes until it is sent; 0 if the content does not say."""
        held: int = getattr(self.content, "held_bytes", 0)
        return held


RATE_LIMITED = "Rate limit exceeded"
"""What a 429 says, as in the OpenAPI document."""


def phrase(status: int) -> str:
    """Return the reason phrase of a status, such as "Not Found"."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def error_reply(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, JSONContent({"detail": detail}), headers=headers or {})
