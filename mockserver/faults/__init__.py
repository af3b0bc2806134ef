"""Fault injection: which requests a fault applies to, how often, and what it does to them."""

from mockserver.faults.fault import Fault, Faults
from mockserver.faults.file import read_faults
from mockserver.faults.presets import PRESETS
from mockserver.faults.reading import FaultReader

__all__ = ["PRESETS", "Fault", "FaultReader", "Faults", "read_faults"]
