"""The exceptions of the guard: a request was not sent, or got no answer."""

from contracts.core.findings import Remedy


class Refused(Exception):
    """The guard did not send the request. The message says why, for the reader of the report, and `remedy` what a user
    can do about it.
    """

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class OutOfBudget(Refused):
    """The budget (runs, requests or time) does not cover the maximum cost of the request."""


class NotOwned(Refused):
    """The request could change something that this check did not create."""


class NotAllowed(Refused):
    """The request needs a permission that was not given, or cannot be serialised as HTTP."""


class NoAnswer(Exception):
    """No complete answer came: the connection was refused, closed or timed out, or the answer is not HTTP. `lost` has
    only this reason; the message also names the request.
    """

    def __init__(self, message: str, *, lost: str = "") -> None:
        super().__init__(message)
        self.lost = lost


class NotDelivered(NoAnswer):
    """The request did not reach the target, so it had no effect."""
