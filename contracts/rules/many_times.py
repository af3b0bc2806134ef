"""One run that is changed many times: more often than a small counter or a history of usual size can hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from contracts.data.limits import MANY_RETRIES, MANY_UPDATES
from contracts.engine import Case, CaseContext, CheckContext, Scenario
from contracts.rules.tracked_run import TrackedRun


@dataclass(frozen=True)
class ManyChangesCase(Case):
    kind: Literal["updates", "retries"]
    times: int


def run_many_changes(context: CaseContext, case: ManyChangesCase) -> None:
    """Change a cancelled run. Each update and retry has another value, and an update its own idempotency key."""
    run = TrackedRun.of(context, context.some_runs())
    run.cancel()
    key = context.placeholder("key")
    for number in range(case.times):
        if case.kind == "updates":
            run.update({"output_data": {"number": number}}, key=f"{key}-{number}")
        else:
            if not run.retry({"input_values": {"number": number}}).result.accepted:
                return
            run.cancel()
    run.read()


def many_changes_cases(check: CheckContext) -> Iterator[ManyChangesCase]:
    yield ManyChangesCase("updates", MANY_UPDATES)
    if check.offers("retry_run"):
        yield ManyChangesCase("retries", MANY_RETRIES)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "many changes of one run",
        ("UPDATE-PARTIAL", "RETRY-RULES"),
        run_many_changes,
        many_changes_cases,
        needs=("update_run", "get_run"),
        weight=0,  # Its cases are long and find little: they run in the last round, but beside others.
    ),
)
