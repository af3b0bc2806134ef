"""Reads that no other rule covers: of machines, pools, workflows and health. `created_resources` has the writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contracts.core.findings import Rule
from contracts.engine import Case, CaseContext, CheckContext, Inconclusive, Scenario
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


@dataclass(frozen=True)
class AnswerCase(Case):
    """`reads` is the number of listed items that are also read one by one."""

    operation: str
    reads: int = 0


def run_answers(context: CaseContext, case: AnswerCase) -> None:
    """Read a list, or health. `CaseContext.send` judges each answer."""
    result = context.call(case.operation)
    if not result.accepted:
        raise Inconclusive(f"{case.operation} answers {result.status}")
    for item in items_of(result)[: case.reads]:
        if context.check.offers(_READ_ONE[case.operation]):
            context.call(_READ_ONE[case.operation], str(item.get("id")))


def answer_cases(check: CheckContext, reads: int = 3) -> Iterator[AnswerCase]:
    yield from (AnswerCase(operation, reads=reads) for operation in _READ_ONE if check.offers(operation))
    if check.offers("health_check"):
        yield AnswerCase("health_check")


SCENARIOS = (Scenario("answers of other reads", (SCHEMA_RULE,), run_answers, answer_cases, creates_runs=False),)
