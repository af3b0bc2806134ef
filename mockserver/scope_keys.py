"""The keys that the mock adds to the ASGI scope of a request: how its parts tell each other about it.

The connection is absent under another server, the entry if nothing is recorded, the others if no fault applies. The
page warning is present only if a web page cannot read the answer.
"""

CONNECTION_KEY = "mockserver.connection"
JOURNAL_KEY = "mockserver.entry"
PAGE_WARNING_KEY = "mockserver.page_warning"  # why a web page cannot read the answer
FAULT_KEY = "mockserver.fault"  # its id
FAILED_KEY = "mockserver.failed"  # how many runs of a bulk create fail
FAILED_SHARE_KEY = "mockserver.failed_share"
STALE_S_KEY = "mockserver.stale_s"  # how many seconds old the answer is
