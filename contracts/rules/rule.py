"""The description of a rule: its texts, its severity, and the fields that it judges. The scenarios judge it."""

from dataclasses import dataclass
from typing import Final, Literal

from contracts.core.findings import Severity
from contracts.oracle.known_run import CHANGEABLE, RESULTS
from contracts.oracle.run import STABLE

READING_AND_CHANGING: Final = "Reading and changing"
"""The group of the rules about single runs and lists of them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`source` is `doc` for what the reference page of the bulk create states, and `api` for other public facts about
    the API. `needs` are the operations without which the rule cannot be judged; of `needs_one_of` one is enough.
    """

    id: str
    source: Literal["doc", "api"]
    title: str
    explanation: str
    group: str
    needs: tuple[str, ...] = ()
    needs_one_of: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        return SEVERITY_OF[self.id]

    @property
    def value_fields(self) -> tuple[str, ...]:
        return VALUE_FIELDS.get(self.id, ())


_IDS_BY_SEVERITY: Final[dict[Severity, tuple[str, ...]]] = {
    "critical": (
        *("SECRET-LEAK", "AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN", "AUTH-TENANT", "IDEM-SCOPE"),
        *("BULK-COUNT", "BULK-IDS", "LIST-COMPLETE", "REQ-ATOMIC", "IDEM-REPLAY"),
    ),
    "major": (
        *("BULK-ECHO", "BULK-INITIAL", "BULK-SESSION", "BULK-FILES", "BULK-ALIASES", "CREATE-ANSWER"),
        *("READ-BACK", "LIST-PAGE", "LIST-FILTER", "UPDATE-PARTIAL", "DELETE-GONE", "RETRY-RULES", "CHAIN-RULES"),
        *("LIFECYCLE", "ATTACHMENTS", "NO-5XX", "READ-INCLUDE"),
    ),
    "moderate": (
        *("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-NULL", "REQ-FILES", "REQ-ACCEPT", "REQ-BODY"),
        *("READ-UNKNOWN", "IDEM-CONFLICT", "HTTP-METHOD"),
    ),
    "minor": ("REQ-ERROR", "BULK-STATUS", "HTTP-ERROR-JSON", "HTTP-LIMIT", "HTTP-SCHEMA"),
}

SEVERITY_OF: Final[dict[str, Severity]] = {rule: severity for severity, ids in _IDS_BY_SEVERITY.items() for rule in ids}
"""How severe a violation of each rule is. Reports list findings in this order, the most severe first."""

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
"""The fields of an answer whose values a rule judges, beyond their schema (`contracts rules --coverage` shows them). A
field of a run counts in every answer that shows a run, and in lists of runs.
"""
