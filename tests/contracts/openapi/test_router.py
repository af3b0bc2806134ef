"""Which documented path and operation a request is for."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.openapi.router import Route, operation_at, route_of
from contracts.openapi.schemas import operations


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/runs/bulk", Route("/v1/runs/bulk", "bulk_create_runs", "")),
        ("GET", "/v1/runs/bulk", Route("/v1/runs/{run_id}", "get_run", "bulk")),
        ("PUT", "/v1/runs/bulk", Route("/v1/runs/bulk", None, "")),
        ("GET", "/v1/runs?limit=1", Route("/v1/runs", "list_runs", "")),
        ("PUT", "/v1/runs", Route("/v1/runs", None, "")),
        ("POST", "/v1/runs/x/retry?a=/b", Route("/v1/runs/{run_id}/retry", "retry_run", "x")),
        ("GET", "/v1/nothing", None),
        ("GET", "/v1/runs/", None),
        ("POST", "/v1/runs//retry", None),
        ("GET", "/v1/runs/x/y/z", None),
    ],
)
def test_a_request_has_the_route_of_its_path_and_method(method: str, path: str, route: Route | None) -> None:
    assert route_of(method, path) == route
    assert operation_at(method, path) == (route.operation if route else None)


@given(st.sampled_from(list(operations())), st.uuids() | st.text(min_size=1))
def test_every_operation_is_found_with_any_id(operation: str, resource_id: object) -> None:
    method, template = operations()[operation]
    before, brace, after = template.partition("{")
    text = str(resource_id).encode("utf-8", "replace").decode()
    path = before + quote(text, safe="") + after.partition("}")[2] if brace else template
    concrete = path in {other for _, other in operations().values()}

    route = route_of(method, path)

    assert route is not None
    assert concrete or route == Route(template, operation, text if brace else "")
