"""A single JSON schema outside of a document: for schemas that are data, not part of the API."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ValidationError

from mockserver.spec.document import from_value
from mockserver.spec.validation import Reader, compile_reader
from mockserver.spec.violations import Violation, Violations


class ValueReader:
    """Validates values by a schema, without type coercion."""

    def __init__(self, compiled: Reader) -> None:
        self._reader = compiled

    def violations(self, value: Any, violations: Violations) -> list[Violation]:
        """Return as many violations as there is room for. `loc` is relative to the value; nothing is masked."""
        try:
            self._reader.read_exactly(value, violations)
        except ValidationError as error:
            return [{**line, "loc": list(line["loc"])} for line in error.errors(include_url=False)]
        return []


def compile_schema(schema: Mapping[str, Any], *, name: str) -> ValueReader:
    """Errors name the schema by `name`. Raises SpecError for unsupported keywords."""
    known = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    root = {"openapi": "3.1.0", "paths": {}, "components": {"schemas": {"schema": known}}}
    pointer = "/components/schemas/schema"
    return ValueReader(compile_reader(from_value(root, name), known, pointer, mode="strict", text=False))
