"""The nearest attempt that passed, and the guess that follows from such attempts."""

from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange
from contracts.engine.neighbour import guess, neighbours
from contracts.engine.request_building import request_for
from contracts.engine.results import Attempt

RUN = "0b0e1234-0000-4000-8000-000000000001"
OTHER = "99999999-0000-4000-8000-000000000002"
WORKFLOW = "10000000-0000-4000-8000-000000000001"


def sent(operation: str, *ids: str, status: int = 200, **more: Any) -> Exchange:
    return Exchange(request_for(operation, *ids, **more), Answer(status, (), b""))


def created(body: Any, status: int = 200) -> Attempt:
    return Attempt([sent("bulk_create_runs", body=body, status=status)])


def listed(*query: tuple[str, str]) -> Attempt:
    return Attempt([sent("list_runs", query=query)])


def guessed(failing: Attempt, *passing: Attempt) -> str:
    return guess(neighbours(failing, passing))


def test_the_nearest_is_the_one_that_differs_least() -> None:
    attempts = [created({"count": 250}), created({}), created({"count": 500}), created({"count": 400, "more": 1})]

    near = neighbours(created({"count": 501}), attempts)

    assert [one.exchange.request.body for one in near] == [
        b'{"count": 500}',
        b"{}",
        b'{"count": 250}',
        b'{"count": 400, "more": 1}',
    ]


def test_made_up_values_do_not_count_as_differences() -> None:
    failing = Attempt([sent("get_run", RUN, query=[("search", "qwrtz")], key="k-1234")], {"marker": "qwrtz"})
    passing = Attempt([sent("get_run", OTHER, query=[("search", "pdfgh")], key="k-1234")], {"marker": "pdfgh"})

    assert neighbours(failing, [passing]) == []


@pytest.mark.parametrize("status", [0, 404, 422, 500])
def test_a_request_without_a_success_is_not_a_neighbour(status: int) -> None:
    assert neighbours(created({"count": 2}), [created({"count": 1}, status)]) == []


def test_a_body_of_another_type_is_not_a_neighbour_of_json() -> None:
    def with_type(media_type: str) -> Attempt:
        headers = [("Content-Type", media_type)]
        return Attempt([sent("bulk_create_runs", raw=b"{}", headers=headers)])

    assert neighbours(with_type("application/json"), [with_type("text/plain")]) == []
    assert neighbours(with_type("text/plain"), [with_type("application/json")]) != []
    assert neighbours(with_type("application/json"), [with_type("Application/JSON; charset=utf-8")]) != []


def test_an_attempt_that_did_not_send_the_failing_request_is_not_a_neighbour() -> None:
    failing = Attempt([sent("create_run", body={}), sent("list_runs")])

    assert neighbours(failing, [Attempt([sent("create_run", body={"a": 1})]), Attempt([])]) == []


def test_requests_after_the_judged_one_do_not_count() -> None:
    failing = Attempt([sent("list_runs", query=[("limit", "2")])])
    passing = Attempt([sent("list_runs", query=[("limit", "1")]), sent("delete_run", RUN)])

    (near,) = neighbours(failing, [passing])

    assert [difference.place for difference in near.differences] == ["limit"]
    assert near.exchange == passing.exchanges[0]


def test_the_request_that_differs_is_shown_and_not_the_same_read_after_it() -> None:
    failing = Attempt([sent("bulk_create_runs", body={"count": 501}), sent("list_runs")])
    passing = Attempt([sent("bulk_create_runs", body={"count": 500}), sent("list_runs")])

    (near,) = neighbours(failing, [passing])

    assert near.exchange == passing.exchanges[0]


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
