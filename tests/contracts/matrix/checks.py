"""Checks of a stand-in that runs in this process."""

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import contracts.check
from contracts.core.exchange import Exchange
from contracts.core.findings import CheckResult, Finding
from contracts.core.target import Target
from contracts.guard import Guard
from tests.standin.behaviour import Settings
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

FULL = os.environ.get("STANDIN_MATRIX") == "full"
TOKENS = Settings().tokens


class Enough(Exception):
    """Raised out of a check when it has found what it was sent for: what it costs to go on tells nothing new."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.rule)
        self.finding = finding


def target(url: str, *, seed: int, max_time_s: float) -> Target:
    return Target(url=url, token=TOKENS[0], second_token=TOKENS[1], seed=seed, max_time_s=max_time_s)


def first_finding(defect: str, *, seed: int = 0, max_time_s: float = 90) -> Finding | None:
    """The first stable finding under one of the rules that the defect breaks, with only those rules judged."""
    rules = DEFECTS[defect].rules

    def stop(finding: Finding) -> None:
        if finding.stable and finding.rule in rules:
            raise Enough(finding)

    with serving(defect) as url, tempfile.TemporaryDirectory() as journal:
        aim = target(url, seed=seed, max_time_s=max_time_s)
        with Guard(aim, journal_dir=Path(journal)) as guard:
            try:
                contracts.check.check(aim, guard, rules=rules, on_finding=stop)
            except Enough as enough:
                return enough.finding
    return None


def whole_check(
    variations: Collection[str], *, rules: Collection[str] | None, seed: int, max_time_s: float
) -> CheckResult:
    with serving(None, variations) as url, tempfile.TemporaryDirectory() as journal:
        aim = target(url, seed=seed, max_time_s=max_time_s)
        with Guard(aim, journal_dir=Path(journal)) as guard:
            return contracts.check.check(aim, guard, rules=rules)


def shown(exchanges: Sequence[Exchange]) -> str:
    """The exchanges in few lines, for a message of a test that failed."""
    lines = []
    for exchange in exchanges:
        body = (exchange.request.body or b"")[:200].decode("utf-8", "replace")
        answer = f"{exchange.answer.status} {exchange.answer.body[:200].decode('utf-8', 'replace')}"
        lines.append(f"{exchange.request.method} {exchange.request.path[:200]} {body}\n    {answer}")
    return "\n".join(lines)
