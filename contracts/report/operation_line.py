"""Finds the line of the OpenAPI document at which the operation of a request is described."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from contracts.core.exchange import Request
from contracts.openapi.router import route_of

SPEC_PATH = "openapi/cyberdesk.yaml"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the document, counted from 1, and the operationId or path that is described there."""

    operation: str
    line: int


def place_of(request: Request) -> Place:
    """The place of the operation, or of its path if the method is not documented, or the beginning of the document."""
    route = route_of(request.method, request.path)
    if route is None:
        return Place("", 1)
    if route.operation is None:
        return Place(route.template, _lines()[route.template, ""])
    return Place(route.operation, _lines()[route.template, request.method])


@cache
def _lines() -> dict[tuple[str, str], int]:
    """The line of each path, under "", and of each of its methods."""
    text = files("openapi").joinpath("cyberdesk.yaml").read_text(encoding="utf-8")
    document: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = {}
    for template, item in next(paths.value for key, paths in document.value if key.value == "paths"):
        lines[template.value, ""] = template.start_mark.line + 1
        for method, _ in item.value:
            lines[template.value, method.value.upper()] = method.start_mark.line + 1
    return lines
