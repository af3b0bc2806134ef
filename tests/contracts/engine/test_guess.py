"""The guess at a cause, which follows from the attempts that passed and those that failed."""

from collections.abc import Sequence
from typing import Any

import pytest

from contracts.engine.guess import guess
from contracts.engine.neighbour import also_failing, neighbours
from contracts.engine.results import Attempt
from tests.contracts.engine.attempts import RUN, created, listed, sent


def updated_and_listed(value: str, search: str) -> Attempt:
    update = sent("update_run", RUN, body={"output_data": {"a": value}})
    return Attempt([update, sent("list_runs", query=[("search", search)])])


def updated_twice(*tokens: int) -> Attempt:
    return Attempt([sent("update_run", RUN, body={"usage_metadata": {"tokens": one}}) for one in tokens])


def guessed(failing: Attempt, *passing: Attempt, failed: Sequence[Attempt] = ()) -> str:
    return guess(neighbours(failing, passing), also_failing(failing, failed))


@pytest.mark.parametrize(
    ("failing", "passing", "words"),
    [
        (created({"count": 501}), [created({"count": 500}), created({"count": 250})], "only with count above 500?"),
        (created({"count": 501}), [created({"count": 250})], ""),
        (created({"n": -1}), [created({"n": 0})], "only with n below 0?"),
        (created({"n": 7}), [created({"n": 6}), created({"n": 8})], "only with n 7?"),
        (listed(("limit", "1000")), [listed(("limit", "999"))], "only with limit above 999?"),
        (created({"error": None}), [created({})], "only with error null?"),
        (created({"start_session": True, "count": 1}), [created({"count": 1})], "only with start_session true?"),
        (
            listed(("session_id", RUN), ("machine_id", RUN)),
            [listed(("session_id", RUN)), listed(("machine_id", RUN))],
            "only with machine_id and session_id together?",
        ),
        (
            listed(("created_at_from", "2026-11-26T07:02:56+05:30")),
            [listed(("created_at_from", "2026-11-26T01:33:58Z"))],
            "only with a time zone offset in created_at_from?",
        ),
        (
            created({"a": {f"k{n}": n for n in range(21)}}),
            [created({"a": {f"key {n}": 0 for n in range(20)}})],
            "only with more than 20 members in a?",
        ),
        (created({"a": [0] * 51}), [created({"a": [1] * 50})], "only with more than 50 items in a?"),
        (created({"a": "x" * 256}), [created({"a": "x" * 255})], "only with more than 255 characters in a?"),
        (created({"a": "é"}), [created({"a": "e"})], "only with a non-ASCII character in a?"),
        (created({"a": "aB1_" * 20}), [created({"a": "x"})], ""),  # the length may be what matters
        (created({"a": "é"}), [created({"a": "e"}), created({"a": "ü"})], ""),
        (created({"a": " x"}), [created({"a": "x"})], "only with a space at an end in a?"),
        (
            created({"a": {" k": 0}}),
            [created({"a": {"k": 0}}), created({"a": {}})],
            "only with a space at an end in the key of a?",
        ),
        (created({"a": {"b": [1.0]}}), [created({"a": {"b": ["x"]}})], ""),
        (created({"a": 2, "b": 2}), [created({"a": 1, "b": 1})], ""),
        (listed(("workflow_id", RUN)), [listed(("workflow_id", "x"))], ""),
        (created([1]), [created([1, 2])], ""),
        (
            created({"sensitive_input_values": {"pin": 12345}}),
            [created({"sensitive_input_values": {"pin": 12344}})],
            "",
        ),
        (
            created({"a": 1, "sensitive_input_values": {"pin": 12345, "x": 1}}),
            [created({"a": 1, "sensitive_input_values": {"x": 1}})],
            "only with sensitive_input_values.pin?",
        ),
        (created({"a": {"b": None}}), [created({"a": {}}), created({})], "only with a?"),
    ],
)
def test_a_guess_names_what_only_the_failing_request_has(failing: Attempt, passing: list[Attempt], words: str) -> None:
    assert guessed(failing, *passing) == words


def test_a_request_that_is_needed_before_it_is_named() -> None:
    failing = Attempt([sent("update_run", RUN, body={"error": None}), sent("get_run", RUN)])

    assert guessed(failing, Attempt([sent("get_run", RUN)])) == "only after PATCH /v1/runs/{run_id}?"


def test_a_body_that_is_not_json_is_compared_as_a_text() -> None:
    failing, passing = (Attempt([sent("create_run", raw=raw)]) for raw in (b'{"a": \xff}', b'{"a": x}'))

    assert guessed(failing, passing) == "only with a non-ASCII character in the body?"


def test_a_request_that_others_sent_too_is_not_named() -> None:
    def after(*bodies: Any) -> Attempt:
        return Attempt([*(sent("update_run", RUN, body=body) for body in bodies), sent("get_run", RUN)])

    assert guessed(after({"error": ["x"]}), after(), after({"error": ["y"]})) == ""


