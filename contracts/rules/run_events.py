"""Cases that create runs and apply events to one of them: updates, a cancel, retries, a delete.

Each answer, and each read after an event, is judged by the model of the run (`tracked_run`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN
from contracts.engine import CallResult, Case, CaseContext, Inconclusive, WriteResult
from contracts.oracle import KnownRun, read_body
from contracts.rules.list_reads import items_of, total_of
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import create_runs, read_with_files, their_workflow


@dataclass(frozen=True)
class Event(Case):
    """A change of a run."""

    kind: Literal["cancel", "update", "retry", "delete"]
    body: dict[str, Any] = field(default_factory=dict)
    """Of an update or a retry."""
    shift: int = 0
    """In `read_consistency`, a delete is of the run this many positions after the one that the events change."""
    words: tuple[str, ...] = ()
    """Words that the event adds to the run or removes: a search must find the run by them, or must not."""


CANCEL: Final = Event("cancel")
RETRY: Final = Event("retry")
DELETE: Final = Event("delete")


@dataclass(frozen=True)
class RunCase(Case):
    """`fields` are those of the create. `index` is the position of the run that the events change."""

    fields: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    index: int = 0
    is_single: bool = False
    """Whether a single create is used instead of a bulk create."""
    events: tuple[Event, ...] = ()
    reads_each: bool = False
    """Whether the run is read after each update, and not only after the last one."""
    token: str = TOKEN
    """Of the organisation that creates and changes the runs."""


def create_for(context: CaseContext, case: RunCase) -> WriteResult:
    """Create the runs of a case. Raises Inconclusive if the answer breaks a rule."""
    fields = context.fill(case.fields)
    if case.token == TOKEN and not case.is_single:
        return context.some_runs(case.count, **fields)
    body = {"workflow_id": "«workflow»" if case.token == TOKEN else their_workflow(context)} | fields
    if case.is_single:
        return create_runs(context, "create_run", body, token=case.token)
    return create_runs(context, "bulk_create_runs", body | {"count": case.count}, token=case.token)


_RETRIED_EARLY: Final = ("a run that has not ended is retried", "409 or 422, since the run has not ended")
"""The cause and the expectation of a violation."""


class RetriedTooEarly(Inconclusive):
    """A retry was accepted for a run that had not ended when it was last read. It may have ended since."""

    def __init__(self, run: TrackedRun, result: CallResult) -> None:
        super().__init__(f"{result.words} while {run.known.status}")
        self.run, self.result = run, result
        self.events_before: tuple[Event, ...] = ()
        """The events of the case before the retry."""

    @property
    def age_s(self) -> float:
        """The seconds from the create of the run to the answer of the retry."""
        created, retried = self.run.evidence[0].answer.received_at, self.result.answer.received_at
        return (retried - created).total_seconds() if created and retried else 0.0

    def report(self) -> None:
        """Report the retry as a violation."""
        cause, expected = _RETRIED_EARLY
        if self.run.known.rule == "RETRY-RULES":
            cause = "a run that is retried and has not ended is retried again"
        self.run.require(False, "RETRY-RULES", cause, expected, self.result, got=str(self))


def apply(run: TrackedRun, event: Event) -> bool:
    """Apply an event and return whether it was carried out. A refused event must change nothing."""
    body = run.context.fill(event.body)
    match event.kind:
        case "cancel":
            run.cancel()
        case "update":
            result = run.update(body)
            if result.refused:
                run.read_unchanged(result, "UPDATE-PARTIAL", "a refused update changes a run")
            return result.accepted and run.known.status == body.get("status", run.known.status)
        case "retry" if run.known.has_ended:
            written = run.retry(body)
            if written.result.accepted:
                _judge_new_files(run, written)
            return written.result.accepted
        case "retry":
            _retry_early(run, body)
            return False
        case "delete":
            run.delete()
    return True


def _retry_early(run: TrackedRun, body: Mapping[str, Any]) -> None:
    """Retry a run that has not ended: it must be refused. Raises RetriedTooEarly if it is accepted."""
    result = run.call("retry_run", body=body)
    if result.accepted:
        raise RetriedTooEarly(run, result)
    parsed = read_body("retry_run", body)
    if parsed.is_valid and not run.context.may_refuse_fields(parsed, result):
        run.require(result.status in {409, 422}, "RETRY-RULES", *_RETRIED_EARLY, result)
    run.read_unchanged(result, "RETRY-RULES", "a refused retry changes a run")
    _judge_no_new_files(run, body, result)


def run_events(context: CaseContext, case: RunCase) -> None:
    apply_events(context, case, create_for(context, case))


def apply_events(context: CaseContext, case: RunCase, created: WriteResult) -> TrackedRun:
    """Apply the events to one of the runs, and judge in the end that the others are as before. Return the run.

    The case stops if the target refuses to retry a run that has ended, or to set the status of one that has not.
    """
    run = TrackedRun.of(context, created, case.index, token=case.token)
    was_read = False
    for number, event in enumerate(case.events, start=1):
        # A server that caches the run, or its files, may show them again after the event.
        ends_attempt = event.kind in {"retry", "delete"}
        if not was_read and (ends_attempt or (case.reads_each and event.kind != "cancel")):
            run.read()
        if ends_attempt and run.files():
            run.list_files("input") if event.kind == "retry" else read_with_files(context, [run.id], files=1)
        sets_status = event.kind == "retry" or "status" in event.body
        try:
            is_applied = apply(run, event)
        except RetriedTooEarly as early:
            early.events_before = case.events[: number - 1]
            raise
        if not is_applied and sets_status and run.known.has_ended == (event.kind == "retry"):
            return run
        was_read = case.reads_each or ends_attempt or number == len(case.events)
        if was_read:
            run.read()
    if run.known.rule != "READ-BACK":
        judge_other_runs(created, case.index % len(created.runs), run)
    return run


def _judge_new_files(run: TrackedRun, retry: WriteResult) -> None:
    """Judge that the files of a retry can be downloaded, and that no other input files are listed."""
    files = retry.parsed.given("file_inputs")
    if not files or not run.context.check.offers("get_run_attachment", "download_run_attachment"):
        return
    ids = retry.result.body.get("input_attachment_ids") or ()
    remaining = list(files)
    for attachment in ids[: len(files)]:
        cause, expected = "new files of a retry are missing", "200 with the bytes of the new file"
        found = run.require_file(attachment, remaining, "ATTACHMENTS", cause, expected)
        remaining.remove(found or remaining[0])
    for result in run.list_files("input"):
        left = [item for item in items_of(result) if item.get("id") not in ids]
        cause, got = "old input files are still there", counted(len(left), "file") + " from before the retry"
        run.require(not left, "RETRY-RULES", cause, "only the files of the retry", result, got=got)
        if not left and result.accepted:
            total, cause = total_of(result), "files from before a retry are counted"
            is_right, got = total in (None, len(ids)), f"total {total}"
            run.require(is_right, "RETRY-RULES", cause, f"total {len(ids)}", result, got=got)


def _judge_no_new_files(run: TrackedRun, body: Mapping[str, Any], refused: CallResult) -> None:
    """Judge that no file of a refused retry is listed."""
    known = run.files()
    for result in run.list_files("input") if body.get("file_inputs") else ():
        new = [item for item in items_of(result) if item.get("id") not in known]
        cause, got = "files of a refused retry are kept", counted(len(new), "new file")
        run.require(not new, "RETRY-RULES", cause, "the files as before the retry", refused, result, got=got)


def judge_other_runs(created: WriteResult, index: int, changed: TrackedRun) -> None:
    """Judge that the neighbours of the changed run, the first and the last run of its create, and the files of these
    runs are as before. `index` is that of the changed run, or the number of runs if none was changed.

    Otherwise the rule of the last change is broken, except that a run that reads differently after a delete breaks
    READ-BACK.
    """
    rule, last = changed.known.rule, len(created.runs) - 1
    for other in sorted({index - 1, index + 1, 0, last} - {index}):
        if not 0 <= other <= last:
            continue
        run = KnownRun(created.runs[other], created.parsed)
        read = changed.context.call("get_run", run.id, token=changed.token)
        if not read.accepted:
            cause = "another run is gone too" if rule == "DELETE-GONE" else "another run changes too"
            changed.require(False, rule, cause, "the other runs as before", read)
        elif rule == "DELETE-GONE":
            changed.judge("READ-BACK", run.read_violations(read.body), read)
        else:
            changed.judge(rule, run.unchanged_violations(rule, "another run changes too", read.body), read)
        files, ids = created.parsed.given("file_inputs"), created.runs[other].get("input_attachment_ids")
        if files and ids:
            cause, expected = "a file of another run is lost too", "200 with the bytes of the file of another run"
            changed.require_file(ids[0], files, rule, cause, expected)
