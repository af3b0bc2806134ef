"""Filters over lists of many pages, and filters with values that nothing matches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import gives_others_too
from contracts.rules.isolated_runs import IsolatedRuns, Query, create_isolated_runs, isolating_filter, within
from contracts.rules.listing import items_of
from contracts.rules.paging import check_pages


def run_large_filters(context: CaseContext, case: Case) -> None:
    """Filter many runs: every match must be listed, and nothing else, whatever the size of the pages."""
    count = case["count"]
    session = (
        {"session_id": "«session:5»"}
        if context.check.sessions.invented and isolating_filter(context.check) != "session_id"
        else {}
    )
    machine = {"machine_id": "«machine:5»"} if context.check.machines.invented else {}
    isolated = create_isolated_runs(
        context,
        [
            {"count": count, "input_values": {"who": "«marker:1»"}},
            {"count": 2, "input_values": {"who": "«marker:2»"}} | machine,
            {"count": count, "input_values": {"who": "«marker:3»"}} | session,
        ],
    )
    first, second, third = (written.runs for written in isolated.made)
    at = moment_of(second[0]["created_at"])
    queries: list[tuple[Query, Sequence[dict[str, Any]]]] = [
        ([("search", context.named("marker:1"))], first),
        ([("search", context.named("marker:2"))], second),
    ]
    moments = [moment_of(run["created_at"]) for run in isolated.runs]
    if at is not None and None not in moments:
        since = [run for run, moment in zip(isolated.runs, moments, strict=True) if moment is not None and moment >= at]
        until = [run for run, moment in zip(isolated.runs, moments, strict=True) if moment is not None and moment <= at]
        queries.append(([("created_at_from", second[0]["created_at"])], since))
        queries.append(([("created_at_to", second[0]["created_at"])], until))
    if session:
        queries.append(([("session_id", context.named("session:5"))], third))
    for query, expected in queries:
        for limit in case["limits"]:
            items = check_pages(context, isolated, expected, within(isolated, query), limit=limit)
            if items is None:
                continue
            require_only_matches(context, isolated, items, {run["id"] for run in expected}, query)


def large_filter_cases(check: CheckContext) -> Iterator[Case]:
    yield {"count": 3, "limits": [1000, 2]}
    yield {"count": 120, "limits": [1000, 100, 50]}
    yield {"count": 1000, "limits": [1000, 500]}


def run_nonsense(context: CaseContext, case: Case) -> None:
    """Filter by values that no run can have: the target must refuse them, or not find the case's run."""
    isolated = create_isolated_runs(context, [{"count": 1}])
    for name, value in case["queries"]:
        if name == isolated.filter[0]:
            query = [(name, value)]
        else:
            query = [isolated.filter, (name, value)]
        result = context.call("list_runs", query=query)
        if not result.accepted:
            continue
        found = [item for item in items_of(result) if item.get("id") == isolated.runs[0]["id"]]
        context.require(
            not found,
            "LIST-FILTER",
            f"{name} of nonsense gives runs",
            "a refusal, or no run",
            "runs",
            isolated.made[0].result,
            result,
        )


def nonsense_cases(check: CheckContext) -> Iterator[Case]:
    queries = [
        [name, value]
        for name in ("workflow_id", "machine_id", "session_id")
        for value in ("not-a-uuid", "0", "null", "x" * 40)
    ]
    queries += [["status", value] for value in ("nonsense", "SCHEDULED", "done", "0")]
    yield {"queries": queries}


def require_only_matches(
    context: CaseContext, isolated: IsolatedRuns, items: Collection[str], allowed: Collection[str], query: Query
) -> None:
    """Require that a list has only those of the case's runs that match its filters."""
    wrong = [run for run in isolated.runs if run["id"] in items and run["id"] not in allowed]
    context.require(
        not wrong,
        "LIST-FILTER",
        gives_others_too(name for name, _ in query),
        "only runs that match",
        f"{len(wrong)} others",
        *(isolated.maker_of(wrong[0]).result for _ in wrong[:1]),
        context.exchanges[-1],
    )
