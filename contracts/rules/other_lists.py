"""The lists of machines, pools, workflows and attachments: their pages, and that their order stays the same."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT
from contracts.engine import Case, CaseContext, CheckContext, Scenario, assume
from contracts.oracle.run_list import Page, Query, paging_violations
from contracts.rules.list_reads import items_of, paging_query, total_of

_TRIES: Final = 3
"""How often pages are read that do not agree: scenarios that wait delete runs with files, and create others. An item
that is deleted before a page and replaced after it leaves the total as it was.
"""
_OTHER_LISTS: Final = ("list_machines", "list_pools", "list_workflows", "list_run_attachments")


@dataclass(frozen=True)
class PageCase(Case):
    """A page of machines, pools, workflows or attachments. A negative `skip` counts from its end."""

    operation: str
    skip: int | None
    limit: int | None


def run_page(context: CaseContext, case: PageCase) -> None:
    """Judge a page by its own total, skip and limit. A list need not have them, since they are not documented."""
    for _ in range(_TRIES):
        before = context.call(case.operation)
        skip = case.skip
        if skip is not None and skip < 0:
            skip = max(0, (total_of(before) or 0) + skip)
        page = context.call(case.operation, query=paging_query(skip, case.limit))
        after = context.call(case.operation)
        totals = [result.body.get("total") for result in (before, page, after) if isinstance(result.body, dict)]
        is_whole = len(totals) == 3 and page.accepted and totals[0] == totals[2]
        if is_same := is_whole and totals[1] == totals[0]:
            break
    assume(is_whole, "the list changed meanwhile, or has no paging")
    cause, expected = "total differs between pages", f"total {totals[0]}"
    context.require(is_same, "LIST-PAGE", cause, expected, before, page, got=f"total {totals[1]}")
    reported = Page(page.body.get("skip"), page.body.get("limit"), page.body)
    context.judge("LIST-PAGE", paging_violations(reported), page)


def page_cases(check: CheckContext) -> Iterator[PageCase]:
    windows = ((None, None), (0, 1), (1, 1), (1, None), (2, 2), (5, DEFAULT_LIMIT), (MAX_LIMIT, MAX_LIMIT), (-1, 1))
    for operation in filter(check.offers, _OTHER_LISTS):
        yield from (PageCase(operation, skip, limit) for skip, limit in windows)


@dataclass(frozen=True)
class OrderCase(Case):
    """The first three pages of a list of machines, pools, workflows or attachments."""

    operation: str
    filter: Query = ()


def run_order(context: CaseContext, case: OrderCase) -> None:
    """Require that the pages have different items. The order is not determined, but it must stay the same."""
    for _ in range(_TRIES):
        total = total_of(context.call(case.operation, query=case.filter)) or 0
        size = min(max(1, total // 3), DEFAULT_LIMIT)
        queries = [[*case.filter, *paging_query(number * size, size)] for number in range(3)]
        pages = [context.call(case.operation, query=query) for query in queries]
        is_same = {total_of(page) for page in pages} == {total}
        ids = Counter(str(item.get("id")) for page in pages for item in items_of(page))
        twice = next((one for one, times in ids.items() if times > 1), "")
        if is_same and not twice:
            break
    assume(is_same, "the list changed meanwhile, or has no paging")
    cause, expected = f"an item of {case.operation} on two pages", "every item once, as long as the list is the same"
    context.require(not twice, "LIST-PAGE", cause, expected, *pages, got=f"id {twice} twice")


def order_cases(check: CheckContext) -> Iterator[OrderCase]:
    filters = {"list_machines": ("status", "connected"), "list_run_attachments": ("attachment_type", "input")}
    for operation in filter(check.offers, _OTHER_LISTS):
        yield OrderCase(operation)
        if operation in filters:
            yield OrderCase(operation, [filters[operation]])


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "pages of other lists",
        ("LIST-PAGE",),
        run_page,
        page_cases,
        creates_runs=False,
        is_exclusive=True,  # other scenarios create pools and workflows
        order=2,
    ),
    Scenario(
        "order of other lists",
        ("LIST-PAGE",),
        run_order,
        order_cases,
        creates_runs=False,
        is_exclusive=True,  # other scenarios create pools and workflows
        order=8,  # when these have created many
    ),
)
