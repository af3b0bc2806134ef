"""Where in the OpenAPI description the operation stands that a request is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from contracts.core.exchange import Request

SPEC_PATH = "openapi/cyberdesk.yaml"


@dataclass(frozen=True, slots=True)
class Place:
    """`line` counts from 1."""

    operation: str
    line: int


_WHOLE = Place("", 1)


def place_of(request: Request) -> Place:
    """Of the operation; of its path where the method is not documented there; else the beginning of the document."""
    path, method = request.path.partition("?")[0], request.method.lower()
    fitting = [methods for pattern, methods in _paths() if pattern.fullmatch(path)]
    offered = next((methods[method] for methods in fitting if method in methods), None)
    return offered or (fitting[0][""] if fitting else _WHOLE)


@cache
def _paths() -> tuple[tuple[re.Pattern[str], Mapping[str, Place]], ...]:
    """Concrete paths first, as the servers route; under "" the path itself."""
    text = files("openapi").joinpath("cyberdesk.yaml").read_text(encoding="utf-8")
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    found = []
    for template, item in _pairs(_child(document, "paths")):
        methods = {"": Place(template.value, template.start_mark.line + 1)}
        for method, operation in _pairs(item):
            name = {key.value: value.value for key, value in _pairs(operation)}.get("operationId")
            if isinstance(name, str):
                methods[method.value] = Place(name, method.start_mark.line + 1)
        found.append((template.value, methods))
    found.sort(key=lambda pair: pair[0].count("{"))
    return tuple((_pattern(template), methods) for template, methods in found)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]*" if part.startswith("{") else re.escape(part) for part in _parts(template)))


def _parts(template: str) -> list[str]:
    return re.split(r"(\{[^}]*\})", template)


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in _pairs(node) if key.value == name), None)
