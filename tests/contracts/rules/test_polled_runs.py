"""The statuses of the runs of a session, as two reads show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.rules.polled_runs import concurrency_violation, order_violation, overlap_violation, overtaking_violation

WAITS, RUNS, ENDED = "scheduling", "running", "success"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([WAITS, WAITS], [RUNS, WAITS]),
        ([RUNS, WAITS], [ENDED, RUNS]),
        ([RUNS, WAITS], [None, RUNS]),
        ([WAITS, "cancelled"], [RUNS, "cancelled"]),
    ],
)
def test_runs_that_wait_for_the_run_before_are_right(before: list[str], after: list[str | None]) -> None:
    assert order_violation(before, after) is None
    assert concurrency_violation(after) is None


def test_what_a_fault_shows_first_depends_on_the_moment_of_the_read_and_is_one_finding() -> None:
    overtakes = order_violation([WAITS, RUNS], [WAITS, RUNS])
    together = concurrency_violation([RUNS, RUNS])

    assert overtakes is not None
    assert together is not None
    assert overtakes.cause != together.cause
    assert overtakes.dedup_key == together.dedup_key


@pytest.mark.parametrize(
    ("start_s", "is_wrong"),
    [(0, True), (4.9, True), (5, False), (9.9, False), (10, False), (60, False)],
)
def test_a_run_of_a_session_does_not_start_in_the_first_half_of_an_earlier_one(start_s: float, is_wrong: bool) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    earlier = (start, start + timedelta(seconds=10))
    later = (start + timedelta(seconds=start_s), start + timedelta(seconds=70))

    assert (overlap_violation(earlier, later) is not None) is is_wrong


def test_a_run_that_took_no_time_overlaps_with_none() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)

    assert overlap_violation((start, start), (start, start + timedelta(seconds=1))) is None


@pytest.mark.parametrize(("seconds", "is_wrong"), [(-1, True), (0, False), (1, False)])
def test_a_run_starts_no_earlier_than_the_runs_before_it(seconds: int, is_wrong: bool) -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    earlier = (start, start + timedelta(seconds=4))
    later = (start + timedelta(seconds=seconds), start + timedelta(seconds=9))

    assert (overtaking_violation(earlier, later) is not None) is is_wrong
