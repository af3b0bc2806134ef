"""The command `mockserver`: arguments and environment become Settings, and Settings a running server."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any, get_args

import click

from mockserver.app import MockApp, create_app
from mockserver.errors import StartError
from mockserver.log import Log, LogHandler, standard_error
from mockserver.server import Server, listen, url_of
from mockserver.settings import LIMITS, SETTINGS, Limits, Settings, environment_variable
from mockserver.state_file import load_states, save_states

_COULD_NOT_START = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cyberdesk-mockserver")
def main() -> None:
    """A mock of the Cyberdesk runs API that behaves like the real one."""


class _Parsed(click.ParamType[Any]):
    """A value that its own parser reads; what it refuses is a usage error."""

    name = "text"

    def __init__(self, parse: Any) -> None:
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _option(setting: Any) -> Any:
    metadata = setting.metadata
    repeatable = isinstance(setting.default, tuple)
    type_: Any = None
    if metadata["parse"] is not None and metadata["parse"] is not str:
        type_ = _Parsed(metadata["parse"])
    elif "Path" in str(setting.type):
        type_ = click.Path(path_type=Path)
    elif str(setting.type) in _CHOICES:
        type_ = click.Choice(_CHOICES[str(setting.type)])
    elif not isinstance(setting.default, bool) and isinstance(setting.default, int | float):
        type_ = type(setting.default)
    name = setting.name.replace("_", "-")
    return click.option(
        f"--{name}/--no-{name}" if setting.default is True else f"--{name}",
        setting.name,
        default=setting.default if not repeatable else None,
        multiple=repeatable,
        is_flag=isinstance(setting.default, bool),
        type=type_,
        metavar=metadata["metavar"],
        help=metadata["help"],
        envvar=environment_variable(setting.name),
        show_envvar=True,
        show_default=setting.default not in (None, False, ()),
    )


def _option_of_limit(limit: Any) -> Any:
    return click.option(
        f"--{limit.name.replace('_', '-')}",
        limit.name,
        default=limit.default,
        type=type(limit.default),
        hidden=True,
        envvar=environment_variable(limit.name),
    )


def _choices() -> dict[str, tuple[str, ...]]:
    from mockserver import settings

    names = ("Coercion", "Progression", "LogFormat", "LogLevel")
    return {name: get_args(getattr(settings, name)) for name in names}


_CHOICES = _choices()


@main.command()
def serve(**values: Any) -> None:
    """Serve the API until it is interrupted."""
    try:
        settings = Settings(**_read(values))
        log = Log(
            settings.log_format,
            fd=standard_error(),
            max_lines=settings.limits.max_log_lines,
            notes=settings.log_level == "debug",
        )
        _set_up_logging(settings, log)
        app = create_app(settings, access_log=log if settings.log_level in ("debug", "info") else None)
        if settings.state is not None:
            load_states(settings.state, app.states)
        listener = listen(settings.host, settings.port)
    except StartError as error:
        click.echo(f"mockserver: {error}", err=True)
        sys.exit(_COULD_NOT_START)
    _say_hello(app, listener)
    # What stands at start never goes: the collector need not look at it, nor look so often at what requests leave.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    Server(app, settings.limits).run(sockets=[listener])
    saved = settings.state is None or _save(app, settings.state)
    log.close()
    if not saved:
        sys.exit(1)


def _save(app: MockApp, path: Path) -> bool:
    try:
        save_states(path, app.namespaces, app.states)
    except OSError as error:
        click.echo(f"mockserver: {path}: cannot write the state: {error.strerror}", err=True)
        return False
    return True


def _read(values: dict[str, Any]) -> dict[str, Any]:
    """The values of Settings from those of the command line."""
    limits = {limit.name: values.pop(limit.name) for limit in LIMITS}
    for setting in SETTINGS:
        if isinstance(setting.default, tuple):
            values[setting.name] = tuple(values[setting.name])
    return {**values, "limits": Limits(**limits)}


for _setting in SETTINGS:
    serve = _option(_setting)(serve)
for _each in LIMITS:
    serve = _option_of_limit(_each)(serve)


def _say_hello(app: MockApp, listener: socket.socket) -> None:
    width = max((len(operation.path) for operation in app.operations.values()), default=0)
    lines = [f"  {each.method:<6} {each.path:<{width}}  {each.operation_id}" for each in app.operations.values()]
    who = "the tokens given with --token" if app.settings.token else "any bearer token that begins with 'test'"
    lines.append(f"Lets in {who}. Serving the runs API on {url_of(listener)}")
    try:
        click.echo("\n".join(lines))
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Nobody reads it, or the disk is full. What is left in its buffer must not be tried again at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def _set_up_logging(settings: Settings, log: Log) -> None:
    logging.basicConfig(level=settings.log_level.upper(), handlers=[LogHandler(log)], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
