"""The shadow model: silent where nothing is wrong, and seeing what only a row of steps shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts import rows
from contracts.check import check, plan
from contracts.discovery import discover
from contracts.findings import Finding
from contracts.guard import Guard
from contracts.model import MODEL
from contracts.rules import REGISTRY
from contracts.search import Search
from contracts.target import Target
from tests.mockserver.external.serving import served
from tests.standin import serving as standin_serving
from tests.standin.behaviour import Settings, Standin
from tests.standin.server import wire
from tests.standin.serving import serving

LONG_S = 300.0
"""No search takes as long, even on a busy machine: nothing here depends on time."""


def target_at(url: str, *tokens: str, **more: Any) -> Target:
    one, other = tokens or ("standin-token-one", "standin-token-two")
    return Target(url, one, other, allow_writes=True, **({"max_time_s": LONG_S} | more))


@contextmanager
def searching(target: Target, folder: Path) -> Iterator[Search]:
    with Guard(target, journal_dir=folder) as guard:
        yield Search(discover(target, guard, deadline=time.monotonic() + LONG_S))


def explored(target: Target, folder: Path, *, examples: int, round_number: int = 0) -> Search:
    with searching(target, folder) as search:
        until = time.monotonic() + LONG_S
        rows.explore_rows(search, REGISTRY, examples=examples, until=until, round_number=round_number)
    return search


@pytest.mark.parametrize(
    "variations", [(), ("bulk_only",), ("unknown_workflow_refused",), ("no_list",), ("runs_end_at_once",)]
)
def test_nothing_is_found_in_a_healthy_server(variations: tuple[str, ...], tmp_path: Path) -> None:
    with serving(variations=variations) as url:
        search = explored(target_at(url), tmp_path, examples=6)

    assert search.findings == []
    assert search.unstable == []
    assert not search.world.stumbles
    assert search.world.judged["READ-BACK"] > 10 or "get_run" in search.world.not_offered


def test_nothing_is_found_in_the_mock(tmp_path: Path) -> None:
    with served() as url:
        search = explored(target_at(url, "test-one", "test-two"), tmp_path, examples=12)

    assert (search.findings, search.unstable, search.world.stumbles) == ([], [], {})
    assert search.world.judged["RETRY-RULES"] > 5


class UpdateAfterRetryForgetsInputs(Standin):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.retried: set[str] = set()

    def again(self, org: Any, run: Any) -> None:
        super().again(org, run)
        self.retried.add(run.id)

    def change(self, run: Any, name: str, value: Any) -> None:
        super().change(run, name, value)
        if run.id in self.retried and name == "output_data":
            run.input_values = None


class SecondDeleteBringsBackTheFirst(Standin):
    last: Any = None

    def forget(self, org: Any, run: Any) -> None:
        before, self.last = self.last, run
        super().forget(org, run)
        if before is not None and before.workflow_id == run.workflow_id:
            org.runs[before.id] = before
            self.last = None


class CancelledRunsAreEverybodys(Standin):
    def find(self, call: Any, run_id: str) -> Any:
        for organisation in self.organisations.values():
            run = organisation.runs.get(run_id)
            if run is not None and run.status == "cancelled" and call.operation == "get_run":
                return run
        return super().find(call, run_id)


class DeleteForgetsTheKeys(Standin):
    def forget(self, org: Any, run: Any) -> None:
        super().forget(org, run)
        org.keys.clear()


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (UpdateAfterRetryForgetsInputs, "UPDATE-PARTIAL"),
        (SecondDeleteBringsBackTheFirst, "DELETE-GONE"),
        (CancelledRunsAreEverybodys, "AUTH-TENANT"),
        (DeleteForgetsTheKeys, "IDEM-REPLAY"),
    ],
)
def test_a_fault_that_only_a_row_of_steps_shows_is_found(
    kind: type[Standin], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standin_serving, "create_standin", lambda *_: wire(kind(Settings())))

    with serving() as url:
        search = explored(target_at(url), tmp_path, examples=25)

    assert {(finding.rule, finding.stable) for finding in search.findings} == {(rule, True)}
    assert len(search.findings[0].exchanges) > 1


def test_a_check_finds_what_only_a_row_of_steps_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_serving, "create_standin", lambda *_: wire(UpdateAfterRetryForgetsInputs(Settings())))
    monkeypatch.setattr("contracts.check.SCENARIOS", ())
    monkeypatch.setattr(rows, "MOST_S", LONG_S)
    found: list[Finding] = []

    with serving() as url, Guard(target_at(url, max_time_s=8 * LONG_S), journal_dir=tmp_path) as guard:
        result = check(guard.target, guard, rules={"UPDATE-PARTIAL"}, on_finding=found.append)

    assert [finding.rule for finding in result.findings] == ["UPDATE-PARTIAL"]
    assert found == list(result.findings)


def test_rows_are_planned_only_where_they_judge_something_and_runs_cost_nothing() -> None:
    local = Target("http://127.0.0.1:9", "token")

    assert MODEL.name in {step.name for step in plan(local, {"DELETE-GONE"})}
    assert MODEL.name not in {step.name for step in plan(local, {"AUTH-SCHEME"})}
    assert MODEL.name not in {step.name for step in plan(Target("https://api.example.com", "token", profile="live"))}


def test_the_same_seed_writes_the_same_rows(tmp_path: Path) -> None:
    def rows_of(seed: int) -> list[tuple[str, str]]:
        with serving() as url:
            search = explored(target_at(url, seed=seed), tmp_path, examples=3, round_number=1)
        exchanges = search.world.guard.exchanges
        return [(e.request.method, e.request.path.partition("?")[0][:9]) for e in exchanges]

    first = rows_of(1)

    assert rows_of(1) == first
    assert rows_of(2) != first
