"""Facts about each operation: its documented success status, and the rule that an undocumented answer breaks."""

from __future__ import annotations

from typing import Final

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
