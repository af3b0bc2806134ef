"""Lists of runs without filters: in pages, as they grow, with selected fields, and of runs that exist already."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.core.exchange import Exchange
from contracts.core.findings import Rule
from contracts.data import write_bodies
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT, MIN_LIMIT, WIDTHS, above, around, sizes
from contracts.engine import Case, CaseContext, CheckContext, Scenario, WriteResult, assume
from contracts.openapi.schemas import every_field, moment_of, newer_properties, selectable_fields
from contracts.oracle import KnownRun
from contracts.oracle.run_list import NEWEST, ListCandidate, Query, missing_in_words
from contracts.oracle.violation import Violation
from contracts.rules.included import INCLUDES
from contracts.rules.isolated_runs import create_isolated_runs, create_more_runs
from contracts.rules.list_checks import check_list, judge_list, why_missing
from contracts.rules.list_reads import (
    DEEP_SEARCH,
    NEWEST_FIRST,
    RunList,
    page_of,
    read_page,
    read_pages,
    was_changed,
)
from contracts.rules.reads_by_id import READING_AND_CHANGING, judge_read
from contracts.rules.writes import create_resource

LISTS = ("list_runs",)
RULES = (
    Rule(
        "LIST-COMPLETE",
        "api",
        "critical",
        "Every created run is listed, once",
        "The list of runs contains every run that was created and not deleted, exactly once.",
        READING_AND_CHANGING,
        needs=LISTS,
        value_fields=("id",),
    ),
    Rule(
        "LIST-PAGE",
        "api",
        "major",
        "All pages together contain every run once",
        "With created_at_desc, pages of any size have no gaps and no repeats, and the newest run comes first. skip and "
        "limit are as asked (0 and 100 by default), only the last page may be short, and total counts all that match.",
        READING_AND_CHANGING,
        needs=LISTS,
        value_fields=("total", "skip", "limit", "created_at"),
    ),
)


# All pages of a list


@dataclass(frozen=True)
class PagesCase(Case):
    """Runs of several bulk creates, listed whole in pages of several sizes."""

    counts: Sequence[int]
    limits: Sequence[int]
    fields: Mapping[str, Any] = field(default_factory=dict)
    sort: str = NEWEST


def run_pages(context: CaseContext, case: PagesCase) -> None:
    isolated = create_isolated_runs(context, [{"count": count, **case.fields} for count in case.counts])
    for limit in case.limits:
        items = check_list(context, isolated, [isolated.filter], limit=limit, sort=case.sort)
        if items is None:
            continue
        for run in isolated.runs:
            written = isolated.create_of(run)
            if not judge_read(context, run, items[run["id"]], written.parsed, (written.result, context.exchanges[-1])):
                break


def page_cases(check: CheckContext) -> Iterator[PagesCase]:
    more = DEFAULT_LIMIT + 1
    for counts in ([1], [1, 2, 3, 1, 1, 2], [25]):
        total = sum(counts)
        yield PagesCase(counts, [*sizes(MIN_LIMIT, total + 1), DEFAULT_LIMIT, MAX_LIMIT])
    yield PagesCase([more], sizes(10, more + 1))
    yield PagesCase([2 * DEFAULT_LIMIT + 50, 7], [*above(50, MAX_LIMIT), DEFAULT_LIMIT])
    yield PagesCase([MAX_LIMIT, 5], [*above(100, MAX_LIMIT), DEFAULT_LIMIT])
    for name, value in write_bodies.EVERYTHING.items():
        yield PagesCase([3, 10], [MAX_LIMIT, 10], {name: value})
    # The runs of a session run one by one, so most are still active when they are listed. In the order by activity, a
    # run that ends moves to another position, so only a list of one page is sure to contain all runs.
    session = {"input_values": write_bodies.INPUTS, "start_session": True}
    for sort in (NEWEST, "activity"):
        yield PagesCase([more], [MAX_LIMIT], session, sort)


# Single pages


@dataclass(frozen=True)
class WindowsCase(Case):
    """Runs of several bulk creates, and single pages of their list."""

    counts: Sequence[int]
    windows: Sequence[tuple[int | None, int | None]]
    """skip and limit of each page; None leaves a parameter out."""
    sort: str = NEWEST
    cancelled: int = 0
    """How many of the first runs are cancelled, the oldest one last."""
    deletes: bool = False
    """Whether the second run is then deleted."""
    far: Sequence[int] = ()
    """Values of `skip` far beyond the end. A server may refuse those that its integers cannot hold."""
    filters: Query = ()
    """More filters, which all of the runs match."""


def run_windows(context: CaseContext, case: WindowsCase) -> None:
    inputs = {"input_values": {"who": "«marker:1»"}} if case.filters else {}
    isolated = create_isolated_runs(context, [{"count": count} | inputs for count in case.counts])
    for run in reversed(isolated.runs[: case.cancelled]):
        isolated.change(context.cancel(run["id"]))
    filters = [(name, context.fill(value)) for name, value in case.filters]
    query = [*isolated.filtered(filters), ("sort_mode", case.sort)]
    if case.deletes:
        _, limit = case.windows[0]
        read_page(context, query, skip=0, limit=limit)  # a server may keep what it found for the pages after it
        if context.call("delete_run", isolated.runs[1]["id"]).status == 204:
            isolated.delete(isolated.runs[1])
    for skip, limit in case.windows:
        found = read_page(context, query, skip=skip, limit=limit)
        judge_list(context, found, isolated.candidates, isolated.evidence_of, are_all=True)
    for skip in case.far:
        result = context.call("list_runs", query=[*query, ("skip", str(skip)), ("limit", "1")])
        if result.accepted:
            found = page_of(result, query, skip=skip, limit=1)
            judge_list(context, found, isolated.candidates, isolated.evidence_of, are_all=True)


def window_cases(check: CheckContext) -> Iterator[WindowsCase]:
    for counts, far in (([3, 4], WIDTHS), ([DEFAULT_LIMIT + 1], ())):
        yield WindowsCase(counts, _windows(sum(counts)), far=far)
    some = ((None, None), (1, 2), (3, 1), (0, MAX_LIMIT), (MAX_LIMIT, MAX_LIMIT), (10 * MAX_LIMIT, 1))
    word = ("search", "«marker:1»")
    for filters in ([word], [word, DEEP_SEARCH], [word, ("created_at_from", "2020-01-01T00:00:00Z")]):
        yield WindowsCase([4], some, filters=filters)
    if check.offers("update_run"):  # a page by activity may begin with active runs and end with ended ones
        yield WindowsCase([1, 1, 2, 2], [(skip, limit) for skip in (0, 1, 2) for limit in (2, 4, 10)], "activity", 3)
        if check.offers("delete_run"):
            yield WindowsCase([3], [(1, 2)], "activity", 3, deletes=True)


def _windows(total: int) -> list[tuple[int | None, int | None]]:
    """Return pages of usual sizes: at the beginning of a list, at its end, beyond it, and across its end."""
    found: dict[tuple[int | None, int | None], None] = {}
    for limit in (None, 1, 2, *around(DEFAULT_LIMIT), total - 1, total, total + 1, MAX_LIMIT - 1, MAX_LIMIT):
        size = DEFAULT_LIMIT if limit is None else limit
        for skip in (None, 0, 1, size, *around(total - size), *around(total), 10 * MAX_LIMIT):
            if size <= MAX_LIMIT and (skip or 0) >= 0:
                found[skip, limit] = None
    return list(found)


# Lists that change


@dataclass(frozen=True)
class GrowingCase(Case):
    """Runs with one word, and lists of them that are read again after each change."""

    count: int
    limit: int
    queries: Sequence[Query]

    @property
    def expected_runs(self) -> int:
        return 2 * self.count + 1


def run_growing(context: CaseContext, case: GrowingCase) -> None:
    """Read the same lists before and after runs are created and deleted, first when there are none: each must show the
    current runs.
    """
    inputs = {"who": "«marker:1»"}
    body = {"count": case.count, "input_values": inputs}
    isolated = create_isolated_runs(context, [])
    queries = [isolated.filtered([(name, context.fill(value)) for name, value in query]) for query in case.queries]
    last_exchanges: dict[int, list[Exchange]] = {}
    deletes: list[Exchange] = []
    for change in ("none", "create", "delete", "create", "chain"):
        if change == "create":
            create_more_runs(context, isolated, body)
        elif change == "chain" and context.check.offers("create_run_chain", "get_run"):
            create_more_runs(context, isolated, {"steps": [{"inputs": inputs}]})
        elif change == "delete" and context.check.offers("delete_run"):
            run = isolated.runs[-1]
            deletes.append(context.call_valid("delete_run", run["id"], after=[isolated.creates[-1].result]).exchange)
            isolated.delete(run)
        for number, query in enumerate(queries):
            sent = len(context.exchanges)
            check_list(context, isolated, query, limit=case.limit, before=[*last_exchanges.get(number, ()), *deletes])
            last_exchanges[number] = context.exchanges[sent:]


def growing_cases(check: CheckContext) -> Iterator[GrowingCase]:
    word = ("search", "«marker:1»")
    queries: list[Query] = [[word], [word, DEEP_SEARCH], [word, ("fields", "session_id")]]
    queries += [[("include", "workflow")], []]
    for count, limit in ((2, MAX_LIMIT), (2, 3), (DEFAULT_LIMIT + 1, DEFAULT_LIMIT)):
        yield GrowingCase(count, limit, queries)


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
    is_same = len(found.pages) == 1 or not was_changed(context, found)
    assume(is_same, "the list of all runs changed while it was read")
    judge_list(context, found, runs, lambda run_id: [written.result])
    listed = found.ids
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
        if is_past or not found.pages[-1].is_full or created <= found.ids:
            return found
    return None


def unfiltered_cases(check: CheckContext) -> Iterator[UnfilteredCase]:
    for count, limit in ((1, DEFAULT_LIMIT), (3, 2), (DEFAULT_LIMIT + 1, DEFAULT_LIMIT), (3, MAX_LIMIT)):
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


_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
"""Values that may be left out of an answer."""
_ALWAYS_SHOWN: Final = ("id", "workflow_id", "machine_id", "status", "created_at")


def run_views(context: CaseContext, case: ViewsCase) -> None:
    fields = dict(case.fields)
    if case.in_new_pool:
        fields["pool_ids"] = [create_resource(context, "create_pool").body["id"]]
    isolated = create_isolated_runs(context, [{"count": case.count, **fields}], varied=fields)
    written = isolated.creates[0]
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
            if not _judge_item(context, run, items[run["id"]], selected, written):
                break
        if selected and all(_shows_more(item, selected) for item in items.values()):
            context.check.note(
                "Not judged: list_runs shows other properties than those that `fields` names. An answer may have more."
            )


def _shows_more(item: Mapping[str, Any], selected: Sequence[str]) -> bool:
    """Whether an item has a value in a field that was not asked for. Null may stand in place of what is left out."""
    return any(item.get(name) not in _EMPTY for name in set(every_field()) - {*_ALWAYS_SHOWN, *selected})


def _judge_item(
    context: CaseContext, run: Mapping[str, Any], item: Mapping[str, Any], selected: Sequence[str], written: WriteResult
) -> bool:
    """Judge that an item of a list has the selected fields of its run, and return whether it has."""
    evidence = (written.result, context.exchanges[-1])
    lost = [name for name in _ALWAYS_SHOWN if name not in item]
    lost += [name for name in selected if name not in item and run.get(name) not in _EMPTY]
    cause, expected = "a field that was asked for is missing", f"{' and '.join(lost)} in each item, as asked"
    got = f"an item without {' and '.join(lost)}"
    if not context.require(not lost, "READ-BACK", cause, expected, *evidence, got=got):
        return False
    changed = KnownRun(run, written.parsed).difference_from(item, is_partial=True)
    if changed is not None:
        name, got = changed
        cause, expected = f"{name} reads differently", f"{name} as it was created"
        context.report_violation(Violation("READ-BACK", cause, expected, got, field=name), *evidence)
    return changed is None


def view_cases(check: CheckContext) -> Iterator[ViewsCase]:
    selectable = selectable_fields()
    queries: list[Query] = [[("fields", name)] for name in every_field()]
    queries += [[("fields", one), ("fields", other)] for one, other in itertools.pairwise(selectable)]
    queries += [[("fields", name) for name in selectable]]
    queries += [[("include", text)] for text in INCLUDES]
    queries += [[("include", "workflow"), ("fields", "input_values")]]
    queries += [[("sort_mode", "activity")], [DEEP_SEARCH], [("deep_search", "false")]]
    yield ViewsCase(queries, write_bodies.EVERYTHING)
    if check.offers("update_run"):
        results = write_bodies.SOME_RESULTS | {"release_session_after": False}
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
    assume(items, "there is no run")
    for item in items[:2] if context.check.offers("get_run") else ():
        read = context.call("get_run", item["id"])
        if read.resource is not None:
            judge_read(context, item, read.resource, None, [*newest.results, read])
    for name in ("workflow_id", "status", "session_id"):
        value = next((item[name] for item in items if isinstance(item.get(name), str)), None)
        if value is not None:
            filtered = read_page(context, [(name, value), NEWEST_FIRST], limit=case.limit)
            judge_list(context, filtered, (), lambda run_id: ())


_RULES: Final = ("LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER")
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("lists in pages", (*_RULES, "READ-BACK"), run_pages, page_cases, needs=LISTS),
    Scenario("lists of runs that grow", (*_RULES, "DELETE-GONE"), run_growing, growing_cases, needs=LISTS),
    Scenario(
        "single pages",
        ("LIST-PAGE",),
        run_windows,
        window_cases,
        needs=LISTS,
        order=4,  # the first case sends some 100 requests
    ),
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
        ("LIST-PAGE", "LIST-FILTER", "READ-BACK", "LIFECYCLE"),
        run_existing,
        lambda check: [ExistingCase(5), ExistingCase(DEFAULT_LIMIT)],
        needs=LISTS,
        creates_runs=False,
        is_exclusive=True,  # else the runs that exist depend on what other scenarios do meanwhile
    ),
)
