"""The lifecycle of runs: creates runs, changes some of them on their way, and judges them until they have ended."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from contracts.core.findings import Rule
from contracts.data import write_bodies
from contracts.data.files import file
from contracts.data.json_values import SAMPLE
from contracts.engine import CaseContext, CheckContext, Inconclusive, Scenario, WriteResult, assume
from contracts.engine.request_building import request_for
from contracts.openapi.schemas import exact_moment_of
from contracts.oracle import read_body
from contracts.oracle.known_run import RESULTS
from contracts.rules.deletes import judge_not_listed
from contracts.rules.ended_runs import CHANGES_OF_ENDED, judge_ended, look_for_secrets
from contracts.rules.polled_runs import TIMEOUT_S, PolledRuns
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.run_events import RunCase, create_for
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import create_runs

RULES = (
    Rule(
        "LIFECYCLE",
        "api",
        "major",
        "Runs follow the documented transitions",
        "scheduling, running, perhaps running_checks, then success, task_failed or error; or cancelled before that. "
        "A run never goes back, and leaves a final status only by a retry. error and output_data fit the status. "
        "started_at and ended_at are neither before created_at nor in the future. "
        "Only one run of a session runs at a time, and no run starts before an earlier one of its session has ended.",
        READING_AND_CHANGING,
        needs=("get_run",),
        value_fields=("status", "machine_id", *RESULTS),
    ),
)


_TIMEOUT_TO_DELETE_S = 12.0
_MAX_WORKFLOWS = 8
"""Discovery tries this many workflows too, to find those that need no inputs. Each costs two cases that wait."""


@dataclass(frozen=True)
class LifecycleCase(RunCase):
    """`count` runs, or a chain, that are read until they have ended. Before or after their end, some are changed."""

    chain: int = 0
    """If not 0, the number of steps of a chain, which is created instead."""
    runs_before: int = 0
    """How many runs the session of the chain has before the chain is created."""
    ends_first: Literal["", "cancel", "delete"] = ""
    """How the first runs are all ended before further runs are created in their session."""
    runs_after: int = 0
    """How many runs a bulk create then adds to the session of the first run. If the target offers single creates, one
    of them adds a run first, unless `ends_first`.
    """
    fields_after: tuple[dict[str, Any], ...] = ()
    """The fields of further runs. Each is created alone in the session of the first run."""
    joining: int = 0
    """How many runs are created without a session, cancelled, and retried in the session of the first run."""
    at_once: bool = False
    """Whether the runs are created by single creates that are sent at the same moment."""
    retried: int = 0
    """How many of the runs are cancelled and retried, with `retry_body`, before they are polled."""
    retry_body: dict[str, Any] = field(default_factory=dict)
    cancelled: int | None = None
    """The index of a run that is cancelled before the first poll."""
    change: str = ""
    """A key of _CHANGES_OF_ACTIVE or CHANGES_OF_ENDED: what is done with some runs, before or after their end."""

    @property
    def bulk_count(self) -> int:
        """The count of the first create. At least 8 if ended runs are deleted, since only some have output; shrinking
        cannot reduce it further.
        """
        return max(self.count, 8) if self.change == "delete ended" else self.count

    @property
    def expected_runs(self) -> int:
        first = self.chain + self.runs_before if self.chain else self.bulk_count
        single = bool(self.ends_first or self.runs_after)
        return first + single + self.runs_after + len(self.fields_after) + self.joining


def create_polled_runs(context: CaseContext, case: LifecycleCase) -> PolledRuns:
    runs = _create_first(context, case)
    session = runs[0].known.view.get("session_id")
    for run in runs if case.ends_first else ():
        run.cancel() if case.ends_first == "cancel" else run.delete()
    runs = [run for run in runs if not run.known.is_deleted]
    if case.ends_first and not _may_join(context, session):
        raise Inconclusive("a session whose runs have ended takes no more runs")
    if case.runs_after:
        if context.check.offers("create_run") and not case.ends_first:  # both kinds of create may join a session
            single = RunCase({"session_id": session}, is_single=True)
            runs.append(TrackedRun.of(context, create_for(context, single)))
        runs += _in_order(context, context.some_runs(case.runs_after, session_id=session))
    for fields in case.fields_after:
        added = RunCase({"session_id": session} | fields, is_single=context.check.offers("create_run"))
        runs.append(TrackedRun.of(context, create_for(context, added)))
    for run in runs[: case.retried]:
        _cancel_and_retry(run, context.fill(case.retry_body))
    if case.joining:
        joining = TrackedRun.all_of(context, context.some_runs(case.joining))
        for run in joining:
            _cancel_and_retry(run, {"session_id": session})
        runs += joining
    sessions = {run.known.view.get("session_id") for run in runs}
    in_session = len(sessions) == 1 and None not in sessions
    # The place of a retried run in its session is not determined, nor which of concurrent creates is the first.
    in_order = not (case.retried or case.joining or case.at_once)
    return PolledRuns(context, runs, in_session=in_session, in_order=in_order)


def _create_first(context: CaseContext, case: LifecycleCase) -> list[TrackedRun]:
    if case.chain:
        return _create_chain(context, case)
    if case.at_once:
        return _create_at_once(context, case)
    if case.is_single:
        made = [create_for(context, case) for _ in range(case.count)]
        return [TrackedRun.of(context, written) for written in made]
    return _in_order(context, create_for(context, replace(case, count=case.bulk_count)))


def _in_order(context: CaseContext, written: WriteResult) -> list[TrackedRun]:
    """Return the runs of a bulk create in the order of their creation: its answer may have them in another one."""

    def created_at(run: TrackedRun) -> tuple[datetime, str]:
        return exact_moment_of(run.known.view.get("created_at")) or (datetime.min.replace(tzinfo=UTC), "")

    return sorted(TrackedRun.all_of(context, written), key=created_at)


def _create_at_once(context: CaseContext, case: LifecycleCase) -> list[TrackedRun]:
    body = context.fill(write_bodies.minimal("create_run") | case.fields)
    results = context.send_together([request_for("create_run", body=body)] * case.count)
    assume(all(result.accepted for result in results), "a create is refused beside others")
    parsed = read_body("create_run", body)
    return [TrackedRun.of(context, context.judge_write(parsed, result)) for result in results]


def _may_join(context: CaseContext, session: Any) -> bool:
    """Return whether the target accepts another run in a session whose runs have ended: the contract does not say."""
    operation = "create_run" if context.check.offers("create_run") else "bulk_create_runs"
    body = write_bodies.minimal(operation) | {"session_id": session}
    return context.call(operation, body=context.fill(body)).accepted


def _cancel_and_retry(run: TrackedRun, body: Mapping[str, Any]) -> None:
    run.cancel()
    assume(run.retry(body).result.accepted, "a run cannot be cancelled and retried")


def _create_chain(context: CaseContext, case: LifecycleCase) -> list[TrackedRun]:
    """Create a chain, in a new session or in one that already has runs."""
    before: list[TrackedRun] = []
    body: dict[str, Any] = {"steps": [{"workflow_id": "«workflow»"}] * case.chain}
    if case.runs_after:
        body["keep_session_after_completion"] = True
    if case.runs_before:
        before = _in_order(context, context.some_runs(case.runs_before, start_session=True))
        body["session_id"] = before[0].known.view.get("session_id")
    return [*before, *TrackedRun.all_of(context, create_runs(context, "create_run_chain", body))]


def run_lifecycle(context: CaseContext, case: LifecycleCase) -> None:
    """Create runs and read them until all have ended or the time is over."""
    polled, offers = create_polled_runs(context, case), context.check.offers
    if case.cancelled is not None and offers("update_run"):
        polled.runs[case.cancelled % len(polled.runs)].update({"status": "cancelled"})
    is_of_active = case.change in _CHANGES_OF_ACTIVE
    deleted = _CHANGES_OF_ACTIVE[case.change](polled) if is_of_active else None
    timeout_s = _TIMEOUT_TO_DELETE_S if case.change == "delete ended" else TIMEOUT_S
    for _ in polled.until_ended(timeout_s=timeout_s, longest_pause_s=0.3):
        pass
    polled.poll()
    if polled.have_ended:
        # A terminal status is final, but some faults revert it a little later. Two polls: one of them reads the list.
        context.wait(1.0)
        polled.poll()
        polled.poll()
    for run in deleted or ():
        run.read()
        judge_not_listed(run, widely=False)
    polled.judge_order()
    polled.judge_times()
    look_for_secrets(polled)
    if not polled.have_ended:
        polled.note_if_stuck(case.change if is_of_active else "")
        return
    judge_ended(polled)
    operation, change_ended = CHANGES_OF_ENDED.get(case.change, ("", None))
    if change_ended is not None and offers(operation):
        change_ended(polled)
        if case.change == "retry ended":
            again = PolledRuns(context, polled.runs, in_session=False, in_order=False)
            for _ in again.until_ended(longest_pause_s=0.3):
                pass


def _cancel_running(polled: PolledRuns, *, retries: bool) -> None:
    """Cancel running runs, which must then stay cancelled while the other runs are polled. With `retries`, also retry
    each of them at once: the end of its first attempt must not end the run. If a run ends before the cancel, try
    another one.
    """
    # Many runs, since only by chance does an attempt end at the moment of the cancel, or while a retry waits.
    left = max(1, len(polled.runs) * 2 // 3)
    for _ in polled.until_ended():
        for run in polled.with_status("running"):
            run.update({"status": "cancelled"})
            if run.known.status == "cancelled":
                left -= 1
                if retries:
                    run.retry({})
            if not left:
                return


def _cancel_throughout(polled: PolledRuns) -> None:
    """Cancel runs one by one until all have ended. Each must stay cancelled, also if the cancel came at the moment when
    the run was about to start or to end. All runs of a create start at about the same time, so the cancels are spread
    over the time that the slowest run so far took.
    """
    check, count, due = polled.context.check, len(polled.runs), time.monotonic()
    for _ in polled.until_ended(longest_pause_s=0.03):
        for run in [run for run in polled.runs if not run.known.has_ended][:_CANCELS_PER_POLL]:
            polled.context.wait(max(0.0, due - time.monotonic()))
            run.update({"status": "cancelled"})
            due += min(TIMEOUT_S, check.longest_run_s or _UNKNOWN_LIFE_S) / count


_CANCELS_PER_POLL: Final = 10
_UNKNOWN_LIFE_S: Final = 2.0
"""How long runs may take, as long as none has ended in this check."""
_RUNS_TO_CANCEL: Final = 60
"""A cancel meets a change of status only by chance, so a case has many."""


def _update_active(polled: PolledRuns) -> None:
    """Update a run before it starts, and two while they are running. They must keep the new values until their end."""
    polled.runs[0].update(_UPDATE)
    updated: list[TrackedRun] = []
    for _ in polled.until_ended():
        for run in polled.runs[1:]:
            if run.known.status == "running" and run not in updated:
                run.update(_UPDATE)
                updated.append(run)
        if len(updated) >= 2:
            return


_UPDATE: Final = {"input_values": {"updated": True}, "release_session_after": True}


def _end_waiting(polled: PolledRuns, *, delete: bool) -> list[TrackedRun]:
    """Cancel or delete all but two of a session's waiting runs while another run is running. Return the deleted runs.

    The other waiting runs must not start. If the running run has ended when it is read again, repeat this.
    """
    deleted: list[TrackedRun] = []
    for _ in polled.until_ended():
        waiting = polled.with_status("scheduling")
        running = next(iter(polled.with_status("running")), None)
        if len(waiting) < 2 or running is None:
            continue
        for run in waiting[-1:] if len(waiting) == 2 else waiting[2:]:
            if delete:
                run.delete()
                polled.runs.remove(run)
                deleted.append(run)
            else:
                run.update({"status": "cancelled"})
        polled.poll()
        if running.known.status == "running":
            break
    return deleted


def _cancel_last_waiting(polled: PolledRuns) -> None:
    """Cancel the last waiting run of a session each time that another one is running. The cancel must not let a waiting
    run start early. That shows only if the running run goes on long enough, so the cancel is repeated.
    """
    seen: set[str] = set()
    for _ in polled.until_ended():
        waiting = polled.with_status("scheduling")
        running = next(iter(polled.with_status("running")), None)
        if running is not None and running.id not in seen and len(waiting) > 1:
            seen.add(running.id)
            waiting[-1].update({"status": "cancelled"})


def _delete_active(polled: PolledRuns) -> list[TrackedRun]:
    """Delete a run that an update has set to running. Then delete up to three others, before they end: one that is
    scheduling, if a poll shows one, and running ones. Return the deleted runs.

    None of them may reappear when it would have changed its status.
    """
    first: list[TrackedRun] = []
    if polled.context.check.offers("update_run") and not polled.in_session:
        run = polled.runs.pop()
        run.update({"status": "running"})
        run.delete()
        first.append(run)
    deleted: list[TrackedRun] = []
    for _ in polled.until_ended():
        waiting = [] if deleted else polled.with_status("scheduling")
        running = polled.with_status("running")
        for run in (*waiting[:1], *running[: 3 - len(deleted)]):
            run.delete()
            deleted.append(run)
            polled.runs.remove(run)
        if len(deleted) >= 3 or not polled.runs:
            break
    return [*first, *deleted]


_CHANGES_OF_ACTIVE: Final[dict[str, Callable[[PolledRuns], list[TrackedRun] | None]]] = {
    "cancel running": functools.partial(_cancel_running, retries=False),
    "retry running": functools.partial(_cancel_running, retries=True),
    "update active": _update_active,
    "cancel throughout": _cancel_throughout,
    "cancel waiting": functools.partial(_end_waiting, delete=False),
    "cancel last waiting": _cancel_last_waiting,
    "delete waiting": functools.partial(_end_waiting, delete=True),
    "delete active": _delete_active,
}
"""What is done with runs before they have ended. A function that deletes runs returns them."""


_SECRETS: Final = {"sensitive_input_values": {"password": "«secret»", "nested": [{"pin": "«secret:2»"}]}}


def lifecycle_cases(check: CheckContext) -> Iterator[LifecycleCase]:
    session = {"start_session": True}
    # The first cases run from the beginning, so they have most features. None has both secrets and large inputs: a case
    # that waits is not shrunk, so a finding about secrets would show the inputs.
    yield LifecycleCase({"file_inputs": [file()]} | _SECRETS, 8)
    inputs = {"input_values": SAMPLE, "file_inputs": [file()]}
    yield LifecycleCase(inputs, 20, change="retry ended")  # so many that some have output files
    yield LifecycleCase(_SECRETS, change="delete ended")
    if check.offers("update_run"):
        yield LifecycleCase(_SECRETS, 12, change="cancel running")
        if check.offers("retry_run"):
            yield LifecycleCase(count=12, change="retry running")
        yield LifecycleCase({"input_values": SAMPLE}, 4, change="update active")
        yield LifecycleCase(count=_RUNS_TO_CANCEL, change="cancel throughout")
    if check.offers("delete_run"):
        yield LifecycleCase(count=6, change="delete active")
        yield LifecycleCase(session, 6, change="delete active")
        yield LifecycleCase(session, 6, change="delete waiting")
        yield LifecycleCase(session, change="delete ended")
        yield LifecycleCase(session, ends_first="delete", runs_after=3)
    # Many runs, so that rare final statuses and output files occur too.
    alias = {"session_alias": "x"} if check.offers("create_run") else {}
    yield LifecycleCase(_SECRETS | alias, 40, is_single=bool(alias), change="delete ended")
    yield LifecycleCase(session, 4, change="retry ended")
    yield from _cases_of_other_workflows(check)
    if check.sessions.accepts_any_id:
        yield LifecycleCase({"session_id": "«session»"}, 4)
    yield LifecycleCase(session, 2**5 + 1)  # one above a power of two, as buffers of queues are sized
    # Runs of a session that differ in other fields still wait for each other.
    others = ({"workflow_id": "«workflow:1»"},) if check.workflows.has_several else ()
    yield LifecycleCase(session, 6, fields_after=({"session_alias": "x"}, *others, {}))  # so many that some still wait
    if check.machines.available:
        yield LifecycleCase({"machine_id": "«machine»"}, 3)
        yield LifecycleCase(session, 2, fields_after=({"machine_id": "«machine»"}, {}))
        if check.offers("retry_run", "update_run"):
            yield LifecycleCase(session, 3, retried=3, retry_body={"machine_id": "«machine»"})
    if check.offers("create_run"):
        yield LifecycleCase({"session_alias": "x", "release_session_after": True}, 4, is_single=True)
        yield LifecycleCase(session | {"release_session_after": True}, is_single=True)
        yield LifecycleCase(session, 3, is_single=True, change="retry ended")
        yield LifecycleCase(session, is_single=True, runs_after=3)
        if check.sessions.accepts_any_id:
            yield LifecycleCase({"session_id": "«session»"}, 8, at_once=True)
            # So many that some still wait when the last ones are created.
            yield LifecycleCase({"session_id": "«session»"}, 8, is_single=True)
    if check.offers("retry_run", "update_run"):
        yield LifecycleCase(count=4, retried=4, change="cancel retried")
        yield LifecycleCase(session, 3, retried=3)
        yield LifecycleCase(session, is_single=check.offers("create_run"), runs_after=3, retried=1)
        yield LifecycleCase(session, 2, joining=2)
    if check.pools.available:
        yield LifecycleCase({"pool_ids": ["«pool:0»"]} | _SECRETS, 3)
    if check.offers("create_run_chain"):
        yield LifecycleCase(chain=3)
        yield LifecycleCase(chain=5, runs_after=2)
        yield LifecycleCase(chain=12)  # as texts, 10 comes before 2
        yield LifecycleCase(chain=3, runs_before=2)
    if check.offers("update_run"):
        yield LifecycleCase(session, 4, cancelled=1)
        yield LifecycleCase(session, 6, change="cancel waiting")
        yield LifecycleCase(session, 10, change="cancel last waiting")
        yield LifecycleCase(session, 6, change="cancel running")
        yield LifecycleCase(session, ends_first="cancel", runs_after=3)
        if check.offers("create_run"):
            released = session | {"release_session_after": True}
            yield LifecycleCase(released, is_single=True, ends_first="cancel", runs_after=3)
        yield LifecycleCase(session, 3, cancelled=0)
        yield LifecycleCase(count=3, cancelled=2)


def _cases_of_other_workflows(check: CheckContext) -> Iterator[LifecycleCase]:
    """Yield cases of all workflows but the first. Each may end in its own way, with or without output."""
    if check.workflows.accepts_any_id:
        return
    for number in range(1, min(len(check.workflows.known), _MAX_WORKFLOWS)):
        workflow = {"workflow_id": f"«workflow:{number}»"}
        yield LifecycleCase(workflow | _SECRETS | {"file_inputs": [file()]}, 3, change="retry ended")
        yield LifecycleCase(workflow | {"start_session": True}, 3, change="delete ended")


SCENARIOS = (
    Scenario(
        "lifecycles of runs",
        ("LIFECYCLE", "RETRY-RULES", "DELETE-GONE", "ATTACHMENTS", "SECRET-LEAK", "REQ-ATOMIC"),
        run_lifecycle,
        lifecycle_cases,
        needs=("get_run",),
        attempts=3,
        order=2,
        mostly_waits=True,
    ),
)
