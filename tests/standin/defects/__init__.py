"""Planted defects: each overrides one small part of the healthy behaviour, and breaks one rule, rarely.

`DEFECTS` has them all by name. What is planted is code beside its description: one class a defect.
"""

from tests.standin.defects.defect import DEFECTS, Defect

__all__ = ["DEFECTS", "Defect"]
