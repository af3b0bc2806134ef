"""The `contracts` command: reads arguments and environment, runs a check, and prints its report.

The engine, and with it the packages of the `contracts` extra, is imported only when a command needs it.
"""

from __future__ import annotations

import dataclasses
import errno
import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import click
from click.core import ParameterSource

from contracts.cli.option_types import DURATION
from contracts.cli.options import (
    GROUPS_OF_CHECK,
    CheckOptions,
    add_check_options,
    add_example_database,
    add_target_options,
    base_url,
    known_rule,
    option,
    options_from,
    refuse_misspelled_variables,
    require_ca_bundle,
    selected_rules,
    target_from,
    token_from,
)
from contracts.cli.outcome import EXIT_INTERRUPTED
from contracts.cli.progress import CleaningProgress, ProgressDisplay
from contracts.core.counting import counted
from contracts.core.findings import SEVERITIES, CouldNotCheck, Finding, Rule
from contracts.core.printable import printable
from contracts.core.target import Target
from cyberdesk_mockserver.command_help import Group

if TYPE_CHECKING:
    from contracts.cli.run import Checked, JudgeRules
    from contracts.guard import CleanUpReport

_EXTRA = ("hypothesis", "schemathesis", "filelock", "jsonschema", "ahocorasick")
EXTRA_MISSING = (
    "The contract suite is not installed: run  pip install '.[contracts]'  in a checkout, or install the wheel with"
    " [contracts]"
)

_NO_ARGS_IS_HELP: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""The error of a command without arguments, whose message is the help. click 8.1 prints the help itself."""
_SOURCES: Final = {"doc": "the documentation of the bulk create", "api": "other public facts about the API"}
"""What the source of a rule means."""
_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""The errors of a stdout that cannot be written."""


class Unusable(click.ClickException):
    """Nothing could be checked. The message gives the reason in one line."""

    exit_code = 2


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit. An error is one line on stderr and exit code 2; an interruption exits with 130."""
    try:
        status = cli.main(args, prog_name="contracts", standalone_mode=False, color=_colours())
    except click.ClickException as error:
        if isinstance(error, _NO_ARGS_IS_HELP):
            error.show()
        else:
            _show_error(" ".join(error.format_message().split()))
        status = 2
    except CouldNotCheck as error:
        _show_error(f"{error}.")
        status = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS or error.filename is not None:
            raise
        _discard_output()
        _show_error(f"The output could not be written: {error.strerror or error}.")
        status = 2
    sys.exit(status or 0)


def _colours() -> Literal[False] | None:
    """Return the `color` argument of click: False if NO_COLOR is set and not empty, else None (only on a terminal)."""
    return False if os.environ.get("NO_COLOR") else None


def _show_error(message: str) -> None:
    click.echo(f"{click.style('Error:', fg='red')} {printable(message)}", err=True, color=_colours())


def _discard_output() -> None:
    """Discard the buffered output: at exit, Python would try to write it to stdout again, and fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    groups={"Check a server": ("check", "fuzz", "replay", "cleanup"), "Read the contract": ("rules", "explain")},
    examples="""\
contracts check http://127.0.0.1:4010 --token test
contracts check https://api.example.com --plan
contracts explain BULK-COUNT
""",
)
@click.version_option(package_name="cyberdesk-mockserver")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says whether a server keeps the contract of the Cyberdesk runs API.

    Exit code: 0 nothing found (also when incomplete), 1 findings or a missed --require, 2 could not check, or no rule
    could be judged, 130 interrupted before anything was found.
    """
    assert isinstance(context.command, click.Group)
    refuse_misspelled_variables(context.command)


@cli.command(
    groups=GROUPS_OF_CHECK,
    examples="""\
contracts check http://127.0.0.1:4010 --token test
contracts check http://127.0.0.1:8000 --wait 30s --report junit=contract.xml --report html=contract.html
contracts check http://127.0.0.1:8000 --rule BULK-COUNT --rule LIST-PAGE
contracts check https://api.example.com --plan
contracts check https://api.example.com --allow-writes --base-request known-good.json --vary input_values
""",
)
@click.argument("url", envvar="CONTRACTS_URL")
@add_check_options
@click.option("--plan", is_flag=True, help="Show what would be sent and what it could cost at most; send nothing.")
@click.pass_context
def check(context: click.Context, /, **flags: Any) -> None:
    """Checks every rule against the server at URL (its base, before /v1). CONTRACTS_URL may give it, too."""
    rules = load_rules()
    target = target_from(flags)
    check_options = options_from(flags, rules)
    from contracts.check import check as check_rules
    from contracts.plan import plan

    if flags["plan"]:
        click.echo(plan(target, selected_rules(check_options, rules)))
        return
    context.exit(_check(target, check_options, rules, check_rules))


@cli.command(
    groups=GROUPS_OF_CHECK,
    examples="""\
