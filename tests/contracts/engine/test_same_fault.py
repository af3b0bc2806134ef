"""Findings of one fault are told once, and findings that may be of two faults stay apart."""

import dataclasses
import json
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import Finding
from contracts.engine.same_fault import KEY_IS_IGNORED, grouped

RUN = "0b0e1234-0000-4000-8000-000000000001"


def finding(rule: str, cause: str = "a cause", got: str = "null", *, path: str = "/v1/runs", **more: Any) -> Finding:
    exchange = Exchange(Request("GET", path), Answer(200, (), b""))
    return Finding(rule, cause, "another", got, (exchange,), **more)


GUESS = {"guess": "only with a null character in input_values.a?", "field": "input_values"}
ECHO = finding("BULK-ECHO", got='input_values.a "" instead of "\\u0000"', **GUESS)


def test_one_cause_under_two_rules_is_one_finding_that_says_where_else_it_was_seen() -> None:
    read = dataclasses.replace(ECHO, rule="READ-BACK")
    read = dataclasses.replace(
        read, exchanges=(Exchange(Request("GET", f"/v1/runs/{RUN}?include=workflow"), Answer(200, (), b"")),)
    )

    first, second = grouped([ECHO, read])

    assert first.also_seen == ("READ-BACK on GET /v1/runs/{run_id}",)
    assert first.part_of == ""
    assert second.part_of == first.fingerprint
    assert second.also_seen == ()
    assert (first.rule, second.rule) == ("BULK-ECHO", "READ-BACK")


@pytest.mark.parametrize(
    "other",
    [
        finding("READ-BACK", got=ECHO.got, field="input_values"),
        finding("READ-BACK", got=ECHO.got, guess=GUESS["guess"], field="error"),
        finding("READ-BACK", got=ECHO.got, guess="only with input_values?", field="input_values"),
        finding("READ-BACK", got=ECHO.got, field="input_values", guess="only with count above 500?"),
        finding("BULK-ECHO", "another cause", got="null", guess=GUESS["guess"], field="machine_id"),
        finding("BULK-ECHO", "another cause", got=ECHO.got, field="input_values"),
    ],
)
def test_findings_without_the_evidence_stay_apart(other: Finding) -> None:
    assert grouped([ECHO, other]) == (ECHO, other)


def test_findings_without_field_and_guess_stay_apart_though_they_say_the_same() -> None:
    findings = (finding("NO-5XX", "a 5xx from get_run", "500"), finding("NO-5XX", "a 5xx from list_runs", "500"))

    assert grouped(findings) == findings


def test_the_same_refusal_of_several_operations_is_one_finding() -> None:
    guess = "only with a null character in error?"
    findings = [finding("NO-5XX", f"a 5xx from {name}", "500", guess=guess) for name in ("update_run", "retry_run")]

    assert [bool(one.part_of) for one in grouped(findings)] == [False, True]


def test_a_list_and_a_read_with_the_same_wrong_value_are_one_finding() -> None:
    listed = finding("HTTP-SCHEMA", "one", "items.3.pools [5]", path="/v1/machines", field="pools")
    read = finding("HTTP-SCHEMA", "another", "pools [5]", path=f"/v1/machines/{RUN}", field="pools")

    assert [bool(one.part_of) for one in grouped([listed, read])] == [False, True]
    for other in ({"got": "pools [6]"}, {"field": "name"}, {"rule": "READ-BACK"}):
        changed = dataclasses.replace(read, **other)
        assert [bool(one.part_of) for one in grouped([listed, changed])] == [False, False]


def test_the_same_change_within_a_field_is_one_finding_whichever_operation_shows_it() -> None:
    created = finding("BULK-ECHO", got="input_values.list null instead of []", field="input_values")
    created = dataclasses.replace(created, change="null instead of []")
    step = dataclasses.replace(
        created, rule="CHAIN-RULES", cause="other inputs", got="input_values.a null instead of []"
    )

    assert [bool(one.part_of) for one in grouped([created, step])] == [False, True]
    for other in ({"field": "error"}, {"change": "null instead of {}"}, {"change": ""}):
        assert grouped([created, dataclasses.replace(step, **other)])[1].part_of == ""
    whole = [dataclasses.replace(one, change="") for one in (created, step)]
    assert grouped(whole)[1].part_of == ""


