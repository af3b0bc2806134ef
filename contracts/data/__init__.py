"""What a check sends: boundary values, mutations, bodies and Hypothesis strategies, and the order of cases."""

from contracts.data.combining import batches, in_turn, in_turn_by_kind, rows
from contracts.data.files import file

__all__ = ["batches", "file", "in_turn", "in_turn_by_kind", "rows"]
