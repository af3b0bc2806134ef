"""What the user has named stays as it is, whatever a scenario, a shrunk case or a report asks for."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from contracts.core.exchange import SECOND_TOKEN, Request
from contracts.core.target import Budget
from contracts.guard import Guard, NotAllowed, RequestKind
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.requests import bulk, post
from tests.contracts.guard.standin import WORKFLOW, StandIn

BASE = {
    "workflow_id": WORKFLOW,
    "count": 1,
    "input_values": {"name": "Ada"},
    "sensitive_input_values": {"pin": "48151"},
}
OTHER = str(uuid.uuid4())


def kinds(request: Request) -> RequestKind:
    """A count of 0 must be refused."""
    return RequestKind("create", "field count" if b'"count": 0' in (request.body or b"") else None)


@pytest.fixture
def guard(open_guard: OpenGuard) -> Guard:
    budget = Budget(max_runs=25, max_requests=500)
    guard = open_guard(profile="live", budget=budget, base_request=BASE, varied_fields=("session_alias",))
    guard.set_kind_of(kinds)
    return guard


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BASE.items() if key != name}


@pytest.mark.parametrize(
    "body",
    [
        without("input_values"),
        without("sensitive_input_values"),
        without("workflow_id") | {"workflow_id": OTHER},
        BASE | {"input_values": {}},
        BASE | {"input_values": {"name": "A"}},
        BASE | {"count": 2},
        BASE | {"start_session": True},
        BASE | {"machine_id": OTHER},
        BASE | {"file_inputs": [{"filename": "a.txt", "content": "YQ=="}]},
    ],
)
@pytest.mark.parametrize("path", ["/v1/runs/bulk", "/v1/runs"])
def test_a_create_that_changes_the_base_request_is_not_sent(
    guard: Guard, server: StandIn, path: str, body: dict[str, Any]
) -> None:
    with pytest.raises(NotAllowed, match=r"base request|not named"):
        guard.send(post(path, body))
    assert not server.sent("POST")


@pytest.mark.parametrize(
    "request_",
    [
        post("/v1/runs/bulk", BASE),
        post("/v1/runs", without("count")),
        post("/v1/runs", without("count") | {"session_alias": "varied"}),
        post("/v1/runs/bulk", BASE | {"machine_id": None, "pool_ids": None}),
        post("/v1/runs/bulk", BASE | {"unknown": 1}),
        post("/v1/runs/bulk", {"workflow_id": "x", "count": 0}),
        post("/v1/runs/bulk", BASE | {"workflow_id": WORKFLOW.upper()}),
    ],
)
def test_what_may_vary_and_what_must_be_refused_is_sent(guard: Guard, server: StandIn, request_: Request) -> None:
    guard.send(request_)
    assert len(server.sent("POST")) == 1


def test_a_retry_keeps_the_input_values(guard: Guard, server: StandIn) -> None:
    [run] = guard.send(post("/v1/runs/bulk", BASE)).answer.json()["created_runs"]
    guard.send(post(f"/v1/runs/{run['id']}/retry", {}))
    with pytest.raises(NotAllowed, match="input_values is not as in the base request"):
        guard.send(post(f"/v1/runs/{run['id']}/retry", {"input_values": {"name": "Bob"}}))


@pytest.mark.parametrize(
    "create",
    [
        bulk(1, workflow_id=OTHER),
        bulk(1, workflow_id=OTHER, authorization=SECOND_TOKEN),
        post("/v1/runs/chain", {"steps": [{"workflow_id": WORKFLOW}, {"workflow_id": OTHER}]}),
    ],
)
def test_no_workflow_is_started_that_was_not_named(open_guard: OpenGuard, server: StandIn, create: Request) -> None:
    """The second organisation may not have the workflow that was named, and others must not be started for it."""
    guard = open_guard(profile="live", budget=Budget(max_runs=25, max_requests=500), workflow_id=WORKFLOW)
    guard.set_kind_of(kinds)
    with pytest.raises(NotAllowed, match="a workflow that was not named"):
        guard.send(create)
    assert not server.sent("POST")
