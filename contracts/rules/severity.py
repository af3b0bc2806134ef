"""How severe a violation of each rule is. Reports list findings in this order, the most severe first."""

from __future__ import annotations

from typing import Final

from contracts.core.findings import Severity

_RULES: Final[dict[Severity, tuple[str, ...]]] = {
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

SEVERITY_OF: Final[dict[str, Severity]] = {rule: severity for severity, rules in _RULES.items() for rule in rules}
