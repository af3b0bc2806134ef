"""A request that a client has sent, and its answer, as the journal shows them: tokens and secrets are masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`bytes` is the length of the body, or None if not all of it is sent yet, or if the client has left."""

    headers: Mapping[str, str]
    body: Any
    bytes: int | None
    truncated: bool
    """Whether `body` is only the beginning."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is the path inside the namespace. Header names are in lower case."""

    seq: int
    at: datetime
    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any
    """The parsed JSON; other content as text; None if the body was empty."""
    status: int | None
    """None while the request is in flight, and if no answer was sent."""
    duration_ms: float | None
    operation: str | None
    organization: str | None
    valid: bool
    reason: str | None
    """Why the request was refused."""
    warnings: tuple[str, ...]
    fault: str | None
    """The id of the fault that was applied."""
    answer: Answer

    @classmethod
    def from_json(cls, source: Mapping[str, Any], prefix: str) -> Request:
        """`prefix` is the path prefix of the namespace."""
        answer = source["answer"]
        names = ("seq", "method", "query", "headers", "body", "status", "duration_ms", "operation", "organization")
        return cls(
            **{name: source[name] for name in (*names, "valid", "reason", "fault")},
            at=datetime.fromisoformat(source["at"]),
            path=source["path"].removeprefix(prefix),
            warnings=tuple(source["warnings"]),
            answer=Answer(**{name: answer[name] for name in ("headers", "body", "bytes", "truncated")}),
        )
