"""Why the guard did not send a request, or could not bring an answer."""

from __future__ import annotations


class Refused(Exception):
    """The guard did not send the request. The message says why, in words for the person who reads the report."""


class OutOfBudget(Refused):
    """The budget (runs, requests or time) cannot bear the most that the request could cost."""


class NotOwned(Refused):
    """The request could change something that this check did not make."""


class NotAllowed(Refused):
    """The request needs a permission that was not given, or cannot be put on the wire."""


class NoAnswer(Exception):
    """The request went out, or was about to, and no whole answer came: refused, cut, timed out, not HTTP. `lost` says
    that alone, the message for which request.
    """

    def __init__(self, words: str, *, lost: str = "") -> None:
        super().__init__(words)
        self.lost = lost
