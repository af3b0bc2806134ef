"""Values of every class in every place that takes any text or any JSON value. Each must come back as it was sent.

`data.value_packs` makes the bodies. The answer, a read and a list must show exactly what was sent.
"""

from collections.abc import Iterator
from typing import Any, Final

from contracts.data import in_turn, value_packs
from contracts.engine import CaseContext, CheckContext, Scenario
from contracts.rules.chains import ChainCase, run_chain
from contracts.rules.creates import CreateCase, run_create
from contracts.rules.list_checks import check_page
from contracts.rules.run_events import CANCEL, Event, RunCase, apply_events, create_for
from contracts.rules.writes import CREATES_OF_RUNS, Body, Write, delete_created, offered_writes, search_runs


def run_values(context: CaseContext, case: Write) -> None:
    """Send the write; read, list, search and delete its runs. No stored value may make a search fail."""
    body = case.body.json
    if case.operation in CREATES_OF_RUNS:
        run_create(context, CreateCase(case.operation, body, is_read=True, is_listed=True))
    elif case.operation == "create_run_chain":
        run_chain(context, ChainCase(body, reads_all=True))
    else:
        change = RunCase(events=(CANCEL, Event("update" if case.operation == "update_run" else "retry", body)))
        run = apply_events(context, change, create_for(context, change))
        if context.check.offers("list_runs"):
            check_page(run, [("workflow_id", str(run.known.view["workflow_id"]))], compares=True)
    search_runs(context)
    delete_created(context)


def value_cases(check: CheckContext) -> Iterator[Write]:
    def with_values(operation: str) -> Iterator[Write]:
        return (Write(operation, Body(body)) for body in value_packs.bodies(operation))

    yield from in_turn(map(with_values, offered_writes(check)))


_JUDGED: Final = (
    *("BULK-ECHO", "BULK-ALIASES", "CREATE-ANSWER", "READ-BACK", "UPDATE-PARTIAL", "RETRY-RULES", "CHAIN-RULES"),
    *("REQ-ACCEPT", "NO-5XX"),
)
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "values of every class",
        _JUDGED,
        run_values,
        value_cases,
        needs=("get_run",),
        weight=8,  # a case sends about ten requests, and has the values of one class for one write only
    ),
)
