"""Finds the line of the OpenAPI document at which the operation of a request is described."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from contracts.core.exchange import Request
from contracts.openapi.router import route_of

SPEC_PATH = "openapi/cyberdesk.yaml"


def place_of(request: Request) -> tuple[str, int]:
    """The operationId and the line, counted from 1, where the operation is described. If the method is not documented,
    those of its path; if the path is not, "" and the first line.
    """
    route = route_of(request.method, request.path)
    if route is None:
        return "", 1
    if route.operation is None:
        return route.template, _lines()[route.template, ""]
    return route.operation, _lines()[route.template, request.method]


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
