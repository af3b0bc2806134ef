"""The one way out of a check: budget, rate, owned ids only, a journal on disk, and cleaning up."""

from contracts.guard.cleanup import CleanUpReport, clean_up_journals
from contracts.guard.guard import Guard
from contracts.guard.refusals import NoAnswer, NotAllowed, NotOwned, OutOfBudget, Refused

__all__ = [
    "CleanUpReport",
    "Guard",
    "NoAnswer",
    "NotAllowed",
    "NotOwned",
    "OutOfBudget",
    "Refused",
    "clean_up_journals",
]
