"""The options of a check, with their environment variables. Makes a Target and CheckOptions from them."""

import dataclasses
import difflib
import os
import secrets
import ssl
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import click

from contracts.cli.option_types import DURATION, FILE, ID, RATE, REPORT, SHARD
from contracts.cli.writes import base_request_from, fields_to_vary, require_affordable_creates, require_named_workflow
from contracts.core.findings import Rule
from contracts.core.target import DEFAULT_MAX_TIME_S, Budget, Profile, Target, is_loopback
from contracts.report import FORMATS
from cyberdesk_mockserver.environment import unknown_variables

_F = TypeVar("_F", bound=Callable[..., Any])

_FULL, _LIVE = Budget.of("full"), Budget.of("live")
_VARIABLES_WITHOUT_OPTION = frozenset({"CONTRACTS_JOURNAL_DIR"})


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of a check other than its target, with the names of the flags."""

    rules: tuple[str, ...] = ()
    skip_rules: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    fail_on_incomplete: bool = False
    allow_intermittent: bool = False
    max_findings: int | None = None
    reports: tuple[tuple[str, Path], ...] = ()
    baseline: Path | None = None
    update_baseline: bool = False
    example_database: str | None = None
    wait_s: float | None = None
    verbose: bool = False
    target_flags: tuple[str, ...] = ()
    """The flags about the target, as they were given: another command for this target needs them too."""


def option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    """Return a decorator for an option with an environment variable: CONTRACTS_MAX_RUNS for `--max-runs`."""
    variable = names[0].partition("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=f"CONTRACTS_{variable}", show_envvar=True, **settings)


_TARGET_FLAGS = (
    option("--token", help="Bearer token of an organisation."),
    option(
        "--second-token",
        help="Bearer token of a second organisation; without it access across organisations is not checked.",
    ),
    option(
        "--workflow-id",
        type=ID,
        metavar="ID",
        help="The workflow of the runs. Default: made up, or looked up if the target refuses that; "
        "live: that of --base-request.",
    ),
    option(
        "--machine-id",
        type=ID,
        metavar="ID",
        help="The machine to request for runs. Default: made up, or looked up if the target refuses that; live: none.",
    ),
    option(
        "--pool-id",
        type=ID,
        metavar="ID",
        help="The pool to request for runs. Default: made up, or looked up if the target refuses that; live: none.",
    ),
    option(
        "--profile",
        type=click.Choice(["full", "live"]),
        help="How much is sent. Default: full on a loopback address, live elsewhere.",
    ),
    option(
        "--max-runs",
        type=click.IntRange(min=0),
        help=f"Runs that may be created: {_FULL.max_runs:,}; live: {_LIVE.max_runs}.",
    ),
    option(
        "--max-requests",
        type=click.IntRange(min=1),
        help=f"Requests that may be sent: no limit; live: {_LIVE.max_requests}.",
    ),
    option(
        "--rate",
        type=RATE,
        metavar="N/s|N/m",
        help=f"Requests sent per second or minute: no limit; live: {_LIVE.rate:g}/s.",
    ),
    option(
        "--allow-writes/--no-writes",
        default=None,
        help="Whether anything may be created. Default: yes on a loopback address, no elsewhere; live: no. A live "
        "check that creates runs also needs --workflow-id or --base-request.",
    ),
    option(
        "--base-request", type=FILE, help="JSON file of a request known to work; live varies only what --vary names."
    ),
    option("--vary", multiple=True, help="Field of the base request that may be varied; repeatable."),
    option(
        "--clean-up/--no-clean-up",
        default=None,
        help="Cancel and delete the created runs. Default: off. A live check always does.",
    ),
    option(
        "--leave-runs",
        is_flag=True,
        help="Live: create runs although the target does not offer DELETE, and leave them.",
    ),
    option("--ca-bundle", type=click.Path(), help="PEM file of the authorities to trust."),
    option(
        "--max-time",
        type=DURATION,
        default=DEFAULT_MAX_TIME_S,
        help="The check stops after this time, such as 90s, 10m or 1h; cleaning up may take longer. Default: "
        f"{DEFAULT_MAX_TIME_S:g}s.",
    ),
    option(
        "--wait",
        "wait_s",
        type=DURATION,
        metavar="DURATION",
        help="Wait at most this long until the target answers: for one that is just being started.",
    ),
)
_FLAGS = (
    *_TARGET_FLAGS,
    option(
        "--seed", type=click.IntRange(min=0), help="Seed of all random choices. Default: a new one, which is printed."
    ),
    option("--salt", help="With the seed of an earlier check, repeats its ids and keys. Default: a new one."),
    option(
        "--shard", type=SHARD, metavar="N/M", help="Try every Mth case, from the Nth on: splits a check over M jobs."
    ),
    option("--rule", "rules", multiple=True, help="Check this rule only; repeatable."),
    option("--skip-rule", "skip_rules", multiple=True, help="Leave this rule out; repeatable."),
    option("--require", "required", multiple=True, help="Fail if this rule was not judged; repeatable."),
    option(
        "--fail-on-incomplete",
        is_flag=True,
        help="Exit 1 if the check was not complete: a rule was skipped (except HTTP-LIMIT, since a server may have no "
        "rate limit), or cases were not tried.",
    ),
    option(
        "--allow-intermittent",
        is_flag=True,
        help="Do not fail on intermittent findings: those that did not repeat when they were sent again alone.",
    ),
    option("--max-findings", type=click.IntRange(min=1), help="Stop after this many findings that fail the check."),
    option(
        "--report",
        "reports",
        multiple=True,
        type=REPORT,
        metavar="FORMAT=PATH",
        help=f"Write a report: {', '.join(FORMATS)}; repeatable.",
    ),
    option("--verbose", is_flag=True, help="Also list the rules that passed, and each rule in a row of its own."),
    option("--baseline", type=FILE, help="File of accepted findings; only others fail."),
    click.option("--update-baseline", is_flag=True, help="Accept what is found, in the file of --baseline."),
)

add_example_database = option(
    "--example-database",
    metavar="redis://… | DIRECTORY",
    help="Also keep failing generated cases here: a Redis URL or a folder that CI jobs share. The folder is made if it "
    "is not there.",
)
"""Of `fuzz` only: a check replays nothing."""

GROUPS_OF_CHECK = {
    "Target": ("url", "token", "second_token", "workflow_id", "machine_id", "pool_id", "ca_bundle", "wait_s"),
    "How much is sent": ("profile", "max_runs", "max_requests", "rate", "max_time", "for_s", "plan"),
    "What is sent": ("seed", "salt", "shard"),
    "Writes on a deployment": ("allow_writes", "base_request", "vary", "clean_up", "leave_runs"),
    "Which rules, and what fails": (
        *("rules", "skip_rules", "required", "fail_on_incomplete", "allow_intermittent", "max_findings"),
        *("baseline", "update_baseline"),
    ),
    "Output": ("reports", "verbose", "example_database"),
}


def add_check_options(command: _F) -> _F:
    return _with(_FLAGS, command)


def add_target_options(command: _F) -> _F:
    """Add the flags about the target, and how much is sent to it."""
    return _with(_TARGET_FLAGS, command)


def _with(flags: Sequence[Callable[[_F], _F]], command: _F) -> _F:
    for flag in reversed(flags):
        command = flag(command)
    return command


def target_from(flags: dict[str, Any]) -> Target:
    """Return the target that the flags describe. Raises click.UsageError if a flag is invalid, or the flags contradict
    each other.
    """
    url = base_url(flags["url"])
    profile: Profile = flags["profile"] or ("full" if is_loopback(url) else "live")
    limits = {name: flags[name] for name in ("max_runs", "max_requests", "rate") if flags[name] is not None}
    token, second_token = _tokens_from(flags)
    allow_writes = flags["allow_writes"]
    if profile == "live":
        if flags["clean_up"] is False:
            raise click.UsageError("The live profile always cleans up: leave --no-clean-up out.")
        allow_writes = bool(allow_writes)  # on a loopback address too: a tunnel may lead from it to a deployment
    if flags["ca_bundle"] is not None:
        require_ca_bundle(flags["ca_bundle"])
    base_request = flags["base_request"]
    vary = fields_to_vary(flags["vary"])
    if vary and base_request is None:
        raise click.UsageError("--vary names fields of a base request: give that with --base-request FILE.")
    target = Target(
        url=url,
        token=token,
        second_token=second_token,
        workflow_id=flags["workflow_id"],
        machine_id=flags["machine_id"],
        pool_id=flags["pool_id"],
        profile=profile,
        budget=dataclasses.replace(Budget.of(profile), **limits),
        allow_writes=allow_writes,
        base_request=None if base_request is None else base_request_from(base_request),
        varied_fields=vary,
        clean_up=profile == "live" or bool(flags["clean_up"]),
        leave_runs=flags["leave_runs"],
        ca_bundle=flags["ca_bundle"],
        max_time_s=flags["max_time"],
        seed=secrets.randbelow(2**32) if flags.get("seed") is None else flags["seed"],
        salt=secrets.token_hex(4) if flags.get("salt") is None else flags["salt"],
        shard=flags.get("shard") or (1, 1),
    )
    require_named_workflow(target)
    require_affordable_creates(target)
    return target


_REPEATED_FLAGS = (
    *("profile", "allow_writes", "workflow_id", "machine_id", "pool_id", "base_request", "vary", "leave_runs"),
    *("clean_up", "max_runs", "max_requests", "rate", "ca_bundle"),
)
_NEGATIVE = {"allow_writes": ("--no-writes",), "clean_up": ("--no-clean-up",)}


def _target_flags(flags: dict[str, Any]) -> tuple[str, ...]:
    """Return the flags about the target, as arguments. Never a token: others can see the command line."""
    found: list[str] = []
    for name in _REPEATED_FLAGS:
        value, flag = flags.get(name), f"--{name.replace('_', '-')}"
        if name == "rate" and value is not None:
            value = f"{value:.9f}".rstrip("0").rstrip(".") + "/s"
        match value:
            case bool():
                found += (flag,) if value else _NEGATIVE.get(name, ())
            case None:
                continue
            case tuple() | list():
                found += (part for one in value for part in (flag, one))
            case _:
                found += (flag, str(value))
    return tuple(found)


def _tokens_from(flags: dict[str, Any]) -> tuple[str, str | None]:
    token = token_from(flags["token"], "--token", "CONTRACTS_TOKEN")
    if token is None and not flags.get("plan"):
        raise click.UsageError(
            "No token: give --token or set CONTRACTS_TOKEN (the mock takes any that begins with `test`)."
        )
    second_token = token_from(flags["second_token"], "--second-token", "CONTRACTS_SECOND_TOKEN")
    if second_token is not None and second_token == token:
        raise click.UsageError("--second-token is the same as --token: give one of another organisation, or none.")
    return token or "", second_token


def options_from(flags: dict[str, Any], known_rules: Collection[str]) -> CheckOptions:
    """Return the options that the flags describe. Raises click.UsageError if a rule is unknown (the message suggests a
    similar one), the flags contradict each other, or no rule is left to check.
    """
    chosen = {
        flag: tuple(known_rule(rule, known_rules) for rule in flags[flag])
        for flag in ("rules", "skip_rules", "required")
    }
    if flags["update_baseline"] and flags["baseline"] is None:
        raise click.UsageError("--update-baseline needs the file to write: add --baseline FILE.")
    names = {each.name for each in dataclasses.fields(CheckOptions)}
    given = {name: value for name, value in flags.items() if name in names}
    check_options = CheckOptions(**given | chosen, target_flags=_target_flags(flags))
    for rule in check_options.required:
        if rule in check_options.skip_rules:
            raise click.UsageError(f"{rule} is both required and skipped: drop --require or --skip-rule.")
    selected = selected_rules(check_options, known_rules)
    if selected == ():
        raise click.UsageError("No rule is left to check: drop a --skip-rule.")
    for rule in check_options.required:
        if selected is not None and rule not in selected:
            raise click.UsageError(f"{rule} is required and not selected: add --rule {rule}, or drop --require.")
    return check_options


def selected_rules(check_options: CheckOptions, known_rules: Collection[str]) -> tuple[str, ...] | None:
    """Return the ids of the rules to check; None means all."""
    if not check_options.rules and not check_options.skip_rules:
        return None
    chosen = check_options.rules or tuple(known_rules)
    return tuple(rule for rule in chosen if rule not in check_options.skip_rules)


def require_second_token(target: Target, check_options: CheckOptions, known_rules: Mapping[str, Rule]) -> None:
    """Raises click.UsageError if no rule that is selected, or not every required one, can be judged since there is no
    second token.
    """
    if target.second_token is not None:
        return
    selected = selected_rules(check_options, known_rules) or tuple(known_rules)
    of_two = [rule for rule in selected if known_rules[rule].needs_second_token]
    step = "give the token of another organisation in CONTRACTS_SECOND_TOKEN, or with --second-token"
    if len(of_two) == len(selected):
        raise click.UsageError(f"{' and '.join(of_two)} cannot be judged without a second token: {step}.")
    for rule in check_options.required:
        if rule in of_two:
            raise click.UsageError(
                f"{rule} is required, and cannot be judged without a second token: {step}, or drop --require {rule}."
            )


def known_rule(rule: str, known_rules: Collection[str]) -> str:
    """Return the id of the rule as in the registry, in upper case. Raises click.UsageError for an unknown rule."""
    if rule.upper() in known_rules:
        return rule.upper()
    near = difflib.get_close_matches(rule.upper(), known_rules, n=1, cutoff=0.6)
    raise click.UsageError(
        f"There is no rule {rule!r}: " + (f"did you mean {near[0]}?" if near else "`contracts rules` lists them.")
    )


def base_url(given: str) -> str:
    """Return the URL without a slash or `/v1` at its end. Raises click.UsageError if it is not the URL of a server."""
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise click.UsageError(f"{given!r} is not a URL ({error}): write http://127.0.0.1:4010, say.") from error
    if parts.scheme not in {"http", "https"} or not host:
        hint = f"did you mean http://{given}?" if "://" not in given else "it begins with http:// or https://."
        raise click.UsageError(f"{given!r} is not the URL of a server: {hint}")
    if parts.username is not None:
        raise click.UsageError("The URL must not contain a user name or password: give the token with --token.")
    if parts.query or parts.fragment:
        raise click.UsageError(f"{given!r} has a query or a fragment: give the base URL only, before /v1.")
    if not all("!" <= c <= "~" for c in parts.path):
        shown = quote(parts.path, safe="/%")
        raise click.UsageError(f"{given!r} has spaces or unusual characters in its path: write {shown}.")
    return given.rstrip("/").removesuffix("/v1")


def token_from(given: str | None, flag: str, variable: str) -> str | None:
    """Return the token without surrounding whitespace, since a token from a file often ends with a line break; None if
    it is empty. Raises click.UsageError if it has unusual characters; the message does not show the token.
    """
    token = (given or "").strip()
    if not token:
        return None
    if not all("!" <= c <= "~" for c in token):
        raise click.UsageError(f"{flag} ({variable}) has spaces or unusual characters in it: give the bare token.")
    return token


def require_ca_bundle(path: str) -> None:
    """Raises click.UsageError if the file cannot be read or has no certificates."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be used for --ca-bundle ({error}): name a PEM file.") from error


