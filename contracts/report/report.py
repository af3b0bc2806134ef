"""The data of a report, which every format renders: the result of a check and the texts of the rules."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import Exchange, Headers
from contracts.core.findings import SEVERITIES, CheckResult, Finding, Rule, RuleStatus, Severity
from contracts.core.printable import printable_json
from contracts.report.curl import curls
from contracts.report.masking import Mask

_NOT_REPEATED: Final = "Unstable, did not repeat when sent again alone"


def unstable_heading(finding: Finding) -> str:
    return f"Not sent again, since {finding.not_sent_again}" if finding.not_sent_again else _NOT_REPEATED


def common_unstable_heading(findings: Iterable[Finding]) -> str:
    headings = set(map(unstable_heading, findings))
    return headings.pop() if len(headings) == 1 else "Unstable, or not sent again"


@dataclass(frozen=True, slots=True)
class Report:
    """`failed_by` are the reasons other than findings for which the check fails, such as a required rule that was not
    judged.
    """

    result: CheckResult
    rules: Mapping[str, Rule] = field(default_factory=dict)
    exchanges: Sequence[Exchange] = ()
    failed_by: tuple[str, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    has_masked: bool = False

    def title_of(self, rule: str) -> str:
        return self.rules[rule].title if rule in self.rules else ""

    def severity_of(self, rule: str) -> Severity:
        return severity_of(rule, self.rules)

    def findings_of(self, rule: str) -> list[Finding]:
        return [finding for finding in self.result.findings if finding.rule == rule]

    @property
    def counts_by_group(self) -> dict[str, Counter[RuleStatus]]:
        """The number of rules of each status, by group."""
        counts: dict[str, Counter[RuleStatus]] = {}
        for rule in self.result.rules:
            group = self.rules[rule.id].group if rule.id in self.rules else "Other rules"
            counts.setdefault(group, Counter())[rule.status] += 1
        return counts

    def commands(self, finding: Finding) -> list[str]:
        """Return the shell commands that repeat the finding, one per exchange."""
        return curls(finding.exchanges, self.result.target)

    @property
    def hints(self) -> list[str]:
        """What a reader needs to know to run the commands."""
        hints = ["The commands take the token from the shell's $TOKEN (and another organisation's from $SECOND_TOKEN)."]
        if self.has_masked:
            hints.append(
                "Sensitive values are masked (masked-1, …; a number is 0 in a request). Any value of the same"
                " length reproduces the finding."
            )
        return hints

    @property
    def accepted(self) -> list[str]:
        """A line for each finding that the baseline accepts."""
        return [f"Accepted by the baseline: {f.rule} ({f.fingerprint}): {f.cause}" for f in self.result.baselined]

    @property
    def main_findings(self) -> list[Finding]:
        """The findings without those that are part of another one in the report."""
        shown = {finding.fingerprint for finding in self.result.findings}
        return [finding for finding in self.result.findings if finding.part_of not in shown]

    @property
    def count_in_words(self) -> str:
        """The number of findings after a colon, or nothing if there are none."""
        found = len(self.main_findings)
        return f": {counted(found, 'finding')}" if found else ""

    def masked(self, mask: Mask) -> Report:
        """Return the report with all secrets masked. The secrets of all exchanges are masked in the exchanges only: in
        the findings and texts, those of the findings.
        """
        result = mask.result(self.result)
        failed_by = tuple(map(mask.words, self.failed_by))
        masked = dataclasses.replace(self, result=result, failed_by=failed_by, has_masked=mask.has_masked)
        return masked.with_exchanges(self.exchanges, mask)

    def with_exchanges(self, exchanges: Sequence[Exchange], mask: Mask) -> Report:
        """Return the report with these exchanges, masked after learning the secrets of all of them."""
        mask.learn(exchange.request for exchange in exchanges)
        return dataclasses.replace(self, exchanges=tuple(map(mask.exchange, exchanges)))


def severity_of(rule: str, rules: Mapping[str, Rule]) -> Severity:
    """Return the severity of a rule; the highest if the rule is not known."""
    return rules[rule].severity if rule in rules else "critical"


def worst_first(result: CheckResult, rules: Mapping[str, Rule]) -> CheckResult:
    """Return the result with its findings ordered by severity, then by rule."""
    ids, severities = list(rules), list(SEVERITIES)

    def rank(finding: Finding) -> tuple[int, int]:
        position = ids.index(finding.rule) if finding.rule in rules else len(ids)
        return severities.index(severity_of(finding.rule, rules)), position

    return dataclasses.replace(
        result,
        findings=tuple(sorted(result.findings, key=rank)),
        unstable=tuple(sorted(result.unstable, key=rank)),
        baselined=tuple(sorted(result.baselined, key=rank)),
    )


def shortened(text: str, most: int) -> str:
    """Return the text, or its two ends if it has more than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"


def json_text(document: Any, *, indent: int = 2) -> str:
    return printable_json(json.dumps(document, indent=indent, ensure_ascii=False)) + "\n"


def json_headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def project_version() -> str:
    try:
        return version("cyberdesk-mockserver")
    except PackageNotFoundError:  # the package is not installed
        return "0"
