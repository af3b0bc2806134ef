"""Values judged strictly by the document's schemas: jsonschema with the formats that answers must have.

The readers of `schemas` also accept what a lenient server reads; an answer has no lenient forms.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema

from contracts.openapi.schemas import document, is_uuid, moment_of

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
    for error in _validator(component).iter_errors(value):
        yield tuple(error.absolute_path)


@functools.cache
def _validator(component: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{component}", "components": document()["components"]}
    return jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)
