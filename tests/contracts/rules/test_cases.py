"""The cases of every scenario: JSON, the same each time, and true of a healthy server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from contracts.core.json_tree import map_texts
from contracts.core.target import Target
from contracts.data import value_packs
from contracts.engine.case import Case
from contracts.engine.case_json import case_to_json
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.context import CaseContext
from contracts.engine.discovery import discover
from contracts.engine.request_building import request_for
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.scenario import Scenario
from contracts.guard import Guard, Refused
from contracts.openapi.schemas import operations
from contracts.oracle import read_body
from contracts.oracle.request import KEY_OF_INPUT_AND_SECRET
from contracts.rules import SCENARIOS, existing_data, first_create
from contracts.rules.attachments import AttachmentsCase
from contracts.rules.deletes import DeleteCase
from contracts.rules.filter_cases import combined_filter_cases
from contracts.rules.http_errors import ManyCase, malformed_url_cases
from contracts.rules.idempotency_cases import Conflict, Replay, Together, TwoKeys, TwoOrganisations
from contracts.rules.lifecycle import LifecycleCase, lifecycle_cases
from contracts.rules.live_cases import LIVE_CASES
from contracts.rules.refused_requests import AmbiguousCase
from contracts.rules.secrets import FailingCase
from contracts.rules.value_echo import run_values
from contracts.rules.writes import WRITES_OF_RUNS, Body, Write, created_ids
from tests.contracts.guard.standin import StandIn
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

SOME = ("3c90c3cc-0d44-4b50-8888-8dd25736052a", "6f1c9a2e-3b4d-4c5e-8f60-718293a4b5c6")
BESIDE_BULK = frozenset(operations()) - {"bulk_create_runs"}
SAMPLE = 4
DEPEND_ON_WHAT_WAS_DONE = frozenset(
    {
        "rate limits met during the check",
        "runs read again at the end",
        "all runs listed",
        "all runs listed at the end",
        "totals by status and by type",
        "idempotency keys used again after many others",
        "idempotency keys used again at the end",
        *(scenario.name for scenario in existing_data.SCENARIOS),  # only of checks that may create nothing
        *(scenario.name for scenario in first_create.SCENARIOS),  # only of live checks
    }
)


def check(
    *, accepts_any_id: bool = True, known: tuple[str, ...] = SOME, without: frozenset[str] = frozenset()
) -> CheckContext:
    ids = Ids(known, accepts_any_id=accepts_any_id)
    nobody: Any = None
    target = Target("http://127.0.0.1:9", "one", "two")
    not_offered = dict.fromkeys(without, "it is not there")
    kinds = {"workflows": ids, "machines": ids, "pools": ids, "sessions": ids}
    return CheckContext(target, nobody, math.inf, **kinds, not_offered=not_offered, first_run=SOME[0])


WORLDS = {
    "takes any id": check(),
    "takes its own ids": check(accepts_any_id=False),
    "knows no ids": CheckContext(Target("http://127.0.0.1:9", "one"), None, math.inf, Ids(SOME)),  # type: ignore[arg-type]
    "bulk alone": check(without=BESIDE_BULK),
}


def named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_cases_are_json_and_the_same_each_time(scenario: Scenario) -> None:
    world = WORLDS["takes any id"]
    cases = list(scenario.cases(world))

    assert [*map(case_to_json, cases)] == [*map(case_to_json, scenario.cases(world))]
    # What a case makes up depends on its repr: with an address in it, no seed would repeat the check.
    assert not any("object at 0x" in repr(case) for case in cases)


@pytest.mark.parametrize("kind", [kind for kind in WORLDS if kind != "takes any id"])
def test_cases_are_json_whatever_a_target_takes_and_offers(kind: str) -> None:
    assert all(case_to_json(case) for scenario in SCENARIOS for case in scenario.cases(WORLDS[kind]))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_every_scenario_has_something_to_try_where_all_is_offered(scenario: Scenario) -> None:
    if scenario.generated is None and scenario.name not in DEPEND_ON_WHAT_WAS_DONE:
        assert next(iter(scenario.cases(WORLDS["takes any id"])), None) is not None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_shard_checks_again_what_it_created_first(number: int) -> None:
    """What is made first is split over the shards, and so is what is looked at again."""
    nobody: Any = None
    ids = Ids(SOME, accepts_any_id=True)
    kinds = {"workflows": ids, "machines": ids, "pools": ids, "sessions": ids}
    context = CheckContext(Target("http://127.0.0.1:9", "one", shard=(number, 3)), nobody, math.inf, **kinds)

    def numbers(name: str) -> list[Any]:
        (scenario,) = (one for one in SCENARIOS if one.name == name)
        return [getattr(case, "number", None) for case in context.in_shard(scenario.cases(context))]

    assert numbers("runs created to be read again at the end") == numbers("runs read again at the end") != []
    assert len(numbers("idempotency keys used again at the end")) == 1


@pytest.mark.parametrize("name", LIVE_CASES)
def test_a_live_check_tries_few_cases_of_each_scenario(name: str) -> None:
    assert len(list(LIVE_CASES[name](WORLDS["takes its own ids"]))) <= 60
    assert name in {scenario.name for scenario in SCENARIOS}


def test_a_live_retry_names_nothing_that_the_base_request_sets() -> None:
    """A null might replace it: the run would then work on any machine, or without its inputs."""
    base = {"workflow_id": SOME[0], "count": 1, "machine_id": SOME[0], "input_values": {"name": "Ada"}}
    context = check()
    context.target = dataclasses.replace(context.target, profile="live", allow_writes=True, base_request=base)

    (case,) = LIVE_CASES["retries"](context)

    assert case.events[-1].kind == "retry"
    assert case.events[-1].body
    assert case.events[-1].body.keys().isdisjoint(base)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckContext]:
    with serving() as url:
        target = Target(url, *Settings().tokens, max_time_s=600)
        with Guard(target, journal_dir=tmp_path_factory.mktemp("journal")) as guard:
            yield discover(target, guard, deadline=time.monotonic() + 600)


@pytest.mark.parametrize("operation", WRITES_OF_RUNS)
def test_runs_with_large_values_are_deleted(operation: str, healthy: CheckContext) -> None:
    context = CaseContext(healthy)
    largest = max(value_packs.bodies(operation), key=lambda body: len(json.dumps(body)))

    run_values(context, Write(operation, Body(largest)))

    created = [one for exchange in context.exchanges for one in created_ids(CallResult.of(None, exchange))]
    assert created
    for run_id in created:
        assert context.call("get_run", run_id).status == 404


def sample(cases: list[Case]) -> list[Case]:
    """A few from all over, the last one too."""
    light = [case for case in cases if len(case_to_json(case)) < 50_000] or cases[:1]
    step = max(1, len(light) // SAMPLE)
    return [*light[::step][:SAMPLE], light[-1]] if light else []


def run_as_planned(scenario: Scenario, case: Case, healthy: CheckContext) -> None:
    """Run the case: it creates no more runs than `check.plan` says."""
    before = healthy.guard.spent.runs_created
    with contextlib.suppress(Inconclusive, Refused):
        scenario.run(CaseContext(healthy), case)
    planned = sum(max(1, part.expected_runs) for part in case.parts) if scenario.creates_runs else 0
    assert healthy.guard.spent.runs_created - before <= planned, case


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if not one.mostly_waits], ids=named)
def test_some_cases_of_each_scenario_hold_on_a_healthy_server(scenario: Scenario, healthy: CheckContext) -> None:
    judged = healthy.judged.total()

    for case in sample(list(scenario.cases(healthy))):
        run_as_planned(scenario, case, healthy)

    if scenario.generated is None and scenario.name not in DEPEND_ON_WHAT_WAS_DONE:
        assert healthy.judged.total() > judged


@pytest.mark.parametrize("name", LIVE_CASES)
def test_a_live_check_creates_no_more_runs_than_planned(name: str, healthy: CheckContext) -> None:
    (scenario,) = (one for one in SCENARIOS if one.name == name)
    for case in LIVE_CASES[name](healthy):
        run_as_planned(scenario, case, healthy)


@pytest.mark.parametrize(
    ("case", "runs"),
    [
        (AmbiguousCase("bulk_create_runs", {"count": "5"}), 5),
        (AmbiguousCase("bulk_create_runs", {"count": 1000.0}), 1000),
        (Write("bulk_create_runs", Body(text='{"count": 7}')), 7),
        (Write("bulk_create_runs", Body(text="{")), 1),
        (Write("bulk_create_runs", Body({"count": 1001})), 1),
        (AmbiguousCase("bulk_create_runs", {"count": 1e300}), 1),
        (Write("bulk_create_runs", Body({"count": 2}, parts=(Body({"count": 2}), Body({"count": 3})))), 5),
        (FailingCase("bulk_create_runs", "unknown ids", {"count": 1}), 4),
        (DeleteCase(is_first_of_session=True), 3),
        (AttachmentsCase([], "create_run_chain"), 3),
        (ManyCase("creates", 20, 3), 60),
        (LifecycleCase(chain=3, runs_before=2), 5),
        (LifecycleCase(ends_first="delete", runs_after=3), 5),
        (LifecycleCase(count=2, joining=2), 4),
        (LifecycleCase(change="delete ended"), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_case_says_how_many_runs_a_correct_server_creates(case: Case, runs: int) -> None:
    assert case.expected_runs == runs


def test_a_repeated_write_is_expected_to_create_its_runs_once() -> None:
    body = {"count": 50}
    assert Replay("bulk_create_runs", body, times=12).expected_runs == 50
    assert Together("bulk_create_runs", body, times=2).expected_runs == 50
    assert TwoKeys("bulk_create_runs", body, ("a", "b")).expected_runs == 100
    assert TwoOrganisations("bulk_create_runs", body, other={"count": 7}).expected_runs == 57
    assert Conflict("bulk_create_runs", body, others=({"count": 70},)).expected_runs == 50


def test_no_case_names_a_secret_as_an_input_by_chance() -> None:
    """Such a request may be refused, so the answer to it would not be judged."""
    lifecycles = [
        (
            "create_run" if case.is_single else "bulk_create_runs",
            {"workflow_id": "«workflow»", "count": 1} | case.fields,
        )
        for case in lifecycle_cases(check())
    ]
    values = [(operation, body) for operation in WRITES_OF_RUNS for body in value_packs.bodies(operation)]

    for operation, body in (*lifecycles, *values):
        filled = map_texts(body, lambda text: SOME[0] if text.startswith("«") else text)
        assert KEY_OF_INPUT_AND_SECRET not in read_body(operation, filled).ambiguities, body


def test_malformed_urls_reach_the_target_as_they_are(tmp_path: Path) -> None:
    paths = [case.path for case in malformed_url_cases(check())]

    with StandIn() as server, Guard(Target(server.url, "one"), journal_dir=tmp_path) as guard:
        for path in paths:
            guard.send(request_for(("GET", path)))

    assert len(paths) > 20
    assert [each.target for each in server.received] == paths
    assert all(re.search("%(?![0-9A-Fa-f]{2})", path) for path in paths)


def test_every_pair_of_filters_is_sent_among_the_first_queries() -> None:
    """Else a filter that is ignored beside another one is found late, or not at all."""
    first, second, *_ = combined_filter_cases(check())
    sent = {tuple(filter_.name for filter_ in query) for case in (first, second) for query in case.queries}
    filters = ("workflow_id", "machine_id", "session_id", "status", "created_at_from", "created_at_to", "search")
    isolating = {"workflow_id", "session_id", "search"}  # without one of them, a query finds runs of other cases

    assert {pair for pair in combinations(filters, 2) if isolating.intersection(pair)} <= sent
