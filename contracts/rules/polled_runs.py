"""Reads runs until they have ended: judges each status by the last one, and the runs of a session together."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from contracts.core.json_tree import leaves
from contracts.core.statuses import TERMINAL
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CallResult, CaseContext, assume
from contracts.openapi.schemas import moment_of
from contracts.oracle import Query, Violation
from contracts.oracle.run_list import activity_violations
from contracts.oracle.violation import misses_a_run
from contracts.rules.list_checks import judge_list
from contracts.rules.list_reads import WHOLE_PAGE, items_of, listed_item, page_of
from contracts.rules.tracked_run import TrackedRun

TIMEOUT_S: Final = 6.0
_STUCK_S: Final = 4.0
_STUCK_RUNS: Final = 3
"""A session is stuck if none of its runs changes for _STUCK_S and _STUCK_RUNS times the slowest other run."""
_MAX_UNREAD_POLLS: Final = 10
"""This many polls take a second or two. A server may fail some reads, or list a new run late."""
_OVERTAKES: Final = "a session's later run overtakes an earlier one"
_WORD: Final = re.compile(r"[A-Za-z0-9]{4,40}")


class PolledRuns:
    """Runs that are read repeatedly. With `in_order`, the runs of a session must run in this order."""

    def __init__(self, context: CaseContext, runs: Sequence[TrackedRun], *, in_session: bool, in_order: bool) -> None:
        self.context = context
        self.runs = list(runs)
        self.in_session, self.in_order = in_session, in_order
        self._wrong_order: tuple[Violation, CallResult] | None = None
        self._polls = 0
        self._unread = 0
        self._listed: set[frozenset[str]] = set()
        """The statuses that the active runs had together when they were listed by each of them."""
        self._begin = self._last_change = time.monotonic()
        self._last: CallResult | None = None
        self._starts_late: dict[str, bool] = {}
        """Whether `started_at` was null in every answer that showed the run waiting."""
        for run in self.runs:
            self._note_start(run.known.view)
        self._query = self._list_query() if context.check.offers("list_runs") else None

    def _list_query(self) -> list[tuple[str, str]] | None:
        """Return a query that matches the polled runs and few others; None if there is no such query."""
        run = self.runs[0].known.view
        by_session = self.in_session and run.get("session_id")
        if not by_session and not self.context.check.workflows.accepts_any_id:
            return None
        field = "session_id" if by_session else "workflow_id"
        return [(field, run[field]), WHOLE_PAGE]

    def with_status(self, status: str) -> list[TrackedRun]:
        """Return the runs that had this status when they were last read."""
        return [run for run in self.runs if run.known.status == status]

    @property
    def have_ended(self) -> bool:
        return all(run.known.has_ended for run in self.runs)

    def poll(self) -> None:
        """Read the runs by a list, or some of them one by one, and judge what has changed.

        Raises Inconclusive if several polls have read none of them. Other scenarios judge that, without waiting.
        """
        self._polls += 1
        self._unread += 1
        assume(self._unread <= _MAX_UNREAD_POLLS, "the runs cannot be read")
        if self._query is not None and (self.in_session or self._polls % 2 == 0):
            result = self.context.call("list_runs", query=self._query)
            items = {item["id"]: item for item in items_of(result) if isinstance(item.get("id"), str)}
            self._judge(items if result.accepted else {}, result)
            violations = activity_violations([(0, item) for item in items.values()])
            self._wrong_order = self._wrong_order or next(((wrong.violation, result) for wrong in violations), None)
            for status in self._statuses_to_list():
                self._judge_status_filter(self._query[0], status)
        if self._query is None or not self.in_session or self._polls % 3 == 0:
            for run in self._next_runs():
                result = self.context.call("get_run", run.id)
                if result.resource is not None:
                    self._judge({run.id: result.resource}, result)

    def _statuses_to_list(self) -> list[str]:
        """Return the statuses of the runs that have not ended, if no poll has seen just these statuses together."""
        active = frozenset(run.known.status for run in self.runs if not run.known.has_ended)
        if active in self._listed:
            return []
        self._listed.add(active)
        return sorted(active)

    def _judge_status_filter(self, of_runs: tuple[str, str], status: str) -> None:
        """Judge a list by status: all its runs have the status, and no run is missing that had it before and after."""
        query: Query = [of_runs, ("status", status)]
        result = self.context.call("list_runs", query=[*query, WHOLE_PAGE])
        evidence = self.runs[0].evidence[:1]
        page = page_of(result, query, limit=MAX_LIMIT)
        if not result.accepted or not judge_list(self.context, page, (), lambda run_id: evidence):
            return
        listed = page.ids
        missing = next((run for run in self.with_status(status) if run.id not in listed), None)
        if missing is None:
            return
        read = self.context.call("get_run", missing.id)
        if read.resource is not None:
            is_right = read.resource.get("status") != status
            cause, got = misses_a_run(["status"]), f"a list without run {missing.id}"
            expected = f"run {missing.id}, which was {status} before the list and after it"
            missing.require(is_right, "LIST-FILTER", cause, expected, *missing.read_before, result, got=got)

    def until_ended(self, *, timeout_s: float = TIMEOUT_S, longest_pause_s: float = 0.1) -> Iterator[None]:
        """Poll the runs until all have ended or the time is over."""
        for _ in growing_pauses(self.context, timeout_s, longest_pause_s):
            if self.have_ended:
                return
            self.poll()
            yield

    def _next_runs(self) -> list[TrackedRun]:
        """Return the runs to read one by one: two of them in turn or, if no list shows them, the first eight."""
        if self._query is None:
            return self.runs[:8]
        return [self.runs[(self._polls + number) % len(self.runs)] for number in range(min(2, len(self.runs)))]

    def _judge(self, views: Mapping[str, dict[str, Any]], result: CallResult) -> None:
        """Judge the runs that an answer shows by the earlier answers. `views` are these runs by id."""
        before = [run.known.status for run in self.runs]
        for run in self.runs:
            if run.id in views:
                self._unread = 0
                self._note_start(views[run.id])
                run.compare(views[run.id], result)
        if self.in_session and len(self.runs) > 1 and len(views) > 1:
            after = [run.known.status if run.id in views else None for run in self.runs]
            create = self.runs[0].evidence[0]
            if (wrong := concurrency_violation(after)) is not None:
                self.context.report_violation(wrong, create, result, is_proof=True)
            wrong = order_violation(before, after) if self.in_order else None
            last = [self._last] if self._last is not None else []
            self.context.judge("LIFECYCLE", [wrong] if wrong is not None else [], create, *last, result)
        if before != [run.known.status for run in self.runs]:
            self._last_change = time.monotonic()
            by_itself = any(run.known.has_ended and run.known.status != "cancelled" for run in self.runs)
            if not self.in_session and by_itself:
                check = self.context.check
                check.last_end = self._last_change
                check.longest_run_s = max(check.longest_run_s, self._last_change - self._begin)
        self._last = result

    def _note_start(self, view: Mapping[str, Any]) -> None:
        if view.get("status") == "scheduling" and "started_at" in view:
            run_id = str(view["id"])
            self._starts_late[run_id] = self._starts_late.get(run_id, True) and view["started_at"] is None

    def judge_times(self) -> None:
        """Judge by `started_at` and `ended_at` that the runs of a session ran one after the other, and in their order.
        No poll may have shown two running runs, or a run that overtakes another.

        Only runs that no request has changed are judged, and whose `started_at` was null while they were waiting.
        """
        unchanged = [run for run in self.runs if run.known.rule == "READ-BACK" and self._starts_late.get(run.id)]
        timed = [(times, run) for run in unchanged if (times := run_times(run.known.view)) is not None]
        if not self.in_session or len(timed) < 2:
            return
        self.context.count("LIFECYCLE")
        in_time = sorted(timed, key=lambda pair: pair[0])
        judged = [(overlap_violation, in_time), *([(overtaking_violation, timed)] if self.in_order else [])]
        for violation_of, pairs in judged:
            for (times, earlier), (later_times, later) in itertools.pairwise(pairs):
                wrong = violation_of(times, later_times)
                if wrong is not None:
                    reads = [run.last_read for run in (earlier, later) if run.last_read is not None]
                    self.context.report_violation(wrong, self.runs[0].evidence[0], *reads, is_proof=True)

    def judge_search(self) -> None:
        """Judge that a search finds what ended runs have written: a word of output_data, and one of error."""
        if self._query is None:
            return
        for name in ("output_data", "error"):
            words = ((run, _word_in(run.known.view.get(name))) for run in self.runs)
            run, word = next(((run, word) for run, word in words if word), (None, ""))
            if run is not None:
                query = [*self._query, ("search", word)]
                listed = self.context.call_valid("list_runs", query=query, after=run.evidence)
                cause, got = f"a search does not find what a run has written to {name}", f"no run {run.id}"
                expected = f"run {run.id}, since its {name} has {word!r}"
                is_listed = listed_item(listed, run.id)
                run.require(is_listed, "LIST-FILTER", cause, expected, *run.read_before, listed, got=got)

    def judge_order(self) -> None:
        """Judge the order of the lists that were read. A list with an old status has a wrong order, too."""
        if self._wrong_order is not None:
            violation, result = self._wrong_order
            self.context.judge("LIST-PAGE", [violation], self.runs[0].evidence[0], result)

    def note_if_stuck(self, change: str) -> None:
        """Say that the runs of a session do not go on, though others end. No rule says how long a run takes."""
        check, waited = self.context.check, time.monotonic() - self._last_change
        if not self.in_session or check.last_end < self._last_change:
            return
        if waited < max(_STUCK_S, _STUCK_RUNS * check.longest_run_s):
            return
        statuses = sorted({run.known.status for run in self.runs if not run.known.has_ended})
        after = f" after one of them was changed ({change})" if change else ""
        check.note(
            f"Not judged: the runs of a session{after} stayed {' and '.join(statuses)} for {waited:.0f} s, while"
            " other runs ended. No rule says how long a run takes: see whether such a session goes on."
        )


def growing_pauses(context: CaseContext, timeout_s: float, longest_pause_s: float) -> Iterator[None]:
    """Yield now, and after each of several pauses that grow up to the longest one, until the time is over."""
    end, pause_s = time.monotonic() + timeout_s, 0.02
    while time.monotonic() < end:
        yield
        context.wait(pause_s)
        pause_s = min(longest_pause_s, pause_s * 1.3)


def _word_in(value: Any) -> str:
    """Return a word from the texts of a JSON value; "" if there is none."""
    found = (_WORD.search(text) for _, text in leaves(value) if isinstance(text, str))
    return next((match[0] for match in found if match is not None), "")


def run_times(view: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """Return when a run started and ended, if both are known."""
    started, ended = moment_of(view.get("started_at")), moment_of(view.get("ended_at"))
    return None if started is None or ended is None else (started, ended)


def overlap_violation(earlier: tuple[datetime, datetime], later: tuple[datetime, datetime]) -> Violation | None:
    """Judge that a later run of a session does not start in the first half of an earlier one. Clocks may differ."""
    started, ended = earlier
    if later[0] >= started + (ended - started) / 2:
        return None
    cause, expected = "runs of a session overlap by their times", "one run of a session after the other"
    got = f"a run that started at {later[0].isoformat()}, before an earlier run ended at {ended.isoformat()}"
    return _of_session(cause, expected, got)


def overtaking_violation(earlier: tuple[datetime, datetime], later: tuple[datetime, datetime]) -> Violation | None:
    """Judge that a later run of a session does not start before an earlier one."""
    if later[0] >= earlier[0]:
        return None
    got = f"a run that started at {later[0].isoformat()}, before an earlier run started at {earlier[0].isoformat()}"
    return _of_session(_OVERTAKES, "one run of a session after the other", got)


def _of_session(cause: str, expected: str, got: str) -> Violation:
    """Return a violation of the order in a session. All have the same dedup key: which of them shows is chance."""
    return Violation("LIFECYCLE", cause, expected, got, dedup_key_override="LIFECYCLE: runs of a session")


def order_violation(before: Sequence[str], after: Sequence[str | None]) -> Violation | None:
    """Judge the statuses of the runs of a session, in their order, in two reads. A status in `after` is None if the run
    was not read.

    If an earlier run has not ended in the second read, no later run may have started in the first one.
    """
    waiting = next((index for index, status in enumerate(after) if status is not None and status not in TERMINAL), None)
    later_runs = [] if waiting is None else before[waiting + 1 :]
    for later in later_runs:
        if later not in {"scheduling", "cancelled"}:
            got = f"a run with status {later} before an earlier run of the session has ended"
            return _of_session(_OVERTAKES, "one run of a session after the other", got)
    return None


def concurrency_violation(statuses: Sequence[str | None]) -> Violation | None:
    """Judge the statuses of the runs of a session that one answer shows."""
    running = [status for status in statuses if status in {"running", "running_checks"}]
    if len(running) > 1:
        cause, got = "two runs of a session run at a time", f"{len(running)} running runs"
        expected = "one running run of a session at a time"
        return _of_session(cause, expected, got)
    return None
