"""Causes, and which of them add nothing to one that is known."""

from __future__ import annotations

import pytest

from contracts.core.target import Target
from contracts.engine import Case, Scenario
from contracts.engine.check_context import CheckContext
from contracts.engine.found_violations import FoundViolations
from contracts.engine.results import RuleViolated
from contracts.guard import Guard
from contracts.oracle.violation import Violation, misses_a_run, returns_other_runs


def test_a_cause_of_filters_is_its_text() -> None:
    cause = misses_a_run(["status", "search", "status"])
    assert cause == "search+status misses a run"
    assert hash(cause) == hash("search+status misses a run")


SCENARIO: Scenario[Case] = Scenario("filters", ("LIST-FILTER",), lambda context, case: None, lambda check: ())


@pytest.mark.parametrize(
    ("known", "cause", "refines"),
    [
        (misses_a_run(["status"]), misses_a_run(["status", "search"]), True),
        (misses_a_run(["status", "search"]), misses_a_run(["status"]), False),
        (misses_a_run(["status"]), misses_a_run(["status"]), True),
        (misses_a_run(["status"]), misses_a_run(["search", "limit"]), False),
        (returns_other_runs(["status"]), misses_a_run(["status", "search"]), False),
        ("a run is on no page", misses_a_run(["status"]), False),
        ("status misses a run", "search+status misses a run", False),
    ],
)
def test_a_wrong_combination_of_filters_is_known_if_fewer_of_them_are_wrong_in_the_same_way(
    known: str, cause: str, refines: bool
) -> None:
    target = Target(url="http://127.0.0.1:9", token="t")
    check = CheckContext(target, Guard(target), deadline=0.0)
    check.known_violations.add(("LIST-FILTER", known))
    wrong = Violation("LIST-FILTER", cause, "", "")
    assert check.knows(wrong) == refines
    found = FoundViolations(check, on_finding=lambda finding: None)
    assert found.is_known(SCENARIO, RuleViolated(wrong, ())) == refines
    assert not check.knows(Violation("LIST-PAGE", cause, "", ""))
