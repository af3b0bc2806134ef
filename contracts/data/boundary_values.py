"""Former names of boundary values, until every rule imports them from where they are."""

from __future__ import annotations

from contracts.data import limits
from contracts.data.files import content as content
from contracts.data.files import file as file
from contracts.data.files import unusual_inputs as file_boundary_values
from contracts.data.formats import UNUSUAL_IDS as ODD_IDS
from contracts.data.grouping import in_turn as in_turn
from contracts.data.grouping import objects
from contracts.data.json_values import ALL_KEYS as ODD_KEYS
from contracts.data.json_values import unusual as values
from contracts.data.json_values import unusual_inputs as input_boundary_values

COUNTS = limits.sizes(limits.MIN_COUNT, limits.MAX_COUNT)
REVEALING_COUNTS = limits.few(limits.MIN_COUNT, limits.MAX_COUNT)
packed = objects

__all__ = [
    "COUNTS",
    "ODD_IDS",
    "ODD_KEYS",
    "REVEALING_COUNTS",
    "content",
    "file",
    "file_boundary_values",
    "in_turn",
    "input_boundary_values",
    "packed",
    "values",
]
