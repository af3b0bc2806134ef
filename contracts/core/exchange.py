"""What goes over the wire: a request, its answer, and both together.

Tokens never stand in these values: a request carries `Bearer $TOKEN` or `Bearer $SECOND_TOKEN`, and the guard puts
the secret in its place on the way out. So no report, log or database made of exchanges can show one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TOKEN = "Bearer $TOKEN"
SECOND_TOKEN = "Bearer $SECOND_TOKEN"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is what stands in the request line after the target's base URL: percent-encoded, query included."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return _json(self.body or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 where no whole answer came; `lost` says why."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    lost: str = ""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return _json(self.body)


@dataclass(frozen=True, slots=True)
class Exchange:
    request: Request
    answer: Answer


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
