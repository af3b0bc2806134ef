"""Judges lists of runs by the runs that are known, and finds out why a run is missing."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.exchange import Exchange
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT
from contracts.engine import CaseContext, Evidence, Inconclusive
from contracts.oracle import ListCandidate, Query, Violation
from contracts.oracle.run_list import (
    NEWEST,
    Page,
    activity_violations,
    filter_names,
    has_other_runs,
    list_violations,
    missing_in_words,
    missing_runs,
)
from contracts.oracle.violation import misses_a_run
from contracts.rules.isolated_runs import IsolatedRuns
from contracts.rules.list_reads import NEWEST_FIRST, RunList, created_at, read_list, read_page, read_pages
from contracts.rules.tracked_run import TrackedRun

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
    """Read and judge all pages of a list. Returns the items by id, or None if some are missing.

    `before` are earlier exchanges that may influence the list; a finding shows them too. A list is not read further if
    a page shows that it is not filtered: it may have all runs of the check.
    """

    def is_unfiltered(page: Page) -> bool:
        return has_other_runs(page, query, isolated.candidates)

    *_, found = read_pages(context, [*query, ("sort_mode", sort)], limit=limit, is_enough=is_unfiltered)

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
    if found.pages[-1].is_full and is_unfiltered(found.pages[-1]):
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
        context.report_violation(wrong.violation, *evidence, *found.answers_with(wrong))


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
    for rule in ("LIST-PAGE", "LIST-FILTER", *{run.absence.rule for run in runs if run.absence}):
        context.count(rule, *found.results)
    context.count_if(any(run.absence is None for run in runs), "LIST-COMPLETE", *found.results)
    holds = True
    for wrong in list_violations(found.pages, found.query, runs, are_all=are_all):
        holds = False
        pages = found.answers_with(wrong)
        context.report_violation(wrong.violation, *evidence(wrong.run_id), *pages)
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
    yield created_at(run["created_at"])
    yield from ([(name, run[name])] for name in ("session_id", "workflow_id") if run.get(name))
    yield []


def _is_in(context: CaseContext, run: Mapping[str, Any], query: Query, limit: int) -> bool:
    with contextlib.suppress(Inconclusive):
        for found in read_pages(context, query, limit=limit):
            if any(item.get("id") == run["id"] for item in found.pages[-1].items):
                return True
    return False
