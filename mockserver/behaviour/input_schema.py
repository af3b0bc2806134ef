"""Checks inputs against the input schema of their workflow, in addition to the schema of the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, Protocol

from mockserver.spec import Invalid, SpecError, ValueReader, Violations, compile_schema, render_json


class HasInputSchema(Protocol):
    @property
    def input_schema(self) -> Mapping[str, Any] | None: ...


class Inputs(NamedTuple):
    """The inputs to check, and their locations in the request.

    `secrets` is None if they are not in this request but may have been in an earlier one: then they are not checked.
    `chained`: a value `{"$ref": "alias.outputs.path"}` refers to the output of an earlier step and is not checked.
    """

    values: Mapping[str, Any] | None
    secrets: Mapping[str, Any] | None
    values_at: tuple[str | int, ...] = ("body", "input_values")
    secrets_at: tuple[str | int, ...] = ("body", "sensitive_input_values")
    chained: bool = False

    @classmethod
    def of_create(cls, body: Mapping[str, Any]) -> Inputs:
        return cls(body.get("input_values"), body.get("sensitive_input_values") or {})


def check_inputs(workflow: HasInputSchema | None, inputs: Inputs, *, most: int) -> None:
    """Raises Invalid, which lists `most` violations at most and counts the others.

    Sensitive inputs are checked under their name with a `$` prefix.

    A schema that is not understood is not applied: only the real server can tell how it reads such a schema.
    """
    if workflow is None or workflow.input_schema is None:
        return
    reader = _reader(render_json(workflow.input_schema).decode())
    if reader is None:
        return
    merged = {**(inputs.values or {}), **{f"${name}": value for name, value in (inputs.secrets or {}).items()}}
    violations = Violations(most)
    violations.add(*_relocated(reader.violations(merged, violations), inputs))
    if violations:
        raise Invalid(422, violations=violations.listed())


def _relocated(violations: list[dict[str, Any]], inputs: Inputs) -> Iterator[dict[str, Any]]:
    secrets = inputs.secrets or {}
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
            yield {**violation, "loc": where, "msg": _without_value(violation), "input": "**********", "ctx": {}}
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


LONGEST_SCHEMA = 65_536
"""A longer schema is stored and returned, but not applied."""


@lru_cache(maxsize=256)
def _reader(schema: str) -> ValueReader | None:
    if len(schema) > LONGEST_SCHEMA:
        return None
    value = json.loads(schema)
    if _pattern_cost(value) > _MOST_PATTERN_COST:
        return None
    try:
        return compile_schema(value, name="input_schema")
    except SpecError:
        return None


_MOST_PATTERN_COST = 200
"""In milliseconds, approximately: how long compiling may block the event loop."""
_HEAVY = re.compile(r"\\[wWsSdDpP]|\.|\[\^|\(\?[a-zA-Z-]*i")
_REPEATED = re.compile(r"\{([0-9]{1,6})?(?:,([0-9]{0,6}))?\}")


def _pattern_cost(schema: Any) -> float:
    """Estimate what the patterns in a schema cost to compile: each character class counts once per repetition."""
    cost = 0.0
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            pattern = value.get("pattern")
            if isinstance(pattern, str):
                # As floats, so that a product that is too large is infinite.
                times = prod(max(1.0, *(float(count or 0) for count in each)) for each in _REPEATED.findall(pattern))
                cost += 0.1 + times * (len(_HEAVY.findall(pattern)) + len(pattern) / 1_000)
        elif isinstance(value, list):
            waiting += value
    return cost
