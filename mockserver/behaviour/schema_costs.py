"""How long it may take to compile the schema of a workflow, and to check inputs by it.

These are estimates from the schema and the size of the inputs, so that no request holds up the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

_STEPS_OF_CHECK = 200
"""How many steps of a pattern take as long as one failed check."""
MEMBERS_OF_CHECK = 5
"""How many members of an object or array take as long to pass over as one failed check."""
_CHECKS_OF_DATE_TIME = 4
"""How many other failed checks take as long as one of a date-time, which is checked in Python."""
_LARGE_CLASS = re.compile(r"\\[wWsSdDpP]|\.|\[\^|\(\?[a-zA-Z-]*i")
"""A class of many characters, or that case is ignored."""
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z-]*i")
_FOLDED = re.compile(r"\[|&&|--|~~")
_FOLDED_COST = 5
"""Where case is ignored, the other case of each character in a class is looked up: up to 5 ms for a wide range."""
_REPEATED = re.compile(r"\{([0-9]{1,6})?(?:,([0-9]{0,6}))?\}")


class CheckingCost(NamedTuple):
    """In failed checks for each value in a list or map, and in steps of patterns for each character of a text."""

    checks: int
    steps: float

    @classmethod
    def of_schema(cls, schema: Any) -> CheckingCost:
        steps = sum(times * len(pattern) for pattern, times in _patterns(schema))
        most = 0
        for part in values_in(schema):
            for keyword in ("items", "additionalProperties"):
                if isinstance(part, dict) and isinstance(part.get(keyword), dict):
                    # A value may be checked by each of the schemas in that of its list or map.
                    most = max(most, sum(map(_checks, values_in(part[keyword]))))
        return cls(most, steps)

    def exceeds(self, most: float, inputs: Any) -> bool:
        """Whether checking the inputs could take longer than `most` failed checks."""
        left = most
        for part in values_in(inputs):
            left -= self.checks
            if isinstance(part, str):
                left -= self.steps * len(part) / _STEPS_OF_CHECK
            elif isinstance(part, dict | list):
                left -= len(part) / MEMBERS_OF_CHECK
            if left < 0:
                return True
        return False


def compiling_cost(schema: Any) -> float:
    """Return how long it takes approximately to compile the patterns in a schema, in milliseconds."""
    return sum(_pattern_cost(pattern, times) for pattern, times in _patterns(schema))


def values_in(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all values in it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _checks(part: Any) -> int:
    """Return how many checks a schema makes of a value, without those of the schemas in it."""
    if not isinstance(part, dict):
        return 0
    kinds = part.get("type")
    each = _CHECKS_OF_DATE_TIME if part.get("format") == "date-time" else 1
    return each * (len(kinds) if isinstance(kinds, list | tuple) else 1)


def _patterns(schema: Any) -> Iterator[tuple[str, float]]:
    """Yield the patterns in a schema, and how many times each repeats its parts at most."""
    for part in values_in(schema):
        pattern = part.get("pattern") if isinstance(part, dict) else None
        if isinstance(pattern, str):
            # As floats, so that a product that is too large is infinite.
            yield pattern, prod(max(1.0, *(float(count or 0) for count in each)) for each in _REPEATED.findall(pattern))


def _pattern_cost(pattern: str, times: float) -> float:
    """Each class of many characters counts once per repetition. So do the optional parts: the compiler looks back at
    all that stand in a row. If case is ignored, each class and each set that classes are combined from count too.
    """
    classes = len(_LARGE_CLASS.findall(pattern)) + len(pattern) / 1_000 + pattern.count("?") / 100
    folded = len(_FOLDED.findall(pattern)) if _IGNORES_CASE.search(pattern) else 0
    return 0.1 + times * classes + _FOLDED_COST * folded
