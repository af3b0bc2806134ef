"""The outcome of a check: its final verdict and the exit code of the command."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

from contracts.core.findings import CheckResult, RuleResult, VerdictName

EXIT_CODES: dict[VerdictName, int] = {"passed": 0, "incomplete": 0, "failed": 1, "could_not_check": 2}
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failed_by` are the reasons other than findings for which the check fails, as text."""

    result: CheckResult
    failed_by: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.result.verdict]


def judge(result: CheckResult, *, required: Collection[str], fail_on_incomplete: bool) -> Outcome:
    """Return the result with its verdict recomputed: the baseline may have removed findings, and the options
    `--require` and `--fail-on-incomplete` may add a failure.
    """
    if result.verdict == "could_not_check":
        return Outcome(result)
    by_id = {rule.id: rule for rule in result.rules}
    failed_by = [
        f"{rule} is required and was not judged: {by_id[rule].why if rule in by_id else 'it was not selected'}"
        for rule in required
        if rule not in by_id or by_id[rule].status in {"skipped", "not_offered"}
    ]
    incomplete = result.verdict == "incomplete" or any(rule.is_missed for rule in result.rules)
    if incomplete and fail_on_incomplete:
        failed_by.append("The check is incomplete, which --fail-on-incomplete does not let pass.")
    verdict: VerdictName
    if result.findings or failed_by:
        verdict = "failed"
    else:
        verdict = "incomplete" if incomplete else "passed"
    return Outcome(dataclasses.replace(result, verdict=verdict), tuple(failed_by))


def allow_intermittent(result: CheckResult) -> CheckResult:
    """Return the result with its intermittent findings moved to `unstable`."""
    allowed = tuple(finding for finding in result.findings if not finding.stable)
    findings = tuple(finding for finding in result.findings if finding.stable)
    only_allowed = {finding.rule for finding in allowed} - {finding.rule for finding in findings}
    why = "only intermittent findings, which are allowed"
    rules = tuple(RuleResult(rule.id, "passed", why) if rule.id in only_allowed else rule for rule in result.rules)
    return dataclasses.replace(result, findings=findings, unstable=(*result.unstable, *allowed), rules=rules)
