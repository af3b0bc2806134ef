"""Former names, until every rule imports `file` from `files`, and the others from where they are."""

from __future__ import annotations

from contracts.data.files import file as file
from contracts.data.files import unusual_inputs as file_boundary_values
from contracts.data.grouping import objects as packed
from contracts.data.json_values import ALL_KEYS as ODD_KEYS

__all__ = ["ODD_KEYS", "file", "file_boundary_values", "packed"]
