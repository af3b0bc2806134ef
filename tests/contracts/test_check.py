"""Whole checks, and checks narrowed to a rule, against the stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import contracts.check
from contracts.check import fuzz, require_rules_to_judge
from contracts.cli.outcome import judge
from contracts.core.exchange import SECOND_TOKEN, TOKEN, Request
from contracts.core.findings import (
    CheckInterrupted,
    CheckResult,
    CouldNotCheck,
    Finding,
    Remedy,
    RuleResult,
    ScenarioProgress,
)
from contracts.core.target import Budget, Profile, Target
from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, OutOfTime
from contracts.engine.runner import Runner
from contracts.engine.scenario import Scenario
from contracts.engine.scheduler import Progress
from contracts.explore import exploration
from contracts.guard import Guard, Refused
from contracts.guard.bounds import BOUNDS
from contracts.oracle.violation import Violation
from contracts.plan import plan
from contracts.rules import REGISTRY, SCENARIOS
from tests.contracts.checks import BASE, LIVE, TOKENS, checked, first_finding, guarded, target_at
from tests.contracts.report.samples import RESULT
from tests.standin.behaviour import Settings, Standin
from tests.standin.client import W
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving


def judged(*rules: str, variations: tuple[str, ...] = ()) -> CheckResult:
    with serving(None, variations) as url:
        return checked(url, rules, max_time_s=15)


def test_each_rule_is_judged_by_a_scenario_or_on_the_way() -> None:
    on_the_way = {"AUTH-TENANT", "HTTP-ERROR-JSON", "SECRET-LEAK", "NO-5XX"}

    judged_by_scenarios = {rule for scenario in SCENARIOS for rule in scenario.rules}

    assert set(REGISTRY) - on_the_way <= judged_by_scenarios


class TwoOperationsAreOpen(Standin):
    def authorize(self, authorization: str | None, operation: str) -> Any:
        if authorization is None and operation in {"list_machines", "delete_run"}:
            return next(iter(self.organisations.values()))
        return super().authorize(authorization, operation)


def test_what_a_baseline_accepts_of_one_operation_does_not_cover_another() -> None:
    with serving(TwoOperationsAreOpen) as url:
        main, other = checked(url, {"AUTH-REQUIRED"}, max_time_s=60).findings

    causes = {f"{operation} succeeds without Authorization" for operation in ("list_machines", "delete_run")}
    assert {main.cause, other.cause} == causes
    assert main.fingerprint != other.fingerprint
    assert {main.part_of, other.part_of} in ({"", main.fingerprint}, {"", other.fingerprint})


def test_a_check_without_writes_creates_nothing_on_a_loopback_address() -> None:
    with serving() as url, guarded(url, allow_writes=False, max_time_s=30) as guard:
        result = contracts.check.check(guard.target, guard)

        assert not result.findings
        assert result.spent.runs_created == 0
        assert {exchange.request.method for exchange in guard.exchanges} <= {"GET", "HEAD", "OPTIONS"}


@pytest.mark.matrix
@pytest.mark.parametrize("rule", ["AUTH-SCHEME", "DELETE-GONE"])
def test_a_healthy_server_keeps_the_rule(rule: str) -> None:
    result = judged(rule)

    assert not result.findings
    assert not result.unstable
    assert result.rules[0].status == "passed"


QUICK = """
lower_case_basic_passes include_forgets_tenant limit_without_retry_after read_reverses_attachments total_counts_deleted
until_is_exclusive last_step_has_no_session third_is_handled_again chain_conflict_overlooked keys_of_others_refused
refused_retry_drops_files history_holds_secrets
"""
"""One planted defect for each of some rules, found with less than a second of processor time."""
MORE = """
errors_of_others_written retry_tells_of_others_runs ended_runs_cached total_by_time_of_everybody
delete_drops_files_of_others burst_of_writes_without_retry_after deleted_read_with_include aliases_change_at_every_read
limit_one_gives_two equal_steps_make_one_run long_chain_reversed repeat_after_delete_creates conflict_makes_runs
true_and_one_are_one_body delete_keys_of_others_refused search_finds_secrets shared_key_shows_secret
deep_search_of_the_last_message update_brings_back_deleted
"""
"""Defects that are not among those that matrix/test_defects.py takes."""


@pytest.mark.parametrize(
    "defect", [*QUICK.split(), *(pytest.param(defect, marks=pytest.mark.matrix) for defect in MORE.split())]
)
def test_a_defect_is_found_under_its_rule(defect: str) -> None:
    rule = DEFECTS[defect].rule
    with serving(defect) as url, guarded(url, max_time_s=240) as guard:
        finding = first_finding(guard, {rule})

    assert finding is not None
    assert finding.rule == rule
    assert finding.exchanges


def test_a_check_ends_when_its_target_is_gone(tmp_path: Path) -> None:
    steps: list[Progress] = []
    with ExitStack() as server:
        url = server.enter_context(serving())

        def stop_the_target(step: Progress) -> None:
            steps.append(step)
            if len(steps) == 10:
                server.close()

        bounds = dataclasses.replace(BOUNDS, gone_s=0.2)
        with Guard(target_at(url, max_time_s=60), journal_dir=tmp_path, bounds=bounds) as guard:
            result = contracts.check.check(guard.target, guard, rules={"READ-BACK"}, progress=stop_the_target)

    assert result.verdict == "could_not_check"
    (why,) = [note for note in result.notes if "no longer answers" in note]
    assert "refused" in why
    assert "Not done: " in why


class HangsLater(Standin):
    """Answers nothing any more after so many requests: its pool of connections to the database is empty."""

    requests = 0

    async def admit(self, call: Any) -> None:
        self.requests += 1
        if self.requests > 100:
            await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("max_time_s", "exchange_s"), [(60, 0.8), (5, 30)], ids=["long before the end", "cut off by the end"]
)
def test_a_check_whose_target_stops_answering_is_no_pass(max_time_s: float, exchange_s: float, tmp_path: Path) -> None:
    bounds = dataclasses.replace(BOUNDS, exchange_s=exchange_s, gone_s=0.2, silent_s=0.2)
    with (
        serving(HangsLater) as url,
        Guard(target_at(url, max_time_s=max_time_s), journal_dir=tmp_path, bounds=bounds) as guard,
    ):
        result = contracts.check.check(guard.target, guard, rules={"READ-BACK", "NO-5XX"})

    assert result.verdict == "could_not_check"
    assert [note for note in result.notes if "no longer answers" in note]
    assert [note for note in result.notes if "may have stopped it, since no answer came: " in note]
    assert {rule.id: rule.status for rule in result.rules}["NO-5XX"] == "skipped"


@pytest.mark.matrix
@pytest.mark.parametrize("rule", ["IDEM-SCOPE", "AUTH-TENANT"])
def test_each_organisation_uses_workflows_of_its_own_where_made_up_ones_are_refused(rule: str) -> None:
    with serving(None, {"unknown_workflow_refused"}) as url:
        result = checked(url, {rule}, max_time_s=20)

    assert [finding.got for finding in (*result.findings, *result.unstable)] == []
    assert result.rules[0].status == "passed"


@pytest.mark.matrix
def test_a_count_that_wraps_is_found_within_the_default_budget() -> None:
    with serving("count_wraps_at_32_bits") as url, guarded(url, max_time_s=60) as guard:
        finding = first_finding(guard, {"REQ-COUNT"})

    assert finding is not None
    count = finding.exchanges[-1].request.json()["count"]
    # Several of the counts that are sent wrap. Which of them is shown depends on how far shrinking gets in its time.
    assert count >= 2**32
    assert 1 <= count % 2**32 <= 1000


def test_a_fuzz_reports_each_finding_at_once() -> None:
    told: list[Finding] = []

    with serving("bare_token_reads") as url, guarded(url, max_time_s=15) as guard:
        result = fuzz(replace(guard.target, max_time_s=4), guard, rules={"AUTH-SCHEME"}, on_finding=told.append)

    assert [finding.rule for finding in told] == [finding.rule for finding in result.findings]
    assert "AUTH-SCHEME" in {finding.rule for finding in told}


def test_unreported_runs_are_judged_at_the_end_of_a_check_and_of_a_fuzz(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Runner] = []
    monkeypatch.setattr(Runner, "judge_unreported_runs", lambda runner: judged.append(runner))
    monkeypatch.setattr(Runner, "run_generated", lambda *args, **more: None)
    monkeypatch.setattr(exploration, "_PARTS", ())
    rules = {"AUTH-SCHEME"}

    with serving() as url, guarded(url, max_time_s=60) as guard:
        contracts.check.check(guard.target, guard, rules=rules)
        assert len(judged) == 1
        fuzz(replace(guard.target, max_time_s=60, salt="of the fuzz"), guard, rules=rules)
    assert len(judged) == 2


def test_a_fuzz_whose_time_is_over_judges_unreported_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def over(*args: object, **more: object) -> None:
        raise OutOfTime

    judged: list[Runner] = []
    monkeypatch.setattr(Runner, "judge_unreported_runs", lambda runner: judged.append(runner))
    monkeypatch.setattr(contracts.check.Scheduler, "run", over)

    with serving() as url, guarded(url, max_time_s=60) as guard:
        fuzz(replace(guard.target, max_time_s=60), guard, rules={"AUTH-SCHEME"})
    assert len(judged) == 1


def test_a_rule_that_was_judged_once_says_so_in_the_singular() -> None:
    target = Target("http://127.0.0.1:9", "token")
    context = CheckContext(target, Guard(target), deadline=0.0)
    context.count("BULK-ECHO")

    assert contracts.check._status(context, Runner(context), "BULK-ECHO", (), []).why == "judged 1 time"
    context.count("BULK-ECHO")
    assert contracts.check._status(context, Runner(context), "BULK-ECHO", (), []).why == "judged 2 times"


def test_a_check_ends_when_there_are_enough_findings() -> None:
    with serving("status_of_one_is_200") as url, guarded(url, max_time_s=60) as guard:
        result = contracts.check.check(guard.target, guard, on_finding=lambda finding: finding.fails)

    # A whole check takes about 20,000 requests.
    assert [finding.rule for finding in result.findings] == ["BULK-STATUS"]
    assert result.verdict == "failed"
    assert any(note.startswith("Stopped after enough findings (--max-findings), without: ") for note in result.notes)
    assert {rule.why for rule in result.rules if rule.status == "skipped"} >= {"not reached before the check stopped"}
    assert result.spent.requests < 5000


def test_a_check_ends_when_no_request_is_left() -> None:
    with serving() as url, guarded(url, budget=Budget(max_requests=60)) as guard:
        result = contracts.check.check(guard.target, guard)

    in_flight = 40  # at most: the requests of all threads
    assert len(guard.log.skipped) <= in_flight
    skipped = RuleResult("REQ-NULL", "skipped", "no request is left: 60 of 60 are spent", Remedy.MORE_REQUESTS)
    assert skipped in result.rules
    assert re.search(
        r"No request is left: 60 of 60 are spent\. Not done: .*--max-requests tries the rest\.", "\n".join(result.notes)
    )


def test_an_error_of_the_suite_itself_is_named_and_leaves_the_check_incomplete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def internal_errors(context: object, case: Case) -> None:
        raise KeyError("of our own")

    broken = Scenario("a broken one", ("READ-BACK",), internal_errors, lambda check_context: [Case()])
    # Alone of its rule: beside the others of it, a slow machine may not come to it in time.
    others = [scenario for scenario in SCENARIOS if "READ-BACK" not in scenario.rules]
    monkeypatch.setattr(contracts.check, "SCENARIOS", (broken, *others))

    result = judged("READ-UNKNOWN")
    assert (result.verdict, result.notes) == ("passed", ())

    result = judged("READ-BACK")
    assert result.verdict == "incomplete"
    assert [note for note in result.notes if "a broken one" in note and "of our own" in note]


@pytest.mark.matrix
def test_a_target_without_limits_passes() -> None:
    result = judged("HTTP-LIMIT", "READ-UNKNOWN")

    assert result.verdict == "passed"
    assert {rule.id: rule.status for rule in result.rules} == {"HTTP-LIMIT": "skipped", "READ-UNKNOWN": "passed"}
    assert judge(result, required=(), fail_on_incomplete=True)[0].verdict == "passed"
    assert judge(result, required=("HTTP-LIMIT",), fail_on_incomplete=False)[0].verdict == "failed"


def test_scenarios_that_wait_run_in_parallel_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = threading.Barrier(3, timeout=10)

    def waits(context: object, case: Case) -> None:
        at_once.wait()

    def sends(context: object, case: Case) -> None:
        at_once.wait()

    scenarios = (
        Scenario("one that sends", ("READ-BACK",), sends, lambda check_context: [Case()], order=1),
        Scenario(
            "one that waits", ("READ-BACK",), waits, lambda check_context: [Case(), Case()], order=2, mostly_waits=True
        ),
    )
    monkeypatch.setattr(contracts.check, "SCENARIOS", scenarios)

    assert not [note for note in judged("READ-BACK").notes if "Barrier" in note]
    assert at_once.n_waiting == 0


@pytest.mark.matrix
def test_a_server_without_a_delete_breaks_no_rule_of_deletes() -> None:
    result = judged("DELETE-GONE", variations=("no_delete",))

    assert [(rule.id, rule.status) for rule in result.rules] == [("DELETE-GONE", "not_offered")]
    assert not result.findings


@pytest.mark.matrix
def test_a_server_that_offers_bulk_only_breaks_no_rule_of_reads_and_tenants() -> None:
    result = judged("READ-BACK", "AUTH-TENANT", "CHAIN-RULES", "LIFECYCLE", variations=("bulk_only",))

    assert not result.findings
    assert {rule.status for rule in result.rules} == {"not_offered"}


def test_one_note_names_all_scenarios_that_the_budget_of_a_live_check_does_not_cover() -> None:
    budget = Budget(max_runs=2)
    with serving() as url:
        result = checked(url, ("BULK-COUNT", "CHAIN-RULES"), profile="live", workflow_id=W, budget=budget)

    [note] = [note for note in result.notes if "budget" in note]
    assert note == "The budget did not cover every case of: creates with each feature, chains."
    assert {rule.why for rule in result.rules if rule.status == "skipped"} == {"the budget does not cover its cases"}


@dataclass(frozen=True)
class NamedCase(Case):
    name: str


def test_a_violation_that_did_not_repeat_is_found_by_another_scenario(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[str] = []

    def shows(context: CaseContext, case: NamedCase) -> None:
        tries.append(case.name)
        if case.name == "always" or tries.count("once") == 1:
            result = context.call("list_runs", query=[("limit", "1")])
            context.report_violation(Violation("READ-BACK", "a cause", "one thing", "another"), result)

    scenarios = tuple(
        Scenario(
            name,
            ("READ-BACK",),
            shows,
            lambda check_context, name=name: [NamedCase(name)],
            is_parallel=False,
            order=order,
        )
        for order, name in enumerate(("once", "always"))
    )
    monkeypatch.setattr(contracts.check, "SCENARIOS", scenarios)

    result = judged("READ-BACK")

    assert [(finding.cause, finding.stable) for finding in result.findings] == [("a cause", True)]
    assert not result.unstable


@pytest.mark.parametrize(("is_whole", "judged_rules"), [(True, None), (False, {"BULK-COUNT"})])
def test_the_first_finding_under_a_rule_can_be_asked_of_a_whole_check(
    is_whole: bool, judged_rules: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def passes(target: Target, guard: Guard, *, rules: object, on_finding: object) -> CheckResult:
        asked.append(rules)
        return replace(RESULT, findings=())

    monkeypatch.setattr(contracts.check, "check", passes)

    with guarded("http://127.0.0.1:9") as guard:
        assert first_finding(guard, {"BULK-COUNT"}, is_whole=is_whole) is None

    assert asked == [judged_rules]


def test_an_intermittent_finding_is_the_first_one_if_none_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    intermittent, repeats, other = (
        Finding(rule, "cause", "expected", "got", (), stable=stable, intermittent=not stable)
        for rule, stable in (("BULK-COUNT", False), ("BULK-COUNT", True), ("READ-BACK", False))
    )
    found = [other, intermittent]

    def fails(target: Target, guard: Guard, *, on_finding: Callable[[Finding], None], **_: object) -> CheckResult:
        for finding in found:
            on_finding(finding)
        return replace(RESULT, findings=tuple(found))

    monkeypatch.setattr(contracts.check, "check", fails)

    with guarded("http://127.0.0.1:9") as guard:
        assert first_finding(guard, {"BULK-COUNT"}) is intermittent
        found.append(repeats)
        assert first_finding(guard, {"BULK-COUNT"}) is repeats


def test_a_request_made_of_a_wrong_value_in_an_answer_need_not_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lists(context: CaseContext, case: NamedCase) -> None:
        context.call_valid("list_runs", query=[("created_at_from", "yesterday at 5")])

    scenario = Scenario("lists", ("LIST-COMPLETE",), lists, lambda check: [NamedCase("only")])
    monkeypatch.setattr(contracts.check, "SCENARIOS", (scenario,))
    monkeypatch.setattr(exploration, "_PARTS", ())

    result = judged("LIST-COMPLETE")

    assert not result.findings
    assert [rule.why for rule in result.rules] == ["an answer has shown a wrong value for created_at_from"]


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("field", "value", "is_at_times"),
    [("id", None, False), ("created_at", None, False), ("input_values", [5], False), ("created_at", "at noon", True)],
)
def test_a_field_that_is_not_of_its_schema_is_reported_once(field: str, value: object, is_at_times: bool) -> None:
    reads = itertools.count()

    class ReadsAreWrong(Standin):
        def show(self, run: Any, where: str, index: int = 0, of: int = 1) -> dict[str, Any]:
            shown = super().show(run, where, index, of)
            if where == "get_run" and not (is_at_times and next(reads) % 3):
                shown[field] = value
                if value is None:
                    del shown[field]
            return shown

    with serving(ReadsAreWrong) as url:
        result = checked(url, {"READ-BACK", "REQ-ATOMIC", "UPDATE-PARTIAL", "RETRY-RULES", "LIFECYCLE"}, max_time_s=10)

    assert [finding.cause for finding in result.findings] == [f"{field} of get_run is not of its schema"]
    guesses = {finding.guess.partition(":")[0] for finding in result.findings}
    assert guesses <= ({"", "not each time"} if is_at_times else {""})
    assert not [note for note in result.notes if "Internal error" in note]


def test_more_cases_run_at_the_same_time_if_answers_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    all_run = threading.Barrier(10, timeout=60)

    def run(context: CaseContext, case: NamedCase) -> None:
        all_run.wait()
        context.check.count("READ-BACK")

    names = [f"case {number}" for number in range(10)]
    scenarios = tuple(Scenario(name, ("READ-BACK",), run, lambda check: [NamedCase("only")]) for name in names)
    monkeypatch.setattr(contracts.check, "SCENARIOS", scenarios)

    with serving(delay_s=0.1) as url:
        result = checked(url, {"READ-BACK"}, max_time_s=120)

    assert {each.scenario: each.done for each in result.scenarios} == dict.fromkeys(names, 1)


def test_an_interrupted_check_reports_what_it_has_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def run(context: CaseContext, case: NamedCase) -> None:
        tries.append(case.name)
        if case.name == "judges":
            context.check.count("READ-BACK")
        elif tries.count("violates") > 1:  # while the violation is repeated
            raise KeyboardInterrupt
        else:
            result = context.call("list_runs", query=[("limit", "1")])
            context.report_violation(Violation("LIST-PAGE", "a cause", "this", "that"), result, is_proof=True)

    names = {"judges": "READ-BACK", "violates": "LIST-PAGE", "not reached": "LIST-FILTER"}
    scenarios = tuple(
        Scenario(name, (rule,), run, lambda check, name=name: [NamedCase(name)], is_parallel=False, order=order)
        for order, (name, rule) in enumerate(names.items(), 1)
    )
    monkeypatch.setattr(contracts.check, "SCENARIOS", scenarios)
    monkeypatch.setattr("contracts.engine.parallel.THREADS", 1)

    with serving() as url, guarded(url, max_time_s=60) as guard, pytest.raises(CheckInterrupted) as interrupted:
        contracts.check.check(guard.target, guard, rules=set(names.values()))

    result = interrupted.value.result
    assert {rule.id: (rule.status, rule.why) for rule in result.rules} == {
        "READ-BACK": ("passed", "judged 1 time"),
        "LIST-PAGE": ("failed", "expected this, got that"),
        "LIST-FILTER": ("skipped", "not reached before the check was interrupted"),
    }
    assert [finding.not_sent_again for finding in result.findings] == ["the check was interrupted"]
    assert {each.scenario: each.finished for each in result.scenarios}["not reached"] is False
    assert result.is_partial
    assert result.was_interrupted


def test_an_interrupted_check_does_not_make_the_cases_that_it_did_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make them all takes seconds, in which a second signal would lose the result."""
    made: list[str] = []

    def interrupts(context: CaseContext, case: NamedCase) -> None:
        raise KeyboardInterrupt

    def cases(context: CheckContext) -> Iterator[NamedCase]:
        for number in range(100):
            made.append(str(number))
            yield NamedCase(str(number))

    scenarios = (Scenario("many", ("READ-BACK",), interrupts, cases, is_parallel=False),)
    monkeypatch.setattr(contracts.check, "SCENARIOS", scenarios)
    with serving() as url, guarded(url, max_time_s=60) as guard, pytest.raises(CheckInterrupted) as interrupted:
        contracts.check.check(guard.target, guard, rules={"READ-BACK"})
    assert len(made) < 10
    assert [each.finished for each in interrupted.value.result.scenarios] == [False]


