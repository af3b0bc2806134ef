"""The OpenAPI document of the control API, compiled once for all mocks of the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from mockserver.admin.violation_texts import text_of_violation
from mockserver.spec import Bounds, Call, Document, Invalid, Operation, RawRequest, compile_operations, load
from mockserver.spec.violations import Violation
from mockserver.suggestions import suggestion

_MAX_VALUES = 20_000_000
"""High, because a state may be large. Its sender is trusted: they could do worse than block the mock."""

_LEVELS_OF_STATE = 16
"""A state holds what clients have sent some levels deeper."""


@cache
def document() -> Document:
    return load(files("mockserver.admin") / "openapi.yaml")


@cache
def operations() -> Mapping[str, Operation]:
    bounds = Bounds(values=_MAX_VALUES)
    compiled = compile_operations(document(), coercion="strict", bounds=bounds)
    of_state = bounds._replace(nesting=bounds.nesting + _LEVELS_OF_STATE)
    return {**compiled, "put_state": compiled["put_state"].with_bounds(of_state)}


def decode(operation: Operation, raw: RawRequest) -> Call:
    """Validate and decode a request. Raises Invalid, in the words of the control API."""
    try:
        return operation.decode(raw)
    except Invalid as invalid:
        if operation.operation_id == "set_clock":
            invalid.violations = _merged(invalid.violations)
        for each in invalid.violations:
            if each["type"] == "extra_forbidden":
                name = str(each["loc"][-1])
                each["msg"] = f"unknown key {name[:100]!r}; {suggestion(name, _keys(operation, len(each['loc'])))}"
            else:
                is_list_of_runs = operation.operation_id == "seed_runs"
                each["msg"] = text_of_violation(each, is_list_of_runs=is_list_of_runs)
        raise


_CLOCK_VALUES = {
    "freeze": "true, or a time such as 2025-03-04T09:00:00Z",
    "advance": "a duration such as 20m or 1h30m, or a number of seconds from 0 to 1,000,000,000",
}
"""What the fields of a change of the clock may be that have one of several types."""


def _merged(violations: Sequence[Violation]) -> list[Violation]:
    """Return one violation for each field of `_CLOCK_VALUES`, in place of one for each of its types."""
    merged: dict[tuple[str | int, ...], Violation] = {}
    for each in violations:
        place, field, *_ = loc = (*each["loc"], "")
        if field in _CLOCK_VALUES:
            loc = (place, field)
            expected = f"should be {_CLOCK_VALUES[field]}"
            each = {"type": "value_error", "loc": list(loc), "msg": expected, "input": each["input"]}
        merged.setdefault(loc, each)
    return list(merged.values())


def _keys(operation: Operation, depth: int) -> list[str]:
    """The keys of an object in a body. Only the seeds of runs have objects that are not the body itself."""
    if operation.known_fields:
        return sorted(operation.known_fields)
    return list(document().root["components"]["schemas"]["Seed" if depth == 3 else "SeedOutput"]["properties"])
