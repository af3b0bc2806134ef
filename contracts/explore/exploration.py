"""The last part of a check, after all scenarios: random step sequences, and schemathesis in parallel."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final

from contracts.core.target import Target
from contracts.engine import OutOfTime
from contracts.engine.runner import Search
from contracts.explore import schema_fuzz, step_sequences
from contracts.explore.model import SEQUENCES

SHARE: Final = 1 / 8
"""The largest part of the time of a check that each of the two may take."""
FUZZ_EXAMPLES: Final = 100
"""Generated cases of each scenario or part in one round of a fuzz."""
FUZZ_TIMES: Final = 4
"""How many times as long as in a check each may take in one round of a fuzz."""

_PARTS: Final = (
    ("schema-wide requests", schema_fuzz.JUDGES, schema_fuzz, schema_fuzz.exploring_schema),
    (SEQUENCES.name, frozenset(SEQUENCES.rules), step_sequences, step_sequences.exploring_step_sequences),
)
"""Each is a context manager: schemathesis runs during the sequences."""


def parts_for(target: Target, wanted: Collection[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield (name, rules) of the parts that would run: none where runs cost money, since they may create many."""
    if target.profile == "full" and target.may_write:
        yield from ((name, judges) for name, judges, _, _ in _PARTS if judges.intersection(wanted))


def explore(search: Search, wanted: Collection[str], announce: Callable[[str], None], *, round_number: int = 0) -> bool:
    """Return whether any part was started: a part that has too little time is not. Round 0 is a check; the rounds of a
    fuzz are numbered from 1.
    """
    check = search.check
    has_begun = False
    names = dict(parts_for(check.target, wanted))
    with contextlib.suppress(OutOfTime), contextlib.ExitStack() as begun:  # everything else has run already
        for name, judges, part, exploring in _PARTS:
            asked_for = math.sqrt(len(judges.intersection(wanted)) / len(judges))  # fewer rules, less time
            longest_s = max(part.LEAST_S, part.MOST_S * asked_for) * (FUZZ_TIMES if round_number else 1)
            share_s = min(longest_s, check.target.max_time_s * SHARE, check.time_left - 1)
            if name not in names or not check.may_create or share_s < part.LEAST_S:
                continue
            has_begun = True
            announce(name)
            examples = FUZZ_EXAMPLES if round_number else part.EXAMPLES
            until = time.monotonic() + share_s
            part_round = max(0, round_number - 1)
            with contextlib.suppress(OutOfTime):
                begun.enter_context(exploring(search, wanted, examples=examples, until=until, round_number=part_round))
    return has_begun
