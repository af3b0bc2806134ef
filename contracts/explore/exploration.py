"""The searches without a fixed list of cases: schemathesis, and random step sequences.

In a check, both run in parallel with the last round of the scenarios. In a fuzz, both run in each round.
"""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from types import ModuleType
from typing import Final, NamedTuple

from contracts.core.target import Target
from contracts.engine import OutOfTime
from contracts.engine.runner import Runner
from contracts.explore import schema_fuzz, step_sequences
from contracts.explore.model import SEQUENCES

SHARE: Final = 1 / 8
"""The largest part of the time of a check that each of the two may take."""
FUZZ_EXAMPLES: Final = 100
"""The number of generated cases of each scenario or part in one round of a fuzz."""
FUZZ_TIMES: Final = 4
"""In one round of a fuzz, each of the two may take this many times as long as in a check."""


class Part(NamedTuple):
    """One of the two. It runs while the context manager that `exploring` returns is open."""

    name: str
    judges: frozenset[str]
    """The rules that it judges."""
    limits: ModuleType
    """The module with its EXAMPLES, LEAST_S and MOST_S."""
    exploring: Callable[..., contextlib.AbstractContextManager[None]]


_PARTS: Final = (
    Part("schema-wide requests", schema_fuzz.JUDGES, schema_fuzz, schema_fuzz.exploring_schema),
    Part(SEQUENCES.name, frozenset(SEQUENCES.rules), step_sequences, step_sequences.exploring_step_sequences),
)


def parts_for(target: Target, wanted: Collection[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield (name, rules) of the parts that would run: none if runs cost money, since they create many runs."""
    if target.profile == "full" and target.may_write:
        yield from ((part.name, part.judges) for part in _PARTS if part.judges.intersection(wanted))


@contextlib.contextmanager
def exploring(
    runner: Runner, wanted: Collection[str], announce: Callable[[str], None], *, round_number: int = 0
) -> Iterator[bool]:
    """Run both parts during the `with` block. After it, look into what they found. Yield whether any part was started:
    one that has too little time is not. `round_number` is 0 in a check; those of a fuzz begin with 1. Raises OutOfTime.
    """
    check = runner.check
    names = dict(parts_for(check.target, wanted))
    has_begun = False
    with contextlib.ExitStack() as begun:
        for part in _PARTS:
            limits = part.limits
            asked_for = math.sqrt(len(part.judges.intersection(wanted)) / len(part.judges))  # fewer rules, less time
            longest_s = max(limits.LEAST_S, limits.MOST_S * asked_for) * (FUZZ_TIMES if round_number else 1)
            share_s = min(longest_s, check.target.max_time_s * SHARE, check.time_left - 1)
            if part.name not in names or not check.may_create or share_s < limits.LEAST_S:
                continue
            has_begun = True
            announce(part.name)
            examples = FUZZ_EXAMPLES if round_number else limits.EXAMPLES
            until = time.monotonic() + share_s
            number = max(0, round_number - 1)
            with contextlib.suppress(OutOfTime):
                begun.enter_context(part.exploring(runner, wanted, examples=examples, until=until, round_number=number))
        yield has_begun
