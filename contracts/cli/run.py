"""Runs one check: opens the guard, judges the rules, cleans up the created runs and builds the report.

The command line and the pytest plugin both use this, so that they report the same.
"""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from contracts.cli.baseline import Baseline
from contracts.cli.example_database import use_example_database
from contracts.cli.options import CheckOptions, known_rule, require_second_token, require_writable, selected_rules
from contracts.cli.outcome import EXIT_CODES, EXIT_INTERRUPTED, allow_intermittent, judge
from contracts.cli.progress import ProgressDisplay
from contracts.cli.wait import wait_for
from contracts.core.counting import counted
from contracts.core.exchange import Exchange
from contracts.core.findings import CheckInterrupted, CheckResult, CouldNotCheck, Finding, Rule, RuleResult, VerdictName
from contracts.core.interrupts import first_interrupt_ignored, sigterm_as_interrupt
from contracts.core.printable import printable
from contracts.core.target import Target
from contracts.report import FORMATS, WITH_EXCHANGES
from contracts.report.masking import Mask
from contracts.report.report import Report, worst_first

if TYPE_CHECKING:
    from contracts.guard import Guard


JudgeRules = Callable[..., CheckResult]
"""`contracts.check.check`, `fuzz` for a given time, or `replay` of a finding."""
MANY_EXCHANGES: Final = 2_000
"""A report with so many exchanges takes seconds to write."""
MOST_NAMED: Final = 25
"""How many of the runs that are left a note names: all those that a live check may create by default."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check. `report` is masked. `problem` says in one line why the target could not be checked, and
    what to do about it.

    `exchanges` are those of the whole check if a report needs them. They are not masked; `with_exchanges` masks them,
    which may take long.
    """

    report: Report
    problem: str | None = None
    left: tuple[str, ...] = ()
    """What the check leaves on the target, or may leave, masked. It is among the notes of the report, too, which is not
    shown if there is a problem.
    """
    interrupted: bool = False
    exchanges: tuple[Exchange, ...] = field(default=(), repr=False)
    mask: Mask = field(default_factory=Mask, repr=False)

    def with_exchanges(self) -> Report:
        return self.report.with_exchanges(self.exchanges, self.mask)

    @property
    def exit_code(self) -> int:
        exit_code = EXIT_CODES[self.report.result.verdict]
        return EXIT_INTERRUPTED if self.interrupted and exit_code == 0 else exit_code


