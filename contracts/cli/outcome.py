"""The final verdict of a check, and the exit code of the command."""

import dataclasses
from collections.abc import Collection
from typing import Final

from contracts.core.findings import CheckResult, RuleResult, VerdictName

EXIT_CODES: Final[dict[VerdictName, int]] = {"passed": 0, "incomplete": 0, "failed": 1, "could_not_check": 2}
EXIT_INTERRUPTED: Final = 130


def judge(
    result: CheckResult, *, required: Collection[str], fail_on_incomplete: bool
) -> tuple[CheckResult, tuple[str, ...]]:
    """Return the result with its verdict recomputed, and the reasons other than findings for which the check fails.

    The baseline may have removed findings; `--require` and `--fail-on-incomplete` may add such reasons, which count
    before all else. A check that has judged none of its rules was not possible, whatever the reason.
    """
    if result.verdict == "could_not_check":
        return result, ()
    by_id = {rule.id: rule for rule in result.rules}
    failed_by = [
        f"{rule} is required and was not judged: {by_id[rule].why if rule in by_id else 'it was not selected'}"
        for rule in required
        if rule not in by_id or not by_id[rule].was_judged
    ]
    verdict: VerdictName = "passed"
    if (
        result.verdict == "incomplete"
        or result.is_partial
        or result.spent.runs_left is None
        or result.judged_nothing
        or any(rule.makes_incomplete for rule in result.rules)
    ):
        verdict = "incomplete"
        if fail_on_incomplete:
            failed_by.append("The check is incomplete (--fail-on-incomplete).")
    if result.findings or failed_by:
        verdict = "failed"
    elif result.judged_nothing and not result.was_interrupted:
        verdict = "could_not_check"
    return dataclasses.replace(result, verdict=verdict), tuple(failed_by)


def allow_intermittent(result: CheckResult) -> CheckResult:
    """Return the result with its intermittent findings moved to `unstable`."""
    allowed = tuple(finding for finding in result.findings if not finding.stable)
    findings = tuple(finding for finding in result.findings if finding.stable)
    only_allowed = {finding.rule for finding in allowed} - {finding.rule for finding in findings}
    why = "only intermittent findings, which are allowed"
    rules = tuple(RuleResult(rule.id, "passed", why) if rule.id in only_allowed else rule for rule in result.rules)
    return dataclasses.replace(result, findings=findings, unstable=(*result.unstable, *allowed), rules=rules)
