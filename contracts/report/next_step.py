"""What a user can do after a check, in one sentence."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from contracts.core.findings import CheckResult, Remedy
from contracts.core.target import is_loopback
from contracts.report.report import Report

_STEPS: Final = {
    Remedy.ALLOW_WRITES: "Let the check create runs with --allow-writes; `--plan` shows what it would send.",
    Remedy.LARGER_BUDGET: "Give the check a larger budget with --max-runs and --max-requests.",
    Remedy.MORE_REQUESTS: "Give the check more requests with --max-requests.",
    Remedy.ALLOW_FIELDS: "Give the flags that the skipped rules above name, if the workflow can take what they allow.",
    Remedy.SECOND_TOKEN: "Give the token of another organisation in CONTRACTS_SECOND_TOKEN, or with --second-token.",
    Remedy.LOWER_RATE: "Send fewer requests with --rate 1/s, say, or raise the rate limit of the target.",
}


def next_step(report: Report, json_path: Path | None = None, target_flags: Sequence[str] = ()) -> str:
    """Return the most useful next step; empty if there is nothing to do. `json_path` is the JSON report, if written.
    Commands for the target get its flags: without them, a check of a deployment creates nothing.
    """
    result = report.result
    if report.main_findings:
        worst = report.main_findings[0]
        fix = f"Fix the worst finding first (`contracts explain {worst.rule}` says what the rule requires)"
        if json_path is None:
            return f"{fix}; with --report json=report.json, `contracts replay` can send it again afterwards."
        url = () if is_loopback(result.target) else ("--url", result.target)
        command = shlex.join(("contracts", "replay", str(json_path), worst.fingerprint[:8], *url, *target_flags))
        return f"{fix}, then `{command}` says whether it still shows."
    if result.verdict == "could_not_check" and not result.judged_nothing:
        return "Start the target again, or see in its log why it ended."
    if report.failed_by:
        return "Meet the condition above that fails the check, or leave out its flag."
    if result.needs_cleanup:
        return f"`contracts cleanup {result.target}` tries again to delete the runs that are left."
    if result.spent.runs_left is None:
        return f"`contracts cleanup {result.target}` tries again to delete what may be left."
    if result.was_interrupted:
        return "Run the check again and let it end: it was interrupted, so not every case was tried."
    skipped = [rule for rule in result.rules if rule.makes_incomplete]
    remedies = [rule.remedy for rule in skipped if rule.remedy is not None]
    if remedies and len(remedies) == len(skipped):
        return _step_for_most(remedies)
    if result.had_enough_findings:
        return "Run the check again without --max-findings, which ended it before every case was tried."
    if any(not scenario.finished for scenario in result.scenarios):
        return "Give the check more time with --max-time (fuzz: --for), since not every case was tried."
    if remedies:
        return _step_for_most(remedies)
    if result.judged_nothing:
        return _if_nothing_was_judged(result)
    if skipped:
        first = skipped[0].id
        return (
            f"See above why rules were not judged, and `contracts explain {first}` what the first of them requires;"
            f" `--skip-rule {first}` leaves it out."
        )
    if result.is_partial:
        return "Run the check again: the notes above say what was not tried."
    if result.verdict == "passed" and result.unstable:
        command = shlex.join(("contracts", "check", result.target, *target_flags, "--rule", result.unstable[0].rule))
        return f"Run `{command}` to look for the unstable finding again."
    return ""


def _step_for_most(remedies: Sequence[Remedy]) -> str:
    return _STEPS[max(_STEPS, key=remedies.count)]


def _if_nothing_was_judged(result: CheckResult) -> str:
    if all(rule.status == "not_offered" for rule in result.rules):
        return (
            "Select other rules, since the server does not offer the operations of these; `contracts rules` lists them."
        )
    if any(rule.id == "HTTP-LIMIT" for rule in result.rules):
        return "Set a rate limit on the server, which HTTP-LIMIT needs, or select other rules."
    return f"See above why; `contracts explain {result.rules[0].id}` says what the rule requires."
