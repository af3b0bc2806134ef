"""What a behaviour returns: a status and a content that can be rendered, and rendered again.

A content holds references to values of the store, never bytes of an answer: so an idempotent repeat is answered by
rendering the same content once more, and what is kept for it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mockserver.spec import render_json

JSON = "application/json"
LARGE_BYTES = 1_048_576
"""A content that may be larger is rendered in parts: it never stands in memory as a whole."""


class Content(Protocol):
    def render(self) -> bytes | Iterator[bytes]:
        """The body of an answer, the same each time it is asked for; a large one in parts, made one by one."""


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


class Reply(NamedTuple):
    """`content` None is an answer without a body."""

    status: int
    content: Content | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = {}
    is_documented: bool = True  # not where a client asked for what the document does not know

    def render(self) -> bytes | Iterator[bytes]:
        return b"" if self.content is None else self.content.render()


def error_reply(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, JSONContent({"detail": detail}), headers=headers or {})
