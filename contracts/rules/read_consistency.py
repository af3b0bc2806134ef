"""The consistency of reads: a run must look the same in get_run and in every list, after any change.

Other scenarios test one operation in detail. These combine every way to create a run, every change to it and every way
to read it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data.limits import MAX_LIMIT
from contracts.engine import CallResult, CaseContext, Inconclusive, Scenario
from contracts.openapi.schemas import moment_of, selectable_fields
from contracts.oracle import KnownRun, Query
from contracts.rules.isolated_runs import IsolatedRuns, isolating_fields, within
from contracts.rules.list_check import check_page
from contracts.rules.listing import NEWEST_FIRST, WHOLE_PAGE, created_between, items_of, read_page
from contracts.rules.read_consistency_cases import ConsistencyCase, consistency_cases
from contracts.rules.run_events import Event, apply, create_chain
from contracts.rules.tracked_run import TrackedRun

SESSION_FIELDS: Final = frozenset({"session_id", "start_session", "reuse_session"})
"""Fields of a request that may change the session of a run."""


class ViewedRuns:
    """The runs of one case: one that the events change, and others."""

    def __init__(self, context: CaseContext, isolated: IsolatedRuns, index: int) -> None:
        self.context = context
        self.isolated = isolated
        tracked = [
            TrackedRun(context, KnownRun(run, isolated.maker_of(run).parsed), [isolated.made[-1].result])
            for run in isolated.runs
        ]
        self.runs = {run.id: run for run in tracked}
        """All runs that are not deleted."""
        self.changed_run = tracked[index % len(tracked)]
        """The run that the events change; once it is deleted, another one."""
        self.deleted: list[TrackedRun] = []
        self.rule = "READ-BACK"
        """The rule of the last event."""
        self.before: KnownRun | None = None
        """The run that the last event changed, before that event. None after a delete."""
        self.words: Sequence[str] = ()
        """Words that the last event has added to the run, or removed."""

    def apply(self, event: Event) -> bool:
        """Apply an event and return whether the target did it, so that there is something to check.

        An event that changes the fields by which the isolating filter finds the run is not applied.
        """
        if not self.context.check.offers("update_run" if event.kind == "cancel" else f"{event.kind}_run"):
            return False
        if event.kind == "delete":
            return self._delete(event.shift)
        needed = {"search": {"input_values"}, "session_id": SESSION_FIELDS}.get(self.isolated.filter[0], frozenset())
        before = self.changed_run.known
        if needed & event.body.keys() or not apply(self.changed_run, event):
            return False
        self._note(self.changed_run.evidence[-1], before)
        self.words = self.context.fill(list(event.words))
        return True

    def _delete(self, shift: int) -> bool:
        """Delete the run `shift` positions after the changed run; with 0, the changed run."""
        ids = list(self.runs)
        run = self.runs.pop(ids[(ids.index(self.changed_run.id) + shift) % len(ids)])
        result = run.delete()
        self.deleted.append(run)
        if not self.runs:
            return False
        if run is self.changed_run:
            self.changed_run = next(iter(self.runs.values()))
        self.words = ()
        self._note(result, None)
        return True

    def _note(self, result: CallResult, before: KnownRun | None) -> None:
        """Remember the last event, which must not have changed the other runs. `before` is None after a delete."""
        self.before = before
        self.rule = "DELETE-GONE" if before is None else self.changed_run.known.rule
        for run in self.runs.values():
            if run is not self.changed_run or before is None:
                run.known = run.known.after_no_change(self.rule)
                run.add_evidence(result)


def run_read_consistency(context: CaseContext, case: ConsistencyCase) -> None:
    viewed = ViewedRuns(context, _create_runs(context, case), case.index)
    if not case.events:
        _check_views(viewed, widely=case.widely)
    for number, event in enumerate(case.events):
        if not viewed.apply(event):
            return
        if case.checks_each or number == len(case.events) - 1:
            _check_views(viewed, widely=case.widely)


def _create_runs(context: CaseContext, case: ConsistencyCase) -> IsolatedRuns:
    varied = {*case.body, *(name for event in case.events for name in event.body)}
    chosen, fields = isolating_fields(context, varied)
    isolated = IsolatedRuns(chosen)
    body = context.fill(case.body)
    if "session_id" in fields:
        body = {name: value for name, value in body.items() if name not in SESSION_FIELDS}
    if case.operation == "create_run_chain":
        isolated.add(create_chain(context, _chain_body(fields, body)))
        return isolated
    if "input_values" in fields:
        body["input_values"] = (body.get("input_values") or {}) | fields["input_values"]
    count = {"count": case.count} if case.operation == "bulk_create_runs" else {}
    written = context.create(case.operation, fields | body | count)
    if not written.runs_are_reliable or len(written.runs) != case.expected_runs:
        raise Inconclusive("a create gives runs that break a rule already")
    isolated.add(written)
    return isolated


def _chain_body(fields: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a chain whose runs the isolating fields separate from others."""
    steps = [{"workflow_id": fields["workflow_id"]} | step for step in body["steps"]]
    if "input_values" in fields:
        steps = [step | {"inputs": step.get("inputs", {}) | fields["input_values"]} for step in steps]
    more = {"session_id": fields["session_id"]} if "session_id" in fields else {}
    return dict(body) | {"steps": steps} | more


