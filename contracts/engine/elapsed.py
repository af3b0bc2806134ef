"""Says how long before a request an earlier one was sent, if that is long: a fault may need the time, or the requests
in between.
"""

from collections.abc import Sequence
from typing import Final

from contracts.core.exchange import Exchange

_LEAST_S: Final = 5
_LEAST_REQUESTS: Final = 100


def elapsed_in_words(earlier: Exchange, later: Exchange, recorded: Sequence[Exchange]) -> str:
    """Return, for example, "41 s and 18,204 requests"; empty unless both are many. `recorded` are the last exchanges of
    the check.
    """
    start, end = earlier.answer.received_at, later.answer.received_at
    if start is None or end is None:
        return ""
    moments = [each.answer.received_at for each in recorded if each.answer.received_at is not None]
    between = sum(start < moment < end for moment in moments)
    seconds = (end - start).total_seconds()
    if seconds < _LEAST_S or between < _LEAST_REQUESTS:
        return ""
    at_least = "at least " if min(moments) > start else ""  # the first ones are no longer recorded
    return f"{seconds:,.0f} s and {at_least}{between:,} requests"
