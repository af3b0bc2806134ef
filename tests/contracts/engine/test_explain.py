"""A finding is made of a violation with what the attempts around it tell."""

from typing import Any

from contracts.core.exchange import Exchange
from contracts.engine.explain import finding_of
from contracts.engine.results import Attempt, RuleViolated
from contracts.oracle.violation import Violation
from tests.contracts.engine.attempts import RUN, listed, sent


def violated(*exchanges: Exchange, judged: int = -1) -> RuleViolated:
    violation = Violation("NO-5XX", "a 5xx", f"no 5xx for {RUN}", f"500 for {RUN}", field="id")
    return RuleViolated(violation, (exchanges[judged],), all_exchanges=exchanges)


FAILING = sent("list_runs", query=[("search", "a"), ("deep_search", "true")], status=500)
PASSED = [listed(("search", "a")), listed(("deep_search", "true"))]


def finding(passed: Any = PASSED, **more: Any) -> Any:
    return finding_of(violated(FAILING), (FAILING,), passed, **({"stable": True, "intermittent": False} | more))


def test_it_has_the_summary_the_neighbour_and_the_guess() -> None:
    found = finding()

    assert found.summary == (
        "GET /v1/runs?search=a&deep_search=true: 500 for 0b0e1234…; expected no 5xx for 0b0e1234… "
        "(only with deep_search and search together?)"
    )
    assert found.neighbour == "GET /v1/runs?search=a: 200 without a body"
    assert found.guess == "only with deep_search and search together?"
    assert (found.expected, found.got, found.field) == ("no 5xx for 0b0e1234…", "500 for 0b0e1234…", "id")


def test_a_neighbour_that_differs_in_an_earlier_request_shows_that_the_failing_one_works_after_it() -> None:
    def after(limit: str, status: int) -> list[Exchange]:
        return [
            sent("list_runs", query=[("limit", limit)]),
            sent("list_runs", query=[("search", "a")], status=status),
        ]

    failing = after("2", 500)
    found = finding_of(
        violated(*failing, judged=1), failing, [Attempt(after("1", 200))], stable=True, intermittent=False
    )

    assert found.neighbour == "GET /v1/runs?search=a: 200 without a body, after GET /v1/runs?limit=1"


def test_an_unstable_violation_has_no_neighbour() -> None:
    found = finding(stable=False)

    assert (found.neighbour, found.guess) == ("", "")


def test_a_neighbour_that_would_show_a_sensitive_value_is_not_shown() -> None:
    assert finding(secrets=[b"search=a"]).neighbour == "GET /v1/runs?deep_search=true: 200 without a body"
    assert finding(secrets=[b"GET"]).neighbour == ""


def test_requests_after_the_judged_one_are_not_compared_or_reported() -> None:
    why = sent("list_runs", query=[("limit", "7")])
    exchanges = (FAILING, why)

    found = finding_of(violated(*exchanges, judged=0), exchanges, PASSED, stable=True, intermittent=False)

    assert found.summary.startswith("GET /v1/runs?search=a&deep_search=true: 500")
    assert found.guess


def test_a_neighbour_that_differs_in_many_places_is_not_shown() -> None:
    other = listed(("search", "b"), ("deep_search", "false"), ("limit", "1"))

    assert finding([other]).neighbour == ""


def test_an_attempt_that_fails_too_may_refute_the_guess() -> None:
    failed = listed(("search", "a"), ("limit", "1"), status=500)

    assert finding(failed=[failed]).guess == "only with search?"


def test_that_a_body_without_the_field_is_right_is_no_explanation() -> None:
    def created(**fields: Any) -> Exchange:
        return sent("bulk_create_runs", body={"workflow_id": RUN, "count": 1} | fields, status=201)

    def summary(rule: str, field: str) -> str:
        violation = Violation(rule, "a cause", "a", "b", field=field)
        found = RuleViolated(violation, (failing,), all_exchanges=(failing,))
        return finding_of(found, (failing,), [without], stable=True, intermittent=False).summary

    failing, without = created(machine_id=False), Attempt([created()])
    guess = "(only with machine_id false?)"

    assert guess not in summary("REQ-TYPES", "machine_id")
    assert guess not in summary("BULK-ECHO", "machine_id")
    assert guess in summary("BULK-ECHO", "input_values")
    assert guess in summary("BULK-COUNT", "")


def test_that_the_field_that_is_wrong_was_given_is_no_explanation() -> None:
    def created(**fields: Any) -> Exchange:
        return sent("bulk_create_runs", body={"workflow_id": RUN, **fields}, status=201)

    def summary(field: str) -> str:
        violation = Violation("READ-BACK", "a cause", "a", "b", field=field)
        found = RuleViolated(violation, (failing,), all_exchanges=(failing,))
        return finding_of(found, (failing,), attempts, stable=True, intermittent=False).summary

    failing = created(session_alias="x", count=7)
    attempts = [Attempt([created(count=7)]), Attempt([created(session_alias="x", count=9)])]

    assert summary("error").endswith(" (only with session_alias?)")
    assert summary("session_alias").endswith("expected a")
