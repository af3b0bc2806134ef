"""What a violation of the control API's document says: in the words of its other refusals, not of pydantic-core."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mockserver.spec.violations import Violation
from mockserver.suggestions import did_you_mean

_MAX_SHOWN = 100
_A_RUN = '[{"workflow_id": "10000000-0000-4000-8000-000000000001", "status": "success"}]'


def text_of_violation(violation: Violation, *, is_list_of_runs: bool = False) -> str:
    """Say what was expected and what came; what pydantic-core says about a type that has no words here.

    `is_list_of_runs`: the body should be one.
    """
    kind = violation["type"]
    if is_list_of_runs and kind == "list_type" and len(violation["loc"]) == 1:
        return f"should be a list of runs, such as {_A_RUN}, not {_shown(violation['input'])}"
    expected = _EXPECTED.get(kind)
    if expected is not None:
        return f"should be {expected}, not {_shown(violation['input'])}"
    text_of = _TEXTS.get(kind)
    return str(violation["msg"]) if text_of is None else text_of(violation["input"], violation.get("ctx", {}))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:_MAX_SHOWN]


def _choice(value: Any, context: Mapping[str, Any]) -> str:
    known = re.findall("'([^']*)'", context["expected"])
    hint = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"should be one of {', '.join(known)}, not {_shown(value)}{hint}"


def _size(what: str) -> Callable[[Any, Mapping[str, Any]], str]:
    def text(value: Any, context: Mapping[str, Any]) -> str:
        fewest, most = context.get("min_length"), context.get("max_length")
        limit = f"at least {fewest}" if fewest is not None else f"at most {most}"
        plural = "" if 1 in (fewest, most) else "s"
        return f"should have {limit} {what}{plural}, not {context.get('actual_length', len(value))}"

    return text


_UUID = "a UUID such as 10000000-0000-4000-8000-000000000001"
_TIME = "a time such as 2025-03-04T09:00:00Z"
_EXPECTED = {
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    **dict.fromkeys(("dict_type", "model_attributes_type", "model_type"), "an object"),
    **dict.fromkeys(("int_from_float", "int_parsing", "int_parsing_size", "int_type"), "a whole number"),
    **dict.fromkeys(("finite_number", "float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("uuid_parsing", "uuid_type"), _UUID),
    **dict.fromkeys(("datetime_from_date_parsing", "datetime_parsing", "datetime_type"), _TIME),
    "list_type": "a list",
    "string_type": "text",
}
_TEXTS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "base64_decode": lambda value, context: f"should be base64: {context['error']}",
    "enum": _choice,
    "greater_than_equal": lambda value, context: f"should be {context['ge']:.15g} or more, not {_shown(value)}",
    "less_than_equal": lambda value, context: f"should be {context['le']:.15g} or less, not {_shown(value)}",
    "missing": lambda value, context: "is missing",
    **dict.fromkeys(("string_too_long", "string_too_short"), _size("character")),
    **dict.fromkeys(("too_long", "too_short"), _size("item")),
}
