"""Follows the pages of a list and judges that each run is listed once, in order, with a right total."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from contracts.core.exchange import Exchange
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, excerpt, gives_others_too
from contracts.rules.isolated_runs import IsolatedRuns, Query, locate
from contracts.rules.listing import items_of, whole

NEWEST: Final = "created_at_desc"


def check_pages(
    context: CaseContext,
    isolated: IsolatedRuns,
    expected: Sequence[dict[str, Any]],
    query: Query,
    *,
    limit: int,
    sort: str = NEWEST,
    before: Sequence[Exchange] = (),
) -> dict[str, dict[str, Any]] | None:
    """Reads and judges all pages of a list. Returns the items by id, or None if an expected run is missing.

    `before` are earlier exchanges that may influence the list; a finding shows them too.
    """
    if limit < 1:
        raise Inconclusive("a page must have room for one")  # shrinking can make the limit 0
    items, results = whole(context, query, limit=limit, sort=sort)
    created: list[CallResult | Exchange] = [*before, *(written.result for written in isolated.made[-2:])]
    for page, result in enumerate(results):
        listed = items_of(result)
        check_frame(context, result, skip=page * limit, limit=limit, created=created)
        if sort == NEWEST:
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
    check_repeats(context, results, created)
    there = set(ids)
    missing = [run for run in expected if run["id"] not in there]
    if missing:
        rule, how = locate(context, isolated, missing[0], query, limit)
        if len(results) > 1:
            one_page = context.ask(
                "list_runs", query=[*query, ("limit", "1000"), ("sort_mode", sort)], after=results[:1]
            )
            if missing[0]["id"] not in {item.get("id") for item in items_of(one_page)}:
                results = [one_page]
        context.fail(
            Violation(rule, how, f"{len(expected)} runs", f"{len(missing)} of {len(expected)} runs missing"),
            isolated.maker_of(missing[0]).result,
            *before,
            *results[:3],
        )
        return None
    return {str(item.get("id")): item for item in items}


def check_frame(
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


def check_repeats(
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


def no_strangers(
    context: CaseContext, isolated: IsolatedRuns, extra: Sequence[Mapping[str, Any]], query: Query
) -> None:
    if not extra:
        return
    name, value = isolated.filter
    strangers = [item for item in extra if name == "search" or item.get(name) != value]
    context.require(
        not strangers,
        "LIST-FILTER",
        gives_others_too(name for name, _ in query),
        "only runs that match",
        lambda: f"{len(strangers)} others",
        isolated.made[-1].result,
        context.exchanges[-1],
    )
