"""Checks inputs against the input schema of their workflow, in addition to the schema of the API."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from mockserver.behaviour.schema_costs import MEMBERS_OF_CHECK, CheckingCost, compiling_cost, values_in
from mockserver.spec import MASK, Invalid, SpecError, ValueReader, Violations, compile_schema, render_json

MAX_SCHEMA_LENGTH = 65_536
"""A longer schema is stored and returned, but not applied."""
_MAX_CHECKS = 300_000
"""They take about half a second, in which nothing else is handled."""
_MAX_COMPILING_MS = 200
"""How long compiling may block the event loop, approximately."""


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
    if inputs.count_names() > most_checks * MEMBERS_OF_CHECK:
        return
    merged = inputs.merged()
    if schema.cost.exceeds(most_checks, merged):
        return
    violations = Violations(most)
    violations.add(*_relocated(schema.reader.violations(merged, violations), inputs))
    if violations:
        raise Invalid(422, violations=violations.listed())


def _relocated(violations: list[dict[str, Any]], inputs: Inputs) -> Iterator[dict[str, Any]]:
    """Give the violations their locations in the request, and leave out those of inputs that are not checked."""
    secrets = (inputs.secrets or {}).keys() | inputs.shared_secrets.keys()
    for violation in violations:
        at = _place_of_secret(violation["loc"], secrets)
        if at is None:
            if not (inputs.chained and _is_reference(violation["input"])):
                yield _of_value(violation, inputs)
        elif inputs.secrets is not None:
            yield _of_secret(violation, at, inputs)


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"$ref"}


def _of_value(violation: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    shown = violation["input"]
    if isinstance(shown, dict):
        shown = {name: value for name, value in shown.items() if not name.startswith("$")}
    return {**violation, "loc": [*inputs.values_at, *violation["loc"]], "input": shown}


def _of_secret(violation: dict[str, Any], at: int, inputs: Inputs) -> dict[str, Any]:
    """`at` is the place of the name in the location. The violation does not show a value."""
    loc = violation["loc"]
    where = [*inputs.secrets_at, loc[at][1:], *loc[at + 1 :]]
    return {**violation, "loc": where, "msg": _without_value(violation), "input": MASK, "ctx": {}}


def _place_of_secret(loc: Sequence[Any], secrets: Collection[str]) -> int | None:
    """Return where a location has the name of a sensitive input, if it has one."""
    for place, part in enumerate(loc):
        # With a choice between schemas, pydantic puts a label into the location before the name.
        if isinstance(part, str) and part.startswith("$") and (place == 0 or part[1:] in secrets):
            return place
    return None


def _without_value(violation: dict[str, Any]) -> str:
    """Return the message without the details of a parsing error, which may quote the value."""
    message: str = violation["msg"]
    return message.partition(",")[0] if violation["type"].endswith("_parsing") else message


class _Schema(NamedTuple):
    reader: ValueReader
    cost: CheckingCost


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
    cost, compiling_ms = 1 + len(text) / 2_000, compiling_cost(value)
    if compiling_ms > _MAX_COMPILING_MS or _has_reference(value):
        return None, cost
    try:
        reader = compile_schema(value, name="input_schema")
    except SpecError:
        return None, cost
    return _Schema(reader, CheckingCost.of_schema(value)), cost + compiling_ms


def _has_reference(schema: Any) -> bool:
    """A few references can stand for more checks than can ever be made."""
    return any(isinstance(part, dict) and isinstance(part.get("$ref"), str) for part in values_in(schema))
