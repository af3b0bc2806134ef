"""What a list of runs costs: the number of runs and nodes that the index looks at. And what a stored run takes.

These tests have no part in the store, so they run once.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import tracemalloc
from typing import Any
from urllib.parse import urlencode

import pytest

from mockserver.behaviour.batch import TERMINAL
from mockserver.behaviour.batch_timelines import BatchTimelines
from mockserver.behaviour.lifecycle import Schedules
from mockserver.behaviour.run_list import Listing
from mockserver.behaviour.run_sequence import RunSequence
from mockserver.behaviour.run_states import RunStates
from mockserver.behaviour.status_steps import StatusSteps
from mockserver.time_slice import TimeSlice
from tests.bench.lists import WORKFLOWS, Server, made, table
from tests.mockserver.inprocess import FRONT_DESK_1, unknown_id

ANY_OUTCOME = WORKFLOWS[0]
A_THOUSAND = json.dumps({"workflow_id": ANY_OUTCOME, "count": 1000}).encode()
STATUSES = ["scheduling", "running", "running_checks", *sorted(TERMINAL)]


class Looked:
    """Counts the nodes that are counted, and the batches whose runs are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes = self.batches = 0
        count, places = RunSequence._count, RunStates.places

        def counted(sequence: Any, node: Any, selection: Any) -> int:
            self.nodes += 1
            return count(sequence, node, selection)

        def opened(states: Any, *args: Any) -> Any:
            self.batches += 1
            return places(states, *args)

        monkeypatch.setattr(RunSequence, "_count", counted)
        monkeypatch.setattr(RunStates, "places", opened)


QUERIES: list[dict[str, Any]] = [
    {},
    {"sort_mode": "created_at_desc"},
    {"status": "running"},
    {"status": "success"},
    {"status": "cancelled"},
    {"workflow_id": ANY_OUTCOME},
    {"workflow_id": ANY_OUTCOME, "status": "success"},
    {"machine_id": FRONT_DESK_1, "status": "running"},
    {"workflow_id": ANY_OUTCOME, "machine_id": FRONT_DESK_1},
    {"created_at_from": "2026-01-01T00:00:00.000010Z"},
    {"session_id": unknown_id()},
]


@pytest.mark.parametrize("runs", [1_000, 30_000, 300_000])
def test_a_list_of_runs_made_by_the_thousand_looks_at_few_batches(runs, monkeypatch):
    assert_cheap(1000, runs, 80, 40, monkeypatch)


@pytest.mark.parametrize("runs", [1_000, 20_000])
def test_a_list_of_runs_made_one_by_one_looks_at_few(runs, monkeypatch):
    assert_cheap(1, runs, 2 * (128 + 128) + 10, 640, monkeypatch)


def assert_cheap(each, runs, most_nodes, most_batches, monkeypatch):
    async def go() -> None:
        server = await made(runs, each)
        for later_s, query in itertools.product((0, 12, 48), QUERIES):
            server.clock.pass_time(later_s if query == QUERIES[0] else 0)
            await server.call("GET", "/v1/runs", urlencode(query))
            server.clock.pass_time(0.001)
            with monkeypatch.context() as patch:
                patch.setattr("mockserver.time_slice._SLICE_S", 60.0)  # a list that gives way looks at nodes again
                looked = Looked(patch)
                page = json.loads(await server.call("GET", "/v1/runs", urlencode({**query, "skip": runs // 2})))
            assert page["total"] <= runs
            assert looked.nodes <= most_nodes, (query, looked.nodes)
            assert looked.batches <= most_batches, (query, looked.batches)

    asyncio.run(go())


def lives_between_suspensions(runs, after_s, query, monkeypatch) -> list[int]:
    """How often a list computes or sorts the timelines of a batch between two places where other requests run."""
    give_way, computed = TimeSlice.give_way, [0]

    def counted(function: Any) -> Any:
        def call(*args: Any) -> Any:
            computed[-1] += 1
            return function(*args)

        return call

    async def gave_way(time_slice: TimeSlice) -> None:
        computed.append(0)
        await give_way(time_slice)

    async def go() -> None:
        server = await made(runs, 1000)
        server.clock.pass_time(after_s)
        for kind, name in ((Schedules, "timelines"), (BatchTimelines, "_in_order")):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name)))
        monkeypatch.setattr(TimeSlice, "give_way", gave_way)
        monkeypatch.setattr(TimeSlice, "is_over", True)
        await server.call("GET", "/v1/runs", urlencode(query))

    asyncio.run(go())
    return computed


@pytest.mark.parametrize("query", [{}, {"status": "success"}, {"workflow_id": WORKFLOWS[0], "status": "error"}])
def test_a_list_of_runs_that_cannot_have_ended_yet_computes_no_timelines(query, monkeypatch):
    assert sum(lives_between_suspensions(100_000, 0, query, monkeypatch)) == 0


@pytest.mark.parametrize("query", [{}, {"status": "running"}, {"status": "error", "limit": 1000}])
def test_the_first_list_of_runs_in_motion_lets_others_run_after_each_batch(query, monkeypatch):
    computed = lives_between_suspensions(50_000, 12, query, monkeypatch)
    assert 30 <= sum(computed) <= 100
    assert max(computed) == 1


def test_large_batches_share_their_timelines(monkeypatch):
    computed = lives_between_suspensions(300_000, 12, {"status": "success"}, monkeypatch)
    assert 60 <= sum(computed) <= 2 * 64


def listed_beside(query: dict[str, Any], others: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], int]:
    """List runs. Each time the list lets others run, `others` is called, and another list takes in what it wrote.

    Returns the page, and how often the list began.
    """
    give_way, fill = Listing._give_way, Listing._fill
    begun: list[Listing] = []

    async def filled(listing: Listing, *args: Any, **more: Any) -> Any:
        begun.append(listing)
        return await fill(listing, *args, **more)

    async def go() -> dict[str, Any]:
        server = await made(300_000, 1000)
        server.clock.pass_time(12)

        async def gave_way(listing: Listing) -> bool:
            if listing is begun[0] and await give_way(listing):
                await others(server)
                server.clock.pass_time(0.001)
                await server.call("GET", "/v1/runs", "status=error&limit=1")
            return True

        monkeypatch.setattr(Listing, "_fill", filled)
        monkeypatch.setattr(Listing, "_give_way", gave_way)
        monkeypatch.setattr(TimeSlice, "is_over", True)
        return json.loads(await server.call("GET", "/v1/runs", urlencode(query)))

    page = asyncio.run(go())
    return page, begun.count(begun[0])