def test_an_operation_that_ignores_keys_is_one_finding() -> None:
    causes = (
        ("IDEM-CONFLICT", "a key is taken"),
        ("IDEM-REPLAY", "two answers at once"),
        ("IDEM-REPLAY", KEY_IS_IGNORED),
    )
    findings = [finding(rule, cause) for rule, cause in causes]

    assert [bool(one.part_of) for one in grouped(findings)] == [False, True, True]
    assert [bool(one.part_of) for one in grouped(findings[:2])] == [False, False]
    elsewhere = finding("IDEM-REPLAY", KEY_IS_IGNORED, path="/v1/machines")
    assert [bool(one.part_of) for one in grouped([findings[0], elsewhere])] == [False, False]


def test_a_5xx_that_breaks_two_rules_is_one_finding() -> None:
    def failed(rule: str, path: str, status: int = 500) -> Finding:
        return Finding(rule, rule, "a success", f"{status}", (Exchange(Request("GET", path), Answer(status, (), b"")),))

    listed, read = failed("LIST-COMPLETE", "/v1/runs"), failed("NO-5XX", f"/v1/runs/{RUN}")
    others = (failed("NO-5XX", "/v1/runs"), read, failed("NO-5XX", "/v1/runs", 200), failed("READ-BACK", "/v1/runs"))

    def is_joined(*findings: Finding) -> bool:
        return any(each.part_of for each in grouped(findings))

    assert [is_joined(listed, other) for other in others] == [True, False, False, False]


def test_a_5xx_is_the_main_finding_though_a_worse_rule_is_broken_by_it_too() -> None:
    def failed(rule: str, status: int) -> Finding:
        exchange = Exchange(Request("PATCH", f"/v1/runs/{RUN}"), Answer(status, (), b""))
        return Finding(rule, rule, "another", f"{status}", (exchange,))

    def main(*findings: Finding) -> list[str]:
        by_severity = grouped(findings, rank=lambda each: ["AUTH-REQUIRED", "NO-5XX"].index(each.rule))
        return [each.rule for each in by_severity if not each.part_of]

    assert main(failed("AUTH-REQUIRED", 500), failed("NO-5XX", 500)) == ["NO-5XX"]
    assert main(failed("AUTH-REQUIRED", 200), failed("NO-5XX", 500)) == ["AUTH-REQUIRED", "NO-5XX"]


def test_operations_that_accept_invalid_credentials_are_one_finding() -> None:
    no_token = finding("AUTH-REQUIRED", "list_runs succeeds without Authorization")
    elsewhere = finding("AUTH-REQUIRED", "list_machines succeeds without Authorization", path="/v1/machines")
    wrong_token = finding("AUTH-TOKEN", "list_runs succeeds with a wrong token")
    wrong_token_elsewhere = finding("AUTH-TOKEN", "list_machines succeeds with a wrong token", path="/v1/machines")

    main, *others = grouped([no_token, elsewhere, wrong_token])

    assert [each.part_of for each in others] == [main.fingerprint] * 2
    assert main.also_seen == ("AUTH-REQUIRED on GET /v1/machines", "AUTH-TOKEN on GET /v1/runs")
    assert [each.part_of for each in grouped([no_token, wrong_token_elsewhere])] == ["", ""]


