"""Planted defects: each overrides one small part of the healthy behaviour, and breaks one rule, rarely.

`DEFECTS` has them all by name. One class a defect; its `obeys` is the witness: the few requests of a client that the
healthy server passes and this one fails.
"""

from tests.standin.defects import (
    authorization,
    breadth,
    bulk,
    changing,
    concurrency,
    outside,
    outside_again,
    protocol,
    reading,
    requests,
    running,
    secrets,
)
from tests.standin.defects.defect import DEFECTS, Defect

MODULES = (
    requests,
    authorization,
    bulk,
    secrets,
    reading,
    changing,
    running,
    protocol,
    breadth,
    concurrency,
    outside,
    outside_again,
)

__all__ = ["DEFECTS", "Defect"]
