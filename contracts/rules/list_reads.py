"""Reads lists page by page: of runs, and of other resources. `list_checks` judges what was read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT, MIN_LIMIT
from contracts.engine import CallResult, CaseContext, Evidence, assume
from contracts.oracle import Query
from contracts.oracle.run_list import NEWEST, ListViolation, Page, items_in

MAX_PAGES: Final = 60
_MAX_RESOURCE_PAGES: Final = 20
NEWEST_FIRST: Final = ("sort_mode", NEWEST)
WHOLE_PAGE: Final = ("limit", str(MAX_LIMIT))
"""Asks for as many items as a page can have."""
DEEP_SEARCH: Final = ("deep_search", "true")


@dataclass(frozen=True)
class RunList:
    """Pages of a list of runs and the answers they came from. The query has no `skip` and `limit`."""

    query: Query
    pages: tuple[Page, ...]
    results: tuple[CallResult, ...]

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for page in self.pages for item in page.items]

    @property
    def ids(self) -> set[Any]:
        return {item.get("id") for item in self.items}

    def answers_with(self, wrong: ListViolation) -> list[CallResult]:
        """Return the answers that show what is wrong with the list."""
        return [self.results[number] for number in wrong.pages]

    def __add__(self, other: RunList) -> RunList:
        return RunList(self.query, self.pages + other.pages, self.results + other.results)


def created_at(first: str, last: str | None = None) -> list[tuple[str, str]]:
    """Return the filters for runs that were created at a moment or, with `last`, from one moment to another."""
    return [("created_at_from", first), ("created_at_to", first if last is None else last)]


def page_of(result: CallResult, query: Query, *, skip: int | None = None, limit: int | None = None) -> RunList:
    """Return the answer to one request of list_runs as a RunList."""
    page = Page(skip or 0, DEFAULT_LIMIT if limit is None else limit, result.body)
    return RunList(query, (page,), (result,))


def paging_query(skip: int | None, limit: int | None) -> Query:
    """Return the parameters of a page; None leaves a parameter out."""
    return [(name, str(value)) for name, value in (("skip", skip), ("limit", limit)) if value is not None]


def read_page(
    context: CaseContext,
    query: Query,
    *,
    skip: int | None = None,
    limit: int | None = None,
    token: str = TOKEN,
    after: Evidence | None = None,
) -> RunList:
    # Shrinking can make the limit 0.
    assume(limit is None or MIN_LIMIT <= limit <= MAX_LIMIT, "the limit of a page is outside its range")
    result = context.call_valid("list_runs", query=[*query, *paging_query(skip, limit)], token=token, after=after)
    return page_of(result, query, skip=skip, limit=limit)


def read_pages(
    context: CaseContext,
    query: Query,
    *,
    limit: int,
    token: str = TOKEN,
    is_enough: Callable[[Page], bool] = lambda page: False,
) -> Iterator[RunList]:
    """Yield the list as read so far, after each page. The first page at or beyond `total` is the last one, even if it
    has items, and so is one that `is_enough`. Raises Inconclusive if the list has more than MAX_PAGES pages.
    """
    first_limit = None if limit == DEFAULT_LIMIT else limit  # the default size must be that of a request without limit
    found = read_page(context, query, limit=first_limit, token=token, after=[])
    yield found
    while (page := found.pages[-1]).is_full and not _is_beyond_end(page) and not is_enough(page):
        assume(len(found.pages) != MAX_PAGES, f"a list of more than {MAX_PAGES * limit} runs")
        skip = len(found.pages) * limit
        found += read_page(context, query, skip=skip, limit=limit, token=token, after=found.results[:1])
        yield found


def _is_beyond_end(page: Page) -> bool:
    return isinstance(page.total, int) and page.skip >= page.total


def read_list(context: CaseContext, query: Query, *, limit: int = MAX_LIMIT) -> RunList:
    *_, whole = read_pages(context, query, limit=limit)
    return whole


def was_changed(context: CaseContext, found: RunList) -> bool:
    """Return whether a list has changed since its first page was read: its total, or its first run."""
    first, again = found.pages[0], read_page(context, found.query, limit=1, after=[]).pages[0]
    ids = [[item.get("id") for item in page.items[:1]] for page in (first, again)]
    return first.total != again.total or ids[0] != ids[1]


def items_of(result: CallResult) -> list[dict[str, Any]]:
    return items_in(result.body)


def listed_item(listed: CallResult, resource_id: Any) -> dict[str, Any] | None:
    """Return the item with this id from a list; None if the list does not have it."""
    return next((item for item in items_of(listed) if item.get("id") == resource_id), None)


def total_of(result: CallResult) -> int | None:
    total = result.body.get("total") if isinstance(result.body, dict) else None
    return total if isinstance(total, int) else None


def own_run_filters(context: CaseContext, placeholders: Sequence[str] = ("workflow", "session", "marker")) -> Query:
    """Return filters by the values of the placeholders, if only runs created by this case can have these values."""
    check = context.check
    fields = {"marker": "search"}
    fields |= {"workflow": "workflow_id"} if context.placeholders.get("workflow") not in check.workflows.known else {}
    fields |= {"session": "session_id"} if check.sessions.accepts_any_id else {}
    named = ((fields.get(name.partition(":")[0]), name) for name in placeholders if name in context.placeholders)
    return [(field, context.placeholder(name)) for field, name in named if field is not None]


def list_own_runs(
    context: CaseContext, filters: Query, *, known: Collection[str]
) -> Iterator[tuple[CallResult, list[dict[str, Any]]]]:
    """List runs by each of the filters, if the target offers it: one page of up to 1000, newest first. Yield each list,
    and the runs in it that really have the value and whose ids are not `known`.
    """
    for name, value in filters if context.check.offers("list_runs") else ():
        result = context.call("list_runs", query=[(name, value), WHOLE_PAGE, NEWEST_FIRST])
        if result.accepted:
            items = [item for item in items_of(result) if isinstance(item.get("id"), str) and item["id"] not in known]
            yield result, [item for item in items if has_filter_value(item, name, value)]


def require_no_new_runs(
    context: CaseContext, filters: Query, rule: str, cause: str, *evidence: CallResult, known: Collection[str] = ()
) -> None:
    """Require that refused requests, which had these values, have created nothing. `known` are runs of other requests
    with these values.
    """
    for listed, made in list_own_runs(context, filters, known=known):
        expected, got = "no run created by a refused request", counted(len(made), "new run")
        context.require(not made, rule, cause, expected, *evidence, listed, got=got)


def has_filter_value(item: dict[str, Any], name: str, value: str) -> bool:
    """Return whether a listed run really has the value of the filter. A broken filter may return other runs."""
    if name == "search":
        return value in json.dumps(item.get("input_values")) or value in json.dumps(item.get("session_alias"))
    return item.get(name) == value


def resource_pages(context: CaseContext, listing: str) -> Iterator[CallResult]:
    """Yield the pages of a list of machines, pools or workflows. If the last one is full, there may be more."""
    for page in range(_MAX_RESOURCE_PAGES):
        result = context.call(listing, query=[WHOLE_PAGE, ("skip", str(MAX_LIMIT * page))])
        yield result
        if not result.accepted or is_last_page(result):
            return


def is_last_page(result: CallResult) -> bool:
    """Return whether no page follows this one, which was read with WHOLE_PAGE."""
    return result.accepted and len(items_of(result)) < MAX_LIMIT


def find_item(context: CaseContext, listing: str, resource_id: Any) -> tuple[dict[str, Any] | None, CallResult]:
    """Return the item with this id from all pages of a list, or None, and the page that was read last."""
    for listed in resource_pages(context, listing):
        found = listed_item(listed, resource_id)
        if found is not None:
            break
    return found, listed
