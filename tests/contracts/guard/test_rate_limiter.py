"""When requests go out: the rate allowed, Retry-After, several at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from contracts.core.exchange import Answer
from contracts.core.findings import CouldNotCheck
from contracts.core.target import Budget, Target
from contracts.guard import Guard, NoAnswer, NotAllowed, OutOfBudget, concurrency
from contracts.guard.bounds import BOUNDS
from contracts.guard.concurrency import WORKERS
from contracts.guard.connection import Connection, ExchangeFailed
from contracts.guard.later_cleanup import clean_up_journals
from contracts.guard.rate_limiter import Clock, RateLimiter
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import bulk, get
from tests.contracts.guard.standin import CUT, FIRST, Received, Reply, StandIn


def limited(server: StandIn, times: int, headers: tuple[tuple[str, str], ...] = (("Retry-After", "2"),)) -> None:
    """A server that puts off the first requests."""
    left = iter(range(times))
    server.meddle = lambda _: Reply(429, {"detail": "slow down"}, headers) if next(left, None) is not None else None


def test_requests_leave_evenly_at_the_rate_allowed(open_guard: OpenGuard, manual: ManualClock) -> None:
    guard = open_guard(budget=Budget(rate=5))
    for _ in range(4):
        guard.send(get("/v1/runs"))
    assert manual.sleeps == [0.2, 0.2, 0.2]


def test_without_a_rate_nothing_waits(guard: Guard, manual: ManualClock) -> None:
    guard.send(get("/v1/runs"))
    guard.send(bulk())
    assert manual.sleeps == []


def test_a_rate_that_was_not_used_up_is_not_saved_for_a_burst(manual: ManualClock) -> None:
    pace = RateLimiter(5, manual.clock)
    manual.moment += 100
    pace.wait()
    pace.wait()
    assert manual.sleeps == [0.2]


def test_a_group_takes_its_slots_at_once(manual: ManualClock) -> None:
    pace = RateLimiter(5, manual.clock)
    pace.wait(2)
    pace.wait()
    assert manual.sleeps == [0.4]


def test_after_a_429_the_request_is_repeated_when_the_target_wants_it(
    guard: Guard, server: StandIn, manual: ManualClock
) -> None:
    limited(server, 2)
    exchange = guard.send(bulk(3))
    assert exchange.answer.status == 201
    assert manual.sleeps == [2, 2]
    assert len({each.body for each in server.received}) == 1
    assert [each.answer.status for each in guard.log.throttled] == [429, 429]
    assert [each.answer.status for each in guard.exchanges] == [429, 429, 201]
    assert (guard.spent.requests, len(guard.ownership.runs)) == (3, 3)


def test_a_429_that_never_ends_is_the_answer(guard: Guard, server: StandIn, manual: ManualClock) -> None:
    limited(server, 100, ())
    assert guard.send(get("/v1/runs")).answer.status == 429
    assert manual.sleeps == [1, 2, 4, 8, 16]


def test_repeats_stop_where_the_budget_ends(open_guard: OpenGuard, server: StandIn) -> None:
    limited(server, 100)
    guard = open_guard(budget=Budget(max_requests=2))
    assert guard.send(get("/v1/runs")).answer.status == 429
    assert len(server.received) == 2


def test_a_wait_that_is_longer_than_there_is_time_for_is_not_waited_and_nothing_more_is_sent(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=7200)
    limited(server, 1, (("Retry-After", "3600"),))
    assert guard.send(get("/v1/runs")).answer.status == 429
    with pytest.raises(OutOfBudget, match="3600 s"):
        guard.send(bulk(5))
    assert (len(server.received), guard.spent.requests, manual.sleeps) == (1, 1, [])
    assert guard.can_afford(runs=100_000)
    manual.moment += 3600
    assert guard.send(get("/v1/runs")).answer.status == 200


def test_a_wait_past_the_end_of_the_check_is_not_waited(open_guard: OpenGuard, server: StandIn) -> None:
    limited(server, 1, (("Retry-After", "30"),))
    guard = open_guard(max_time_s=20)
    assert guard.send(get("/v1/runs")).answer.status == 429


def test_a_retry_after_of_a_year_is_reported_once_and_nothing_waits(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    limited(server, 1, (("Retry-After", "31536000"),))
    guard = open_guard(max_time_s=100)
    assert guard.send(get("/v1/runs")).answer.status == 429
    for _ in range(3):
        manual.moment += 1
        with pytest.raises(OutOfBudget):
            guard.send(get("/v1/runs"))
    words = "the target asked to wait for 31536000 s (Retry-After), longer than there is time for"
    assert (list(guard.log.skipped), manual.sleeps, len(server.received)) == ([words], [], 1)


def test_a_retry_after_of_a_year_ends_the_cleanup_of_earlier_checks_in_words(
    server: StandIn, journal_dir: Path, manual: ManualClock
) -> None:
    server.meddle = lambda _: Reply(0)
    with (
        Guard(Target(server.url, FIRST), journal_dir=journal_dir, clock=manual.clock) as guard,
        pytest.raises(NoAnswer),
    ):
        guard.send(bulk())
    limited(server, 1000, (("Retry-After", "31536000"),))
    done = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir, clock=manual.clock)
    assert done.journals == 1
    assert any("31536000 s (Retry-After)" in words for words in done.problems), done.problems
    assert manual.sleeps == []


def test_lost_answers_are_counted_and_the_first_is_reported(guard: Guard, server: StandIn) -> None:
    assert guard.log.lost is None
    server.meddle = lambda _: Reply(0)
    for path in ("/v1/runs?limit=1", "/v1/runs?limit=2"):
        with pytest.raises(NoAnswer):
            guard.send(get(path))
    assert guard.log.lost is not None
    assert guard.log.lost.startswith(
        "no complete answer came 2 times, first: GET /v1/runs?limit=1: the answer is not HTTP"
    )


def test_an_answer_that_the_end_of_the_check_cuts_off_does_not_count_as_lost(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=100)

    def end_the_check(_: object) -> Reply:
        manual.clock.sleep(100)
        return Reply(0)

    server.meddle = end_the_check
    with pytest.raises(NoAnswer):
        guard.send(get("/v1/runs"))
    assert guard.log.lost is None


def test_a_rate_at_which_the_next_request_is_due_after_the_end_is_reported(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=100, budget=Budget(rate=0.001))
    guard.send(get("/v1/runs"))
    with pytest.raises(OutOfBudget, match="no time is left at this rate"):
        guard.send(get("/v1/runs"))
    assert manual.sleeps == []


def test_nothing_is_sent_after_the_end_of_the_check_but_to_clean_up(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=100, clean_up=True)
    guard.send(bulk(2))
    manual.moment += 100
    for request in (get("/v1/runs"), bulk()):
        with pytest.raises(OutOfBudget, match="time of the check is over"):
            guard.send(request)
    assert guard.clean_up() == 0
    assert server.runs == {}


def test_cleaning_up_ends_within_its_grace_period_and_reports_the_rest_as_left(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=100, clean_up=True)
    guard.send(bulk(40))

    def slow(_: Received) -> None:
        manual.moment += 1

    server.meddle = slow
    manual.moment += 100
    began_at = manual.moment
    assert 0 < guard.clean_up() < 40
    assert BOUNDS.clean_up_s <= manual.moment - began_at < BOUNDS.clean_up_s + WORKERS
    assert guard.spent.runs_left >= len(server.runs)  # what could not be asked counts as left


def test_with_a_rate_cleaning_up_has_the_time_that_it_needs(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    guard = open_guard(max_time_s=100, clean_up=True, budget=Budget(rate=1))
    guard.send(bulk(20))
    assert guard.clean_up() == 0
    assert server.runs == {}


def test_a_target_that_only_answers_429_does_not_hold_a_check_past_its_end(
    open_guard: OpenGuard, server: StandIn, manual: ManualClock
) -> None:
    limited(server, 100, ())
    guard = open_guard(max_time_s=20)
    began = manual.moment
    assert guard.send(get("/v1/runs")).answer.status == 429
    with pytest.raises(OutOfBudget, match="longer than there is time for"):
        guard.send(get("/v1/runs"))
    assert manual.moment - began <= 20


def test_after_a_503_with_retry_after_the_next_request_waits_and_nothing_is_repeated(
    guard: Guard, server: StandIn, manual: ManualClock
) -> None:
    replies = iter([Reply(503, {}, (("Retry-After", "7"),)), Reply(503, {})])
    server.meddle = lambda _: next(replies, None)
    assert guard.send(bulk()).answer.status == 503
    assert len(server.received) == 1
    assert guard.send(get("/v1/runs")).answer.status == 503
    assert guard.send(get("/v1/runs")).answer.status == 200
    assert manual.sleeps == [7]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        (" 3 ", 3),
        ("99999999999999999999", 999999999),
        (format_datetime(datetime(2030, 1, 1, 0, 0, 30, tzinfo=UTC), usegmt=True), 30),
        ("Tue, 01 Jan 2030 00:00:30", 30),
        (format_datetime(datetime(2029, 1, 1, tzinfo=UTC), usegmt=True), 0),
        ("", 4),
        ("soon", 4),
        ("-5", 4),
        ("١", 4),
        ("1.5", 4),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_else_waits_grow(text: str, seconds: float) -> None:
    pace = RateLimiter(None, Clock(now=lambda: datetime(2030, 1, 1, tzinfo=UTC)))
    assert pace.asked_wait_s(Answer(429, (("Retry-After", text),), b""), attempt=2) == seconds
    assert pace.asked_wait_s(Answer(429, (), b""), attempt=0) == 1


def test_a_guards_own_questions_wait_too_and_give_up_where_the_wait_is_too_long(
    guard: Guard, server: StandIn, manual: ManualClock
) -> None:
    limited(server, 2)
    assert guard.offers_delete()
    assert manual.sleeps == [2, 2]
    guard.send(bulk())
    limited(server, 1, (("Retry-After", "3600"),))
    assert guard.clean_up() == 1
    assert "3600 s" in guard.log.skipped[-1]


def test_requests_sent_together_are_on_their_way_at_the_same_time(guard: Guard, server: StandIn) -> None:
    together = threading.Barrier(3)

    def wait_for_the_others(received: Received) -> Reply | None:
        together.wait(timeout=20)
        return None

    server.meddle = wait_for_the_others
    exchanges = guard.send_together([bulk(1), bulk(2), get("/v1/runs")])
    assert [each.answer.status for each in exchanges] == [201, 201, 200]
    assert [len(each.answer.json()["created_runs"]) for each in exchanges[:2]] == [1, 2]
    assert (len(guard.ownership.runs), guard.spent.requests) == (3, 3)


def test_one_thread_ends_the_requests_of_a_group_when_all_have_begun(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, bool]] = []
    send = Connection.send

    def noting(connection: Connection, data: bytes) -> None:
        sent.append((threading.get_ident(), len(data) > 2000))
        send(connection, data)

    monkeypatch.setattr(Connection, "send", noting)
    guard.send_together([bulk(input_values={"a": "x" * 5000}) for _ in range(4)])
    beginnings, ends = sent[:4], sent[4:]
    assert [is_long for _, is_long in beginnings] == [True] * 4
    assert [is_long for _, is_long in ends] == [False] * 4
    assert len({thread for thread, _ in ends}) == 1


def test_a_request_of_a_group_that_cannot_connect_does_not_hold_up_the_others(
    guard: Guard, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, fails = Connection.open, [True]

    def fails_once(connection: Connection) -> None:
        if fails:
            fails.clear()
            raise ExchangeFailed("no more sockets")
        connect(connection)

    monkeypatch.setattr(Connection, "open", fails_once)
    exchanges = guard.send_together([get("/v1/runs"), bulk(2), get("/v1/runs")])
    assert [each.answer.status for each in exchanges] == [200, 201, 200]


def test_requests_that_are_spread_over_a_time_begin_at_equal_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    sent: list[int] = []
    monkeypatch.setattr(concurrency, "time", SimpleNamespace(sleep=delays.append))
    concurrency.all_at_once(lambda item, start: start.send(lambda: sent.append(item)), range(4), over_s=2.0)
    assert sorted(delays) == [0.5, 1.0, 1.5]
    assert sorted(sent) == [0, 1, 2, 3]


def test_a_missing_answer_in_a_group_is_raised_after_the_others_have_ended(guard: Guard, server: StandIn) -> None:
    server.meddle = lambda received: CUT if received.method == "GET" else None
    with pytest.raises(NoAnswer):
        guard.send_together([get("/v1/runs"), bulk(2)])
    assert len(guard.ownership.runs) == 2


def test_no_request_of_a_group_is_sent_if_one_is_refused(guard: Guard, server: StandIn) -> None:
    theirs = server.add_run()
    with pytest.raises(Exception, match=theirs):
        guard.send_together([bulk(), get(f"/v1/runs/{theirs}", method="DELETE")])
    assert server.received == []


def test_requests_sent_together_to_a_dead_target_end_as_no_answer(guard: Guard, server: StandIn) -> None:
    server.__exit__(None, None, None)
    with pytest.raises(NoAnswer):
        guard.send_together([bulk(), bulk()])
    server.__enter__()
    assert guard.can_afford(runs=100_000)


def test_no_request_of_a_group_is_sent_if_one_cannot_be_written_to_the_journal(
    guard: Guard, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise CouldNotCheck("the disk is full")

    monkeypatch.setattr(guard._journal, "intend", full_disk)
    with pytest.raises(CouldNotCheck, match="disk is full"):
        guard.send_together([get("/v1/runs"), bulk(), get("/v1/runs")])
    assert server.received == []


def test_an_interrupted_wait_is_refunded(open_guard: OpenGuard, manual: ManualClock) -> None:
    guard = open_guard(budget=Budget(max_runs=5, rate=1))
    guard.send(get("/v1/runs"))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    object.__setattr__(guard._clock, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        guard.send(bulk(5))
    assert guard.can_afford(runs=5)


def test_once_cleaning_up_has_begun_nothing_more_is_created(guard: Guard, server: StandIn) -> None:
    guard.clean_up()
    with pytest.raises(NotAllowed, match="cleaning up has begun"):
        guard.send(bulk())
    assert server.received == []
    assert guard.send(get("/v1/runs")).answer.status == 200


def test_cleaning_up_waits_for_creates_that_are_on_their_way(guard: Guard, server: StandIn) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def hold(received: Received) -> Reply | None:
        if received.method == "POST":
            arrived.set()
            assert go_on.wait(timeout=20)
        return None

    server.meddle = hold
    left: list[int] = []
    creating = threading.Thread(target=guard.send, args=(bulk(2),))
    creating.start()
    assert arrived.wait(timeout=20)
    cleaning = threading.Thread(target=lambda: left.append(guard.clean_up()))
    cleaning.start()
    go_on.set()
    creating.join(timeout=20)
    cleaning.join(timeout=20)
    assert left == [0]
    assert len(guard.ownership.runs) == 2
    assert server.runs == {}


def test_a_date_that_is_far_away_is_a_long_wait_and_no_error(manual: ManualClock) -> None:
    pace = RateLimiter(None, manual.clock)
    text = format_datetime(datetime.now(UTC) + timedelta(days=400), usegmt=True)
    assert pace.asked_wait_s(Answer(429, (("retry-after", text),), b""), attempt=0) > 3e7


def test_a_pause_to_the_end_of_the_check_is_reported_however_late_the_next_request_comes(manual: ManualClock) -> None:
    """Nothing is slept for: what is left is read after the clock, not before."""
    pace = RateLimiter(None, manual.clock)
    end = manual.clock.monotonic() + 20
    pace.pause(20, asked_s=31_536_000)

    def left_s() -> float:
        manual.clock.sleep(0.05)
        return end - manual.clock.monotonic()

    with pytest.raises(OutOfBudget, match=r"asked to wait for 31536000 s \(Retry-After\)"):
        pace.wait(left_s=left_s)


def test_how_long_a_pause_is_waited_for_is_a_bound_that_can_be_given(manual: ManualClock) -> None:
    patient = RateLimiter(None, manual.clock, replace(BOUNDS, wait_s=100))
    patient.pause(50)
    patient.wait()

    impatient = RateLimiter(None, manual.clock, replace(BOUNDS, wait_s=10))
    impatient.pause(11)
    with pytest.raises(OutOfBudget):
        impatient.wait()
