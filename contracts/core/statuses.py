"""The statuses of a run."""

from typing import Final

_ACTIVE: Final = ("scheduling", "running", "running_checks")
_TERMINAL: Final = ("success", "task_failed", "error", "cancelled")
STATUSES_IN_ORDER: Final = (*_ACTIVE, *_TERMINAL)
STATUSES: Final = frozenset(STATUSES_IN_ORDER)
ACTIVE: Final = frozenset(_ACTIVE)
TERMINAL: Final = frozenset(_TERMINAL)
