"""Reads lists of runs page by page, judges them by the runs that are known, and finds out why a run is missing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Exchange
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT
from contracts.engine import CallResult, CaseContext, Evidence, Inconclusive, assume
from contracts.oracle import ListCandidate, Query, Violation
from contracts.oracle.run_list import (
    NEWEST,
    Page,
    activity_violations,
    filter_names,
    items_in,
    list_violations,
    missing_in_words,
    missing_runs,
)
from contracts.oracle.violation import misses_a_run
from contracts.rules.isolated_runs import IsolatedRuns
from contracts.rules.tracked_run import TrackedRun

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

    def __add__(self, other: RunList) -> RunList:
        return RunList(self.query, self.pages + other.pages, self.results + other.results)


def created_between(first: str, last: str) -> list[tuple[str, str]]:
    """Return the filters for runs that were created from one moment to another, inclusive."""
    return [("created_at_from", first), ("created_at_to", last)]


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
    result = context.call_valid("list_runs", query=[*query, *paging_query(skip, limit)], token=token, after=after)
    return page_of(result, query, skip=skip, limit=limit)


def read_pages(context: CaseContext, query: Query, *, limit: int = MAX_LIMIT, token: str = TOKEN) -> Iterator[RunList]:
    """Yield the list as read so far, after each page. The first page at or beyond `total` is the last one, even if it
    has items. Raises Inconclusive if the list has more than MAX_PAGES pages.
    """
    assume(limit >= 1, "a page must have room for one")  # shrinking can make the limit 0
    found = read_page(context, query, limit=limit, token=token, after=[])
    yield found
    while found.pages[-1].is_full and not _is_beyond_end(found.pages[-1]):
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
    fields |= {"workflow": "workflow_id"} if check.workflows.accepts_any_id else {}
    fields |= {"session": "session_id"} if check.sessions.accepts_any_id else {}
    named = ((fields.get(name.partition(":")[0]), name) for name in placeholders if name in context.placeholders)
    return [(field, context.placeholder(name)) for field, name in named if field is not None]


def list_own_runs(
    context: CaseContext, filters: Query, *, beside: Collection[str] = ()
) -> Iterator[tuple[CallResult, list[dict[str, Any]]]]:
    """List runs by each of the filters, if the target offers it. Yield each list, and the runs in it that really have
    the value, without those of the ids in `beside`: one page of up to 1000, newest first.
    """
    for name, value in filters if context.check.offers("list_runs") else ():
        result = context.call("list_runs", query=[(name, value), WHOLE_PAGE, NEWEST_FIRST])
        if result.accepted:
            items = [item for item in items_of(result) if isinstance(item.get("id"), str) and item["id"] not in beside]
            yield result, [item for item in items if has_filter_value(item, name, value)]


def has_filter_value(item: dict[str, Any], name: str, value: str) -> bool:
    """Return whether a listed run really has the value of the filter. A broken filter may return other runs."""
    if name == "search":
        return value in json.dumps(item.get("input_values")) or value in json.dumps(item.get("session_alias"))
    return item.get(name) == value


def resource_pages(context: CaseContext, listing: str) -> Iterator[CallResult]:
    """Yield the pages of a list of pools or workflows. If the last one is full, there may be more."""
    for page in range(_MAX_RESOURCE_PAGES):
        result = context.call(listing, query=[WHOLE_PAGE, ("skip", str(MAX_LIMIT * page))])
        yield result
        if not result.accepted or len(items_of(result)) < MAX_LIMIT:
            return


def their_workflow(context: CaseContext) -> str:
    """Return a workflow that the second organisation may use: made up if the target takes any, else a listed one."""
    if context.check.workflows.accepts_any_id:
        return str(context.placeholder("workflow"))
    if "their-workflow" not in context.placeholders:
        result = context.call("list_workflows", query=[("limit", "1")], token=SECOND_TOKEN)
        found = [item["id"] for item in items_of(result) if isinstance(item.get("id"), str)] if result.accepted else []
        assume(found, "no workflow of the second organisation is known")
        context.placeholders["their-workflow"] = found[0]
    return str(context.placeholder("their-workflow"))


def with_their_workflow(context: CaseContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a create with a workflow that the second organisation may use."""
    workflow = {"workflow_id": their_workflow(context)}
    return {**body, **({"steps": [step | workflow for step in body["steps"]]} if "steps" in body else workflow)}


# Judging


_NOT_LISTED: Final = "a created run is not listed"
_LIMITS: Final = (MAX_LIMIT, DEFAULT_LIMIT, 37)
"""The largest page size, the default, and a small one that is not round."""


def check_list(
    context: CaseContext,
    isolated: IsolatedRuns,
    query: Query,
    *,
    limit: int = MAX_LIMIT,
    sort: str = NEWEST,
    before: Sequence[Exchange] = (),
) -> dict[str, dict[str, Any]] | None:
    """Read and judge all pages of a list. Returns the items by id, or None if a run is missing.

    `before` are earlier exchanges that may influence the list; a finding shows them too.
    """
    found = read_list(context, [*query, ("sort_mode", sort)], limit=limit)

    def evidence_of(run_id: str | None) -> Evidence:
        return [*before, *isolated.evidence_of(run_id)]

    judge_list(context, found, isolated.candidates, evidence_of, are_all=_finds_no_others(context, isolated, query))
    missing = missing_runs(found.pages, found.query, isolated.candidates)
    if missing:
        rule, cause = why_missing(context, missing[0].view, found.query, limit=limit, base=[isolated.filter])
        if len(found.pages) > 1:
            one_page = read_list(context, found.query)
            found = one_page if missing_runs(one_page.pages, found.query, missing[:1]) else found
        evidence: Evidence = [*evidence_of(missing[0].id), *found.results[:3]]
        _report_missing(context, missing, found.query, rule, cause, evidence)
        return None
    return {str(item.get("id")): item for item in found.items}


