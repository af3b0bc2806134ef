"""What a behaviour returns: a status, and a content that can be rendered repeatedly.

The content of runs holds references to values of the store, not the bytes of an answer. So an idempotent repeat renders
the same content again, and storing it costs next to nothing. Other contents hold their value, or its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from mockserver.spec import render_json

JSON = "application/json"
LARGE_BYTES = 1_048_576
"""A content that may be larger is rendered in parts, so that it is never in memory as a whole."""


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


@dataclass(frozen=True, slots=True)
class TransientContent:
    """Bytes that were made for one answer, unlike stored ones: they take memory until it is sent."""

    value: bytes

    @property
    def transient_bytes(self) -> int:
        return len(self.value)

    def render(self) -> bytes:
        return self.value


class Reply(NamedTuple):
    """`content` is None for an answer without a body."""

    status: int
    content: Content | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = {}
    is_documented: bool = True  # False if a client asked for an answer that the document lacks

    def render(self) -> bytes | Iterator[bytes]:
        return b"" if self.content is None else self.content.render()

    @property
    def transient_bytes(self) -> int:
        """How much memory the content takes already, of what is not stored; 0 if it does not say."""
        made: int = getattr(self.content, "transient_bytes", 0)
        return made

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
