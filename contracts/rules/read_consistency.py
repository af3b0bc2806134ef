"""The consistency of reads: a run must look the same in get_run and in every list, whatever was done to it before.

Other scenarios test one operation in detail. These combine every way to create a run, every change to it and every
way to read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data.limits import MAX_LIMIT
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.openapi.schemas import moment_of
from contracts.oracle import (
    TERMINAL,
    Candidate,
    KnownRun,
    Query,
    Violation,
    filter_names,
    gives_others_too,
    stable_fields,
)
from contracts.rules.isolated_runs import IsolatedRuns, isolating_fields, within
from contracts.rules.list_check import judge_list, why_missing
from contracts.rules.listing import NEWEST_FIRST, RunList, read_page
from contracts.rules.read_consistency_cases import ConsistencyCase, consistency_cases
from contracts.rules.run_events import Event, apply
from contracts.rules.tracked_run import TrackedRun

SESSION_FIELDS: Final = frozenset({"session_id", "start_session", "reuse_session"})
"""Fields of a request that may change the session of a run."""
_FIELDS: Final = (
    "input_values",
    "pool_ids",
    "sensitive_input_aliases",
    "session_id",
    "session_alias",
    "release_session_after",
    "input_attachment_ids",
    "organization_id",
    "error",
    "output_data",
    "run_message_history",
    "output_attachment_ids",
)


class ViewedRuns:
    """The runs of one case: one that the events change, and others beside it."""

    def __init__(self, context: CaseContext, isolated: IsolatedRuns, index: int) -> None:
        self.context = context
        self.isolated = isolated
        tracked = [
            TrackedRun(context, run, isolated.maker_of(run).parsed, isolated.made[-1].result) for run in isolated.runs
        ]
        self.runs = {run.id: run for run in tracked}
        """All runs that are not deleted."""
        self.focus = tracked[index % len(tracked)]
        """The run that the events change; once it is deleted, another one."""
        self.deleted: list[TrackedRun] = []
        self.rule = "READ-BACK"
        """The rule of the last event."""
        self.before: KnownRun | None = None
        """The run that the last event changed, before that event. None after a delete."""
        self.finds: Sequence[str] = ()
        self.loses: Sequence[str] = ()
        """Words by which a search must find the run now (`finds`), and by which it must no longer find it (`loses`)."""

    def apply(self, event: Event) -> bool:
        """Apply an event and return whether the target did it, so that there is something to check."""
        if not self.context.check.offers("update_run" if event.kind == "cancel" else f"{event.kind}_run"):
            return False
        if event.kind == "delete":
            return self._delete(event.shift)
        filtered = {"search": {"input_values"}, "session_id": SESSION_FIELDS}.get(self.isolated.filter[0], frozenset())
        before = self.focus.known
        if filtered & event.body.keys() or not apply(self.focus, event):
            return False
        self._note(self.focus.shown[-1], before)
        told = json.dumps(self.focus.known.view)
        # Shrinking may have removed a word that the search should find.
        self.finds = [word for word in self.context.fill(list(event.finds)) if word in told]
        self.loses = self.context.fill(list(event.loses))
        return True

    def _delete(self, shift: int) -> bool:
        """Delete the run `shift` positions after the focus; with 0, the focus."""
        ids = list(self.runs)
        run = self.runs.pop(ids[(ids.index(self.focus.id) + shift) % len(ids)])
        result = run.delete()
        self.deleted.append(run)
        self.isolated.runs = [one for one in self.isolated.runs if one["id"] != run.id]
        if not self.runs:
            return False
        if run is self.focus:
            self.focus = next(iter(self.runs.values()))
        self.finds = self.loses = ()
        self._note(result, None)
        return True

    def _note(self, result: CallResult, before: KnownRun | None) -> None:
        """Remember the last event. If it was correct, the other runs are as before."""
        self.before = before
        self.rule = "DELETE-GONE" if before is None else self.focus.known.rule
        for run in self.runs.values():
            if run is not self.focus or before is None:
                run.known = run.known.after_no_change(self.rule)
                run.show(result)


def run_read_consistency(context: CaseContext, case: ConsistencyCase) -> None:
    viewed = ViewedRuns(context, _create_runs(context, case), case.index)
    if not case.events:
        _check_views(viewed, widely=True)
    for number, event in enumerate(case.events):
        if not viewed.apply(event):
            return
        if case.checks_each or number == len(case.events) - 1:
            _check_views(viewed, widely=case.widely)


def _create_runs(context: CaseContext, case: ConsistencyCase) -> IsolatedRuns:
    chosen, fields = isolating_fields(context)
    isolated = IsolatedRuns(chosen)
    body = context.fill(case.body)
    if "session_id" in fields:
        body = {name: value for name, value in body.items() if name not in SESSION_FIELDS}
    if case.operation == "create_run_chain":
        isolated.add(_create_chain(context, fields, body))
        return isolated
    if "input_values" in fields:
        body["input_values"] = (body.get("input_values") or {}) | fields["input_values"]
    count = {"count": case.count} if case.operation == "bulk_create_runs" else {}
    written = context.create(case.operation, fields | body | count)
    if not written.clean or len(written.runs) != case.expected_runs:
        raise Inconclusive("a create gives runs that break a rule already")
    isolated.add(written)
    return isolated


def _create_chain(context: CaseContext, fields: Mapping[str, Any], body: Mapping[str, Any]) -> WriteResult:
    """Creates a chain and returns its runs, as first read, like the runs of any other create."""
    steps = [{"workflow_id": fields["workflow_id"]} | step for step in body["steps"]]
    if "input_values" in fields:
        steps = [step | {"inputs": step.get("inputs", {}) | fields["input_values"]} for step in steps]
    more = {"session_id": fields["session_id"]} if "session_id" in fields else {}
    written = context.write("create_run_chain", body=dict(body) | {"steps": steps} | more)
    if not written.result.accepted or not written.clean:
        raise Inconclusive("a chain cannot be made")
    runs = tuple(context.ask("get_run", one, after=[written.result]).body for one in written.result.body["run_ids"])
    if len(runs) != len(steps):
        raise Inconclusive("a chain gives other runs than steps")
    return WriteResult(written.parsed, written.result, runs, True)


# Checks after an event


def _check_views(viewed: ViewedRuns, *, widely: bool) -> None:
    context, focus = viewed.context, viewed.focus
    if context.check.offers("get_run"):
        focus.read()
        if widely:
            focus.read([("include", "workflow,machine,machine.pools")])
    if not context.check.offers("list_runs"):
        return
    order: list[str] = []
    base = viewed.isolated.filter
    for query, expected in _list_queries(viewed, widely=widely):
        found = read_page(context, query, limit=None if base in query else MAX_LIMIT, after=focus.shown)
        if not _judge_presence(viewed, found, expected):
            continue
        is_partial = any(name == "fields" for name, _ in query)
        for item in found.items:
            if item.get("id") in viewed.runs:
                viewed.runs[item["id"]].compare(item, found.results[0], is_partial=is_partial)
        if query == [base, NEWEST_FIRST]:
            order = [item["id"] for item in found.items if item.get("id") in viewed.runs]
    for query in _outdated_queries(viewed):
        found = read_page(context, query, after=focus.shown)
        is_listed = any(item.get("id") == focus.id for item in found.items)
        cause, expected_text = gives_others_too(filter_names(query)), "no run by what it had before"
        focus.require(not is_listed, "LIST-FILTER", cause, expected_text, found.results[0], got="it")
    attachments = focus.known.view.get("input_attachment_ids") or []
    if viewed.before is not None and context.check.offers("get_run_attachment"):
        for attachment in dict.fromkeys(attachments[:1] + attachments[-1:]):
            result = context.call("get_run_attachment", attachment)
            there = result.status == 200
            focus.require(there, viewed.rule, "attachments are gone too", "the run's attachment", result)
    if widely and focus.id in order:
        _judge_single_page(viewed, order)


def _list_queries(viewed: ViewedRuns, *, widely: bool) -> Iterator[tuple[Query, set[str]]]:
    """Yields queries, and the runs that each must return."""
    isolated, focus, changed = viewed.isolated, viewed.focus.id, viewed.focus.known.changed
    views = {run_id: run.known.view for run_id, run in viewed.runs.items()}
    base: Query = [isolated.filter]
    run, every = views[focus], set(views)
    yield base, every
    yield [*base, NEWEST_FIRST], every
    yield within(isolated, [("search", focus)]), {focus}
    session = run.get("session_id")
    if session:
        yield [("session_id", session)], {i for i, view in views.items() if view.get("session_id") == session}
    if run["status"] in TERMINAL:
        yield [*base, ("status", run["status"])], {focus}
    if "machine_id" in changed and run.get("machine_id"):
        yield [*base, ("machine_id", run["machine_id"])], {focus}
    for word in viewed.finds:
        yield within(isolated, [("search", word), ("deep_search", "true")]), {focus}
    if not widely:
        return
    at = moment_of(run["created_at"])
    same = {i for i, view in views.items() if moment_of(view["created_at"]) == at}
    moment: Query = [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
    yield moment, same
    yield [*base, *moment], same
    yield within(isolated, [("search", focus[4:30].upper()), ("deep_search", "true")]), {focus}
    if "machine_id" in stable_fields(viewed.focus.known.created_by):
        yield [*base, ("machine_id", run["machine_id"])], {focus}
    yield [*base, ("include", "workflow,machine")], every
    yield [*base, *(("fields", name) for name in _FIELDS)], every
    if session and isolated.filter[0] != "session_id":
        yield [*base, ("session_id", session)], {focus}
    if isolated.filter[0] != "workflow_id":
        yield [*base, ("workflow_id", run["workflow_id"])], {focus}


def _outdated_queries(viewed: ViewedRuns) -> Iterator[Query]:
    """Yields queries that matched the run before the last event and must no longer match it."""
    base, run = [viewed.isolated.filter], viewed.focus.known.view
    for word in viewed.loses:
        yield within(viewed.isolated, [("search", word), ("deep_search", "true")])
    if viewed.before is None:
        return
    before = viewed.before.view
    if before.get("session_id") and before["session_id"] != run.get("session_id"):
        yield [*base, ("session_id", before["session_id"])]
    if "machine_id" in viewed.focus.known.changed and before.get("machine_id") not in (None, run.get("machine_id")):
        yield [*base, ("machine_id", before["machine_id"])]
    if viewed.before.has_ended and not viewed.focus.known.has_ended:
        yield [*base, ("status", "cancelled")]


def _judge_presence(viewed: ViewedRuns, found: RunList, expected: set[str]) -> bool:
    """Judges a list of one page, and that it has the expected runs."""
    focus = viewed.focus
    runs = [Candidate.of_known(run.known) for run in (*viewed.runs.values(), *viewed.deleted)]
    if not judge_list(viewed.context, found, runs, lambda run_id: focus.shown):
        return False
    missing = sorted(expected - {item.get("id") for item in found.items})
    if not missing or found.pages[0].is_full:
        return True
    if viewed.rule == "DELETE-GONE":
        rule, cause = "DELETE-GONE", "another run is gone too"
    else:
        run = viewed.runs[missing[0]].known.view
        rule, cause = why_missing(viewed.context, run, found.query, base=[viewed.isolated.filter])
    got = f"{len(missing)} of {len(expected)} runs missing"
    focus.fail(Violation(rule, cause, f"{len(expected)} runs", got), found.results[0])
    return False


def _judge_single_page(viewed: ViewedRuns, order: Sequence[str]) -> None:
    """Judges that the page with limit 1 at the position of the run has exactly that run."""
    moments = [moment_of(viewed.runs[one].known.view["created_at"]) for one in order]
    if None in moments or len(set(moments)) != len(moments):
        return
    focus, at = viewed.focus, order.index(viewed.focus.id)
    found = read_page(viewed.context, [viewed.isolated.filter, NEWEST_FIRST], skip=at, limit=1, after=focus.shown)
    ids = [item.get("id") for item in found.items]
    cause, got = "a page of one is not the run at its place", f"{len(ids)} items, {ids[:1]}"
    focus.require(ids == [focus.id], "LIST-PAGE", cause, f"the run at {at}", found.results[0], got=got)


RULES = ()
SCENARIOS = (
    Scenario(
        "runs seen through every list and read",
        (
            "READ-BACK",
            "LIST-COMPLETE",
            "LIST-FILTER",
            "LIST-PAGE",
            "UPDATE-PARTIAL",
            "RETRY-RULES",
            "DELETE-GONE",
        ),
        run_read_consistency,
        consistency_cases,
        needs=("get_run",),
        priority=1,
    ),
)
