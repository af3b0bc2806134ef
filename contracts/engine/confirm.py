"""Repeats and shrinks a failing case, and makes the finding from what showed the violation again."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

from contracts.core.exchange import Exchange, Request
from contracts.core.findings import Finding
from contracts.engine.case_json import reproduction_of
from contracts.engine.check_context import CheckContext
from contracts.engine.explain import exchanges_until, failing_part, finding_of
from contracts.engine.found_violations import FoundViolations
from contracts.engine.outdated import OUTDATED, Contradictions, contradictions_of, has_outdated_read
from contracts.engine.parallel import THREADS
from contracts.engine.repro import names_resource, repro_of, succeeded_before
from contracts.engine.request_case import SINGLE_REQUEST, RequestCase
from contracts.engine.resend import RESENT, ResentCase
from contracts.engine.results import Attempt, OutOfTime, RuleViolated
from contracts.engine.scenario import ScenarioCase
from contracts.engine.shrink import shrink
from contracts.guard import NoAnswer, Refused
from contracts.openapi.router import operation_at
from contracts.oracle.answer_schema import answer_violations

MAX_TRIES: Final = 120
"""The most tries to shrink one case."""
MAX_SHRINK_COST: Final = 800
"""The most that shrinking one case may cost, in requests, so a case of many requests gets fewer tries."""
MAX_LIVE_SHRINK_COST: Final = 100
"""The same in a live check, where all its runs together cost PARTS_OF_THE_RUNS times as much: a finding may use up one
part of them only, since the other cases need the rest.
"""
PARTS_OF_THE_RUNS: Final = 5
BYTES_OF_A_REQUEST: Final = 32 * 1024
"""The size of an answer that costs as much as one more request."""
REPEATS_IF_BY_OTHERS: Final = 6
"""A violation that others may have caused must show this many more times in a row. If others cancel every third run,
this happens by chance in one of a thousand cases.
"""
READ_AGAIN_AFTER_S: Final = (0.1, 0.9)
"""How long to wait before a read that shows a violation is sent again, each time."""
REPEATS_OF_A_FINDING: Final = 6
"""How often the case of a finding is sent once more, to tell whether it shows the violation each time. If not, a
smaller case counts as one that passes after as many attempts. A violation that shows in every third attempt is then
missed in one of eleven cases.
"""
MOST_TO_REPEAT: Final = 20
"""A case that costs more, in requests, is not sent once more for that."""
LEAST_TO_SHRINK_S: Final = 2.0
"""With less time left, a case is not shrunk further."""


@dataclasses.dataclass
class _Repetition:
    """The result of sending a failing case again. `case` is the smallest one that fails, and `violated` what it showed
    first. `passed` are the attempts at smaller cases that do not fail.
    """

    case: ScenarioCase
    violated: RuleViolated
    before: tuple[Exchange, ...] = ()
    """If `case` is the last request of the original case: the exchanges before it."""
    passed: list[Attempt] = dataclasses.field(default_factory=list)
    failed: list[Attempt] = dataclasses.field(default_factory=list)
    """Attempts at larger cases that fail."""
    confirmed: RuleViolated | None = None
    """What the case showed again; None if it did not."""
    under_load: RuleViolated | None = None
    """What the original case showed again together with the cases that ran at the same time."""
    shown: int = 0
    """In how many of `attempts` the case, or its exchanges that the finding shows, showed the violation."""
    attempts: int = 0
    """How often it was sent once more, if that did not show the violation each time; else 0."""

    @property
    def shows_each_time(self) -> bool:
        return self.shown == self.attempts


@dataclasses.dataclass(eq=False)
class Confirmer:
    check: CheckContext
    found: FoundViolations
    attempt: Callable[..., Attempt]
    """Runs a case."""
    _cost: int = 0
    """The cost of the attempts for findings so far, in requests."""
    _max_cost: int = dataclasses.field(init=False)
    """What the attempts at smaller cases may cost, for one finding."""
    _cost_of_run: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._max_cost, self._cost_of_run = MAX_SHRINK_COST, 0
        if self.check.is_live:
            max_runs = self.check.target.budget.max_runs
            self._max_cost = MAX_LIVE_SHRINK_COST
            self._cost_of_run = MAX_LIVE_SHRINK_COST * PARTS_OF_THE_RUNS // max(1, max_runs)

    def confirm(self, origin: ScenarioCase, first: RuleViolated, beside: Collection[ScenarioCase]) -> None:
        """Shrink and reproduce the case, and keep the finding as stable, intermittent or unstable.

        `beside` are the cases that ran at the same time.
        """
        is_broken_by_a_write = self._is_broken_by_a_write(first)
        again = self._repeat(origin, first, beside, is_broken_by_a_write=is_broken_by_a_write)
        stable = again.confirmed is not None
        final = again.confirmed or again.under_load or again.violated
        self.found.note_repeat(origin[0], first, again.violated, final, stable=stable)
        if is_broken_by_a_write:
            final = first  # the write that caused it was sent before the first failure
        finding = self._finding(again, final, stable=stable)
        # The case as it was found is kept too: the smallest one may fail only because of what was sent before.
        cases = [again.case] if again.case == origin else [again.case, origin]
        others = [] if stable else [(scenario.name, case) for scenario, case in beside]
        reproductions = tuple(chain.from_iterable(reproduction_of(by.name, case, others) for by, case in cases))
        why = "" if stable or not self.check.is_over else self.found.why_not_repeated
        self.found.keep(dataclasses.replace(finding, not_sent_again=why, reproductions=reproductions))

    def _finding(self, again: _Repetition, final: RuleViolated, *, stable: bool) -> Finding:
        evidence, sent = (*self._sources(final), *final.exchanges), (*again.before, *final.all_exchanges)
        recorded, replaceable = self.check.guard.exchanges, self.check.replaceable_ids
        return finding_of(
            final,
            repro_of(evidence, sent, recorded, replaceable=replaceable),
            again.passed,
            again.failed,
            recorded=recorded,
            secrets=self.check.canaries.forms,
            cause_in_words=self._cause_in_words(again, final),
            stable=stable,
            intermittent=not stable and (final.is_proof or again.under_load is not None),
        )

    def _cause_in_words(self, again: _Repetition, final: RuleViolated) -> str:
        if self._is_outdated(final):
            return OUTDATED
        if again.shows_each_time:
            return ""
        return f"not each time: in {again.shown} of {again.attempts} further attempts"

    def _repeat(
        self, origin: ScenarioCase, first: RuleViolated, beside: Collection[ScenarioCase], *, is_broken_by_a_write: bool
    ) -> _Repetition:
        """Send the case again, or only its last request if that alone fails, and shrink it. If it does not fail again,
        send it under load: together with the cases that ran at the same time.
        """
        again = _Repetition(origin, first, failed=[failing_part(first)])
        if not is_broken_by_a_write and (alone := self._alone(first)) is not None:
            again.before = tuple(exchange for exchange in first.all_exchanges if exchange is not first.exchanges[-1])
            again.case, again.violated = alone
        cost_limit = self._cost + self._max_cost
        again.confirmed = self._reproduce([again.case], again.violated.dedup_key)
        by_others = (again.confirmed or again.violated).violation.may_be_by_others
        if by_others and again.confirmed and not self._shows_each_time(again.case, again.violated.dedup_key):
            again.confirmed = None
        if again.confirmed is None:
            if beside and not by_others and self._cost < cost_limit:
                again.under_load = self._reproduce([origin, *beside], first.dedup_key)
            return again
        # If a write has broken the target, it stays broken, and any smaller case seems to fail too. A case that
        # waits is not shrunk, since each try takes seconds; its finding shows only the exchanges that matter.
        if not is_broken_by_a_write and not again.case[0].mostly_waits:
            self._shrink(again, again.confirmed, cost_limit)
            self._count_attempts_that_show_it(again, again.confirmed)
        return again

    def _count_attempts_that_show_it(self, again: _Repetition, confirmed: RuleViolated) -> None:
        """Find out whether the case shows the violation each time; if not, shrink it with several attempts at each
        smaller case. A case that costs much, or needs several attempts anyway, is not sent again. If one answer proves
        the violation, also find out whether the exchanges of the finding alone show it each time.
        """
        key = confirmed.dedup_key
        if again.case[0].attempts <= 2 and _cost_of(confirmed.all_exchanges) <= MOST_TO_REPEAT:
            attempts = self._attempts(again.case, key)
            if passed := sum(attempt.passed for attempt in attempts):
                again.shown, again.attempts = len(attempts) - passed, len(attempts)
                self._shrink(again, confirmed, self._cost + self._max_cost, attempts=REPEATS_OF_A_FINDING)
        if confirmed.is_proof:
            self._send_exchanges_alone(again, again.confirmed or confirmed)
        if not again.shows_each_time:
            again.passed.clear()  # they may show it in another attempt

    def _send_exchanges_alone(self, again: _Repetition, confirmed: RuleViolated) -> None:
        """Send the exchanges of the finding alone, unless they are the whole case. If they do not show the violation
        each time, leave out those that it does not need.
        """
        exchanges, key = repro_of(confirmed.exchanges, confirmed.all_exchanges), confirmed.dedup_key
        if _cost_of(exchanges) > MOST_TO_REPEAT or len(exchanges) == len(confirmed.all_exchanges):
            return
        cost_limit = self._cost + self._max_cost
        attempts = self._attempts((RESENT, ResentCase(exchanges)), key)
        shown = [attempt.violated for attempt in attempts if attempt.violated is not None]
        if not shown or not any(attempt.passed for attempt in attempts):
            return
        again.shown, again.attempts = len(shown), len(attempts)
        again.confirmed = shown[0]
        for at in reversed(range(len(exchanges) - 1)):
            if self._cost >= cost_limit:
                return
            rest = (*exchanges[:at], *exchanges[at + 1 :])
            if found := self._reproduce([(RESENT, ResentCase(rest))], key, REPEATS_OF_A_FINDING):
                exchanges, again.confirmed = rest, found

    def _attempts(self, case: ScenarioCase, dedup_key: str) -> list[Attempt]:
        """Return REPEATS_OF_A_FINDING attempts at a case, fewer if the time of the check is over. A live check makes
        none, since each may cost a run.
        """
        attempts: list[Attempt] = []
        with contextlib.suppress(OutOfTime):
            attempts.extend(
                self._try(case, dedup_key) for _ in range(0 if self.check.is_live else REPEATS_OF_A_FINDING)
            )
        return attempts

    def _shrink(self, again: _Repetition, confirmed: RuleViolated, cost_limit: int, attempts: int = 1) -> None:
        """Replace the case by the smallest one that repeats the violation, in one of `attempts`. No further case is
        tried once `_cost` has reached `cost_limit`.
        """
        key, (scenario, case) = confirmed.dedup_key, again.case

        def still_fails(candidate: Any) -> bool:
            for _ in range(attempts):
                if self._cost >= cost_limit or self.check.time_left < LEAST_TO_SHRINK_S:
                    return False
                try:
                    attempt = self._try((scenario, candidate), key)
                except OutOfTime:
                    return False
                if attempt.passed:
                    again.passed.append(attempt)
                if attempt.violated is not None:
                    again.failed.append(failing_part(attempt.violated))
                    return True
            return False

        smaller = shrink(case, still_fails, tries=MAX_TRIES)
        shown = None if smaller == case else self._reproduce([(scenario, smaller)], key, attempts)
        # If it does not fail again, it was shrunk so far that it fails only by chance.
        if shown is not None:
            again.case, again.confirmed = (scenario, smaller), shown

    def _reproduce(self, cases: Sequence[ScenarioCase], dedup_key: str, attempts: int = 1) -> RuleViolated | None:
        """Run the cases at the same time until one of them shows the violation: `attempts` times, or as often as the
        scenario says if that is more.
        """
        for _ in range(max(attempts, cases[0][0].attempts)):
            with ThreadPoolExecutor(THREADS) as pool:
                run_all = pool.map if len(cases) > 1 else map
                try:
                    outcomes = list(run_all(lambda case: self._try(case, dedup_key).violated, cases))
                except OutOfTime:
                    return None
            if found := next(filter(None, outcomes), None):
                return found
        return None

    def _shows_each_time(self, case: ScenarioCase, dedup_key: str) -> bool:
        with contextlib.suppress(OutOfTime):
            return all(self._try(case, dedup_key).violated for _ in range(REPEATS_IF_BY_OTHERS))
        return False

    def _alone(self, violated: RuleViolated) -> tuple[ScenarioCase, RuleViolated] | None:
        """Return the last request of the failing case as a case, if it shows the same violation when sent alone."""
        last = violated.exchanges[-1]
        needs_others = last.request.is_read or names_resource(last.request)
        if needs_others and len(repro_of((last,), violated.all_exchanges)) > 1:
            return None  # it needs resources that other requests of the case created, so the case must stay whole
        case = (SINGLE_REQUEST, RequestCase.from_request(last.request))
        found = self._try(case, violated.dedup_key).violated
        return None if found is None else (case, found)

    def _try(self, case: ScenarioCase, dedup_key: str) -> Attempt:
        runs_before = self.check.guard.spent.runs_created
        attempt = self.attempt(*case, only=dedup_key)
        created = self.check.guard.spent.runs_created - runs_before
        with self.check.lock:
            self._cost += _cost_of(attempt.exchanges) + self._cost_of_run * created
        return attempt

    def _is_broken_by_a_write(self, violated: RuleViolated) -> bool:
        """Return whether a read gets a 5xx that succeeded before, so that a write in between must be the cause."""
        answer, request = violated.exchanges[-1].answer, violated.exchanges[-1].request
        return answer.status >= 500 and request.is_read and succeeded_before(request, self.check.guard.exchanges)

    def _is_outdated(self, violated: RuleViolated) -> bool:
        """Return whether a read shows the violation, and no longer shows it when it is sent again."""
        judged, field = violated.exchanges[-1], violated.violation.field
        sent = exchanges_until(judged, violated.all_exchanges)
        if not sent or sent[-1] is not judged:
            return False  # the case judges an exchange of another case
        if any(each is judged for group in violated.concurrent for each in group):
            return False  # what was sent at the same moment may have changed what it shows
        if not judged.request.is_read:
            return field != "" and has_outdated_read(sent, field)  # a write may change other fields itself
        return _may_show_an_earlier_state(judged, field) and self._are_gone_later(
            contradictions_of(sent, field), judged.request
        )

    def _are_gone_later(self, contradictions: Contradictions, read: Request) -> bool:
        """Send the read again. Return whether one of the contradictions is gone."""
        for wait_s in READ_AGAIN_AFTER_S if contradictions else ():
            self.check.over.wait(wait_s)
            try:
                again = self.check.guard.send(read).answer
            except (Refused, NoAnswer):
                return False
            if contradictions.are_gone_in(again):
                return True
        return False

    def _sources(self, final: RuleViolated) -> list[Exchange]:
        """Return the exchanges that the violation depends on, if not among those that show it: the create and the
        last write of a run that a list shows wrongly, or the request that sent the secret which an answer leaks.
        """
        recorded = (*final.exchanges, *self.check.guard.exchanges)
        sources: list[Exchange] = []
        if about := final.violation.about.encode():
            writes = [each for each in recorded if not each.request.is_read and about in each.answer.body]
            sources = [*writes[:1], *writes[1:][-1:]]
        elif final.rule == "SECRET-LEAK":
            leaked = self.check.canaries.value_in(final.exchanges[-1].answer.body)
            sources = [each for each in recorded if leaked and leaked in (each.request.body or b"")][:1]
        return [source for source in sources if source not in final.exchanges]


def _may_show_an_earlier_state(judged: Exchange, field: str) -> bool:
    """Return whether the answer to a read shows a state that was right before, as far as the answer itself says."""
    status = judged.answer.status
    if status == 0 or (status >= 400 and status != 404):
        return False  # an error shows no state
    if field == "id":
        return False  # the answer is to another request
    operation = operation_at(judged.request.method, judged.request.path)
    has_wrong_form = field != "" and field in (wrong.field for wrong in answer_violations(operation, judged.answer))
    return not has_wrong_form  # a value of the wrong form was never right


def _cost_of(exchanges: Sequence[Exchange]) -> int:
    """Return what exchanges cost, in requests."""
    return sum(1 + len(each.answer.body) // BYTES_OF_A_REQUEST for each in exchanges)
