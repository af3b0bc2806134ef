"""Which `included` is right depends on the runs of the answer, on what was asked for, and on reads of the resources."""

from typing import Any

import pytest

from contracts.oracle.included import included_violations

RUN = {"id": "r1", "workflow_id": "w1", "machine_id": "m1"}
OTHER_RUN = {"id": "r2", "workflow_id": "w1", "machine_id": None}
WORKFLOW = {"type": "workflow", "id": "w1", "name": "one"}
MACHINE = {"type": "machine", "id": "m1", "name": "desk"}
POOL = {"type": "pool", "id": "p1", "name": "desks"}
KNOWN: dict[str, dict[str, Any]] = {
    "w1": {"id": "w1", "name": "one"},
    "m1": {"id": "m1", "name": "desk", "pools": [{"id": "p1"}]},
    "p1": {"id": "p1", "name": "desks"},
}


def causes(asked: str, included: Any, *, answer: dict[str, Any] | None = None, known=KNOWN) -> list[str]:
    found = (answer or RUN) | {"included": included}
    return [violation.cause for violation in included_violations(found, asked.split(","), known)]


@pytest.mark.parametrize(
    ("asked", "included"),
    [
        ("workflow", [WORKFLOW]),
        ("machine", [MACHINE]),
        ("machine.pools", [POOL]),
        ("machine.pools", [MACHINE, POOL]),
        ("machine.pools", [POOL | {"type": "machine.pools"}]),
        ("workflow,machine,machine.pools", [POOL, MACHINE | {"status": "connected"}, WORKFLOW]),
        ("workflow", [{"type": "workflow", "id": "w1"}]),
        ("workflow", "judged by the schema"),
        ("workflow", [{"type": "workflow", "name": "judged by the schema, which requires the id"}]),
    ],
)
def test_requested_resources_may_be_included(asked, included):
    assert causes(asked, included) == []


@pytest.mark.parametrize(
    ("asked", "included", "cause"),
    [
        ("workflow", [], "a workflow is not included"),
        ("workflow", None, "a workflow is not included"),
        ("machine.pools", [MACHINE], "a pool is not included"),
        ("workflow", [WORKFLOW, WORKFLOW], "a resource is included twice"),
        ("workflow", [WORKFLOW, MACHINE], "a resource is included that was not asked for"),
        ("workflow", [WORKFLOW, WORKFLOW | {"id": "w2"}], "a resource is included that was not asked for"),
        ("machine", [MACHINE | {"type": "workflow"}], "an included resource has another type"),
        ("machine", [MACHINE | {"name": "one"}], "name of an included machine reads differently"),
        ("machine.pools", [POOL | {"name": "desk"}], "name of an included pool reads differently"),
    ],
)
def test_anything_else_is_a_violation(asked, included, cause):
    assert causes(asked, included) == [cause]


def test_runs_of_a_list_share_their_resources():
    listed = {"items": [RUN, OTHER_RUN], "total": 2, "skip": 0, "limit": 100}

    assert causes("workflow,machine", [WORKFLOW, MACHINE], answer=listed) == []
    assert causes("workflow", [WORKFLOW, WORKFLOW], answer=listed) == ["a resource is included twice"]


def test_a_resource_that_no_read_has_shown_is_not_missed():
    assert causes("workflow,machine", [], known={}) == []
    assert causes("machine.pools", [POOL], known={}) == []
    assert causes("machine.pools", [POOL], known={"m1": {"id": "m1"}}) == []
    assert causes("machine.pools", [POOL], known={"m1": {"id": "m1", "pools": None}}) == []