contracts fuzz http://127.0.0.1:4010 --token test --for 10m
contracts fuzz http://127.0.0.1:4010 --token test --rule REQ-COUNT --seed 7
""",
)
@click.argument("url", envvar="CONTRACTS_URL")
@click.option(
    "--for", "for_s", type=DURATION, default=600.0, help="How long to search, such as 90s or 1h. Default: 10m."
)
@add_example_database
@add_check_options
@click.pass_context
def fuzz(context: click.Context, /, for_s: float, **flags: Any) -> None:
    """Searches the server at URL with the same rules until time or budget is spent."""
    # The environment variable may be set for `contracts check`.
    if context.get_parameter_source("max_time") is ParameterSource.COMMANDLINE:
        raise click.UsageError("fuzz takes --for in place of --max-time.")
    rules = load_rules()
    target = dataclasses.replace(target_from(flags), max_time_s=for_s)
    from contracts.check import fuzz as fuzz_rules

    context.exit(_check(target, options_from(flags, rules), rules, fuzz_rules, shows_findings=True))


# It is there only to be refused.
next(param for param in fuzz.params if param.name == "max_time").hidden = True  # type: ignore[attr-defined]


@cli.command(
    groups=GROUPS_OF_CHECK,
    examples="""\
contracts replay report.json b82540fc
contracts replay report.json b82540fc --url http://127.0.0.1:8000
""",
)
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("fingerprint")
@click.option("--url", envvar="CONTRACTS_URL", show_envvar=True, help="Another server. Default: that of the report.")
@add_target_options
@click.pass_context
def replay(context: click.Context, /, report: Path, fingerprint: str, **flags: Any) -> None:
    """Sends a finding of the JSON report REPORT again.

    FINGERPRINT may be the beginning of a fingerprint. Exit code: 1 it still shows, 0 it does not, 2 could not tell.
    """
    from contracts.cli.replay import replay_finding

    context.exit(_exit_code(replay_finding(report, fingerprint, flags, load_rules())))


@cli.command(
    examples="""\
contracts rules | grep IDEM
contracts rules --coverage                   what a whole check judges, and what it does not
contracts rules --coverage report.json       how often the check of this report judged it
""",
)
@click.option(
    "--coverage",
    is_flag=False,
    flag_value="",
    metavar="[REPORT.json]",
    help="Show which rules judge each status, parameter and field of each operation.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rules, or the coverage, as JSON.")
def rules(coverage: str | None, as_json: bool) -> None:
    """Lists the rules, each with its severity and its source.

    A source is doc, the documentation of the bulk create, or api, other public facts about the API.
    """
    known = load_rules()
    if coverage is not None:
        from contracts.cli.coverage import print_coverage

        print_coverage(Path(coverage) if coverage else None, known, as_json=as_json)
        return
    if as_json:
        from contracts.report.report import json_text

        click.echo(json_text([dataclasses.asdict(rule) for rule in known.values()]), nl=False)
        return
    width = max(map(len, known))
    for rule in known.values():
        click.echo(
            f"{click.style(f'{rule.id:<{width}}', bold=True)}  {rule.severity:<8}  {rule.source:<3}  {rule.title}"
        )
    sources = "; ".join(f"{source}: {meaning}" for source, meaning in _SOURCES.items())
    click.echo(f"{sources}. `contracts explain RULE` says more.", err=True)  # not for programs that read the list


@cli.command(examples="contracts explain BULK-COUNT")
@click.argument("rule")
def explain(rule: str) -> None:
    """Explains what RULE requires of a server, and where that is stated."""
    known = load_rules()
    explained = known[known_rule(rule, known)]
    click.echo(f"{click.style(explained.id, bold=True)}: {explained.title}")
    click.echo(f"Source: {_SOURCES[explained.source]} ({explained.source})")
    click.echo(f"Severity: {explained.severity}: {SEVERITIES[explained.severity]}\n")
    click.echo(click.wrap_text(explained.explanation, width=100, preserve_paragraphs=True))


@cli.command(
    examples="""\
