"""Answers of the operations that no other rule covers: machines, pools, workflows, health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import SCHEMA_RULE, schema_violations
from contracts.rules.rule import Rule

_LISTS: Final = {"list_machines": "get_machine", "list_pools": "get_pool", "list_workflows": "get_workflow"}
RULES = (
    Rule(
        SCHEMA_RULE,
        "api",
        "Every answer has the documented schema",
        "An accepted request to machines, pools, workflows or health has the documented status, application/json, and "
        "each field of the documented type and form, also in every item of a list. More properties may be there.",
        "HTTP",
        needs_one_of=tuple(_LISTS),
    ),
)

_FULL: Final = {
    "create_pool": {"name": "«marker»", "description": "«marker»"},
    "create_workflow": {"main_prompt": "«marker»", "name": "«marker»"},
}
"""Bodies with the optional fields whose value every server must show; a workflow's schemas may be checked."""


def run_answers(context: CaseContext, case: Case) -> None:
    """Sends one request, for a list also a read of its first items, and judges each answer."""
    operation = case["op"]
    body = {"body": context.fill(case["body"])} if "body" in case else {}
    result = context.call(operation, *case.get("ids", ()), **body)
    if not result.accepted:
        raise Inconclusive(f"{operation} answers {result.status}")
    if not context.judge(SCHEMA_RULE, schema_violations(operation, result.answer), result) or operation not in _LISTS:
        return
    read = _LISTS[operation]
    for item in result.body["items"][: case["reads"]]:
        if context.check.offers(read):
            one = context.call(read, item["id"])
            if one.accepted:  # it may be gone since
                context.judge(SCHEMA_RULE, schema_violations(read, one.answer), result, one)


def answer_cases(check: CheckContext) -> Iterator[Case]:
    yield from ({"op": operation, "reads": 3} for operation in _LISTS if check.offers(operation))
    if check.offers("health_check"):
        yield {"op": "health_check"}


def create_answer_cases(check: CheckContext) -> Iterator[Case]:
    for operation, body in _FULL.items():
        if check.offers(operation):
            yield {"op": operation, "body": write_bodies.minimal(operation)}
            yield {"op": operation, "body": body}
    if check.offers("add_machine_to_pool") and check.pools.known:
        ids = list(check.machines.known[:1])
        yield {"op": "add_machine_to_pool", "ids": [check.pools.known[0]], "body": {"machine_ids": ids}}


SCENARIOS = (
    Scenario("answers of other reads", (SCHEMA_RULE,), run_answers, answer_cases, creates=False, priority=1),
    Scenario("answers of other writes", (SCHEMA_RULE,), run_answers, create_answer_cases, priority=2),
)
