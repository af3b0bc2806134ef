"""What a behaviour returns: a status and a content that can be rendered, and rendered again.

A content holds references to values of the store, never bytes of an answer: so an idempotent repeat is answered by
rendering the same content once more, and what is kept for it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mockserver.spec import render_json

JSON = "application/json"


class Content(Protocol):
    """Something that writes an answer's body, the same each time it is asked."""

    def render(self) -> bytes: ...


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
