"""Values judged strictly by the document's schemas: jsonschema with the formats that answers must have.

The readers of `schemas` also accept what a lenient server reads; an answer has no lenient forms.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema

from contracts.openapi.schemas import document, is_uuid, moment_of, operations

_LEAP_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]23:59:60(\.\d+)?(Z|z|\+00:00|-00:00)")
_FORMATS: Final = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("uuid")
def _is_uuid(value: Any) -> bool:
    return not isinstance(value, str) or is_uuid(value)


@_FORMATS.checks("date-time")
def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or moment_of(value) is not None or _LEAP_SECOND.fullmatch(value) is not None


def differences(component: str, value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each part of a value that does not match the component schema."""
    return _paths(_validator(component), value)


def answer_differences(operation: str, status: int, body: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each part of a JSON answer that does not match the documented one; nothing if there is none."""
    validator = _answer_validator(operation, status)
    return iter(()) if validator is None else _paths(validator, body)


def _paths(validator: Any, value: Any) -> Iterator[tuple[str | int, ...]]:
    for error in validator.iter_errors(value):
        yield tuple(error.absolute_path)


@functools.cache
def _validator(component: str) -> Any:
    return _compiled({"$ref": f"#/components/schemas/{component}"})


@functools.cache
def _answer_validator(operation: str, status: int) -> Any:
    method, path = operations()[operation]
    answer = document()["paths"][path][method.lower()]["responses"].get(str(status), {})
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
    content = answer.get("content", {}).get("application/json")
    return None if content is None else _compiled(content["schema"])


def _compiled(schema: dict[str, Any]) -> Any:
    whole = schema | {"components": document()["components"]}
    return jsonschema.Draft202012Validator(whole, format_checker=_FORMATS)
