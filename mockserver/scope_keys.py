"""The keys that the mock adds to the ASGI scope of a request, so that its parts can tell each other about it.

Any of them may be absent.
"""

CONNECTION_KEY = "mockserver.connection"
"""The `http11.Connection`; absent under another server."""
JOURNAL_KEY = "mockserver.entry"
"""The entry of the journal; absent if the journal keeps nothing."""
PAGE_WARNING_KEY = "mockserver.page_warning"
"""Why a web page cannot read the answer."""
FAULT_KEY = "mockserver.fault"
"""The id of the fault that applies."""
FAILED_KEY = "mockserver.failed"
"""How many runs of a bulk create fail, by a fault."""
FAILED_SHARE_KEY = "mockserver.failed_share"
"""Which share of the runs of a bulk create fails, by a fault."""
STALE_S_KEY = "mockserver.stale_s"
"""How many seconds old the answer is, by a fault."""
