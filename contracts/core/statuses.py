"""The statuses of a run."""

from typing import Final

STATUSES_IN_ORDER: Final = ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled")
STATUSES: Final = frozenset(STATUSES_IN_ORDER)
ACTIVE: Final = frozenset(STATUSES_IN_ORDER[:3])
TERMINAL: Final = STATUSES - ACTIVE
