"""Checks inputs against the input schema of their workflow, in addition to the schema of the API."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple, Protocol

from mockserver.spec import MASK, Invalid, SpecError, ValueReader, Violations, compile_schema, render_json


class HasInputSchema(Protocol):
    @property
    def input_schema(self) -> Mapping[str, Any] | None: ...


class Inputs(NamedTuple):
    """The inputs to check, and their locations in the request.

    `secrets` is None if they are not in this request but may have been in an earlier one: then they are not checked.
    `chained`: a value `{"$ref": "alias.outputs.path"}` refers to the output of an earlier step and is not checked.
    The shared ones are those of all steps of a chain, which the own ones of a step override.
    """

    values: Mapping[str, Any] | None
    secrets: Mapping[str, Any] | None
    values_at: tuple[str | int, ...] = ("body", "input_values")
    secrets_at: tuple[str | int, ...] = ("body", "sensitive_input_values")
    chained: bool = False
    shared_values: Mapping[str, Any] = {}
    shared_secrets: Mapping[str, Any] = {}

    @classmethod
    def of_create(cls, body: Mapping[str, Any]) -> Inputs:
        return cls(body.get("input_values"), body.get("sensitive_input_values") or {})

    def count_names(self) -> int:
        """Return how many names they have together, at most."""
        own = len(self.values or ()) + len(self.secrets or ())
        return own + len(self.shared_values) + len(self.shared_secrets)

    def merged(self) -> dict[str, Any]:
        secrets = {**self.shared_secrets, **(self.secrets or {})}
        return {**self.shared_values, **(self.values or {}), **{f"${name}": each for name, each in secrets.items()}}


def check_inputs(workflow: HasInputSchema | None, inputs: Inputs, *, most: int, steps: int = 1) -> None:
    """Raises Invalid, which lists `most` violations at most and counts the others.

    Sensitive inputs are checked under their name with a `$` prefix.

    Schemas that are not supported, and schemas that would take long for these inputs, are not applied. All `steps` of a
    chain together may take ten times as long as one request, because other requests run between them.
    """
    if workflow is None or workflow.input_schema is None:
        return
    schema = _COMPILED.schema(render_json(workflow.input_schema).decode())
    if schema is None:
        return
    most_checks = _MAX_CHECKS // max(1, steps // 10)
    # Before they are merged: that takes long too, for each step of a chain.
    if inputs.count_names() > most_checks * _MEMBERS_OF_CHECK:
        return
    merged = inputs.merged()
    if schema.takes_long(merged, most_checks):
        return
    violations = Violations(most)
    violations.add(*_relocated(schema.reader.violations(merged, violations), inputs))
    if violations:
        raise Invalid(422, violations=violations.listed())


def _relocated(violations: list[dict[str, Any]], inputs: Inputs) -> Iterator[dict[str, Any]]:
    secrets = (inputs.secrets or {}).keys() | inputs.shared_secrets.keys()
    for violation in violations:
        loc, shown = list(violation["loc"]), violation["input"]
        # With a choice between schemas, pydantic puts a label into the location before the name.
        secret = next(
            (
                place
                for place, part in enumerate(loc)
                if isinstance(part, str) and part.startswith("$") and (place == 0 or part[1:] in secrets)
            ),
            None,
        )
        if secret is not None:
            if inputs.secrets is None:
                continue
            where = [*inputs.secrets_at, loc[secret][1:], *loc[secret + 1 :]]
            yield {**violation, "loc": where, "msg": _without_value(violation), "input": MASK, "ctx": {}}
            continue
        if inputs.chained and isinstance(shown, dict) and shown.keys() == {"$ref"}:
            continue
        if isinstance(shown, dict):
            shown = {name: value for name, value in shown.items() if not name.startswith("$")}
        yield {**violation, "loc": [*inputs.values_at, *loc], "input": shown}


def _without_value(violation: dict[str, Any]) -> str:
    """Return the message without the details of a parsing error, which may quote the value."""
    message: str = violation["msg"]
    return message.partition(",")[0] if violation["type"].endswith("_parsing") else message


MAX_SCHEMA_LENGTH = 65_536
"""A longer schema is stored and returned, but not applied."""


class _Schema(NamedTuple):
    """`checks`: how many it may make of one value in a list or map. `steps`: of one character, by its patterns."""

    reader: ValueReader
    checks: int
    steps: float

    def takes_long(self, inputs: Any, most: float) -> bool:
        """Whether checking the inputs could take longer than `most` failed checks."""
        left = most
        for part in _parts(inputs):
            left -= self.checks
            if isinstance(part, str):
                left -= self.steps * len(part) / _STEPS_OF_CHECK
            elif isinstance(part, dict | list):
                left -= len(part) / _MEMBERS_OF_CHECK
            if left < 0:
                return True
        return False


_MAX_CHECKS = 300_000
"""They take about half a second, in which nothing else is handled."""
_STEPS_OF_CHECK = 200
"""How many steps of a pattern take as long as one failed check."""
_MEMBERS_OF_CHECK = 5
"""How many members of an object or array take as long to pass over as one failed check."""


class CompiledSchemas:
    """Schemas by their text: those used last, as many as cost no more than `max_cost` together.

    A schema costs what its patterns cost to compile, 1 for each 2,000 characters, and 1. Measured on 2026-11-30: a cost
    of 1 takes up to 80 KB of memory. pydantic-core 2.50 keeps the 50 patterns that it compiled last, whatever goes
    here.
    """

    def __init__(self, max_cost: float) -> None:
        self._max_cost = max_cost
        self._kept: OrderedDict[str, tuple[_Schema | None, float]] = OrderedDict()
        self.cost = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def schema(self, text: str) -> _Schema | None:
        """Return None for a schema that is not applied."""
        if len(text) > MAX_SCHEMA_LENGTH:
            return None
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text][0]
        schema, cost = _compiled(text)
        self._kept[text] = schema, cost
        self.cost += cost
        while self.cost > self._max_cost:
            _, (_, gone) = self._kept.popitem(last=False)
            self.cost -= gone
        return schema


_COMPILED = CompiledSchemas(max_cost=1_600)


def _compiled(text: str) -> tuple[_Schema | None, float]:
    """Return a schema, None if it is not applied, and what it costs to keep it."""
    value = json.loads(text)
    cost = 1 + len(text) / 2_000
    pattern_cost = _pattern_cost(value)
    if _refers(value) or pattern_cost > _MAX_PATTERN_COST:
        return None, cost
    try:
        reader = compile_schema(value, name="input_schema")
    except SpecError:
        return None, cost
    steps = sum(times * len(pattern) for pattern, times in _patterns(value))
    return _Schema(reader, _checks(value), steps), cost + pattern_cost


def _parts(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all values in it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _refers(schema: Any) -> bool:
    """Whether a schema has a reference. A few of them can stand for more checks than can ever be made."""
    return any(isinstance(part, dict) and isinstance(part.get("$ref"), str) for part in _parts(schema))


def _checks(schema: Any) -> int:
    """Return how many checks a schema may make of a value in a list or map: one for each schema of its members."""
    most = 0
    for part in _parts(schema):
        for keyword in ("items", "additionalProperties"):
            if isinstance(part, dict) and isinstance(part.get(keyword), dict):
                most = max(most, sum(map(_types, _parts(part[keyword]))))
    return most


def _types(part: Any) -> int:
    if not isinstance(part, dict):
        return 0
    kinds = part.get("type")
    each = _CHECKS_OF_DATE_TIME if part.get("format") == "date-time" else 1
    return each * (len(kinds) if isinstance(kinds, list | tuple) else 1)


_CHECKS_OF_DATE_TIME = 4
"""How many other failed checks take as long as one of a date-time, which is checked in Python."""


_MAX_PATTERN_COST = 200
"""In milliseconds, approximately: how long compiling may block the event loop."""
_HEAVY = re.compile(r"\\[wWsSdDpP]|\.|\[\^|\(\?[a-zA-Z-]*i")
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z-]*i")
_FOLDED = re.compile(r"\[|&&|--|~~")
_FOLDED_COST = 5
"""Where case is ignored, the other case of each character in a class is looked up: up to 5 ms for a wide range."""
_REPEATED = re.compile(r"\{([0-9]{1,6})?(?:,([0-9]{0,6}))?\}")


def _patterns(schema: Any) -> Iterator[tuple[str, float]]:
    """Yield the patterns in a schema, and how many times each repeats its parts at most."""
    for part in _parts(schema):
        pattern = part.get("pattern") if isinstance(part, dict) else None
        if isinstance(pattern, str):
            # As floats, so that a product that is too large is infinite.
            yield pattern, prod(max(1.0, *(float(count or 0) for count in each)) for each in _REPEATED.findall(pattern))


def _pattern_cost(schema: Any) -> float:
    """Estimate what the patterns in a schema cost to compile: each character class counts once per repetition.

    So do the optional parts: the compiler looks back at all that stand in a row.
    """
    return sum(
        0.1
        + times * (len(_HEAVY.findall(pattern)) + len(pattern) / 1_000 + pattern.count("?") / 100)
        + _folding_cost(pattern)
        for pattern, times in _patterns(schema)
    )


def _folding_cost(pattern: str) -> float:
    """Estimate what ignoring case costs: once for each class, and for each set that classes are combined from."""
    return _FOLDED_COST * len(_FOLDED.findall(pattern)) if _IGNORES_CASE.search(pattern) else 0