def test_two_violations_that_one_answer_shows_in_one_field_are_one_finding() -> None:
    leak = finding(
        "SECRET-LEAK", "in an answer of list_runs", "200 with a sensitive value", field="sensitive_input_aliases"
    )
    read = finding(
        "READ-BACK",
        "sensitive_input_aliases reads differently",
        field="sensitive_input_aliases",
        same_answer=(("SECRET-LEAK", "in an answer of list_runs"),),
    )

    assert [bool(one.part_of) for one in grouped([leak, read])] == [False, True]
    assert [bool(one.part_of) for one in grouped([leak, dataclasses.replace(read, field="error")])] == [False, False]


def test_the_finding_of_the_most_severe_rule_is_the_main_one_and_the_order_stays() -> None:
    leak = dataclasses.replace(ECHO, rule="SECRET-LEAK")

    first, second = grouped([ECHO, leak], rank=lambda one: one.rule != "SECRET-LEAK")

    assert (first.rule, second.rule) == ("BULK-ECHO", "SECRET-LEAK")
    assert first.part_of == second.fingerprint
    assert second.also_seen == ("BULK-ECHO on GET /v1/runs",)


def test_a_field_that_must_only_be_there_is_no_evidence_for_one_fault_under_two_rules() -> None:
    """A create and a retry may each lose it by a fault of its own."""
    findings = [
        finding("BULK-SESSION", got="session_id null", guess="only with session_id?", field="session_id"),
        finding("RETRY-RULES", got='session_id "other"', guess="only with session_id?", field="session_id"),
    ]

    assert grouped(findings) == tuple(findings)


def test_the_same_values_of_one_field_are_one_fault_though_the_answers_differ() -> None:
    guess = "only with a space at an end in the key of input_values?"
    findings = [
        finding("BULK-ECHO", got='without the key " a"', guess=guess, field="input_values"),
        finding("CREATE-ANSWER", got='without the key "b "', guess=guess, field="input_values"),
        finding("UPDATE-PARTIAL", got="null", guess=guess, field="output_data"),
    ]

    assert [bool(one.part_of) for one in grouped(findings)] == [False, True, False]


def test_a_list_that_misses_runs_and_gives_others_for_one_reason_is_one_fault() -> None:
    guess = "only with a time zone offset in created_at_from?"
    findings = [
        finding("LIST-FILTER", "created_at_from misses a run", "a list without run 0b0e1234…", guess=guess),
        finding("LIST-FILTER", "created_at_from returns other runs", "run 1", guess=guess, field="created_at_from"),
    ]

    assert [bool(one.part_of) for one in grouped(findings)] == [False, True]


def test_a_secret_in_one_field_of_the_successes_of_several_operations_is_one_finding() -> None:
    def leak(path: str, field: str, status: int = 200) -> Finding:
        exchange = Exchange(Request("GET", path), Answer(status, (), b""))
        cause, got = f"in an answer of {path}", f"{status} with a sensitive value in {field}.pin"
        return Finding("SECRET-LEAK", cause, "no sensitive value in any answer", got, (exchange,), field=field)

    read, page = leak(f"/v1/runs/{RUN}", "input_values"), leak("/v1/runs", "input_values")
    others = leak("/v1/runs", "error"), leak("/v1/runs", "detail", 422), leak(f"/v1/runs/{RUN}", "detail", 404)

    found = grouped([read, page, *others])

    assert found[0].also_seen == ("SECRET-LEAK on GET /v1/runs",)
    assert found[1].part_of == found[0].fingerprint
    assert found[2:] == others


def accepted(rule: str, field: str) -> Finding:
    """A finding about an invalid create that is accepted."""
    exchange = Exchange(Request("POST", "/v1/runs/bulk"), Answer(201, (), b"{}"))
    return dataclasses.replace(finding(rule, "accepted", "201", field=field), exchanges=(exchange,))


def listed_with(field: str, value: Any) -> Finding:
    """A finding about a list whose only run has a wrong value."""
    run = {"id": RUN, "workflow_id": RUN, "machine_id": None, "status": "scheduling"}
    run |= {"created_at": "2026-01-02T03:04:05Z", field: value}
    body = json.dumps({"items": [run], "total": 1, "skip": 0, "limit": 100}).encode()
    exchange = Exchange(Request("GET", "/v1/runs"), Answer(200, (("Content-Type", "application/json"),), body))
    return dataclasses.replace(finding("READ-BACK", "a wrong part", field=field), exchanges=(exchange,))


