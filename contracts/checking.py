"""One check from its beginning to its report: the guard is opened, the rules judged, what was made cleaned up.

The command line and the pytest plugin both come here, so that they say the same.
"""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from contracts.baseline import Baseline
from contracts.findings import CheckResult, CouldNotCheck, Finding, RuleResult, Spent
from contracts.options import Wishes, selected_rules
from contracts.outcome import Outcome, judge
from contracts.report.masking import Mask
from contracts.report.report import Report, RuleText
from contracts.target import Target

if TYPE_CHECKING:
    from contracts.guard import Guard


@dataclass(frozen=True, slots=True)
class Checked:
    """`report` is masked. `problem` is the one line of a check that could not be made."""

    report: Report
    outcome: Outcome
    problem: str | None = None
    interrupted: bool = False


def check_target(
    target: Target,
    wishes: Wishes,
    rules: Mapping[str, RuleText],
    *,
    judge_rules: Callable[[Guard], CheckResult],
    found_so_far: Callable[[], tuple[Finding, ...]] = tuple,
) -> Checked:
    """`judge_rules` sends; `found_so_far` is asked for findings where it was interrupted and has no result to give."""
    from contracts.guard import Guard

    started_at = datetime.now(UTC)
    problem, interrupted = None, False
    with _terminated_as_interrupted(), Guard(target) as guard:
        try:
            result = judge_rules(guard)
        except CouldNotCheck as error:
            problem = " ".join(str(error).split())
            result = _without_result(target, wishes, rules, guard, why=problem, findings=())
            result = dataclasses.replace(result, verdict="could_not_check", notes=(problem,))
        except KeyboardInterrupt:
            interrupted = True
            result = _without_result(target, wishes, rules, guard, why="interrupted", findings=found_so_far())
        finally:
            _clean_up(target, guard)
        result = _counted(result, target, guard)
        exchanges = tuple(guard.exchanges) if any(name == "har" for name, _ in wishes.reports) else ()
    outcome = conclude(result, wishes, today=date.today())
    report = Report(
        result=outcome.result,
        rules=rules,
        exchanges=exchanges,
        failed_by=outcome.failed_by,
        started_at=started_at,
    ).masked(mask_of(target))
    return Checked(report, outcome, problem, interrupted)


def conclude(result: CheckResult, wishes: Wishes, *, today: date) -> Outcome:
    """Applies the baseline, and writes it anew where that is wished."""
    if wishes.baseline is not None:
        baseline = Baseline.from_path(wishes.baseline)
        if wishes.update_baseline and result.verdict != "could_not_check":
            baseline = baseline.updated(result.findings, today)
            baseline.write(wishes.baseline)
        result = baseline.apply(result, today)
    return judge(result, required=wishes.required, fail_on_incomplete=wishes.fail_on_incomplete)


def mask_of(target: Target) -> Mask:
    tokens = {target.token: "$TOKEN", target.second_token: "$SECOND_TOKEN"}
    mask = Mask({secret: placeholder for secret, placeholder in tokens.items() if secret})
    mask.learn_body(target.base_request)
    return mask


def _clean_up(target: Target, guard: Guard) -> None:
    if target.clean_up and not target.leave_runs:
        guard.clean_up()


def _counted(result: CheckResult, target: Target, guard: Guard) -> CheckResult:
    """With what was spent counted after the clean-up, and what is left said."""
    spent = guard.spent
    notes = [*result.notes]
    if spent.runs_left:
        runs = "1 run is" if spent.runs_left == 1 else f"{spent.runs_left} runs are"
        if target.clean_up:
            notes.append(f"{runs} left on the target: `contracts cleanup {target.url}` takes them away.")
        else:
            notes.append(
                f"{runs} left on the target, since --clean-up is off: `contracts cleanup {target.url}` takes them away."
            )
    return dataclasses.replace(result, spent=spent, notes=tuple(notes))


def _without_result(
    target: Target,
    wishes: Wishes,
    rules: Mapping[str, RuleText],
    guard: Guard,
    *,
    why: str,
    findings: tuple[Finding, ...],
) -> CheckResult:
    failed = {finding.rule: finding.got for finding in findings}
    selected = selected_rules(wishes, tuple(rules))
    return CheckResult(
        target=target.url,
        seed=target.seed,
        verdict="failed" if findings else "incomplete",
        rules=tuple(
            RuleResult(rule, "failed", failed[rule]) if rule in failed else RuleResult(rule, "skipped", why)
            for rule in (rules if selected is None else selected)
        ),
        findings=findings,
        spent=guard.spent,
        notes=("Interrupted: what was not reached is listed as skipped.",) if why == "interrupted" else (),
    )


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A CI that stops the job sends SIGTERM: cleaned up and reported as after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def no_spending() -> Spent:
    return Spent(requests=0, runs_created=0, runs_left=0, seconds=0.0)
