"""The world: the machines, pools and workflows that exist from the start, and how runs of each workflow progress.

The built-in world is `world.yaml` in this package; a file given with --world is merged over it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from mockserver.behaviour.batch import OUTCOMES
from mockserver.clock import SECOND
from mockserver.errors import WorldError
from mockserver.spec import is_number
from mockserver.suggestions import suggestion
from mockserver.yaml_file import parse_yaml, read_yaml

_WORD = (1 << 32) - 1
_UNKNOWN_ID = ""
"""Stands for an id that is missing or wrong."""


@dataclass(frozen=True, slots=True)
class RunProfile:
    """How runs of a workflow progress and end.

    `scheduling`, `running` and `checks` are ranges in simulated microseconds; None means that the phase never ends.
    `output_data` is JSON.
    """

    scheduling: tuple[int, int] | None
    running: tuple[int, int] | None
    outcomes: tuple[tuple[str, float], ...]
    output_data: bytes
    errors: tuple[str, ...]
    retry_outcomes: tuple[tuple[str, float], ...] = ()
    """For attempts after the first; empty: the same as for the first."""
    checks: tuple[int, int] | None = (0, 0)
    """How long runs are in `running_checks` before they end."""

    def outcome(self, number: int, attempt: int = 0) -> str:
        """Select an outcome by the low 32 bits of `number`."""
        outcomes = self.retry_outcomes if attempt and self.retry_outcomes else self.outcomes
        return outcomes[_drawn(outcomes, number & _WORD)][0]

    @property
    def outcome_limits(self) -> tuple[int, ...]:
        """For each of `outcomes`, the highest number of 32 bits for which `outcome` selects it or one before it."""
        return _outcome_limits(self.outcomes)


def _drawn(outcomes: tuple[tuple[str, float], ...], number: int) -> int:
    left = number / _WORD * sum(odds for _, odds in outcomes)
    for place, (_, odds) in enumerate(outcomes):
        left -= odds
        if odds and left <= 0:
            return place
    return len(outcomes) - 1


@lru_cache(maxsize=1024)
def _outcome_limits(outcomes: tuple[tuple[str, float], ...]) -> tuple[int, ...]:
    # A higher number never selects an earlier outcome, so the limits can be searched for.
    numbers = range(_WORD + 1)
    return tuple(
        bisect_right(numbers, place, key=lambda number: _drawn(outcomes, number)) - 1 for place in range(len(outcomes))
    )


@dataclass(frozen=True, slots=True)
class Machine:
    id: str
    name: str
    hostname: str | None
    os_info: str | None
    status: str


@dataclass(frozen=True, slots=True)
class Pool:
    id: str
    name: str
    description: str | None
    machine_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a run gets when it ends in success. `{n}` in its name is the place of the run in its batch."""

    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Workflow:
    """`input_schema` is a JSON schema or None; `bulk_failures` is the share of a bulk create that fails.

    In each organisation, the first `create_failures` creates are answered with 503.
    """

    id: str
    name: str
    main_prompt: str
    input_schema: Mapping[str, Any] | None
    output_schema: Mapping[str, Any] | None
    profile: RunProfile
    bulk_failures: float
    outputs: tuple[Output, ...] = ()
    create_failures: int = 0


@dataclass(frozen=True, slots=True)
class World:
    machines: Mapping[str, Machine]
    pools: Mapping[str, Pool]
    workflows: Mapping[str, Workflow]
    default_profile: RunProfile
    connected: tuple[Machine, ...]
    """The machines on which runs can be placed."""
    runs: bytes = b""
    """The initial runs of each namespace: JSON, as `POST /__admin/runs` takes it, or empty."""

    def outputs_of(self, workflow_id: str) -> tuple[Output, ...]:
        """The output files of the workflow's runs that end in success."""
        known = self.workflows.get(workflow_id)
        return () if known is None else known.outputs

    @classmethod
    def from_files(cls, path: str | Path | None) -> World:
        """The built-in world, with the file merged over it. Raises StartError with file and JSON pointer."""
        if path is None:
            return _built_in_world()
        return _world(read_yaml(Path(path), "world file"), str(path), _built_in_world())


@cache
def _built_in_world() -> World:
    text = (files("mockserver") / "world.yaml").read_text(encoding="utf-8")
    return _world(parse_yaml(text, "world.yaml"), "world.yaml", None)


def _world(document: Any, name: str, under: World | None) -> World:
    problems: list[str] = []
    top = _Reader(name, "#", {} if document is None else document, problems)
    top.allow("builtin", "defaults", "machines", "pools", "workflows", "runs")
    bare = under.default_profile if under else None
    if not top.boolean("builtin", True):
        under = None
    default = _profile(top.object("defaults"), bare)
    machines = {**(under.machines if under else {}), **_by_id(top, "machines", _machines(top))}
    pools = {**(under.pools if under else {}), **_by_id(top, "pools", _pools(top, machines))}
    workflows = {**(under.workflows if under else {}), **_by_id(top, "workflows", _workflows(top, default))}
    connected = tuple(machine for machine in machines.values() if machine.status == "connected")
    runs = _runs(top)
    if problems:
        raise WorldError.of_all(problems)
    return World(machines, pools, workflows, default, connected, runs)


