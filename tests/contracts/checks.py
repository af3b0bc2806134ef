"""A check of a server as the tests make it: with the tokens of a stand-in, and a journal of its own."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import contracts.check
from contracts.core.findings import CheckResult, Finding
from contracts.core.target import Budget, Target
from contracts.guard import Guard
from tests.standin.behaviour import Settings

TOKENS = Settings().tokens
LIVE = {"profile": "live", "budget": Budget.of("live"), "allow_writes": True, "clean_up": True}
BASE = {"workflow_id": "10000000-0000-4000-8000-000000000001", "count": 1, "input_values": {"name": "Ada"}}


class Enough(Exception):
    """Ends a check at a finding: to go on would cost time, and tell nothing new."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.rule)
        self.finding = finding


def target_at(url: str, **settings: Any) -> Target:
    of_a_standin = {"token": TOKENS[0], "second_token": TOKENS[1], "allow_writes": True}
    return Target(url, **(of_a_standin | settings))


@contextmanager
def guarded(url: str, **settings: Any) -> Iterator[Guard]:
    """The settings are fields of `Target`."""
    with (
        tempfile.TemporaryDirectory() as journal,
        Guard(target_at(url, **settings), journal_dir=Path(journal)) as guard,
    ):
        yield guard


def checked(url: str, rules: Collection[str] | None = None, **settings: Any) -> CheckResult:
    """A whole check."""
    with guarded(url, **settings) as guard:
        return contracts.check.check(guard.target, guard, rules=rules)


def first_finding(guard: Guard, rules: Collection[str] | None = None, *, is_whole: bool = False) -> Finding | None:
    """The first finding of a check, under one of the rules, that repeats when sent again. There the check ends.

    If none repeats, the first one that fails the check though it is intermittent: a fault that depends on the moment
    may show once in a check. The check judges these rules only, or all rules if it `is_whole`.
    """

    def is_asked_for(finding: Finding) -> bool:
        return rules is None or finding.rule in rules

    def stop(finding: Finding) -> None:
        if finding.stable and is_asked_for(finding):
            raise Enough(finding)

    try:
        result = contracts.check.check(guard.target, guard, rules=None if is_whole else rules, on_finding=stop)
    except Enough as enough:
        return enough.finding
    return next(filter(is_asked_for, result.findings), None)
