"""Groups of operations."""

from __future__ import annotations

from typing import Final

CREATES: Final = frozenset({"bulk_create_runs", "create_run", "create_run_chain"})