_Resource = TypeVar("_Resource", Machine, Pool, Workflow)


def _by_id(top: _Reader, key: str, resources: Iterator[_Resource]) -> dict[str, _Resource]:
    found: dict[str, _Resource] = {}
    for place, each in enumerate(resources):
        other = found.setdefault(each.id, each)
        if other is not each and each.id != _UNKNOWN_ID:
            top.report(f"{key}/{place}/id", f"{each.name!r} has the id of {other.name!r}: {each.id}")
    return found


def _machines(top: _Reader) -> Iterator[Machine]:
    for item in top.items("machines"):
        item.allow("id", "name", "hostname", "os_info", "status")
        status = item.choice("status", ("connected", "disconnected", "error"), "connected")
        yield Machine(item.id(), item.text("name"), item.text_or_none("hostname"), item.text_or_none("os_info"), status)


def _pools(top: _Reader, machines: Mapping[str, Machine]) -> Iterator[Pool]:
    for item in top.items("pools"):
        item.allow("id", "name", "description", "machine_ids")
        members = item.ids("machine_ids")
        for place, machine_id in enumerate(members):
            if machine_id not in machines and machine_id != _UNKNOWN_ID:
                item.report(f"machine_ids/{place}", f"machine {machine_id} is not in this world")
        yield Pool(item.id(), item.text("name"), item.text_or_none("description"), members)


def _workflows(top: _Reader, default: RunProfile) -> Iterator[Workflow]:
    for item in top.items("workflows"):
        item.allow(*_WORKFLOW, *_PROFILE)
        yield Workflow(
            item.id(),
            item.text("name"),
            item.text("main_prompt", ""),
            item.schema("input_schema"),
            item.schema("output_schema"),
            _profile(item, default),
            item.number("bulk_failures", 0.0, most=1.0),
            tuple(_output(each) for each in item.items("outputs")),
            int(item.number("create_failures", 0.0)),
        )


_WORKFLOW = (
    "id",
    "name",
    "main_prompt",
    "input_schema",
    "output_schema",
    "bulk_failures",
    "outputs",
    "create_failures",
)
_PROFILE = ("scheduling_s", "running_s", "checks_s", "outcomes", "retry_outcomes", "output_data", "errors")


def _profile(item: _Reader, default: RunProfile | None) -> RunProfile:
    if item.pointer == "#/defaults":
        item.allow(*_PROFILE)
    odds, retry_odds = _odds(item.object("outcomes")), _odds(item.object("retry_outcomes"))
    value = item.value
    return RunProfile(
        item.seconds("scheduling_s", default.scheduling if default else (SECOND, 3 * SECOND)),
        item.seconds("running_s", default.running if default else (5 * SECOND, 20 * SECOND)),
        odds or (default.outcomes if default else (("success", 1.0),)),
        item.json("output_data") if "output_data" in value else default.output_data if default else b"{}",
        item.texts("errors") if "errors" in value else default.errors if default else ("It failed.",),
        # A workflow that sets `outcomes` does not inherit the default `retry_outcomes`.
        retry_odds or (default.retry_outcomes if default and not odds else ()),
        item.seconds("checks_s", default.checks if default else (0, 0)),
    )


def _odds(outcomes: _Reader) -> tuple[tuple[str, float], ...]:
    known = len(outcomes.problems)
    outcomes.allow(*OUTCOMES)
    odds = tuple((name, outcomes.number(name, 0.0)) for name in OUTCOMES if name in outcomes.value)
    if odds and not sum(each for _, each in odds) and len(outcomes.problems) == known:
        outcomes.report("", "at least one outcome needs odds above 0")
    return odds