def test_requests_that_were_not_sent_are_counted_with_an_example() -> None:
    assert contracts.check._not_sent(["a create"]) == "Not sent: a create."
    assert contracts.check._not_sent(["a create", "b", "c"]) == "Not sent: 3 different requests, such as a create."


def test_a_note_names_the_unfinished_scenarios_that_have_the_most_left() -> None:
    few = [ScenarioProgress("a", 1, 3, finished=False), ScenarioProgress("b", 0, 9, finished=False)]
    many = [*few, *(ScenarioProgress(f"c{number}", 1, 2, finished=False) for number in range(5))]

    assert contracts.check._names_of(few) == "b (0 of 9 cases), a (1 of 3 cases)"
    assert contracts.check._names_of(many).endswith(", c2 (1 of 2 cases), and 2 more scenarios")


FILES = {"file_inputs": [{"filename": "a.txt", "content": "YQ=="}]}


def live_check(*rules: str, varied: str = "input_values", **settings: Any) -> tuple[CheckResult, dict[str, RuleResult]]:
    """Check a healthy stand-in as a deployment, by default with a base request."""
    settings = LIVE | {"base_request": BASE, "varied_fields": (varied,), "budget": Budget(25, 500, None)} | settings
    with serving() as url:
        result = checked(url, rules or None, **settings)
    return result, {rule.id: rule for rule in result.rules}


