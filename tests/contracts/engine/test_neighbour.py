"""The nearest attempt that passed."""

import pytest

from contracts.engine.neighbour import also_failing, neighbours
from contracts.engine.results import Attempt
from tests.contracts.engine.attempts import RUN, created, listed, sent

OTHER = "99999999-0000-4000-8000-000000000002"
WORKFLOW = "10000000-0000-4000-8000-000000000001"


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


def test_an_attempt_whose_earlier_request_was_refused_is_not_a_neighbour() -> None:
    def updated(status: str, code: int) -> Attempt:
        update = sent("update_run", RUN, body={"status": status}, status=code)
        return Attempt([update, sent("list_runs", query=[("status", "error")])])

    assert neighbours(updated("task_failed", 200), [updated("aaaaaaaaaaa", 422)]) == []
    assert neighbours(updated("task_failed", 409), [updated("aaaaaaaaaaa", 422)]) != []
    assert neighbours(updated("task_failed", 409), [updated("cancelled", 200)]) != []


def test_other_attempts_that_fail_are_compared_whatever_they_were_answered() -> None:
    (other,) = also_failing(created({"count": 2}), [created({"count": 2}), created({"count": 3}, 422), Attempt([])])

    assert [(one.place, one.failing, one.other) for one in other.differences] == [("count", 2, 3)]


def test_of_an_attempt_that_fails_after_other_requests_only_the_last_one_is_compared() -> None:
    failing = Attempt([*created({"count": 2}).exchanges, *listed(("limit", "1"), ("fields", "id")).exchanges])
    longer = Attempt([*created({"count": 3}).exchanges, *listed().exchanges, *listed(("fields", "id")).exchanges])

    (other,) = also_failing(failing, [longer])

    assert [(one.place, one.failing) for one in other.differences] == [("limit", 1)]


def test_an_object_with_other_names_is_farther_than_a_list_with_an_item_less() -> None:
    passing = [created({"a": {"x": 1, "y": 2}}), created({"a": {"b": [0]}})]

    near = neighbours(created({"a": {"b": [0, 0]}}), passing)

    assert near[0].differences[0].place == "a.b"


def test_an_attempt_without_requests_is_not_compared() -> None:
    some, none = created({"count": 1}), Attempt([])

    assert also_failing(none, [some, none]) == also_failing(some, [none]) == []
    assert neighbours(none, [some, none]) == neighbours(some, [none]) == []
