"""The parts of an operation that can be checked: statuses, parameters, and the fields of its body and its answer.

A part is a text: `status 201`, `query limit`, `header Idempotency-Key`, `body file_inputs[].content`,
`answer created_runs[].id`.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from contracts.openapi.schemas import (
    body_schema,
    description_of,
    document,
    operations,
    resolved,
    responses,
    schema,
    success_schema,
)

_FORMATS: Final[dict[str, Callable[[str], Any]]] = {
    "uuid": UUID,
    "date-time": lambda text: datetime.fromisoformat(text.upper()),
}


@functools.cache
def parts_of(operation: str) -> tuple[str, ...]:
    """Return all parts of an operation, in the order of the document."""
    statuses = (f"status {status}" for status in responses(operation))
    parameters = (f"{each['in']} {each['name']}" for each in _parameters(operation) if each["in"] != "path")
    return (*statuses, *parameters, *fields_of_body(operation), *fields_of_answer(operation))


@functools.cache
def fields_of_body(operation: str) -> tuple[str, ...]:
    name = body_schema(operation)
    return () if name is None else tuple(f"body {path}" for path in _paths(schema(name), ()))


@functools.cache
def fields_of_answer(operation: str) -> tuple[str, ...]:
    """Return the fields of the documented success."""
    return tuple(f"answer {path}" for path in _paths(success_schema(operation) or {}, ()))


def query_parameters(operation: str) -> dict[str, dict[str, Any]]:
    """Return the schema of each query parameter, by name."""
    return {each["name"]: resolved(each["schema"]) for each in _parameters(operation) if each["in"] == "query"}


@functools.cache
def _readers(operation: str) -> dict[str, Callable[[str], Any]]:
    readers: dict[str, Callable[[str], Any]] = {}
    for name, described in query_parameters(operation).items():
        if "enum" in described:
            readers[name] = described["enum"].index
        elif described.get("format") in _FORMATS:
            readers[name] = _FORMATS[described["format"]]
    return readers


def unreadable_parameter(operation: str, query: Iterable[tuple[str, str]]) -> str | None:
    """Return the name of the first parameter whose value is no id, moment or value of an enum, as the document says, in
    any notation.
    """
    readers = _readers(operation)
    for name, value in query:
        try:
            if name in readers:
                readers[name](value)
        except ValueError:
            return name
    return None


def present(parts: tuple[str, ...], body: Any) -> list[str]:
    """Return the parts whose field a decoded body contains. All parts are of a body, or all of an answer. In a list,
    only the first and the last item count.
    """
    found: dict[tuple[str, ...], list[Any]] = {(): [body]}

    def values_at(path: tuple[str, ...]) -> list[Any]:
        if path not in found:
            above, name = values_at(path[:-1]), path[-1]
            if name == "[]":
                lists = [value for value in above if isinstance(value, list)]
                found[path] = [item for value in lists for item in (*value[:1], *value[1:][-1:])]
            else:
                found[path] = [value[name] for value in above if isinstance(value, dict) and name in value]
        return found[path]

    return [part for part in parts if values_at(_names_in(part))]


@functools.cache
def _names_in(part: str) -> tuple[str, ...]:
    """Return `("items", "[]", "id")` for `answer items[].id`."""
    return tuple(part.partition(" ")[2].replace("[]", ".[]").removeprefix(".").split("."))


def _parameters(operation: str) -> Iterator[dict[str, Any]]:
    of_path = document()["paths"][operations()[operation][1]].get("parameters", ())
    yield from map(resolved, (*of_path, *description_of(operation).get("parameters", ())))


def _paths(node: dict[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """Yield the path of each property. No schema of the document is within itself."""
    node = resolved(node)
    for option in node.get("anyOf", ()):
        yield from _paths(option, above)
    if node.get("type") == "array":
        items = (*above[:-1], f"{above[-1]}[]") if above else ("[]",)
        yield from _paths(node.get("items", {}), items)
    for name, inner in node.get("properties", {}).items():
        yield ".".join((*above, name))
        yield from _paths(inner, (*above, name))