WITH_WORKFLOW = {"base_request": None, "varied_fields": (), "workflow_id": BASE["workflow_id"]}
JUDGED_ALONE = {
    **dict.fromkeys(("BULK-STATUS", "BULK-COUNT", "BULK-IDS", "BULK-ECHO", "BULK-INITIAL", "BULK-SESSION"), 2),
    **{"LIFECYCLE": 1, "LIST-COMPLETE": 1, "READ-INCLUDE": 1, "CREATE-ANSWER": 3, "IDEM-CONFLICT": 2},
}
"""By rule: how many runs a live check by a base request creates to judge it alone."""
NOT_ALLOWED = {
    "BULK-FILES": "no create may have file_inputs; --vary file_inputs allows that",
    "BULK-ALIASES": "no create may have sensitive_input_values; --vary sensitive_input_values allows that",
    "ATTACHMENTS": "no create may have file_inputs; --vary file_inputs allows that",
    "CHAIN-RULES": "no base request is of a chain; --workflow-id in place of --base-request allows one",
}


@pytest.mark.parametrize(("rule", "runs"), JUDGED_ALONE.items())
def test_a_live_check_of_one_rule_judges_what_it_creates(rule: str, runs: int) -> None:
    result, rules = live_check(rule)

    assert rules[rule].status == "passed", rules[rule].why
    assert result.spent.runs_created == runs


