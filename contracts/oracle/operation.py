"""Finds the operation of a request."""

from __future__ import annotations

from typing import Final

from contracts.openapi.schemas import (
    operations,
)

CREATES: Final = frozenset({"bulk_create_runs", "create_run", "create_run_chain"})


def operation_at(method: str, path: str) -> str | None:
    """Return the operationId that matches a method and path, or None. Concrete paths win over templates."""
    segments = path.partition("?")[0].strip("/").split("/")
    best: tuple[int, str] | None = None
    for name, (verb, template) in operations().items():
        parts = template.strip("/").split("/")
        if verb != method or len(parts) != len(segments):
            continue
        if all(p == s or p.startswith("{") for p, s in zip(parts, segments, strict=True)):
            rank = sum(p.startswith("{") for p in parts)
            if best is None or rank < best[0]:
                best = (rank, name)
    return best[1] if best else None
