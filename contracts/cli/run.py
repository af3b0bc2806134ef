"""Runs one check: opens the guard, judges the rules, cleans up the created runs and builds the report.

The command line and the pytest plugin both use this, so that they report the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from contracts.cli.baseline import Baseline, BaselineError
from contracts.cli.example_database import use_example_database
from contracts.cli.options import CheckOptions, selected_rules, writable
from contracts.cli.outcome import Outcome, judge
from contracts.cli.wait import wait_for
from contracts.core.findings import CheckResult, CouldNotCheck, Finding, RuleResult
from contracts.core.interrupts import terminated_as_interrupted
from contracts.core.target import Target
from contracts.report import FORMATS
from contracts.report.masking import Mask
from contracts.report.report import Report, RuleText

if TYPE_CHECKING:
    from contracts.guard import Guard


JudgeRules = Callable[["Guard", Callable[[Finding], None]], CheckResult]


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check. `report` is masked. `problem` says in one line why the target could not be checked."""

    report: Report
    outcome: Outcome
    problem: str | None = None
    interrupted: bool = False


def check_target(
    target: Target,
    check_options: CheckOptions,
    rules: Mapping[str, RuleText],
    *,
    judge_rules: JudgeRules,
    on_finding: Callable[[Finding], None] | None = None,
) -> Checked:
    """Run a check. `judge_rules` sends the requests and reports each finding at once, so that an interruption loses
    none. `on_finding` is called with each stable finding, masked.

    Raises:
        CouldNotCheck: the journal cannot be written. Without it, nothing may be created.
    """
    started_at = datetime.now(UTC)
    with terminated_as_interrupted(), _open_guard(target) as guard:
        result, problem, interrupted = _run_rules(target, check_options, rules, guard, judge_rules, on_finding)
        left, cut_short = _clean_up(target, guard)
        unknown = bool(guard.left_unknown or guard.possibly_left)
        notes = (*result.notes, *_left_run_notes(target, guard, left, cut_short=cut_short))
        spent = dataclasses.replace(guard.spent, runs_left=None if unknown else left)
        verdict = "incomplete" if unknown and result.verdict == "passed" else result.verdict
        result = dataclasses.replace(result, verdict=verdict, spent=spent, notes=notes)
        exchanges = tuple(guard.exchanges) if any(name == "har" for name, _ in check_options.reports) else ()
    outcome = conclude(result, check_options, today=date.today())
    report = Report(
        result=outcome.result,
        rules=rules,
        exchanges=exchanges,
        failed_by=outcome.failed_by,
        started_at=started_at,
    ).masked(mask_of(target))
    shown_problem = None if problem is None else mask_of(target).text(problem)
    return Checked(report, outcome, shown_problem, interrupted or cut_short)


@contextmanager
def _open_guard(target: Target) -> Iterator[Guard]:
    from contracts.guard import Guard

    with ExitStack() as stack:
        try:
            guard = stack.enter_context(Guard(target))
        except OSError as error:
            raise CouldNotCheck(
                f"the journal that cleaning up needs cannot be written ({error}): set CONTRACTS_JOURNAL_DIR to a folder"
            ) from error
        yield guard


def _run_rules(
    target: Target,
    check_options: CheckOptions,
    rules: Mapping[str, RuleText],
    guard: Guard,
    judge_rules: JudgeRules,
    on_finding: Callable[[Finding], None] | None,
) -> tuple[CheckResult, str | None, bool]:
    """Return the result, the problem if the target could not be checked, and whether the check was interrupted."""
    found: list[Finding] = []

    def keep(finding: Finding) -> None:
        found.append(finding)
        if finding.stable and on_finding is not None:
            mask = mask_of(target)
            mask.learn(exchange.request for exchange in finding.exchanges)
            on_finding(mask.finding(finding))

    try:
        if check_options.wait_s is not None:
            wait_for(target, check_options.wait_s, tell=lambda words: click.echo(words, err=True))
        return judge_rules(guard, keep), None, False
    except CouldNotCheck as error:
        problem = " ".join(str(error).split())
        result = _without_result(target, check_options, rules, guard, why=problem, found=())
        return dataclasses.replace(result, verdict="could_not_check", notes=(problem,)), problem, False
    except KeyboardInterrupt:
        note = "Interrupted: what was not reached is listed as skipped."
        result = _without_result(target, check_options, rules, guard, why="interrupted", found=found)
        return dataclasses.replace(result, notes=(note,)), None, True
    except BaseException:
        # An internal error is raised unchanged, after the cleanup.
        _clean_up(target, guard)
        raise


