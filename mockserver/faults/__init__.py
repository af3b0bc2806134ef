"""Faults on demand: which requests they meet, how often, and what happens to them."""

from mockserver.faults.fault import Fault, Faults
from mockserver.faults.file import read_faults
from mockserver.faults.presets import PRESETS
from mockserver.faults.reading import FaultReader

__all__ = ["PRESETS", "Fault", "FaultReader", "Faults", "read_faults"]
