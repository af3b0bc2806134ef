"""Settings and limits as options of a command, and reports of unknown environment variables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import Field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from cyberdesk_mockserver.environment import unknown_variables
from mockserver.errors import StartError
from mockserver.setting_values import SettingError, read_field
from mockserver.settings import LIMITS, SETTINGS, Limits, Settings, environment_variable

Decorator = Callable[[Any], Any]


class _SettingType(click.ParamType[Any]):
    """Reads a value as `Settings` does, and reports an invalid one as a usage error."""

    name = "text"

    def __init__(self, setting: Field[Any], type_: Any) -> None:
        self._setting = setting
        self._type = type_

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            read = read_field(self._setting, self._type, value)
        except SettingError as error:
            return self.fail(error.problem, param, ctx)
        return read[0] if get_origin(self._type) is tuple else read


class _PortOption(click.Option):
    """Ignores a URL in its variable: Kubernetes sets MOCKSERVER_PORT to one for a Service named `mockserver`."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = super().resolve_envvar_value(ctx)
        return None if value is not None and re.fullmatch(r"tcp://.+:\d+", value) else value


def setting_option(name: str) -> Decorator:
    setting = next(each for each in SETTINGS if each.name == name)
    type_ = _types()[name]
    repeatable, is_flag = isinstance(setting.default, tuple), isinstance(setting.default, bool)
    flag = "--" + name.replace("_", "-")
    return click.option(
        f"{flag}/--no-{flag[2:]}" if setting.default is True else flag,
        name,
        cls=_PortOption if name == "port" else None,
        default=None if repeatable else setting.default,
        multiple=repeatable,
        is_flag=is_flag,
        type=None if is_flag else _SettingType(setting, type_),
        metavar=setting.metadata["metavar"] or _metavar(type_),
        help=setting.metadata["help"],
        envvar=environment_variable(name),
        show_envvar=True,
        show_default=setting.default not in (None, False, ()),
    )


def limit_option(limit: Field[Any]) -> Decorator:
    return click.option(
        f"--{limit.name.replace('_', '-')}",
        limit.name,
        default=limit.default,
        type=_SettingType(limit, type(limit.default)),
        hidden=True,
        envvar=environment_variable(limit.name),
    )


def every_setting(command: Any) -> Any:
    for limit in LIMITS:
        command = limit_option(limit)(command)
    for setting in reversed(SETTINGS):
        command = setting_option(setting.name)(command)
    return command


def settings_from(values: dict[str, Any]) -> Settings:
    """Raises StartError."""
    limits = Limits(**{limit.name: values.pop(limit.name) for limit in LIMITS})
    return Settings(**values, limits=limits)


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Settings)


def _metavar(type_: Any) -> str | None:
    if get_origin(type_) is Literal:
        return f"[{'|'.join(get_args(type_))}]"
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(type_)


def refuse_misspelled_variables(group: click.Group) -> None:
    """Raises StartError if the name of a variable resembles that of an option. Warns of other unknown ones."""
    commands = (group, *group.commands.values())
    known = {str(param.envvar) for command in commands for param in command.params if param.envvar}
    misspelled, others = unknown_variables(environment_variable(""), known)
    for problem in others:
        click.echo(f"mockserver: {problem}; mockserver serve --help and docs/limits.md list them", err=True)
    if misspelled:
        raise StartError(" ".join(misspelled))
