"""One run of a case: sends the requests about it, and judges each answer by the model of the run.

`oracle.KnownRun` says what an answer may show. This module adds the exchanges that a finding about the run shows.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from contracts.core.exchange import TOKEN, Headers
from contracts.core.statuses import STATUSES, TERMINAL
from contracts.engine import CallResult, CaseContext, Inconclusive, WriteResult, assume
from contracts.oracle import KnownRun, ParsedRequest, Query, Violation, read_body
from contracts.oracle.known_run import CHANGEABLE

_CHANGES_IN_EVIDENCE: Final = 3
"""How many changes of a run `evidence` keeps, apart from its create. `repro_of` adds the earlier ones to a finding."""


@dataclass(eq=False)
class TrackedRun:
    """A run, its model, and the exchanges that a finding about it shows: its create and its last changes.

    If an answer breaks a rule that is not known to be broken, the methods raise RuleViolated. Otherwise they go on.
    All requests are sent with the token and the headers.
    """

    context: CaseContext
    known: KnownRun
    evidence: list[CallResult]
    token: str = TOKEN
    headers: Headers = ()
    last_read: CallResult | None = None

    @classmethod
    def of(
        cls,
        context: CaseContext,
        written: WriteResult,
        index: int = 0,
        *,
        token: str = TOKEN,
        headers: Headers = (),
    ) -> TrackedRun:
        known = KnownRun(written.runs[index % len(written.runs)], written.parsed)
        return cls(context, known, [written.result], token, headers)

    @classmethod
    def all_of(cls, context: CaseContext, written: WriteResult) -> list[TrackedRun]:
        return [cls.of(context, written, index) for index in range(len(written.runs))]

    @property
    def id(self) -> str:
        return self.known.id

    def files(self, kind: Literal["input", "output"] = "input") -> list[str]:
        """Return the ids of its attachments of one type, as the last answer showed them."""
        return self.known.view.get(f"{kind}_attachment_ids") or []

    def add_evidence(self, result: CallResult) -> None:
        """Add a change to the evidence, which keeps the create and the last changes."""
        create, *changes = self.evidence
        self.evidence = [create, *[*changes, result][-_CHANGES_IN_EVIDENCE:]]

    @property
    def read_before(self) -> list[CallResult]:
        """The last read, if no request has changed the run: it is the evidence that the run has ended by itself."""
        return [self.last_read] if self.last_read is not None and len(self.evidence) == 1 else []

    # Judging

    def report_violation(self, violation: Violation, *more: CallResult, is_proof: bool = False) -> None:
        self.context.report_violation(violation, *self.evidence, *more, is_proof=is_proof)

    def judge(self, rule: str, violations: Iterable[Violation], *more: CallResult) -> bool:
        """Like `CaseContext.judge`, but by the `report_violation` of this class, which a subclass overrides."""
        self.context.count(rule, *more)
        holds = True
        for violation in violations:
            holds = False
            self.report_violation(violation, *more)
        return holds

    def require(self, holds: object, rule: str, cause: str, expected: str, *more: CallResult, got: str = "") -> bool:
        """As `CaseContext.require`, with the evidence of the run before the results."""
        violations = [] if holds else [Violation(rule, cause, expected, got or more[-1].words)]
        return self.judge(rule, violations, *more)

    def require_file(
        self,
        attachment: str,
        sent: Iterable[Mapping[str, Any]],
        rule: str,
        cause: str,
        expected: str,
        *more: CallResult,
    ) -> Mapping[str, Any] | None:
        """Require that an attachment can be downloaded as one of the files that were sent: the ids need not be in their
        order. Return that file; None if it is none of them, or if the target does not offer downloads.
        """
        if not self.context.check.offers("download_run_attachment"):
            return None
        result = self.context.call("download_run_attachment", attachment, token=self.token, headers=self.headers)
        same = (file for file in sent if base64.b64decode(file["content"]) == result.answer.body)
        found = next(same, None) if result.status == 200 else None
        self.require(found is not None, rule, cause, expected, *more, result)
        return found

    # Requests

    def list_files(self, kind: Literal["input", "output", ""]) -> list[CallResult]:
        """List the attachments of the run, or only those of one type. Return the answer, if the target offers it."""
        if not self.context.check.offers("list_run_attachments"):
            return []
        query = [("run_id", self.id), *([("attachment_type", kind)] if kind else [])]
        return [self.context.call("list_run_attachments", query=query, token=self.token, headers=self.headers)]

    def call(self, operation: str, **more: Any) -> CallResult:
        return self.context.call(operation, self.id, token=self.token, headers=self.headers, **more)

    def update(self, body: Mapping[str, Any], *, key: str | None = None) -> CallResult:
        result = self.call("update_run", body=body, key=key)
        parsed = read_body("update_run", body)
        if self.judge_if_deleted(result):
            return result
        is_right = result.refused or (result.accepted and not parsed.is_invalid)
        assume(is_right, f"an update answers {result.status}")  # other scenarios judge this
        if result.accepted:
            self.judge_update(body, result)
        else:
            may_be_refused = {"output_attachment_ids", *(() if self.known.has_ended else ("ended_at",))}
            expected = "a success, since the update is valid"
            holds = not parsed.is_valid or not set(body) <= set(CHANGEABLE) - may_be_refused
            self.require(holds, "REQ-ACCEPT", "an update is refused", expected, result)
            if body == {"status": "cancelled"} and not self.known.has_ended and self.context.check.offers("get_run"):
                self._judge_refused_cancel(result)
        return result

    def judge_update(self, body: Mapping[str, Any], result: CallResult) -> None:
        """Judge the answer to an update that was accepted."""
        self.context.expect_success(result, self.evidence)
        self.judge("UPDATE-PARTIAL", self.known.update_violations(body, result.body), result)
        self.known = self.known.after_update(body, self._run_in(result))
        self.add_evidence(result)

    def _judge_refused_cancel(self, refused: CallResult) -> None:
        """Judge by a read whether a cancel may be refused: the run has ended, or its status is running_checks."""
        read = self.read()
        if self.known.status in {"scheduling", "running"}:
            cause, expected = "update_run refuses a good request", "a success, since the run has not ended"
            got = f"{refused.words}, and then status {self.known.status}"
            self.require(False, "UPDATE-PARTIAL", cause, expected, refused, read, got=got)
            raise Inconclusive("a run cannot be cancelled")

    def cancel(self) -> None:
        """Cancel the run. If that is refused, wait until the run ends by itself. Raises Inconclusive if it does not."""
        result = self.update({"status": "cancelled"})
        if result.accepted:
            assume(self.known.has_ended, "a run cannot be cancelled")
            return
        for _ in range(20):
            if self.known.has_ended:
                return
            self.context.wait(0.1)
            self.read()
        raise Inconclusive("a run cannot be cancelled, nor does it end")

    def retry(self, body: Mapping[str, Any], *, key: str | None = None) -> WriteResult:
        """Retry the run, which has ended or was deleted."""
        written = self.context.write("retry_run", self.id, body=body, token=self.token, headers=self.headers, key=key)
        result = written.result
        if self.judge_if_deleted(result):
            return written
        assume(result.refused or result.accepted, f"a retry answers {result.status}")  # NO-5XX judges this
        before = self.read_before
        assume(result.refused or not written.parsed.is_invalid, "an invalid retry is accepted")
        if result.accepted:
            self.judge_retry(written.parsed, result)
        elif written.parsed.is_valid and not self.context.may_refuse_fields(written.parsed, result):
            cause, expected = "a retry of an ended run is refused", "a success, since the run has ended"
            self.require(False, "RETRY-RULES", cause, expected, *before, result)
        return written

    def judge_retry(self, parsed: ParsedRequest, result: CallResult) -> None:
        """Judge the answer to a retry that was accepted."""
        before = self.read_before
        self.context.expect_success(result, self.evidence)
        self.judge("RETRY-RULES", self.known.retry_violations(parsed, result.body), *before, result)
        self.known = self.known.after_retry(parsed, self._run_in(result))
        self.add_evidence(result)

    def delete(self, *, key: str | None = None) -> CallResult:
        result = self.call("delete_run", key=key)
        if self.judge_if_deleted(result):
            return result
        self.context.expect_success(result, self.evidence)
        self.require(not result.answer.body, "DELETE-GONE", "a 204 with a body", "204 without a body", result)
        self.known = self.known.after_delete()
        self.add_evidence(result)
        return result

    def judge_if_deleted(self, result: CallResult) -> bool:
        """Return whether the run was deleted. If so, any operation on it must be answered 404."""
        if self.known.is_deleted:
            wrong = self.known.gone_violations(str(result.operation), result.status, result.words)
            self.judge("DELETE-GONE", wrong, result)
        return self.known.is_deleted

    def read(self, query: Query = ()) -> CallResult:
        """Read the run and judge the answer. Raises Inconclusive if a run that was not deleted cannot be read."""
        result = self.call("get_run", query=query)
        if self.judge_if_deleted(result):
            return result
        if result.accepted:
            self.context.expect_success(result, self.evidence)
        if result.resource is None:
            self.fail_missing(result)
            raise Inconclusive("a run cannot be read")
        self.compare(result.resource, result)
        return result

    def fail_missing(self, result: CallResult) -> None:
        """Fail because a read of the run did not show it."""
        cause = "a run cannot be read" if self.known.rule == "READ-BACK" else "a run is gone"
        self.report_violation(Violation(self.known.rule, cause, "200 with the run", result.words), result)

    def compare(self, view: dict[str, Any], result: CallResult, *, is_partial: bool = False) -> None:
        """Judge the run as an answer shows it now. A partial view has only the fields that a list was asked for.

        What only a list shows otherwise is not taken over: the next answer about the run itself would seem wrong.
        """
        wrong: set[str] = set()
        ends_twice = self.known.has_ended and view.get("status") in TERMINAL - {self.known.status}
        for violation in self.known.read_violations(view, is_partial=is_partial):
            is_of_status = violation.rule == "LIFECYCLE"
            before = [self.last_read] if is_of_status and self.last_read is not None else []
            # Nothing else changes the run, so one answer with another value proves the violation. Only the status
            # changes by itself: there, two different final statuses are a proof.
            self.report_violation(violation, *before, result, is_proof=ends_twice or not is_of_status)
            wrong.add(violation.field)
        self.context.count(self.known.rule, result)
        self.context.count("LIFECYCLE", result)
        if view.get("status") in STATUSES and not is_partial:
            is_own = result.operation == "get_run"
            shown = view if is_own else {name: value for name, value in view.items() if name not in wrong}
            self.known, self.last_read = self.known.after_read(shown), result

    def read_unchanged(self, result: CallResult, rule: str, cause: str) -> None:
        """Read the run after a request that must not have changed it."""
        read = self.context.call_valid("get_run", self.id, token=self.token, after=[*self.evidence, result])
        self.judge(rule, self.known.unchanged_violations(rule, cause, read.body), result, read)

    @staticmethod
    def _run_in(result: CallResult) -> dict[str, Any]:
        if not isinstance(result.body, dict) or result.body.get("status") not in STATUSES:
            raise Inconclusive(f"the answer to {result.operation} shows no run")
        return result.body
