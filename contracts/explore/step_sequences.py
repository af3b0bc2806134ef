"""Sequences of steps that Hypothesis generates, by a state machine whose rules are the steps of a `Model`."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from hypothesis import Phase, seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contracts.engine import CaseContext, CheckContext, OutOfTime, RuleViolated
from contracts.engine.parallel import CaseGroup
from contracts.engine.results import INTERNAL_ERRORS, NOT_JUDGED
from contracts.engine.runner import Runner, quiet_settings
from contracts.explore import steps
from contracts.explore.model import SEQUENCES, Model
from contracts.rules.run_events import CANCEL, DELETE, Event

EXAMPLES: Final = 20
"""The number of sequences in one check."""
MAX_STEPS: Final = 18
MAX_SEARCHES: Final = 4
"""A search by Hypothesis ends with its first failure. Then another one begins, up to this many."""
MOST_S: Final = 8.0
"""The most seconds in one check."""
LEAST_S: Final = 1.0

FailingSequence = tuple[steps.SequenceCase, RuleViolated]


class Sequences(RuleBasedStateMachine):
    """Each rule executes one step of a `Model`. A failure is recorded with all steps up to it."""

    runs: Bundle[str] = Bundle("runs")
    writes: Bundle[str] = Bundle("writes")

    def __init__(self, check: CheckContext, failed: list[FailingSequence], is_over: Callable[[], bool]) -> None:
        super().__init__()
        self._check = check
        self._steps: list[steps.Step] = []
        self._failed = failed
        self._is_over = is_over
        self._context = CaseContext(check)
        self._model: Model | None = None
        with self._guarded():
            self._model = Model(self._context)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Record and raise a violation. If the case ends for another reason, the remaining steps do nothing."""
        try:
            yield
        except RuleViolated as violated:
            self._failed.append((steps.SequenceCase(tuple(self._steps)), violated))
            self._model = None
            raise
        except OutOfTime:
            self._model = None
        except NOT_JUDGED as error:
            self._model = None
            if isinstance(error, INTERNAL_ERRORS) and not self._context.has_wrong_answer:
                self._check.note_internal_error(SEQUENCES.name, error)

    def _do(self, step: steps.Step) -> MultipleResults[str]:
        """Execute a step and return the names of the runs that it created."""
        created: list[str] = []
        if self._model is not None and not self._is_over():
            self._steps.append(step)
            with self._guarded():
                created = self._model.run_step(step)
        return multiple(*created)

    def _name(self, kind: str) -> str:
        return f"{kind}-{len(self._steps) + 1}"

    @rule(
        target=runs,
        fields=st.sampled_from(steps.CREATE_FIELDS),
        count=st.sampled_from((1, 1, 2, 3, 12)),
        is_single=st.booleans(),
        is_second=st.booleans(),
    )
    def create(self, **more: Any) -> MultipleResults[str]:
        return self._do(steps.Create(self._name("create"), **more))

    @rule(target=runs, steps=st.integers(1, 3))
    def create_chain(self, **more: Any) -> MultipleResults[str]:
        return self._do(steps.CreateChain(self._name("chain"), **more))

    @rule(target=writes, run=runs, body=st.sampled_from(steps.UPDATE_BODIES))
    def update(self, run: str, body: dict[str, Any]) -> str:
        return self._write(run, Event("update", body))

    @rule(target=writes, run=runs)
    def cancel(self, run: str) -> str:
        return self._write(run, CANCEL)

    @rule(target=writes, run=runs, body=st.sampled_from(steps.RETRY_BODIES))
    def cancel_and_retry(self, run: str, body: dict[str, Any]) -> str:
        self._write(run, CANCEL)
        return self._write(run, Event("retry", body))

    @rule(target=writes, run=runs)
    def delete(self, run: str) -> str:
        return self._write(run, DELETE)

    def _write(self, run: str, event: Event) -> str:
        step = steps.WriteStep(self._name(event.kind), run, event)
        self._do(step)
        return step.name

    @rule(write=st.one_of(writes, runs))
    def repeat_write(self, write: str) -> None:
        self._do(steps.RepeatStep(write))

    @rule(run=runs)
    def read(self, run: str) -> None:
        self._do(steps.Read(run))

    @rule(
        run=runs,
        limit=st.sampled_from((1, 2, 3, 100, 1000)),
        by=st.sampled_from(("", "", "cancelled", "session", "id")),
        is_second=st.booleans(),
    )
    def list_runs(self, **more: Any) -> None:
        self._do(steps.ListRuns(**more))

    @precondition(lambda self: self._check.has_second)
    @rule(run=runs, operation=st.sampled_from(list(steps.CROSS_TENANT_BODIES)))
    def access_as_other_organisation(self, run: str, operation: str) -> None:
        self._do(steps.CrossTenantAccess(run, operation))

    @invariant()
    def lists_show_what_exists(self) -> None:
        if self._model is not None and not self._is_over():
            with self._guarded():
                self._model.judge_invariants()

    def teardown(self) -> None:
        if self._model is not None and not self._is_over():
            with self._guarded():
                self._model.finish()


@contextlib.contextmanager
def exploring_step_sequences(
    runner: Runner, wanted: Collection[str], *, examples: int, until: float, round_number: int
) -> Iterator[None]:
    """Run the fixed sequences. Then run up to `examples` generated ones in a thread during the `with` block, until
    `until` (monotonic). After the block, investigate the first failure, and search for others in the time left.
    """
    check = runner.check

    def investigate(failing: FailingSequence) -> None:
        case, violated = failing
        if violated.rule in wanted:
            runner.investigate(SEQUENCES, case, violated)
        else:
            check.note_known(violated.violation)

    if not round_number:
        runner.run([CaseGroup(SEQUENCES, check.in_shard(steps.fixed_sequences()))], until=until)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_search_once, check, (round_number, 0), examples, until, ended.is_set)
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
            failing, left_s = _search_once(check, (round_number, attempt), examples, time.monotonic() + left_s)


def _search_once(
    check: CheckContext,
    number: tuple[int, int],
    examples: int,
    until: float,
    has_ended: Callable[[], bool] = lambda: False,
) -> tuple[FailingSequence | None, float]:
    """Generate sequences until one fails, until `until` (monotonic) or until `has_ended()`. Return the failing one, if
    any, and the seconds that are left then. `number`: the round, and the search in the round.
    """
    found: list[FailingSequence] = []
    chosen = quiet_settings(
        max_examples=examples, stateful_step_count=MAX_STEPS, phases=(Phase.generate,), database=None
    )

    def is_over() -> bool:
        return has_ended() or time.monotonic() >= until

    @seed(check.random("sequences", *number, *check.target.shard).getrandbits(64))
    class SeededSequences(Sequences):
        def __init__(self) -> None:
            if is_over():
                raise OutOfTime  # ends the search: Hypothesis would go on to generate sequences that do nothing
            super().__init__(check, found, is_over)

    with contextlib.suppress(RuleViolated, Flaky, OutOfTime):  # violations are kept in `found`
        run_state_machine_as_test(SeededSequences, settings=chosen)
    return (found[-1] if found else None), until - time.monotonic()
