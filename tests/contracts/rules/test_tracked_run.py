"""A run that is compared with what answers show of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.engine import CallResult, CaseContext, Inconclusive, WriteResult
from contracts.engine.discovery import discover
from contracts.oracle import KnownRun, read_body
from contracts.rules.tracked_run import TrackedRun
from tests.contracts.checks import guarded
from tests.standin.serving import serving

RUN = {
    "id": "aaaaaaaa-0000-4000-8000-000000000001",
    "workflow_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "created_at": "2026-01-02T03:04:05Z",
    "started_at": "2026-01-02T03:04:06Z",
    "ended_at": "2026-01-02T03:04:07Z",
}


class Recorder:
    """Stands in for the context of a case, and keeps what it is told."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, bool]] = []

    def count(self, rule: str, *evidence: Any) -> None:
        pass

    def report_violation(self, violation: Any, *evidence: Any, is_proof: bool = False) -> None:
        self.reported.append((violation.rule, is_proof))


def read() -> CallResult:
    return CallResult("get_run", Exchange(Request("GET", f"/v1/runs/{RUN['id']}"), Answer(200, (), b"{}")))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("cancelled", "success", [("LIFECYCLE", True)]),
        ("cancelled", "running", [("LIFECYCLE", False)]),  # an old view of the run, perhaps
        ("running", "scheduling", [("LIFECYCLE", False)]),
        ("cancelled", "cancelled", []),
    ],
)
def test_two_answers_prove_that_a_run_ends_in_two_ways(
    before: str, after: str, expected: list[tuple[str, bool]]
) -> None:
    context = Recorder()
    run = TrackedRun(context, KnownRun(RUN | {"status": before}, None), [read()])  # type: ignore[arg-type]

    run.compare(RUN | {"status": after}, read(), is_partial=True)

    assert context.reported == expected


def test_an_update_whose_value_has_no_determined_meaning_may_be_refused() -> None:
    with serving() as url, guarded(url, max_time_s=60) as guard:
        context = CaseContext(discover(guard.target, guard, deadline=time.monotonic() + 60))
        run = TrackedRun.of(context, context.some_runs(1))

        assert run.update({"started_at": "9a"}).refused


def test_a_run_whose_invalid_retry_was_accepted_is_not_judged_further() -> None:
    """The retry itself is reported, and what the run has to be afterwards is not determined."""
    accepted = CallResult("retry_run", Exchange(Request("POST", f"/v1/runs/{RUN['id']}/retry"), Answer(200, (), b"{}")))

    class Accepts(Recorder):
        def write(self, *args: Any, **more: Any) -> WriteResult:
            return WriteResult(read_body("retry_run", {"input_values": 5}), accepted, (), False)

    run = TrackedRun(Accepts(), KnownRun(RUN | {"status": "cancelled"}, None), [read()])  # type: ignore[arg-type]

    with pytest.raises(Inconclusive, match="an invalid retry is accepted"):
        run.retry({"input_values": 5})
