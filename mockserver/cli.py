"""The command `mockserver`: reads Settings from arguments and environment variables, and runs the server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import traceback
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from cyberdesk_mockserver.command_help import Command, Group
from mockserver.allocator import keep_freed_memory
from mockserver.app import MockApp, create_app
from mockserver.commands.options import every_setting, refuse_misspelled_variables, settings_from
from mockserver.commands.show import cards, faults, routes, spec
from mockserver.commands.verify import verify
from mockserver.descriptors import allow_descriptors, occupy_standard_descriptors
from mockserver.errors import StartError
from mockserver.log import Log, LogHandler, standard_error, write_warning
from mockserver.ready_file import ReadyFile
from mockserver.reference import PAGE, accepted_tokens
from mockserver.server import Server, listen, listeners, local_url_of, url_of
from mockserver.settings import Settings, environment_variable
from mockserver.state_file import load_states, save_states
from mockserver.workers import Workers, check_system

_COULD_NOT_START = 2
_COULD_NOT_PRINT = 1


class _Main(Group):
    """Reports the StartError of any command, in one line for each problem, and that its output cannot be written."""

    def main(self, *args: Any, **settings: Any) -> Any:
        try:
            return super().main(*args, **settings)
        except OSError as error:
            if not _is_of_output(error):
                raise
            _drop_output()
            with contextlib.suppress(OSError):
                click.echo(f"mockserver: cannot write to standard output: {error.strerror or error}", err=True)
            sys.exit(_COULD_NOT_PRINT)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StartError as error:
            for problem in str(error).splitlines():
                click.echo(f"mockserver: {problem}", err=True)
            sys.exit(_COULD_NOT_START)


def _is_of_output(error: OSError) -> bool:
    """Whether printing has raised the error, for example because the disk is full."""
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


def _drop_output() -> None:
    """Python must not try to flush the buffer again at exit."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


@click.group(
    cls=_Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    groups={
        "Serve": ("serve",),
        "List": ("routes", "spec", "cards", "faults"),
        "Check a client": ("verify",),
    },
    other_names={"run": "serve", "start": "serve", "up": "serve", "check": "verify", "operations": "routes"},
    examples="""\
mockserver serve --time-scale 100
mockserver cards
mockserver verify http://127.0.0.1:4010 --no-warnings --no-violations
""",
)
@click.version_option(package_name="cyberdesk-mockserver")
@click.pass_context
def main(context: click.Context) -> None:
    """A mock of the Cyberdesk runs API that behaves like the real one.

    `mockserver COMMAND --help` tells more.
    """
    assert isinstance(context.command, click.Group)
    refuse_misspelled_variables(context.command)


for _command in (spec, routes, cards, faults, verify):
    main.add_command(_command)

_GROUPS_OF_SERVE = {
    "Where it listens": ("host", "port", "open_page", "ready_file"),
    "What it serves": ("spec", "world", "known_only", "coercion", "seed", "faults", "state", "self_check"),
    "Store and workers": ("store", "workers"),
    "Progress of runs": ("time_scale", "progression"),
    "Access": ("token", "rate_limit", "cors_origin", "allowed_host", "max_body"),
    "Control API and journal": ("admin", "admin_token", "journal_bytes", "warnings"),
    "Logs": ("log_level", "log_format"),
}


@main.command(
    cls=Command,
    groups=_GROUPS_OF_SERVE,
    examples="""\
mockserver serve --port 0 --ready-file mock.url     a free port; the file holds the URL once it answers
mockserver serve --time-scale 100 --open            runs end soon; the page opens in the browser
mockserver serve --token secret=acme --rate-limit 10/s
mockserver serve --faults faults.yaml               # - {match: POST /v1/runs/bulk, times: 2, answer: {status: 500}}
MOCKSERVER_LOG_LEVEL=warning mockserver serve       logs no requests
""",
)
@every_setting
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=environment_variable("ready_file"),
    show_envvar=True,
    metavar="FILE",
    help="Holds the URL once requests are answered, and is removed at the end.",
)
@click.option(
    "--open",
    "open_page",
    is_flag=True,
    envvar=environment_variable("open"),
    show_envvar=True,
    help="Open the page in the browser.",
)
def serve(ready_file: Path | None, *, open_page: bool, **values: Any) -> None:
    """Serve the API until it is interrupted."""
    occupy_standard_descriptors()
    settings = settings_from(values)
    allow_descriptors(settings.limits.max_connections)
    _refuse_without_effect(settings, open_page=open_page)
    if settings.workers > 1:
        sys.exit(_serve_by_workers(settings, ready_file, open_page=open_page))
    log, app = _logged_app(settings)
    read = b"" if settings.state is None else asyncio.run(load_states(settings.state, app.states))
    asyncio.run(app.check_store())
    listener = listen(settings.host, settings.port)
    with _ready_file(ready_file, local_url_of(listener)) as publish:
        _print_startup_message(app, listener)
        _run(app, listener, _readiness(publish, listener, open_page=open_page))
    saved = settings.state is None or _save(app, settings.state, read)
    log.close()
    if not saved:
        sys.exit(1)


