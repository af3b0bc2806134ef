"""The parts of an operation that can be checked: statuses, parameters, and the fields of its body and its answer.

A part is a text: `status 201`, `query limit`, `header Idempotency-Key`, `body file_inputs[].content`,
`answer created_runs[].id`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

from contracts.openapi.schemas import body_schema, document, operations, schema

_MAX_DEPTH: Final = 6


@functools.cache
def parts_of(operation: str) -> tuple[str, ...]:
    """Return all parts of an operation, in the order of the document."""
    statuses = (f"status {status}" for status in _description(operation)["responses"] if status.isdigit())
    parameters = (f"{kind} {name}" for kind, name in _parameters(operation) if kind in {"query", "header"})
    return (*statuses, *parameters, *fields_of_body(operation), *fields_of_answer(operation))


@functools.cache
def fields_of_body(operation: str) -> tuple[str, ...]:
    name = body_schema(operation)
    return () if name is None else tuple(f"body {path}" for path in _paths(schema(name), ()))


@functools.cache
def fields_of_answer(operation: str) -> tuple[str, ...]:
    """Return the fields of the documented success."""
    for status, response in _description(operation)["responses"].items():
        content = response.get("content", {}).get("application/json")
        if status.startswith("2") and content is not None:
            return tuple(f"answer {path}" for path in _paths(content.get("schema", {}), ()))
    return ()


def present(part: str, body: Any) -> bool:
    """Return whether a decoded body has the field of a part. Of a list, the first and the last item are looked at."""
    return _has(body, part.partition(" ")[2].split("."))


def _has(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    name = path[0].removesuffix("[]")
    if name:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    if not path[0].endswith("[]"):
        return _has(value, path[1:])
    if len(path) == 1:
        return True
    return isinstance(value, list) and any(_has(item, path[1:]) for item in (*value[:1], *value[-1:]))


def _description(operation: str) -> dict[str, Any]:
    method, path = operations()[operation]
    described: dict[str, Any] = document()["paths"][path][method.lower()]
    return described


def _parameters(operation: str) -> Iterator[tuple[str, str]]:
    _, path = operations()[operation]
    for parameter in (*document()["paths"][path].get("parameters", ()), *_description(operation).get("parameters", ())):
        found = _resolved(parameter)
        yield found["in"], found["name"]


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document()
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


def _paths(node: dict[str, Any], above: tuple[str, ...], within: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the path of each property. A schema within itself is not followed."""
    if "$ref" in node:
        if node["$ref"] in within:
            return
        within = (*within, node["$ref"])
        node = _resolved(node)
    for option in node.get("anyOf", ()):
        yield from _paths(option, above, within)
    if node.get("type") == "array":
        items = (*above[:-1], f"{above[-1]}[]") if above else ("[]",)
        yield from _paths(node.get("items", {}), items, within)
    for name, inner in node.get("properties", {}).items() if len(above) < _MAX_DEPTH else ():
        yield ".".join((*above, name))
        yield from _paths(inner, (*above, name), within)