def test_what_an_accepted_invalid_value_makes_of_later_answers_is_part_of_the_acceptance() -> None:
    listed, taken = listed_with("pool_ids", False), accepted("REQ-TYPES", "pool_ids")

    first, second = grouped([listed, taken], rank=lambda one: one.rule)

    assert (first.part_of, second.part_of) == (taken.fingerprint, "")
    for other in (accepted("REQ-TYPES", "machine_id"), accepted("BULK-ECHO", "pool_ids")):
        assert [one.part_of for one in grouped([listed, other])] == ["", ""]
    right = listed_with("pool_ids", [])
    assert [one.part_of for one in grouped([right, taken])] == ["", ""]


@pytest.mark.parametrize(("status", "is_one"), [(503, True), (500, False)])
def test_what_a_server_that_is_down_answers_to_all_operations_is_one_finding(status: int, is_one: bool) -> None:
    def failing(rule: str, path: str) -> Finding:
        exchange = Exchange(Request("GET", path), Answer(status, (), b""))
        return dataclasses.replace(finding(rule), exchanges=(exchange,))

    findings = [failing("NO-5XX", "/v1/runs"), failing("AUTH-REQUIRED", "/v1/pools"), failing("NO-5XX", "/v1/pools")]

    assert len([one for one in grouped(findings) if not one.part_of]) == (1 if is_one else 2)


@pytest.mark.parametrize(
    ("bodies", "is_intermittent", "is_one"),
    [
        ([b'{"detail": "pool is exhausted"}'] * 2, True, True),
        ([b'{"detail": "pool is exhausted"}'] * 2, False, False),
        ([b'{"detail": "Internal Server Error"}'] * 2, True, False),
        ([b'{"detail": "pool is exhausted"}', b'{"detail": "deadlock"}'], True, False),
    ],
)
def test_one_5xx_that_several_operations_get_at_times_is_one_finding_if_it_says_why(
    bodies: list[bytes], is_intermittent: bool, is_one: bool
) -> None:
    findings = [
        dataclasses.replace(
            finding("NO-5XX", intermittent=is_intermittent),
            exchanges=(Exchange(Request("GET", path), Answer(500, (), body)),),
        )
        for path, body in zip(("/v1/runs", "/v1/pools"), bodies, strict=True)
    ]

    assert len([one for one in grouped(findings) if not one.part_of]) == (1 if is_one else 2)


def test_one_requirement_of_the_schema_that_answers_of_several_operations_break_is_one_finding() -> None:
    listed, first_read = listed_with("created_at", "today"), listed_with("created_at", "yesterday")
    read = dataclasses.replace(first_read, rule="CREATE-ANSWER", cause="another")

    assert [bool(one.part_of) for one in grouped([listed, read])] == [False, True]
    number = dataclasses.replace(listed_with("created_at", 5), rule="CREATE-ANSWER", cause="another")
    assert [one.part_of for one in grouped([listed, number])] == ["", ""]


def test_a_read_that_shows_what_a_repeated_write_has_done_is_of_that_write() -> None:
    keyed = Request("POST", "/v1/runs/bulk", (("Idempotency-Key", "one"),))
    write = Exchange(keyed, Answer(201, (), b"{}"))
    read = Exchange(Request("GET", "/v1/runs"), Answer(200, (), b"{}"))
    ignored = dataclasses.replace(finding("IDEM-REPLAY", KEY_IS_IGNORED), exchanges=(write, write))
    runs = dataclasses.replace(finding("IDEM-CONFLICT", "a refused conflict creates runs"), exchanges=(write, read))

    assert [bool(one.part_of) for one in grouped([ignored, runs])] == [False, True]
