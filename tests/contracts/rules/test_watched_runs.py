"""The statuses of the runs of a session, as two reads show them."""

from __future__ import annotations

import pytest

from contracts.rules.watched_runs import order_violation

WAITS, RUNS, ENDED = "scheduling", "running", "success"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([WAITS, WAITS], [RUNS, WAITS]),
        ([RUNS, WAITS], [ENDED, RUNS]),
        ([RUNS, WAITS], [None, RUNS]),
        ([WAITS, "cancelled"], [RUNS, "cancelled"]),
        ([], [WAITS, RUNS]),
    ],
)
def test_runs_that_wait_for_the_run_before_are_right(before: list[str], after: list[str | None]) -> None:
    assert order_violation(before, after) is None


def test_what_a_fault_shows_first_depends_on_the_moment_of_the_read_and_is_one_finding() -> None:
    overtakes = order_violation([WAITS, RUNS], [WAITS, RUNS])
    together = order_violation([WAITS, WAITS], [RUNS, RUNS])

    assert overtakes is not None
    assert together is not None
    assert overtakes.cause != together.cause
    assert overtakes.dedup_key == together.dedup_key
