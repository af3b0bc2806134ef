"""A read that answers with an outdated state: it is recognised when it is sent again, and told once."""

import json
import math
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import Finding
from contracts.engine.outdated import OUTDATED, contradictions_of, has_outdated_read, resources_in
from contracts.engine.same_fault import grouped
from tests.contracts.checks import first_finding, guarded
from tests.standin.behaviour import Answer as StandinAnswer
from tests.standin.behaviour import Standin
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

RUN = "0b0e1234-0000-4000-8000-000000000001"


def run(**fields: Any) -> dict[str, Any]:
    return {"id": RUN, "status": "scheduling", "error": None} | fields


def exchange(method: str, body: Any, status: int = 200, path: str = f"/v1/runs/{RUN}") -> Exchange:
    return Exchange(Request(method, path), answer(body, status))


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, (), b"" if body is None else json.dumps(body).encode())


CREATED = exchange("POST", {"created_runs": [run()]}, 201, "/v1/runs/bulk")
UPDATED = exchange("PATCH", run(error=["new"]))
DELETED = exchange("DELETE", None, 204)
OLD = exchange("GET", run())
LISTED_OLD = exchange("GET", {"items": [run()]}, path="/v1/runs?limit=1")
NOT_FOUND = exchange("GET", {"detail": "Run not found"}, 404)


def test_a_nan_does_not_contradict_a_nan() -> None:
    created = exchange("POST", {"created_runs": [run(input_values=math.nan)]}, 201, "/v1/runs/bulk")

    assert not contradictions_of([created, exchange("GET", run(input_values=math.nan))], "input_values")


@pytest.mark.parametrize(
    ("exchanges", "again", "field"),
    [
        ([CREATED, UPDATED, OLD], answer(run(error=["new"])), "error"),
        ([CREATED, UPDATED, OLD], answer(run(error=["new"], status="running")), ""),
        ([CREATED, UPDATED, LISTED_OLD], answer({"items": [run(error=["new"])]}), "error"),
        ([CREATED, NOT_FOUND], answer(run()), ""),
        ([CREATED, DELETED, OLD], answer({"detail": "Run not found"}, 404), ""),
        ([CREATED, DELETED, LISTED_OLD], answer({"items": []}), ""),
    ],
)
def test_a_read_is_outdated_if_it_is_right_when_sent_again(
    exchanges: list[Exchange], again: Answer, field: str
) -> None:
    assert contradictions_of(exchanges, field).are_gone_in(again)


@pytest.mark.parametrize(
    ("exchanges", "again", "field"),
    [
        ([CREATED, UPDATED, OLD], answer(run()), "error"),  # the update is lost
        ([CREATED, UPDATED, OLD], answer(run(error=["another"])), "error"),
        ([UPDATED, CREATED, OLD], answer(run(error=["new"])), "error"),  # the last write shows what the read shows
        ([CREATED, OLD], answer(run(status="running")), "status"),  # the run moves on
        ([CREATED, OLD], answer({"detail": "Run not found"}, 404), ""),  # nobody has deleted it
        ([CREATED, exchange("DELETE", {"detail": "No."}, 409), OLD], answer({"detail": "Run not found"}, 404), ""),
        ([NOT_FOUND], answer(run()), ""),
        ([CREATED, exchange("GET", None)], answer(None), ""),
    ],
)
def test_a_read_that_is_wrong_otherwise_is_not_outdated(exchanges: list[Exchange], again: Answer, field: str) -> None:
    assert not contradictions_of(exchanges, field).are_gone_in(again)


def test_a_write_may_show_that_a_read_before_it_was_outdated() -> None:
    assert has_outdated_read([CREATED, UPDATED, OLD, UPDATED], "error")
    assert not has_outdated_read([CREATED, UPDATED, OLD, exchange("PATCH", run())], "error")
    assert not has_outdated_read([CREATED, OLD, UPDATED], "error")


def test_a_read_of_another_run_is_not_outdated() -> None:
    other = run(id=RUN.replace("1", "2"))
    created = exchange("POST", {"created_runs": [run(), other]}, 201, "/v1/runs/bulk")

    assert not has_outdated_read([created, exchange("GET", other, path="/v1/runs/other"), UPDATED])
    assert not contradictions_of([created, OLD])  # so it is not sent again


def test_the_resources_of_an_answer_are_found_wherever_they_are() -> None:
    nested = {"id": "a", "steps": [{"id": "b"}, {"id": 5}], "more": {"of": {"id": "c"}}}

    assert resources_in(answer([nested])).keys() == {"a", "b", "c"}


def test_findings_of_an_outdated_state_are_one_finding() -> None:
    findings = [
        Finding(rule, "a cause", "one", "another", (CREATED, OLD), guess=OUTDATED, field=field)
        for rule, field in (("AUTH-TENANT", "error"), ("READ-BACK", "status"), ("LIFECYCLE", "status"))
    ]

    tenants, read_back, lifecycle = grouped(findings)

    assert (tenants.part_of, lifecycle.part_of) == (read_back.fingerprint, read_back.fingerprint)
    assert len(read_back.also_seen) == 2


class FirstReadIsOutdated(Standin):
    """The first read after an update or a delete shows the run as before: a cache that refreshes itself afterwards."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.before: dict[str, Any] = {}

    def update_run(self, call: Any, run_id: str, body: Any) -> Any:
        return self.changed(call, run_id, super().update_run, body)

    def delete_run(self, call: Any, run_id: str) -> Any:
        return self.changed(call, run_id, super().delete_run)

    def changed(self, call: Any, run_id: str, change: Any, *more: Any) -> Any:
        old = self.show(self.find(call, run_id), "get_run")
        answer = change(call, run_id, *more)
        self.before[run_id] = old
        return answer

    def get_run(self, call: Any, run_id: str, include: Any) -> Any:
        old = self.before.pop(run_id, None)
        return super().get_run(call, run_id, include) if old is None else StandinAnswer(200, old)


@pytest.mark.parametrize("rule", ["DELETE-GONE", "UPDATE-PARTIAL"])
def test_a_check_sends_the_read_again_and_says_that_it_was_outdated(rule: str) -> None:
    with serving(FirstReadIsOutdated) as url, guarded(url) as guard:
        found = first_finding(guard, {rule})

    assert found is not None
    assert found.guess == OUTDATED
    assert found.sentence.endswith(f"({OUTDATED})")


def test_a_read_at_the_moment_of_an_update_is_not_said_to_be_outdated() -> None:
    with serving(DEFECTS["update_is_seen_in_parts"].kind) as url, guarded(url) as guard:
        found = first_finding(guard, {"UPDATE-PARTIAL"})

    assert found is not None
    assert "a mixture" in found.sentence
    assert found.guess != OUTDATED


def test_a_lost_update_is_not_said_to_be_outdated() -> None:
    class LosesUpdates(Standin):
        def update_run(self, call: Any, run_id: str, body: Any) -> Any:
            answer = super().update_run(call, run_id, body)
            self.find(call, run_id).input_values = None
            return answer

    with serving(LosesUpdates) as url, guarded(url) as guard:
        found = first_finding(guard, {"UPDATE-PARTIAL"})

    assert found is not None
    assert found.guess != OUTDATED
