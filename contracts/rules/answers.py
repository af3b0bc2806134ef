"""Requests to the operations that no other rule covers: machines, pools, workflows, health."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.findings import Rule
from contracts.data import write_bodies
from contracts.engine import Case, CaseContext, CheckContext, Inconclusive, Scenario
from contracts.openapi.schemas import UNREAD
from contracts.oracle.answer_schema import SCHEMA_RULE
from contracts.rules.listing import items_of

_READ_ONE: Final = {"list_machines": "get_machine", "list_pools": "get_pool", "list_workflows": "get_workflow"}
RULES = (
    Rule(
        SCHEMA_RULE,
        "api",
        "minor",
        "Every answer has the documented schema",
        "An accepted request to machines, pools, workflows or health has the documented status, application/json, and "
        "each field of the documented type and form, also in every item of a list. Further properties are allowed.",
        "HTTP",
        needs_one_of=tuple(_READ_ONE),
    ),
)

_FULL: Final = {
    "create_pool": {"name": "«marker»", "description": "«marker»"},
    "create_workflow": {"main_prompt": "«marker»", "name": "«marker»"},
}
"""Bodies with the optional fields that every server must accept. It may refuse the schemas of a workflow."""


@dataclass(frozen=True)
class AnswerCase(Case):
    """`reads` is the number of listed items that are also read one by one."""

    operation: str
    ids: tuple[str, ...] = ()
    body: Any = UNREAD
    reads: int = 0


def run_answers(context: CaseContext, case: AnswerCase) -> None:
    """Send one request. `CaseContext.send` judges each answer."""
    result = context.call(case.operation, *case.ids, body=context.fill(case.body))
    if not result.accepted:
        raise Inconclusive(f"{case.operation} answers {result.status}")
    for item in items_of(result)[: case.reads]:
        if context.check.offers(_READ_ONE[case.operation]):
            context.call(_READ_ONE[case.operation], str(item.get("id")))


def answer_cases(check: CheckContext, reads: int = 3) -> Iterator[AnswerCase]:
    yield from (AnswerCase(operation, reads=reads) for operation in _READ_ONE if check.offers(operation))
    if check.offers("health_check"):
        yield AnswerCase("health_check")


def create_answer_cases(check: CheckContext) -> Iterator[AnswerCase]:
    for operation, body in _FULL.items():
        if check.offers(operation):
            yield AnswerCase(operation, body=write_bodies.minimal(operation))
            yield AnswerCase(operation, body=body)
    if check.offers("add_machine_to_pool") and check.pools.known:
        machines = list(check.machines.known[:1])
        yield AnswerCase("add_machine_to_pool", (check.pools.known[0],), {"machine_ids": machines})


SCENARIOS = (
    Scenario("answers of other reads", (SCHEMA_RULE,), run_answers, answer_cases, creates_runs=False),
    Scenario("answers of other writes", (SCHEMA_RULE,), run_answers, create_answer_cases, order=2),
)
