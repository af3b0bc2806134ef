"""What a check may spend: charged before it is sent with the most it could cost, settled to what came of it."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest

from contracts.core.exchange import Request
from contracts.core.target import Budget
from contracts.guard import NoAnswer, OutOfBudget
from contracts.guard.budget import CLEANUP_REQUESTS, CLEANUP_REQUESTS_PER_RUN, BudgetAccount
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import bulk, get, post
from tests.contracts.guard.standin import CUT, Received, Reply, StandIn


def broken_bulk(server: StandIn) -> None:
    """A server that makes as many runs as it is asked for, 1001 too."""

    def meddle(received: Received) -> Reply | None:
        if received.target != "/v1/runs/bulk":
            return None
        made = [server.runs[server.add_run()] for _ in range(received.json()["count"])]
        return Reply(201, {"created_runs": made, "failed_count": 0})

    server.meddle = meddle


def test_a_count_that_a_broken_server_would_obey_is_not_sent_where_the_budget_cannot_bear_it(
    open_guard: OpenGuard, server: StandIn
) -> None:
    broken_bulk(server)
    guard = open_guard(budget=Budget(max_runs=1000))
    with pytest.raises(OutOfBudget, match="count 1001"):
        guard.send(bulk(1001))
    assert server.received == []
    assert guard.log.skipped == ("POST /v1/runs/bulk with count 1001: could cost 1,001 runs, 1,000 of 1,000 are left",)
    guard.send(bulk(1000))
    assert (len(server.runs), guard.spent.runs_created) == (1000, 1000)


def test_runs_that_a_broken_server_creates_for_an_invalid_count_are_owned_and_counted(
    open_guard: OpenGuard, server: StandIn
) -> None:
    broken_bulk(server)
    guard = open_guard(budget=Budget(max_runs=1001))
    guard.send(bulk(1001))
    assert len(guard.ownership.runs) == 1001
    assert not guard.can_afford(runs=1)
    assert guard.can_afford(runs=0)


def test_the_budget_says_that_no_request_is_left_once_the_creates_in_flight_are_settled() -> None:
    account = BudgetAccount(Budget(max_requests=35), keeps_reserve=True)
    create = account.charge(5, creates=True, what="a create")
    assert not account.can_afford(runs=0, requests=1)
    assert account.why_no_request_left == ""  # the create may have been refused
    for _ in range(2):
        account.settle(create, 4)
    assert account.can_afford(runs=0, requests=4)
    account.charge(0, creates=False, what="reads", requests=4)
    assert account.why_no_request_left == "no request is left: 5 of 35 are spent and 30 kept for cleaning up"


def test_a_refused_create_costs_no_run(open_guard: OpenGuard) -> None:
    guard = open_guard(budget=Budget(max_runs=1000))
    for _ in range(3):
        assert guard.send(bulk("x1000")).answer.status == 422
    assert guard.can_afford(runs=1000)
    assert guard.log.skipped == ()


def test_what_is_skipped_is_named_once(open_guard: OpenGuard) -> None:
    guard = open_guard(budget=Budget(max_runs=1))
    for _ in range(2):
        for request in (bulk(7), bulk([{"a": 70}]), post("/v1/runs/chain", {"steps": [{}, {}]})):
            with pytest.raises(OutOfBudget):
                guard.send(request)
    assert [words.partition(":")[0] for words in guard.log.skipped] == [
        "POST /v1/runs/bulk with count 7",
        "POST /v1/runs/bulk",  # a list is too long for a message, and part of one says nothing
        "POST /v1/runs/chain",
    ]


@pytest.mark.parametrize(
    "reply", [CUT, Reply(500, {}), Reply(303, None, (("Location", "/v1/runs/x"),)), Reply(200, {})]
)
def test_a_create_with_an_unknown_outcome_keeps_its_charge(
    open_guard: OpenGuard, server: StandIn, reply: Reply
) -> None:
    guard = open_guard(budget=Budget(max_runs=10))
    server.meddle = lambda _: reply
    if reply is CUT:
        with pytest.raises(NoAnswer):
            guard.send(bulk(6))
    else:
        guard.send(bulk(6))
    assert guard.can_afford(runs=4)
    assert not guard.can_afford(runs=5)


@pytest.mark.parametrize("status", [307, 308, 401, 409, 429])
def test_a_create_that_was_not_carried_out_is_refunded(open_guard: OpenGuard, server: StandIn, status: int) -> None:
    guard = open_guard(budget=Budget(max_runs=10))
    server.meddle = lambda _: Reply(status, {})
    guard.send(bulk(6))
    assert guard.can_afford(runs=10)


def test_fewer_runs_than_count_cost_the_whole_count_unless_the_answer_reports_failures(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(budget=Budget(max_runs=20))

    def two_of_six(failed: int) -> Reply:
        made = [server.runs[server.add_run()] for _ in range(2)]
        return Reply(201, {"created_runs": made, "failed_count": failed})

    server.meddle = lambda _: two_of_six(4)
    guard.send(bulk(6))
    assert guard.can_afford(runs=18)
    server.meddle = lambda _: two_of_six(0)
    guard.send(bulk(6))
    assert guard.can_afford(runs=12)
    assert not guard.can_afford(runs=13)


def test_more_runs_than_could_be_foreseen_are_counted_all_the_same(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_runs=20))
    server.meddle = lambda _: Reply(201, {"created_runs": [server.runs[server.add_run()] for _ in range(8)]})
    guard.send(bulk(1))
    assert (guard.can_afford(runs=12), guard.can_afford(runs=13), len(guard.ownership.runs)) == (True, False, 8)


def test_a_repeat_by_idempotency_key_costs_nothing_twice(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_runs=10))
    first = guard.send(bulk(5)).answer
    server.meddle = lambda _: Reply(201, first.body)
    guard.send(bulk(5))
    assert guard.can_afford(runs=5)


def test_a_retry_costs_a_run_unless_it_is_refused(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_runs=3))
    run = guard.send(bulk()).answer.json()["created_runs"][0]["id"]
    guard.send(post(f"/v1/runs/{run}/retry", {}))
    assert (guard.can_afford(runs=1), guard.can_afford(runs=2), guard.spent.runs_created) == (True, False, 1)
    server.meddle = lambda _: Reply(409, {})
    guard.send(post(f"/v1/runs/{run}/retry", {}))
    assert guard.can_afford(runs=1)
    guard.send(bulk(authorization="Bearer no-such-token"))
    server.meddle = lambda _: None
    guard.send(post(f"/v1/runs/{run}/retry", {}))
    with pytest.raises(OutOfBudget):
        guard.send(post(f"/v1/runs/{run}/retry", {}))


def test_the_request_after_the_last_is_not_sent(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_requests=3))
    for _ in range(3):
        guard.send(get("/v1/runs"))
    with pytest.raises(OutOfBudget, match="3 of 3 are spent"):
        guard.send(get("/v1/runs"))
    assert (len(server.received), guard.spent.requests) == (3, 3)
    assert not guard.can_afford(runs=0)


def test_a_reserve_for_cleaning_up_is_kept_and_is_enough(open_guard: OpenGuard, server: StandIn) -> None:
    runs = 5
    limit = CLEANUP_REQUESTS + CLEANUP_REQUESTS_PER_RUN * runs + 5  # deletes were asked for, and the lists
    guard = open_guard(profile="live", clean_up=True, budget=Budget(max_runs=25, max_requests=limit))
    with pytest.raises(OutOfBudget, match="kept for cleaning up"):
        guard.send(bulk(runs + 1))
    guard.send(bulk(runs))
    spent = 0
    while guard.can_afford(runs=0):
        guard.send(get("/v1/runs"))
        spent += 1
    assert spent <= 3
    assert guard.clean_up() == 0
    assert guard.left_unknown == ()
    assert server.runs == {}
    assert guard.spent.requests <= limit
    assert len(server.received) == guard.spent.requests


def test_runs_are_reported_as_left_if_the_budget_ends_before_all_are_deleted(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(budget=Budget(max_requests=9))  # no reserve: cleaning up was not asked for
    guard.send(bulk(20))
    assert guard.clean_up() == 20
    assert len(server.received) == 9


def test_a_request_that_was_charged_and_not_sent_is_given_back(open_guard: OpenGuard) -> None:
    guard = open_guard(budget=Budget(max_runs=10, max_requests=10))
    with pytest.raises(OutOfBudget):
        guard.send_together([bulk(4), bulk(4), bulk(4)])
    assert guard.can_afford(runs=10, requests=10)
    assert guard.spent.requests == 0


def test_requests_that_were_charged_are_given_back_if_another_one_cannot_be_checked(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(profile="live", budget=Budget(max_runs=10), clean_up=True)
    made_up = str(uuid.uuid4())
    guard.allow_unknown(made_up)
    server.meddle = lambda received: CUT if made_up in received.target else None
    with pytest.raises(NoAnswer):
        guard.send_together([bulk(8), get(f"/v1/runs/{made_up}", method="DELETE")])
    assert server.runs == {}
    assert guard.can_afford(runs=10)


def test_a_request_whose_target_cannot_be_reached_costs_no_run(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_runs=5))
    server.__exit__(None, None, None)
    with pytest.raises(NoAnswer, match="cannot connect"):
        guard.send(bulk(5))
    assert guard.can_afford(runs=5)
    server.__enter__()


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/v1/runs x"},
        {"path": "http://elsewhere.test/v1/runs"},
        {"path": "/v1/\u20ac"},
        {"method": "BAD METHOD"},
        {"headers": (("X-Line", "a\r\nInjected: b"),)},
        {"headers": (("Bad Name", "a"),)},
    ],
)
def test_a_request_that_cannot_be_put_on_the_wire_costs_no_run_and_shows_no_token(
    open_guard: OpenGuard, change: dict[str, Any]
) -> None:
    guard = open_guard(budget=Budget(max_runs=5))
    plain = bulk(5)
    request = Request(
        change.get("method", plain.method),
        change.get("path", plain.path),
        (*plain.headers, *change.get("headers", ())),
        plain.body,
    )
    with pytest.raises(Exception, match="cannot be put on the wire") as caught:
        guard.send(request)
    assert guard.can_afford(runs=5)
    assert "first-token" not in repr(caught.value)


def test_a_ledger_never_lends_the_same_run_twice() -> None:
    account = BudgetAccount(Budget(max_runs=10, max_requests=40), keeps_reserve=True)
    charge = account.charge(5, creates=True, what="x")
    assert (account.runs, account.requests) == (5, 1)
    account.settle(charge, 2)
    account.settle(charge, 1)
    assert account.runs == 1
    assert not account.can_afford(runs=10, requests=1)
    with pytest.raises(OutOfBudget, match="could cost 10 runs, 9 of 10 are left"):
        account.charge(10, creates=True, what="x")


def test_an_id_that_was_made_up_costs_a_request_to_look_for(open_guard: OpenGuard) -> None:
    guard = open_guard(profile="live", second_token=None, budget=Budget(max_requests=2))
    unknown = str(uuid.uuid4())
    guard.allow_unknown(unknown)
    guard.send(get(f"/v1/runs/{unknown}", method="DELETE"))
    assert guard.spent.requests == 2
    another = str(uuid.uuid4())
    guard.allow_unknown(another)
    with pytest.raises(OutOfBudget):
        guard.send(get(f"/v1/runs/{another}", method="DELETE"))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_read_with_a_body_is_charged_as_a_create_until_its_answer_reports_no_run(
    open_guard: OpenGuard, server: StandIn, method: str
) -> None:
    guard = open_guard(budget=Budget(max_runs=5))
    with pytest.raises(OutOfBudget):
        guard.send(post("/v1/runs/bulk", {"count": 6}, method=method))
    server.meddle = lambda _: Reply(200, {"items": [], "total": 0})
    guard.send(post("/v1/runs", {"count": 5}, method=method))
    assert guard.can_afford(runs=5)
    server.meddle = lambda _: Reply(200, server.runs[server.add_run()])
    guard.send(post("/v1/runs", {}, method=method))
    assert (len(guard.ownership.runs), guard.can_afford(runs=5)) == (1, False)


def test_a_read_that_is_sent_again_over_a_new_connection_is_charged_and_waits_like_any_other(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    """A server may close a connection that was kept open once it has read a request from it."""
    guard = open_guard(profile="live", clean_up=True, budget=Budget(max_runs=25, max_requests=60, rate=5.0))
    server.meddle = lambda received: CUT if received.method == "GET" and len(server.received) % 2 else None
    guard.send(bulk(1))

    def read_for_ever() -> None:
        while True:
            with contextlib.suppress(NoAnswer):
                guard.send(get("/v1/runs"))

    with pytest.raises(OutOfBudget):
        read_for_ever()
    guard.clean_up()
    assert len(server.received) <= guard.spent.requests <= 60
    assert manual.moment - 1000 >= (len(server.received) - 1) / 5


def test_a_server_that_has_created_too_many_runs_is_charged_for_that_from_then_on(
    open_guard: OpenGuard, server: StandIn
) -> None:
    def too_many(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        made = [server.runs[server.add_run()] for _ in range(4 * received.json()["count"])]
        return Reply(201, {"created_runs": made, "failed_count": 0})

    guard = open_guard(profile="live", budget=Budget(max_runs=10, max_requests=500))
    server.meddle = too_many
    guard.send(bulk(1))
    guard.send(bulk(1))
    assert not guard.can_afford(runs=1)
    with pytest.raises(OutOfBudget, match="could cost 4 runs, 2 of 10 are left"):
        guard.send(bulk(1))
    assert len(server.runs) == 8


def test_a_huge_count_costs_a_largest_bulk_once_the_target_has_refused_smaller_ones(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(budget=Budget(max_runs=5000))
    for count in (1001, 1002):
        assert guard.send(bulk(count)).answer.status == 422
        with pytest.raises(OutOfBudget):
            guard.send(bulk(2**32 + 1))
    guard.send(bulk(1003))

    assert guard.send(bulk(2**32 + 1)).answer.status == 422
    assert not guard.spent.runs_created
    assert not guard.can_afford(runs=5001)
    assert guard.can_afford(runs=5000)


def test_a_refusal_for_another_reason_does_not_prove_that_the_count_is_limited(
    open_guard: OpenGuard, server: StandIn
) -> None:
    server.meddle = lambda received: Reply(401 if received.json()["count"] < 1010 else 422, {"detail": []})
    guard = open_guard(budget=Budget(max_runs=5000))
    for count in range(1001, 1010):
        guard.send(bulk(count))
    for count in range(1010, 1020):
        guard.send(bulk(count, machine_id="no id"))

    with pytest.raises(OutOfBudget):
        guard.send(bulk(2**32 + 1))


def test_a_huge_count_that_is_read_as_a_small_one_is_charged_with_what_it_made(
    open_guard: OpenGuard, server: StandIn
) -> None:
    def meddle(received: Received) -> Reply | None:
        count = received.json()["count"] % 2**32
        if count > 1000:
            return Reply(422, {"detail": []})
        return Reply(201, {"created_runs": [server.runs[server.add_run()] for _ in range(count)], "failed_count": 0})

    server.meddle = meddle
    guard = open_guard(budget=Budget(max_runs=5000))
    for count in (1001, 1002, 1003, 2**32 + 1, 2**32 + 1):
        guard.send(bulk(count))

    assert len(guard.ownership.runs) == 2


def test_a_target_that_was_seen_to_make_more_than_a_largest_bulk_gets_no_huge_count(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(budget=Budget(max_runs=5000))
    for count in (1001, 1002, 1003):
        guard.send(bulk(count))
    broken_bulk(server)
    guard.send(bulk(1004))

    with pytest.raises(OutOfBudget):
        guard.send(bulk(2**32 + 1))


def test_on_a_live_target_a_huge_count_costs_what_it_asks_for(open_guard: OpenGuard) -> None:
    guard = open_guard(profile="live", budget=Budget(max_runs=5000), clean_up=True)
    for count in (1001, 1002, 1003):
        assert guard.send(bulk(count)).answer.status == 422

    with pytest.raises(OutOfBudget, match="could cost 4,294,967,297 runs"):
        guard.send(bulk(2**32 + 1))