def _output(item: _Reader) -> Output:
    item.allow("filename", "content", "file")
    filename = item.text("filename")
    if ("content" in item.value) == ("file" in item.value):
        item.report("", "an output has its content here, or in a file: give one of content and file")
        return Output(filename, b"")
    if "content" in item.value:
        return Output(filename, item.text("content").encode())
    path = Path(item.file).parent / item.text("file")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A device such as /dev/zero has no end, and a pipe that nobody writes to would be waited for.
            item.report("file", f"cannot read {path}: not a regular file")
            return Output(filename, b"")
        return Output(filename, path.read_bytes())
    except (OSError, ValueError) as error:  # ValueError: there is a null character in it
        item.report("file", f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
        return Output(filename, b"")


def _runs(top: _Reader) -> bytes:
    items = top.items("runs")

    def text_of(value: Any) -> str:
        """Render dates as text: YAML parses a timestamp to a date or datetime."""
        if isinstance(value, date):
            return value.isoformat()
        raise TypeError

    try:
        return json.dumps([item.value for item in items], default=text_of).encode() if items else b""
    except (TypeError, ValueError, RecursionError):
        top.report("runs", "should hold nothing but what JSON can")
        return b""


class _Reader:
    """One object of the file, its JSON pointer, and the problems of the whole file.

    A value that is wrong becomes a problem, and any value of the right type takes its place, so that all problems of
    a file are found at once.
    """

    def __init__(self, file: str, pointer: str, value: Any, problems: list[str]) -> None:
        self.file = file
        self.pointer = pointer
        self.problems = problems
        if not isinstance(value, dict):
            self.report("", f"should be a mapping, not {_kind(value)}")
            value = {}
        self.value: dict[Any, Any] = value

    def report(self, key: str, what: str) -> None:
        self.problems.append(f"{self.file}: {self.pointer}{'/' if key else ''}{key}: {what}")

    def allow(self, *known: str) -> None:
        for key in self.value:
            if key not in known:
                self.report(str(key), f"unknown key {key!r}; {suggestion(str(key), known)}")

    def object(self, key: str) -> _Reader:
        value = self.value.get(key)
        return _Reader(self.file, f"{self.pointer}/{key}", {} if value is None else value, self.problems)

    def items(self, key: str) -> list[_Reader]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.report(key, f"should be a list, not {_kind(value)}")
            return []
        pointer = f"{self.pointer}/{key}"
        readers = [_Reader(self.file, f"{pointer}/{place}", each, self.problems) for place, each in enumerate(value)]
        return [reader for reader, each in zip(readers, value, strict=True) if isinstance(each, dict)]

    def boolean(self, key: str, default: bool) -> bool:
        value = self.value.get(key, default)
        if not isinstance(value, bool):
            self.report(key, f"should be true or false, not {_kind(value)}")
            return default
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.value.get(key, default)
        if not isinstance(value, str):
            self.report(key, "is missing" if value is None else f"should be text, not {_kind(value)}")
            return default or ""
        return value

    def text_or_none(self, key: str) -> str | None:
        return None if self.value.get(key) is None else self.text(key)

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in known:
            self.report(key, f"{value!r} is not one of {', '.join(known)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.value[key]
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            self.report(key, "should be a list of at least one text")
            return ("",)
        return tuple(value)

    def id(self) -> str:
        return self._uuid("id", self.value.get("id"))

    def ids(self, key: str) -> tuple[str, ...]:
        value = self.value.get(key) or []
        if not isinstance(value, list):
            self.report(key, f"should be a list of UUIDs, not {_kind(value)}")
            return ()
        return tuple(self._uuid(f"{key}/{place}", each) for place, each in enumerate(value))

    def _uuid(self, key: str, value: Any) -> str:
        if value is None:
            self.report(key, "is missing")
            return _UNKNOWN_ID
        try:
            return str(UUID(value))
        except (ValueError, AttributeError, TypeError):
            self.report(key, f"{value!r} is not a UUID")
            return _UNKNOWN_ID

    def number(self, key: str, default: float, most: float = 1e9) -> float:
        value = self.value.get(key, default)
        if not is_number(value) or not 0 <= value <= most:
            self.report(key, f"should be a number from 0 to {most:,.15g}, not {value!r}")
            return default
        return float(value)

    def seconds(self, key: str, default: tuple[int, int] | None) -> tuple[int, int] | None:
        """Read a range of seconds as simulated microseconds: `[1, 3]`, `2` for an exact value, or `never` (None)."""
        if key not in self.value:
            return default
        value = self.value[key]
        if value == "never":
            return None
        limits = value if isinstance(value, list) else [value, value]
        if len(limits) != 2 or not all(map(is_number, limits)) or not 0 <= limits[0] <= limits[1] <= 1e9:
            self.report(key, f"should be seconds: a number, [from, to] or never, not {value!r}")
            return default
        return int(limits[0] * SECOND), int(limits[1] * SECOND)

    def json(self, key: str) -> bytes:
        value = self.value[key]
        if value is not None and not isinstance(value, dict):
            self.report(key, f"should be a mapping, not {_kind(value)}")
            return b"null"
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            self.report(key, f"cannot be written as JSON: {error}")
            return b"null"

    def schema(self, key: str) -> Mapping[str, Any] | None:
        """A JSON schema, as a mapping or as JSON text."""
        value = self.value.get(key)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                self.report(key, f"is not JSON: {error}")
                return None
        if value is not None and not isinstance(value, dict):
            self.report(key, f"should be a JSON schema, not {_kind(value)}")
            return None
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            # For example a date, or an anchor that contains itself.
            self.report(key, f"cannot be written as JSON: {error}")
            return None
        return value


def _kind(value: Any) -> str:
    return {list: "a list", dict: "a mapping", str: "text", bool: "true or false", type(None): "nothing"}.get(
        type(value), f"{value!r}"
    )
