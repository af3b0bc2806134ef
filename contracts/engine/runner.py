"""Runs the fixed cases of scenarios, then the generated ones. Shrinks and repeats a failing case."""

import contextlib
import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky

from contracts.core.exchange import Exchange
from contracts.core.findings import Finding
from contracts.engine.case_json import reproduction_of
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.explain import finding_of
from contracts.engine.found_violations import MAX_CAUSES, FoundViolations
from contracts.engine.neighbour import Attempt
from contracts.engine.parallel import THREADS, CaseGroup, CaseQueue, RunningCase, run_in_parallel
from contracts.engine.repro import names_resource, repro_of, succeeded_before
from contracts.engine.request_case import RequestCase
from contracts.engine.results import INTERNAL_ERRORS, NOT_JUDGED, CallResult, OutOfTime, RuleViolated, why_not_judged
from contracts.engine.scenario import Scenario, ScenarioCase
from contracts.engine.shrink import shrink
from contracts.engine.waiting import WaitingCases
from contracts.openapi.schemas import body_schema
from contracts.oracle import read_request

MAX_TRIES: Final = 120
"""The most tries to shrink one case."""
MAX_SHRINK_REQUESTS: Final = 800
"""The most requests to shrink one case, so a case of many requests gets fewer tries."""
LEAST_TO_SHRINK_S: Final = 2.0
"""With less time left, a case is not shrunk further."""


