"""Lists without filters, lists with selected fields, and lists of runs that exist already."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.data import write_bodies
from contracts.data.limits import DEFAULT_LIMIT, LARGE_CREATE, MAX_LIMIT
from contracts.engine import Case, CaseContext, CheckContext, Inconclusive, Scenario, WriteResult
from contracts.openapi.schemas import every_field, moment_of, newer_properties, selectable_fields
from contracts.oracle.run import changed_field, gains_inputs, stable_fields
from contracts.oracle.run_list import ListCandidate, Query, missing_in_words
from contracts.oracle.violation import Violation
from contracts.rules.included import INCLUDES
from contracts.rules.isolated_runs import create_isolated_runs
from contracts.rules.list_check import check_list, judge_list, why_missing
from contracts.rules.listing import NEWEST_FIRST, RunList, read_page, read_pages, was_changed
from contracts.rules.lists import LISTS
from contracts.rules.reading import judge_read
from contracts.rules.writes import create_resource

# Lists without filters


@dataclass(frozen=True)
class UnfilteredCase(Case):
    """Runs that must be among the newest of the list of all runs."""

    count: int
    limit: int


def run_unfiltered(context: CaseContext, case: UnfilteredCase) -> None:
    written = context.some_runs(case.count)
    runs = [ListCandidate.of(run, written.parsed) for run in written.runs]
    found = _newest_until(context, written, case.limit)
    if found is None:
        return
    if len(found.pages) > 1 and was_changed(context, found):
        raise Inconclusive("the list of all runs changed while it was read")
    judge_list(context, found, runs, lambda run_id: [written.result])
    listed = {item.get("id") for item in found.items}
    missing = [run for run in runs if run.id not in listed]
    if not missing or context.check.is_live:
        return
    if context.check.offers("get_run") and context.call("get_run", missing[0].id).accepted:
        rule, cause = why_missing(context, missing[0].view, [NEWEST_FIRST], limit=case.limit)
        got = missing_in_words(missing, [])
        evidence = found.results[:2]
        violation = Violation(rule, cause, "every created run in the list", got)
        context.report_violation(violation, written.result, *evidence)


def _newest_until(context: CaseContext, written: WriteResult, limit: int) -> RunList | None:
    """Read the list of all runs until it shows all created runs, or older ones. Return None after 12 pages without."""
    created = set(written.ids)
    oldest = min(filter(None, (moment_of(run["created_at"]) for run in written.runs)), default=None)
    for found in itertools.islice(read_pages(context, [NEWEST_FIRST], limit=limit), 12):
        moments = [moment_of(item.get("created_at")) for item in found.pages[-1].items]
        is_past = oldest is not None and any(moment is not None and moment < oldest for moment in moments)
        if is_past or not found.pages[-1].is_full or created <= {item.get("id") for item in found.items}:
            return found
    return None


def unfiltered_cases(check: CheckContext) -> Iterator[UnfilteredCase]:
    for count, limit in ((1, DEFAULT_LIMIT), (3, 2), (DEFAULT_LIMIT + 1, DEFAULT_LIMIT), (LARGE_CREATE, MAX_LIMIT)):
        yield UnfilteredCase(count, limit)


# Selected fields and included resources


@dataclass(frozen=True)
class ViewsCase(Case):
    """Runs with many fields, listed with parameters that change only what is shown of them."""

    queries: Sequence[Query]
    fields: Mapping[str, Any]
    count: int = 2
    results: Mapping[str, Any] = field(default_factory=dict)
    """An update of each run, after it was cancelled."""
    in_new_pool: bool = False
    """Whether the runs are created in a pool without machines, so that they have none."""


_ALWAYS_SHOWN: Final = ("id", "workflow_id", "machine_id", "status", "created_at")


def run_views(context: CaseContext, case: ViewsCase) -> None:
    fields = dict(case.fields)
    if case.in_new_pool:
        fields["pool_ids"] = [create_resource(context, "create_pool").body["id"]]
    isolated = create_isolated_runs(context, [{"count": case.count, **fields}], varied=fields)
    written = isolated.made[0]
    for run in isolated.runs if case.results else ():
        context.cancel(run["id"])  # unless it has ended by itself
        results = context.fill(case.results)
        isolated.change(context.call_valid("update_run", run["id"], body=results, after=[written.result]))
    shown = isolated.runs[0].keys()
    for query in case.queries:
        if any(name == "fields" and value in newer_properties() - shown for name, value in query):
            continue  # the target may not know the field
        sort = dict(query).get("sort_mode", NEWEST_FIRST[1])
        parameters = [pair for pair in query if pair[0] != "sort_mode"]
        items = check_list(context, isolated, [isolated.filter, *parameters], sort=sort)
        if items is None:
            continue
        selected = [value for name, value in query if name == "fields"]
        for run in isolated.runs:
            if not _judge_item(context, case, run, items[run["id"]], selected, written):
                break


def _judge_item(
    context: CaseContext,
    case: ViewsCase,
    run: Mapping[str, Any],
    item: Mapping[str, Any],
    selected: Sequence[str],
    written: WriteResult,
) -> bool:
    """Judge that an item of a list has the selected fields of its run, and return whether it has."""
    evidence = (written.result, context.exchanges[-1])
    lost = [name for name in _ALWAYS_SHOWN if name not in item]
    lost += [name for name in selected if name not in item and run.get(name)]
    cause, expected = "a field that was asked for is missing", f"{' and '.join(lost)} in each item, as asked"
    got = f"an item without {' and '.join(lost)}"
    if not context.require(not lost, "READ-BACK", cause, expected, got, *evidence):
        return False
    names = {*_ALWAYS_SHOWN, *selected} if selected else run
    view = {name: run[name] for name in names if name in run and name in item}
    stable = [*stable_fields(written.parsed), *case.results]
    changed = changed_field(view, item, stable, may_gain=gains_inputs(written.parsed))
    if changed is not None:
        name, problem = changed
        expected = f"{name} as it was created"
        context.report_violation(
            Violation("READ-BACK", f"{name} reads differently", expected, problem, field=name), *evidence
        )
    return changed is None


def view_cases(check: CheckContext) -> Iterator[ViewsCase]:
    selectable = selectable_fields()
    queries: list[Query] = [[("fields", name)] for name in selectable]
    queries += [[("fields", one), ("fields", other)] for one, other in itertools.pairwise(selectable)]
    queries += [[("fields", name) for name in selectable]]
    queries += [[("include", text)] for text in INCLUDES]
    queries += [[("include", "workflow"), ("fields", "input_values")]]
    queries += [[("sort_mode", "activity")], [("deep_search", "true")], [("deep_search", "false")]]
    yield ViewsCase(queries, write_bodies.EVERYTHING)
    if check.offers("update_run"):
        results = write_bodies.SOME_RESULTS
        yield ViewsCase([[("fields", name)] for name in results if name in every_field()], {}, results=results)
    if check.pools.available:
        yield ViewsCase([[("fields", "pool_ids")]], {"pool_ids": ["«pool:0»"]})
    if check.offers("create_pool"):
        yield ViewsCase([[("fields", "error")], []], {}, in_new_pool=True)
    few: list[Query] = [[("fields", "input_values")], [("fields", "session_id")], [("include", "workflow")]]
    yield ViewsCase(few, write_bodies.EVERYTHING, count=DEFAULT_LIMIT + 1)


# Runs that exist already


@dataclass(frozen=True)
class ExistingCase(Case):
    """The newest runs of the target, whoever created them."""

    limit: int


def run_existing(context: CaseContext, case: ExistingCase) -> None:
    """Judge a page of the newest runs, pages filtered by values of these runs, and reads of two of them."""
    newest = read_page(context, [NEWEST_FIRST], limit=case.limit)
    judge_list(context, newest, (), lambda run_id: ())
    items = [item for item in newest.items if isinstance(item.get("id"), str)]
    for item in items[:2] if context.check.offers("get_run") else ():
        read = context.call("get_run", item["id"])
        if read.resource is not None:
            judge_read(context, item, read.resource, None, [*newest.results, read])
    for name in ("workflow_id", "status", "session_id"):
        value = next((item[name] for item in items if isinstance(item.get(name), str)), None)
        if value is not None:
            filtered = read_page(context, [(name, value), NEWEST_FIRST], limit=case.limit)
            judge_list(context, filtered, (), lambda run_id: ())


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "lists without filters",
        ("LIST-COMPLETE", "LIST-PAGE"),
        run_unfiltered,
        unfiltered_cases,
        needs=LISTS,
        is_exclusive=True,
    ),
    Scenario(
        "lists with selected fields",
        ("READ-BACK", "LIST-FILTER", "LIST-PAGE", "LIST-COMPLETE"),
        run_views,
        view_cases,
        needs=LISTS,
    ),
    Scenario(
        "existing runs",
        ("LIST-PAGE", "LIST-FILTER", "READ-BACK"),
        run_existing,
        lambda check: [ExistingCase(5), ExistingCase(DEFAULT_LIMIT)],
        needs=LISTS,
        creates_runs=False,
        is_exclusive=True,  # else the runs that exist depend on what other scenarios do meanwhile
    ),
)