def check_target(
    target: Target,
    check_options: CheckOptions,
    rules: Mapping[str, Rule],
    judge_rules: JudgeRules,
    *,
    progress: ProgressDisplay | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> Checked:
    """Run a check. `judge_rules` sends the requests. `on_finding` is called with each finding whose `fails` is true,
    masked. Raises CouldNotCheck if the journal cannot be written, since nothing may be created without it.
    """
    baseline = Baseline() if check_options.baseline is None else Baseline.from_path(check_options.baseline)
    target = dataclasses.replace(target, accepted=baseline.valid(date.today()))
    return _CheckRun(target, check_options, rules, judge_rules, progress, on_finding).run()


@dataclass
class _CheckRun:
    """A check, from its first request to its report."""

    target: Target
    options: CheckOptions
    rules: Mapping[str, Rule]
    judge_rules: JudgeRules
    progress: ProgressDisplay | None
    on_finding: Callable[[Finding], None] | None
    failing: set[str] = field(default_factory=set)
    """The fingerprints of the findings that fail the check."""

    @functools.cached_property
    def display(self) -> ProgressDisplay:
        """The progress, or a display that shows nothing since it does not `begin`."""
        return self.progress or ProgressDisplay(self.target.url, self.target.max_time_s)

    def run(self) -> Checked:
        from contracts.guard import Guard

        started_at = datetime.now(UTC)
        formats = {name for name, _ in self.options.reports}
        with sigterm_as_interrupt(), Guard(self.target) as guard:
            result, problem, interrupted = self._judged(guard)
            self.display.show_end("cleaning up" if self.target.clean_up else "counting the runs that are left")
            result, left_notes, cut_short = self._cleaned_up(guard, result)
            exchanges = tuple(guard.exchanges) if WITH_EXCHANGES & formats else ()
        result, failed_by = conclude(result, self.options, today=date.today())
        mask = mask_of(self.target)
        result = worst_first(result, self.rules)
        report = Report(result, self.rules, (), failed_by, started_at).masked(mask)
        shown_problem = None if problem is None else mask.words(problem)
        left = tuple(map(mask.words, left_notes))
        return Checked(report, shown_problem, left, interrupted or cut_short, exchanges, mask)

    def _judged(self, guard: Guard) -> tuple[CheckResult, str | None, bool]:
        """Return the result, the reason why the target could not be checked, and whether Ctrl-C ended the check."""
        try:
            return self._judge(guard), None, False
        except CouldNotCheck as error:
            problem = " ".join(str(error).split())
            return self._unfinished(guard, "could_not_check", why=problem, note=problem), problem, False
        except CheckInterrupted as interrupted:
            return interrupted.result, None, True
        except KeyboardInterrupt:  # before anything was judged
            note = "Interrupted: what was not reached is listed as skipped."
            return self._unfinished(guard, "incomplete", why="interrupted", note=note), None, True
        except BaseException:
            # An internal error is raised unchanged, after the cleanup.
            left, cut_short = self._clean_up(guard)
            for note in _left_notes(self.target, guard, left, cut_short=cut_short):
                click.echo(f"Note: {printable(mask_of(self.target).words(note))}", err=True)
            raise

    def _judge(self, guard: Guard) -> CheckResult:
        if self.options.wait_s is not None:
            wait_for(self.target, self.options.wait_s, tell=lambda message: click.echo(message, err=True))
        if self.progress is not None:
            self.progress.begin(lambda: guard.spent)
        selected = selected_rules(self.options, tuple(self.rules))
        show_step = self.display.show_step
        return self.judge_rules(self.target, guard, rules=selected, progress=show_step, on_finding=self._note_finding)

    def _note_finding(self, finding: Finding) -> bool:
        """Show a finding, and return whether there are enough."""
        if finding.fails:
            self.display.show_finding(finding)
            if self.on_finding is not None:
                mask = mask_of(self.target)
                mask.learn(exchange.request for exchange in finding.exchanges)
                self.on_finding(mask.finding(finding))
        is_allowed = not finding.fails or (self.options.allow_intermittent and not finding.stable)
        if not is_allowed and finding.fingerprint not in self.target.accepted:
            self.failing.add(finding.fingerprint)
        return self.options.max_findings is not None and len(self.failing) >= self.options.max_findings

    def _unfinished(self, guard: Guard, verdict: VerdictName, *, why: str, note: str) -> CheckResult:
        """Return the result of a check that ended before it judged anything."""
        rules = selected_rules(self.options, tuple(self.rules)) or tuple(self.rules)
        return CheckResult(
            target=self.target.url,
            seed=self.target.seed,
            salt=self.target.salt,
            verdict=verdict,
            rules=tuple(RuleResult(rule, "skipped", why) for rule in rules),
            findings=(),
            spent=guard.spent,
            notes=(note,),
            is_partial=True,
            was_interrupted=verdict == "incomplete",
        )

    def _cleaned_up(self, guard: Guard, result: CheckResult) -> tuple[CheckResult, tuple[str, ...], bool]:
        """Clean up. Return the result with the number of runs that are left, the notes about them, which are also those
        of the result, and whether Ctrl-C ended the cleanup.
        """
        left, cut_short = self._clean_up(guard)
        unknown = bool(guard.left_unknown or guard.possibly_left)
        notes = tuple(_left_notes(self.target, guard, left, cut_short=cut_short))
        spent = dataclasses.replace(guard.spent, runs_left=None if unknown else left)
        must_stay = self.target.leave_runs and guard.cannot_delete
        needs_cleanup = bool(left and (cut_short or (self.target.clean_up and not must_stay)))
        result = dataclasses.replace(result, spent=spent, notes=(*result.notes, *notes), needs_cleanup=needs_cleanup)
        return result, notes, cut_short

    def _clean_up(self, guard: Guard) -> tuple[int, bool]:
        """Clean up, or only count the runs that are left. Return how many are left, and whether a second Ctrl-C or
        SIGTERM ended this; if so, all created runs count as left.
        """

        def tell() -> None:
            message = "Still counting what is left; press Ctrl-C again to stop."
            if self.target.clean_up:
                message = "Still cleaning up; press Ctrl-C again to stop and leave the runs."
            with self.display.hidden():
                click.echo(message, err=True)

        try:
            with first_interrupt_ignored(tell):
                return (guard.clean_up() if self.target.clean_up else guard.count_left()), False
        except KeyboardInterrupt:
            return guard.spent.runs_created, True


def conclude(result: CheckResult, check_options: CheckOptions, *, today: date) -> tuple[CheckResult, tuple[str, ...]]:
    """Apply the baseline, after updating its file if `update_baseline` is set, and judge the result."""
    if check_options.allow_intermittent:
        result = allow_intermittent(result)
    if check_options.baseline is not None:
        baseline = Baseline.from_path(check_options.baseline)
        if check_options.update_baseline and result.verdict != "could_not_check":
            accepted = len(baseline.accepted)
            baseline = baseline.updated(result.findings, today)
            baseline.write(check_options.baseline)
            added = counted(len(baseline.accepted) - accepted, "finding")
            note = f"{added} added to {check_options.baseline}: write there why each is accepted."
            result = dataclasses.replace(result, notes=(*result.notes, note))
        result = baseline.apply(result, today)
    return judge(result, required=check_options.required, fail_on_incomplete=check_options.fail_on_incomplete)


def mask_of(target: Target) -> Mask:
    tokens = {target.token: "$TOKEN", target.second_token: "$SECOND_TOKEN"}
    mask = Mask({token: placeholder for token, placeholder in tokens.items() if token}, url=target.url)
    mask.learn_body(target.base_request)
    return mask


def _left_notes(target: Target, guard: Guard, left: int, *, cut_short: bool) -> Iterator[str]:
    """Yield notes about everything that the check leaves on the target, or may leave."""
    ca_bundle = () if target.ca_bundle is None else ("--ca-bundle", target.ca_bundle)
    # The command takes the token from the environment.
    again = f"`{shlex.join(('contracts', 'cleanup', target.url, *ca_bundle))}`"
    runs = counted(left, "run", "is", "are")
    named = _named(guard.unfinished_runs)
    if cut_short:
        yield f"Cleaning up was interrupted, at most {runs} left: {again} deletes them.{named}"
    elif left and target.leave_runs and guard.cannot_delete:
        yield f"{runs} left, since the target does not offer DELETE (--leave-runs).{named}"
    elif left and target.clean_up:
        them = "it" if left == 1 else "them"
        yield f"{runs} left, though the check tried to delete {them}: {again} tries again.{named}"
    elif left:
        yield f"{runs} left on the target, since --clean-up was not given: {again} deletes them."
    if guard.other_resources:
        made = " and ".join(
            counted(count, kind.removesuffix("s")) for kind, count in sorted(guard.other_resources.items())
        )
        yield f"The check has created {made}, which the API cannot delete."
    for why in guard.left_unknown:
        yield f"How many runs are left is unknown: {why}. {again} tries again."
    if guard.possibly_left:
        yield (
            "Some runs may belong to this check. That is not proven, so it did not delete them. How many of its runs"
            " are left is unknown. Look at these yourself, likely ones first: "
            + "; ".join(map(str, guard.possibly_left))
        )


def _named(runs: Sequence[str]) -> str:
    """Return a sentence with the ids of the runs that are left: whoever cannot clean up later must find them."""
    more = f", and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return f" Left: {', '.join(run[:64] for run in runs[:MOST_NAMED])}{more}." if runs else ""


def prepare(target: Target, check_options: CheckOptions, rules: Mapping[str, Rule]) -> None:
    """Check the second token, what the flags allow, the report paths and the baseline, and open the example database,
    before the first request. Raises click.UsageError if one of these fails.
    """
    from contracts.check import require_rules_to_judge

    require_second_token(target, check_options, rules)
    try:
        require_rules_to_judge(target, selected_rules(check_options, rules), check_options.required)
    except CouldNotCheck as error:
        raise click.UsageError(f"{error}.") from error
    require_writable(check_options.reports)
    if check_options.baseline is not None:
        _check_baseline(check_options.baseline, rules, may_be_missing=check_options.update_baseline)
    if check_options.example_database is not None:
        use_example_database(check_options.example_database)


def _check_baseline(path: Path, rules: Collection[str], *, may_be_missing: bool) -> None:
    """Raises click.UsageError if the file cannot be used, or names a rule that does not exist."""
    if not may_be_missing and not path.exists():
        raise click.UsageError(f"{path} is not there: correct --baseline, or write the file with --update-baseline.")
    for entry in Baseline.from_path(path).accepted:
        try:
            known_rule(entry.rule, rules)
        except click.UsageError as error:
            raise click.UsageError(f"{path}: {error.message}") from error


def write_reports(checked: Checked, check_options: CheckOptions) -> list[str]:
    """Write the reports. Those with all exchanges come last, since masking and writing these may take long. Return a
    line for each report that could not be written.
    """
    problems = []
    for name, path in sorted(check_options.reports, key=lambda report: report[0] in WITH_EXCHANGES):
        report = checked.report
        if name in WITH_EXCHANGES:
            if len(checked.exchanges) >= MANY_EXCHANGES:
                click.echo(f"Writing {path}: all requests and answers, masked. This may take a minute.", err=True)
            report = checked.with_exchanges()
        text = FORMATS[name](report)
        try:
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            problems.append(f"The {name} report could not be written to {path}: {error.strerror or error}.")
    return problems
