"""The totals of a list by each value of a filter add up to the total of the whole list, at the end of a check."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.core.statuses import STATUSES_IN_ORDER
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.oracle import Query
from contracts.rules.list_reads import total_of

_VALUES: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "list_runs": ("status", STATUSES_IN_ORDER),
    "list_run_attachments": ("attachment_type", ("input", "output")),
}
"""Operation → the parameter, and its values in the order in which an item may go through them. Each item has one."""
_TRIES: Final = 4
_PAUSE_S: Final = 0.5


@dataclass(frozen=True)
class TotalsCase(Case):
    operation: str
    filters: Query = ()
    """Filters beside the parameter."""


@dataclass(frozen=True)
class _Reading:
    """The answers to one reading of all totals, and whether they agree."""

    results: list[CallResult]
    is_right: bool
    expected: str
    got: str


def run_totals(context: CaseContext, case: TotalsCase) -> None:
    """Read the totals in the order of the values and in the opposite order. This judges a list that changes, too: a run
    that moves on is counted at most once if its later statuses are read first, and at least once if they are read last.

    If other clients create, delete or retry runs, the totals may differ nevertheless. So they are read a few times.
    """
    for attempt in range(_TRIES):
        if attempt:
            context.wait(_PAUSE_S)
        readings = [_read(context, case, is_reversed=is_reversed) for is_reversed in (True, False)]
        shown = min(readings, key=lambda reading: reading.is_right)
        if shown.is_right:
            break
    cause = f"totals of {case.operation} by {_VALUES[case.operation][0]}"
    context.require(shown.is_right, "LIST-FILTER", cause, shown.expected, *shown.results, got=shown.got)


def _read(context: CaseContext, case: TotalsCase, *, is_reversed: bool) -> _Reading:
    """Read the list by each value, and the whole list before and after that, with one item of each."""
    parameter, values = _VALUES[case.operation]
    in_order = values[::-1] if is_reversed else values
    queries: list[Query] = [[], *([(parameter, value)] for value in in_order), []]
    results = [context.call(case.operation, query=[*case.filters, *query, ("limit", "1")]) for query in queries]
    totals = [total for result in results if (total := total_of(result)) is not None]
    assume(len(totals) == len(results), "a list has no total")
    first, *parts, last = totals
    counts = ", ".join(f"{part} {value}" for part, value in zip(in_order, parts, strict=True) if part)
    got = f"totals that add up to {sum(parts)}: {counts}"
    if is_reversed:
        whole = max(first, last)
        return _Reading(results, sum(parts) <= whole, f"at most {whole}, the total of all", got)
    whole = min(first, last)
    return _Reading(results, sum(parts) >= whole, f"at least {whole}, the total of all", got)


def totals_cases(check: CheckContext) -> Iterator[TotalsCase]:
    """Yield each list, and the runs of a known workflow, for which creates have been refused too."""
    cases = [TotalsCase(operation) for operation in filter(check.offers, _VALUES)]
    if check.offers("list_runs"):
        cases += [TotalsCase("list_runs", (("workflow_id", known),)) for known in check.workflows.known[:1]]
    for case in cases:
        yield from [case] * check.target.shard[1]  # one for each shard


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
