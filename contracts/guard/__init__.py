"""The only way for a check to send requests: enforces budget, rate limit and ownership, keeps a journal, cleans up."""

from contracts.guard.admitted_request import RequestKind
from contracts.guard.guard import Guard
from contracts.guard.later_cleanup import CleanUpReport, clean_up_journals, forget_journals
from contracts.guard.refusals import NoAnswer, NotAllowed, NotDelivered, NotOwned, OutOfBudget, Refused
from contracts.guard.unreported_run_detector import UnreportedRuns

__all__ = [
    "CleanUpReport",
    "Guard",
    "NoAnswer",
    "NotAllowed",
    "NotDelivered",
    "NotOwned",
    "OutOfBudget",
    "Refused",
    "RequestKind",
    "UnreportedRuns",
    "clean_up_journals",
    "forget_journals",
]