def test_a_finding_leaves_a_live_check_the_runs_that_the_rest_needs() -> None:
    settings = LIVE | WITH_WORKFLOW | {"budget": Budget(25, 500, None)}
    with serving("status_of_one_is_200") as url:
        result = checked(url, **settings)

    assert {finding.rule for finding in result.findings} == {"BULK-STATUS"}
    assert all(len(finding.exchanges) == 1 for finding in result.findings)
    assert not [note for note in result.notes if "The budget did not cover" in note]


@pytest.mark.parametrize(("rule", "why"), NOT_ALLOWED.items())
def test_a_rule_that_the_flags_allow_no_case_of_is_refused_before_anything_is_created(rule: str, why: str) -> None:
    settings = LIVE | {"base_request": BASE, "varied_fields": ("input_values",)}
    with serving() as url, guarded(url, **settings) as guard:
        with pytest.raises(CouldNotCheck) as refused:
            contracts.check.check(guard.target, guard, rules={rule})
        with pytest.raises(CouldNotCheck) as not_planned:
            plan(guard.target, {rule})

        assert str(refused.value) == str(not_planned.value) == f"{rule} cannot be judged: {why}"
        assert {exchange.request.method for exchange in guard.exchanges} == {"GET"}


@pytest.mark.parametrize("profile", ["full", "live"])
@pytest.mark.parametrize("rule", ["BULK-COUNT", "SECRET-LEAK"])
def test_a_rule_about_creates_is_refused_where_nothing_may_be_created(profile: Profile, rule: str) -> None:
    target = Target("http://127.0.0.1:9", "token", profile=profile, allow_writes=False)

    for refuse in (require_rules_to_judge, plan):
        with pytest.raises(CouldNotCheck, match=f"^{rule} cannot be judged: nothing may be created without --allow-wr"):
            refuse(target, {rule})
    with pytest.raises(CouldNotCheck, match=f"^{rule} is required, and cannot be judged: nothing may be created"):
        require_rules_to_judge(target, None, [rule])
    require_rules_to_judge(target, {"NO-5XX", "HTTP-LIMIT", rule}, ["NO-5XX", "HTTP-LIMIT", "READ-UNKNOWN"])


