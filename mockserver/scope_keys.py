"""The keys that the mock adds to the ASGI scope of a request: how its parts tell each other about it."""

from __future__ import annotations

CONNECTION_KEY = "mockserver.connection"
"""The connection of the request; absent under another server."""
JOURNAL_KEY = "mockserver.entry"
"""The request's entry in the journal; absent if nothing is recorded."""
FAULT_KEY = "mockserver.fault"
"""The id of the fault that was applied to the request; absent if none was."""

# The faults that the endpoint itself produces.
FAILED_KEY = "mockserver.failed"
"""How many runs of a bulk create fail."""
FAILED_SHARE_KEY = "mockserver.failed_share"
"""Which share of a bulk create fails."""
STALE_S_KEY = "mockserver.stale_s"
"""How many seconds ago the answer is as of."""
