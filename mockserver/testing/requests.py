"""A request that a client has sent, and its answer, as the journal shows them: with tokens and secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`bytes` is the length of the body; None where it was not counted."""

    headers: Mapping[str, str]
    body: Any
    bytes: int | None
    truncated: bool
    """Whether `body` is the beginning only."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is the one in the namespace. Names of headers are in lower case."""

    seq: int
    at: datetime
    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any
    """The JSON that was sent; other content as text; None where there was none."""
    status: int | None
    """None while it is handled, and where no answer was sent."""
    duration_ms: float | None
    operation: str | None
    organization: str | None
    valid: bool
    reason: str | None
    """Why it was refused."""
    warnings: tuple[str, ...]
    fault: str | None
    """The id of the fault that it met."""
    answer: Answer

    @classmethod
    def from_json(cls, source: Mapping[str, Any], prefix: str) -> Request:
        """`prefix` is that of the namespace."""
        answer = source["answer"]
        names = ("seq", "method", "query", "headers", "body", "status", "duration_ms", "operation", "organization")
        return cls(
            **{name: source[name] for name in (*names, "valid", "reason", "fault")},
            at=datetime.fromisoformat(source["at"]),
            path=source["path"].removeprefix(prefix),
            warnings=tuple(source["warnings"]),
            answer=Answer(**{name: answer[name] for name in ("headers", "body", "bytes", "truncated")}),
        )