def test_a_rule_that_cannot_be_judged_does_not_keep_others_from_it() -> None:
    _, rules = live_check("BULK-COUNT", "ATTACHMENTS")

    assert rules["BULK-COUNT"].status == "passed"
    assert (rules["ATTACHMENTS"].status, rules["ATTACHMENTS"].why) == ("skipped", NOT_ALLOWED["ATTACHMENTS"])


class StartsAtOnce(Standin):
    def show(self, run: Any, where: str, index: int = 0, of: int = 1) -> dict[str, Any]:
        shown = super().show(run, where, index, of)
        return shown | {"status": "running"} if where == "bulk_create_runs" else shown


def test_a_fault_of_the_first_create_is_found_and_sent_again() -> None:
    settings = LIVE | {"base_request": BASE, "budget": Budget(25, 500, None)}
    with serving(StartsAtOnce) as url:
        result = checked(url, {"BULK-INITIAL"}, **settings)

    assert [(finding.cause, finding.stable) for finding in result.findings] == [("another status", True)]


class ShareAWorkflow(Standin):
    """Both organisations have the workflow of the base request, and others before it in their lists."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        for organisation in self.organisations.values():
            first = next(iter(organisation.workflows.values()))
            organisation.workflows[BASE["workflow_id"]] = first | {"id": BASE["workflow_id"]}


@pytest.mark.parametrize("named", [{}, WITH_WORKFLOW], ids=["base request", "workflow"])
def test_a_live_check_starts_the_named_workflow_as_both_organisations(named: dict[str, Any]) -> None:
    settings = LIVE | {"base_request": BASE, "budget": Budget(25, 500, None)} | named
    with serving(ShareAWorkflow) as url, guarded(url, **settings) as guard:
        (rule,) = contracts.check.check(guard.target, guard, rules={"IDEM-SCOPE"}).rules

        assert rule.status == "passed", rule.why
        creates = [each.request for each in guard.exchanges if each.request.path == "/v1/runs/bulk"]
        accepted = [request.header("Authorization") for request in creates if "idempotency" in str(request).lower()]
        assert set(accepted) == {TOKEN, SECOND_TOKEN}


def test_idem_scope_is_refused_before_the_first_create_if_the_second_organisation_lacks_the_workflow() -> None:
    settings = LIVE | {"base_request": BASE, "varied_fields": ("input_values",), "budget": Budget(25, 500, None)}
    why = f"the second organisation does not list workflow {BASE['workflow_id']}"
    with serving() as url, guarded(url, **settings) as guard:
        with pytest.raises(CouldNotCheck, match=f"IDEM-SCOPE cannot be judged: {why}"):
            contracts.check.check(guard.target, guard, rules={"IDEM-SCOPE"})
        assert {exchange.request.method for exchange in guard.exchanges} == {"GET"}

    _, rules = live_check()
    assert (rules["IDEM-SCOPE"].status, rules["IDEM-SCOPE"].why) == ("skipped", why)
    assert rules["AUTH-TENANT"].status == "passed"


@pytest.mark.matrix
@pytest.mark.parametrize(
    "settings",
    [
        {"varied_fields": ()},
        {"varied_fields": ("input_values",)},
        {"varied_fields": ("count", "file_inputs", "sensitive_input_values", "start_session", "session_id")},
        WITH_WORKFLOW,
    ],
    ids=["nothing may be varied", "inputs may be varied", "much may be varied", "a workflow is named"],
)
def test_a_live_check_judges_each_rule_alone_that_it_judges_among_all_as_its_plan_says(
    settings: dict[str, Any],
) -> None:
    settings = LIVE | {"base_request": BASE, "budget": Budget(50, 1000, None)} | settings
    with serving(ShareAWorkflow) as url:
        among_all = {rule.id for rule in checked(url, **settings).rules if rule.status == "passed"}
        alone, planned = set(), set()
        for rule in REGISTRY:
            with contextlib.suppress(CouldNotCheck):
                planned.update(plan(target_at(url, **settings), {rule}).rules)
            with contextlib.suppress(CouldNotCheck):
                alone.update(each.id for each in checked(url, {rule}, **settings).rules if each.status == "passed")

    assert among_all == alone == planned
    assert {"BULK-COUNT", "LIST-COMPLETE", "CREATE-ANSWER", "LIFECYCLE", "READ-INCLUDE", "IDEM-SCOPE"} <= alone


def test_a_rule_about_a_field_of_creates_does_not_pass_without_a_create_that_has_it() -> None:
    _, rules = live_check()

    for rule in ("BULK-FILES", "BULK-ALIASES"):
        assert (rules[rule].status, rules[rule].why) == ("skipped", NOT_ALLOWED[rule])
    assert rules["BULK-COUNT"].status == "passed"


@pytest.mark.parametrize("settings", [{"varied": "file_inputs"}, {"base_request": BASE | FILES}])
def test_a_create_with_files_exercises_the_rule_about_files(settings: dict[str, Any]) -> None:
    _, rules = live_check("BULK-FILES", "BULK-COUNT", "ATTACHMENTS", "IDEM-REPLAY", **settings)

    assert rules["BULK-FILES"].status == "passed"


def test_a_plan_without_writes_has_only_cases_that_are_sent_and_rules_that_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused: list[Refused] = []
    with serving() as url, guarded(url, profile="live", allow_writes=False) as guard:
        for token in TOKENS:
            authorization = {"Authorization": f"Bearer {token}"}
            httpx.post(f"{url}/v1/runs/bulk", json=BASE, headers=authorization).raise_for_status()
        send = CaseContext.send

        def sent(context: CaseContext, request: Request) -> CallResult:
            try:
                return send(context, request)
            except Refused as error:
                refused.append(error)
                raise

        monkeypatch.setattr(CaseContext, "send", sent)
        planned = plan(guard.target).rules
        rules = contracts.check.check(guard.target, guard).rules

    assert refused == []
    judged = {rule.id for rule in rules if rule.status == "passed"}
    assert judged == set(planned) - {"HTTP-LIMIT"}
    assert {"HTTP-METHOD", "READ-UNKNOWN"} <= judged


def test_a_check_that_sends_no_secret_and_creates_no_run_passes_no_rule_about_them() -> None:
    settings = {"profile": "live", "allow_writes": False, "second_token": None}
    with serving() as url:
        rules = {rule.id: rule.status for rule in checked(url, **settings).rules}
    planned = plan(target_at("http://127.0.0.1:9", **settings)).rules

    assert {rules["SECRET-LEAK"], rules["LIST-COMPLETE"]} == {"skipped"}
    assert rules["NO-5XX"] == "passed"
    assert {rule for rule, status in rules.items() if status == "passed"} <= set(planned)
    assert not {"SECRET-LEAK", "LIST-COMPLETE"}.intersection(planned)
