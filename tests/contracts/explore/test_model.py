"""The model of sequences: silent where nothing is wrong, and finding what only a sequence of steps shows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.check import check, fuzz
from contracts.core.findings import Finding
from contracts.core.target import Target
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive, OutOfTime, RuleViolated
from contracts.engine.runner import Runner
from contracts.explore import exploration, step_sequences
from contracts.explore.model import SEQUENCES, Model, run_sequence
from contracts.explore.steps import (
    Create,
    CreateChain,
    CrossTenantAccess,
    ListRuns,
    Read,
    RepeatStep,
    SequenceCase,
    Step,
    WriteStep,
)
from contracts.guard import Guard
from contracts.plan import plan
from contracts.rules import REGISTRY
from contracts.rules.run_events import Event
from tests.contracts.explore.runners import LONG_S, running, target_at
from tests.processes import served
from tests.standin.behaviour import Settings, Standin
from tests.standin.serving import serving

RUNS_STAY_ACTIVE = Settings(running_s=2 * LONG_S)
"""A step that cancels a run is skipped if the run has ended, as it may have on a busy machine."""


def explored(target: Target, folder: Path, *, examples: int, round_number: int = 0) -> Runner:
    with running(target, folder) as runner:
        until = time.monotonic() + LONG_S
        with step_sequences.exploring_step_sequences(
            runner, REGISTRY, examples=examples, until=until, round_number=round_number
        ):
            pass
    return runner


@pytest.mark.matrix
@pytest.mark.parametrize(
    "variations", [(), ("bulk_only",), ("unknown_workflow_refused",), ("no_list",), ("runs_end_at_once",)]
)
def test_nothing_is_found_in_a_healthy_server(variations: tuple[str, ...], tmp_path: Path) -> None:
    with serving(variations=variations) as url:
        runner = explored(target_at(url), tmp_path, examples=6)

    assert runner.findings == []
    assert runner.unstable == []
    assert not runner.check.internal_errors
    assert runner.check.judged["READ-BACK"] > 10 or "get_run" in runner.check.not_offered


def test_nothing_is_found_in_the_mock(tmp_path: Path) -> None:
    with served() as url:
        runner = explored(target_at(url, "test-one", "test-two"), tmp_path, examples=12)

    assert (runner.findings, runner.unstable, runner.check.internal_errors) == ([], [], {})
    assert runner.check.judged["RETRY-RULES"] > 5


class UpdateAfterRetryForgetsInputs(Standin):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.retried: set[str] = set()

    def again(self, org: Any, run: Any) -> None:
        super().again(org, run)
        self.retried.add(run.id)

    def change(self, run: Any, name: str, value: Any) -> None:
        super().change(run, name, value)
        if run.id in self.retried and name == "output_data":
            run.input_values = None


class SecondDeleteBringsBackTheFirst(Standin):
    last: Any = None

    def forget(self, org: Any, run: Any) -> None:
        before, self.last = self.last, run
        super().forget(org, run)
        if before is not None and (before.workflow_id, before.organization_id) == (
            run.workflow_id,
            run.organization_id,
        ):
            org.runs[before.id] = before
            self.last = None


class CancelledRunsAreEverybodys(Standin):
    def find(self, call: Any, run_id: str) -> Any:
        for organisation in self.organisations.values():
            run = organisation.runs.get(run_id)
            if run is not None and run.status == "cancelled" and call.operation == "get_run":
                return run
        return super().find(call, run_id)


class DeleteForgetsTheKeys(Standin):
    def forget(self, org: Any, run: Any) -> None:
        super().forget(org, run)
        org.keys.clear()


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (UpdateAfterRetryForgetsInputs, "UPDATE-PARTIAL"),
        (SecondDeleteBringsBackTheFirst, "DELETE-GONE"),
        (CancelledRunsAreEverybodys, "AUTH-TENANT"),
        (DeleteForgetsTheKeys, "IDEM-REPLAY"),
    ],
)
def test_a_fault_that_only_a_sequence_of_steps_shows_is_found(kind: type[Standin], rule: str, tmp_path: Path) -> None:
    with serving(kind, settings=RUNS_STAY_ACTIVE) as url:
        runner = explored(target_at(url), tmp_path, examples=10)

    assert {(finding.rule, finding.stable) for finding in runner.findings} == {(rule, True)}
    assert len(runner.findings[0].exchanges) > 1


MAKE = Create("first", {"input_values": {"a": 1}}, 3)
LIST = ListRuns()
ONE, TWO, THREE = "first.1", "first.2", "first.3"
CANCEL, DELETE = WriteStep("cancel", TWO, Event("cancel")), WriteStep("delete", TWO, Event("delete"))
RETRY = WriteStep("retry", TWO, Event("retry"))


def update(body: dict[str, Any]) -> WriteStep:
    return WriteStep("update", TWO, Event("update", body))


def shown_by(steps: list[Step], folder: Path, defect: str | type[Standin] | None = None) -> tuple[str, str] | None:
    """(rule, cause) of what a sequence shows of a stand-in with that defect."""
    with serving(defect, settings=RUNS_STAY_ACTIVE) as url, running(target_at(url), folder) as runner:
        try:
            run_sequence(CaseContext(runner.check), SequenceCase(tuple(steps)))
        except RuleViolated as shown:
            return shown.rule, shown.cause
    return None


@pytest.mark.parametrize(
    ("defect", "rule", "cause", "steps"),
    [
        (
            "neighbours_change_too",
            "UPDATE-PARTIAL",
            "another run changes too",
            [update({"input_values": {}})],
        ),
        ("neighbour_goes_too", "DELETE-GONE", "another run is gone too", [DELETE, Read(ONE), Read(THREE)]),
        ("skip_off_by_one_with_filter", "LIST-PAGE", "a page has fewer items than total says", [ListRuns(1)]),
        ("page_past_end_repeats", "LIST-PAGE", "a run on two pages", [ListRuns(3)]),
        ("total_counts_deleted", "DELETE-GONE", "a deleted run is counted", [DELETE, LIST]),
        ("cancelled_unlisted", "LIST-COMPLETE", "a created run is not listed", [CANCEL, LIST]),
        ("retried_listed_twice", "LIST-COMPLETE", "a run twice in one page", [CANCEL, RETRY, LIST]),
        (
            *("third_is_handled_again", "IDEM-REPLAY", "another answer for the same key and body"),
            [RepeatStep("first"), RepeatStep("first")],
        ),
        ("cancelled_not_retried", "RETRY-RULES", "a retry of an ended run is refused", [CANCEL, RETRY]),
        ("retry_empties_inputs", "RETRY-RULES", "input_values change too", [CANCEL, RETRY]),
        (
            *("retry_with_files_is_new_run", "RETRY-RULES", "retry_run answers with another resource"),
            [
                CANCEL,
                WriteStep("retry", TWO, Event("retry", {"file_inputs": [{"filename": "a.txt", "content": "YQ=="}]})),
            ],
        ),
        (
            "inputs_merged",
            "UPDATE-PARTIAL",
            "input_values is not as asked",
            [update({"input_values": {"b": 2}})],
        ),
        (
            *("cancel_forgets_tenant", "AUTH-TENANT", "another organisation may use update_run"),
            [CrossTenantAccess(TWO, "update_run")],
        ),
        ("retry_brings_back", "DELETE-GONE", "retry_run after the delete is not 404", [DELETE, RETRY]),
        (
            *("aliases_change_at_every_read", "READ-BACK", "sensitive_input_aliases reads differently"),
            [Create("second", {"sensitive_input_values": {"pin": "«secret»"}}), Read("second.1")],
        ),
    ],
)
def test_a_fault_is_attributed_to_the_change_that_caused_it(
    defect: str, rule: str, cause: str, steps: list[Step], tmp_path: Path
) -> None:
    sequence = [MAKE, *steps]

    assert shown_by(sequence, tmp_path) is None
    assert shown_by(sequence, tmp_path, defect) == (rule, cause)


class NotCleared(Standin):
    def clear(self, org: Any, run: Any) -> None:
        run.started_at = run.ended_at = None


class RetriedRunsRunAtOnce(Standin):
    def again(self, org: Any, run: Any) -> None:
        super().again(org, run)
        run.status = "running"


class CancelDoesNothing(Standin):
    def move(self, org: Any, run: Any, status: Any) -> None:
        return


class CancelledRunsGoOn(Standin):
    def show(self, run: Any, where: str, *more: Any) -> Any:
        return super().show(run, where, *more) | (
            {"status": "running"} if where == "get_run" and run.status == "cancelled" else {}
        )


class ReadsAreBroken(Standin):
    def show(self, run: Any, where: str, *more: Any) -> Any:
        return super().show(run, where, *more) | ({"created_at": 5} if where == "get_run" else {})


class UpdatedRunsCannotBeRead(Standin):
    def update_run(self, call: Any, run_id: str, body: Any) -> Any:
        answer = super().update_run(call, run_id, body)
        del call.org.runs[run_id]
        return answer


class SessionsFindAll(Standin):
    def matches(self, run: Any, query: Any) -> bool:
        return super().matches(run, query.model_copy(update={"session_id": None}))


class StatusFindsNothing(Standin):
    def matches(self, run: Any, query: Any) -> bool:
        return query.status is None and super().matches(run, query)


class OldestFirst(Standin):
    def ordered(self, runs: list[Any], query: Any) -> list[Any]:
        return super().ordered(runs, query)[::-1]


class OneMoreIsMade(Standin):
    def bulk_made(self, call: Any, body: Any) -> list[Any]:
        runs = super().bulk_made(call, body)
        super().bulk_made(call, body)
        return runs


class ListsShowAll(Standin):
    def listed(self, call: Any) -> list[Any]:
        return [run for organisation in self.organisations.values() for run in organisation.runs.values()]


class RetriesFail(Standin):
    def retry_run(self, call: Any, run_id: str, body: Any) -> Any:
        raise RuntimeError


class RetriesAreReadLate(Standin):
    """The first read after a retry has an old value, from a cache."""

    field: str = "status"
    value: Any = "cancelled"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.cached: set[str] = set()

    def again(self, org: Any, run: Any) -> None:
        super().again(org, run)
        self.cached.add(run.id)

    def show(self, run: Any, where: str, *more: Any) -> Any:
        shown = super().show(run, where, *more)
        if where == "get_run" and run.id in self.cached:
            self.cached.remove(run.id)
            shown[self.field] = self.value
        return shown


IN_A_SESSION = Create("second", {"start_session": True})


@pytest.mark.parametrize(
    ("kind", "rule", "cause", "steps"),
    [
        (
            *(NotCleared, "RETRY-RULES", "error is not cleared"),
            [CANCEL, update({"error": ["x"]}), RETRY],
        ),
        (RetriedRunsRunAtOnce, "RETRY-RULES", "not back to scheduling", [CANCEL, RETRY]),
        (CancelDoesNothing, "UPDATE-PARTIAL", "a run is not cancelled", [CANCEL]),
        (CancelledRunsGoOn, "LIFECYCLE", "cancelled to running", [CANCEL, Read(TWO)]),
        (ReadsAreBroken, "READ-BACK", "created_at of get_run is not of its schema", [Read(TWO)]),
        (UpdatedRunsCannotBeRead, "UPDATE-PARTIAL", "a run is gone", [update({"error": []}), Read(TWO)]),
        (
            SessionsFindAll,
            "LIST-FILTER",
            "session_id+workflow_id returns other runs",
            [IN_A_SESSION, ListRuns(by="session", run="second.1")],
        ),
        (StatusFindsNothing, "LIST-FILTER", "status+workflow_id misses a run", [CANCEL, ListRuns(by="cancelled")]),
        (OldestFirst, "LIST-PAGE", "created_at_desc is not newest first", [Create("second"), LIST]),
        (OneMoreIsMade, "LIST-COMPLETE", "a list shows a run that nobody created", [LIST]),
        (
            *(ListsShowAll, "AUTH-TENANT", "another organisation finds a run with list_runs"),
            [Create("second", is_second=True), ListRuns(is_second=True)],
        ),
        (RetriesFail, "NO-5XX", "a 5xx from retry_run", [CANCEL, RETRY]),
    ],
)
def test_each_comparison_finds_its_fault(
    kind: type[Standin], rule: str, cause: str, steps: list[Step], tmp_path: Path
) -> None:
    sequence = [MAKE, *steps]

    assert shown_by(sequence, tmp_path) is None
    assert shown_by(sequence, tmp_path, kind) == (rule, cause)


class RetriesAreReadWithTheOldError(RetriesAreReadLate):
    field, value = "error", ["x"]


@pytest.mark.parametrize("step", [CrossTenantAccess(TWO, "update_run"), RepeatStep("retry")])
def test_a_change_that_is_read_late_is_not_said_of_the_next_request(step: Step, tmp_path: Path) -> None:
    steps = [MAKE, CANCEL, update({"error": ["x"]}), RETRY, step]

    with pytest.raises(Inconclusive, match="a run is cancelled that no request has cancelled"):
        shown_by(steps, tmp_path, RetriesAreReadLate)
    assert shown_by(steps, tmp_path, RetriesAreReadWithTheOldError) == ("RETRY-RULES", "an error while scheduling")


def test_steps_that_make_no_sense_where_they_stand_are_passed_over(tmp_path: Path) -> None:
    about_no_run = [update({}), CANCEL, RETRY, DELETE, Read(TWO), CrossTenantAccess(TWO, "update_run")]
    early: list[Step] = [RepeatStep("first"), RepeatStep(TWO), *about_no_run, LIST, ListRuns(by="id", run=TWO)]

    assert (
        shown_by([*early, CreateChain("chain", 0), WriteStep("retry", "chain.1", Event("retry")), LIST], tmp_path)
        is None
    )


def test_behind_a_known_fault_nothing_is_judged(tmp_path: Path) -> None:
    with serving(RetriesFail, settings=RUNS_STAY_ACTIVE) as url, running(target_at(url), tmp_path) as runner:
        runner.check.known_violations.add(("NO-5XX", "a 5xx from retry_run"))
        with pytest.raises(Inconclusive):
            run_sequence(CaseContext(runner.check), SequenceCase((MAKE, CANCEL, RETRY)))


@pytest.mark.parametrize("rule", ["RETRY-RULES", "READ-BACK"])
def test_a_sequence_ends_at_a_wrong_answer_whose_cause_is_known(rule: str, tmp_path: Path) -> None:
    defect = "retry_empties_inputs"
    with serving(defect, settings=RUNS_STAY_ACTIVE) as url, running(target_at(url), tmp_path) as runner:
        runner.check.known_violations.add((rule, "input_values change too"))
        context = CaseContext(runner.check)
        with pytest.raises(Inconclusive, match="known to be broken"):
            run_sequence(context, SequenceCase((MAKE, CANCEL, RETRY, LIST)))
    assert context.exchanges[-1].request.path.endswith("/retry")


@pytest.mark.matrix
def test_a_check_finds_a_fault_that_only_a_sequence_of_steps_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contracts.check.SCENARIOS", ())
    monkeypatch.setattr(step_sequences, "MOST_S", LONG_S)
    found: list[Finding] = []

    forgetful = serving(UpdateAfterRetryForgetsInputs, settings=RUNS_STAY_ACTIVE)
    with forgetful as url, Guard(target_at(url, max_time_s=8 * LONG_S), journal_dir=tmp_path) as guard:
        result = check(guard.target, guard, rules={"UPDATE-PARTIAL"}, on_finding=found.append)

    assert [finding.rule for finding in result.findings] == ["UPDATE-PARTIAL"]
    assert [finding.exchanges for finding in found] == [finding.exchanges for finding in result.findings]


def test_a_violation_of_a_generated_sequence_is_kept_though_the_time_is_over_meanwhile(tmp_path: Path) -> None:
    with (
        serving("retry_empties_inputs", settings=RUNS_STAY_ACTIVE) as url,
        running(target_at(url), tmp_path) as runner,
    ):
        generating = step_sequences.exploring_step_sequences(
            runner, {"RETRY-RULES"}, examples=50, until=time.monotonic() + LONG_S, round_number=1
        )

        def run_last_round() -> None:
            while not runner.check.seen_violations["RETRY-RULES", "input_values change too"]:
                time.sleep(0.01)  # the sequences are generated in another thread
            runner.check.deadline = 0.0
            raise OutOfTime

        with pytest.raises(OutOfTime), generating:
            run_last_round()

    assert runner.findings == []
    assert [(finding.rule, finding.not_sent_again != "") for finding in runner.unstable] == [("RETRY-RULES", True)]


def test_an_error_ends_the_generated_sequences_soon(tmp_path: Path) -> None:
    with serving(settings=RUNS_STAY_ACTIVE) as url, running(target_at(url), tmp_path) as runner:
        generating = step_sequences.exploring_step_sequences(
            runner, REGISTRY, examples=100_000, until=math.inf, round_number=1
        )
        with pytest.raises(KeyboardInterrupt), generating:
            raise KeyboardInterrupt


def test_a_fuzz_generates_sequences_in_rounds_where_nothing_else_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    monkeypatch.setattr("contracts.check.SCENARIOS", ())

    @contextmanager
    def explore(runner: Runner, wanted: Any, *, examples: int, until: float, round_number: int) -> Iterator[None]:
        rounds.append(round_number)
        if len(rounds) == 3:
            monkeypatch.setattr(step_sequences, "LEAST_S", math.inf)  # as if too little time were left
        yield

    part = exploration.Part(SEQUENCES.name, frozenset(SEQUENCES.rules), step_sequences, explore)
    monkeypatch.setattr(exploration, "_PARTS", (part,))
    with serving() as url, Guard(target_at(url), journal_dir=tmp_path) as guard:
        result = fuzz(replace(guard.target, max_time_s=LONG_S), guard, rules={"DELETE-GONE"})

    assert rounds == [0, 1, 2]
    assert not result.findings


def test_sequences_are_planned_only_where_they_judge_something_and_runs_cost_nothing() -> None:
    local = Target("http://127.0.0.1:9", "token")

    assert SEQUENCES.name in {step.name for step in plan(local, {"DELETE-GONE"}).steps}
    assert SEQUENCES.name not in {step.name for step in plan(local, {"AUTH-SCHEME"}).steps}
    assert SEQUENCES.name not in {
        step.name for step in plan(Target("https://api.example.com", "token", profile="live")).steps
    }


def test_the_same_seed_generates_the_same_sequences(tmp_path: Path) -> None:
    def requests_of(seed: int) -> list[tuple[str, str]]:
        with serving(settings=RUNS_STAY_ACTIVE) as url:
            runner = explored(target_at(url, seed=seed), tmp_path, examples=3, round_number=1)
        exchanges = runner.check.guard.exchanges
        return [(e.request.method, e.request.path.partition("?")[0][:9]) for e in exchanges]

    first = requests_of(1)

    assert requests_of(1) == first
    assert requests_of(2) != first


def test_an_internal_error_in_a_generated_sequence_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Model, step: Step) -> list[str]:
        raise TypeError("an error of the suite")

    monkeypatch.setattr(step_sequences.steps, "fixed_sequences", lambda: ())
    monkeypatch.setattr(Model, "run_step", broken)
    with serving() as url:
        runner = explored(target_at(url), tmp_path, examples=1)

    [error] = runner.check.internal_errors
    assert "an error of the suite" in error