class Search:
    """Runs the scenarios of one check and keeps their findings. `on_finding` returns True to end the check."""

    def __init__(
        self,
        check: CheckContext,
        *,
        on_finding: Callable[[Finding], bool | None] = lambda finding: None,
        database: ExampleDatabase | None = None,
    ) -> None:
        self.check = check
        self.skipped: dict[str, str] = {}
        self.waiting = WaitingCases(self._outcome)
        self._found = FoundViolations(check, on_finding)
        self._database = database
        self._attempts: Counter[tuple[str, str]] = Counter()
        self.tried: Counter[str] = Counter()
        """The number of cases tried, by scenario. Attempts to shrink and repeat a failing case are not counted."""
        self._requests_for_findings = 0

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
        queue = CaseQueue(groups, width=1 if self.check.is_live else THREADS, on_begin=on_begin)
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
        def note_end(requests: int) -> None:
            running.requests = requests

        scenario = running.group.scenario
        violated = self._outcome(scenario, running.case, on_end=note_end)
        with self.check.lock:
            self.tried[scenario.name] += 1
        return violated

    def _outcome(
        self,
        scenario: Scenario[Any],
        case: Any,
        *,
        only: str | None = None,
        on_pass: Callable[[Attempt], None] = lambda attempt: None,
        on_end: Callable[[int], None] = lambda requests: None,
    ) -> RuleViolated | None:
        """Return the violation that the case shows, if any. `on_pass` is called if it comes to its end and shows no
        violation, `on_end` in any case, with the number of its requests. Raises OutOfTime.
        """
        context = CaseContext(
            self.check,
            only=only,
            name=self._name_of_attempt(scenario, case),
            is_ignored=lambda violation: self._found.is_ignored(scenario, violation),
        )
        try:
            scenario.run(context, case)
            if not context.other_violations:
                on_pass(Attempt(tuple(context.exchanges), dict(context.placeholders)))
        except RuleViolated as violated:
            return violated
        except NOT_JUDGED as error:
            self.skipped.setdefault(scenario.name, why_not_judged(error))
            if only is None and isinstance(error, INTERNAL_ERRORS) and not context.has_wrong_answer:
                self.check.note_internal_error(scenario.name, error)
        finally:
            on_end(len(context.exchanges))
            if only is not None:
                with self.check.lock:
                    self._requests_for_findings += len(context.exchanges)
        return None

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

    def replay(self, scenario: Scenario[Any]) -> None:
        """Run the failing cases of the example database."""
        if scenario.generated is None or self._database is None:
            return
        failing = self._run_generated_once(scenario, ("replay",), 1, (Phase.reuse,))
        if failing is not None:
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
            violated = self._outcome(scenario, case)
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
            again = self._outcome(scenario, case)
            if again is None or self._found.is_known(scenario, again):
                return
            violated = again

    def _confirm(self, found: ScenarioCase, violated: RuleViolated, beside: Collection[ScenarioCase]) -> None:
        """Repeat a new violation, unless its rule has enough findings, or a repeat would leave runs behind."""
        if self._found.is_known(found[0], violated):
            return
        if self._found.has_enough_of(violated.rule):
            self.check.known_violations.add((violated.rule, violated.cause))
        elif violated.must_not_repeat:
            self._found.keep_unrepeated(violated, stable=violated.is_certain, why="that would leave more runs behind")
        else:
            try:
                self._repeat(found, violated, beside)
            except (OutOfTime, KeyboardInterrupt) as error:
                self._found.keep_unrepeated(violated, stable=False, why=_why_ended(error))
                raise

    def _repeat(self, origin: ScenarioCase, violated: RuleViolated, beside: Collection[ScenarioCase]) -> None:
        """Shrink and reproduce the case, and keep the finding as stable, intermittent or unstable."""
        first, smallest = violated, origin
        is_broken_by_a_write = self._is_broken_by_a_write(first)
        before: tuple[Exchange, ...] = ()
        if not is_broken_by_a_write and (alone := self._alone(first)) is not None:
            before = tuple(exchange for exchange in first.all_exchanges if exchange is not first.exchanges[-1])
            smallest, violated = alone
        request_limit = self._requests_for_findings + MAX_SHRINK_REQUESTS
        passed: list[Attempt] = []
        confirmed = self._reproduce([smallest], violated.dedup_key)
        # If a write has broken the target, it stays broken, and any smaller case seems to fail too. A case that
        # waits is not shrunk, since each try takes seconds; its finding shows only the exchanges that matter.
        if confirmed is not None and not is_broken_by_a_write and not smallest[0].mostly_waits:
            smallest, confirmed = self._shrink(*smallest, confirmed, passed, request_limit)
        under_load = None
        if beside and confirmed is None and self._requests_for_findings < request_limit:
            under_load = self._reproduce([origin, *beside], first.dedup_key)
        stable = confirmed is not None
        final = confirmed or under_load or violated
        self._found.note_repeat(origin[0], first, violated, final, stable=stable)
        if is_broken_by_a_write:
            final = violated  # the write that caused it was sent before the first failure
        evidence, sent = (*self._sources(final), *final.exchanges), (*before, *final.all_exchanges)
        exchanges = repro_of(evidence, sent, self.check.guard.exchanges, replaceable=self.check.replaceable_ids)
        intermittent = not stable and (violated.is_proof or under_load is not None)
        secrets = self.check.canaries.forms
        finding = finding_of(final, exchanges, passed, secrets=secrets, stable=stable, intermittent=intermittent)
        # The case as it was found is kept too: the smallest one may fail only because of what was sent before.
        cases = [smallest] if smallest == origin else [smallest, origin]
        others = [] if stable else [(scenario.name, case) for scenario, case in beside]
        reproductions = tuple(chain.from_iterable(reproduction_of(by.name, case, others) for by, case in cases))
        why = "" if stable or not self.check.is_over else self._found.why_not_repeated
        self._found.keep(dataclasses.replace(finding, not_sent_again=why, reproductions=reproductions))

    def _shrink(
        self, scenario: Scenario[Any], case: Any, confirmed: RuleViolated, passed: list[Attempt], request_limit: int
    ) -> tuple[ScenarioCase, RuleViolated]:
        """Return the smallest case that repeats the violation, and the violation that it shows. Cases that pass are
        added to `passed`. None is tried once `_requests_for_findings` has reached `request_limit`.
        """
        key = confirmed.dedup_key

        def still_fails(candidate: Any) -> bool:
            if self._requests_for_findings >= request_limit or self.check.time_left < LEAST_TO_SHRINK_S:
                return False
            with contextlib.suppress(OutOfTime):
                return self._outcome(scenario, candidate, only=key, on_pass=passed.append) is not None
            return False

        smaller = shrink(case, still_fails, tries=MAX_TRIES)
        again = None if smaller == case else self._reproduce([(scenario, smaller)], key)
        # If it does not fail again, it was shrunk so far that it fails only by chance.
        return ((scenario, case), confirmed) if again is None else ((scenario, smaller), again)

    def _sources(self, final: RuleViolated) -> Iterator[Exchange]:
        """Yield the exchange that the violation depends on, unless it is among those that show it: the create of a run
        that a list shows wrongly, or the request that sent the secret which an answer leaks.
        """
        recorded = (*final.exchanges, *self.check.guard.exchanges)
        source: Exchange | None = None
        if about := final.violation.about.encode():
            source = next(
                (exchange for exchange in recorded if not exchange.request.is_read and about in exchange.answer.body),
                None,
            )
        elif final.rule == "SECRET-LEAK" and final.exchanges:
            leaked = self.check.canaries.value_in(final.exchanges[-1].answer.body)
            source = next(
                (exchange for exchange in recorded if leaked and leaked in (exchange.request.body or b"")), None
            )
        if source is not None and source not in final.exchanges:
            yield source

    def judge_unreported_runs(self) -> None:
        """Judge the unreported runs that no case has judged."""
        violated = self._outcome(UNREPORTED, None)
        while violated is not None:
            self.investigate(UNREPORTED, None, violated)
            violated = self._outcome(UNREPORTED, None)

    def _alone(self, violated: RuleViolated) -> tuple[ScenarioCase, RuleViolated] | None:
        """Return the last request of the failing case as a case, if it shows the same violation when sent alone."""
        if not violated.exchanges:
            return None
        last = violated.exchanges[-1]
        needs_others = last.request.is_read or names_resource(last.request)
        if needs_others and len(repro_of((last,), violated.all_exchanges)) > 1:
            return None  # it needs resources that other requests of the case created, so the case must stay whole
        case = RequestCase.from_request(last.request)
        found = self._outcome(SINGLE_REQUEST, case, only=violated.dedup_key)
        return None if found is None else ((SINGLE_REQUEST, case), found)

    def _is_broken_by_a_write(self, violated: RuleViolated) -> bool:
        """Return whether a read gets a 5xx that succeeded before, so that a write in between must be the cause."""
        last = violated.exchanges[-1] if violated.exchanges else None
        return (
            last is not None
            and last.answer.status >= 500
            and last.request.is_read
            and succeeded_before(last.request, self.check.guard.exchanges)
        )

    def _reproduce(self, cases: Sequence[ScenarioCase], dedup_key: str) -> RuleViolated | None:
        """Run the cases at the same time, up to `attempts` times, until one of them shows the violation."""
        for _ in range(cases[0][0].attempts):
            with ThreadPoolExecutor(THREADS) as pool:
                run_all = pool.map if len(cases) > 1 else map
                try:
                    outcomes = list(run_all(lambda case: self._outcome(*case, only=dedup_key), cases))
                except OutOfTime:
                    return None
            if found := next(filter(None, outcomes), None):
                return found
        return None


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


# A single request


def run_alone(context: CaseContext, case: RequestCase) -> None:
    request = case.to_request()
    if request is None:
        return
    judge_alone(context, context.send(request))


def judge_alone(context: CaseContext, result: CallResult) -> None:
    """Judge an answer by its request alone."""
    request, operation = result.exchange.request, result.operation
    if operation is not None and body_schema(operation) is not None:
        context.judge_write(read_request(operation, request.body, request.header("content-type")), result)


def _judge_unreported_runs(context: CaseContext, case: None) -> None:
    context.look_for_unreported_runs()


SINGLE_REQUEST: Final[Scenario[Any]] = Scenario("alone", (), run_alone, lambda check: (), is_parallel=False)
UNREPORTED: Final[Scenario[Any]] = Scenario("unreported runs", (), _judge_unreported_runs, lambda check: ())