@pytest.mark.parametrize(
    ("failing", "passing"),
    [
        pytest.param(created({"a": "b2"}), [created({"a": "YQ"})], id="more than the digit differs"),
        pytest.param(created({"a": "2"}), [created({"a": "long"})], id="the length differs too"),
        pytest.param(listed(("sort_mode", "created_at_desc")), [listed(("sort_mode", "activity"))], id="two names"),
        pytest.param(created({"a": "a[1]"}), [created({"a": "a[1"})], id="the last character may matter"),
        pytest.param(created({"a": "aaaaa"}), [created({"a": "aaaa"}), created({"a": "bbbbb"})], id="as long"),
        pytest.param(created({"a": [1, 1, 2]}), [created({"a": [1, 1]})], id="the last item may matter"),
        pytest.param(created({"a": [1, 1]}), [created({"a": [1]}), created({"a": [1, 3]})], id="as many items"),
        pytest.param(updated_and_listed("Zx", "Zx"), [updated_and_listed("Zx", "zx")], id="a text that was stored"),
        pytest.param(updated_twice(10, 10), [updated_twice(10, 9), updated_twice(9, 10)], id="the same number twice"),
        pytest.param(created({"a": {"k": "b"}}), [created({}), created({"a": {"k": "c"}})], id="the value matters"),
        pytest.param(created({"status": "error"}), [created({})], id="one of several names"),
    ],
)
def test_there_is_no_guess_if_something_else_may_be_the_cause(failing: Attempt, passing: list[Attempt]) -> None:
    assert guessed(failing, *passing) == ""


def test_a_value_of_another_type_that_passed_says_nothing_about_a_number() -> None:
    passing = [created({"a": {"n": 7}}), created({"a": {"n": []}}), created({})]

    assert guessed(created({"a": {"n": 8}}), *passing) == "only with a.n above 7?"


def test_what_is_empty_in_the_others_is_needed() -> None:
    both = created({"machine_id": RUN, "pool_ids": [RUN]})
    passing = [created({"pool_ids": [RUN]}), created({"machine_id": RUN, "pool_ids": []})]

    assert guessed(both, *passing) == "only with pool_ids and machine_id together?"


def test_a_place_does_not_contain_one_whose_name_begins_with_its_name() -> None:
    passing = [created({"error_2": [1]}), created({"error": [1]})]

    assert guessed(created({"error": [1], "error_2": [1]}), *passing) == "only with error and error_2 together?"


@pytest.mark.parametrize(
    ("failing", "passing", "failed"),
    [
        (created({"n": 3}), created({"n": 2}), created({"n": 1, "more": 1})),
        (created({"a": "é"}), created({"a": "e"}), created({"a": "x", "more": 1})),
        (created({"a": True}), created({}), created({"more": 1})),
        (created({"a": True}), created({}), created({"b": 2, "c": 3})),
    ],
)
def test_an_attempt_that_fails_without_it_refutes_a_guess(failing: Attempt, passing: Attempt, failed: Attempt) -> None:
    assert guessed(failing, passing) != ""
    assert guessed(failing, passing, failed=[failed]) == ""


def test_a_value_is_named_only_if_no_other_value_fails() -> None:
    failing, passing = created({"steps": [{"a": None}]}), created({"steps": [{}]})

    assert guessed(failing, passing) == "only with steps[0].a null?"
    assert guessed(failing, passing, failed=[created({"steps": [{"a": [1]}]})]) == "only with steps[0].a?"


@pytest.mark.parametrize("value", [0, 1, "", [], {}])
def test_a_plain_value_that_shrinking_may_have_left_is_not_named(value: Any) -> None:
    assert guessed(created({"a": {"_k": value}}), created({"a": {}})) == "only with a._k?"


def test_a_failing_value_of_another_type_does_not_refute_a_guess() -> None:
    failing, passing, failed = (created({"a": value}) for value in (8, 7, {"b": 8}))

    assert guessed(failing, passing, failed=[failed]) == "only with a above 7?"


def test_a_few_runs_may_be_what_the_later_requests_need() -> None:
    def listed_after(count: int) -> Attempt:
        return Attempt([*created({"count": count}).exchanges, *listed().exchanges])

    assert guessed(listed_after(3), listed_after(2)) == ""
    assert guessed(listed_after(502), listed_after(501)) == "only with count above 501?"
    assert guessed(created({"count": 3}), created({"count": 2})) == "only with count above 2?"


def test_the_items_of_a_list_need_not_all_be_alike() -> None:
    """Shrinking may end before all are plain."""
    assert guessed(created({"a": [0, 0, 1, 1]}), created({"a": [0, 0, 1]})) == "only with more than 3 items in a?"


def test_the_number_of_items_matters_if_others_failed_at_both_ends() -> None:
    failing, passing = created({"a": [7, 0, 0, 8]}), created({"a": [7, 0, 0]})

    assert guessed(failing, passing) == ""
    assert guessed(failing, passing, failed=[created({"a": [7, 0, 0, 9]})]) == ""
    assert guessed(failing, passing, failed=[created({"a": [1, 0, 0, 9]})]) == "only with more than 3 items in a?"


@pytest.mark.parametrize("empty", [[], {}])
def test_an_empty_value_is_not_longer_than_others(empty: Any) -> None:
    assert guessed(created({"a": empty}), created({"a": [1]}), created({"a": {"b": 1}}), created({"a": "b"})) == ""


def test_numbers_that_no_double_can_hold_are_not_compared() -> None:
    large = 10**400

    assert guessed(created({"a": large}), created({"a": 1.5}), created({"a": large - 1})) == ""
    assert guessed(created({"a": 1.5}), created({"a": large})) == ""
