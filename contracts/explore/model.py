"""A model of the target: the state it must have after any sequence of reads and writes by two organisations.

A sequence of steps is data. `Shadow` executes it and compares, so a failing sequence is shrunk and sent again like any
other case. Hypothesis generates the sequences (`step_sequences`). The rules test each operation closely, but by itself;
here operations come in any order, and each step is judged against all earlier answers, not by its own answer alone.

Over 500 lines: one class, whose methods are the steps; each compares with the same state.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from contracts.core.exchange import SECOND_TOKEN, TOKEN
from contracts.data import boundary_values
from contracts.data.limits import MAX_LIMIT
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import is_uuid
from contracts.oracle import (
    DELETED,
    FOREIGN,
    TERMINAL,
    Candidate,
    ParsedRequest,
    Violation,
    changed_field,
    difference,
    excerpt,
    filter_names,
    gains_inputs,
    list_faults,
    misses_a_run,
    missing_runs,
    run_schema_errors,
    stable_fields,
    step_violation,
)
from contracts.rules.isolated_runs import isolating_fields
from contracts.rules.listing import NEWEST_FIRST, RunList, carries, read_page, read_pages

_TOKENS: Final = (TOKEN, SECOND_TOKEN)
_MAX_PAGES: Final = 12
_FINAL_FIELDS: Final = ("error", "output_data", "run_message_history", "output_attachment_ids", "usage_metadata")
"""Fields that change while a run is active, and no more once it has ended."""
CREATE_FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"input_values": {"name": "Ada", "n": 5, "x": 1.5, "deep": {"list": [None, True]}}},
    {"start_session": True},
    {"file_inputs": [boundary_values.file()]},
    {"sensitive_input_values": {"pin": "«secret»"}},
    {"start_session": True, "input_values": {"a": 1}, "file_inputs": [boundary_values.file("b.txt", b"b")]},
)
UPDATES: Final[tuple[dict[str, Any], ...]] = (
    {"input_values": {"changed": [1, 2.5, None]}},
    {"output_data": {"result": {"a": 1}}},
    {"error": ["first", "second"]},
    {"release_session_after": True},
    {"run_message_history": [{"role": "user", "content": "hello"}]},
    {},
)
RETRIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"input_values": {"again": True}},
    {"file_inputs": [boundary_values.file("new.txt", b"new")]},
    {"reuse_session": False},
)
CROSS_TENANT_OPERATIONS: Final = ("get_run", "update_run", "retry_run", "delete_run")


@dataclass
class ShadowRun:
    """The last known state of a run. `view` is the run in the last answers about it. `rule` is the rule that is broken
    if a read now shows otherwise; it depends on the last operation on the run. `shown` are the exchanges that a finding
    about the run shows.
    """

    organisation: int
    view: dict[str, Any]
    parsed: ParsedRequest | None
    shown: list[CallResult]
    rule: str = "READ-BACK"
    is_deleted: bool = False
    compared_at: int | None = None
    """The number of changes to any run when this one was last seen to be correct, by a read, a list or a write."""

    @property
    def id(self) -> str:
        return str(self.view["id"])

    @property
    def has_ended(self) -> bool:
        return self.view.get("status") in TERMINAL

    def as_candidate(self, organisation: int) -> Candidate:
        """Return what a list of an organisation is to be judged by."""
        absence = FOREIGN if self.organisation != organisation else DELETED if self.is_deleted else None
        return Candidate.of(self.view, self.parsed, absence)

    def tell(self, result: CallResult, rule_id: str) -> None:
        self.view, self.rule = result.body, rule_id
        self.show(result)

    def show(self, result: CallResult) -> None:
        self.shown = [self.shown[0], *self.shown[1:][-5:], result]


@dataclass(frozen=True)
class _KeyedWrite:
    """A write that can be replayed with its idempotency key."""

    send: Callable[[], CallResult]
    first: CallResult
    run: ShadowRun | None


class Shadow:
    """Executes steps and compares. A step that is not possible in the current state is skipped."""

    def __init__(self, context: CaseContext) -> None:
        self.context = context
        self.runs: list[ShadowRun] = []
        self._filter, self._fields = isolating_fields(context)
        self._writes: list[_KeyedWrite] = []
        self._keys = 0
        self._changes: list[tuple[str, ShadowRun, CallResult]] = []
        """(rule that is broken if another run changes too, the changed run, the answer)"""
        self._handlers: Final[Mapping[str, Callable[[Case], None]]] = {
            "create": self.create,
            "chain": self.chain,
            "replay": self.replay,
            "update": self.update,
            "cancel": self.cancel,
            "retry": self.retry,
            "delete": self.delete,
            "read": self.read,
            "list": self.look_at_list,
            "cross_tenant": self.cross_tenant_access,
        }

    def step(self, step: Any) -> None:
        if isinstance(step, dict) and step.get("do") in self._handlers:
            self._handlers[step["do"]](step)

    def finish(self) -> None:
        """Compare once more: read up to five runs that were changed or deleted one by one, and list all runs."""
        for run in [run for run in self.runs if run.is_deleted or run.rule != "READ-BACK"][:5]:
            self._read(run)
        for organisation in sorted({run.organisation for run in self.runs}):
            self.look_at_list({"limit": 1000, "second": organisation == 1})

    # Judging: after a broken rule, known or not, nothing more is judged, since one cause is one finding

    def _send(self, operation: str, *ids: str, **more: Any) -> CallResult:
        result = self.context.call(operation, *ids, **more)
        if result.status >= 500 or not result.status:
            raise Inconclusive(f"{operation} answers {result.status}")
        return result

    def _fail(self, violation: Violation, *shown: CallResult) -> NoReturn:
        if self.context.only is not None or all(cause != violation.cause for _, cause in self.context.check.known):
            self.context.fail(violation, *shown)
        raise Inconclusive(f"{violation.rule} is known to be broken")

    def _require(self, holds: object, rule_id: str, cause: str, expected: str, got: str, *shown: CallResult) -> None:
        self.context.check.count(rule_id)
        if not holds:
            self._fail(Violation(rule_id, cause, expected, got), *shown)

    # Creates

    def create(self, step: Case) -> None:
        organisation = self._organisation(step)
        single = bool(step.get("single")) and self.context.check.offers("create_run")
        operation = "create_run" if single else "bulk_create_runs"
        body = self._within_filter({**self._fields, **self.context.fill(step.get("fields", {}))})
        if not single:
            body["count"] = max(1, min(1000, int(step.get("count", 1))))
        key, token = self._key(), _TOKENS[organisation]
        written = self.context.write(operation, body=body, key=key, token=token)
        if not written.result.accepted or not written.clean:
            raise Inconclusive(f"{operation} answers {written.result.status}")
        self._add(organisation, written)
        self._keep_for_replay(lambda: self._send(operation, body=body, key=key, token=token), written.result, None)

    def _within_filter(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body that keeps its run within the filter by which all runs are listed."""
        kept = dict(body)
        if self._filter[0] == "session_id":
            kept = {name: value for name, value in body.items() if name not in {"start_session", "reuse_session"}}
        if "input_values" in self._fields and "input_values" in body:
            kept["input_values"] = {**(body["input_values"] or {}), **self._fields["input_values"]}
        return kept

    def _add(self, organisation: int, written: WriteResult) -> None:
        for run in written.runs:
            self.runs.append(ShadowRun(organisation, dict(run), written.parsed, [written.result]))

    def _organisation(self, step: Case) -> int:
        """Return 1 for the second organisation, only if it can create: it may not have the workflows of the first."""
        check = self.context.check
        return 1 if step.get("second") and check.has_second and check.workflows.invented else 0

    def _key(self) -> str:
        self._keys += 1
        return str(self.context.named(f"key:{self._keys}"))

    def chain(self, step: Case) -> None:
        if not self.context.check.offers("create_run_chain", "get_run") or self._filter[0] != "workflow_id":
            return
        body = {"steps": [{"workflow_id": self._fields["workflow_id"]}] * max(1, min(5, int(step.get("steps", 2))))}
        result = self.context.ask("create_run_chain", body=body)
        run_ids = result.body.get("run_ids") or []
        if not all(is_uuid(run_id) for run_id in run_ids):
            raise Inconclusive("a chain tells ids that are none")
        for run_id in run_ids:
            read = self.context.ask("get_run", run_id, after=[result])
            self.runs.append(ShadowRun(0, read.body, None, [result]))

    # Replays

    def _keep_for_replay(self, send: Callable[[], CallResult], first: CallResult, run: ShadowRun | None) -> None:
        self._writes.append(_KeyedWrite(send, first, run))

    def replay(self, step: Case) -> None:
        """Send a write again: it must get the same answer and have no effect, whatever has happened since."""
        if not self._writes:
            return
        kept = self._writes[-1 - int(step.get("back", 0)) % len(self._writes)]
        again = kept.send()
        same = again.status == kept.first.status and again.body == kept.first.body
        cause, expected = "another answer for the same key and body", "the answer of the first one"
        since = kept.run.shown if kept.run is not None else [kept.first]
        self._require(same, "IDEM-REPLAY", cause, expected, again.words, *since, kept.first, again)
        if kept.run is not None and not kept.run.is_deleted:
            kept.run.show(again)
            kept.run.rule = "IDEM-REPLAY"
            self._read(kept.run)

    # Changes

    def _pick(self, step: Case) -> ShadowRun | None:
        return self.runs[int(step.get("run", 0)) % len(self.runs)] if self.runs else None

    def _call_as_owner(self, run: ShadowRun, operation: str, **more: Any) -> CallResult:
        return self._send(operation, run.id, token=_TOKENS[run.organisation], **more)

    def _write_with_key(self, run: ShadowRun, operation: str, **more: Any) -> CallResult:
        key = self._key()
        result = self._call_as_owner(run, operation, key=key, **more)
        if result.accepted and not run.is_deleted:
            self._keep_for_replay(lambda: self._call_as_owner(run, operation, key=key, **more), result, run)
        return result

    def _is_gone(self, run: ShadowRun, result: CallResult) -> bool:
        """Return whether the run was deleted before. If so, the answer must be 404."""
        if run.is_deleted:
            cause = f"{result.operation} after the delete is not 404"
            self._require(result.status == 404, "DELETE-GONE", cause, "404", result.words, *run.shown, result)
        return run.is_deleted

    def update(self, step: Case) -> None:
        run, body = self._pick(step), self._within_filter(step.get("body", {}))
        if run is None or not self.context.check.offers("update_run"):
            return
        result = self._write_with_key(run, "update_run", body=body)
        if self._is_gone(run, result):
            return
        cause = "an update is refused"
        expected = "a valid update to be accepted"
        self._require(result.accepted, "REQ-ACCEPT", cause, expected, result.words, *run.shown, result)
        self._judge_change(run, result, body, "UPDATE-PARTIAL")

    def cancel(self, step: Case) -> None:
        run = self._pick(step)
        if run is None or not self.context.check.offers("update_run") or (run.has_ended and not run.is_deleted):
            return
        result = self._write_with_key(run, "update_run", body={"status": "cancelled"})
        if self._is_gone(run, result) or not result.accepted:
            return  # the run may have ended in the meantime
        self._judge_change(run, result, {"status": "cancelled"}, "UPDATE-PARTIAL")

    def retry(self, step: Case) -> None:
        run, body = self._pick(step), self._within_filter(step.get("body", {}))
        if run is None or not self.context.check.offers("retry_run") or not (run.has_ended or run.is_deleted):
            return
        result = self._write_with_key(run, "retry_run", body=body)
        if self._is_gone(run, result):
            return
        cause, expected = "a retry of an ended run is refused", "the run started again"
        self._require(result.accepted, "RETRY-RULES", cause, expected, result.words, *run.shown, result)
        self._judge_change(run, result, body, "RETRY-RULES")

    def _judge_change(self, run: ShadowRun, result: CallResult, body: Mapping[str, Any], rule_id: str) -> None:
        """Judge the answer to a write: the requested fields must have changed, and all others must be as before."""
        fail, after = self._fail, result.body
        self.context.check.count(rule_id)
        self._require_a_run(run, result, after, rule_id)
        for name, asked in body.items():
            problem = difference(asked, after.get(name)) if name in run.view or name in after else None
            if name in {"file_inputs", "reuse_session"} or problem is None:
                continue
            cause = "a run is not cancelled" if name == "status" else f"{name} is not changed"
            fail(Violation(rule_id, cause, f"{name} as asked", problem), *run.shown, result)
        retried = rule_id == "RETRY-RULES"
        if retried:
            status = after.get("status")
            if status != "scheduling":
                got = excerpt(json.dumps(status))
                fail(Violation(rule_id, "not back to scheduling", "status scheduling", got), *run.shown, result)
            for name in ("error", "output_data", "run_message_history", "output_attachment_ids"):
                if after.get(name):
                    got = excerpt(json.dumps(after[name]))
                    fail(Violation(rule_id, f"{name} is not cleared", "nothing left", got), *run.shown, result)
        names = [name for name in self._stable(run) if name not in body]
        if "file_inputs" in body:
            names.remove("input_attachment_ids")
        if body.get("reuse_session") is False:
            names = [name for name in names if name not in {"session_id", "release_session_after"}]
        if not retried and run.has_ended and "status" not in body:
            names += [name for name in (*_FINAL_FIELDS, "status") if name not in body]
        changed = changed_field(run.view, after, names, may_gain=gains_inputs(run.parsed))
        if changed is not None:
            name, problem = changed
            fail(Violation(rule_id, f"{name} changes too", f"{name} as before", problem), *run.shown, result)
        run.tell(result, rule_id)
        self._note_change(rule_id, run, result)

    def _note_change(self, rule_id: str, run: ShadowRun, result: CallResult) -> None:
        self._changes.append((rule_id, run, result))
        run.compared_at = len(self._changes)

    def _stable(self, run: ShadowRun) -> list[str]:
        return list(dict.fromkeys([*stable_fields(run.parsed), "input_values"]))

    def _require_a_run(self, run: ShadowRun, result: CallResult, view: Any, rule_id: str) -> None:
        errors = run_schema_errors(view)
        if errors:
            name, got = errors[0]
            cause = f"{name or 'a run'} is not of its schema"
            self._fail(Violation(rule_id, cause, f"{name} as documented", got), *run.shown, result)

    def delete(self, step: Case) -> None:
        run = self._pick(step)
        if run is None or not self.context.check.offers("delete_run"):
            return
        result = self._write_with_key(run, "delete_run")
        if self._is_gone(run, result):
            return
        self.context.expect_success(result, run.shown)
        run.show(result)
        run.is_deleted = True
        self._note_change("DELETE-GONE", run, result)

    # Comparing

    def read(self, step: Case) -> None:
        run = self._pick(step)
        if run is not None:
            self._read(run)

    def _read(self, run: ShadowRun) -> None:
        if not self.context.check.offers("get_run"):
            return
        result = self._call_as_owner(run, "get_run")
        if self._is_gone(run, result):
            return
        there = result.status == 200 and isinstance(result.body, dict)
        if not there and (other := self._change_of_another(run, is_gone=True)) is not None:
            cause = "another run is gone too"
            self._fail(Violation(other[0], cause, "the other runs still there", result.words), *other[1], result)
        cause = "a run cannot be read" if run.rule == "READ-BACK" else "a run is gone"
        self._require(there, run.rule, cause, "the run", result.words, *run.shown, result)
        self._compare(run, result, result.body)

    def _change_of_another(self, run: ShadowRun, *, is_gone: bool) -> tuple[str, list[CallResult]] | None:
        """Return the rule and the exchanges of a change to another run that may have affected this one. Only changes
        since this run was last seen to be correct count, and only if it was not changed itself. The last delete is
        preferred if this run is gone, otherwise the last other change.
        """
        if run.rule != "READ-BACK" or (run.compared_at or 0) >= len(self._changes):
            return None
        if run.compared_at is None and not self._another_reads_right(run):
            return None
        since = self._changes[run.compared_at or 0 :]
        alike = [change for change in since if (change[0] == "DELETE-GONE") == is_gone]
        rule_id, other, result = (alike or since)[-1]
        return rule_id, [*run.shown, *other.shown[1:], result]

    def _another_reads_right(self, run: ShadowRun) -> bool:
        """Return whether a new run, created in the same way and not changed, reads as its create reported it."""
        if run.parsed is None:
            return False
        token = _TOKENS[run.organisation]
        written = self.context.write(run.parsed.operation, body=run.parsed.body, token=token)
        if not written.runs or not written.clean:
            return False
        made = written.runs[-1]
        read = self._send("get_run", made["id"], token=token)
        names = self._stable(run)
        return isinstance(read.body, dict) and changed_field(made, read.body, names, may_gain=True) is None

    def _compare(self, run: ShadowRun, result: CallResult, view: Any) -> None:
        """Compare a run in a read or a list with its last known state."""
        fail = self._fail
        self.context.check.count(run.rule)
        self._require_a_run(run, result, view, "READ-BACK")
        before, status = str(run.view["status"]), str(view["status"])
        rule_id = "LIFECYCLE" if run.rule in {"READ-BACK", "UPDATE-PARTIAL"} else run.rule
        wrong = step_violation(before, status, rule_id)
        if wrong is not None:
            fail(wrong, *run.shown, result)
        rest = [*_FINAL_FIELDS, "machine_id"] if before == status and before in TERMINAL | {"scheduling"} else []
        if before == "scheduling":
            rest = rest[:-1]
        changed = changed_field(run.view, view, [*self._stable(run), *rest], may_gain=gains_inputs(run.parsed))
        if changed is not None:
            name, problem = changed
            if (other := self._change_of_another(run, is_gone=False)) is not None:
                cause, got = "another run changes too", f"{name}: {problem}"
                fail(Violation(other[0], cause, "the other runs as before", got), *other[1], result)
            fail(Violation(run.rule, f"{name} reads otherwise", f"{name} as told before", problem), *run.shown, result)
        run.view = {**run.view, **view}
        run.compared_at = len(self._changes)

    def look_at_list(self, step: Case) -> None:
        """List the runs of one organisation, in one or more pages, perhaps filtered by status, session or id."""
        check = self.context.check
        if not check.offers("list_runs") or not self.runs:
            return
        organisation = self._organisation(step)
        limit = max(1, min(MAX_LIMIT, int(step.get("limit", MAX_LIMIT))))
        there = [run for run in self.runs if run.organisation == organisation and not run.is_deleted]
        query = [self._filter, NEWEST_FIRST, *self._filter_for(step, there)]
        pages = read_pages(self.context, query, limit=limit, token=_TOKENS[organisation])
        found = None
        for found in itertools.islice(pages, _MAX_PAGES):
            if not found.pages[-1].is_full:
                break
        else:
            return
        self._judge_list(organisation, found)
        by_id = {run.id: run for run in there}
        for item in found.items[:12]:
            run = by_id.get(str(item.get("id")))
            if run is not None:
                self._compare(run, found.answer_with(item), item)

    def _filter_for(self, step: Case, there: Sequence[ShadowRun]) -> list[tuple[str, str]]:
        """Return a filter as query parameters."""
        by = step.get("by")
        run = there[int(step.get("run", 0)) % len(there)] if there else None
        if by == "cancelled":
            return [("status", "cancelled")]
        if by == "session" and run is not None and run.view.get("session_id") and self._filter[0] != "session_id":
            return [("session_id", run.view["session_id"])]
        if by == "id" and run is not None and self._filter[0] != "search":
            return [("search", run.id)]
        return []

    def _judge_list(self, organisation: int, found: RunList) -> None:
        fail = self._fail
        self.context.check.count("LIST-COMPLETE")
        known = {run.id: run for run in self.runs}
        for item in found.items:
            if str(item.get("id")) not in known and carries(item, *self._filter):
                replayed = any(kept.run is None for kept in self._writes) and self._has_replayed
                rule_id = "IDEM-REPLAY" if replayed else "LIST-COMPLETE"
                cause = "a repeat makes runs again" if replayed else "a run is listed that nobody made"
                made = [kept.first for kept in self._writes if kept.run is None]
                violation = Violation(rule_id, cause, "only runs that were made", str(item.get("id")))
                fail(violation, *made, *found.results[:2])
        candidates = [run.as_candidate(organisation) for run in self.runs]
        for fault in list_faults(found.pages, found.query, candidates):
            shown = known[fault.run_id].shown if fault.run_id is not None else []
            fail(fault.violation, *shown, *(found.results[number] for number in fault.pages))
        missing = missing_runs(found.pages, found.query, candidates)
        if missing:
            run = known[missing[0].id]
            rule_id, cause = self._why_missing(run, found)
            violation = Violation(rule_id, cause, "every run that matches", f"{len(missing)} runs missing")
            fail(violation, *run.shown, *found.results[:3])

    def _why_missing(self, run: ShadowRun, found: RunList) -> tuple[str, str]:
        if len(found.query) > 2:
            return "LIST-FILTER", misses_a_run(filter_names(found.query))
        if found.pages[-1].limit != MAX_LIMIT:
            whole = read_page(self.context, found.query, limit=MAX_LIMIT, token=_TOKENS[run.organisation], after=())
            if any(item.get("id") == run.id for item in whole.items):
                return "LIST-PAGE", "a run is on no page"
        other = self._change_of_another(run, is_gone=True)
        if other is not None:
            return other[0], "another run is gone too"
        return "LIST-COMPLETE", "a created run is not listed"

    @property
    def _has_replayed(self) -> bool:
        keys = [exchange.request.header("idempotency-key") for exchange in self.context.exchanges]
        return len({key for key in keys if key}) < len([key for key in keys if key])

    # The other organisation

    def cross_tenant_access(self, step: Case) -> None:
        """Try an operation on a run as the other organisation. It must be refused and must not change the run."""
        run = self._pick(step)
        operation = str(step.get("operation", "get_run"))
        if run is None or not self.context.check.has_second or not self.context.check.offers(operation):
            return
        bodies: dict[str, Any] = {"update_run": {"body": {"status": "cancelled"}}, "retry_run": {"body": {}}}
        result = self._send(operation, run.id, token=_TOKENS[1 - run.organisation], **bodies.get(operation, {}))
        cause = f"another organisation gets through with {operation}"
        expected = "404, since for another organisation the run does not exist"
        self._require(result.refused, "AUTH-TENANT", cause, expected, result.words, *run.shown, result)
        if operation != "get_run" and not run.is_deleted:
            run.show(result)
            run.rule = "AUTH-TENANT"
            self._read(run)


