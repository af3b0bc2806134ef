"""The search: tries cases, fixed ones first and generated ones after, makes a failing one small, and sends it again.

A scenario is a function of a talk and a case, which is a JSON value: so any failing case can be made smaller, sent
again, stored and compared, whatever it is about.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from contracts.core.exchange import Exchange, Request
from contracts.core.findings import Finding
from contracts.engine.context import CaseContext, CheckContext, Inconclusive, OutOfTime, RuleViolated, encode
from contracts.engine.repro import is_read, repro_of, succeeded_before
from contracts.engine.shrink import Case, shrink
from contracts.guard import NoAnswer, Refused
from contracts.openapi.schemas import body_schema
from contracts.oracle import operation_at, read_request

MAX_TRIES: Final = 120
"""Tries that making one case small may take."""
MAX_SHRINK_S: Final = 10.0
MAX_CAUSES: Final = 3
"""Findings under one rule in one check; more of them tell nothing new."""
THREADS: Final = 3
BATCH: Final = 12
INTERNAL_ERRORS: Final = (
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    ValueError,
    UnboundLocalError,
    RecursionError,  # JSON may be nested as deeply as can be read, but not be walked through
)


@dataclass(frozen=True)
class Scenario:
    """`run` raises RuleViolated where a rule is broken. `cases` are the fixed ones; `generated` gives more of the kind.

    `needs` are the operations without which it makes no sense. `attempts` is how often a case is sent again before
    it is called unstable: more than 2 where chance decides. `telling` orders scenarios: lower ones come first. One that
    `waits` for time to pass more than it sends is begun at once, beside all others; the `last` come after all others.
    """

    name: str
    rules: tuple[str, ...]
    run: Callable[[CaseContext, Case], None]
    cases: Callable[[CheckContext], Iterable[Case]]
    generated: Callable[[CheckContext], SearchStrategy[Case]] | None = None
    examples: int = 0
    needs: tuple[str, ...] = ()
    creates: bool = True
    attempts: int = 2
    together: bool = True
    priority: int = 5
    waits: bool = False
    last: bool = False


class Search:
    """Runs scenarios against one world and keeps what they find."""

    def __init__(
        self,
        check: CheckContext,
        *,
        on_finding: Callable[[Finding], None] | None = None,
        on_case: Callable[[Scenario], None] | None = None,
        database: ExampleDatabase | None = None,
    ) -> None:
        self.check = check
        self.findings: list[Finding] = []
        self.unstable: list[Finding] = []
        self.skipped: dict[str, str] = {}
        self._on_finding = on_finding or (lambda finding: None)
        self._on_case = on_case or (lambda scenario: None)
        self._database = database
        self._shaky: Counter[tuple[str, str]] = Counter()
        self._begun: dict[str, list[tuple[Case, Future[RuleViolated | None]]]] = {}
        self._beside: ThreadPoolExecutor | None = None

    # Cases that wait more than they send

    def begin(self, scenarios: Iterable[Scenario]) -> None:
        """Starts all cases of scenarios that wait; `run` of such a scenario then looks at what came of them."""
        waiting = [(scenario, case) for scenario in scenarios for case in scenario.cases(self.check)]
        if not waiting:
            return
        self._beside = ThreadPoolExecutor(len(waiting))
        for scenario, case in waiting:
            outcome = self._beside.submit(self._outcome, scenario, case)
            self._begun.setdefault(scenario.name, []).append((case, outcome))

    def end(self) -> None:
        """Nothing is sent after this."""
        self.check.over.set()
        if self._beside is not None:
            self._beside.shutdown(cancel_futures=True)

    # Fixed cases

    def run(self, scenario: Scenario, cases: Iterator[Case], *, until: float) -> bool:
        """Whether all cases were tried before the moment (monotonic); `cases` can be gone on with. Raises OutOfTime."""
        if scenario.name in self._begun:
            for case, outcome in self._begun.pop(scenario.name):
                shown = outcome.result()
                if shown is not None:
                    self.look_into(scenario, case, shown)
            return True
        if scenario.together and not self.check.is_live:
            return self._run_together(scenario, cases, until)
        for case in cases:
            self.try_case(scenario, case)
            if time.monotonic() > until:
                return False
        return True

    def _run_together(self, scenario: Scenario, cases: Iterator[Case], until: float) -> bool:
        """Several cases at a time; what fails is looked into one by one afterwards, in the order of the cases."""
        with ThreadPoolExecutor(THREADS) as pool:
            while batch := list(itertools.islice(cases, BATCH)):
                outcomes = list(pool.map(lambda case: self._outcome(scenario, case), batch))
                for case, shown in zip(batch, outcomes, strict=True):
                    if shown is not None:
                        self.look_into(scenario, case, shown)
                if time.monotonic() > until:
                    return False
        return True

    def try_case(self, scenario: Scenario, case: Case) -> None:
        shown = self._outcome(scenario, case)
        if shown is not None:
            self.look_into(scenario, case, shown)

    def _outcome(self, scenario: Scenario, case: Case, *, only: str | None = None) -> RuleViolated | None:
        """What the case shows, if anything. Raises OutOfTime."""
        self._on_case(scenario)
        try:
            scenario.run(CaseContext(self.check, only=only), case)
        except RuleViolated as shown:
            return shown
        except Inconclusive as reason:
            self.skipped.setdefault(scenario.name, str(reason))
        except Refused as refusal:
            self.skipped.setdefault(scenario.name, str(refusal))
        except NoAnswer as reason:
            self.skipped.setdefault(scenario.name, f"no answer: {reason}")
        except INTERNAL_ERRORS as error:
            # Behind a broken rule, or in a case that was cut down, nothing need be as a scenario expects.
            self.skipped.setdefault(scenario.name, f"an answer that cannot be gone on from: {error!r}")
            if only is None:
                self.check.note_internal_error(scenario.name, error)
        return None

    # Generated cases

    def explore(self, scenario: Scenario, *, examples: int, until: float, round_number: int = 0) -> None:
        """Generated cases, until their number or the moment (monotonic) is reached."""
        if scenario.generated is None or not examples:
            return
        for attempt in range(1 + 2 * MAX_CAUSES):
            failing = self._explore_once(scenario, (round_number, attempt), examples, until, (Phase.generate,))
            if failing is None:
                return
            self.look_into(scenario, *failing)

    def replay(self, scenario: Scenario, *, until: float) -> None:
        """The cases that the example database has kept as failing."""
        if scenario.generated is None or self._database is None:
            return
        failing = self._explore_once(scenario, ("replay",), 1, until, (Phase.reuse,))
        if failing is not None:
            self.look_into(scenario, *failing)

    def _explore_once(
        self,
        scenario: Scenario,
        attempt: tuple[object, ...],
        examples: int,
        until: float,
        phases: tuple[Phase, ...],
    ) -> tuple[Case, RuleViolated] | None:
        last: list[tuple[Case, RuleViolated]] = []
        assert scenario.generated is not None

        # Above the seed, since a seed takes the database away from the settings below it.
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
        def look(case: Case) -> None:
            if time.monotonic() > until:
                return
            shown = self._outcome(scenario, case)
            if shown is not None:
                last.append((case, shown))
                raise shown

        look.hypothesis.inner_test.__qualname__ = f"contracts.{scenario.name}"  # type: ignore[attr-defined]
        try:
            look()
        except (RuleViolated, Flaky):
            return last[-1] if last else None
        except SkipTest:  # how hypothesis says that the database knows no example
            return None
        return None

    # What fails

    def look_into(self, scenario: Scenario, case: Case, shown: RuleViolated) -> None:
        """Makes it small, sends it again, and keeps it. What hides behind it in the same case is looked for too."""
        check = self.check
        for _ in range(2 * MAX_CAUSES):
            if (shown.rule, shown.cause) not in check.known:
                self._conclude(scenario, case, shown)
            if (shown.rule, shown.cause) not in check.known:
                return
            again = self._outcome(scenario, case)
            if again is None or (again.rule, again.cause) in check.known:
                return
            shown = again

    def _conclude(self, scenario: Scenario, case: Case, shown: RuleViolated) -> None:
        check = self.check
        first = (shown.rule, shown.cause)
        if sum(rule == shown.rule for rule, _ in check.known) >= MAX_CAUSES:
            check.known.add(first)
            return
        if shown.is_certain is not None:
            self._keep(shown, first, stable=shown.is_certain)
            return
        is_broken_by_a_write = self._is_broken_by_a_write(shown)
        alone = None if is_broken_by_a_write else self._alone(shown)
        before: tuple[Exchange, ...] = ()
        if alone is not None:
            before = tuple(exchange for exchange in shown.told if exchange is not shown.exchanges[-1])
            scenario, case, shown = alone
        latest = [shown]
        end = time.monotonic() + min(MAX_SHRINK_S, max(0.0, check.time_left - 2))

        def still_fails(candidate: Case) -> bool:
            if time.monotonic() > end:
                return False
            found = self._outcome(scenario, candidate, only=shown.dedup_key)
            if found is not None:
                latest[:] = [found]
            return found is not None

        # What a write has left wrong stays so, whatever is sent: of a smaller case one could not tell.
        small = case if is_broken_by_a_write else shrink(case, still_fails, tries=MAX_TRIES)
        confirmed = self._again(scenario, small, shown.dedup_key)
        if confirmed is None and small != case:  # it was made so small that it fails by luck only
            confirmed = self._again(scenario, case, shown.dedup_key)
        stable = confirmed is not None
        final = confirmed or latest[0]
        self._shaky[first] += not stable
        if stable or self._shaky[first] > 1:  # what did not repeat here may do so where another scenario meets it
            check.known.update({first, (shown.rule, shown.cause), (final.rule, final.cause)})
        if is_broken_by_a_write:
            final = shown  # what has brought it about comes before this one
        told = (*before, *final.told)
        exchanges = repro_of(final.exchanges, told, check.guard.exchanges, replaceable=check.replaceable_ids)
        finding = Finding(final.rule, final.cause, final.expected, final.got, exchanges, stable=stable)
        (self.findings if stable else self.unstable).append(finding)
        if stable:
            self.unstable = [one for one in self.unstable if (one.rule, one.cause) != (finding.rule, finding.cause)]
        self._on_finding(finding)

    def _keep(self, shown: RuleViolated, first: tuple[str, str], *, stable: bool) -> None:
        """What is not sent again, since it has left runs behind."""
        self.check.known.add(first)
        finding = Finding(shown.rule, shown.cause, shown.expected, shown.got, shown.exchanges, stable=stable)
        (self.findings if stable else self.unstable).append(finding)
        self._on_finding(finding)

    def look_at_the_end(self) -> None:
        """Judges runs that came into being since the last request, or while nothing was judged."""
        shown = self._outcome(UNREPORTED, {})
        while shown is not None:
            self.look_into(UNREPORTED, {}, shown)
            shown = self._outcome(UNREPORTED, {})

    def _alone(self, shown: RuleViolated) -> tuple[Scenario, Case, RuleViolated] | None:
        """Whether one request of the failing case shows the same when it is sent by itself."""
        if not shown.exchanges:
            return None
        last = shown.exchanges[-1]
        if is_read(last.request) and len(repro_of((last,), shown.told)) > 1:
            return None  # it needs what the case made, which only the whole case makes smaller
        case = alone_case(last.request)
        found = self._outcome(ALONE, case, only=shown.dedup_key)
        return None if found is None else (ALONE, case, found)

    def _is_broken_by_a_write(self, shown: RuleViolated) -> bool:
        """Whether a read fails that was well before: then some write in between has left the target worse."""
        last = shown.exchanges[-1] if shown.exchanges else None
        return (
            last is not None
            and last.answer.status >= 500
            and is_read(last.request)
            and succeeded_before(last.request, self.check.guard.exchanges)
        )

    def _again(self, scenario: Scenario, case: Case, dedup_key: str) -> RuleViolated | None:
        for _ in range(scenario.attempts):
            try:
                found = self._outcome(scenario, case, only=dedup_key)
            except OutOfTime:
                return None
            if found is not None:
                return found
        return None


def most_runs(case: Case) -> int:
    """The most runs that a healthy server makes of a case."""
    body = case.get("body")
    made = body if isinstance(body, dict) else {}
    if "counts" in case:
        return int(sum(case["counts"]))
    if isinstance(made.get("steps"), list):
        return len(made["steps"])
    count = made.get("count", case.get("count", 1))
    times = case.get("times", 1)
    return count * times if isinstance(count, int) and isinstance(times, int) else 1


# One request by itself


def alone_case(request: Request) -> Case:
    """A request as a case: its body as JSON where it is, so that it can be made smaller."""
    case: Case = {"method": request.method, "path": request.path, "headers": [list(h) for h in request.headers]}
    if request.body is not None:
        try:
            case["body"] = {"json": request.json()}
        except (ValueError, RecursionError):
            case["body"] = {"latin": request.body.decode("latin-1")}
    return case


def run_alone(context: CaseContext, case: Case) -> None:
    raw: bytes | None = None
    if "body" in case:
        if "json" in case["body"]:
            raw = encode(case["body"]["json"])
        elif "latin" in case["body"]:
            raw = case["body"]["latin"].encode("latin-1")
        else:
            return
    if not all(isinstance(h, list) and len(h) == 2 and h[0] for h in case["headers"]):
        return
    request = Request(case["method"], case["path"], tuple((name, value) for name, value in case["headers"]), raw)
    result = context.send(request)
    operation = operation_at(request.method, request.path)
    if operation is not None and body_schema(operation) is not None:
        context.judge_write(read_request(operation, raw, request.header("content-type")), result)


ALONE: Final = Scenario("alone", (), run_alone, lambda check: (), together=False)
UNREPORTED: Final = Scenario(
    "unreported runs", (), lambda context, case: context.look_for_unreported_runs(), lambda check: ()
)
