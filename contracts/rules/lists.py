"""Lists of runs: complete, in pages of any size, with the requested fields."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.exchange import Exchange
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, changed_field, excerpt, gains_inputs, stable_fields
from contracts.rules.isolated_runs import IsolatedRuns, Query, grow, locate, make_corner, within
from contracts.rules.listing import items_of, whole
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


_NEWEST: Final = "created_at_desc"


def check_pages(
    context: CaseContext,
    corner: IsolatedRuns,
    expected: Sequence[dict[str, Any]],
    query: Query,
    *,
    limit: int,
    sort: str = _NEWEST,
    before: Sequence[Exchange] = (),
) -> dict[str, dict[str, Any]] | None:
    """Reads and judges all pages of a list. Returns the items by id, or None if an expected run is missing.

    `before` are earlier exchanges that may influence the list; a finding shows them too.
    """
    if limit < 1:
        raise Inconclusive("a page must have room for one")  # shrinking can make the limit 0
    items, results = whole(context, query, limit=limit, sort=sort)
    created: list[CallResult | Exchange] = [*before, *(written.result for written in corner.made[-2:])]
    for page, result in enumerate(results):
        listed = items_of(result)
        _check_frame(context, result, skip=page * limit, limit=limit, created=created)
        if sort == _NEWEST:
            moments = [moment_of(item.get("created_at")) for item in listed]
            known = [moment for moment in moments if moment is not None]
            context.require(
                all(a >= b for a, b in itertools.pairwise(known)),
                "LIST-PAGE",
                "created_at_desc is not newest first",
                "newest first",
                "an older run before a newer one",
                *created,
                result,
            )
    ids = [item.get("id") for item in items]
    own = {run["id"] for run in expected}
    totals = {result.body.get("total") for result in results}
    if own == set(ids) and len(ids) == len(own):
        context.require(
            totals == {len(own)},
            "LIST-PAGE",
            "total is not the number of runs",
            f"total {len(own)}",
            f"total {excerpt(json.dumps(sorted(totals, key=str)))}",
            *created,
            *results[:2],
        )
    _check_repeats(context, results, created)
    there = set(ids)
    missing = [run for run in expected if run["id"] not in there]
    if missing:
        rule, how = locate(context, corner, missing[0], query, limit)
        if len(results) > 1:
            one_page = context.ask(
                "list_runs", query=[*query, ("limit", "1000"), ("sort_mode", sort)], after=results[:1]
            )
            if missing[0]["id"] not in {item.get("id") for item in items_of(one_page)}:
                results = [one_page]
        context.fail(
            Violation(rule, how, f"{len(expected)} runs", f"{len(missing)} of {len(expected)} runs missing"),
            corner.maker_of(missing[0]).result,
            *before,
            *results[:3],
        )
        return None
    return {str(item.get("id")): item for item in items}


def _check_frame(
    context: CaseContext, result: CallResult, *, skip: int, limit: int, created: Sequence[CallResult | Exchange]
) -> None:
    body = result.body
    listed = items_of(result)
    frame = {name: body.get(name) for name in ("total", "skip", "limit")}
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in frame.values())
    shaped = isinstance(body.get("items"), list) and len(listed) == len(body["items"])
    if not context.require(
        numbers and shaped,
        "LIST-PAGE",
        "a list is not of its schema",
        "items, total, skip and limit",
        excerpt(json.dumps(frame)),
        result,
    ):
        return
    right = frame["skip"] == skip and frame["limit"] == limit
    expected = f"skip {skip} and limit {limit}"
    context.require(right, "LIST-PAGE", "skip or limit is not as asked", expected, excerpt(json.dumps(frame)), result)
    full = min(limit, max(0, frame["total"] - skip))
    context.require(
        len(listed) == full or frame["skip"] != skip or frame["limit"] != limit,
        "LIST-PAGE",
        "a page is not as full as total says",
        f"{full} items",
        lambda: f"{len(listed)} items with {json.dumps(frame)}",
        *created,
        result,
    )


def _check_repeats(
    context: CaseContext, results: Sequence[CallResult], created: Sequence[CallResult | Exchange]
) -> None:
    seen: dict[Any, CallResult] = {}
    for result in results:
        for item in items_of(result):
            identity = item.get("id")
            if identity in seen:
                once = seen[identity] is result
                context.fail(
                    Violation(
                        "LIST-COMPLETE" if once else "LIST-PAGE",
                        "a run twice in one page" if once else "a run on two pages",
                        "every run once",
                        f"{identity} twice",
                    ),
                    *created,
                    *([result] if once else [seen[identity], result]),
                )
            seen[identity] = result


def run_pages(context: CaseContext, case: Case) -> None:
    """Lists isolated runs in pages of several sizes and compares each item with the created run.

    Cases sorted by activity have only one page, since runs that change move between pages.
    """
    corner = make_corner(context, [{"count": count} | case.get("fields", {}) for count in case["counts"]])
    query: Query = [corner.filter]
    for limit in case["limits"]:
        items = check_pages(context, corner, corner.runs, query, limit=limit, sort=case.get("sort", _NEWEST))
        if items is None:
            continue
        for run in corner.runs:
            written = corner.maker_of(run)
            if not judge_read(context, run, items[run["id"]], written.parsed, (written.result, context.exchanges[-1])):
                break
        extra = [item for identity, item in items.items() if not corner.has(identity)]
        no_strangers(context, corner, extra, query)


def no_strangers(context: CaseContext, corner: IsolatedRuns, extra: Sequence[Mapping[str, Any]], query: Query) -> None:
    if not extra:
        return
    name, value = corner.filter
    strangers = [item for item in extra if name == "search" or item.get(name) != value]
    filters = "+".join(sorted({name for name, _ in query}))
    context.require(
        not strangers,
        "LIST-FILTER",
        f"{filters} gives others too",
        "only runs that match",
        lambda: f"{len(strangers)} others",
        corner.made[-1].result,
        context.exchanges[-1],
    )


def run_skips(context: CaseContext, case: Case) -> None:
    """Reads single pages with various skips and limits, and with the defaults."""
    corner = make_corner(context, [{"count": count} for count in case["counts"]])
    ids = {run["id"] for run in corner.runs}
    total = len(ids)
    created = [written.result for written in corner.made[-2:]]
    for skip, limit in case["windows"]:
        query: Query = [corner.filter, ("sort_mode", "created_at_desc")]
        query += [("skip", str(skip))] if skip is not None else []
        query += [("limit", str(limit))] if limit is not None else []
        result = context.ask("list_runs", query=query)
        _check_frame(context, result, skip=skip or 0, limit=100 if limit is None else limit, created=created)
        if corner.filter[0] != "search" and all(item.get("id") in ids for item in items_of(result)):
            got = result.body.get("total")
            cause, expected = "total is not the number of runs", f"total {total}"
            context.require(got == total, "LIST-PAGE", cause, expected, f"total {got}", *created, result)
        _check_repeats(context, [result], created)


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
    corner = make_corner(context, [body])
    queries = [within(corner, [(name, context.fill(value)) for name, value in pairs]) for pairs in case["queries"]]
    last_exchanges: dict[int, list[Exchange]] = {}
    for change in ("", "more", "less", "more"):
        if change == "more":
            grow(context, corner, body)
        elif change and context.check.offers("delete_run"):
            gone = corner.runs[-1]["id"]
            context.ask("delete_run", gone, after=[corner.made[-1].result])
            corner.runs = [run for run in corner.runs if run["id"] != gone]
        for number, query in enumerate(queries):
            sent = len(context.exchanges)
            check_pages(context, corner, corner.runs, query, limit=case["limit"], before=last_exchanges.get(number, ()))
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
    _check_frame(context, page, skip=page.body.get("skip"), limit=page.body.get("limit"), created=())


def other_page_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _OTHER_LISTS:
        if check.offers(operation):
            for skip, limit in ((None, None), (0, 1), (1, 1), (1, None), (2, 2), (5, 100), (1000, 1000)):
                yield {"op": operation, "skip": skip, "limit": limit}


# Unfiltered, fields, includes


def run_unfiltered(context: CaseContext, case: Case) -> None:
    """Runs that were just created must be among the newest of an unfiltered list, once each."""
    written = context.some_runs(case["count"])
    created_ids = {run["id"] for run in written.runs}
    oldest = min(filter(None, (moment_of(run["created_at"]) for run in written.runs)), default=None)
    found: list[str] = []
    results: list[CallResult] = []
    for page in range(12):
        query = [("limit", str(case["limit"])), ("skip", str(page * case["limit"]))]
        result = context.ask(
            "list_runs", query=[*query, *([("sort_mode", "created_at_desc")] if case["sorted"] else [])]
        )
        results.append(result)
        items = items_of(result)
        found += [item["id"] for item in items if item.get("id") in created_ids]
        moments = [moment_of(item.get("created_at")) for item in items]
        past = oldest is not None and any(moment is not None and moment < oldest for moment in moments)
        if len(items) < case["limit"] or created_ids <= set(found) or (past and case["sorted"]):
            break
    else:
        return
    for result in results:
        _check_repeats(context, [result], [written.result])
    missing = created_ids - set(found)
    if missing:
        lost = next(run for run in written.runs if run["id"] in missing)
        reads = context.check.offers("get_run") and context.call("get_run", lost["id"]).accepted
        again, _ = whole(context, [("search", lost["id"])])
        if not reads or context.check.is_live:
            return
        context.fail(
            Violation(
                "LIST-COMPLETE",
                "a created run is not listed",
                "every created run in the list",
                f"{len(missing)} of {len(created_ids)} runs missing{', though a search finds them' if again else ''}",
            ),
            written.result,
            *results[:2],
        )


def unfiltered_cases(check: CheckContext) -> Iterator[Case]:
    for count, limit in ((1, 100), (3, 2), (101, 100), (1000, 1000)):
        yield {"count": count, "limit": limit, "sorted": True}


def run_views(context: CaseContext, case: Case) -> None:
    """Lists the same runs with selected fields or included resources: the values must be the same."""
    fields = dict(case["fields"])
    corner = make_corner(context, [{"count": case.get("count", 2)} | fields])
    written = corner.made[0]
    always = ("id", "workflow_id", "machine_id", "status", "created_at")
    for query in case["queries"]:
        result = context.ask(
            "list_runs", query=[corner.filter, ("limit", "1000"), *[(k, v) for k, v in query]], after=[written.result]
        )
        _check_frame(context, result, skip=0, limit=1000, created=[written.result])
        by_id = {item.get("id"): item for item in items_of(result)}
        asked = [value for name, value in query if name == "fields"]
        for run in corner.runs:
            item = by_id.get(run["id"])
            if item is None:
                if run["id"] in {
                    i.get("id") for i in items_of(context.ask("list_runs", query=[corner.filter, ("limit", "1000")]))
                }:
                    cause = "+".join(sorted({name for name, _ in query})) + " misses a run"
                    context.fail(Violation("LIST-FILTER", cause, "all runs", "a run missing"), written.result, result)
                break
            lost = [name for name in always if name not in item]
            lost += [name for name in asked if name not in item and run.get(name)]
            ok = context.require(
                not lost,
                "READ-BACK",
                "a field that was asked for is missing",
                f"{', '.join(lost)} in the item",
                "not there",
                written.result,
                result,
            )
            if not ok:
                break
            view = {name: run[name] for name in run if name in item and (not asked or name in asked or name in always)}
            if not judge_view(context, view, item, written, result):
                break


def judge_view(
    context: CaseContext, view: dict[str, Any], item: dict[str, Any], written: WriteResult, result: CallResult
) -> bool:
    changed = changed_field(view, item, stable_fields(written.parsed), may_gain=gains_inputs(written.parsed))
    if changed is None:
        return context.require(True, "READ-BACK", "", "", "")
    name, problem = changed
    context.fail(
        Violation("READ-BACK", f"{name} reads otherwise", f"{name} as it was created", problem), written.result, result
    )
    return False


def view_cases(check: CheckContext) -> Iterator[Case]:
    fields: dict[str, Any] = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    names = (
        "user_id",
        "organization_id",
        "error",
        "output_data",
        "input_attachment_ids",
        "output_attachment_ids",
        "run_message_history",
        "input_values",
        "pool_ids",
        "sensitive_input_aliases",
        "session_id",
        "session_alias",
        "release_session_after",
        "machine_id",
    )
    queries: list[Any] = [[["fields", name]] for name in names]
    queries += [[["fields", a], ["fields", b]] for a, b in itertools.pairwise(names)]
    queries += [[["fields", name] for name in names]]
    queries += [
        [["include", text]]
        for text in ("workflow", "machine", "machine.pools", "workflow,machine", "workflow,machine,machine.pools")
    ]
    queries += [
        [["include", "workflow"], ["fields", "input_values"]],
        [["sort_mode", "activity"]],
        [["deep_search", "true"]],
        [["deep_search", "false"]],
    ]
    yield {"fields": fields, "queries": queries}
    yield {
        "fields": fields,
        "queries": [[["fields", "input_values"]], [["fields", "session_id"]], [["include", "workflow"]]],
        "count": 120,
    }


def run_existing(context: CaseContext, case: Case) -> None:
    """Judges runs that already exist: a page of them, three filters, and two runs read one by one."""
    newest = [("limit", str(case["limit"])), ("sort_mode", "created_at_desc")]
    result = context.ask("list_runs", query=newest)
    _check_frame(context, result, skip=0, limit=case["limit"], created=())
    _check_repeats(context, [result], ())
    items = [item for item in items_of(result) if isinstance(item.get("id"), str)]
    for item in items[:2]:
        if context.check.offers("get_run"):
            read = context.call("get_run", item["id"])
            if read.accepted and isinstance(read.body, dict):
                judge_read(context, item, read.body, None, [result, read])
    for name in ("workflow_id", "status", "session_id"):
        value = next((item[name] for item in items if isinstance(item.get(name), str)), None)
        if value is None:
            continue
        listed = context.ask("list_runs", query=[(name, value), *newest])
        others = [item for item in items_of(listed) if item.get(name) != value]
        cause, expected = f"{name} gives others too", "only runs that match"
        context.require(not others, "LIST-FILTER", cause, expected, f"{len(others)} others", listed)


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
        "lists that grow while paged",
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
