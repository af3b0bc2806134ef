"""Facts about each operation: its documented success status, and the rule that an undocumented answer breaks."""

from __future__ import annotations

from typing import Final

from contracts.openapi.schemas import (
    operations,
)

CREATES: Final = frozenset({"bulk_create_runs", "create_run", "create_run_chain"})
SUCCESS: Final = {
    "bulk_create_runs": 201,
    "create_run": 201,
    "create_run_chain": 201,
    "create_pool": 201,
    "create_workflow": 201,
    "delete_run": 204,
}
"""Documented success statuses other than 200."""

ANSWER_RULE: Final = {
    "bulk_create_runs": "BULK-STATUS",
    "create_run": "CREATE-ANSWER",
    "create_run_chain": "CHAIN-RULES",
    "retry_run": "RETRY-RULES",
    "update_run": "UPDATE-PARTIAL",
    "delete_run": "DELETE-GONE",
    "get_run": "READ-BACK",
    "list_runs": "LIST-COMPLETE",
    "list_run_attachments": "ATTACHMENTS",
    "get_run_attachment": "ATTACHMENTS",
    "download_run_attachment": "ATTACHMENTS",
    "get_run_attachment_download_url": "ATTACHMENTS",
}
"""The rule that an operation breaks if its answer to a valid request is not the documented one."""
SCHEMA_RULE: Final = "HTTP-SCHEMA"
"""The same for all other operations."""


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