@pytest.mark.parametrize("query", [{"status": "success"}, {"sort_mode": "activity"}])
def test_a_list_does_not_begin_again_because_others_create_and_list_runs(query, monkeypatch):
    async def create(server: Server) -> None:
        await server.call("POST", "/v1/runs/bulk", body=A_THOUSAND)

    async def alone() -> dict[str, Any]:
        server = await made(300_000, 1000)
        server.clock.pass_time(12)
        return json.loads(await server.call("GET", "/v1/runs", urlencode(query)))

    expected = asyncio.run(alone())
    page, begun = listed_beside(query, create, monkeypatch)
    assert begun == 1
    if "status" in query:
        assert page == expected


def test_a_list_that_meets_changes_begins_again_a_few_times_and_shows_what_it_counts(monkeypatch):
    waiting: list[str] = []

    async def cancel(server: Server) -> None:
        if not waiting:
            shown = json.loads(await server.call("GET", "/v1/runs", "skip=100000&limit=1000"))
            waiting.extend(run["id"] for run in shown["items"])
        await server.call("PATCH", f"/v1/runs/{waiting.pop()}", body=b'{"status": "cancelled"}')

    page, begun = listed_beside({"status": "cancelled", "limit": 1000}, cancel, monkeypatch)
    assert 1 < begun <= 11
    assert len(page["items"]) == page["total"] > 0


def test_a_run_that_changes_while_steps_are_merged_is_counted_rightly(monkeypatch):
    merge, prepare = StatusSteps.merge, RunSequence.prepare
    sequences: list[RunSequence] = []
    removed: list[Any] = []

    async def prepared(sequence: RunSequence, *args: Any) -> bool:
        sequences[:] = [sequence]
        return await prepare(sequence, *args)

    def merging(steps: StatusSteps, parts: Any) -> Any:
        for _ in merge(steps, parts):
            if not removed:
                batch = sequences[0]._spans[0].oldest
                removed.append(sequences[0]._states.state(batch, 0).timeline)
                sequences[0].change(batch, removed, [])
            yield

    async def go() -> int:
        server = await made(40_000, 1000)
        server.clock.pass_time(12)
        totals = []
        for status in STATUSES:
            page = json.loads(await server.call("GET", "/v1/runs", f"limit=1&status={status}"))
            totals.append(page["total"])
        return sum(totals)

    monkeypatch.setattr(RunSequence, "prepare", prepared)
    monkeypatch.setattr(StatusSteps, "merge", merging)
    assert asyncio.run(go()) == 40_000 - 1
    assert removed


def test_the_bench_of_lists_prints_its_table(capsys):
    asyncio.run(table([100, 200], 10, moving=True, only="status=success"))
    lines = capsys.readouterr().out.splitlines()
    assert "| list | 100 runs | 200 runs | ratio | first | longest hold |" in lines
    assert any(line.startswith("| status=success | ") for line in lines)


@pytest.mark.parametrize(("each", "calls", "most_bytes"), [(1000, 50, 8), (1, 3_000, 1_300)])
def test_a_stored_run_takes_few_bytes(each, calls, most_bytes):
    """With an idempotency key, and an input of 50 bytes. Measured on 2026-11-26: 1.3 and 1,235 bytes."""

    async def create(server: Server, number: int) -> None:
        body = {"workflow_id": ANY_OUTCOME, "input_values": {"invoice": f"{number:032d}"}}
        path = "/v1/runs" if each == 1 else "/v1/runs/bulk"
        content = json.dumps(body if each == 1 else {**body, "count": each}).encode()
        await server.call("POST", path, body=content, key=b"key-%032d" % number)

    async def go() -> float:
        server = Server(journal_bytes=0)
        for number in range(100):
            await create(server, number)
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(100, 100 + calls):
                await create(server, number)
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / (calls * each)
        finally:
            tracemalloc.stop()

    assert asyncio.run(go()) <= most_bytes
