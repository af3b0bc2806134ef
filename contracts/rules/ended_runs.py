"""What holds for runs that have ended by themselves: their files, searches and secrets, and what may be done with them.

The scenario "lifecycles of runs" (`lifecycle.py`) creates the runs and reads them until they have ended.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN
from contracts.data.files import file
from contracts.engine import CallResult
from contracts.rules.deletes import judge_attachments_gone
from contracts.rules.list_reads import DEEP_SEARCH, WHOLE_PAGE, find_item, is_last_page, items_of
from contracts.rules.polled_runs import TIMEOUT_S, PolledRuns, growing_pauses
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import read_attachment, workflow_filter


def judge_ended(polled: PolledRuns) -> None:
    """Judge searches and files of runs that have ended."""
    polled.judge_search()
    if polled.context.check.offers("list_run_attachments"):
        _judge_files_by_type(polled)
        _judge_types(polled)
    last = polled.runs[-1]
    _require_input_file(last, "ATTACHMENTS", "an input file is lost at the end of its run", *last.read_before)
    _judge_access_to_output(polled)
    _judge_download_of_output(polled)
    _judge_machine_list(polled)
    _cancel_ended(polled)


def look_for_secrets(polled: PolledRuns) -> None:
    """If the runs have secrets, send the reads that could show them at the end of a run."""
    context, ended = polled.context, [run for run in polled.runs if run.known.has_ended]
    if not ended or "secret" not in context.placeholders:
        return
    for run in ended:
        run.read()
    if context.check.offers("list_runs"):
        found = [("search", context.placeholder("secret")), DEEP_SEARCH]
        context.call("list_runs", query=[*workflow_filter(context), *found])
    outputs = [attachment for run in ended for attachment in run.files("output")]
    for attachment in outputs[:4]:
        read_attachment(context, attachment)


_FILE_TYPES: Final[tuple[Literal["input", "output"], ...]] = ("input", "output")


def _judge_files_by_type(polled: PolledRuns) -> None:
    """Judge the attachment lists of an ended run by type, and those of another one with limit 1."""
    with_output = [run for run in polled.runs if run.files("output")]
    for run, limit in zip((with_output * 2)[:2], (1000, 1), strict=False):
        for name in _FILE_TYPES:
            expected = set(run.files(name))
            query = [("run_id", run.id), ("attachment_type", name), ("limit", str(limit))]
            result = run.context.call_valid("list_run_attachments", query=query, after=run.evidence)
            listed = [item.get("id") for item in items_of(result)]
            is_full = len(set(listed)) == len(listed) == min(limit, len(expected))
            right = is_full and expected.issuperset(listed) and result.body.get("total") == len(expected)
            got = f"{counted(len(listed), f'{name} attachment')}, total {result.body.get('total')}"
            cause = f"the list of {name} attachments"
            wanted = f"{counted(len(expected), f'{name} attachment')}, as the run shows, and that total"
            run.require(right, "ATTACHMENTS", cause, wanted, *run.read_before, result, got=got)


def _judge_types(polled: PolledRuns) -> None:
    """Judge the attachment lists of all runs by type."""
    if not any(run.files("output") for run in polled.runs):
        return
    for name in _FILE_TYPES:
        query = [("attachment_type", name), WHOLE_PAGE]
        result = polled.context.call_valid("list_run_attachments", query=query, after=())
        others = [item for item in items_of(result) if item.get("attachment_type") not in (None, name)]
        got, expected = counted(len(others), "attachment") + " of the other type", f"{name} attachments only"
        polled.context.require(not others, "ATTACHMENTS", f"a list of {name}s has others", expected, result, got=got)


def _judge_access_to_output(polled: PolledRuns) -> None:
    """Require that another organisation cannot read an output attachment."""
    run = _with_output_first(polled)[0]
    for output in run.files("output")[:1] if polled.context.check.has_second else ():
        for result in read_attachment(run.context, output, token=SECOND_TOKEN):
            cause = f"another organisation may use {result.operation}"
            expected = "404, since the run is another organisation's"
            run.require(not result.accepted, "AUTH-TENANT", cause, expected, *run.read_before, result)


def _judge_download_of_output(polled: PolledRuns) -> None:
    """Require that an output attachment can be downloaded, and has as many bytes as its description says."""
    context, outputs = polled.context, [one for run in polled.runs for one in run.files("output")]
    if outputs and context.check.offers("get_run_attachment", "download_run_attachment"):
        shown = context.call("get_run_attachment", outputs[0])
        content = context.call("download_run_attachment", outputs[0])
        if shown.resource is None:
            return
        cause, expected = "an output file cannot be downloaded", "200, since the attachment can be read"
        context.require(content.status == 200, "ATTACHMENTS", cause, expected, shown, content)
        size = shown.resource.get("size_bytes")
        is_right = content.status != 200 or size in (None, len(content.answer.body))
        cause, expected = "an output file of another size", f"{size} bytes, which is the size_bytes of the attachment"
        got = counted(len(content.answer.body), "byte")
        context.require(is_right, "ATTACHMENTS", cause, expected, shown, content, got=got)


def _judge_machine_list(polled: PolledRuns) -> None:
    """Require that the list of machines has the machine of a run, if that can be read."""
    run = next((run for run in polled.runs if run.known.view.get("machine_id") is not None), None)
    if run is None or not polled.context.check.offers("list_machines", "get_machine"):
        return
    machine = run.known.view["machine_id"]
    item, listed = find_item(polled.context, "list_machines", machine)
    if item is None and is_last_page(listed):
        read = polled.context.call("get_machine", machine)
        cause, expected = "a run's machine is not listed", f"an item with id {machine}, which get_machine finds"
        run.require(not read.accepted, "READ-BACK", cause, expected, *run.read_before, read, listed, got="no such item")


def _cancel_ended(polled: PolledRuns) -> None:
    """Cancel a run that has ended by itself. Its status must not change, even if the request is accepted."""
    run = next((run for run in polled.runs if run.known.status != "cancelled"), None)
    if run is not None and polled.context.check.offers("update_run"):
        run.update({"status": "cancelled"})
        run.read()


def _require_input_file(run: TrackedRun, rule: str, cause: str, *more: CallResult) -> None:
    """Require that a file of a run that has ended can be downloaded as it was sent."""
    sent = run.known.created_by.given("file_inputs") if run.known.created_by is not None else None
    if sent and run.files():
        run.require_file(run.files()[0], sent, rule, cause, "200 with the bytes of the file", *more)


def _with_output_first(polled: PolledRuns) -> list[TrackedRun]:
    return sorted(polled.runs, key=lambda run: not run.files("output"))


_FAILED: Final = ("task_failed", "error")
_RETRIES_OF_ENDED: Final[tuple[dict[str, Any], ...]] = ({}, {"reuse_session": False}, {"input_values": {"new": 1}}, {})
_FULL_RETRY: Final[dict[str, Any]] = {
    "input_values": {"new": 1},
    "file_inputs": [file("new.txt", b"new"), file("more.txt", b"more")],
    "session_alias": "after the end",
    "release_session_after": True,
}


def _retry_ended(polled: PolledRuns) -> None:
    """Retry ended runs, and one of each final status with new values. A retry clears the results of the run, whatever
    its final status was, and changes nothing else.
    """
    runs = _with_output_first(polled)
    if not _judge_refused_retry(runs[0]):
        _require_unchanged_beside(runs[0], runs[1:2])
        runs = runs[1:]
    if not runs:
        return
    each_status = _of_each_status(runs[len(_RETRIES_OF_ENDED) :])
    retries = [*zip(runs, _RETRIES_OF_ENDED, strict=False), *((run, _FULL_RETRY) for run in each_status)]
    if polled.context.check.offers("update_run"):
        runs[0].update({"error": ["after the end"]})
    for number, (run, body) in enumerate(retries):
        outputs = run.files("output")
        if not run.retry(body).result.accepted:
            continue
        if number == 0:
            _require_unchanged_beside(run, runs[1:2])
        if "file_inputs" not in body:
            _require_input_file(run, "RETRY-RULES", "an input file is lost by a retry")
        if outputs and run.context.check.offers("list_run_attachments"):
            query = [("run_id", run.id), ("attachment_type", "output")]
            left = run.context.call_valid("list_run_attachments", query=query, after=run.evidence)
            old = [attachment for attachment in items_of(left) if attachment.get("id") in outputs]
            cause = "output attachments are not cleared"
            got, expected = counted(len(old), "output attachment"), "no output attachments after a retry"
            run.require(not old, "RETRY-RULES", cause, expected, *run.read_before, left, got=got)


def _of_each_status(ended: Sequence[TrackedRun]) -> list[TrackedRun]:
    """Return a run of each final status. If none happens to have failed, let an update fail one where that is allowed:
    the contract does not say which statuses an update can set.
    """
    by_status = {run.known.status: run for run in ended}
    spare = (run for run in ended if run not in by_status.values())
    if ended and ended[0].context.check.offers("update_run"):
        for status, run in zip([one for one in _FAILED if one not in by_status], spare, strict=False):
            if run.retry({}).result.accepted:
                run.update({"status": "running"})
                run.update({"status": status})
                run.read()
                by_status.setdefault(run.known.status, run)
    return [run for run in by_status.values() if run.known.has_ended]


def _require_unchanged_beside(retried: TrackedRun, others: Sequence[TrackedRun]) -> None:
    for other in others:
        read = retried.context.call_valid("get_run", other.id, after=retried.evidence)
        changed = other.known.unchanged_violations("RETRY-RULES", "another run changes too", read.body)
        retried.judge("RETRY-RULES", changed, read)


def _judge_refused_retry(run: TrackedRun) -> bool:
    """Retry the run on an unknown machine, and return whether that was refused: then the run must keep its results and
    its files. If it was accepted, the run is active again.
    """
    outputs = run.files("output")
    refused = run.retry({"machine_id": run.context.placeholder("unknown")}).result
    if not refused.refused:
        return False
    cause = "a refused retry changes the run"
    run.read_unchanged(refused, "REQ-ATOMIC", cause)
    for listed in run.list_files("output"):
        left = [item for item in items_of(listed) if item.get("id") in outputs]
        expected, got = counted(len(outputs), "output attachment"), f"{len(left) or 'none'} of them"
        kept = not listed.accepted or len(left) == len(outputs)
        run.require(kept, "REQ-ATOMIC", cause, f"{expected}, as before the refused retry", refused, listed, got=got)
    return True


def _cancel_retried(polled: PolledRuns) -> None:
    """Retry ended runs, and cancel one when it is running again: its times must be those of the new attempt."""
    _retry_ended(polled)
    for _ in growing_pauses(polled.context, TIMEOUT_S, 0.3):
        active = [run for run in polled.runs[:4] if not run.known.has_ended]
        if not active or any(map(_is_cancelled_while_running, active[:2])):
            return


def _is_cancelled_while_running(run: TrackedRun) -> bool:
    """Read a run, cancel it if it is running, and return whether it is cancelled then."""
    run.read()
    if run.known.status != "running":
        return False
    run.update({"status": "cancelled"})
    run.read()
    return run.known.status == "cancelled"


def _delete_ended(polled: PolledRuns) -> None:
    """Delete ended runs, with their output attachments, and nothing else: the next one must still be there."""
    for run, neighbour in itertools.pairwise(_with_output_first(polled)[:5]):
        run.read()
        outputs = run.files("output")
        deleted = run.delete()
        run.read()
        judge_attachments_gone(run, outputs)
        kept = run.context.call("get_run", neighbour.id)
        cause, expected = "a delete removes another run", "200 with the run, since only another one was deleted"
        if not neighbour.require(kept.accepted, "DELETE-GONE", cause, expected, *neighbour.read_before, deleted, kept):
            return


CHANGES_OF_ENDED: Final[dict[str, tuple[str, Callable[[PolledRuns], None]]]] = {
    "retry ended": ("retry_run", _retry_ended),
    "cancel retried": ("retry_run", _cancel_retried),
    "delete ended": ("delete_run", _delete_ended),
}