contracts cleanup                            wherever checks have left something behind
contracts cleanup https://api.example.com
contracts cleanup http://old-server:8000 --forget    the server is gone: discard what is known of its runs
""",
)
@click.argument("url", required=False, envvar="CONTRACTS_URL")
@option("--token", help="The token that created the runs.")
@option("--second-token", help="The other organisation's.")
@option("--ca-bundle", help="PEM file of authorities to trust.")
@click.option(
    "--forget", is_flag=True, help="Discard the journals of URL, of a server that is gone, say; send nothing."
)
@click.pass_context
def cleanup(
    context: click.Context,
    /,
    url: str | None,
    token: str | None,
    second_token: str | None,
    ca_bundle: str | None,
    forget: bool,
) -> None:
    """Cancels and deletes what earlier checks left behind, at URL or anywhere.

    CONTRACTS_URL may give the URL, and CONTRACTS_JOURNAL_DIR the folder of the journals of those checks. Exit code: 0
    nothing is left, 1 something is or may be, 2 nothing was tried, since a flag is invalid or there is no token.
    """
    need_extra()
    if forget:
        context.exit(_forget(url))
    token = token_from(token, "--token", "CONTRACTS_TOKEN")
    second_token = token_from(second_token, "--second-token", "CONTRACTS_SECOND_TOKEN")
    if ca_bundle is not None:
        require_ca_bundle(ca_bundle)
    if token is None:
        raise click.UsageError("No token: give --token or set CONTRACTS_TOKEN, the one that created the runs.")
    from contracts.guard import clean_up_journals

    report = clean_up_journals(
        None if url is None else base_url(url),
        token=token,
        second_token=second_token,
        ca_bundle=ca_bundle,
        on_begin=lambda origin, runs: CleaningProgress(origin, runs).count,
    )
    if report.journals or report.problems:
        _print_cleaned_up(report)
    else:
        where, there = (f" at {printable(url)}", " there") if url else ("", "")
        click.echo(f"Nothing to clean up{where}: no check left anything behind{there}.")
        if report.elsewhere:
            others = ", ".join(map(printable, report.elsewhere))
            click.echo(f"Checks may have left something at {others}: clean up there with that URL, or without any.")
    context.exit(1 if report.left or report.possibly_left or report.unclear else 0)


def _print_cleaned_up(report: CleanUpReport) -> None:
    unknown = f" ({report.unknown} of them perhaps: the server does not show it)" if report.unknown else ""
    left = "an unknown number" if report.left == 0 and (report.possibly_left or report.unclear) else str(report.left)
    click.echo(f"{counted(report.cleaned, 'run')} cleaned up, {left} left{unknown}.")
    _print_problems(report.problems)
    if report.possibly_left:
        click.echo(
            "These runs may belong to a check. That is not proven, so they were not deleted. Look at them yourself,"
            " likely ones first:",
            err=True,
        )
        for run in report.possibly_left:
            click.echo(f"  {printable(str(run))}", err=True)


def _forget(url: str | None) -> int:
    if url is None:
        raise click.UsageError("--forget needs the URL whose journals to discard.")
    from contracts.guard import forget_journals

    report = forget_journals(base_url(url))
    discarded = f"{counted(report.journals, 'journal')} of {printable(url)} discarded"
    may_exist = f"; of the runs named in them, {report.left:,} may still exist" if report.left else ""
    click.echo(f"{discarded}{may_exist}.")
    _print_problems(report.problems)
    return 1 if report.problems else 0


def load_rules() -> Mapping[str, Rule]:
    need_extra()
    from contracts.rules import REGISTRY

    return REGISTRY


def need_extra() -> None:
    if not all(map(importlib.util.find_spec, _EXTRA)):
        raise Unusable(EXTRA_MISSING)


def _check(
    target: Target,
    check_options: CheckOptions,
    rules: Mapping[str, Rule],
    judge_rules: JudgeRules,
    *,
    shows_findings: bool = False,
) -> int:
    """Run a check, print its report, write the report files, and return the exit code."""
    from contracts.cli.run import check_target, prepare, write_reports
    from contracts.report.text import render_finding

    prepare(target, check_options, rules)
    # A check makes many JSON values and hardly any cycles: to collect as often as usual takes a tenth of its time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with ProgressDisplay(target.url, target.max_time_s) as progress:

        def show(finding: Finding) -> None:
            with progress.hidden():
                click.echo(render_finding(finding, target.url, rules))

        on_finding = show if shows_findings else None
        checked = check_target(target, check_options, rules, judge_rules, progress=progress, on_finding=on_finding)
    try:
        if checked.problem is None:
            _print(checked, check_options)
    except BrokenPipeError:
        _discard_output()  # the reader of stdout, such as `head`, has closed it: the exit code is that of the check
    finally:
        unwritten = write_reports(checked, check_options)
        for problem in unwritten:
            _show_error(problem)
    return _exit_code(checked) or (2 if unwritten else 0)


def _print(checked: Checked, check_options: CheckOptions) -> None:
    from contracts.report.github import annotation_lines
    from contracts.report.text import render_text

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    json_path = next((path for name, path in check_options.reports if name == "json"), None)
    text = render_text(
        checked.report,
        width=width,
        verbose=check_options.verbose,
        json_path=json_path,
        target_flags=check_options.target_flags,
    )
    click.echo(text, nl=False)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotation_lines(checked.report):
            click.echo(line)


def _exit_code(checked: Checked) -> int:
    """Raises Unusable if the target could not be checked."""
    if checked.problem is not None:
        for note in checked.left:  # there is no report that says what stays on the target
            click.echo(f"Note: {printable(note)}", err=True)
        raise Unusable(checked.problem)
    return checked.exit_code


def _print_problems(problems: Iterable[str]) -> None:
    for problem in problems:
        click.echo(f"Not done: {printable(problem)}", err=True)
