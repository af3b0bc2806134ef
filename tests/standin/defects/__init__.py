"""Planted defects: each overrides one small part of the healthy behaviour, and breaks one rule, rarely.

`DEFECTS` has them all by name. A module contains the defects of one group of rules, each under its first rule, but for
`concurrency`, whose defects show only when two requests meet, `values`, whose defects change one class of values, and
`age_and_number`, whose defects show only later or after many. One class a defect; its `witness` has the few
requests of a client that the healthy server passes and this one fails.
"""

from importlib import import_module
from pkgutil import iter_modules

from tests.standin.defects.defect import DEFECTS, Defect

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["DEFECTS", "Defect"]
