"""Reads the value of a setting from Python or text: for the command line, environment variables and `Settings`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mockserver.clock import seconds_from
from mockserver.errors import StartError
from mockserver.suggestions import did_you_mean, suggestion

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


class SettingError(StartError, ValueError):
    """A setting has an invalid value. `problem` does not name the setting."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.problem = problem


def check_names(settings: type[Any], given: Iterable[str], inner: Iterable[str] = ()) -> None:
    """Raises TypeError with a hint for a name that is not a field. `inner` are the names of the field `limits`."""
    known, limits = tuple(settings.__dataclass_fields__), tuple(inner)
    for name in given:
        if name in known:
            continue
        if name in limits:
            raise TypeError(f"{name!r} is one of the limits: write limits=Limits({name}=...)")
        instead = suggestion(name, (*known, *limits), f"there are {', '.join(known)}")
        raise TypeError(f"{settings.__name__} has no {name!r}: {instead}")


def read_fields(settings: Any) -> None:
    """Convert each field of a frozen dataclass to its declared type. Raises SettingError."""
    types = get_type_hints(type(settings))
    for each in type(settings).__dataclass_fields__.values():
        value = getattr(settings, each.name)
        if value is not each.default:
            object.__setattr__(settings, each.name, read_field(each, types[each.name], value))


def read_field(setting: Field[Any], type_: Any, value: Any) -> Any:
    """Raises SettingError. Its message never shows a value that may be a token."""
    try:
        return _read(type_, setting.metadata, value)
    except ValueError as error:
        raise SettingError(setting.name, str(error)) from None


def byte_count(text: str) -> int:
    """Parse `4096`, `512KiB`, `10MiB`, `1GB`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,18}) ?([kmg]i?b|)", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a number of bytes; write 4096, 512KiB or 10MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def seconds(text: str) -> float:
    """Parse `30`, `30s`, `1m30s`, `500ms`. Raises ValueError."""
    try:
        return _number(text)
    except ValueError:
        return seconds_from(text)


def whole_seconds(text: str) -> int:
    """Raises ValueError."""
    value = seconds(text)
    if not value.is_integer():
        raise ValueError(f"should be whole seconds, not {text!r}")
    return int(value)


def _read(type_: Any, metadata: Mapping[str, Any], value: Any) -> Any:
    if type(None) in get_args(type_):
        if value is None:
            return None
        type_ = next(each for each in get_args(type_) if each is not type(None))
    if get_origin(type_) is tuple:
        given = value if isinstance(value, tuple | list) else (value,)
        return tuple(_read_one(get_args(type_)[0], metadata, each) for each in given)
    value = _read_one(type_, metadata, value)
    fits, expected = metadata.get("range") or (None, "")
    if fits is not None and not fits(value):
        raise ValueError(f"should be {expected}, not {value!r}")
    return value


def _read_one(type_: Any, metadata: Mapping[str, Any], value: Any) -> Any:
    parse: Callable[[str], Any] | None = metadata.get("parse")
    if parse is not None and isinstance(value, str):
        return parse(value)
    if get_origin(type_) is Literal:
        return _choice(get_args(type_), value)
    reader = _PARSERS.get(type_)
    if reader is not None:
        return reader(value)
    if not isinstance(value, type_):
        expected = "text" if type_ is str else type_.__name__ if parse is None else f"text or {type_.__name__}"
        raise ValueError(f"should be {expected}, not {'None' if value is None else type(value).__name__}")
    return value


def _choice(choices: tuple[str, ...], value: Any) -> str:
    if value in choices:
        return str(value)
    raise ValueError(f"{value!r} is not one of {', '.join(map(repr, choices))}{did_you_mean(str(value), choices)}")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ValueError(f"should be true or false, not {value!r}")


def _integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a valid integer")
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a valid number") from None
    largest = sys.float_info.max  # `math.isfinite` would raise OverflowError for a larger integer
    if isinstance(value, bool) or not isinstance(value, int | float) or not -largest <= value <= largest:
        raise ValueError(f"{value!r} is not a valid number")
    return float(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError(f"should be a path, not {value!r}")
    return Path(value)


_PARSERS: Mapping[Any, Callable[[Any], Any]] = {bool: _boolean, int: _integer, float: _number, Path: _path}
