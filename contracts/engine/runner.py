"""Runs the cases of scenarios, fixed ones first and generated ones after, and shrinks and repeats a failing case.

A scenario is a function of a `CaseContext` and a case (`case.Case`).
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from contracts.core.exchange import Exchange
from contracts.core.findings import Finding
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.repro import is_read, repro_of, succeeded_before
from contracts.engine.request_case import RequestCase
from contracts.engine.results import Inconclusive, OutOfTime, RuleViolated
from contracts.engine.shrink import shrink
from contracts.guard import NoAnswer, Refused
from contracts.openapi.router import operation_at
from contracts.openapi.schemas import body_schema
from contracts.oracle import read_request

MAX_TRIES: Final = 120
"""Tries to shrink one case."""
MAX_SHRINK_S: Final = 10.0
MAX_CAUSES: Final = 3
"""Findings under one rule in one check; more of them add no information."""
THREADS: Final = 3
BATCH: Final = 12
INTERNAL_ERRORS: Final = (
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    ValueError,
    UnboundLocalError,
    RecursionError,  # JSON that can be parsed may be nested too deeply for a recursive function
)


C = TypeVar("C")


@dataclass(frozen=True)
class Scenario(Generic[C]):
    """`run` raises RuleViolated if a rule is broken. `cases` are the fixed cases; `generated` gives more of the kind.

    `needs` are the operations that it requires. `attempts` is how often a failing case is sent again before it counts
    as unstable: more than 2 where chance decides. `together` allows its cases to run in parallel. Scenarios of a lower
    `priority` run first. A scenario that `waits` more than it sends starts at once, in parallel with all others. Those
    with `last` run after all others.
    """

    name: str
    rules: tuple[str, ...]
    run: Callable[[CaseContext, C], None]
    cases: Callable[[CheckContext], Iterable[C]]
    generated: Callable[[CheckContext], SearchStrategy[C]] | None = None
    examples: int = 0
    needs: tuple[str, ...] = ()
    creates: bool = True
    attempts: int = 2
    together: bool = True
    priority: int = 5
    waits: bool = False
    last: bool = False


class Search:
    """Runs the scenarios of one check and keeps their findings."""

    def __init__(
        self,
        check: CheckContext,
        *,
        on_finding: Callable[[Finding], None] | None = None,
        on_case: Callable[[Scenario[Any]], None] | None = None,
        database: ExampleDatabase | None = None,
    ) -> None:
        self.check = check
        self.findings: list[Finding] = []
        self.unstable: list[Finding] = []
        self.skipped: dict[str, str] = {}
        self._on_finding = on_finding or (lambda finding: None)
        self._on_case = on_case or (lambda scenario: None)
        self._database = database
        self._unstable_count: Counter[tuple[str, str]] = Counter()
        self._waiting_cases: dict[str, list[tuple[Any, Future[RuleViolated | None]]]] = {}
        self._waiting_pool: ThreadPoolExecutor | None = None

    # Scenarios that wait more than they send

    def begin(self, scenarios: Iterable[Scenario[Any]]) -> None:
        """Start all cases of scenarios that wait; `run` of such a scenario then evaluates their outcomes."""
        waiting = [(scenario, case) for scenario in scenarios for case in scenario.cases(self.check)]
        if not waiting:
            return
        self._waiting_pool = ThreadPoolExecutor(len(waiting))
        for scenario, case in waiting:
            outcome = self._waiting_pool.submit(self._outcome, scenario, case)
            self._waiting_cases.setdefault(scenario.name, []).append((case, outcome))

    def end(self) -> None:
        """Stop. Nothing is sent afterwards."""
        self.check.over.set()
        if self._waiting_pool is not None:
            self._waiting_pool.shutdown(cancel_futures=True)

    # Fixed cases

    def run(self, scenario: Scenario[Any], cases: Iterator[Any], *, until: float) -> bool:
        """Return whether all cases were tried before `until` (monotonic). If not, a later call can continue `cases`.
        Raises OutOfTime.
        """
        if scenario.name in self._waiting_cases:
            for case, outcome in self._waiting_cases.pop(scenario.name):
                violated = outcome.result()
                if violated is not None:
                    self.look_into(scenario, case, violated)
            return True
        if scenario.together and not self.check.is_live:
            return self._run_together(scenario, cases, until)
        for case in cases:
            self.try_case(scenario, case)
            if time.monotonic() > until:
                return False
        return True

    def _run_together(self, scenario: Scenario[Any], cases: Iterator[Any], until: float) -> bool:
        """Run cases in parallel, in batches. Look into the failures of a batch one by one, in the order of cases."""
        with ThreadPoolExecutor(THREADS) as pool:
            while batch := list(itertools.islice(cases, BATCH)):
                outcomes = list(pool.map(lambda case: self._outcome(scenario, case), batch))
                for case, violated in zip(batch, outcomes, strict=True):
                    if violated is not None:
                        self.look_into(scenario, case, violated)
                if time.monotonic() > until:
                    return False
        return True

    def try_case(self, scenario: Scenario[Any], case: Any) -> None:
        violated = self._outcome(scenario, case)
        if violated is not None:
            self.look_into(scenario, case, violated)

    def _outcome(self, scenario: Scenario[Any], case: Any, *, only: str | None = None) -> RuleViolated | None:
        """Return the violation that the case shows, if any. Raises OutOfTime."""
        self._on_case(scenario)
        try:
            scenario.run(CaseContext(self.check, only=only), case)
        except RuleViolated as violated:
            return violated
        except Inconclusive as reason:
            self.skipped.setdefault(scenario.name, str(reason))
        except Refused as refusal:
            self.skipped.setdefault(scenario.name, str(refusal))
        except NoAnswer as reason:
            self.skipped.setdefault(scenario.name, f"no answer: {reason}")
        except INTERNAL_ERRORS as error:
            # After a broken rule, or in a case that was shrunk, a scenario may not find what it expects.
            self.skipped.setdefault(scenario.name, f"an answer that cannot be gone on from: {error!r}")
            if only is None:
                self.check.note_internal_error(scenario.name, error)
        return None

    # Generated cases

    def explore(self, scenario: Scenario[Any], *, examples: int, until: float, round_number: int = 0) -> None:
        """Run generated cases until their number or `until` (monotonic) is reached."""
        if scenario.generated is None or not examples:
            return
        for attempt in range(1 + 2 * MAX_CAUSES):
            failing = self._explore_once(scenario, (round_number, attempt), examples, until, (Phase.generate,))
            if failing is None:
                return
            self.look_into(scenario, *failing)

    def replay(self, scenario: Scenario[Any], *, until: float) -> None:
        """Run the failing cases of the example database."""
        if scenario.generated is None or self._database is None:
            return
        failing = self._explore_once(scenario, ("replay",), 1, until, (Phase.reuse,))
        if failing is not None:
            self.look_into(scenario, *failing)

    def _explore_once(
        self,
        scenario: Scenario[Any],
        attempt: tuple[object, ...],
        examples: int,
        until: float,
        phases: tuple[Phase, ...],
    ) -> tuple[Any, RuleViolated] | None:
        last: list[tuple[Any, RuleViolated]] = []
        assert scenario.generated is not None

        # `settings` must be above `seed`, since `seed` removes the database from settings below it.
        @settings(
            max_examples=examples,
            phases=phases,
            database=self._database,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            print_blob=False,
        )
        @seed(self.check.random(scenario.name, *attempt).getrandbits(64))
        @given(scenario.generated(self.check))
        def run_case(case: Any) -> None:
            if time.monotonic() > until:
                return
            violated = self._outcome(scenario, case)
            if violated is not None:
                last.append((case, violated))
                raise violated

        run_case.hypothesis.inner_test.__qualname__ = f"contracts.{scenario.name}"  # type: ignore[attr-defined]
        try:
            run_case()
        except (RuleViolated, Flaky):
            return last[-1] if last else None
        except SkipTest:  # Hypothesis raises it if the database has no example
            return None
        return None

    # Failing cases

    def look_into(self, scenario: Scenario[Any], case: Any, violated: RuleViolated) -> None:
        """Shrink the case, repeat it and keep the finding. Then run the case again for violations that this one hid."""
        check = self.check
        for _ in range(2 * MAX_CAUSES):
            if (violated.rule, violated.cause) not in check.known:
                self._conclude(scenario, case, violated)
            if (violated.rule, violated.cause) not in check.known:
                return
            again = self._outcome(scenario, case)
            if again is None or (again.rule, again.cause) in check.known:
                return
            violated = again

    def _conclude(self, scenario: Scenario[Any], case: Any, violated: RuleViolated) -> None:
        check = self.check
        first = (violated.rule, violated.cause)
        if sum(rule == violated.rule for rule, _ in check.known) >= MAX_CAUSES:
            check.known.add(first)
            return
        if violated.is_certain is not None:
            self._keep_unrepeated(violated, first, stable=violated.is_certain)
            return
        is_broken_by_a_write = self._is_broken_by_a_write(violated)
        alone = None if is_broken_by_a_write else self._alone(violated)
        before: tuple[Exchange, ...] = ()
        if alone is not None:
            before = tuple(exchange for exchange in violated.told if exchange is not violated.exchanges[-1])
            scenario, case, violated = alone
        latest = [violated]
        end = time.monotonic() + min(MAX_SHRINK_S, max(0.0, check.time_left - 2))

        def still_fails(candidate: Any) -> bool:
            if time.monotonic() > end:
                return False
            found = self._outcome(scenario, candidate, only=violated.dedup_key)
            if found is not None:
                latest[:] = [found]
            return found is not None

        # A write has broken the target, and it stays broken: any smaller case would seem to fail as well.
        smallest = case if is_broken_by_a_write else shrink(case, still_fails, tries=MAX_TRIES)
        confirmed = self._reproduce(scenario, smallest, violated.dedup_key)
        if confirmed is None and smallest != case:  # shrunk so far that it fails only by chance
            confirmed = self._reproduce(scenario, case, violated.dedup_key)
        stable = confirmed is not None
        final = confirmed or latest[0]
        self._unstable_count[first] += not stable
        # Known only after the second unstable one: another scenario may find a case that repeats.
        if stable or self._unstable_count[first] > 1:
            check.known.update({first, (violated.rule, violated.cause), (final.rule, final.cause)})
        if is_broken_by_a_write:
            final = violated  # the write that caused it was sent before the first failure
        told = (*before, *final.told)
        shown = (*self._sources_of_leak(final), *final.exchanges)
        exchanges = repro_of(shown, told, check.guard.exchanges, replaceable=check.replaceable_ids)
        finding = Finding(final.rule, final.cause, final.expected, final.got, exchanges, stable=stable)
        (self.findings if stable else self.unstable).append(finding)
        if stable:
            self.unstable = [one for one in self.unstable if (one.rule, one.cause) != (finding.rule, finding.cause)]
        self._on_finding(finding)

    def _sources_of_leak(self, final: RuleViolated) -> Iterator[Exchange]:
        """Yield the request that sent the secret which an answer leaks, if it is not among the exchanges: a list also
        shows runs that other cases created.
        """
        leaked = self.check.canaries.value_in(final.exchanges[-1].answer.body) if final.exchanges else None
        if final.rule == "SECRET-LEAK" and leaked is not None:
            recorded = (*final.exchanges, *self.check.guard.exchanges)
            source = next((one for one in recorded if leaked in (one.request.body or b"")), None)
            if source is not None and source not in final.exchanges:
                yield source

    def _keep_unrepeated(self, violated: RuleViolated, first: tuple[str, str], *, stable: bool) -> None:
        """Keep a finding without repeating it, since a repeat would leave more runs behind."""
        self.check.known.add(first)
        finding = Finding(
            violated.rule, violated.cause, violated.expected, violated.got, violated.exchanges, stable=stable
        )
        (self.findings if stable else self.unstable).append(finding)
        self._on_finding(finding)

    def look_at_the_end(self) -> None:
        """Judge unreported runs that the target created since the last request, or while nothing was judged."""
        violated = self._outcome(UNREPORTED, None)
        while violated is not None:
            self.look_into(UNREPORTED, None, violated)
            violated = self._outcome(UNREPORTED, None)

    def _alone(self, violated: RuleViolated) -> tuple[Scenario[Any], Any, RuleViolated] | None:
        """Return the last request of the failing case as a case, if it shows the same violation when sent alone."""
        if not violated.exchanges:
            return None
        last = violated.exchanges[-1]
        if is_read(last.request) and len(repro_of((last,), violated.told)) > 1:
            return None  # it needs what other requests of the case created; only the full case can be shrunk
        case = RequestCase.from_request(last.request)
        found = self._outcome(ALONE, case, only=violated.dedup_key)
        return None if found is None else (ALONE, case, found)

    def _is_broken_by_a_write(self, violated: RuleViolated) -> bool:
        """Return whether a read gets a 5xx that succeeded before: then a write in between has broken the target."""
        last = violated.exchanges[-1] if violated.exchanges else None
        return (
            last is not None
            and last.answer.status >= 500
            and is_read(last.request)
            and succeeded_before(last.request, self.check.guard.exchanges)
        )

    def _reproduce(self, scenario: Scenario[Any], case: Any, dedup_key: str) -> RuleViolated | None:
        for _ in range(scenario.attempts):
            try:
                found = self._outcome(scenario, case, only=dedup_key)
            except OutOfTime:
                return None
            if found is not None:
                return found
        return None


def expected_runs(case: Any) -> int:
    """Return the most runs that a correct server creates for a case."""
    if not isinstance(case, dict):
        return int(case.expected_runs)
    body = case.get("body")
    made = body if isinstance(body, dict) else {}
    if "counts" in case:
        return int(sum(case["counts"]))
    if isinstance(made.get("steps"), list):
        return len(made["steps"])
    count = made.get("count", case.get("count", 1))
    times = case.get("times", 1)
    return count * times if isinstance(count, int) and isinstance(times, int) else 1


# A single request


def run_alone(context: CaseContext, case: RequestCase) -> None:
    request = case.to_request()
    if request is None:
        return
    result = context.send(request)
    operation = operation_at(request.method, request.path)
    if operation is not None and body_schema(operation) is not None:
        context.judge_write(read_request(operation, request.body, request.header("content-type")), result)


ALONE: Final[Scenario[Any]] = Scenario("alone", (), run_alone, lambda check: (), together=False)
UNREPORTED: Final[Scenario[Any]] = Scenario(
    "unreported runs", (), lambda context, case: context.look_for_unreported_runs(), lambda check: ()
)
