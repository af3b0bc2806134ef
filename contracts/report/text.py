"""The text report for the terminal: the rules by group, those that did not pass, the findings, and the verdict."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from contracts.core.counting import counted
from contracts.core.findings import CheckResult, Finding, Rule, RuleResult, RuleStatus
from contracts.core.printable import printable
from contracts.report.curl import curls
from contracts.report.next_step import next_step
from contracts.report.report import Report, shortened, unstable_heading

_COLOURS: dict[RuleStatus, str] = {"passed": "green", "failed": "red", "skipped": "yellow", "not_offered": "cyan"}
_MIN_WRAP_WIDTH = 40
_MAX_VALUE_LENGTH = 1_200
_MANY = 4
"""So many rules with one reason are one row."""
_JUDGED_NOTHING = "nothing was judged (see above)"


def render_text(
    report: Report,
    *,
    width: int | None = None,
    verbose: bool = False,
    json_path: Path | None = None,
    target_flags: Sequence[str] = (),
) -> str:
    """Render with colours, which click.echo removes if the output is not a terminal. Without `width`, do not wrap.
    `verbose` also lists the rules that passed. `json_path` is the JSON report of the same check, if there is one, and
    `target_flags` are the flags that another command for the target needs.
    """
    return "\n".join(_lines(report, width, verbose, next_step(report, json_path, target_flags))) + "\n"


def render_finding(finding: Finding, target: str, rules: Mapping[str, Rule]) -> str:
    """Render one finding, as `contracts fuzz` prints it when it is found."""
    return "\n".join(_finding(finding, target, rules, finding.rule, "red"))


def plain_finding(finding: Finding, report: Report) -> str:
    """Render one finding of a report, without colours."""
    return click.unstyle(render_finding(finding, report.result.target, report.rules))


def _lines(report: Report, width: int | None, verbose: bool, step: str) -> Iterator[str]:
    result = report.result
    if result.rules:
        yield from _counts(report)
        yield ""
    if shown := [rule for rule in result.rules if verbose or rule.status != "passed"]:
        yield from _table(shown if verbose else _grouped(shown), width)
        yield ""
    for number, finding in enumerate(report.main_findings, 1):
        yield from _finding(finding, result.target, report.rules, f"{number}. {finding.rule}", "red")
    for finding in result.unstable:
        yield from _finding(
            finding, result.target, report.rules, f"{unstable_heading(finding)}: {finding.rule}", "yellow"
        )
    if result.findings or result.unstable:
        yield from (*report.hints, "")
    yield from map(printable, report.accepted)
    for note in result.notes:
        yield f"Note: {printable(note)}"
    yield from _verdict(report)
    if step:
        yield f"Next: {printable(step)}"


def _counts(report: Report) -> Iterator[str]:
    """A table with the number of rules of each status, by group."""
    counts = report.counts_by_group
    if len(counts) > 1:
        counts["All rules"] = sum(counts.values(), Counter())
    width = max(map(len, counts))
    yield " " * width + "".join(f"  {status.replace('_', ' ')}" for status in _COLOURS)
    for group, count in counts.items():
        yield f"{group:<{width}}" + "".join(
            "  "
            + (click.style(f"{count[status]:>{len(status)}}", fg=colour) if count[status] else f"{'-':>{len(status)}}")
            for status, colour in _COLOURS.items()
        )


def _table(rules: Sequence[RuleResult], width: int | None) -> Iterator[str]:
    id_width = max(len(rule.id) for rule in rules)
    indent = id_width + 13
    for rule in rules:
        status = rule.status_in_words
        why = printable(rule.why)
        if width is not None and why:
            why = textwrap.fill(
                why,
                max(width, indent + _MIN_WRAP_WIDTH),
                initial_indent=" " * indent,
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
            ).lstrip()
        gap = " " * (12 - len(status)) + why if why else ""
        yield f"{rule.id:<{id_width}} {click.style(status, fg=_COLOURS[rule.status])}{gap}"


def _grouped(rules: Sequence[RuleResult]) -> list[RuleResult]:
    """Put many rules that were skipped for the same reason into one row, in the place of the first of them."""
    skipped: dict[str, list[str]] = {}
    for rule in rules:
        if rule.status == "skipped":
            skipped.setdefault(rule.why, []).append(rule.id)
    rows: list[RuleResult] = []
    for rule in rules:
        ids = skipped[rule.why] if rule.status == "skipped" else [rule.id]
        if len(ids) < _MANY:
            rows.append(rule)
        elif rule.id == ids[0]:
            rows.append(RuleResult(counted(len(ids), "rule"), "skipped", f"{rule.why}: {', '.join(ids)}"))
    return rows


def _finding(finding: Finding, target: str, rules: Mapping[str, Rule], heading: str, colour: str) -> Iterator[str]:
    title = f"({rules[finding.rule].severity}) {rules[finding.rule].title}" if finding.rule in rules else ""
    yield click.style(heading, fg=colour, bold=True) + (f" {title}" if title else "")
    if finding.summary:
        yield f"   {_short(finding.first_line)}"
    yield f"   expected     {_short(finding.expected)}"
    yield f"   got          {_short(finding.got)}"
    yield from (f"   {name:<12} {_short(words)}" for name, words in finding.details.items())
    yield f"   fingerprint  {finding.fingerprint}"
    if finding.exchanges:
        yield ""
        yield from finding.command_hints
        yield from curls(finding.exchanges, target)
    yield ""


def _verdict(report: Report) -> Iterator[str]:
    result, spent = report.result, report.result.spent
    count = {status: sum(rule.status == status for rule in result.rules) for status in _COLOURS}
    yield (
        f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped, "
        f"{count['not_offered']} not offered; {spent.in_words}, seed {result.seed}, salt {result.salt}"
    )
    for reason in report.failed_by:
        yield click.style(printable(reason), fg="red", bold=True)
    match result.verdict:
        case "passed":
            colour = "yellow" if result.unstable else "green"
            yield click.style(f"PASSED: {_passed_in_words(result)}.", fg=colour, bold=True)
        case "failed":
            yield click.style(f"FAILED{report.count_in_words}.", fg="red", bold=True)
        case "incomplete":
            found = "nothing new" if result.baselined else "nothing found"
            missing = ", and ".join(_missing_in_words(result)) or "not everything was tried"
            yield click.style(f"INCOMPLETE: {found}, but {missing}.", fg="yellow", bold=True)
        case "could_not_check":
            why = f": {_JUDGED_NOTHING}" if result.judged_nothing else ""
            yield click.style(f"COULD NOT CHECK{why}.", fg="red", bold=True)


def _passed_in_words(result: CheckResult) -> str:
    accepted = len(result.baselined)
    found = "nothing new" if accepted else "nothing found"
    if result.unstable:
        findings = counted(len(result.unstable), "unstable finding")
        found = f"no {'new ' if accepted else ''}finding repeated; {findings}, see above"
    if accepted:
        found += f"; {counted(accepted, 'finding', 'is', 'are')} accepted by the baseline"
    return found


def _missing_in_words(result: CheckResult) -> Iterator[str]:
    """Yield what an incomplete check has not found out."""
    skipped = sum(rule.makes_incomplete for rule in result.rules)
    unfinished = sum(not scenario.finished for scenario in result.scenarios)
    if unfinished and not result.judged_nothing:
        yield f"{counted(unfinished, 'scenario', 'is', 'are')} unfinished"
    if result.judged_nothing:
        yield _JUDGED_NOTHING
    elif skipped:
        yield f"{counted(skipped, 'rule', 'was', 'were')} not judged (see above)"
    if result.spent.runs_left is None:
        yield "it is not known what is left on the target"


def _short(text: str) -> str:
    return shortened(printable(text), _MAX_VALUE_LENGTH)