# Checks after an event


def _check_views(viewed: ViewedRuns, *, widely: bool) -> None:
    context, changed_run = viewed.context, viewed.changed_run
    if context.check.offers("get_run"):
        changed_run.read()
        if widely:
            changed_run.read([("include", "workflow,machine,machine.pools")])
    if context.check.offers("list_runs"):
        for query in (*_queries(viewed, widely=widely), *_outdated_queries(viewed)):
            _check_list(viewed, query, widely=widely)
    attachments = changed_run.known.view.get("input_attachment_ids") or []
    if viewed.before is not None and attachments:
        _check_attachments(viewed, attachments)


def _check_attachments(viewed: ViewedRuns, attachments: Sequence[str]) -> None:
    """Read the first attachment of the changed run, and look for the first and the last one in the list."""
    context, changed_run = viewed.context, viewed.changed_run
    if context.check.offers("get_run_attachment"):
        result = context.call("get_run_attachment", attachments[0])
        there = result.status == 200
        changed_run.require(there, viewed.rule, "attachments are gone too", "200 with the attachment", result)
    if context.check.offers("list_run_attachments"):
        result = context.call("list_run_attachments", query=[("run_id", changed_run.id), WHOLE_PAGE])
        lost = {attachments[0], attachments[-1]}.difference(item.get("id") for item in items_of(result))
        cause, expected = "attachments are not listed any more", "a list with the attachments of the run"
        got = f"a list without attachment {min(lost)}" if lost and result.accepted else result.words
        changed_run.require(not lost, viewed.rule, cause, expected, result, got=got)


def _check_list(viewed: ViewedRuns, query: Query, *, widely: bool) -> None:
    base = viewed.isolated.filter
    found = check_page(
        viewed.changed_run,
        query,
        [run for run in (*viewed.runs.values(), *viewed.deleted) if run is not viewed.changed_run],
        base=[base],
        limit=None if base in query else MAX_LIMIT,
        rule_if_gone=viewed.rule if viewed.rule == "DELETE-GONE" else "",
        compares=True,
    )
    if found is not None and widely and query == [base, NEWEST_FIRST]:
        _judge_single_page(viewed, [item["id"] for item in found.items if item.get("id") in viewed.runs])


def _queries(viewed: ViewedRuns, *, widely: bool) -> Iterator[Query]:
    isolated, run = viewed.isolated, viewed.changed_run.known
    base, view = isolated.filter, run.view
    yield [base]
    yield [base, NEWEST_FIRST]
    yield within(isolated, [("search", run.id)])
    if view.get("session_id"):
        yield [("session_id", view["session_id"])]
    if run.has_ended:
        yield [base, ("status", run.status)]
    if "machine_id" in run.changed and view.get("machine_id"):
        yield [base, ("machine_id", view["machine_id"])]
    if viewed.before is None and viewed.rule == "READ-BACK" and view.get("session_alias"):
        yield within(isolated, [("search", view["session_alias"].strip())])
    for word in viewed.words:
        yield within(isolated, [("search", word), ("deep_search", "true")])
    if not widely:
        return
    moment = created_between(view["created_at"], view["created_at"])
    yield moment
    yield [base, *moment]
    yield within(isolated, [("search", run.id[4:30].upper()), ("deep_search", "true")])
    if view.get("machine_id"):
        yield [base, ("machine_id", view["machine_id"])]
    yield [base, ("include", "workflow,machine")]
    yield [base, *(("fields", name) for name in selectable_fields())]
    for name in ("session_id", "workflow_id"):
        if view.get(name) and base[0] != name:
            yield [base, (name, view[name])]


def _outdated_queries(viewed: ViewedRuns) -> Iterator[Query]:
    """Yield queries that matched the run before the last event, and may no longer match it."""
    base = viewed.isolated.filter
    before = viewed.before.view if viewed.before is not None else {}
    for name in ("session_id", "machine_id", "status"):
        if before.get(name) not in (None, viewed.changed_run.known.view.get(name)):
            yield [base, (name, before[name])]


def _judge_single_page(viewed: ViewedRuns, order: Sequence[str]) -> None:
    """Judge that the page with limit 1 at the position of the run has exactly that run."""
    moments = [moment_of(viewed.runs[run_id].known.view["created_at"]) for run_id in order]
    changed_run = viewed.changed_run
    if changed_run.id not in order or None in moments or len(set(moments)) != len(moments):
        return
    at, query = order.index(changed_run.id), [viewed.isolated.filter, NEWEST_FIRST]
    page = read_page(viewed.context, query, skip=at, limit=1, after=changed_run.evidence)
    ids = [item.get("id") for item in page.items]
    cause = "a page of one run is not the run at its position"
    got = " and ".join(f"run {run_id}" for run_id in ids[:2]) or "an empty page"
    changed_run.require(ids == [changed_run.id], "LIST-PAGE", cause, f"run {changed_run.id}", *page.results, got=got)


SCENARIOS = (
    Scenario(
        "runs seen through every list and read",
        ("READ-BACK", "LIST-COMPLETE", "LIST-FILTER", "LIST-PAGE", "UPDATE-PARTIAL", "RETRY-RULES", "DELETE-GONE"),
        run_read_consistency,
        consistency_cases,
        needs=("get_run",),
    ),
)
