"""Sequences of steps that Hypothesis generates, by a state machine whose rules are the steps of a `Shadow`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from typing import Any, Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive, OutOfTime, RuleViolated
from contracts.engine.runner import INTERNAL_ERRORS, Search
from contracts.engine.shrink import Case
from contracts.explore.model import CREATE_FIELDS, CROSS_TENANT_OPERATIONS, MODEL, RETRIES, UPDATES, Shadow, fixed_cases
from contracts.guard import NoAnswer, Refused

EXAMPLES: Final = 30
"""Sequences in one check."""
MAX_STEPS: Final = 18
MAX_CAUSES: Final = 4
MOST_S: Final = 8.0
"""In one check."""
LEAST_S: Final = 1.0


class _StepMachine(RuleBasedStateMachine):
    """Each rule executes one step of a `Shadow`. A failure is recorded with all steps up to it."""

    def __init__(self, check: CheckContext, failed: list[tuple[Case, RuleViolated]], until: float) -> None:
        super().__init__()
        self._steps: list[Case] = []
        self._failed = failed
        self._until = until
        self._shadow: Shadow | None = None
        if time.monotonic() < until:
            with self._guarded():
                self._shadow = Shadow(CaseContext(check))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except RuleViolated as violated:
            self._failed.append(({"steps": list(self._steps)}, violated))
            self._shadow = None
            raise
        except (Inconclusive, Refused, NoAnswer, OutOfTime, *INTERNAL_ERRORS):
            self._shadow = None  # after a broken rule nothing can be relied on

    def _do(self, **step: Any) -> None:
        if self._shadow is not None and time.monotonic() < self._until:
            self._steps.append(step)
            with self._guarded():
                self._shadow.step(step)

    def _has_runs(self) -> bool:
        return self._shadow is not None and bool(self._shadow.runs)

    @rule(
        count=st.sampled_from((1, 1, 2, 3, 12)),
        fields=st.sampled_from(CREATE_FIELDS),
        single=st.booleans(),
        second=st.booleans(),
    )
    def create(self, count: int, fields: Case, single: bool, second: bool) -> None:
        self._do(do="create", count=count, fields=fields, single=single, second=second)

    @rule(steps=st.integers(1, 3))
    def chain(self, steps: int) -> None:
        self._do(do="chain", steps=steps)

    @precondition(_has_runs)
    @rule(back=st.integers(0, 4))
    def replay(self, back: int) -> None:
        self._do(do="replay", back=back)

    @precondition(_has_runs)
    @rule(run=st.integers(0, 12), body=st.sampled_from(UPDATES))
    def update(self, run: int, body: Case) -> None:
        self._do(do="update", run=run, body=body)

    @precondition(_has_runs)
    @rule(run=st.integers(0, 12), body=st.sampled_from(RETRIES))
    def cancel_and_retry(self, run: int, body: Case) -> None:
        self._do(do="cancel", run=run)
        self._do(do="retry", run=run, body=body)

    @precondition(_has_runs)
    @rule(run=st.integers(0, 12), what=st.sampled_from(("cancel", "delete", "delete", "read")))
    def change(self, run: int, what: str) -> None:
        self._do(do=what, run=run)

    @precondition(_has_runs)
    @rule(
        run=st.integers(0, 12),
        limit=st.sampled_from((1, 2, 3, 100, 1000)),
        by=st.sampled_from(("", "", "cancelled", "session", "id")),
        second=st.booleans(),
    )
    def look_at_list(self, run: int, limit: int, by: str, second: bool) -> None:
        self._do(do="list", run=run, limit=limit, by=by, second=second)

    @precondition(_has_runs)
    @rule(run=st.integers(0, 12), operation=st.sampled_from(CROSS_TENANT_OPERATIONS))
    def cross_tenant_access(self, run: int, operation: str) -> None:
        self._do(do="cross_tenant", run=run, operation=operation)

    def teardown(self) -> None:
        if self._shadow is not None and time.monotonic() < self._until:
            with self._guarded():
                self._shadow.finish()


def explore_step_sequences(
    search: Search, wanted: Collection[str], *, examples: int, until: float, round_number: int = 0
) -> None:
    """Run the fixed sequences, then generated ones, until their number or `until` (monotonic) is reached."""
    check = search.check
    if not set(MODEL.rules).intersection(wanted) or not check.may_create or check.is_live:
        return
    if not round_number:
        search.run(MODEL, check.in_shard(fixed_cases(check)), until=until)
    for attempt in range(MAX_CAUSES):
        failed: list[tuple[Case, RuleViolated]] = []
        chosen = settings(
            max_examples=examples,
            stateful_step_count=MAX_STEPS,
            phases=(Phase.generate,),
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            print_blob=False,
        )

        @seed(check.random("rows", round_number, attempt, *check.target.shard).getrandbits(64))
        class Sequences(_StepMachine):
            def __init__(self, failed: list[tuple[Case, RuleViolated]] = failed) -> None:
                super().__init__(check, failed, until)

        with contextlib.suppress(RuleViolated, Flaky):  # kept in `failed`
            run_state_machine_as_test(Sequences, settings=chosen)
        if not failed:
            return
        case, violated = failed[-1]
        if violated.rule in wanted:
            search.look_into(MODEL, case, violated)
        else:
            check.known.add((violated.rule, violated.cause))
