"""Judges answers strictly by the document: by its schemas, with the formats that answers must have.

The readers of `schemas` also accept what a lenient server accepts; an answer has no lenient forms. jsonschema-rs
recognises valid answers, which most are, fifty times as fast as jsonschema. jsonschema then says what is wrong with the
others. It validates only the fields in which the readers find an invalid part or an ambiguity.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema
import jsonschema_rs
from jsonschema.validators import extend

from contracts.core.json_tree import Path
from contracts.openapi.schemas import Diagnostics, document, is_uuid, moment_of, reader_of, success_schema
from contracts.openapi.schemas import schema as document_schema

_LEAP_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]23:59:60(\.\d+)?(Z|z|\+00:00|-00:00)")


def is_date_time(text: str) -> bool:
    """Whether it is a date-time of RFC 3339, also one that datetime cannot represent: a leap second, or the year 0,
    which is a leap year as 2000 is.
    """
    in_calendar = f"2000{text[4:]}" if text.startswith("0000") else text
    return moment_of(in_calendar) is not None or _LEAP_SECOND.fullmatch(text) is not None


_FORMATS: Final = {"uuid": is_uuid, "date-time": is_date_time}


def differences(component: str, value: Any) -> Iterator[Path]:
    """Yield the path of each part of a value that does not match the component schema. A missing field is a part."""
    return _component_validator(component).paths(value)


def matches(component: str, value: Any) -> bool:
    return _component_validator(component).is_valid(value)


def success_differences(operation: str, body: Any) -> Iterator[Path]:
    """Like `differences`, for the body of a success, by the documented schema of the operation."""
    return _success_validator(operation).paths(body)


def fits_field(component: str, name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a field is as the schema of the component says: valid, or absent if it may be."""
    schema = document_schema(component)
    if name not in fields:
        return name not in schema.get("required", ())
    return name not in schema["properties"] or _field_validator(component, name).is_valid(fields[name])


def success_requirements(operation: str, body: Any) -> dict[Path, str]:
    """Return what the schema requires of each part that `success_differences` yields, in words."""
    return {tuple(error.absolute_path): _in_words(error) for error in _success_validator(operation).errors(body)}


def _in_words(error: jsonschema.ValidationError) -> str:
    required: Any = error.validator_value
    match error.validator:
        case "type":
            return " or ".join(_TYPES[name] for name in ([required] if isinstance(required, str) else required))
        case "format":
            return _FORMATS_IN_WORDS.get(required, f"a {required}")
        case "enum":
            return f"one of {', '.join(map(str, required))}"
        case "minimum":
            return f"at least {required}"
        case "$ref":  # see `_reference`
            return "present"
        case "anyOf":
            alternatives = error.context or []
            deepest = max(alternatives, key=lambda one: len(one.absolute_path), default=error)
            if len(deepest.absolute_path) > len(error.absolute_path):  # the value was meant to be of this alternative
                words = _in_words(deepest)
                return f"valid ({'.'.join(map(str, deepest.absolute_path))} must be {words})" if words else ""
            return " or ".join(dict.fromkeys(words for one in alternatives if (words := _in_words(one))))
    return ""


_FORMATS_IN_WORDS: Final = {
    "uuid": "a UUID in lower case, with dashes",
    "date-time": "a date-time with a time zone (RFC 3339)",
}
_TYPES: Final = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}


class _Validator:
    def __init__(self, schema: dict[str, Any]) -> None:
        schema = schema | {"components": document()["components"]}
        self._quick = jsonschema_rs.Draft202012Validator(schema, formats=_FORMATS, validate_formats=True)
        self._thorough = _Thorough(schema, format_checker=_format_checker())

    def is_valid(self, value: Any) -> bool:
        try:
            return self._quick.is_valid(value)
        except ValueError:  # of JSON that Rust cannot represent
            return bool(self._thorough.is_valid(value))

    def errors(self, value: Any) -> Iterator[jsonschema.ValidationError]:
        if not self.is_valid(value):
            yield from self._thorough.iter_errors(value)

    def paths(self, value: Any) -> Iterator[Path]:
        return (tuple(error.absolute_path) for error in self.errors(value))


def _format_checker() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=())
    for name, is_right in _FORMATS.items():
        checker.checks(name)(lambda value, is_right=is_right: not isinstance(value, str) or is_right(value))
    return checker


def _reference(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
    """The keyword `$ref`: validates only the fields in which the reader of the component finds something."""
    component = reference.rsplit("/", 1)[-1]
    diagnostics = Diagnostics()
    reader_of(component)(value, (), diagnostics)
    if () in diagnostics.places:
        yield from jsonschema.Draft202012Validator.VALIDATORS["$ref"](validator, reference, value, schema)
        return
    for name in dict.fromkeys(path[0] for path in diagnostics.places):
        if name in value:
            yield from validator.descend(value[name], document_schema(component)["properties"][name], path=name)
        else:
            yield jsonschema.ValidationError(f"{name} is missing", path=[name])


_Thorough: Final[Any] = extend(jsonschema.Draft202012Validator, {"$ref": _reference})  # type: ignore[no-untyped-call]


@functools.cache
def _component_validator(component: str) -> _Validator:
    return _Validator({"$ref": f"#/components/schemas/{component}"})


@functools.cache
def _field_validator(component: str, name: str) -> _Validator:
    return _Validator(document_schema(component)["properties"][name])


@functools.cache
def _success_validator(operation: str) -> _Validator:
    return _Validator(success_schema(operation) or {})
