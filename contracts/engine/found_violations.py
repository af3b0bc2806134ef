"""Keeps the findings of a check, and decides which violations need no further cases."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final

from contracts.core.findings import Finding, fingerprint_of
from contracts.engine.check_context import CheckContext
from contracts.engine.explain import finding_of
from contracts.engine.results import RuleViolated
from contracts.engine.scenario import Scenario
from contracts.oracle import Violation

MAX_CAUSES: Final = 3
"""The most findings under one rule in one check; more of them add no information."""
MAX_UNSTABLE: Final = 2
"""After this many unstable findings of one cause in a scenario, that scenario ignores the cause. Another scenario may
have a case that shows the cause each time.
"""
MAX_UNSTABLE_IN_ALL: Final = 8
"""After this many unstable findings of one cause in the whole check, all scenarios ignore the cause."""


@dataclasses.dataclass(eq=False)
class FoundViolations:
    check: CheckContext
    on_finding: Callable[[Finding], bool | None]
    """Returns True to end the check."""
    findings: list[Finding] = dataclasses.field(default_factory=list)
    unstable: list[Finding] = dataclasses.field(default_factory=list)
    _times_unstable: defaultdict[tuple[str, str], Counter[str]] = dataclasses.field(
        default_factory=lambda: defaultdict(Counter)
    )
    """How many unstable findings each scenario has, by rule and cause."""

    def is_known(self, scenario: Scenario[Any], violated: RuleViolated) -> bool:
        """Return whether further cases of this scenario would show nothing new about the violation."""
        return self.check.knows(violated.violation) or self.is_ignored(scenario, violated.violation)

    def is_ignored(self, scenario: Scenario[Any], violation: Violation) -> bool:
        """Return whether this scenario has shown the violation several times, and it never repeated."""
        unstable = self._times_unstable.get((violation.rule, violation.cause))
        return unstable is not None and unstable[scenario.name] >= MAX_UNSTABLE

    def has_enough_of(self, rule: str) -> bool:
        """Return whether the rule has enough causes. Those that a baseline accepts do not count."""
        causes = [cause for known, cause in self.check.known_violations if known == rule]
        accepted = self.check.target.accepted
        return sum(fingerprint_of(rule, cause) not in accepted for cause in causes) >= MAX_CAUSES

    def note_repeat(self, scenario: Scenario[Any], *violated: RuleViolated, stable: bool) -> None:
        """Record whether a violation repeated. `violated` is the violation, followed by those that repeats showed."""
        violations = [(each.rule, each.cause) for each in violated]
        first = violations[0]
        self._times_unstable[first][scenario.name] += not stable
        if stable or self._times_unstable[first].total() >= MAX_UNSTABLE_IN_ALL:
            self.check.known_violations.update(violations)

    def keep(self, finding: Finding) -> None:
        """Keep one finding of each rule and cause; prefer one that repeats alone."""
        others = [other for other in self.findings if other.fingerprint != finding.fingerprint]
        if finding.stable or len(others) == len(self.findings):
            self.unstable = [other for other in self.unstable if other.fingerprint != finding.fingerprint]
            self.findings = others if finding.stable else self.findings
            (self.findings if finding.fails else self.unstable).append(finding)
        if self.on_finding(finding):
            self.check.has_enough_findings = True
            self.check.over.set()

    def keep_unrepeated(self, violated: RuleViolated, *, stable: bool, why: str) -> None:
        """Keep a finding without repeating it, with the reason."""
        self.check.note_known(violated.violation)
        intermittent = not stable and violated.is_proof
        recorded = self.check.guard.exchanges
        finding = finding_of(violated, violated.exchanges, recorded=recorded, stable=stable, intermittent=intermittent)
        self.keep(dataclasses.replace(finding, not_sent_again=why or self.why_not_repeated))

    @property
    def why_not_repeated(self) -> str:
        if self.check.has_enough_findings:
            return "the check had enough findings"
        return self.check.guard.why_no_request_left or "the time was over"
