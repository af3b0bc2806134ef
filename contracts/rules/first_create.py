"""The create that a live check sends before all cases, and the base request as a single create.

Each run of a deployment costs money. So the answer to the first create is judged too, and it is sent again only if it
breaks a rule. The rules by which every create is judged are then checked, whatever fields may be varied.
"""

from dataclasses import dataclass
from typing import Any, Final

from contracts.data import write_bodies
from contracts.data.limits import MAX_LIMIT
from contracts.engine import Case, CaseContext, Scenario, WriteResult
from contracts.engine.context import CREATE_RULES
from contracts.oracle import read_request
from contracts.rules.list_checks import check_page
from contracts.rules.list_reads import NEWEST_FIRST, created_at
from contracts.rules.reads_by_id import read_back
from contracts.rules.tracked_run import TrackedRun


@dataclass(frozen=True)
class FirstCreateCase(Case):
    operation: str
    body: dict[str, Any]
    is_sent: bool = False
    """Whether discovery has sent it, so that the case creates nothing more."""

    @property
    def expected_runs(self) -> int:
        return 0 if self.is_sent else write_bodies.runs_of(self.body)


def run_first_create(context: CaseContext, case: FirstCreateCase) -> None:
    """Judge the create, and its run as a read and a list show it. The list has only runs of the same moment: others
    may create runs too.
    """
    written = _sent_by_discovery(context) if case.is_sent else None
    if written is None:
        written = context.write(case.operation, body=context.fill(case.body))
    if not written.runs or not written.runs_are_reliable:
        return
    read_back(context, written)
    if context.check.offers("list_runs"):
        query = [*created_at(written.runs[0]["created_at"]), NEWEST_FIRST]
        check_page(TrackedRun.of(context, written), query, limit=MAX_LIMIT)


def _sent_by_discovery(context: CaseContext) -> WriteResult | None:
    """Judge the create of discovery; None if this was done before."""
    exchange = context.check.take_first_create()
    if exchange is None:
        return None
    result = context.observe(exchange)
    return context.judge_write(read_request("bulk_create_runs", exchange.request), result)


# Both have cases in live checks only: see `live_cases`.
FIRST_CREATE: Final = Scenario(
    "the first create",
    (*CREATE_RULES, "REQ-ACCEPT", "READ-BACK", "LIST-COMPLETE", "LIFECYCLE"),
    run_first_create,
    order=0,
)
SCENARIOS: Final = (
    FIRST_CREATE,
    Scenario("the base request as a single create", ("CREATE-ANSWER",), run_first_create),
)
