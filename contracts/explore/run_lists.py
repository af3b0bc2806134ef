"""Judges the lists of a sequence: they show all runs that exist and match, each as it is known, and no others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from contracts.data.limits import MAX_LIMIT
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult
from contracts.explore.model_run import TOKENS, ModelRun, fail
from contracts.oracle import Candidate, Query, Violation, filter_names, list_faults, misses_a_run, missing_runs
from contracts.rules.listing import RunList, carries, read_pages

_MAX_PAGES: Final = 12
_COMPARED: Final = 12
"""How many runs of a list are compared with what is known of them."""


def read_runs(context: CaseContext, query: Query, organisation: int, *, limit: int = MAX_LIMIT) -> RunList | None:
    """Read the list of an organisation; None if it has too many pages."""
    pages = read_pages(context, query, limit=limit, token=TOKENS[organisation])
    *_, found = itertools.islice(pages, _MAX_PAGES)
    return None if found.pages[-1].is_full else found


def judge_runs(
    context: CaseContext,
    found: RunList,
    organisation: int,
    runs: Mapping[str, ModelRun],
    created: Sequence[CallResult],
    *,
    has_replayed: bool,
) -> None:
    """Judge a list of an organisation by all known runs, by id. The first filter of its query isolates these runs.

    `created` are the answers to the creates that may be replayed.
    """
    for rule in ("LIST-COMPLETE", "LIST-PAGE", *(["LIST-FILTER"] if _is_narrowed(found.query) else [])):
        context.check.count(rule)
    for item in found.items:
        if item.get("id") not in runs and carries(item, *found.query[0]):
            rule = "IDEM-REPLAY" if has_replayed else "LIST-COMPLETE"
            cause = "a repeat makes runs again" if has_replayed else "a run is listed that nobody made"
            violation = Violation(rule, cause, "only runs that were made", str(item.get("id")))
            fail(context, violation, *created, *found.results[:3])
    candidates = [Candidate.of_known(run.known, is_foreign=run.organisation != organisation) for run in runs.values()]
    for fault in list_faults(found.pages, found.query, candidates):
        shown = [] if fault.run_id is None else runs[fault.run_id].shown
        fail(context, fault.violation, *shown, *(found.results[number] for number in fault.pages))
    missing = missing_runs(found.pages, found.query, candidates)
    if missing:
        run = runs[missing[0].id]
        rule, cause = _why_missing(context, run, found)
        violation = Violation(rule, cause, "every run that matches", f"{len(missing)} runs missing")
        fail(context, violation, *run.shown, *found.results[:3])
    for item in found.items[:_COMPARED]:
        if item.get("id") in runs:
            runs[item["id"]].compare(item, found.answer_with(item))


def _is_narrowed(query: Query) -> bool:
    return len(filter_names(query)) > 1


def _why_missing(context: CaseContext, run: ModelRun, found: RunList) -> tuple[str, str]:
    if _is_narrowed(found.query):
        return "LIST-FILTER", misses_a_run(filter_names(found.query))
    if found.pages[-1].limit != MAX_LIMIT:
        whole = read_runs(context, found.query, run.organisation)
        if whole is not None and any(item.get("id") == run.id for item in whole.items):
            return "LIST-PAGE", "a run is on no page"
    run.fail_by_another("another run is gone too", "not in the list", found.results[0], is_gone=True)
    if context.check.offers("get_run"):
        run.read()  # it may be gone
    return "LIST-COMPLETE", "a created run is not listed"
