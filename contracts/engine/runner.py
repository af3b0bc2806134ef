"""Runs the cases of scenarios, and has the failing ones repeated."""

import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky

from contracts.core.findings import Finding, Reason
from contracts.engine.check_context import CheckContext
from contracts.engine.confirm import Confirmer
from contracts.engine.context import CaseContext
from contracts.engine.found_violations import MAX_CAUSES, FoundViolations
from contracts.engine.parallel import CaseGroup, CaseQueue, RunningCase, run_in_parallel, width_for
from contracts.engine.results import INTERNAL_ERRORS, NOT_JUDGED, Attempt, OutOfTime, RuleViolated, why_not_judged
from contracts.engine.scenario import Scenario, ScenarioCase
from contracts.engine.waiting import WaitingCases


class Runner:
    """Runs the scenarios of one check and keeps their findings. `on_finding` returns True to end the check."""

    def __init__(
        self,
        check: CheckContext,
        *,
        on_finding: Callable[[Finding], bool | None] = lambda finding: None,
        database: ExampleDatabase | None = None,
    ) -> None:
        self.check = check
        self.skipped: dict[str, Reason] = {}
        self.waiting = WaitingCases(self._violation_in)
        self._found = FoundViolations(check, on_finding)
        self._confirmer = Confirmer(check, self._found, self.attempt)
        self._database = database
        self._attempts: Counter[tuple[str, str]] = Counter()
        self.tried: Counter[str] = Counter()
        """The number of cases tried, by scenario. Attempts to shrink and repeat a failing case are not counted."""

    @property
    def findings(self) -> list[Finding]:
        return self._found.findings

    @property
    def unstable(self) -> list[Finding]:
        return self._found.unstable

    # Scenarios that mostly wait

    def collect_waiting(self, *, until: float = 0.0) -> None:
        """Evaluate the waiting cases that have ended, or end before `until` (monotonic). Raises OutOfTime."""
        for scenario, case, outcome, is_repeat in self.waiting.take_ended(until):
            self.tried[scenario.name] += not is_repeat
            violated = outcome.result()
            if violated is None:
                continue
            self._confirm((scenario, case), violated, ())
            if not is_repeat and self._found.is_known(scenario, violated):
                # Run it again for violations that this one hid, as a waiting case: running it here would block.
                self.waiting.start(scenario, case, is_repeat=True)

    def end(self) -> None:
        """Stop. Nothing is sent afterwards."""
        self.check.over.set()
        self.waiting.end()

    # Fixed cases

    def run(
        self,
        groups: Iterable[CaseGroup],
        *,
        until: float = math.inf,
        on_begin: Callable[[CaseGroup], None] = lambda group: None,
    ) -> None:
        """Run the cases of the groups until each has spent its limit.

        Raises OutOfTime at `until` (monotonic), or earlier if the check ends.
        """
        width = 1 if self.check.is_live else width_for(self.check.latency_s)
        queue = CaseQueue(groups, width=width, on_begin=on_begin)
        for failed in run_in_parallel(
            queue, self._run_case, until=until, must_pause=lambda: self.waiting.have_failed, stop=self.check.over.set
        ):
            self._investigate_all(failed)
            self.collect_waiting()

    def _investigate_all(self, failed: Sequence[RunningCase]) -> None:
        for number, case in enumerate(failed):
            assert case.violated is not None
            try:
                self.investigate(case.group.scenario, case.case, case.violated, beside=case.beside)
            except (OutOfTime, KeyboardInterrupt) as error:
                for other in failed[number + 1 :]:
                    if other.violated is not None and not self._found.is_known(other.group.scenario, other.violated):
                        self._found.keep_unrepeated(other.violated, stable=False, why=_why_ended(error))
                raise

    def _run_case(self, running: RunningCase) -> RuleViolated | None:
        scenario = running.group.scenario
        attempt = self.attempt(scenario, running.case)
        running.requests = len(attempt.exchanges)
        with self.check.lock:
            self.tried[scenario.name] += 1
        return attempt.violated

    def _violation_in(self, scenario: Scenario[Any], case: Any) -> RuleViolated | None:
        """Return the violation that the case shows, if any. Raises OutOfTime."""
        return self.attempt(scenario, case).violated

    def attempt(self, scenario: Scenario[Any], case: Any, *, only: str | None = None) -> Attempt:
        """Run the case. Raises OutOfTime."""
        context = CaseContext(
            self.check,
            only=only,
            name=self._name_of_attempt(scenario, case),
            is_ignored=lambda violation: self._found.is_ignored(scenario, violation),
        )
        try:
            scenario.run(context, case)
            return Attempt(context.exchanges, context.placeholders, passed=not context.other_violations)
        except RuleViolated as violated:
            return Attempt(context.exchanges, context.placeholders, violated)
        except NOT_JUDGED as error:
            self.skipped.setdefault(scenario.name, why_not_judged(error))
            if only is None and isinstance(error, INTERNAL_ERRORS) and not context.has_wrong_answer:
                self.check.note_internal_error(scenario.name, error)
            return Attempt(context.exchanges, context.placeholders)

    def _name_of_attempt(self, scenario: Scenario[Any], case: Any) -> str:
        """Return the name from which an attempt makes up its ids and texts. It is different for each attempt."""
        digest = hashlib.sha256(repr(case).encode(errors="surrogatepass")).hexdigest()
        with self.check.lock:
            self._attempts[scenario.name, digest] += 1
            return f"{scenario.name}/{digest}/{self._attempts[scenario.name, digest]}"

    # Generated cases

    def run_generated(self, scenario: Scenario[Any], *, examples: int, round_number: int = 0) -> None:
        """Run that many generated cases. Raises OutOfTime."""
        if scenario.generated is None or not examples:
            return
        for attempt in range(1 + 2 * MAX_CAUSES):
            failing = self._run_generated_once(scenario, (round_number, attempt), examples, (Phase.generate,))
            if failing is None:
                return
            self.investigate(scenario, *failing)

    def run_saved_examples(self, scenario: Scenario[Any]) -> None:
        """Run the failing cases of the example database."""
        if scenario.generated is None or self._database is None:
            return
        if failing := self._run_generated_once(scenario, ("replay",), 1, (Phase.reuse,)):
            self.investigate(scenario, *failing)

    def _run_generated_once(
        self, scenario: Scenario[Any], attempt: tuple[object, ...], examples: int, phases: tuple[Phase, ...]
    ) -> tuple[Any, RuleViolated] | None:
        last: list[tuple[Any, RuleViolated]] = []
        assert scenario.generated is not None

        # `settings` must be above `seed`, since `seed` removes the database from settings below it.
        @quiet_settings(max_examples=examples, phases=phases, database=self._database)
        @seed(self.check.random(scenario.name, *attempt, *self.check.target.shard).getrandbits(64))
        @given(scenario.generated(self.check))
        def run_case(case: Any) -> None:
            violated = self._violation_in(scenario, case)
            if violated is not None:
                last.append((case, violated))
                raise violated

        run_case.hypothesis.inner_test.__qualname__ = f"contracts.{scenario.name}"  # type: ignore[attr-defined]
        with contextlib.suppress(RuleViolated, Flaky, SkipTest):  # SkipTest: the database has no example
            run_case()
        return last[-1] if last else None

    # Failing cases

    def investigate(
        self, scenario: Scenario[Any], case: Any, violated: RuleViolated, *, beside: Collection[ScenarioCase] = ()
    ) -> None:
        """Shrink and repeat the case, and keep the finding. Then run the case again for violations that this one hid.
        `beside` are the cases that ran at the same time.
        """
        for _ in range(2 * MAX_CAUSES):
            self._confirm((scenario, case), violated, beside)
            if not self._found.is_known(scenario, violated):
                return
            again = self._violation_in(scenario, case)
            if again is None or self._found.is_known(scenario, again):
                return
            violated = again

    def _confirm(self, found: ScenarioCase, violated: RuleViolated, beside: Collection[ScenarioCase]) -> None:
        """Repeat a new violation, unless its rule has enough findings, or a repeat would leave runs behind."""
        if self._found.is_known(found[0], violated):
            return
        if self._found.has_enough_of(violated.rule):
            self.check.note_known(violated.violation)
        elif violated.must_not_repeat:
            self._found.keep_unrepeated(violated, stable=violated.is_certain, why="that would leave more runs behind")
        else:
            try:
                self._confirmer.confirm(found, violated, beside)
            except (OutOfTime, KeyboardInterrupt) as error:
                self._found.keep_unrepeated(violated, stable=False, why=_why_ended(error))
                raise

    def judge_unreported_runs(self) -> None:
        """Judge the unreported runs that no case has judged."""
        while violated := self._violation_in(UNREPORTED, None):
            self.investigate(UNREPORTED, None, violated)


def _why_ended(error: BaseException) -> str:
    return "the check was interrupted" if isinstance(error, KeyboardInterrupt) else ""


def quiet_settings(**more: Any) -> settings:
    """Return settings with which Hypothesis prints nothing, and has no limits on the time and size of examples."""
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
        **more,
    )


UNREPORTED: Final[Scenario[Any]] = Scenario(
    "unreported runs", (), lambda context, case: context.look_for_unreported_runs()
)
