"""Deletes: no operation finds the deleted run, and other runs are unchanged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.findings import Rule
from contracts.data import file, in_turn_by_kind
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CaseContext, CheckContext, Scenario, WriteResult, assume
from contracts.oracle import Query
from contracts.rules.list_checks import check_page
from contracts.rules.list_reads import DEEP_SEARCH, NEWEST_FIRST, created_at, items_of, read_page, total_of
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.run_events import CANCEL, DELETE, RETRY, Event, RunCase, apply_events, create_for, judge_other_runs
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.updates import UPDATES
from contracts.rules.writes import create_runs, read_attachment

RULES = (
    Rule(
        "DELETE-GONE",
        "api",
        "major",
        "A deleted run is gone",
        "After 204, a read, an update, a retry and a delete of the run are answered 404, no list contains it, and its "
        "attachments are gone. The other runs are still there.",
        READING_AND_CHANGING,
        needs=("delete_run",),
    ),
)


@dataclass(frozen=True)
class DeleteCase(RunCase):
    """The last event is the delete."""

    events: tuple[Event, ...] = (DELETE,)
    is_first_of_session: bool = False
    """Whether a single create makes the first run and starts a session, in which two more runs are created."""
    widely: bool = False
    """Whether many more operations and lists are tried after the delete."""
    has_twins: bool = False
    """Whether another create has made equal runs before. They must stay, also if a server stores equal files once."""

    @property
    def expected_runs(self) -> int:
        return 3 if self.is_first_of_session else self.count * (1 + self.has_twins)


_ALL_INCLUDED: Final = (("include", "workflow,machine,machine.pools"),)
_AFTER: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("get_run", {}),
    ("get_run", {"query": _ALL_INCLUDED}),
    ("update_run", {"body": {"release_session_after": True}}),
    ("retry_run", {"body": {}}),
    ("delete_run", {}),
)
"""Operations on the deleted run."""
_WIDELY_AFTER: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    *(("get_run", {"query": [("include", name)]}) for name in ("workflow", "machine", "machine.pools")),
    *(("update_run", {"body": {name: values[0]}}) for name, values in UPDATES.items()),
    *(("update_run", {"body": body}) for body in ({"status": "cancelled"}, {"status": "running"}, {})),
    *(("retry_run", {"body": body}) for body in ({"input_values": {"a": 1}}, {"start_session": True})),
    ("get_run", {}),
    *(("delete_run", {}),) * 3,
)


def run_delete(context: CaseContext, case: DeleteCase) -> None:
    twins = create_for(context, case) if case.has_twins else None
    created = _create_in_own_session(context) if case.is_first_of_session else create_for(context, case)
    if case.widely:  # a server that caches these answers may show the run again after the delete
        before = TrackedRun.of(context, created, case.index)
        before.read(_ALL_INCLUDED)
        if context.check.offers("list_runs"):
            check_page(before, [NEWEST_FIRST], limit=MAX_LIMIT)
    run = apply_events(context, case, created)
    if not run.known.is_deleted:
        return  # shrinking has removed the delete
    for operation, more in (*_AFTER, *(_WIDELY_AFTER if case.widely else ())):
        if context.check.offers(operation):
            run.judge_if_deleted(run.call(operation, **more))
    judge_not_listed(run, widely=case.widely)
    views = (created.runs[case.index % len(created.runs)], run.known.view)
    attachments = [attachment for view in views for attachment in view.get("input_attachment_ids") or ()]
    judge_attachments_gone(run, list(dict.fromkeys(attachments)))
    if twins is not None:
        judge_other_runs(twins, len(twins.runs), run)  # none of them was deleted


def judge_attachments_gone(run: TrackedRun, attachments: Sequence[str]) -> None:
    """Judge that the attachments of a deleted run were deleted with it."""
    for attachment in attachments:
        for result in read_attachment(run.context, attachment):
            gone, cause = result.status == 404, "attachments of a deleted run are left"
            run.require(gone, "DELETE-GONE", cause, "404, since its run was deleted", result)
    for result in run.list_files(""):
        left = max(len(items_of(result)), total_of(result) or 0) if result.accepted else 0
        cause = "attachments of a deleted run are listed"
        expected, got = "no attachments of a deleted run", counted(left, "attachment")
        run.require(not left, "DELETE-GONE", cause, expected, result, got=got)


def _create_in_own_session(context: CaseContext) -> WriteResult:
    """Create a run that starts a session (the run's id is the session_id), and two more runs in that session."""
    first = create_runs(context, "create_run", {"workflow_id": "«workflow»", "start_session": True})
    assume(first.runs[0].get("session_id"), "no session can be started")
    more = context.some_runs(2, session_id=first.runs[0]["session_id"])
    return WriteResult(more.parsed, first.result, (*first.runs, *more.runs), True)


def judge_not_listed(run: TrackedRun, *, widely: bool) -> None:
    """Judge that no list shows or counts the deleted run."""
    if not run.context.check.offers("list_runs"):
        return
    view = run.known.view
    workflow = ("workflow_id", view["workflow_id"])
    queries: list[Query] = [
        [workflow],
        [workflow, ("search", run.id)],
        [workflow, ("status", run.known.status), NEWEST_FIRST],
        *([(name, view[name])] for name in ("session_id", "machine_id") if view.get(name)),
    ]
    if widely:
        moment = created_at(view["created_at"])
        queries += [moment, [NEWEST_FIRST], [("search", run.id)], [workflow, *moment]]
        queries += [[workflow, ("search", run.id), DEEP_SEARCH]]
        queries += [[workflow, ("include", "workflow,machine")], [workflow, ("fields", "input_values")]]
    for query in queries:
        found = check_page(run, query, limit=MAX_LIMIT)
        if found is not None and found.pages[0].counted_only == 1:
            _judge_count(run, query)


def _judge_count(run: TrackedRun, query: Query) -> None:
    """Judge the total of a list that counted one run more than it had items.

    In a list by status or machine, this may happen once: a run may enter or leave the list between items and total.
    """
    for _ in range(2):
        found = read_page(run.context, query, limit=MAX_LIMIT, after=run.evidence)
        if found.pages[0].counted_only != 1:
            return
    got = f"total {found.pages[0].total} with {counted(len(found.items), 'item')}, in three answers"
    run.require(False, "DELETE-GONE", "a deleted run is counted", "no deleted run counted", *found.results, got=got)


@in_turn_by_kind
def delete_cases(check: CheckContext) -> Iterator[DeleteCase]:
    files = [file(), file("b.txt", b"b")]
    session = {"session_id": "«session»"} if check.sessions.accepts_any_id else {"start_session": True}
    machine = {"machine_id": "«machine»"} if check.machines.accepts_any_id else {}
    may_cancel = check.offers("update_run")
    yield DeleteCase(widely=True)
    cancelled = (CANCEL, DELETE) if may_cancel else (DELETE,)
    yield DeleteCase(widely=True, count=2, events=cancelled)
    if check.offers("create_run"):
        for index in (0, 1, 2):
            yield DeleteCase(index=index, is_first_of_session=True)
    bodies: tuple[dict[str, Any], ...] = (
        machine,
        {"file_inputs": files},
        session,
        {"start_session": True},
        {"sensitive_input_values": {"pin": "«secret»"}},
        {"input_values": {"marker": "«marker»"}},
        {"file_inputs": files, "start_session": True},
    )
    yield DeleteCase({name: value for fields in bodies for name, value in fields.items()})
    yield DeleteCase({"file_inputs": files}, has_twins=True)
    for number, fields in enumerate(bodies):
        yield DeleteCase(fields, 3, number % 3)
        if may_cancel:
            yield DeleteCase(fields, 2, 1, events=cancelled)
    if may_cancel and check.offers("retry_run"):
        retried = Event("retry", {"file_inputs": [file("new.txt", b"new")]})
        yield DeleteCase({"file_inputs": files}, events=(CANCEL, retried, DELETE))
        yield DeleteCase({"file_inputs": files, "start_session": True}, events=(CANCEL, RETRY, CANCEL, DELETE))
    yield DeleteCase({}, 101, 50)
    yield DeleteCase({"file_inputs": files}, 50, 49)
    if may_cancel:
        for body in ({"output_data": {"a": 1}}, {"input_values": {"b": 2}}, {"release_session_after": True}):
            yield DeleteCase(count=2, index=1, events=(Event("update", body), DELETE))


SCENARIOS = (
    Scenario(
        "deletes",
        ("DELETE-GONE", "READ-BACK", "ATTACHMENTS"),
        run_delete,
        delete_cases,
        needs=("delete_run", "get_run"),
    ),
)
