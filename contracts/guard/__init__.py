"""The one way out of a check: budget, rate, owned ids only, a journal on disk, and cleaning up."""

from contracts.guard.guard import Guard
from contracts.guard.refusals import NoAnswer, NotAllowed, NotOwned, OutOfBudget, Refused

__all__ = ["Guard", "NoAnswer", "NotAllowed", "NotOwned", "OutOfBudget", "Refused"]
