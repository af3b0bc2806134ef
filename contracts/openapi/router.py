"""Finds the path and the operation of the document that a request is for.

Only paths exactly as documented match. `guard/effect.py` says how a lenient server might interpret another path.
"""

import functools
import re
from dataclasses import dataclass
from urllib.parse import unquote

from contracts.core.exchange import Request
from contracts.openapi.schemas import operations


@dataclass(frozen=True, slots=True)
class Route:
    template: str
    operation: str | None
    """The operationId; None if the document has no operation of that method for the path."""
    resource_id: str
    """The value of the path parameter, decoded; empty if the template has none."""


def route_of(method: str, path: str) -> Route | None:
    """Return the route of a request, or None if no documented path matches.

    If several match, it is one that has the method, and if possible one without a parameter.
    """
    plain = path.partition("?")[0]
    routes = []
    for template, pattern in _patterns():
        if found := pattern.fullmatch(plain):
            routes.append(Route(template, _operation_ids().get((method, template)), unquote("".join(found.groups()))))
    return next((route for route in routes if route.operation), routes[0] if routes else None)


def path_parameter(template: str) -> str:
    """Return the name of the path parameter of a template; empty if the template has none."""
    return template.partition("{")[2].partition("}")[0]


def operation_at(method: str, path: str) -> str | None:
    """Return the operationId of a request, or None if it has no documented path and method."""
    route = route_of(method, path)
    return None if route is None else route.operation


def resource_id_of(request: Request) -> str:
    """Return the id in the path of a request; empty if its path is not documented or has no parameter."""
    route = route_of(request.method, request.path)
    return "" if route is None else route.resource_id


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    templates = sorted({template for _, template in operations().values()}, key=lambda template: template.count("{"))
    return tuple((template, re.compile(re.sub(r"\{[a-z_]+\}", "([^/]+)", template))) for template in templates)


@functools.cache
def _operation_ids() -> dict[tuple[str, str], str]:
    return {place: operation for operation, place in operations().items()}
