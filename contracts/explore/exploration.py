"""What is done after all scenarios, since it looks for nothing in particular: rows of steps, then schemathesis."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final

from contracts.core.target import Target
from contracts.engine.context import OutOfTime
from contracts.engine.runner import Search
from contracts.explore import schema_fuzz, step_sequences
from contracts.explore.model import MODEL

SHARE: Final = 1 / 8
"""The most of the time of a check that either may take."""
FUZZ_EXAMPLES: Final = 100
FUZZ_TIMES: Final = 4
"""How much longer than in a check they may take in one round of a fuzz."""

_PARTS: Final = (
    (MODEL.name, frozenset(MODEL.rules), step_sequences, step_sequences.explore_step_sequences),
    ("schema-wide requests", schema_fuzz.JUDGES, schema_fuzz, schema_fuzz.explore_schema),
)


def parts_for(target: Target, wanted: Collection[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """(name, rules) of what would be done. It creates runs as it likes, so not where they cost anything."""
    if target.profile == "full" and (target.allow_writes or target.is_loopback):
        yield from ((name, judges) for name, judges, _, _ in _PARTS if judges.intersection(wanted))


def explore(search: Search, wanted: Collection[str], announce: Callable[[str], None], *, round_number: int = 0) -> bool:
    """Round 0 is a check; the rounds of a fuzz are numbered from 1. What there is too little time for is not begun;
    whether anything was is told.
    """
    check = search.check
    has_begun = False
    names = dict(parts_for(check.target, wanted))
    for name, judges, part, explore in _PARTS:
        asked_for = math.sqrt(len(judges.intersection(wanted)) / len(judges))  # who asks for one rule waits less for it
        longest_s = max(part.LEAST_S, part.MOST_S * asked_for) * (FUZZ_TIMES if round_number else 1)
        share_s = min(longest_s, check.target.max_time_s * SHARE, check.time_left - 1)
        if name not in names or not check.may_create or share_s < part.LEAST_S:
            continue
        has_begun = True
        announce(name)
        examples = FUZZ_EXAMPLES if round_number else part.EXAMPLES
        until = time.monotonic() + share_s
        with contextlib.suppress(OutOfTime):  # all else has been done
            explore(search, wanted, examples=examples, until=until, round_number=max(0, round_number - 1))
    return has_begun
