"""A single request as a case, so that it can be shrunk and sent alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.core.exchange import Request
from contracts.engine.case import Case
from contracts.engine.request_building import encode
from contracts.openapi.schemas import UNREAD


@dataclass(frozen=True)
class RequestCase(Case):
    """`json` is the decoded body, `text` a body that is not JSON, as latin-1. Without both, there is no body."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    json: Any = UNREAD
    text: str | None = None

    @classmethod
    def from_request(cls, request: Request) -> RequestCase:
        if request.body is None:
            return cls(request.method, request.path, request.headers)
        try:
            return cls(request.method, request.path, request.headers, json=request.json())
        except (ValueError, RecursionError):
            return cls(request.method, request.path, request.headers, text=request.body.decode("latin-1"))

    def to_request(self, fill: Callable[[Any], Any] = lambda value: value) -> Request | None:
        """Return the request, its placeholders replaced by `fill`; None if shrinking left half a header."""
        if not all(len(header) == 2 and header[0] for header in self.headers):
            return None
        headers = tuple((name, str(fill(value))) for name, value in self.headers)
        body = None if self.text is None else self.text.encode("latin-1")
        if self.json is not UNREAD:
            body = encode(fill(self.json))
        return Request(self.method, str(fill(self.path)), headers, body)