def conclude(result: CheckResult, check_options: CheckOptions, *, today: date) -> Outcome:
    """Apply the baseline, after updating its file if `update_baseline` is set, and return the outcome."""
    if check_options.baseline is not None:
        baseline = Baseline.from_path(check_options.baseline)
        if check_options.update_baseline and result.verdict != "could_not_check":
            baseline = baseline.updated(result.findings, today)
            baseline.write(check_options.baseline)
        result = baseline.apply(result, today)
    return judge(result, required=check_options.required, fail_on_incomplete=check_options.fail_on_incomplete)


def mask_of(target: Target) -> Mask:
    tokens = {target.token: "$TOKEN", target.second_token: "$SECOND_TOKEN"}
    mask = Mask({token: placeholder for token, placeholder in tokens.items() if token})
    mask.learn_body(target.base_request)
    return mask


def _clean_up(target: Target, guard: Guard) -> tuple[int, bool]:
    """Return how many runs are left, and whether Ctrl-C ended the cleanup; then all created runs count as left."""
    try:
        return (guard.clean_up() if target.clean_up else guard.count_left()), False
    except KeyboardInterrupt:
        return guard.spent.runs_created, True


def _left_run_notes(target: Target, guard: Guard, left: int, *, cut_short: bool) -> Iterator[str]:
    again = f"`contracts cleanup {target.url}`"
    runs = "1 run is" if left == 1 else f"{left} runs are"
    if cut_short:
        yield f"Cleaning up was interrupted, up to {left} runs are left: {again} takes them away."
    elif left and target.clean_up:
        yield f"{runs} left although all was tried: {again} tries again."
    elif left:
        yield f"{runs} left on the target, since --clean-up was not given: {again} takes them away."
    for why in guard.left_unknown:
        yield f"How many runs are left is unknown: {why}. {again} tries again."
    if guard.possibly_left:
        yield (
            "Some runs may be of this check, but that is not proven, so they were left. How many runs of it are left is"
            f" unknown. Look at these yourself: {', '.join(guard.possibly_left)}"
        )


def _without_result(
    target: Target,
    check_options: CheckOptions,
    rules: Mapping[str, RuleText],
    guard: Guard,
    *,
    why: str,
    found: Sequence[Finding],
) -> CheckResult:
    findings = tuple(finding for finding in found if finding.stable)
    failed = {finding.rule: finding.got for finding in findings}
    selected = selected_rules(check_options, tuple(rules))
    return CheckResult(
        target=target.url,
        seed=target.seed,
        verdict="failed" if findings else "incomplete",
        rules=tuple(
            RuleResult(rule, "failed", failed[rule]) if rule in failed else RuleResult(rule, "skipped", why)
            for rule in (rules if selected is None else selected)
        ),
        findings=findings,
        unstable=tuple(finding for finding in found if not finding.stable),
        spent=guard.spent,
    )


def prepare(check_options: CheckOptions) -> None:
    """Check the report paths and the baseline, and open the example database, before the first request.

    Raises:
        click.UsageError: one of these fails.
    """
    writable(check_options.reports)
    if check_options.baseline is not None:
        try:
            Baseline.from_path(check_options.baseline)
        except BaselineError as error:
            raise click.UsageError(f"{error}.") from error
    if check_options.example_database is not None:
        use_example_database(check_options.example_database)


def write_reports(checked: Checked, check_options: CheckOptions) -> None:
    for name, path in check_options.reports:
        path.write_text(FORMATS[name](checked.report), encoding="utf-8", newline="\n")
