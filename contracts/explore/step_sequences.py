"""Random sequences of steps. Each step is about the runs and writes of the steps before it."""

import contextlib
import dataclasses
import functools
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from contracts.engine import CaseContext, OutOfTime, RuleViolated
from contracts.engine.parallel import CaseGroup
from contracts.engine.runner import Search
from contracts.explore.model import SEQUENCES, Model
from contracts.explore.steps import (
    CREATE_FIELDS,
    CROSS_TENANT_BODIES,
    RETRY_BODIES,
    UPDATE_BODIES,
    Create,
    CreateChain,
    CrossTenantAccess,
    ListRuns,
    Read,
    RepeatStep,
    SequenceCase,
    Step,
    WriteStep,
    fixed_sequences,
)
from contracts.rules.run_events import CANCEL, DELETE, Event

EXAMPLES: Final = 20
"""The number of sequences in one check."""
MAX_STEPS: Final = 18
MAX_SEARCHES: Final = 4
"""A search ends with its first failure. Then another one begins, up to this many."""
MOST_S: Final = 8.0
"""The most seconds in one check."""
LEAST_S: Final = 1.0

FailingSequence = tuple[SequenceCase, RuleViolated]


def _next_steps(
    chance: random.Random, kinds: Collection[str], runs: Sequence[str], writes: Sequence[str], number: int
) -> list[Step]:
    """Return steps of one of the kinds; only a create if there is no run yet."""
    pick = chance.choice
    kind = pick(("create", "chain", *(kinds if runs else ())))
    run, write = pick(runs) if runs else "", f"write-{number}"
    match kind:
        case "create":
            is_single, is_second = pick((False, True)), pick((False, True))
            return [Create(f"create-{number}", pick(CREATE_FIELDS), pick((1, 1, 2, 3, 12)), is_single, is_second)]
        case "chain":
            return [CreateChain(f"chain-{number}", pick((1, 2, 3)))]
        case "update":
            return [WriteStep(write, run, Event("update", pick(UPDATE_BODIES)))]
        case "cancel":
            return [WriteStep(write, run, CANCEL)]
        case "retry":  # of a run that has ended
            retry = Event("retry", pick(RETRY_BODIES))
            return [WriteStep(f"cancel-{number}", run, CANCEL), WriteStep(write, run, retry)]
        case "delete":
            return [WriteStep(write, run, DELETE)]
        case "repeat":
            return [RepeatStep(pick(pick((writes or runs, runs))))]
        case "read":
            return [Read(run)]
        case "list":
            by: Any = pick(("", "", "cancelled", "session", "id"))
            return [ListRuns(pick((1, 2, 3, 100, 1000)), by, run, pick((False, True)))]
        case _:
            return [CrossTenantAccess(run, pick(list(CROSS_TENANT_BODIES)))]


def _run_at_random(
    context: CaseContext, steps: list[Step], *, chance: random.Random, is_over: Callable[[], bool]
) -> None:
    """Execute steps, each chosen when the one before is done, and add them to `steps`. Raises OutOfTime."""
    model = Model(context)
    kinds = ["update", "cancel", "retry", "delete", "repeat", "read", "list", *["access"] * context.check.has_second]
    # Each sequence has only some kinds of steps, so that these follow each other more often.
    kinds = chance.sample(kinds, chance.randint(3, len(kinds)))
    while len(steps) < MAX_STEPS:
        writes = [step.name for step in steps if isinstance(step, WriteStep)]
        for step in _next_steps(chance, kinds, list(model.runs), writes, len(steps) + 1):
            if is_over():
                raise OutOfTime
            steps.append(step)
            model.run_step(step)
            model.judge_invariants()
    model.finish()


@contextlib.contextmanager
def exploring_step_sequences(
    search: Search, wanted: Collection[str], *, examples: int, until: float, round_number: int
) -> Iterator[None]:
    """Run the fixed sequences. Then run up to `examples` random ones in a thread during the `with` block, until
    `until` (monotonic). After the block, investigate the first failure, and search for others in the time left.
    """
    check = search.check

    def investigate(failing: FailingSequence) -> None:
        case, violated = failing
        if violated.rule in wanted:
            search.investigate(SEQUENCES, case, violated)
        else:
            check.known_violations.add((violated.rule, violated.cause))

    if not round_number:
        search.run([CaseGroup(SEQUENCES, check.in_shard(fixed_sequences()))], until=until)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_search_once, search, (round_number, 0), examples, until, ended.is_set)
        try:
            yield
            failing, left_s = first.result()
        except OutOfTime:
            ended.set()
            failing, _ = first.result()
            if failing is not None:
                investigate(failing)  # reports it as one that was not sent again
            raise
        finally:
            ended.set()
    for attempt in range(1, MAX_SEARCHES + 1):
        if failing is None:
            return
        investigate(failing)
        if attempt < MAX_SEARCHES:
            failing, left_s = _search_once(search, (round_number, attempt), examples, time.monotonic() + left_s)


def _search_once(
    search: Search,
    number: tuple[int, int],
    examples: int,
    until: float,
    has_ended: Callable[[], bool] = lambda: False,
) -> tuple[FailingSequence | None, float]:
    """Run random sequences until one fails, until `until` (monotonic) or until `has_ended()`. Return the failing one,
    if any, and the seconds that are left then. `number`: the round, and the search in the round.
    """
    check = search.check
    with contextlib.suppress(OutOfTime):
        for example in range(examples):
            run = functools.partial(
                _run_at_random,
                chance=check.random("sequences", *number, example, *check.target.shard),
                is_over=lambda: has_ended() or time.monotonic() >= until,
            )
            steps: list[Step] = []
            violated = search.attempt(dataclasses.replace(SEQUENCES, run=run), steps).violated
            if violated is not None:
                return (SequenceCase(tuple(steps)), violated), until - time.monotonic()
    return None, 0.0
