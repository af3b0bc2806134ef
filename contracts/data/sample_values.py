"""Former name of `json_values.SAMPLE`."""

from contracts.data.json_values import SAMPLE as VALUES

__all__ = ["VALUES"]
