"""The list of all runs, early in a check and at its end, and pages beyond the first 1000."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN, Exchange
from contracts.core.json_tree import leaves
from contracts.data.limits import MAX_LIMIT, above
from contracts.engine import CallResult, Case, CaseContext, Scenario, assume
from contracts.guard.created import created_by, run_id_in
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation
from contracts.oracle.run_list import list_violations
from contracts.rules.list_reads import NEWEST_FIRST, RunList, read_page, was_changed

_FEW_FIELDS: Final = ("fields", "session_id")
"""Keeps the pages small."""
_SAMPLE: Final = 10
_MAX_PAGES: Final = 40
_MAX_PAGES_EARLY: Final = 4
"""At most this many pages are read early in a check: those of an organisation with many runs would delay the rest."""


@dataclass(frozen=True)
class AllRunsCase(Case):
    """The list of all runs, and pages beyond the first 1000."""

    is_at_end: bool = False
    """Whether all creates have been answered. Until then, the list may have runs that no answer has reported yet."""


def check_list_of_all_runs(context: CaseContext, case: AllRunsCase) -> None:
    """Read the list. Not judged if another client changes it meanwhile."""
    created = _created_runs(context)
    before = _page(context, 0, 1)
    total = before.pages[0].total
    assume(isinstance(total, int), "a list has no total")
    max_pages = _MAX_PAGES if case.is_at_end else _MAX_PAGES_EARLY
    whole = _page(context, 0, MAX_LIMIT)
    while whole.pages[-1].is_full and len(whole.pages) < max_pages:  # whatever the total says
        whole += _page(context, len(whole.pages) * MAX_LIMIT, MAX_LIMIT)
    query = [("include", "workflow"), _FEW_FIELDS, NEWEST_FIRST]  # its pages may have a smaller limit
    with_included = read_page(context, query, skip=0, limit=MAX_LIMIT, after=[])
    last = min(total - 2, max_pages * MAX_LIMIT)
    beyond = above(MAX_LIMIT, last) if total > MAX_LIMIT else ()
    single = [(_page(context, skip, 2), _page(context, skip + 1, 2)) for skip in beyond]
    assume(not was_changed(context, before), "the list of all runs changed while it was read")
    for pages in (whole, with_included, *(one + other for one, other in single)):
        _judge_pages(context, pages)
    listed = whole.ids
    overlaps = len(listed) < len(whole.items)  # pages that show a run twice miss another one
    if not whole.pages[-1].is_full and not overlaps:
        _judge_complete(context, whole, created)
    if case.is_at_end:
        _judge_unreported(context, whole)
    for page, next_page in single:
        second, first_of_next = page.items[1:2], next_page.items[:1]
        same = [item.get("id") for item in second] == [item.get("id") for item in first_of_next]
        cause, expected = "pages beyond 1000 have gaps", "the second run of a page to be the first of the next"
        context.require(same, "LIST-PAGE", cause, expected, *page.results, *next_page.results, got="another run")


def _page(context: CaseContext, skip: int, limit: int) -> RunList:
    return read_page(context, [_FEW_FIELDS, NEWEST_FIRST], skip=skip, limit=limit, after=[])


def _judge_pages(context: CaseContext, found: RunList) -> None:
    context.check.count("LIST-PAGE")
    first, *others = found.pages
    overlaps = bool(others) and others[0].skip < first.skip + first.limit
    for wrong in list_violations(found.pages, found.query, ()):
        if not (overlaps and wrong.violation.cause == "a run on two pages"):
            context.report_violation(wrong.violation, *found.answers_with(wrong))


def _created_runs(context: CaseContext) -> dict[str, CallResult]:
    """Return the ids of the runs that the check has created for the first organisation and has not deleted, and the
    answers to the creates.
    """
    left = set(context.check.guard.unfinished_runs)
    with context.check.lock:
        return {
            run_id: result
            for run_id, result in context.check.seen.runs.items()
            if run_id in left
            and isinstance(result, CallResult)
            and result.exchange.request.header("Authorization") == TOKEN
        }


def _judge_complete(context: CaseContext, whole: RunList, created: Mapping[str, CallResult]) -> None:
    """Require that some of the created runs that can be read are listed."""
    listed = whole.ids
    missing = [run_id for run_id in created if run_id not in listed]
    for run_id in missing[:: max(1, len(missing) // _SAMPLE)]:
        read = context.call("get_run", run_id)
        cause, expected = "a created run is on no page of all runs", "every run that can be read"
        got = f"{counted(len(whole.items), 'run')} without it"
        context.require(
            not read.accepted, "LIST-COMPLETE", cause, expected, created[run_id], read, *whole.results[-1:], got=got
        )
    context.check.count("LIST-COMPLETE")


def _judge_unreported(context: CaseContext, whole: RunList) -> None:
    """Require that answers reported all runs with a value or a session of this check, unless one was lost."""
    guard = context.check.guard
    if guard.log.lost is not None:
        return
    sessions = {run_id: str(item.get("session_id")) for item in whole.items if (run_id := run_id_in(item.get("id")))}
    others = [run_id for run_id in sessions if not guard.ownership.created(run_id)]
    others.sort(key=lambda run_id: not guard.ownership.has_session(sessions[run_id]))
    for run_id in others[:_SAMPLE]:
        read = context.call("get_run", run_id)
        run = read.resource or {}
        source = _source_of(context, run)
        if source is None or not _is_after(run, source):
            continue  # of another client, or of an earlier check with the same seed and salt
        cause, expected = "a run that no answer reported", "no run beside those that the answers reported"
        context.report_violation(Violation("LIST-COMPLETE", cause, expected, f"run {run_id}"), source, read.exchange)


def _source_of(context: CaseContext, run: Mapping[str, Any]) -> Exchange | None:
    """Return an exchange of this check whose request has a word, or whose answer has the session, of a run."""
    prefix = context.check.search_prefix
    word = next((word for word in _words_in(run.get("input_values")) if word.startswith(prefix)), None)
    if word is not None:
        exchanges = context.check.guard.exchanges
        return next((each for each in exchanges if word.encode() in (each.request.body or b"")), None)
    made = context.check.seen.sessions.get(str(run.get("session_id")))
    return made.exchange if isinstance(made, CallResult) else None


def _is_after(run: Mapping[str, Any], source: Exchange) -> bool:
    """Return whether a run was created not earlier than the first run that the answer of a create reports."""
    reported = next((each.body for each in created_by(source.answer).runs if each.body is not None), {})
    created, first = (moment_of(each.get("created_at")) for each in (run, reported))
    return created is not None and first is not None and created >= first


def _words_in(value: Any) -> Iterator[str]:
    for _, text in leaves(value):
        yield from text.split() if isinstance(text, str) else ()


def _list_of_all_runs(name: str, case: AllRunsCase, *, order: int, is_last: bool = False) -> Scenario[AllRunsCase]:
    return Scenario(
        name,
        ("LIST-PAGE", "LIST-COMPLETE"),
        check_list_of_all_runs,
        lambda check: [case] * check.target.shard[1],
        needs=("list_runs", "get_run"),
        creates_runs=False,
        order=order,
        is_exclusive=True,
        is_last=is_last,
    )


SCENARIOS = (
    # By then, the scenarios of order 0 have created more runs than fit in a page.
    _list_of_all_runs("all runs listed", AllRunsCase(), order=2),
    _list_of_all_runs("all runs listed at the end", AllRunsCase(is_at_end=True), order=9, is_last=True),
)
