"""`mockserver verify`: checks the requests of a client by the journal. A gate for the client's CI."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from cyberdesk_mockserver.command_help import Command
from mockserver.journal_client import JournalClient, NotAccepted, NotReadable
from mockserver.settings import environment_variable

_COULD_NOT_CHECK = 2
_MAX_SHOWN = 5
_MAX_TIMEOUT_S = 3_600
_SILENCE_S = 2.0
"""After this long without an answer, the command says what it waits for."""
_INCOMPLETE = (
    "The journal is not complete: older requests were dropped, and cannot be checked. "
    "Start the mock with a larger --journal-bytes, or reset it before the tests (POST /__admin/reset)."
)


class _AtLeast(NamedTuple):
    match: str
    fewest: int


class _AtLeastType(click.ParamType[_AtLeast]):
    name = "match=n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> _AtLeast:
        match, equals, count = value.rpartition("=")
        if not equals or not match.strip() or not re.fullmatch(r"0*[1-9][0-9]{0,17}", count.strip()):
            self.fail(f"{value!r} is not MATCH=N: write 'POST /v1/runs/bulk=1' or 'list_runs=2'", param, ctx)
        return _AtLeast(match.strip(), int(count))


def _timeout(context: click.Context, param: click.Parameter, value: float) -> float:
    if not 0 < value <= _MAX_TIMEOUT_S:  # NaN is neither
        raise click.BadParameter(f"should be above 0, and {_MAX_TIMEOUT_S:,} seconds at most, not {value:g}")
    return value


@click.command(
    cls=Command,
    groups={
        "Checks": ("no_warnings", "no_violations", "at_least", "allow_empty"),
        "Control API": ("admin_token", "timeout"),
    },
    examples="""\
mockserver verify http://127.0.0.1:4010
mockserver verify http://127.0.0.1:4010 --no-warnings --no-violations
mockserver verify http://127.0.0.1:4010/__ns/checkout --at-least 'POST /v1/runs/bulk=1' --at-least list_runs=2
""",
)
@click.argument("url")
@click.option(
    "--no-warnings",
    is_flag=True,
    help="No request has a warning: a body key or query name that the API does not know, a misspelled header, "
    "or an answer that a browser hides from its page.",
)
@click.option(
    "--no-violations",
    is_flag=True,
    help="No request breaks the contract, whatever it was answered: unknown path, method or token, invalid body. "
    "Nor was one refused because of the web page that sent it. What a fault or the rate limit answered is not checked.",
)
@click.option(
    "--at-least",
    multiple=True,
    type=_AtLeastType(),
    metavar="MATCH=N",
    help="At least N requests match 'METHOD /path' (* and ** in it), an operationId, or *; repeatable.",
)
@click.option("--allow-empty", is_flag=True, help="Accept a journal without requests, which fails otherwise.")
@click.option(
    "--admin-token",
    envvar=environment_variable("admin_token"),
    show_envvar=True,
    metavar="TOKEN",
    help="The token of the control API, if the mock was started with one.",
)
@click.option(
    "--timeout",
    type=float,
    callback=_timeout,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for each answer.",
)
def verify(
    url: str,
    *,
    no_warnings: bool,
    no_violations: bool,
    at_least: Sequence[_AtLeast],
    allow_empty: bool,
    admin_token: str | None,
    timeout: float,
) -> None:
    """Check the requests in the journal of a mock.

    URL is that of the mock, or of a namespace of it. Without any check, it is --no-violations.

    Exit code: 0 all is in order, 1 a check failed or the journal is incomplete, 2 the journal cannot be read.
    """
    if not (no_warnings or no_violations or at_least):
        no_violations = True
    try:
        client = JournalClient(url, admin_token=admin_token, timeout_s=timeout)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    try:
        with _told_if_it_takes_long(client, timeout):
            client.check_mock()
        empty = _nothing_came(client)
        found = _wrong_requests(client, warnings=no_warnings, violations=no_violations)
        too_low = [line for match, fewest in at_least if (line := _why_too_low(client, match, fewest)) is not None]
        wrong = [
            *([] if empty is None or allow_empty else [empty]),
            *_lines_of(found, warnings=no_warnings, violations=no_violations),
            *([] if found or client.complete else [_INCOMPLETE]),
            *too_low,
        ]
    except NotReadable as error:
        click.echo(_line(f"mockserver: {error}"), err=True)
        sys.exit(_COULD_NOT_CHECK)
    if empty is not None and allow_empty:
        click.echo(f"mockserver: {empty}", err=True)
    for line in wrong:
        click.echo(line)
    # Many requests may be listed above it, so the last line says how many.
    counted = ", ".join(_number_of(len(each), noun) for each, noun in ((found, "request"), (too_low, "count")) if each)
    failed = f"FAILED: {counted}" if counted else "FAILED"
    click.echo(failed if wrong else "OK")
    sys.exit(1 if wrong else 0)


@contextmanager
def _told_if_it_takes_long(client: JournalClient, timeout: float) -> Iterator[None]:
    text = f"mockserver: waiting for {_line(client.url)}, up to {timeout:g} s"
    notice = threading.Timer(_SILENCE_S, click.echo, (text,), {"err": True})
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()


def _nothing_came(client: JournalClient) -> str | None:
    """Return a line that says so if no request came, and where requests came instead."""
    every = client.count("*")
    if every.count or not every.complete:
        return None
    others = client.other_journals()
    if not others:
        return f"No request came to {_line(client.url)}; --allow-empty accepts that"
    shown = ", ".join(f"{_line(url)} ({count})" for url, count in others[:_MAX_SHOWN])
    more = f", and to {_number_of(len(others) - _MAX_SHOWN, 'more namespace')}" if len(others) > _MAX_SHOWN else ""
    return f"No request came to {_line(client.url)}, but requests came to {shown}{more}; --allow-empty accepts that"


def _wrong_requests(client: JournalClient, *, warnings: bool, violations: bool) -> Sequence[Mapping[str, Any]]:
    """Return the requests that a check refuses, oldest first."""
    if not warnings and not violations:
        return ()
    found: list[Mapping[str, Any]] = []
    for request in client.requests(**({} if warnings else {"valid": "false"})):
        if (violations and not request["valid"]) or (warnings and request["warnings"]):
            found.append(request)
    return found[::-1]


def _lines_of(found: Sequence[Mapping[str, Any]], *, warnings: bool, violations: bool) -> Iterator[str]:
    for request in found:
        yield _line(f"{request['method']} {request['path']} (request {request['seq']}, {request['at']})")
        if violations and not request["valid"]:
            yield _line(f"  violation: answered {request['status']}: {request['reason']}")
        if warnings:
            yield from (_line(f"  warning: {warning}") for warning in request["warnings"])


def _why_too_low(client: JournalClient, match: str, fewest: int) -> str | None:
    """Return what to print if fewer requests match; None if there are enough."""
    try:
        counted = client.count(match)
    except NotAccepted as error:
        raise NotAccepted(f"--at-least: {str(error).removeprefix('match: ')}") from error
    if counted.count >= fewest:
        return None
    lines = [_line(f"{match}: {_number_of(counted.count, 'request')}, expected at least {fewest}")]
    if counted.hint is not None:
        lines.append(_line(f"  {counted.hint}"))
    if not counted.complete:
        lines.append(f"  {_INCOMPLETE}")
    return "\n".join(lines)


def _number_of(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _line(text: str) -> str:
    """Replace control characters: text from a client must not move the cursor or begin a new line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
