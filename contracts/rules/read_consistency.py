"""The consistency of reads: a run must look the same in get_run and in every list, whatever was done to it before.

Other scenarios test one operation in detail. These combine every way to create a run, every change to it and every
way to read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.openapi.schemas import moment_of
from contracts.oracle import TERMINAL, KnownRun, Violation, gives_others_too, stable_fields
from contracts.rules.isolated_runs import IsolatedRuns, Query, isolating_fields, locate, within
from contracts.rules.listing import items_of
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
        self.deleted: list[str] = []
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
        self.deleted.append(run.id)
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
    for query, expected, exact in _list_queries(viewed, widely=widely):
        result = context.ask("list_runs", query=query, after=focus.shown)
        items = [item for item in items_of(result) if isinstance(item.get("id"), str)]
        if not _judge_presence(viewed, result, items, query, expected, exact=exact):
            continue
        is_partial = any(name == "fields" for name, _ in query)
        for item in items:
            if item["id"] in viewed.runs:
                viewed.runs[item["id"]].compare(item, result, is_partial=is_partial)
        if query == [viewed.isolated.filter, ("sort_mode", "created_at_desc")]:
            order = [item["id"] for item in items if item["id"] in viewed.runs]
    for query in _outdated_queries(viewed):
        result = context.ask("list_runs", query=query, after=focus.shown)
        found = any(item.get("id") == focus.id for item in items_of(result))
        cause = gives_others_too(name for name, _ in query)
        focus.require(not found, "LIST-FILTER", cause, "no run by what it had before", result, got="it")
    attachments = focus.known.view.get("input_attachment_ids") or []
    if viewed.before is not None and context.check.offers("get_run_attachment"):
        for attachment in dict.fromkeys(attachments[:1] + attachments[-1:]):
            result = context.call("get_run_attachment", attachment)
            there = result.status == 200
            focus.require(there, viewed.rule, "attachments are gone too", "the run's attachment", result)
    if widely and focus.id in order:
        _judge_single_page(viewed, order)


def _list_queries(viewed: ViewedRuns, *, widely: bool) -> Iterator[tuple[Query, set[str], bool]]:
    """Yields queries, the runs that each must return, and whether it must return no other run of the case."""
    isolated, focus, changed = viewed.isolated, viewed.focus.id, viewed.focus.known.changed
    views = {run_id: run.known.view for run_id, run in viewed.runs.items()}
    base: Query = [isolated.filter]
    run, every = views[focus], set(views)
    yield base, every, True
    yield [*base, ("sort_mode", "created_at_desc")], every, True
    yield within(isolated, [("search", focus)]), {focus}, True
    session = run.get("session_id")
    if session:
        yield [("session_id", session)], {i for i, view in views.items() if view.get("session_id") == session}, True
    if run["status"] in TERMINAL:
        yield [*base, ("status", run["status"])], {focus}, False
    if "machine_id" in changed and run.get("machine_id"):
        yield [*base, ("machine_id", run["machine_id"])], {focus}, False
    for word in viewed.finds:
        yield within(isolated, [("search", word), ("deep_search", "true")]), {focus}, True
    if not widely:
        return
    at = moment_of(run["created_at"])
    same = {i for i, view in views.items() if moment_of(view["created_at"]) == at}
    moment: Query = [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
    yield [*moment, ("limit", "1000")], same, False
    yield [*base, *moment], same, True
    yield within(isolated, [("search", focus[4:30].upper()), ("deep_search", "true")]), {focus}, True
    if "machine_id" in stable_fields(viewed.focus.known.created_by):
        yield [*base, ("machine_id", run["machine_id"])], {focus}, False
    yield [*base, ("include", "workflow,machine")], every, True
    yield [*base, ("limit", "1000"), *(("fields", name) for name in _FIELDS)], every, True
    if session and isolated.filter[0] != "session_id":
        yield [*base, ("session_id", session)], {focus}, False
    if isolated.filter[0] != "workflow_id":
        yield [*base, ("workflow_id", run["workflow_id"])], {focus}, False


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


def _judge_presence(
    viewed: ViewedRuns,
    result: CallResult,
    items: Sequence[Mapping[str, Any]],
    query: Query,
    expected: set[str],
    *,
    exact: bool,
) -> bool:
    focus, ids = viewed.focus, [item["id"] for item in items]
    is_delete = viewed.rule == "DELETE-GONE"
    names = "+".join(sorted({name for name, _ in query}))
    listed = [run_id for run_id in viewed.deleted if run_id in ids]
    cause, wanted = "a deleted run is listed", "no deleted run in a list"
    focus.require(not listed, "DELETE-GONE", cause, wanted, result, got=f"it, by {names}")
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        focus.fail(Violation("LIST-COMPLETE", "a run twice in one page", "every run once", f"{twice} twice"), result)
        return False
    missing = sorted(expected - set(ids))
    if missing and len(ids) < 100:
        by_activity = not any(name == "sort_mode" for name, _ in query)
        if by_activity and _is_listed_by_moment(viewed.context, query, missing[0]):
            rule, how = "LIST-COMPLETE", "a run is not listed by activity"
        elif is_delete:
            rule, how = "DELETE-GONE", "another run is gone too"
        else:
            rule, how = locate(viewed.context, viewed.isolated, viewed.runs[missing[0]].known.view, query, 100)
        got = f"{len(missing)} of {len(expected)} runs missing"
        focus.fail(Violation(rule, how, f"{len(expected)} runs", got), result)
        return False
    wrong = (set(ids) & set(viewed.runs)) - expected
    if exact and wrong:
        others_too = gives_others_too(name for name, _ in query)
        focus.fail(Violation("LIST-FILTER", others_too, "only runs that match", f"{len(wrong)} others"), result)
        return False
    total = result.body.get("total")
    if exact and set(ids) == expected:
        cause = "a deleted run is counted" if is_delete else "total is not the number of runs"
        rule = "DELETE-GONE" if is_delete else "LIST-PAGE"
        focus.require(total == len(ids), rule, cause, f"total {len(ids)}", result, got=f"total {total}")
    return True


def _is_listed_by_moment(context: CaseContext, query: Query, run_id: str) -> bool:
    result = context.call("list_runs", query=[*query, ("sort_mode", "created_at_desc")])
    return any(item.get("id") == run_id for item in items_of(result))


def _judge_single_page(viewed: ViewedRuns, order: Sequence[str]) -> None:
    """Judges that the page with limit 1 at the position of the run has exactly that run."""
    moments = [moment_of(viewed.runs[one].known.view["created_at"]) for one in order]
    if None in moments or len(set(moments)) != len(moments):
        return
    focus, at = viewed.focus, order.index(viewed.focus.id)
    query = [viewed.isolated.filter, ("sort_mode", "created_at_desc"), ("limit", "1"), ("skip", str(at))]
    result = viewed.context.ask("list_runs", query=query, after=focus.shown)
    items = items_of(result)
    cause, got = (
        "a page of one is not the run at its place",
        f"{len(items)} items, {[one.get('id') for one in items[:1]]}",
    )
    right = [item.get("id") for item in items] == [focus.id]
    focus.require(right, "LIST-PAGE", cause, f"the run at {at}", result, got=got)


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
