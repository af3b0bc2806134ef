"""The plan of a check: its steps, what they cost at most, and the rules that the check can judge."""

from __future__ import annotations

import re

import pytest

from contracts.core.target import Budget, Target
from contracts.engine.scenario import Scenario
from contracts.plan import PlannedStep, plan
from contracts.rules import REGISTRY, SCENARIOS
from tests.contracts.checks import BASE, LIVE, checked, target_at
from tests.standin.serving import serving


def test_a_plan_names_the_rules_and_the_most_it_costs_and_sends_nothing() -> None:
    planned = plan(Target("http://127.0.0.1:9", "token", allow_writes=True), {"IDEM-REPLAY"})

    assert any("IDEM-REPLAY" in step.rules for step in planned.steps)
    assert "at most 100,000 runs" in planned.limits


def test_a_plan_of_all_rules_counts_them_in_its_last_line() -> None:
    planned = plan(Target("http://127.0.0.1:9", "token", second_token="other", allow_writes=True))

    last = str(planned).splitlines()[-1]
    assert last.startswith(
        f"In all: {len(REGISTRY)} rules. The check creates at most 100,000 runs and sends any number"
    )


def test_a_plan_is_a_table_that_names_the_rules_of_every_answer_once() -> None:
    table = str(plan(Target("http://127.0.0.1:9", "token", allow_writes=True)))

    heading, *rows = table.partition("\n\n")[0].splitlines()
    assert heading.split() == ["Scenario", "Cases", "Runs", "at", "most", "Rules"]
    assert any(re.fullmatch(r"unusual queries +\d+ +- +-", row) for row in rows)
    assert any(re.fullmatch(r"creates of every count +\d+ +2,\d{3} +1\d rules", row) for row in rows)
    assert any(re.fullmatch(r"many requests +\d+ +- +HTTP-LIMIT", row) for row in rows)
    assert any(re.fullmatch(r"generated creates +\? +\? .*", row) for row in rows)
    assert table.count("NO-5XX") == 1
    assert "\n?: depends on the target and on the time.\n" in table


def test_a_plan_without_unknown_numbers_does_not_explain_them() -> None:
    table = str(plan(Target("https://api.example.com", "token", profile="live"), {"READ-UNKNOWN"}))

    assert "?" not in table
    assert "is judged by" not in table
    assert "In all: 1 rule. The check creates no runs and sends " in table


def test_a_rule_of_every_answer_has_all_scenarios_those_that_look_for_it_first() -> None:
    target = Target("http://127.0.0.1:9", "token", second_token="other", allow_writes=True)
    steps = plan(target, {"SECRET-LEAK"}).steps
    names = [step.name for step in steps]

    assert {scenario.name for scenario in SCENARIOS} <= set(names)
    assert names[:4] == [scenario.name for scenario in ordered_by_telling() if "SECRET-LEAK" in scenario.rules][:4]
    assert all("SECRET-LEAK" in step.rules for step in steps)


def ordered_by_telling() -> list[Scenario]:
    return sorted(SCENARIOS, key=lambda scenario: scenario.order)


def test_a_plan_of_a_live_check_names_the_run_that_is_created_in_any_case() -> None:
    settings = LIVE | {"base_request": BASE | {"count": 3}}
    steps = plan(target_at("https://api.example.com", **settings), {"READ-UNKNOWN"}).steps

    assert PlannedStep("the first create", (), 1, 3) in steps


def test_a_plan_says_for_each_step_what_it_sends_and_may_create() -> None:
    planned = plan(Target("https://api.example.com", "token", allow_writes=True, profile="live"))
    costs = {step.name: (step.cases, step.runs) for step in planned.steps}

    assert costs["unknown ids"] == (10, 0)
    assert costs["idempotency keys repeated"] == (1, 1)
    # Requests that should be refused, one by one: those a broken server could make runs of.
    cases, runs = costs["invalid requests"]
    assert 20 <= (cases or 0) < 40
    assert 20 <= (runs or 0) < 40


def test_a_plan_without_writes_has_no_step_that_creates() -> None:
    loopback = Target("http://127.0.0.1:9", "token", allow_writes=False)
    for target in (Target("https://api.example.com", "token"), loopback):
        planned = plan(target)

        assert {step.runs for step in planned.steps} == {0}
        assert "creates no runs" in planned.limits
        assert "Afterwards" not in planned.limits


@pytest.mark.parametrize(
    ("target", "after"),
    [
        (Target("http://127.0.0.1:9", "token"), "counts what is left, for 10 s"),
        # 14 requests to clean up at all and 4 for each of 25 runs, at 5 a second, after the 30 s without a rate.
        (Target("https://api.example.com", "t", **LIVE), "cleans up, for 52.8 s"),  # type: ignore[arg-type]
    ],
)
def test_a_plan_says_how_long_the_check_goes_on_after_its_time(target: Target, after: str) -> None:
    assert f"within 120 s. Afterwards it {after} at most." in plan(target).limits


def test_a_live_plan_names_every_rule_that_the_check_judges_and_says_that_the_budget_is_less_than_all_cases() -> None:
    settings = LIVE | {"base_request": BASE, "varied_fields": ("input_values",), "budget": Budget(25, 500, None)}
    with serving() as url:
        result = checked(url, **settings)

    planned = plan(target_at("http://127.0.0.1:9", **settings))
    judged = {rule.id for rule in result.rules if rule.status == "passed"}
    assert "BULK-COUNT" in judged
    assert judged <= set(planned.rules)
    assert "at most 25 runs and sends at most 500 requests" in planned.limits
    assert re.search(r"could create \d+ runs in all these cases: those that the budget no", planned.limits)


def test_a_plan_creates_runs_on_a_loopback_address() -> None:
    assert "at most 100,000 runs" in plan(Target("http://127.0.0.1:9", "token")).limits


def test_a_plan_names_in_all_only_rules_that_can_be_judged() -> None:
    planned = plan(Target("https://api.example.com", "token", profile="live"))

    assert set(planned.rules) == {rule for step in planned.steps for rule in step.rules} | {"HTTP-LIMIT"}
    assert "LIST-PAGE" in planned.rules
    assert "AUTH-REQUIRED" in planned.rules
    assert not {"ATTACHMENTS", "BULK-COUNT", "IDEM-REPLAY"}.intersection(planned.rules)


@pytest.mark.parametrize(("second_token", "is_judged"), [(None, False), ("other", True)])
def test_a_plan_names_rules_of_two_organisations_only_with_a_second_token(
    second_token: str | None, is_judged: bool
) -> None:
    for url, more in (("http://127.0.0.1:9", {}), ("https://api.example.com", {"profile": "live"})):
        planned = plan(Target(url, "token", second_token, allow_writes=True, **more))  # type: ignore[arg-type]

        assert ({"AUTH-TENANT", "IDEM-SCOPE"} <= set(planned.rules)) is is_judged
        assert ("access by another organisation" in {step.name for step in planned.steps}) is is_judged


def test_a_plan_has_no_step_of_no_cases() -> None:
    base = {"workflow_id": "10000000-0000-4000-8000-000000000004"}
    live = Target("https://api.example.com", "token", profile="live", allow_writes=True, base_request=base)
    steps = [step for target in (live, Target("http://127.0.0.1:9", "token")) for step in plan(target).steps]

    assert 0 not in {step.cases for step in steps}
    assert (None, None) in {(step.cases, step.runs) for step in steps}
