"""A model of the target: the runs of two organisations, and what each answer about them must show.

The rules test each operation closely, but by itself. Here operations come in any order, and each answer is judged by
all earlier ones. `Model` executes the steps of a sequence (`steps`); Hypothesis generates sequences (`step_sequences`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from contracts.core.counting import counted
from contracts.engine import CallResult, CaseContext, Inconclusive, Scenario, WriteResult, assume
from contracts.engine.same_fault import KEY_IS_IGNORED
from contracts.explore import steps
from contracts.explore.model_run import TOKENS, Change, ModelRun, answered, fail
from contracts.oracle import KnownRun, Query, Violation
from contracts.oracle.run_list import FOREIGN, list_violations, missing_runs
from contracts.rules.isolated_runs import isolating_fields
from contracts.rules.list_checks import why_missing
from contracts.rules.list_reads import NEWEST_FIRST, RunList, has_filter_value, read_pages
from contracts.rules.writes import create_chain

_MAX_PAGES: Final = 12
_COMPARED: Final = 12
"""How many runs of a page are compared with their models."""
_INVARIANT_RULES: Final = frozenset({"LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER", "READ-BACK"})


@dataclass(frozen=True)
class _KeyedWrite:
    """A write that can be repeated with its idempotency key. `run` is the run that it changed; None for a create."""

    send: Callable[[], CallResult]
    first: CallResult
    organisation: int
    run: ModelRun | None


class Model:
    """Executes steps and judges the answers. A step that is not possible in the current state is skipped."""

    def __init__(self, context: CaseContext) -> None:
        self.context = context
        self.runs: dict[str, ModelRun] = {}
        self._filter, self._fields = isolating_fields(context)
        self._writes: dict[str, _KeyedWrite] = {}
        self._changes: list[Change] = []
        self._to_list: set[int] = set()
        """The organisations in which something was written since their runs were last listed."""
        self._has_repeated = False

    def run_step(self, step: steps.Step) -> list[str]:
        """Execute a step and return the names of the runs that it created."""
        before = len(self.runs)
        match step:
            case steps.Create():
                self._create(step)
            case steps.CreateChain():
                self._create_chain(step)
            case steps.RepeatStep():
                self._repeat(step)
            case steps.ListRuns():
                self._list(step)
            case steps.WriteStep() if step.run in self.runs:
                self._write(self.runs[step.run], step)
            case steps.Read() if step.run in self.runs and self.context.check.offers("get_run"):
                self.runs[step.run].read()
            case steps.CrossTenantAccess() if step.run in self.runs and self.context.check.has_second:
                self._access_as_other(self.runs[step.run], step.operation)
        return list(self.runs)[before:]

    def judge_invariants(self) -> None:
        """Judge that the list of each organisation shows exactly the runs that exist, each as it is known.

        If a rule about these lists is known to be broken, they are not judged: each sequence would end at its first
        step.
        """
        known = {rule for rule, _ in self.context.check.known_violations}
        if not known & _INVARIANT_RULES:
            for organisation in sorted(self._to_list):
                self._list(steps.ListRuns(is_second=organisation == 1))
        self._to_list.clear()

    def finish(self) -> None:
        """Read up to five runs that were changed or deleted one by one."""
        if self.context.check.offers("get_run"):
            for run in [run for run in self.runs.values() if run.known.rule != "READ-BACK"][:5]:
                run.read()

    # Creates

    def _create(self, step: steps.Create) -> None:
        organisation = self._organisation(step.is_second)
        is_single = step.is_single and self.context.check.offers("create_run")
        operation = "create_run" if is_single else "bulk_create_runs"
        body = self._within_filter({**self._fields, **self.context.fill(step.fields)})
        if not is_single:
            body["count"] = max(1, min(1000, step.count))
        more: dict[str, Any] = {"body": body, "key": self._key(step.name), "token": TOKENS[organisation]}
        written = self.context.write(operation, **more)
        if not written.result.accepted or not written.runs_are_reliable:
            raise Inconclusive(f"{operation} answers {written.result.status}")
        self._add(step.name, written, organisation)
        send = partial(self.context.call, operation, **more)
        self._keep(step.name, _KeyedWrite(send, written.result, organisation, None))

    def _organisation(self, is_second: bool) -> int:
        """Return 1 if the second organisation is meant and can create runs, otherwise 0. It can if the target accepts
        any workflow: it may not have the workflows of the first organisation.
        """
        return int(is_second and self.context.check.has_second and self.context.check.workflows.accepts_any_id)

    def _within_filter(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body whose run still matches the filter by which all runs are listed."""
        kept = dict(body)
        if self._filter[0] == "session_id":
            kept = {name: value for name, value in body.items() if name not in {"start_session", "reuse_session"}}
        if "input_values" in self._fields and "input_values" in body:
            kept["input_values"] = {**(body["input_values"] or {}), **self._fields["input_values"]}
        return kept

    def _key(self, name: str) -> str:
        return str(self.context.placeholder(f"key:{name}"))

    def _keep(self, name: str, write: _KeyedWrite) -> None:
        self._writes[name] = write
        self._to_list.add(write.organisation)

    def _create_chain(self, step: steps.CreateChain) -> None:
        if not self.context.check.offers("create_run_chain", "get_run") or self._filter[0] != "workflow_id":
            return
        body = {"steps": [{"workflow_id": self._fields["workflow_id"]}] * max(1, min(5, step.steps))}
        self._add(step.name, create_chain(self.context, body), 0)
        self._to_list.add(0)

    def _add(self, name: str, written: WriteResult, organisation: int) -> None:
        for number, view in enumerate(written.runs, start=1):
            self.runs[f"{name}.{number}"] = ModelRun(
                self.context,
                KnownRun(view, written.parsed),
                [written.result],
                TOKENS[organisation],
                organisation=organisation,
                changes=self._changes,
            )

    # Writes, and their repeats

    def _write(self, run: ModelRun, step: steps.WriteStep) -> None:
        kind, was_deleted = step.event.kind, run.known.is_deleted
        operation = "update_run" if kind == "cancel" else f"{kind}_run"
        can_be_done = {"cancel": not run.known.has_ended, "retry": run.known.has_ended}.get(kind, True)
        if not self.context.check.offers(operation) or not (was_deleted or can_be_done):
            return
        more: dict[str, Any] = {"key": self._key(step.name)}
        if kind != "delete":
            more["body"] = {"status": "cancelled"} if kind == "cancel" else self._within_filter(step.event.body)
        match kind:
            case "retry":
                result = run.retry(**more).result
            case "delete":
                result = run.delete(**more)
            case _:
                result = run.update(**more)
        if result.accepted and not was_deleted:
            run.note_change(result)
            self._keep(step.name, _KeyedWrite(partial(run.call, operation, **more), result, run.organisation, run))

    def _repeat(self, step: steps.RepeatStep) -> None:
        """Send a write again: it must get the same answer and have no effect, whatever has happened since."""
        write = self._writes.get(step.write) or self._writes.get(step.write.rpartition(".")[0])
        if write is None:
            return
        if write.run is not None:
            self._read_before(write.run)
        again, self._has_repeated = answered(write.send()), True
        self.context.count("IDEM-REPLAY", again)
        if again.status != write.first.status or again.body != write.first.body:
            cause, expected = KEY_IS_IGNORED, "the answer of the first one"
            since = write.run.evidence if write.run is not None else []
            fail(self.context, Violation("IDEM-REPLAY", cause, expected, again.words), *since, write.first, again)
        self._to_list.add(write.organisation)
        if write.run is not None and self.context.check.offers("get_run"):
            if write.run.known.is_deleted:
                write.run.read()
            else:
                write.run.read_unchanged(again, "IDEM-REPLAY", "a repeat changes a run")

    def _read_before(self, run: ModelRun) -> None:
        """Read a run before a request that must not change it: for what the read shows, that one is not to blame."""
        if not run.known.is_deleted and self.context.check.offers("get_run"):
            had_ended = run.known.has_ended
            run.read()
            assume(had_ended or run.known.status != "cancelled", "a run is cancelled that no request has cancelled")

    # Lists

    def _list(self, step: steps.ListRuns) -> None:
        """List the runs of one organisation, in one or more pages, perhaps filtered by status, session or id."""
        limit = max(1, min(1000, step.limit))
        if not self.context.check.offers("list_runs") or not self.runs or len(self.runs) > _MAX_PAGES * limit:
            return
        organisation = self._organisation(step.is_second)
        query: Query = [self._filter, *self._narrowing(step), NEWEST_FIRST]
        *_, found = read_pages(self.context, query, limit=limit, token=TOKENS[organisation])
        by_id = {run.id: run for run in self.runs.values()}
        candidates = [
            run.known.candidate(None if run.organisation == organisation else FOREIGN) for run in by_id.values()
        ]
        self.context.count("LIST-COMPLETE", *found.results)
        for item in found.items:
            if item.get("id") not in by_id and has_filter_value(item, *self._filter):
                self._fail_unknown_run(str(item.get("id")), found)
        for wrong in list_violations(found.pages, query, candidates, are_all=True):
            evidence = [] if wrong.run_id is None else by_id[wrong.run_id].evidence
            fail(self.context, wrong.violation, *evidence, *found.answers_with(wrong))
        missing = missing_runs(found.pages, query, candidates)
        if missing:
            self._fail_missing(by_id[missing[0].id], len(missing), found, limit)
        for page, result in zip(found.pages, found.results, strict=True):
            for item in page.items[:_COMPARED]:
                if item.get("id") in by_id:
                    by_id[item["id"]].compare(item, result)

    def _narrowing(self, step: steps.ListRuns) -> Query:
        """Return the further filter that the step asks for; empty if there is none, or its run does not exist."""
        if step.by == "cancelled":
            return [("status", "cancelled")]
        run = self.runs.get(step.run)
        session = None if run is None else run.known.view.get("session_id")
        if step.by == "session" and session and self._filter[0] != "session_id":
            return [("session_id", session)]
        if step.by == "id" and run is not None and self._filter[0] != "search":
            return [("search", run.id)]
        return []

    def _fail_unknown_run(self, run_id: str, found: RunList) -> NoReturn:
        rule = "IDEM-REPLAY" if self._has_repeated else "LIST-COMPLETE"
        cause = "a repeat creates runs again" if self._has_repeated else "a list shows a run that nobody created"
        creates = [write.first for write in self._writes.values() if write.run is None]
        violation = Violation(rule, cause, "only runs that were created", f"run {run_id}, which no answer reported")
        fail(self.context, violation, *creates, *found.results[:2])

    def _fail_missing(self, run: ModelRun, count: int, found: RunList, limit: int) -> NoReturn:
        run.fail_by_another("another run is gone too", f"a list without run {run.id}", found.results[0], is_gone=True)
        if self.context.check.offers("get_run"):
            run.read()  # it may be gone
        rule, cause = "LIST-COMPLETE", "a created run is not listed"
        if run.organisation == 0:  # `why_missing` lists as the first organisation
            rule, cause = why_missing(self.context, run.known.view, found.query, limit=limit, base=[self._filter])
        more = f" and {counted(count - 1, 'more run')}" if count > 1 else ""
        got = f"a list without run {run.id}{more}"
        fail(self.context, Violation(rule, cause, "every run that matches", got), *run.evidence, *found.results[:3])

    # The other organisation

    def _access_as_other(self, run: ModelRun, operation: str) -> None:
        """Try an operation on a run as the other organisation. It must be refused and must not change the run."""
        if not self.context.check.offers(operation, "get_run"):
            return
        token = TOKENS[1 - run.organisation]
        if operation != "get_run":
            self._read_before(run)
        result = answered(self.context.call(operation, run.id, token=token, **steps.CROSS_TENANT_BODIES[operation]))
        cause = f"another organisation may use {operation}"
        expected = "404, since for another organisation the run does not exist"
        run.require(result.refused, "AUTH-TENANT", cause, expected, result)
        if operation != "get_run" and not run.known.is_deleted:
            run.read_unchanged(result, "AUTH-TENANT", "a refused request of another organisation changes a run")


def run_sequence(context: CaseContext, case: steps.SequenceCase) -> None:
    model = Model(context)
    for step in case.steps:
        model.run_step(step)
        model.judge_invariants()
    model.finish()


SEQUENCES: Final = Scenario(
    "sequences of reads and writes",
    (
        *("READ-BACK", "LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER", "UPDATE-PARTIAL", "DELETE-GONE", "RETRY-RULES"),
        *("AUTH-TENANT", "IDEM-REPLAY", "LIFECYCLE"),
    ),
    run_sequence,
    lambda check: steps.fixed_sequences(),
    is_parallel=False,  # a sequence must not be blamed for the effects of another
    order=6,
)
