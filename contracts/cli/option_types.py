"""The types of the options: durations, rates, shards, ids and reports, read from text."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from contracts.openapi.schemas import is_uuid
from contracts.report import FORMATS

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """The type of an option whose text is read by `parse`, which raises ValueError with the message for the user."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value.strip()) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise ValueError(f"{text!r} is not a time: write 90s, 10m or 1h")
    if not float(found[1]):
        raise ValueError("it must be longer than 0 s")
    return float(found[1]) * _UNITS_S[found[2]]


def _per_second(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:/([sm]))?", text)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is not a rate: write 5/s or 300/m")
    return float(found[1]) / (60 if found[2] == "m" else 1)


def _report(text: str) -> tuple[str, Path]:
    """The directory must exist, since otherwise the report could not be written at the end of the check."""
    name, separator, path = text.partition("=")
    if name not in FORMATS or not separator:
        formats = ", ".join(FORMATS)
        raise ValueError(f"{text!r} is not FORMAT=PATH with one of {formats}: write json=report.json")
    if not path:
        raise ValueError(f"the path is empty in {text!r} (is a variable not set?): write {name}=report.{name}")
    if path == "-":
        raise ValueError(f"a report is a file, not the standard output: write {name}=report.{name}")
    if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"there is no folder {Path(path).parent} for {path}: make it first")
    return name, Path(path)


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{text!r} is not a shard: write 1/4, 2/4, 3/4 and 4/4, one for each of 4 jobs")
    return int(found[1]), int(found[2])


def _id(text: str) -> str:
    if not is_uuid(text.lower()):
        raise ValueError(f"{text!r} is not a UUID: write an id such as 10000000-0000-4000-8000-000000000001")
    return text.lower()


DURATION = Parsed("duration", _seconds)
RATE = Parsed("rate", _per_second)
SHARD = Parsed("shard", _shard)
ID = Parsed("uuid", _id)
REPORT = Parsed("format=path", _report)
FILE = click.Path(dir_okay=False, path_type=Path)
