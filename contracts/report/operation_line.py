"""Finds the line of the OpenAPI document at which the operation of a request is described."""

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
    """A line of the document, counted from 1, and the operationId or path that is described there."""

    operation: str
    line: int


_DOCUMENT_START = Place("", 1)


def place_of(request: Request) -> Place:
    """The place of the operation, or of its path if the method is not documented, or the beginning of the document."""
    path, method = request.path.partition("?")[0], request.method.lower()
    matching = [methods for pattern, methods in _paths() if pattern.fullmatch(path)]
    offered = next((methods[method] for methods in matching if method in methods), None)
    return offered or (matching[0][""] if matching else _DOCUMENT_START)


@cache
def _paths() -> tuple[tuple[re.Pattern[str], Mapping[str, Place]], ...]:
    """Path patterns, each with the places of its methods, and of the path itself under "".

    Paths with fewer parameters come first, as servers match them.
    """
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