def run_model(context: CaseContext, case: Case) -> None:
    shadow = Shadow(context)
    for step in case["steps"]:
        shadow.step(step)
    shadow.finish()


def fixed_cases(check: CheckContext) -> list[Case]:
    """Return a few sequences that every check runs."""
    make = {"do": "create", "count": 3, "fields": CREATE_FIELDS[1]}
    cancel, retry, delete = ({"do": what, "run": 1} for what in ("cancel", "retry", "delete"))
    cross_tenant_steps: list[Case] = [
        {"do": "cross_tenant", "run": 1, "operation": name} for name in CROSS_TENANT_OPERATIONS
    ]
    updates: list[Case] = [{"do": "update", "run": 1, "body": body} for body in UPDATES]
    return [
        {"steps": [make, cancel, {"do": "list", "by": "cancelled"}, retry, {"do": "replay", "back": 1}]},
        {"steps": [make, {"do": "update", "run": 2, "body": UPDATES[0]}, {"do": "delete", "run": 0}, {"do": "list"}]},
        {"steps": [make, {"do": "create", "second": True}, {"do": "list", "second": True}, {"do": "replay"}]},
        {"steps": [make, delete, {"do": "replay", "back": 1}, make, {"do": "list", "limit": 2}]},
        {"steps": [make, delete, {"do": "delete", "run": 0}, {"do": "list"}, {"do": "delete", "run": 2}]},
        {"steps": [make, cancel, *updates, retry, *updates[::-1], cancel, *updates]},
        {"steps": [{"do": "chain", "steps": 3}, {"do": "delete", "run": 1}, {"do": "create", "single": True}]},
        {"steps": [make, *cross_tenant_steps, cancel, *cross_tenant_steps, retry, *cross_tenant_steps, cancel, retry]},
    ]


MODEL: Final = Scenario(
    "sequences of reads and writes",
    (
        *("READ-BACK", "LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER", "UPDATE-PARTIAL", "DELETE-GONE", "RETRY-RULES"),
        *("AUTH-TENANT", "IDEM-REPLAY", "LIFECYCLE"),
    ),
    run_model,
    fixed_cases,
    together=False,  # a sequence must not be blamed for the effects of another
    priority=6,
)
