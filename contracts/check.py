"""A whole check: finds out what the target is, runs the scenarios, the most telling first, and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from contracts.conversation import OutOfTime, World
from contracts.discovery import discover
from contracts.findings import CheckResult, Finding, RuleResult, VerdictName
from contracts.guard import Guard
from contracts.rules import REGISTRY, SCENARIOS
from contracts.search import Scenario, Search
from contracts.target import Target


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is, as one line."""

    step: str
    done: int
    total: int
    requests: int
    findings: int

    def __str__(self) -> str:
        found = "nothing found" if not self.findings else f"{self.findings} found"
        return f"{self.done}/{self.total} {self.step} · {self.requests} requests · {found}"


def check(
    target: Target,
    guard: Guard,
    *,
    rules: Collection[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> CheckResult:
    """Raises CouldNotCheck. `rules` are the ids to judge; None is all. What `on_finding` raises ends the check."""
    world = discover(target, guard, deadline=time.monotonic() + target.max_time_s)
    wanted = frozenset(REGISTRY if rules is None else rules)
    plan = [s for s in sorted(SCENARIOS, key=lambda s: s.telling) if wanted.intersection(s.rules)]
    search = Search(world, on_finding=on_finding)
    reached = 0
    try:
        for index, scenario in enumerate(plan):
            if progress is not None:
                progress(Progress(scenario.name, index, len(plan), guard.spent.requests, len(search.findings)))
            if not world.offers(*scenario.needs):
                continue
            search.run(scenario, scenario.cases(world))
            search.explore(scenario, examples=scenario.examples, until=world.deadline)
            reached = index + 1
    except OutOfTime:
        pass
    return _result(world, search, wanted, plan[reached:])


def _result(world: World, search: Search, wanted: Collection[str], unreached: list[Scenario]) -> CheckResult:
    findings = tuple(f for f in search.findings if f.rule in wanted)
    results = tuple(_status(world, rule, findings) for rule in REGISTRY if rule in wanted)
    verdict: VerdictName = "passed"
    if findings:
        verdict = "failed"
    elif unreached or any(result.status == "skipped" for result in results):
        verdict = "incomplete"
    notes = [*world.notes]
    return CheckResult(
        target=world.target.url,
        seed=world.target.seed,
        verdict=verdict,
        rules=results,
        findings=findings,
        spent=world.guard.spent,
        unstable=tuple(f for f in search.unstable if f.rule in wanted),
        notes=tuple(notes),
    )


def _status(world: World, rule: str, findings: tuple[Finding, ...]) -> RuleResult:
    failed = next((f for f in findings if f.rule == rule), None)
    if failed is not None:
        return RuleResult(rule, "failed", f"expected {failed.expected}, got {failed.got}")
    needs = REGISTRY[rule].needs
    missing = [world.not_offered[name] for name in needs if name in world.not_offered]
    if missing:
        return RuleResult(rule, "not_offered", missing[0])
    judged = world.judged[rule]
    if not judged:
        return RuleResult(rule, "skipped", "nothing that was sent could be judged by it")
    return RuleResult(rule, "passed", f"judged {judged} times")
