"""A whole check: discovers the target, runs the scenarios in order, and returns the result."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from hypothesis import settings
from hypothesis.database import ExampleDatabase

from contracts.core.counting import counted
from contracts.core.findings import (
    SEVERITIES,
    CheckInterrupted,
    CheckResult,
    CouldNotCheck,
    Finding,
    Reason,
    Remedy,
    RuleResult,
    ScenarioProgress,
    VerdictName,
)
from contracts.core.interrupts import first_interrupt_ignored
from contracts.core.target import Target
from contracts.engine import CheckContext, Ids, OutOfTime, Scenario
from contracts.engine.context import CREATE_RULES
from contracts.engine.discovery import discover
from contracts.engine.runner import Runner
from contracts.engine.same_fault import grouped
from contracts.engine.scheduler import ORDER_OF_SLOW, Progress, Scheduler
from contracts.engine.summary import request_in_words, shorten_ids
from contracts.explore.exploration import FUZZ_EXAMPLES, exploring
from contracts.guard import Guard
from contracts.rules import REGISTRY, SCENARIOS
from contracts.rules.live_cases import (
    LIVE_CASES,
    NO_SECOND_TOKEN,
    RULES_OF_TWO_ORGANISATIONS,
    may_judge,
    why_not_allowed,
)

RULES_OF_EVERY_ANSWER: Final = frozenset({"NO-5XX", "HTTP-ERROR-JSON", "SECRET-LEAK"})
"""Rules that apply to every answer: selecting one runs all scenarios, first those that list a selected rule."""
_NO_WRITES: Final = Reason("nothing may be created without --allow-writes", Remedy.ALLOW_WRITES)
_MOST_NAMED: Final = 5
"""Unfinished scenarios that a note names."""


def check(
    target: Target,
    guard: Guard,
    *,
    rules: Collection[str] | None = None,
    progress: Callable[[Progress], None] = lambda step: None,
    on_finding: Callable[[Finding], bool | None] = lambda finding: None,
) -> CheckResult:
    """Check a target. `rules` are the ids to judge; None means all. `on_finding` returns True to end the check.

    Raises CouldNotCheck, CheckInterrupted.
    """
    wanted = wanted_rules(rules)

    def run(runner: Runner, scheduler: Scheduler) -> None:
        scheduler.run(beside_last_round=lambda: exploring(runner, wanted, lambda name: progress(Progress(name))))

    return _checked(target, guard, wanted, progress, on_finding, run)


def fuzz(
    target: Target,
    guard: Guard,
    *,
    rules: Collection[str] | None = None,
    progress: Callable[[Progress], None] = lambda step: None,
    on_finding: Callable[[Finding], bool | None] = lambda finding: None,
) -> CheckResult:
    """Search until the time is over: replay the example database, run the fixed cases, then generate cases in rounds.

    Each round has its own seed. Raises CouldNotCheck, CheckInterrupted.
    """
    wanted = wanted_rules(rules)

    def run(runner: Runner, scheduler: Scheduler) -> None:
        context = runner.check
        offered = (scenario for scenario in ordered_scenarios(target, wanted) if context.offers(*scenario.needs))
        generating = [scenario for scenario in offered if scenario.generated is not None]
        for scenario in generating:
            runner.run_saved_examples(scenario)
        scenario_progress = scheduler.run()
        round_number = 0
        while all(each.finished for each in scenario_progress) and context.time_left > 0:
            round_number += 1
            for scenario in generating:
                progress(Progress(f"round {round_number}, {scenario.name}"))
                runner.run_generated(scenario, examples=FUZZ_EXAMPLES, round_number=round_number)
            parts = exploring(runner, wanted, lambda name: progress(Progress(name)), round_number=round_number)
            with contextlib.suppress(OutOfTime), parts as has_begun:
                pass
            if not generating and not has_begun:
                break
            if not guard.can_afford(runs=1, requests=1):
                context.note("The budget was spent before the time was over.")
                break

    return _checked(target, guard, wanted, progress, on_finding, run, database=settings().database)


def _checked(
    target: Target,
    guard: Guard,
    wanted: Collection[str],
    progress: Callable[[Progress], None],
    on_finding: Callable[[Finding], bool | None],
    run: Callable[[Runner, Scheduler], None],
    *,
    database: ExampleDatabase | None = None,
) -> CheckResult:
    """Discover the target and call `run`. Afterwards, also if the time is over, judge unreported runs.

    Raises CheckInterrupted with the result until then if KeyboardInterrupt ends the check.
    """
    deadline = time.monotonic() + target.max_time_s

    def before_creates(check: CheckContext) -> None:
        require_a_rule_to_judge(check, wanted)
        progress(Progress("finding out what the target offers"))

    progress(Progress("waiting for the first answer"))
    context = discover(target, guard, deadline=deadline, before_creates=before_creates)

    def on_wanted(finding: Finding) -> bool | None:
        return on_finding(finding) if finding.rule in wanted else None  # a scenario may judge other rules too

    runner = Runner(context, on_finding=on_wanted, database=database)
    scheduler = Scheduler(context, runner, ordered_scenarios(target, wanted), progress, LIVE_CASES)
    try:
        try:
            with contextlib.suppress(OutOfTime):
                run(runner, scheduler)
            runner.judge_unreported_runs()
        finally:
            runner.end()
        return _result(runner, wanted, scheduler.scenario_progress())
    except KeyboardInterrupt as error:
        with first_interrupt_ignored(lambda: None):  # a second signal would lose the result
            context.was_interrupted = True
            result = _result(runner, wanted, scheduler.scenario_progress())
        raise CheckInterrupted(result) from error


def wanted_rules(rules: Collection[str] | None) -> frozenset[str]:
    return frozenset(REGISTRY if rules is None else rules)


def ordered_scenarios(target: Target, wanted: Collection[str]) -> list[Scenario[Any]]:
    """Return the scenarios that can judge a wanted rule, in the order in which they start."""
    if target.profile == "live":
        by_name = {scenario.name: scenario for scenario in SCENARIOS}
        scenarios = [by_name[name] for name in LIVE_CASES]
    else:
        scenarios = sorted(SCENARIOS, key=lambda scenario: scenario.order)
    chosen = [scenario for scenario in scenarios if set(wanted).intersection(scenario.rules)]
    if RULES_OF_EVERY_ANSWER.intersection(wanted) and len(chosen) < len(scenarios):
        others = [scenario for scenario in scenarios if scenario not in chosen]
        chosen = [dataclasses.replace(scenario, order=min(scenario.order, ORDER_OF_SLOW - 1)) for scenario in chosen]
        chosen += [dataclasses.replace(scenario, order=ORDER_OF_SLOW) for scenario in others]
    return [s for s in chosen if target.may_write or not s.creates_runs]


def undiscovered(target: Target) -> CheckContext:
    """Return what is known of a target before anything is sent."""
    check = CheckContext(target, Guard(target), deadline=0.0, may_create=target.may_write)
    check.machines, check.pools = (
        Ids(() if given is None else (given,)) for given in (target.machine_id, target.pool_id)
    )
    return check


def require_rules_to_judge(target: Target, rules: Collection[str] | None, required: Collection[str] = ()) -> None:
    """Raises CouldNotCheck if the flags allow no case of any of the rules (None means all), or of a required one. Sends
    nothing.
    """
    check = undiscovered(target)
    require_a_rule_to_judge(check, wanted_rules(rules))
    for rule in required:
        if why := why_unjudged(check, rule):
            raise CouldNotCheck(f"{rule} is required, and cannot be judged: {why.text}")


def why_unjudged(check: CheckContext, rule: str) -> Reason | None:
    """Return why the flags allow no case that can judge the rule; None if they allow one."""
    if not check.target.may_write:
        return _NO_WRITES if _only_creates(rule) else None
    if not check.is_live or rule in RULES_OF_EVERY_ANSWER:
        return None
    scenarios = ordered_scenarios(check.target, {rule})
    return None if any(may_judge(check, scenario, rule) for scenario in scenarios) else why_not_allowed(check, rule)


def require_a_rule_to_judge(check: CheckContext, wanted: Collection[str]) -> None:
    """Raises CouldNotCheck if no case can judge any of the rules, before a run is created for nothing."""
    reasons = {rule: why for rule in sorted(wanted) if (why := why_unjudged(check, rule)) is not None}
    if reasons and len(reasons) == len(wanted):
        raise CouldNotCheck("; ".join(f"{rule} cannot be judged: {why.text}" for rule, why in reasons.items()))


# The result


def _result(runner: Runner, wanted: Collection[str], scenario_progress: Sequence[ScenarioProgress]) -> CheckResult:
    context = runner.check
    unfinished = [each for each in scenario_progress if not each.finished]
    findings = grouped((_with_counts(context, f) for f in runner.findings if f.rule in wanted), _rank)
    results = tuple(_status(context, runner, rule, findings, unfinished) for rule in REGISTRY if rule in wanted)
    is_partial = bool(unfinished or context.internal_errors or context.was_interrupted)
    verdict: VerdictName = "passed"
    if findings:
        verdict = "failed"
    elif context.guard.reachability.why_gone:
        verdict = "could_not_check"
    elif is_partial or any(rule.makes_incomplete for rule in results):
        verdict = "incomplete"
    return CheckResult(
        target=context.target.url,
        seed=context.target.seed,
        verdict=verdict,
        rules=results,
        findings=findings,
        spent=context.guard.spent,
        unstable=tuple(f for f in runner.unstable if f.rule in wanted),
        notes=tuple(_notes(context, unfinished)),
        salt=context.target.salt,
        scenarios=tuple(scenario_progress),
        coverage=context.coverage.as_dict(),
        is_partial=is_partial,
        was_interrupted=context.was_interrupted,
        had_enough_findings=bool(unfinished) and context.has_enough_findings,
    )


def _notes(context: CheckContext, unfinished: Sequence[ScenarioProgress]) -> Iterator[str]:
    yield from context.notes
    yield from context.internal_errors
    if context.not_affordable:
        yield f"The budget did not cover every case of: {', '.join(context.not_affordable)}."
    names = _names_of(unfinished)
    if why_gone := context.guard.reachability.why_gone:
        not_done = f" Not done: {names}." if names else ""
        yield f"The target no longer answers: {why_gone}.{not_done}"
        suspects = list(dict.fromkeys(map(request_in_words, context.guard.reachability.unanswered)))[:_MOST_NAMED]
        if suspects:
            one = "This request" if len(suspects) == 1 else "One of these requests"
            yield f"{one} may have stopped it, since no answer came: {'; '.join(shorten_ids(suspects))}."
    elif context.was_interrupted:
        yield "Interrupted: rules that were not reached are listed as skipped, others with what they judged."
    elif context.has_enough_findings and names:
        yield f"Stopped after enough findings (--max-findings), without: {names}."
    elif names and (why := context.guard.why_no_request_left):
        yield f"{why[0].upper()}{why[1:]}. Not done: {names}. A larger --max-requests tries the rest."
    elif names:
        within = f"Not done within {context.target.max_time_s:g} s: {names}."
        yield f"{within} A longer --max-time (of fuzz: --for) tries the rest."
    if (lost := context.guard.log.lost) is not None:
        yield f"{lost[0].upper()}{lost[1:]}."
    if context.guard.log.skipped:
        yield _not_sent(context.guard.log.skipped)


def _rank(finding: Finding) -> int:
    return list(SEVERITIES).index(REGISTRY[finding.rule].severity)


def _with_counts(context: CheckContext, finding: Finding) -> Finding:
    seen = context.seen_violations[finding.rule, finding.cause]
    return dataclasses.replace(finding, seen=max(1, seen), judged=context.judged[finding.rule])


def _names_of(unfinished: Sequence[ScenarioProgress]) -> str:
    """Name the scenarios with the most cases left; the JSON report has the progress of all."""
    most_left = sorted(unfinished, key=lambda each: each.done - each.planned)
    names = [f"{each.scenario} ({each.cases})" for each in most_left[:_MOST_NAMED]]
    more = len(most_left) - len(names)
    return ", ".join([*names, *([f"and {counted(more, 'more scenario')}"] if more else [])])


def _not_sent(skipped: Sequence[str]) -> str:
    if len(skipped) == 1:
        return f"Not sent: {skipped[0]}."
    return f"Not sent: {len(skipped)} different requests, such as {skipped[0]}."


def _status(
    context: CheckContext, runner: Runner, rule: str, findings: tuple[Finding, ...], unfinished: list[ScenarioProgress]
) -> RuleResult:
    failed = next((f for f in findings if f.rule == rule), None)
    if failed is not None:
        return RuleResult(rule, "failed", failed.expected_and_got)
    missing = [context.not_offered[name] for name in REGISTRY[rule].needs if name in context.not_offered]
    if missing:
        return RuleResult(rule, "not_offered", missing[0])
    judged = context.judged[rule]
    if rule == "NO-5XX" and context.guard.reachability.why_gone:
        return RuleResult(rule, "skipped", "the target stopped answering, perhaps because of a request")
    if judged:
        return RuleResult(rule, "passed", f"judged {counted(judged, 'time')}")
    either = REGISTRY[rule].needs_one_of
    if either and not any(map(context.offers, either)):
        return RuleResult(rule, "not_offered", context.not_offered[either[0]])
    return RuleResult(rule, "skipped", *_why_skipped(context, runner, rule, unfinished))


def _why_skipped(context: CheckContext, runner: Runner, rule: str, unfinished: list[ScenarioProgress]) -> Reason:
    if rule == "HTTP-LIMIT" and not context.guard.log.throttled:
        return Reason("the target never answered 429")
    if rule in RULES_OF_TWO_ORGANISATIONS and not context.has_second:
        return NO_SECOND_TOKEN
    if context.was_interrupted and (context.may_create or not _only_creates(rule)):
        return Reason("not reached before the check was interrupted")
    names = {each.scenario for each in unfinished}
    if any(rule in scenario.rules for scenario in SCENARIOS if scenario.name in names):
        stopped = context.has_enough_findings or context.guard.reachability.why_gone
        if stopped:
            return Reason("not reached before the check stopped")
        if why := context.guard.why_no_request_left:
            return Reason(why, Remedy.MORE_REQUESTS)
        return Reason("not reached in time")
    if context.target.may_write and not context.may_create and _only_creates(rule):
        return Reason("the budget does not cover one run", Remedy.LARGER_BUDGET)
    if any(rule in scenario.rules for scenario in SCENARIOS if scenario.name in context.not_affordable):
        return Reason("the budget does not cover its cases", Remedy.LARGER_BUDGET)
    if not_allowed := why_unjudged(context, rule):
        return not_allowed
    if field := CREATE_RULES.get(rule, ""):
        return Reason(f"no create with {field} was accepted")
    reasons = [runner.skipped[s.name] for s in SCENARIOS if rule in s.rules and s.name in runner.skipped]
    return reasons[0] if reasons else Reason("nothing that was sent could be judged by it")


def _only_creates(rule: str) -> bool:
    """Return whether only scenarios that create runs judge the rule."""
    if rule in RULES_OF_EVERY_ANSWER:
        return rule == "SECRET-LEAK"  # a secret is in creates only
    scenarios = [scenario for scenario in SCENARIOS if rule in scenario.rules]
    return bool(scenarios) and all(scenario.creates_runs for scenario in scenarios)
