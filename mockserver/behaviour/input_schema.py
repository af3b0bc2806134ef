"""A workflow's own schema for its inputs: what a create must hold beyond the API's own schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from mockserver.spec import Invalid, SpecError, ValueReader, compile_schema, render_json


class HasInputSchema(Protocol):
    @property
    def input_schema(self) -> Mapping[str, Any] | None: ...


def check_inputs(
    workflow: HasInputSchema | None, input_values: Mapping[str, Any] | None, sensitive: Mapping[str, Any] | None
) -> None:
    """Raises Invalid with every violation. Sensitive inputs are judged under their name with a `$` before it.

    A schema that is not understood judges nothing: the real server alone can say what it makes of it.
    """
    if workflow is None or workflow.input_schema is None:
        return
    reader = _reader(render_json(workflow.input_schema).decode())
    if reader is None:
        return
    merged = {**(input_values or {}), **{f"${name}": value for name, value in (sensitive or {}).items()}}
    violations = [_placed(violation) for violation in reader.violations(merged)]
    if violations:
        raise Invalid(422, violations=violations)


def _placed(violation: dict[str, Any]) -> dict[str, Any]:
    loc = list(violation["loc"])
    root = str(loc[0]) if loc else ""
    if root.startswith("$"):
        loc[0] = root[1:]
        return {**violation, "loc": ["body", "sensitive_input_values", *loc], "input": "**********", "ctx": {}}
    shown = violation["input"]
    if isinstance(shown, dict):
        shown = {name: value for name, value in shown.items() if not name.startswith("$")}
    return {**violation, "loc": ["body", "input_values", *loc], "input": shown}


@lru_cache(maxsize=256)
def _reader(schema: str) -> ValueReader | None:
    import json

    try:
        return compile_schema(json.loads(schema), name="input_schema")
    except SpecError:
        return None
