"""The index of runs, held against lists that look at every run."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mockserver.behaviour import ledger, lifecycle, run_index, run_sequence, status_steps
from mockserver.behaviour.batch import BATCH, TERMINAL, Session
from mockserver.behaviour.context import NO_PREFERENCES, Context
from mockserver.behaviour.run_list import Listing
from mockserver.behaviour.run_view import Run, find_run
from mockserver.clock import text_of
from mockserver.errors import NotFound
from mockserver.time_slice import TimeSlice
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.behaviour.test_runs_list import Listing as ListMachine
from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ENDS_AT_ONCE,
    FRONT_DESK_1,
    IS_CHECKED,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    Mock,
    new_organisation,
    turns_of,
    unknown_id,
)

SMALL_NODES = {
    "_BATCHES_IN_CHUNK": 2,
    "_RUNS_IN_CHUNK": 6,
    "_CHUNKS_IN_SPAN": 2,
    "_CHUNKS_COUNTED_ONE_BY_ONE": 1,
    "_RUNS_IN_SPAN": 14,
    "_RUNS_IN_KEPT_ROWS": 5,
    "_PLACES_KEPT": 8,
    "_RUNS_ADDED_AT_ONCE": 2,
}
"""Sizes with which a few runs fill many nodes."""
ANY_OUTCOME = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
KINDS_OF_WORKFLOW = [SUCCEEDS, TASK_FAILED, NEVER_ENDS, ENDS_AT_ONCE, IS_CHECKED, ANY_OUTCOME]
STATUSES = ["scheduling", "running", "running_checks", *sorted(TERMINAL)]


class Seen(NamedTuple):
    id: str
    created: int
    workflow_id: str
    machine_id: str | None
    session_id: str | None
    status: str


async def every_run(context: Context) -> list[Seen]:
    """Each run that is not deleted, looked at by itself, newest first."""
    runs: list[tuple[int, int, int, Run]] = []
    for number, unit in enumerate((await context.store.items(BATCH)).values()):
        for place in range(unit.value.ids.size):
            try:
                run = (await find_run(context, unit.value.ids.id(place))).run
            except NotFound:
                continue
            runs.append((run.batch.created, number, place, run))
    runs.sort(key=lambda each: each[:3], reverse=True)
    return [
        Seen(
            run.id,
            created,
            run.batch.workflow_id,
            run.placement.machine_id,
            run.placement.session_id,
            run.timeline.status_at(context.sim_time),
        )
        for created, _, _, run in runs
    ]


def listed(runs: list[Seen], query: dict[str, Any], *, by_activity: bool) -> list[str]:
    since, until = query.get("created_at_from"), query.get("created_at_to")
    found = [
        run
        for run in runs
        if query.get("workflow_id") in (None, run.workflow_id)
        and query.get("machine_id") in (None, run.machine_id)
        and query.get("session_id") in (None, run.session_id)
        and query.get("status") in (None, run.status)
        and (since is None or since <= datetime.fromisoformat(text_of(run.created)))
        and (until is None or datetime.fromisoformat(text_of(run.created)) <= until)
    ]
    if by_activity:
        found.sort(key=lambda run: run.status in TERMINAL)
    return [run.id for run in found]


@lru_cache(maxsize=1)
def _mock() -> ControlledMock:
    return ControlledMock(self_check=False)


def context_of(mock: Mock) -> Context:
    """The context of a request of the organisation that was the last to be seen for the first time."""
    *_, space = mock.app.namespaces.default.spaces.values()
    return mock.app._make_context(space, NO_PREFERENCES, space.clock.read(), {})


def test_a_run_that_never_ends_is_counted_once_when_it_was_created_before_the_clock_began() -> None:
    mock = ControlledMock()
    mock.get("/v1/runs")
    seed = {"count": 3, "created_at": "1920-01-01T00:00:00Z", "organization": context_of(mock).space.organisation}
    first, *others = mock.seed(seed | {"workflow_id": NEVER_ENDS})
    mock.seed(seed | {"workflow_id": SUCCEEDS})  # so that the index needs the steps of all
    totals = [mock.total(status=status) for status in STATUSES]
    mock.patch(f"/v1/runs/{first}", {"status": "cancelled"})

    changed = {status: mock.total(status=status) for status in STATUSES}
    assert sum(totals) == 6
    assert changed == {**dict.fromkeys(STATUSES, 0), "running": len(others), "success": 3, "cancelled": 1}


class Index(RuleBasedStateMachine):
    """Runs are created and changed in all ways there are; each list must show what looking at every run shows."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, size in SMALL_NODES.items():
            self.patch.setattr(run_sequence, name, size)
        for module in (ledger, run_index):
            self.patch.setattr(module, "BLOCK", 4)

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(gives_way=st.booleans(), shares=st.booleans())
    def begin(self, gives_way, shares):
        if gives_way:
            self.patch.setattr(TimeSlice, "is_over", True)
        if shares:
            self.patch.setattr(lifecycle, "SMALLEST_SHARED", 2)
            self.patch.setattr(status_steps, "SMALLEST_SHARED", 2)
        self.mock = copy.copy(_mock())
        self.mock.token = f"test-{uuid4()}"
        self.mock.get("/v1/runs")
        self.context = context_of(self.mock)
        self.ids: list[str] = []
        self.sessions = [unknown_id()]
        self.seeded = 0

    def some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.ids))

    @rule(
        count=st.sampled_from([1, 1, 1, 2, 3, 12]),
        workflow_id=st.sampled_from(KINDS_OF_WORKFLOW),
        machine_id=st.sampled_from([None, FRONT_DESK_1, ACCOUNTING_1]),
        in_session=st.sampled_from([False, False, True]),
        prefer=st.sampled_from([None, None, "outcome=error", "duration=3"]),
        data=st.data(),
    )
    def create(self, count, workflow_id, machine_id, in_session, prefer, data):
        body: dict[str, Any] = {"machine_id": machine_id} if machine_id is not None else {}
        if in_session:
            body["session_id"] = data.draw(st.sampled_from(self.sessions))
        self.ids += [run["id"] for run in self.mock.create_many(count, workflow_id, prefer=prefer, **body)]

    @rule(steps=st.integers(1, 3))
    def chain(self, steps):
        answer = self.mock.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * steps}).json()
        self.ids += answer["run_ids"]
        self.sessions.append(answer["session_id"])

    @rule(
        count=st.sampled_from([1, 3]),
        age_s=st.integers(1, 90),
        status=st.sampled_from([None, *STATUSES]),
        workflow_id=st.sampled_from([SUCCEEDS, NEVER_ENDS]),
    )
    def seed(self, count, age_s, status, workflow_id):
        # No two moments are the same: which comes first then is a matter of another test.
        self.seeded += 1
        now = datetime.fromisoformat(text_of(self.context.space.clock.now()))
        created = now - timedelta(seconds=age_s, microseconds=self.seeded)
        seed = {"workflow_id": workflow_id, "count": count, "created_at": created.isoformat()}
        organisation = self.context.space.organisation
        seed |= {"organization": organisation} | ({"status": status} if status is not None else {})
        self.ids += self.mock.seed(seed)

    @precondition(lambda self: self.ids)
    @rule(status=st.sampled_from(["cancelled", "running", "running_checks", "success"]), data=st.data())
    def update(self, status, data):
        self.mock.patch(f"/v1/runs/{self.some(data)}", {"status": status, "output_data": {"a": 1}})

    @precondition(lambda self: self.ids)
    @rule(status=st.sampled_from(STATUSES), data=st.data())
    def control(self, status, data):
        self.mock.control("PATCH", f"/runs/{self.some(data)}", {"status": status})

    @precondition(lambda self: self.ids)
    @rule(
        body=st.fixed_dictionaries(
            {},
            optional={
                "reuse_session": st.booleans(),
                "start_session": st.booleans(),
                "machine_id": st.sampled_from([FRONT_DESK_1, ACCOUNTING_1]),
            },
        ),
        data=st.data(),
    )
    def retry(self, body, data):
        self.mock.post(f"/v1/runs/{self.some(data)}/retry", body)

    @precondition(lambda self: self.ids)
    @rule(number=st.sampled_from([1, 1, 12]), data=st.data())
    def delete(self, number, data):
        first = data.draw(st.integers(0, len(self.ids) - 1))
        for run_id in self.ids[first : first + number]:
            assert self.mock.delete(f"/v1/runs/{run_id}").status_code == 204
        del self.ids[first : first + number]

    @rule(seconds=st.sampled_from([0.000001, 1, 2, 5, 13, 60]))
    def advance(self, seconds):
        self.turn({"advance": seconds})

    @rule(seconds=st.sampled_from([-30, -0.5, 7]))
    def freeze(self, seconds):
        now = datetime.fromisoformat(text_of(self.context.space.clock.now()))
        self.turn({"freeze": (now + timedelta(seconds=seconds)).isoformat()})

    def turn(self, clock: dict[str, Any]) -> None:
        assert self.mock.control("POST", "/clock", clock).status_code == 200

    @precondition(lambda self: self.ids)
    @rule(
        workflow_id=st.sampled_from([None, None, *KINDS_OF_WORKFLOW]),
        machine_id=st.sampled_from([None, FRONT_DESK_1, ACCOUNTING_1]),
        in_session=st.sampled_from([False, False, True]),
        ranges=st.sampled_from(["", "", "from", "to", "from to"]),
        skip=st.integers(0, 20),
        limit=st.sampled_from([1, 4, 100]),
        data=st.data(),
    )
    def look(self, workflow_id, machine_id, in_session, ranges, skip, limit, data):
        context = context_of_space(self.mock, self.context)
        runs = self.mock.run(every_run(context))
        query: dict[str, Any] = {"workflow_id": workflow_id, "machine_id": machine_id}
        if in_session:
            query["session_id"] = data.draw(st.sampled_from(self.sessions))
        moments = st.sampled_from(sorted({run.created for run in runs}))
        for name in ranges.split():
            query[f"created_at_{name}"] = datetime.fromisoformat(text_of(data.draw(moments)))
        for status in (None, *STATUSES):
            for by_activity in (False, True):
                self.compare(context, runs, query | {"status": status}, by_activity, skip, limit)

    @invariant()
    def lists_are_right(self):
        if hasattr(self, "ids"):
            context = context_of_space(self.mock, self.context)
            runs = self.mock.run(every_run(context))
            assert {run.id for run in runs} == set(self.ids)
            for status in (None, *STATUSES):
                for by_activity in (False, True):
                    self.compare(context, runs, {"status": status}, by_activity, 0, 1000)
            for session_id in self.sessions:
                self.compare(context, runs, {"session_id": session_id}, True, 0, 1000)

    def compare(self, context, runs, query, by_activity, skip, limit):
        expected = listed(runs, query, by_activity=by_activity)
        rows, total = self.mock.run(page(context, query, by_activity, skip, limit))
        assert total == len(expected)
        assert [row.batch.ids.id(place) for row in rows for place in row.places] == expected[skip : skip + limit]


