"""The totals of a list by each value of a filter add up to the total of the whole list, at the end of a check."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.core.statuses import STATUSES_IN_ORDER
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Inconclusive, Scenario, assume
from contracts.oracle import Query
from contracts.rules.list_reads import total_of

_VALUES: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "list_runs": ("status", STATUSES_IN_ORDER),
    "list_run_attachments": ("attachment_type", ("input", "output")),
}
"""Operation → the parameter, and its values. Each item of the list has one of them."""
_TRIES: Final = 4
_PAUSE_S: Final = 0.5


@dataclass(frozen=True)
class TotalsCase(Case):
    operation: str


def run_totals(context: CaseContext, case: TotalsCase) -> None:
    """Judge the totals once they stay the same: runs may end, and other clients may create some."""
    for _ in range(_TRIES):
        results, again = _read(context, case.operation), _read(context, case.operation)
        totals = [total_of(result) for result in results]
        if totals == [total_of(result) for result in again]:
            break
        context.wait(_PAUSE_S)
    else:
        raise Inconclusive("the list changed while it was read")
    assume(None not in totals, "a list has no total")
    whole, *parts = (total or 0 for total in totals)
    parameter, values = _VALUES[case.operation]
    counts = ", ".join(f"{part} {value}" for part, value in zip(parts, values, strict=True) if part)
    cause, expected = f"totals of {case.operation} by {parameter}", f"{whole}, the total of all"
    got = f"totals that add up to {sum(parts)}: {counts}"
    context.require(sum(parts) == whole, "LIST-FILTER", cause, expected, *results, got=got)


def _read(context: CaseContext, operation: str) -> list[CallResult]:
    """Read the whole list, and the list by each value, with one item of each."""
    parameter, values = _VALUES[operation]
    queries: list[Query] = [[], *([(parameter, value)] for value in values)]
    return [context.call(operation, query=[*query, ("limit", "1")]) for query in queries]


def totals_cases(check: CheckContext) -> Iterator[TotalsCase]:
    for operation in filter(check.offers, _VALUES):
        yield from [TotalsCase(operation)] * check.target.shard[1]  # one for each shard


SCENARIOS = (
    Scenario(
        "totals by status and by type",
        ("LIST-FILTER",),
        run_totals,
        totals_cases,
        creates_runs=False,
        order=9,
        is_exclusive=True,
        is_last=True,
    ),
)
