"""A run of a sequence: judged like any tracked run, but a difference may be the effect of a change to another run.

A sequence ends at its first violation, even if that is known already: what follows may have the same cause.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, NoReturn

from contracts.core.exchange import SECOND_TOKEN, TOKEN
from contracts.engine import CallResult, CaseContext, Inconclusive, assume
from contracts.oracle import KnownRun, Violation
from contracts.rules.tracked_run import TrackedRun

TOKENS: Final = (TOKEN, SECOND_TOKEN)


def fail(context: CaseContext, violation: Violation, *evidence: CallResult) -> NoReturn:
    """Raises RuleViolated, or Inconclusive if a violation with this cause is known already, whatever its rule."""
    if context.only is not None or not context.check.knows_cause(violation):
        context.report_violation(violation, *evidence)
    raise Inconclusive(f"{violation.rule} is known to be broken")


def answered(result: CallResult) -> CallResult:
    """Return the result. Raises Inconclusive unless it is a success or a refusal."""
    assume(result.accepted or result.refused, f"{result.operation} answers {result.status}")
    return result


@dataclass(frozen=True)
class Change:
    """A change that the target has carried out. `rule` is broken if it has changed another run too."""

    rule: str
    run: ModelRun
    result: CallResult


@dataclass(eq=False)
class ModelRun(TrackedRun):
    """`changes` are those of all runs, in order. The organisation is 0 or 1."""

    _: KW_ONLY
    organisation: int
    changes: list[Change]
    compared_at: int | None = None
    """The number of changes when an answer last showed that this run is correct."""

    def call(self, operation: str, **more: Any) -> CallResult:
        return answered(super().call(operation, **more))

    def report_violation(self, violation: Violation, *more: CallResult, is_proof: bool = False) -> NoReturn:
        fail(self.context, violation, *self.evidence, *more)

    def note_change(self, result: CallResult) -> None:
        self.changes.append(Change(self.known.rule, self, result))
        self.compared_at = len(self.changes)

    def compare(self, view: dict[str, Any], result: CallResult, *, is_partial: bool = False) -> None:
        changed = self.known.difference_from(view)
        if changed is not None:
            self.fail_by_another("another run changes too", ": ".join(changed), result, is_gone=False)
        super().compare(view, result, is_partial=is_partial)
        self.compared_at = len(self.changes)

    def fail_missing(self, result: CallResult) -> None:
        self.fail_by_another("another run is gone too", result.words, result, is_gone=True)
        super().fail_missing(result)

    def fail_by_another(self, cause: str, got: str, result: CallResult, *, is_gone: bool) -> None:
        """Fail if the run is not as before because another one was changed."""
        change = self._change_of_another(is_gone=is_gone)
        if change is not None:
            violation = Violation(change.rule, cause, "the other runs as before", got)
            fail(self.context, violation, *self.evidence, *change.run.evidence[1:], change.result, result)

    def _change_of_another(self, *, is_gone: bool) -> Change | None:
        """Return the change to another run that has probably affected this one; None if there is none.

        Only changes since an answer last showed this run to be correct are considered, and only if this run was not
        changed itself. If this run is gone, the last delete is preferred, otherwise the last change of another kind.
        """
        if self.known.rule != "READ-BACK" or (self.compared_at or 0) >= len(self.changes):
            return None
        if self.compared_at is None and not self._another_reads_right():
            return None
        since = self.changes[self.compared_at or 0 :]
        alike = [change for change in since if (change.rule == "DELETE-GONE") == is_gone]
        return (alike or since)[-1]

    def _another_reads_right(self) -> bool:
        """Return whether a new run, created in the same way and not changed, reads as its create reported it."""
        request = self.known.created_by
        if request is None or request.operation == "create_run_chain":
            return False
        written = self.context.write(request.operation, body=request.body, token=self.token)
        if not written.runs or not written.runs_are_reliable:
            return False
        run = KnownRun(written.runs[-1], written.parsed)
        read = self.context.call("get_run", run.id, token=self.token)
        return isinstance(read.body, dict) and run.difference_from(read.body) is None
