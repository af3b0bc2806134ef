"""The fields of an answer whose values a rule judges, beyond their schema. `contracts rules --coverage` shows them."""

from __future__ import annotations

from typing import Final

from contracts.oracle.known_run import CHANGEABLE, RESULTS
from contracts.oracle.run import STABLE

EVERY_FIELD: Final = "*"
"""The rule compares whole answers."""

_CREATED: Final[dict[str, tuple[str, ...]]] = {
    "BULK-COUNT": ("created_runs", "failed_count", "errors"),
    "BULK-IDS": ("id",),
    "BULK-ECHO": ("workflow_id", "machine_id", "pool_ids", "input_values"),
    "BULK-INITIAL": ("status", "error", "output_data", "created_at"),
    "BULK-SESSION": ("session_id",),
    "BULK-FILES": ("input_attachment_ids",),
    "BULK-ALIASES": ("sensitive_input_aliases",),
}
_OF_A_RUN: Final = tuple(field for rule, fields in _CREATED.items() if rule != "BULK-COUNT" for field in fields)

VALUE_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    **_CREATED,
    "CREATE-ANSWER": (*_OF_A_RUN, "session_alias", "release_session_after"),
    "READ-BACK": (*STABLE, "machine_id", "pool_ids", "input_values"),
    "READ-INCLUDE": ("included",),
    "LIST-COMPLETE": ("id",),
    "LIST-PAGE": ("total", "skip", "limit", "created_at"),
    "UPDATE-PARTIAL": (*CHANGEABLE, "status"),
    "RETRY-RULES": (
        *("id", "status", *RESULTS, "input_values", "machine_id", "pool_ids", "session_id"),
        *("sensitive_input_aliases", "input_attachment_ids"),
    ),
    "CHAIN-RULES": (
        *("run_ids", "session_id", "workflow_id", "session_alias", "input_values"),
        *("sensitive_input_aliases", "input_attachment_ids"),
    ),
    "LIFECYCLE": ("status", "error", "output_data"),
    "ATTACHMENTS": (
        *("id", "run_id", "filename", "attachment_type", "size_bytes", "target_path", "cleanup_imports_after_run"),
        *("url", "expires_in"),
    ),
    "IDEM-REPLAY": (EVERY_FIELD,),
}
"""A field of a run counts in every answer that shows a run, and in lists of runs."""
