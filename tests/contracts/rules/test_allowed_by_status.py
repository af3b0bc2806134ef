"""Cases about a run in a status, where the run leaves it by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

from contracts.engine.context import CaseContext
from contracts.engine.discovery import discover
from contracts.engine.results import RuleViolated
from contracts.rules.allowed_by_status import StatusCase, run_status
from contracts.rules.run_events import RETRY, Event
from tests.contracts.checks import guarded
from tests.standin.behaviour import Standin
from tests.standin.defects import DEFECTS
from tests.standin.models import Status
from tests.standin.serving import serving
from tests.standin.store import TERMINAL


class RunsEnd(DEFECTS["refused_retry_clears"].kind):  # type: ignore[misc]
    """So many runs end when they are first read."""

    left = 0

    def get_run(self, call: Any, run_id: str, *more: Any) -> Any:
        if RunsEnd.left:
            RunsEnd.left -= 1
            run = self.find(call, run_id)
            self.move(call.org, run, Status.RUNNING)
            self.move(call.org, run, Status.SUCCESS)
        return super().get_run(call, run_id, *more)


class RunsEndOnceRead(Standin):
    """Each run ends by itself right after its first read, as it may happen on a busy machine."""

    def get_run(self, call: Any, run_id: str, *more: Any) -> Any:
        answer = super().get_run(call, run_id, *more)
        run = self.find(call, run_id)
        if run.status not in TERMINAL:
            self.move(call.org, run, Status.RUNNING)
            self.move(call.org, run, Status.SUCCESS)
        return answer


def run_case(monkeypatch: pytest.MonkeyPatch, kind: type[Standin] = RunsEnd, *, ends: int = 0) -> None:
    case = StatusCase(events=(Event("update", {"output_data": {"a": 1}}), RETRY), is_active=True)
    with serving(kind) as url, guarded(url, max_time_s=60) as guard:
        check = discover(guard.target, guard, deadline=time.monotonic() + 60)
        monkeypatch.setattr(RunsEnd, "left", ends)
        run_status(CaseContext(check), case)


def test_a_run_that_ended_before_a_retry_was_refused_is_replaced_by_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RuleViolated) as shown:
        run_case(monkeypatch, ends=2)

    assert (shown.value.rule, shown.value.cause) == ("RETRY-RULES", "a refused retry changes a run")


def test_a_server_whose_runs_end_each_time_breaks_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    run_case(monkeypatch, ends=100)


def test_a_server_whose_runs_end_after_each_read_may_accept_the_retry_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_case(monkeypatch, RunsEndOnceRead)
