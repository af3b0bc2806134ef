"""`contracts replay`: sends a finding of a JSON report again, and says whether it still shows."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from contracts.cli.options import CheckOptions, target_from
from contracts.cli.progress import ProgressDisplay
from contracts.cli.run import Checked, check_target
from contracts.core.counting import counted
from contracts.core.findings import Finding, Rule
from contracts.core.printable import printable
from contracts.core.target import is_loopback
from contracts.report.json_reader import SavedReport, read_report
from contracts.report.report import shortened
from contracts.report.text import render_finding

_MOST_NAMED: Final = 3


def replay_finding(path: Path, fingerprint: str, flags: dict[str, Any], rules: Mapping[str, Rule]) -> Checked:
    """Send the finding again, and print whether it still shows. Raises click.UsageError if the report or a flag cannot
    be used, or the fingerprint is not that of one finding.
    """
    report = read_report(path)
    finding = _finding_of(report, fingerprint, path)
    if not flags["url"] and not is_loopback(report.target):
        # Whoever wrote the report would otherwise choose where the token goes.
        target_url = printable(report.target)
        raise click.UsageError(f"The token would go to {target_url}, as the report says: give --url if that is right.")
    target = target_from(flags | {"url": flags["url"] or report.target})
    check_options = CheckOptions(rules=(finding.rule,), wait_s=flags["wait_s"])
    from contracts.replay import replay

    with ProgressDisplay(target.url, target.max_time_s) as progress:
        checked = check_target(
            target, check_options, rules, functools.partial(replay, finding=finding), progress=progress
        )
    if checked.problem is None:
        _print(checked, finding, rules)
    return checked


def _print(checked: Checked, finding: Finding, rules: Mapping[str, Rule]) -> None:
    result = checked.report.result
    for shown in result.findings:
        click.echo(render_finding(shown, result.target, rules))
    for note in result.notes:
        click.echo(f"Note: {printable(note)}")
    name = f"{finding.rule} ({finding.fingerprint})"
    if result.findings:
        click.echo(click.style(f"STILL THERE: {name} shows at {printable(result.target)}.", fg="red", bold=True))
    elif not checked.interrupted:
        cost = f"{result.rules[0].why}, {counted(result.spent.requests, 'request')}"
        click.echo(
            click.style(f"GONE: {name} does not show at {printable(result.target)}", fg="green", bold=True)
            + f" ({cost})."
        )


def _finding_of(report: SavedReport, fingerprint: str, path: Path) -> Finding:
    """Return the finding whose fingerprint begins with `fingerprint`. Raises click.UsageError unless there is one."""
    if not report.findings:
        raise click.UsageError(f"{path} has no findings.")
    by_fingerprint = {finding.fingerprint: finding for finding in report.findings}
    found = [name for name in by_fingerprint if fingerprint and name.startswith(fingerprint.lower())]
    if len(found) == 1:
        return by_fingerprint[found[0]]
    # The closest come first: the fingerprint may be misspelled.
    closest = difflib.get_close_matches(fingerprint.lower(), by_fingerprint, n=_MOST_NAMED, cutoff=0)
    candidates = "; ".join(
        f"{name} {by_fingerprint[name].rule}: {shortened(by_fingerprint[name].cause, 80)}"
        for name in (found or closest)[:_MOST_NAMED]
    )
    more = len(found or by_fingerprint) - _MOST_NAMED
    begins = f"that begins with {fingerprint!r}"
    what = f"The report has no finding with a fingerprint {begins}. The nearest"
    if found:
        what = f"Several findings of the report have a fingerprint {begins}"
    raise click.UsageError(f"{what}: {candidates}" + (f"; and {more} more." if more > 0 else "."))