def _refuse_without_effect(settings: Settings, *, open_page: bool) -> None:
    """Raises StartError for an option that has no effect beside another one."""
    if open_page and not settings.admin:
        raise StartError("--open opens the page of the control API, and --no-admin turns it off: give one of them")
    if settings.admin_token is not None and not settings.admin:
        raise StartError("--admin-token is for the control API, and --no-admin turns it off: give one of them")
    if settings.time_scale != 1 and settings.progression != "time":
        what = (
            f"--time-scale is the speed of runs, and with --progression {settings.progression} no time passes in them"
        )
        raise StartError(f"{what}: give one of them")


def _serve_by_workers(settings: Settings, ready_file: Path | None, *, open_page: bool) -> int:
    check_system()
    logging.getLogger("mockserver").addHandler(logging.NullHandler())  # the workers log what is odd about the store
    app = create_app(settings)
    asyncio.run(app.check_store())
    every = listeners(settings.host, settings.port, settings.workers)
    with _ready_file(ready_file, local_url_of(every[0])) as publish:
        report = partial(write_warning, log_format=settings.log_format)
        grace = settings.limits.shutdown_grace
        workers = Workers(every, partial(_work, settings), report, shutdown_grace=grace)
        _print_startup_message(app, every[0])
        return workers.run(_readiness(publish, every[0], open_page=open_page))


def _work(settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> int:
    log, app = _logged_app(settings)
    _run(app, listener, on_ready)
    log.close()
    return 0


def _logged_app(settings: Settings) -> tuple[Log, MockApp]:
    log = Log(settings.log_format, fd=standard_error(), max_lines=settings.limits.max_log_lines)
    _set_up_logging(settings, log)
    return log, create_app(settings, access_log=log if settings.log_level in ("debug", "info") else None)


def _readiness(publish: Callable[[], None], listener: socket.socket, *, open_page: bool) -> Callable[[], None]:
    def be_ready() -> None:
        publish()
        if open_page:
            # In a thread, because some browsers block the caller.
            threading.Thread(target=_open, args=(f"{local_url_of(listener)}{PAGE}",), daemon=True).start()

    return be_ready


def _run(app: MockApp, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    # Objects made until now live as long as the process: the collector need not scan them, nor run as often.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    keep_freed_memory()
    Server(app, app.settings.limits, on_ready=on_ready).run(sockets=[listener])


def _save(app: MockApp, path: Path, read: bytes) -> bool:
    try:
        written = asyncio.run(save_states(path, app.namespaces, app.states, read=read))
    except OSError as error:
        click.echo(f"mockserver: {path}: cannot write the state: {error.strerror}", err=True)
        return False
    if written != path:
        why = f"{path}: changed since this mock has read it, perhaps by another one"
        click.echo(f"mockserver: {why}: the state is in {written}", err=True)
    return written == path


@contextlib.contextmanager
def _ready_file(path: Path | None, url: str) -> Iterator[Callable[[], None]]:
    if path is None:
        yield lambda: None
        return
    ready = ReadyFile(path, url)
    try:
        yield ready.publish
    finally:
        ready.remove()


def _open(page: str) -> None:
    if not webbrowser.open(page):
        click.echo(f"mockserver: no browser was found to open {page}", err=True)


def _print_startup_message(app: MockApp, listener: socket.socket) -> None:
    local = local_url_of(listener)
    lines = [f"Serving the runs API on {url_of(listener)}"]
    if app.settings.admin:
        # On every address: others may use the API, but not the control API.
        here = local != url_of(listener) and app.settings.admin_token is None
        only = "  (for this machine only; --admin-token TOKEN opens it to others)" if here else ""
        lines.append(f"  page       {local}{PAGE}{only}")
    lines.append(f"  reference  {local}/docs")
    lines.append(f"Accepts {accepted_tokens(has_own_tokens=bool(app.settings.token))}. Ctrl-C ends it.")
    if app.settings.log_level == "debug":
        width = max((len(operation.path) for operation in app.operations.values()), default=0)
        lines += [f"  {each.method:<6} {each.path:<{width}}  {each.operation_id}" for each in app.operations.values()]
    try:
        click.echo("\n".join(lines))
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # The reader is gone, or the disk is full.
        _drop_output()


def _set_up_logging(settings: Settings, log: Log) -> None:
    logging.basicConfig(level=settings.log_level.upper(), handlers=[LogHandler(log)], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
