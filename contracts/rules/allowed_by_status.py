"""Which operations a run allows in each status, and which it does not."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from contracts.core.statuses import STATUSES, STATUSES_IN_ORDER, TERMINAL
from contracts.data import file, in_turn_by_kind, write_bodies
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CaseContext, CheckContext, Scenario
from contracts.oracle.violation import misses_a_run
from contracts.rules.deletes import judge_not_listed
from contracts.rules.list_checks import check_page
from contracts.rules.list_reads import NEWEST_FIRST, WHOLE_PAGE, items_of, listed_item
from contracts.rules.run_events import CANCEL, DELETE, RETRY, Event, RetriedTooEarly, RunCase, apply_events, create_for
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.updates import UPDATES
from contracts.rules.writes import with_available_ids

_STATUS_PATHS: Final[tuple[tuple[str, ...], ...]] = (
    ("running",),
    (),  # after "running", since "retries too early" has new runs, too
    ("running", "running_checks"),
    *(("running", status) for status in STATUSES_IN_ORDER if status in TERMINAL - {"cancelled"}),
    ("cancelled",),
    ("running", "cancelled"),
)
"""The status updates that bring a new run into each status, on a target that accepts them."""


@dataclass(frozen=True)
class StatusCase(RunCase):
    """The events bring the run into a status. The last of them may be refused in this status."""

    is_listed: bool = False
    """Whether the run is then looked for in lists by status."""
    is_active: bool = False
    """Whether the events leave the run active, so that each retry must be refused."""


def run_status(context: CaseContext, case: StatusCase) -> None:
    """Apply the events, up to three times if a retry is accepted: the run may have ended by itself before it."""
    for is_last in (False, False, True):
        try:
            run = apply_events(context, case, create_for(context, case))
        except RetriedTooEarly as early:
            if is_last and not _ends_by_itself(context, case, early):
                early.report()
            continue
        is_retried = run.known.rule == "RETRY-RULES"
        if case.is_active and is_retried and not is_last:
            continue
        if run.known.is_deleted:
            judge_not_listed(run, widely=False)
        elif case.is_listed:
            _judge_lists_by_status(run)
        elif case.events[-1:] == (RETRY,) and is_retried:
            _judge_list_while_active(run)
        return


def _ends_by_itself(context: CaseContext, case: StatusCase, early: RetriedTooEarly) -> bool:
    """Return whether another run, with the same events except the retry, has ended once it is as old as the retried run
    was: on a busy machine, a run may end by itself between a read and the retry each time.
    """
    created = create_for(context, case)
    created_at = time.monotonic()
    other = apply_events(context, replace(case, events=early.events_before), created)
    context.wait(max(0.0, early.age_s - (time.monotonic() - created_at)))
    other.read()
    return other.known.has_ended


def _judge_lists_by_status(run: TrackedRun) -> None:
    """Judge that lists in both orders contain the run, and that only the filter by its own status finds it."""
    if run.context.check.offers("list_runs"):
        workflow = ("workflow_id", run.known.view["workflow_id"])
        for mode in ("activity", "created_at_desc"):
            check_page(run, [workflow, ("sort_mode", mode)])
        for status in sorted(STATUSES - {"running_checks"} | {run.known.status}):  # older servers lack running_checks
            check_page(run, [workflow, ("status", status)], limit=MAX_LIMIT)


def _judge_list_while_active(run: TrackedRun) -> None:
    """Judge that a list by the status of an active run contains it, if it has that status before the list and after."""
    before = run.known.status
    if before in TERMINAL or not run.context.check.offers("list_runs"):
        return
    query = [("workflow_id", run.known.view["workflow_id"]), ("status", before), WHOLE_PAGE]
    listed = run.context.call_valid("list_runs", query=[*query, NEWEST_FIRST], after=run.evidence)
    read = run.read()
    is_whole = len(items_of(listed)) < MAX_LIMIT
    if run.known.status == before and is_whole:
        expected = f"run {run.id}, which had status {before} before and after"
        cause, got = misses_a_run(["status", "workflow_id"]), f"a list without run {run.id}"
        run.require(listed_item(listed, run.id), "LIST-FILTER", cause, expected, listed, read, got=got)


@in_turn_by_kind
def status_cases(check: CheckContext) -> Iterator[StatusCase]:
    rich = write_bodies.EVERYTHING
    new: dict[str, Any] = {"sensitive_input_values": {"new": "«secret:6»"}, "session_alias": "new"}
    new["file_inputs"] = [file("new.txt")]
    bodies = ({"input_values": {"new": 1}, "file_inputs": [file()]}, {"input_values": 5}, new)
    may_retry, may_delete = check.offers("retry_run"), check.offers("delete_run")
    retries = [Event("retry", body) for body in bodies] if may_retry else []
    features = with_available_ids(check, write_bodies.RETRY_FEATURES) if may_retry else {}
    moves = [
        Event("retry", {name: features[name][0]})
        for name in (*write_bodies.PLACEMENT, "release_session_after")
        if name in features
    ]
    some_filled = Event("update", {"output_data": {"a": 1}, "run_message_history": [{"b": 2}]})
    filled = Event("update", write_bodies.SOME_RESULTS)
    for path in _STATUS_PATHS:
        events = tuple(Event("update", {"status": status}) for status in path)
        yield StatusCase(events=events, is_listed=True)
        if not TERMINAL.intersection(path):  # every retry is refused, so one run serves for all of them
            yield StatusCase(events=(some_filled, *events, *retries, *moves), is_active=True)
            if may_delete:
                yield StatusCase(events=(*events, *([RETRY] if may_retry else []), DELETE))
            continue
        if may_retry:
            yield StatusCase(rich, events=(filled, *events, RETRY))
            yield from (StatusCase(events=(*events, retry)) for retry in retries)
            yield StatusCase(events=(some_filled, *events, RETRY))
        if may_delete:
            yield StatusCase(rich, events=(filled, *events, DELETE))
        others = sorted(STATUSES - {path[-1]})
        yield StatusCase(events=(filled, *events, *(Event("update", {"status": status}) for status in others)))
    wrong_values = ({"input_values": 5}, {"error": "x"}, {"release_session_after": [1]}, {"status": "nonsense"})
    for number, (name, values) in enumerate(UPDATES.items()):
        if name != "output_attachment_ids":
            wrong = next(one for one in (*wrong_values[number % 4 :], *wrong_values) if name not in one)
            for first in ((), (CANCEL,)):
                invalid = Event("update", {name: values[0]} | wrong)
                yield StatusCase({"input_values": {"kept": 1}}, events=(filled, *first, invalid))


def early_cases(check: CheckContext) -> Iterator[StatusCase]:
    """Yield retries of new runs, of the last run of a session, which waits for the others, and of a retried run."""
    inputs: tuple[dict[str, Any], ...] = ({"file_inputs": [file()]}, {"input_values": {"a": 1}})
    for fields in (*inputs, {}):
        yield StatusCase(fields, events=(RETRY,), is_active=True)
    for fields in ({}, {"start_session": True}):
        yield StatusCase(fields, 12, 11, events=(RETRY,), is_active=True)
    secrets: dict[str, Any] = {"sensitive_input_values": {"pin": "«secret»"}}
    for body in (*inputs, {"reuse_session": False}, {"start_session": True}, {"session_alias": "x"}, secrets):
        yield StatusCase(events=(Event("retry", body),), is_active=True)
    if check.offers("update_run"):
        yield StatusCase(events=(CANCEL, RETRY, RETRY))


SCENARIOS = (
    Scenario(
        "retries too early",
        ("RETRY-RULES",),
        run_status,
        early_cases,
        needs=("retry_run", "get_run"),
        attempts=4,
        order=2,
    ),
    Scenario(
        "runs in every status",
        ("RETRY-RULES", "DELETE-GONE", "LIFECYCLE", "UPDATE-PARTIAL", "LIST-FILTER", "LIST-COMPLETE"),
        run_status,
        status_cases,
        needs=("get_run", "update_run"),
    ),
)
