"""Judges lists by the models of the runs that they should show, or should not."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.oracle.run_list import Query, missing_in_words, missing_runs
from contracts.oracle.violation import Violation
from contracts.rules.list_check import is_unlisted, judge_list, why_missing
from contracts.rules.listing import RunList, read_page
from contracts.rules.tracked_run import TrackedRun


def check_listing(
    run: TrackedRun,
    query: Query,
    others: Sequence[TrackedRun] = (),
    *,
    base: Query = (),
    limit: int | None = None,
    rule_if_gone: str = "",
) -> RunList | None:
    """Judge one page of a list by a run and others of its case, and return it if nothing is wrong or missing.

    `base` is a query that is known to find the runs. `rule_if_gone` is the rule that is broken if a run is missing
    because of the last change of another run; without it, lists are compared to tell why.
    """
    context = run.context
    found = read_page(context, query, limit=limit, after=run.shown)
    candidates = [one.known.candidate() for one in (run, *others)]
    if not judge_list(context, found, candidates, lambda run_id: run.shown):
        return None
    missing = missing_runs(found.pages, query, candidates)
    if missing:
        rule, cause = rule_if_gone, "another run is gone too"
        if not rule:
            rule, cause = why_missing(context, missing[0].view, query, base=base)
        violation = Violation(rule, cause, "every run that matches", missing_in_words(missing, query))
        is_proof = is_unlisted(context, cause, missing[0].id)
        context.report_violation(violation, *run.shown, *found.results, is_proof=is_proof)
        return None
    return found
