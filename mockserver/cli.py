"""The command `mockserver`: arguments and environment become Settings, and Settings a running server."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, get_args

import click
import uvicorn

from mockserver.app import MockServer, create_app
from mockserver.errors import StartError
from mockserver.protocol import Protocol
from mockserver.settings import SETTINGS, LogFormat, Settings, environment_variable

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
    return click.option(
        f"--{setting.name.replace('_', '-')}",
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


def _choices() -> dict[str, tuple[str, ...]]:
    from mockserver import settings

    names = ("Coercion", "Progression", "LogFormat", "LogLevel")
    return {name: get_args(getattr(settings, name)) for name in names}


_CHOICES = _choices()


@main.command()
def serve(**values: Any) -> None:
    """Serve the API until it is interrupted."""
    for setting in SETTINGS:
        if isinstance(setting.default, tuple):
            values[setting.name] = tuple(values[setting.name])
    try:
        settings = Settings(**values)
        _set_up_logging(settings)
        app = create_app(settings)
        listener = _listen(settings.host, settings.port)
    except StartError as error:
        click.echo(f"mockserver: {error}", err=True)
        sys.exit(_COULD_NOT_START)
    _say_hello(app, listener)
    # What stands at start never goes: the collector need not look at it, nor look so often at what requests leave.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    config = uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    # uvicorn raises the signal that ended it once more when it has shut down: a server told to end has ended well.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _ended_well)
    uvicorn.Server(config).run(sockets=[listener])


def _ended_well(signum: int, frame: object) -> None:
    sys.exit(0)


for _setting in SETTINGS:
    serve = _option(_setting)(serve)


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        what = (
            f"port {port} on {host} is in use; --port 0 takes a free one"
            if error.errno == errno.EADDRINUSE
            else error.strerror
        )
        raise StartError(f"cannot listen on {host}:{port}: {what or error}") from error
    return listener


def _say_hello(app: MockServer, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    width = max(len(operation.path) for operation in app.operations.values())
    for operation in app.operations.values():
        click.echo(f"  {operation.method:<6} {operation.path:<{width}}  {operation.operation_id}")
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    given = app.settings.token
    who = "the tokens given with --token" if given else "any bearer token that begins with 'test'"
    click.echo(f"Lets in {who}. Serving the runs API on {url}")
    sys.stdout.flush()


def _set_up_logging(settings: Settings) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(settings.log_format))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def _formatter(log_format: LogFormat) -> logging.Formatter:
    return _JSONFormatter() if log_format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in ("method", "path", "status") if hasattr(record, name)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