def require_writable(reports: Sequence[tuple[str, Path]]) -> None:
    """Raises click.UsageError if a report could not be written at the end of the check, or would be overwritten."""
    seen: set[Path] = set()
    for _, path in reports:
        if path.is_dir():
            raise click.UsageError(f"{path} is a folder: name a file for the report.")
        if path.exists() and not os.access(path, os.W_OK):
            raise click.UsageError(f"{path} cannot be written: it is write-protected.")
        if path.exists() and not path.is_file():
            continue  # a device or a pipe
        if path.resolve() in seen:
            raise click.UsageError(f"Two reports would be written to {path}: give each a file of its own.")
        seen.add(path.resolve())
        try:
            with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=".contracts-"):
                pass
        except OSError as error:
            raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from error


def refuse_misspelled_variables(group: click.Group) -> None:
    """Raises click.UsageError if the name of an unknown variable resembles that of an option: it would be ignored
    silently. Warns of others.
    """
    known = {str(param.envvar) for command in group.commands.values() for param in command.params if param.envvar}
    misspelled, others = unknown_variables("CONTRACTS_", known | _VARIABLES_WITHOUT_OPTION)
    for problem in others:
        click.echo(f"Warning: {problem}; see --help of each command and docs/contracts.md.", err=True)
    if misspelled:
        raise click.UsageError(" ".join(misspelled))
