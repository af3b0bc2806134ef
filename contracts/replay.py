"""Sends a finding of an earlier check again, and judges whether it still shows.

A finding records the cases that showed it. They run again with new ids, markers and keys, and only the same violation
counts. The exchanges of the finding are sent too, since it may need what other cases sent before.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.findings import CheckResult, CouldNotCheck, Finding, Reproduction, RuleResult
from contracts.core.target import Target
from contracts.engine import CaseContext, CheckContext, OutOfTime, RuleViolated, Scenario, ScenarioCase
from contracts.engine.case_json import UnreadableCase, case_from_json
from contracts.engine.discovery import discover
from contracts.engine.explain import finding_of
from contracts.engine.repro import ids_in, names_resource, repro_of
from contracts.engine.request_case import SINGLE_REQUEST
from contracts.engine.resend import RESENT, ResentCase
from contracts.engine.results import NOT_JUDGED, why_not_judged
from contracts.explore.model import SEQUENCES
from contracts.explore.recorded_traffic import RECORDED
from contracts.guard import Guard
from contracts.rules import SCENARIOS

INTERMITTENT_ATTEMPTS: Final = 12
"""How often a finding that did not repeat alone is sent again."""

_SCENARIOS: Final[dict[str, Scenario[Any]]] = {
    scenario.name: scenario for scenario in (*SCENARIOS, SINGLE_REQUEST, RECORDED, SEQUENCES)
}


def replay(
    target: Target,
    guard: Guard,
    *,
    finding: Finding,
    rules: object = None,
    progress: Callable[[object], None] = lambda step: None,
    on_finding: Callable[[Finding], None] = lambda finding: None,
) -> CheckResult:
    """Return a result that is failed if the finding still shows, else passed. It has the same form as the result of a
    check. `rules` has no effect. Raises CouldNotCheck if the target cannot be checked, or nothing that was sent could
    be judged by the rule.
    """
    if not finding.dedup_key:
        raise CouldNotCheck("the report does not say how the finding is recognised: check the target again")
    attempts = list(_attempts(finding))
    replaying = _Replay(discover(target, guard, deadline=time.monotonic() + target.max_time_s), finding)
    for cases in attempts:
        progress(f"{finding.rule}: {cases[0][0].name}")
        violated = replaying.violation(cases)
        if violated is not None:
            check = replaying.check
            sent = (violated.exchanges, violated.all_exchanges, guard.exchanges)
            exchanges = repro_of(*sent, replaceable=check.replaceable_ids)
            if len(exchanges) == 1 and names_resource(exchanges[0].request):
                exchanges = finding.exchanges  # the resource is still there, and the report has its create
            found = finding_of(violated, exchanges, stable=True, intermittent=False)
            on_finding(found)
            return _result(check, found, shows=True)
    if not replaying.judged:
        raise CouldNotCheck("; ".join(replaying.problems) or f"nothing that was sent could be judged by {finding.rule}")
    if _names_existing_resource(finding):
        raise CouldNotCheck(
            "the finding is about a resource that the check had not created and that may have changed: run"
            " `contracts check` again"
        )
    return _result(replaying.check, finding, shows=False)


def _names_existing_resource(finding: Finding) -> bool:
    """Return whether the last request names an id that only a read had shown before, a list for example.

    An attachment does not exist before its run: it counts as created if a read of a created run shows it.
    """
    if not finding.exchanges:
        return False
    *before, last = finding.exchanges
    reads = [each for each in before if each.request.is_read]
    writes = b" ".join(each.answer.body + (each.request.body or b"") for each in before if not each.request.is_read)
    shown = b" ".join(read.answer.body for read in reads)
    if "/run-attachments/" in last.request.path:
        of_created = (read for read in reads if any(one in writes for one in ids_in(read.request.path.encode())))
        writes += b" ".join(read.answer.body for read in of_created)
    return any(one in shown and one not in writes for one in ids_in(last.request.path.encode()))


def _attempts(finding: Finding) -> Iterator[tuple[ScenarioCase, ...]]:
    """Yield cases that run at the same time. Raises CouldNotCheck if one is not of this version, or there is none.

    The exchanges are not sent again if an answer with ids of later requests is not complete in the report.
    """
    for recorded in finding.reproductions:
        yield (_case(recorded), *map(_case, recorded.beside))
    if finding.exchanges and not any(exchange.answer.left_out for exchange in finding.exchanges[:-1]):
        yield ((RESENT, ResentCase(finding.exchanges)),)
    elif finding.exchanges and not finding.reproductions:
        raise CouldNotCheck("the report leaves out a part of an answer with ids of later requests")


def _case(recorded: Reproduction) -> ScenarioCase:
    scenario = _SCENARIOS.get(recorded.scenario)
    if scenario is None:
        raise CouldNotCheck(f"there is no scenario {recorded.scenario!r}: another version wrote the report")
    try:
        return scenario, case_from_json(recorded.case)
    except UnreadableCase as error:
        raise CouldNotCheck(f"{error}: another version wrote the report") from error


class _Replay:
    def __init__(self, check: CheckContext, finding: Finding) -> None:
        self.check = check
        self.judged = False
        self.problems: dict[str, None] = {}
        self._finding = finding
        self._number = 0

    def violation(self, cases: Sequence[ScenarioCase]) -> RuleViolated | None:
        """Return the violation of the finding, if one of several attempts shows it."""
        scenario = cases[0][0]
        if missing := [name for name in scenario.needs if not self.check.offers(name)]:
            self.problems[f"the target does not offer {missing[0]}"] = None
            return None
        for _ in range(scenario.attempts if self._finding.stable else INTERMITTENT_ATTEMPTS):
            with ThreadPoolExecutor(len(cases)) as pool:
                for violated in list(pool.map(lambda one: self._attempt(*one), cases)):
                    if violated is not None:
                        return violated
        return None

    def _attempt(self, scenario: Scenario[Any], case: Any) -> RuleViolated | None:
        rule, check = self._finding.rule, self.check
        with check.lock:
            self._number += 1
            name = f"replay/{self._number}"
        judged_before = check.judged[rule]
        try:
            scenario.run(CaseContext(check, only=self._finding.dedup_key, name=name), case)
        except RuleViolated as violated:
            return violated
        except NOT_JUDGED as error:
            self.problems[why_not_judged(error).text] = None
        except OutOfTime:
            self.problems[f"the time was over after {check.target.max_time_s:g} s"] = None
        else:
            self.judged |= check.judged[rule] > judged_before
        return None


def _result(check: CheckContext, finding: Finding, *, shows: bool) -> CheckResult:
    times = check.judged[finding.rule]
    return CheckResult(
        target=check.target.url,
        seed=check.target.seed,
        salt=check.target.salt,
        verdict="failed" if shows else "passed",
        rules=(RuleResult(finding.rule, "failed" if shows else "passed", f"judged {counted(times, 'time')}"),),
        findings=(dataclasses.replace(finding, seen=1, judged=times),) if shows else (),
        spent=check.guard.spent,
        notes=tuple(check.notes),
    )
