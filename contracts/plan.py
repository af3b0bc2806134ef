"""The plan of a check: which scenarios it would run, and what they cost at most. Sends nothing."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.check import (
    RULES_OF_EVERY_ANSWER,
    ordered_scenarios,
    require_rules_to_judge,
    undiscovered,
    wanted_rules,
    why_unjudged,
)
from contracts.core.counting import counted
from contracts.core.target import Target
from contracts.engine import Case, Scenario
from contracts.explore.exploration import parts_for
from contracts.rules import REGISTRY
from contracts.rules.first_create import FIRST_CREATE
from contracts.rules.live_cases import LIVE_CASES, RULES_OF_TWO_ORGANISATIONS, may_judge

_MOST_RULES_NAMED: Final = 7
"""Rules that a step names; of more it has their number."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A scenario of a plan. `cases` is None if the target or the time decides how many there are, and `runs`, how many
    they may create at most, is None if that is not known before.

    Cases that must be refused count too, since a faulty target may create runs for them.
    """

    name: str
    rules: tuple[str, ...]
    cases: int | None
    runs: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[PlannedStep, ...]
    rules: tuple[str, ...]
    """The rules that the check can judge."""
    limits: str
    """What the check may send and create at most, in words."""

    def __str__(self) -> str:
        return "\n".join(_table(self))


def plan(target: Target, rules: Collection[str] | None = None) -> Plan:
    """Return the steps of a check in order, with the maximum cost of each. Sends nothing. Raises CouldNotCheck if the
    flags allow no case of any of the rules.
    """
    wanted = wanted_rules(rules)
    if target.second_token is None:
        wanted -= RULES_OF_TWO_ORGANISATIONS
    steps = []
    judged = wanted & {"HTTP-LIMIT"}
    require_rules_to_judge(target, rules)
    check = undiscovered(target)
    wanted = frozenset(rule for rule in wanted if not why_unjudged(check, rule))
    scenarios = ordered_scenarios(target, wanted)
    if check.is_live and target.may_write and FIRST_CREATE.name not in {scenario.name for scenario in scenarios}:
        scenarios = [FIRST_CREATE, *scenarios]  # it is sent in any case
    for scenario in scenarios:
        fixed = LIVE_CASES[scenario.name](check) if check.is_live else scenario.cases(check)
        cases = [part for case in fixed for part in case.parts]
        needs_second = target.second_token is None and not RULES_OF_TWO_ORGANISATIONS.isdisjoint(scenario.rules)
        if not cases and (check.is_live or needs_second):
            continue
        judges = RULES_OF_EVERY_ANSWER.union(scenario.rules)
        if check.is_live:
            judges = frozenset(rule for rule in judges if may_judge(check, scenario, rule))
        runs = _most_runs(target, scenario, cases)
        steps.append(PlannedStep(scenario.name, _in_order(wanted & judges), len(cases) or None, runs))
    for name, judges in parts_for(target, wanted):
        steps.append(PlannedStep(name, _in_order(wanted & judges), None, None))
    judged = judged.union(*(step.rules for step in steps))
    grace_s = check.guard.grace_s(target.budget.max_runs if target.may_write else 0)
    most_runs = sum(step.runs or 0 for step in steps)
    return Plan(tuple(steps), _in_order(judged), _limits_in_words(target, grace_s, most_runs))


def _in_order(rules: Collection[str]) -> tuple[str, ...]:
    return tuple(rule for rule in REGISTRY if rule in rules)


def _most_runs(target: Target, scenario: Scenario[Any], cases: Sequence[Case]) -> int | None:
    if not scenario.creates_runs or not target.may_write:
        return 0
    return sum(max(1, case.expected_runs) for case in cases) or None


def _limits_in_words(target: Target, grace_s: float, most_runs: int) -> str:
    budget = target.budget
    runs = f"at most {counted(budget.max_runs, 'run')}" if target.may_write else "no runs"
    most = budget.max_requests
    requests = "any number of requests" if most is None else f"at most {counted(most, 'request')}"
    rate = "" if budget.rate is None else f", {budget.rate:g}/s"
    words = f"The check creates {runs} and sends {requests}{rate}, within {target.max_time_s:g} s."
    if target.may_write:
        afterwards = "cleans up" if target.clean_up else "counts what is left"
        words += f" Afterwards it {afterwards}, for {grace_s:g} s at most."
    if most_runs > budget.max_runs:
        words += (
            f" A faulty server could create {most_runs:,} runs in all these cases: those that the budget no longer"
            " covers when their turn comes are not run, and the report says so."
        )
    return words


def _table(plan: Plan) -> Iterator[str]:
    of_every_answer = [rule for rule in plan.rules if rule in RULES_OF_EVERY_ANSWER]
    width = max((len(step.name) for step in plan.steps), default=0)
    yield f"{'Scenario':<{width}}  Cases  Runs at most  Rules"
    for step in plan.steps:
        named = [rule for rule in step.rules if rule not in of_every_answer]
        rules = ", ".join(named) if len(named) <= _MOST_RULES_NAMED else counted(len(named), "rule")
        yield f"{step.name:<{width}}  {_number(step.cases):>5}  {_number(step.runs):>12}  {rules or '-'}"
    yield ""
    if any(None in (step.cases, step.runs) for step in plan.steps):
        yield "?: depends on the target and on the time."
    if of_every_answer:
        yield f"Every answer is judged by {', '.join(of_every_answer)} too."
    yield f"In all: {counted(len(plan.rules), 'rule')}. {plan.limits}"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else "-"