def _finds_no_others(context: CaseContext, isolated: IsolatedRuns, query: Query) -> bool:
    """Return whether only runs of the case can match: a filter has a value that was made up for the case."""
    markers = [value.lower() for name, value in context.placeholders.items() if name.startswith("marker")]
    searched = [value.lower() for name, value in query if name == "search"]
    return isolated.filter in query or any(marker in text for marker in markers for text in searched)


def check_activity(context: CaseContext, isolated: IsolatedRuns, *, limit: int) -> None:
    """Judge the order of a list by activity, and nothing else: runs move between its pages when a run ends."""
    found = read_list(context, [isolated.filter, ("sort_mode", "activity")], limit=limit)
    listed = [(number, item) for number, page in enumerate(found.pages) for item in page.items]
    for wrong in activity_violations(listed):
        evidence = isolated.evidence_of(wrong.run_id)
        context.report_violation(wrong.violation, *evidence, *(found.results[number] for number in wrong.pages))


def check_page(
    run: TrackedRun,
    query: Query,
    others: Sequence[TrackedRun] = (),
    *,
    base: Query = (),
    limit: int | None = None,
    rule_if_gone: str = "",
    compares: bool = False,
) -> RunList | None:
    """Judge one page of a list by a run and others of its case, and return it if nothing is wrong or missing.

    `base` is a query that is known to find the runs. `rule_if_gone` is the rule to report for a missing run; if it is
    empty, other lists are read to find the rule. `compares`: each listed run is also judged by its model.
    """
    context = run.context
    found = read_page(context, query, limit=limit, after=run.evidence)
    candidates = [each.known.candidate() for each in (run, *others)]
    if not judge_list(context, found, candidates, lambda run_id: run.evidence):
        return None
    missing = missing_runs(found.pages, query, candidates)
    if missing:
        rule, cause = rule_if_gone, "another run is gone too"
        if not rule:
            rule, cause = why_missing(context, missing[0].view, query, base=base)
        _report_missing(context, missing, query, rule, cause, [*run.evidence, *found.results])
        return None
    by_id = {each.id: each for each in (run, *others)} if compares else {}
    for item in found.items:
        if item.get("id") in by_id:
            is_partial = any(name == "fields" for name, _ in query)
            by_id[item["id"]].compare(item, found.results[0], is_partial=is_partial)
    return found


def judge_list(
    context: CaseContext,
    found: RunList,
    runs: Collection[ListCandidate],
    evidence: Callable[[str | None], Evidence],
    *,
    are_all: bool = False,
) -> bool:
    """Judge everything about a list but missing runs. Return whether the list is right.

    `are_all`: no other runs can be in the list. `evidence` takes the id of a run, or None for all runs, and returns the
    exchanges that a finding shows before the pages.
    """
    for rule in ("LIST-PAGE", "LIST-COMPLETE", "LIST-FILTER", *{run.absence.rule for run in runs if run.absence}):
        context.count(rule, *found.results)
    holds = True
    for wrong in list_violations(found.pages, found.query, runs, are_all=are_all):
        holds = False
        context.report_violation(
            wrong.violation, *evidence(wrong.run_id), *(found.results[number] for number in wrong.pages)
        )
    return holds


def why_missing(
    context: CaseContext, run: Mapping[str, Any], query: Query, *, limit: int = DEFAULT_LIMIT, base: Query = ()
) -> tuple[str, str]:
    """Return the rule and the cause for a run that is missing from a list, by the other lists that have the run.

    `base` is a query that finds the run on a correct server.
    """
    filters = [pair for pair in query if pair[0] != "sort_mode"]
    newest = [*filters, NEWEST_FIRST]
    if NEWEST_FIRST not in query and _is_in(context, run, newest, MAX_LIMIT):
        return "LIST-COMPLETE", "a run is not listed by activity"
    if any(_is_in(context, run, newest, other) for other in _LIMITS if other != limit):
        return "LIST-PAGE", "a run is on no page"
    others = (other for other in _other_queries(run, base) if other != filters)
    if any(_is_in(context, run, [*other, NEWEST_FIRST], MAX_LIMIT) for other in others):
        if names := filter_names(query):
            return "LIST-FILTER", misses_a_run(names)
        return "LIST-COMPLETE", "a list without filters misses a run"
    return "LIST-COMPLETE", _NOT_LISTED


def _report_missing(
    context: CaseContext, missing: Sequence[ListCandidate], query: Query, rule: str, cause: str, evidence: Evidence
) -> None:
    """If no list shows the run, but it can be read, that is a proof, even if it does not repeat."""
    violation = Violation(rule, cause, "every run that matches", missing_in_words(missing, query))
    may_be_read = cause == _NOT_LISTED and context.check.offers("get_run")
    is_proof = may_be_read and context.call("get_run", missing[0].id).accepted
    context.report_violation(violation, *evidence, is_proof=is_proof)


def _other_queries(run: Mapping[str, Any], base: Query) -> Iterator[Query]:
    """Yield queries that find the run; the last one has no filter."""
    if base:
        yield base
    yield [("search", str(run["id"]))]
    yield created_between(run["created_at"], run["created_at"])
    yield from ([(name, run[name])] for name in ("session_id", "workflow_id") if run.get(name))
    yield []


def _is_in(context: CaseContext, run: Mapping[str, Any], query: Query, limit: int) -> bool:
    with contextlib.suppress(Inconclusive):
        for found in read_pages(context, query, limit=limit):
            if any(item.get("id") == run["id"] for item in found.pages[-1].items):
                return True
    return False
