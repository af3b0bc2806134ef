"""Fault injection: which requests a fault applies to, how often, and what it does to them."""

from mockserver.faults.fault import Fault, Faults
from mockserver.faults.file import read_faults
from mockserver.faults.parsing import FaultParser
from mockserver.faults.presets import PRESETS, described_presets

__all__ = ["PRESETS", "Fault", "FaultParser", "Faults", "described_presets", "read_faults"]
