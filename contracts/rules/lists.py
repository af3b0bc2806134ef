"""Lists of runs: complete, in pages of any size, with the requested fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.core.exchange import Exchange
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.rules.isolated_runs import Query, create_isolated_runs, grow, within
from contracts.rules.list_views import run_existing, run_unfiltered, run_views, unfiltered_cases, view_cases
from contracts.rules.listing import items_of
from contracts.rules.paging import NEWEST, check_frame, check_pages, check_repeats, no_strangers
from contracts.rules.reading import judge_read
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
LISTS = ("list_runs",)
RULES = (
    Rule(
        "LIST-COMPLETE",
        "api",
        "Every created run is listed, once",
        "A run that was created and not deleted stands in the list of runs, and stands there once.",
        GROUP,
        needs=LISTS,
    ),
    Rule(
        "LIST-PAGE",
        "api",
        "Pages put together give the whole",
        "In created_at_desc, pages of any size have no gaps and no repeats, newest first; skip and limit are those "
        "that were asked for (0 and 100 by default), a page is as full as it can be, and total is the number of all "
        "that match.",
        GROUP,
        needs=LISTS,
    ),
)


# Pages


def run_pages(context: CaseContext, case: Case) -> None:
    """Lists isolated runs in pages of several sizes and compares each item with the created run.

    Cases sorted by activity have only one page, since runs that change move between pages.
    """
    isolated = create_isolated_runs(context, [{"count": count} | case.get("fields", {}) for count in case["counts"]])
    query: Query = [isolated.filter]
    for limit in case["limits"]:
        items = check_pages(context, isolated, isolated.runs, query, limit=limit, sort=case.get("sort", NEWEST))
        if items is None:
            continue
        for run in isolated.runs:
            written = isolated.maker_of(run)
            if not judge_read(context, run, items[run["id"]], written.parsed, (written.result, context.exchanges[-1])):
                break
        extra = [item for identity, item in items.items() if not isolated.has(identity)]
        no_strangers(context, isolated, extra, query)


def run_skips(context: CaseContext, case: Case) -> None:
    """Reads single pages with various skips and limits, and with the defaults."""
    isolated = create_isolated_runs(context, [{"count": count} for count in case["counts"]])
    ids = {run["id"] for run in isolated.runs}
    total = len(ids)
    created = [written.result for written in isolated.made[-2:]]
    for skip, limit in case["windows"]:
        query: Query = [isolated.filter, ("sort_mode", "created_at_desc")]
        query += [("skip", str(skip))] if skip is not None else []
        query += [("limit", str(limit))] if limit is not None else []
        result = context.ask("list_runs", query=query)
        check_frame(context, result, skip=skip or 0, limit=100 if limit is None else limit, created=created)
        if isolated.filter[0] != "search" and all(item.get("id") in ids for item in items_of(result)):
            got = result.body.get("total")
            cause, expected = "total is not the number of runs", f"total {total}"
            context.require(got == total, "LIST-PAGE", cause, expected, f"total {got}", *created, result)
        check_repeats(context, [result], created)


def page_cases(check: CheckContext) -> Iterator[Case]:
    yield {"counts": [1], "limits": [1, 1000, 100]}
    yield {"counts": [25], "limits": [1, 2, 3, 5, 7, 10, 24, 25, 26, 100, 1000]}
    yield {"counts": [1, 2, 3, 1, 1, 2], "limits": [1, 2, 3, 4, 9, 10, 11, 1000]}
    yield {"counts": [101], "limits": [100, 99, 50, 51, 101, 33, 10]}
    yield {"counts": [250, 7], "limits": [100, 128, 64, 256, 250, 200, 1000]}
    yield {"counts": [1000, 101], "limits": [1000, 100, 750, 512]}
    for name, value in (
        ("input_values", write_bodies.INPUTS),
        ("file_inputs", [boundary_values.file()]),
        ("sensitive_input_values", write_bodies.SECRETS),
        ("start_session", True),
    ):
        yield {"counts": [3, 120], "fields": {name: value}, "limits": [1000, 50]}
    yield {"counts": [1000], "fields": {"input_values": write_bodies.INPUTS, "start_session": True}, "limits": [1000]}
    # Runs of one session run one by one, so most are still active when they are listed.
    yield {"counts": [501, 498], "fields": {"start_session": True}, "limits": [1000], "sort": "activity"}


def run_growing(context: CaseContext, case: Case) -> None:
    """Reads the same lists before and after runs are created and deleted: each must show the current runs."""
    body = {"count": case["count"], "input_values": {"who": "«marker:1»"}}
    isolated = create_isolated_runs(context, [body])
    queries = [within(isolated, [(name, context.fill(value)) for name, value in pairs]) for pairs in case["queries"]]
    last_exchanges: dict[int, list[Exchange]] = {}
    for change in ("", "more", "less", "more"):
        if change == "more":
            grow(context, isolated, body)
        elif change and context.check.offers("delete_run"):
            gone = isolated.runs[-1]["id"]
            context.ask("delete_run", gone, after=[isolated.made[-1].result])
            isolated.runs = [run for run in isolated.runs if run["id"] != gone]
        for number, query in enumerate(queries):
            sent = len(context.exchanges)
            check_pages(
                context, isolated, isolated.runs, query, limit=case["limit"], before=last_exchanges.get(number, ())
            )
            last_exchanges[number] = context.exchanges[sent:]


def growing_cases(check: CheckContext) -> Iterator[Case]:
    queries: tuple[Query, ...] = (
        [("search", "«marker:1»")],
        [("search", "«marker:1»"), ("deep_search", "true")],
        [("search", "«marker:1»"), ("fields", "session_id")],
        [("include", "workflow")],
        [],
    )
    for count, limit in ((2, 1000), (2, 3), (101, 100)):
        yield {"count": count, "limit": limit, "queries": [[list(pair) for pair in query] for query in queries]}


def skip_cases(check: CheckContext) -> Iterator[Case]:
    windows = [
        [None, None],
        [0, None],
        [None, 1],
        [0, 1],
        [1, 1],
        [6, 1],
        [7, 1],
        [8, 1],
        [0, 7],
        [0, 8],
        [1, 7],
        [6, 7],
        [100, 100],
        [10_000, 1000],
        [0, 1000],
        [3, 2],
        [5, 3],
        [0, 999],
        [2, 100],
        [1, None],
        [5, None],
    ]
    yield {"counts": [3, 4], "windows": windows}
    yield {
        "counts": [101],
        "windows": [
            [None, None],
            [0, 100],
            [1, 100],
            [100, 1],
            [100, 100],
            [101, 100],
            [50, 51],
            [0, 101],
            [99, 2],
            [0, 50],
            [0, 500],
            [90, 10],
            [100, 1000],
        ],
    }
    yield {
        "counts": [1000, 5],
        "windows": [
            [0, 1000],
            [1000, 1000],
            [1004, 1000],
            [1005, 1000],
            [5, 1000],
            [999, 1],
            [None, None],
            [1, 1000],
            [6, 1000],
            [900, 100],
            [500, 500],
            [501, 500],
        ],
    }


# Machines, pools and workflows


_OTHER_LISTS: Final = ("list_machines", "list_pools", "list_workflows")


def run_other_pages(context: CaseContext, case: Case) -> None:
    """Judges a page of another list against its own total, skip and limit.

    Paging is not documented for these lists, so a list without it is inconclusive.
    """
    operation = case["op"]
    query = [(name, str(case[name])) for name in ("skip", "limit") if case[name] is not None]
    before, page, after = (context.call(operation, query=asked) for asked in ([], query, []))
    totals = [result.body.get("total") for result in (before, page, after) if isinstance(result.body, dict)]
    if len(totals) < 3 or not page.accepted or totals[0] != totals[2]:
        raise Inconclusive("a list that others change, or that is not given in pages")
    cause, expected = "total is another on another page", f"total {totals[0]}"
    context.require(totals[1] == totals[0], "LIST-PAGE", cause, expected, f"total {totals[1]}", before, page)
    check_frame(context, page, skip=page.body.get("skip"), limit=page.body.get("limit"), created=())


def other_page_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _OTHER_LISTS:
        if check.offers(operation):
            for skip, limit in ((None, None), (0, 1), (1, 1), (1, None), (2, 2), (5, 100), (1000, 1000)):
                yield {"op": operation, "skip": skip, "limit": limit}


SCENARIOS = (
    Scenario(
        "lists in pages",
        ("LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER", "READ-BACK"),
        run_pages,
        page_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario(
        "lists of runs that grow",
        ("LIST-PAGE", "LIST-COMPLETE", "LIST-FILTER"),
        run_growing,
        growing_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario("pages of other lists", ("LIST-PAGE",), run_other_pages, other_page_cases, creates=False, priority=2),
    Scenario("single pages", ("LIST-PAGE",), run_skips, skip_cases, needs=LISTS, priority=1),
    Scenario(
        "lists without filters",
        ("LIST-COMPLETE",),
        run_unfiltered,
        unfiltered_cases,
        needs=LISTS,
        together=False,
        priority=1,
    ),
    Scenario(
        "lists with selected fields", ("READ-BACK", "LIST-FILTER"), run_views, view_cases, needs=LISTS, priority=1
    ),
    Scenario(
        "existing runs",
        ("LIST-PAGE", "LIST-FILTER", "READ-BACK"),
        run_existing,
        lambda check: [{"limit": 5}, {"limit": 100}],
        needs=LISTS,
        creates=False,
        priority=1,
    ),
)