async def page(context: Context, query: dict[str, Any], by_activity: bool, skip: int, limit: int) -> Any:
    return await Listing(context, query).page(skip, limit, by_activity=by_activity)


def context_of_space(mock: Mock, context: Context) -> Context:
    return mock.app._make_context(context.space, NO_PREFERENCES, context.space.clock.read(), {})


class InSmallNodes(ListMachine):
    """The lists of HTTP, searches among them, where a few runs fill many nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, size in SMALL_NODES.items():
            self.patch.setattr(run_sequence, name, size)

    def teardown(self) -> None:
        self.patch.undo()


TestInSmallNodes = InSmallNodes.TestCase
TestInSmallNodes.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestIndex = Index.TestCase
TestIndex.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


class MoreOfIndex(Index):
    """The same with more examples, which take some seconds."""


TestMoreOfIndex = pytest.mark.matrix(MoreOfIndex.TestCase)
TestMoreOfIndex.settings = settings(TestIndex.settings, max_examples=30)


def test_a_change_of_a_session_is_seen_in_the_lists_of_its_other_runs():
    mock = new_organisation()
    first = mock.create(start_session=True)
    second = mock.create(session_id=first["session_id"])
    mock.clock.advance(1.5)
    assert mock.ids(status="running") == [first["id"]]
    mock.patch(f"/v1/runs/{first['id']}", {"status": "cancelled"})
    assert mock.ids(status="running") == [second["id"]]
    assert mock.ids(status="scheduling") == []


def test_a_search_finds_what_an_update_has_set_after_a_search_that_did_not():
    mock = new_organisation()
    runs = [mock.create(input_values={"a": "first"}) for _ in range(3)]
    assert mock.ids(search="needle") == []
    mock.patch(f"/v1/runs/{runs[1]['id']}", {"output_data": {"a": "needle"}})
    assert mock.ids(search="needle") == [runs[1]["id"]]
    mock.delete(f"/v1/runs/{runs[1]['id']}")
    assert mock.ids(search="needle") == []
    assert mock.ids(search="first") == [runs[2]["id"], runs[0]["id"]]


def test_runs_of_one_moment_are_listed_the_last_first_and_seeds_after_those_of_the_open_block():
    mock = ControlledMock()
    run = mock.create()
    before = run["id"]
    seeds = {"workflow_id": SUCCEEDS, "organization": run["organization_id"]}
    seed, other = (mock.seed(seeds)[0] for _ in range(2))
    after = mock.create()["id"]
    for sort_mode in ("activity", "created_at_desc"):
        assert mock.ids(sort_mode=sort_mode) == [after, before, other, seed]


def test_a_batch_without_runs_leaves_the_ledger():
    mock = Mock()
    runs = [mock.create()["id"] for _ in range(70)]
    for run_id in runs[:65]:
        mock.delete(f"/v1/runs/{run_id}")
    assert mock.ids() == runs[:64:-1]
    blocks = mock.run(context_of(mock).store.items("ledger"))
    assert {key: len(unit.value.tails) for key, unit in blocks.items()} == {"open": 5}


@pytest.mark.parametrize("order", [1, -1], ids=["the first first", "the last first"])
def test_of_a_session_only_its_machine_is_kept_once_all_its_runs_are_deleted(order):
    mock = Mock()
    files = [{"filename": "a.txt", "content": "YQ=="}]
    first = mock.create(start_session=True, file_inputs=files)
    joining = mock.create_many(3, session_id=first["session_id"])
    chain = mock.post("/v1/runs/chain", {"steps": [{"workflow_id": SUCCEEDS}] * 3}).json()["run_ids"]
    alive = mock.create(start_session=True)
    ids = [first["id"], *(run["id"] for run in joining), *chain]
    context = context_of(mock)
    assert mock.total() == 8
    for number, run_id in enumerate(ids[::order]):
        assert mock.delete(f"/v1/runs/{run_id}").status_code == 204
        assert mock.total() == 7 - number
    assert mock.ids() == mock.ids(session_id=alive["session_id"]) == [alive["id"]]
    assert mock.total(session_id=first["session_id"]) == 0
    kept = {kind: mock.run(context.store.items(kind)) for kind in ("batch", "changes", "files", "session")}
    assert [len(units) for units in kept.values()] == [1, 0, 0, 3]
    assert kept["session"][first["session_id"]].value == Session((), first["machine_id"])
    assert list(context.space.index._sessions) == list(context.space.cached.sessions) == [alive["session_id"]]
    assert context.space.cached.timeline_count == 1
    assert mock.create(session_id=first["session_id"])["machine_id"] == first["machine_id"]
    assert mock.total() == 2


@pytest.mark.parametrize("order", [1, -1], ids=["the first first", "the last first"])
@pytest.mark.parametrize(
    "retry", [{}, {"start_session": True}, {"reuse_session": False}, {"session_id": "other"}], ids=str
)
@pytest.mark.parametrize("start_session", [False, True])
def test_of_runs_that_were_retried_nothing_is_kept_once_all_are_deleted(start_session, retry, order):
    mock = Mock(progression="immediate")
    files = [{"filename": "a.txt", "content": "YQ=="}]
    other = mock.create(start_session=True, file_inputs=files)
    runs = mock.create_many(3, start_session=start_session, file_inputs=files)
    if "session_id" in retry:
        retry = {"session_id": other["session_id"]}
    assert mock.post(f"/v1/runs/{runs[1]['id']}/retry", {**retry, "file_inputs": files}).status_code == 200
    assert mock.total() == 4
    context = context_of(mock)
    for number, run in enumerate([other, *runs][::order]):
        assert mock.delete(f"/v1/runs/{run['id']}").status_code == 204
        assert mock.total() == 3 - number
    kept = {kind: mock.run(context.store.items(kind)) for kind in ("batch", "changes", "files", "session")}
    assert [len(units) for units in kept.values()][:3] == [0, 0, 0]
    assert all(not unit.value.slots for unit in kept["session"].values())
    assert context.space.cached.timeline_count == 0


def test_runs_that_a_retry_moved_into_a_session_stay_as_long_as_it_has_others():
    mock = Mock(progression="immediate")
    alive = mock.create(start_session=True)
    moved = mock.create()
    mock.post(f"/v1/runs/{moved['id']}/retry", {"session_id": alive["session_id"]})
    mock.delete(f"/v1/runs/{moved['id']}")

    assert mock.ids(session_id=alive["session_id"]) == [alive["id"]]
    assert mock.create(session_id=alive["session_id"])["machine_id"] == alive["machine_id"]
    assert mock.total(session_id=alive["session_id"]) == 2
    assert len(mock.run(context_of(mock).store.items("batch"))) == 3


def test_creates_in_one_session_are_taken_into_a_list_with_others_in_between(monkeypatch):
    """They are in one block of the ledger, and each may have a thousand runs."""
    mock = Mock()
    session = mock.create(start_session=True)["session_id"]
    for _ in range(9):
        mock.create(session_id=session)
    turns = turns_of(monkeypatch, run_index)

    assert mock.total() == 10
    taken_with_their_block, taken_with_their_session, block_and_session = 10, 10, 2
    assert len(turns) == taken_with_their_block + taken_with_their_session + block_and_session
