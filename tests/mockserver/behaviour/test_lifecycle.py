"""How runs live: along the edges only, never back, one at a time in a session, whatever is done to them and when."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mockserver.behaviour import session_timelines
from mockserver.behaviour.batch import Batch, Change, Move, Placement, Script, Session, Slot
from mockserver.behaviour.ids import id_row
from mockserver.behaviour.lifecycle import SETTABLE_STATUSES, Schedule, Schedules, Timeline, timeline_of
from mockserver.behaviour.session_timelines import Part, SessionTimelines
from mockserver.behaviour.world import RunProfile, World
from mockserver.clock import FOREVER, SECOND
from mockserver.errors import VersionConflict
from tests.mockserver.inprocess import (
    ENDS_AT_ONCE,
    ERROR,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    TERMINAL,
    Mock,
    new_organisation,
    unknown_id,
)

ACTIVE = ("running", "running_checks")

# --- The schedule of one run -----------------------------------------------------------------------------------------


def test_a_run_is_scheduling_then_running_then_ended():
    mock = Mock()
    run = mock.create(prefer="duration=10")

    seen = {}
    for second in range(20):
        seen.setdefault(mock.status(run["id"]), second)
        mock.clock.advance(1)

    assert list(seen) == ["scheduling", "running", "success"]
    assert 1 <= seen["running"] <= 3
    assert seen["success"] - seen["running"] == 10


@pytest.mark.parametrize(
    ("workflow_id", "status", "filled", "empty"),
    [
        (SUCCEEDS, "success", "output_data", "error"),
        (TASK_FAILED, "task_failed", "error", "output_data"),
        (ERROR, "error", "error", "output_data"),
    ],
)
def test_output_data_and_error_fit_the_outcome(workflow_id, status, filled, empty):
    mock = Mock()
    run = mock.create(workflow_id)
    assert (run["output_data"], run["error"]) == (None, None)

    mock.clock.advance(60)
    ended = mock.read(run["id"])

    assert ended["status"] == status
    assert ended[filled]
    assert ended[empty] is None


def test_a_run_shows_when_it_started_and_ended_once_it_has():
    mock = Mock()
    run = mock.create(prefer="duration=10")
    assert (run["started_at"], run["ended_at"]) == (None, None)

    mock.clock.advance(4)
    running = mock.read(run["id"])
    mock.clock.advance(60)
    ended = mock.read(run["id"])

    created, started, end = (datetime.fromisoformat(ended[name]) for name in ("created_at", "started_at", "ended_at"))
    assert running["ended_at"] is None
    assert running["started_at"] == ended["started_at"]
    assert created < started < end
    assert (end - started).total_seconds() == 10


def test_a_run_that_never_ends_is_running_after_a_year():
    mock = Mock()
    run = mock.create(NEVER_ENDS)

    mock.clock.advance(365 * 86_400)

    assert mock.status(run["id"]) == "running"


def test_a_run_that_ends_at_once_has_ended_when_it_is_first_read():
    mock = Mock()

    run = mock.create(ENDS_AT_ONCE)

    assert run["status"] == "scheduling"
    assert mock.status(run["id"]) == "success"


def test_a_cancelled_run_that_never_ran_has_no_start():
    mock = Mock()
    run = mock.create()

    cancelled = mock.patch(f"/v1/runs/{run['id']}", {"status": "cancelled"}).json()

    assert cancelled["status"] == "cancelled"
    assert cancelled["started_at"] is None
    assert cancelled["ended_at"] == cancelled["created_at"]
    assert (cancelled["error"], cancelled["output_data"]) == (None, None)


def test_a_run_cancelled_while_running_keeps_its_start():
    mock = Mock()
    run = mock.create(NEVER_ENDS)
    mock.clock.advance(5)
    started = mock.read(run["id"])["started_at"]

    mock.patch(f"/v1/runs/{run['id']}", {"status": "cancelled"})
    mock.clock.advance(100)

    cancelled = mock.read(run["id"])
    assert (cancelled["status"], cancelled["started_at"]) == ("cancelled", started)


def test_runs_of_one_bulk_create_do_not_all_live_alike():
    mock = Mock()
    mock.create_many(200)

    mock.clock.advance(2.5)

    assert {run["status"] for run in mock.listed()} == {"running", "success"}


def test_outcomes_are_drawn_by_their_odds():
    mock = Mock()
    mock.create_many(1000, unknown_id())

    mock.clock.advance(60)

    counts = {status: mock.total(status=status) for status in ("success", "task_failed", "error")}
    assert sum(counts.values()) == 1000
    assert 860 <= counts["success"] <= 940
    assert 40 <= counts["task_failed"] <= 100
    assert 10 <= counts["error"] <= 55


# --- The scale of time, and progression ----------------------------------------------------------------------------


def test_runs_live_as_many_times_faster_as_the_scale_says():
    mock = Mock(time_scale=100)
    run = mock.create(prefer="duration=60")

    mock.clock.pass_time(0.03)
    running = mock.status(run["id"])
    mock.clock.pass_time(0.6)

    assert running == "running"
    assert mock.status(run["id"]) == "success"
    ended = mock.read(run["id"])
    assert datetime.fromisoformat(ended["ended_at"]).timestamp() <= mock.clock.now() / SECOND


def test_a_change_of_scale_leaves_what_was_shown_and_hurries_what_is_to_come():
    mock = Mock()
    run, waiting = mock.create(prefer="duration=10"), mock.create(NEVER_ENDS)
    mock.clock.advance(5)
    before = mock.read(run["id"]), mock.read(waiting["id"])

    mock.clock.rescale(1000)
    after = mock.read(run["id"]), mock.read(waiting["id"])
    mock.clock.pass_time(0.01)

    assert after == before
    ended = mock.read(run["id"])
    assert (ended["status"], ended["started_at"]) == ("success", before[0]["started_at"])
    assert mock.read(waiting["id"]) == before[1]


def test_a_run_is_held_where_it_is_while_the_clock_is_held():
    mock = Mock()
    run = mock.create(ENDS_AT_ONCE)
    mock.clock.rescale(0)
    shown = mock.read(run["id"])
    held = mock.create(SUCCEEDS)

    mock.clock.pass_time(3600)
    mock.clock.rescale(1)

    assert mock.status(held["id"]) == "scheduling"
    assert mock.read(run["id"]) == shown


@pytest.mark.parametrize("workflow_id", [SUCCEEDS, TASK_FAILED, ERROR])
def test_immediately_means_a_run_has_ended_when_it_is_first_read(workflow_id):
    mock = Mock(progression="immediate")

    run = mock.create(workflow_id)

    assert run["status"] == "scheduling"
    assert mock.status(run["id"]) in TERMINAL


def test_immediately_means_a_chain_has_ended_too_but_not_what_never_ends():
    mock = Mock(progression="immediate")

    steps = [{"workflow_id": each} for each in (SUCCEEDS, TASK_FAILED, NEVER_ENDS, SUCCEEDS)]
    run_ids = mock.post("/v1/runs/chain", {"steps": steps}).json()["run_ids"]

    assert [mock.status(each) for each in run_ids] == ["success", "task_failed", "running", "scheduling"]


def test_manually_means_that_only_an_update_moves_a_run():
    mock = Mock(progression="manual")
    run = mock.create()
    mock.clock.advance(10_000)
    assert mock.status(run["id"]) == "scheduling"

    seen = []
    for status in ("running", "running_checks", "task_failed"):
        mock.patch(f"/v1/runs/{run['id']}", {"status": status})
        mock.clock.advance(10_000)
        seen.append(mock.status(run["id"]))

    assert seen == ["running", "running_checks", "task_failed"]


def test_a_session_moves_by_updates_only_when_progression_is_manual():
    mock = Mock(progression="manual")
    first, second = mock.create_many(2, start_session=True)

    refused = mock.patch(f"/v1/runs/{second['id']}", {"status": "running"})
    mock.patch(f"/v1/runs/{first['id']}", {"status": "success"})
    allowed = mock.patch(f"/v1/runs/{second['id']}", {"status": "running"})

    assert (refused.status_code, allowed.status_code) == (409, 200)
    assert allowed.json()["status"] == "running"


# --- Sessions ------------------------------------------------------------------------------------------------------


def test_runs_of_a_session_run_one_after_the_other_in_the_order_of_their_creation():
    mock = Mock()
    runs = mock.create_many(4, start_session=True)

    mock.clock.advance(1000)
    spans = [mock.read(run["id"]) for run in runs]

    for before, after in itertools.pairwise(spans):
        assert before["ended_at"] <= after["started_at"]


def test_runs_of_no_session_do_not_wait_for_one_another():
    mock = Mock()
    mock.create_many(20, NEVER_ENDS)

    mock.clock.advance(5)

    assert mock.total(status="running") == 20


def test_one_that_never_ends_holds_up_its_session_until_it_is_cancelled():
    mock = Mock()
    first = mock.create(NEVER_ENDS, start_session=True)
    second = mock.create(session_id=first["session_id"])
    mock.clock.advance(1000)
    held_up = mock.status(second["id"])

    mock.patch(f"/v1/runs/{first['id']}", {"status": "cancelled"})

    assert held_up == "scheduling"
    assert mock.status(second["id"]) == "running"


def test_one_that_never_ends_holds_up_its_session_until_it_is_deleted():
    mock = Mock()
    first = mock.create(NEVER_ENDS, start_session=True)
    second = mock.create(session_id=first["session_id"])
    mock.clock.advance(1000)

    mock.delete(f"/v1/runs/{first['id']}")

    assert mock.status(second["id"]) == "running"


def test_a_run_that_joins_a_session_that_is_long_done_does_not_wait():
    mock = Mock()
    first = mock.create(start_session=True)
    mock.clock.advance(1000)

    second = mock.create(NEVER_ENDS, session_id=first["session_id"])
    mock.clock.advance(4)

    assert mock.status(second["id"]) == "running"


def test_a_deleted_run_that_was_retried_with_a_duration_takes_nothing_back_of_its_session():
    mock = Mock(progression="time")
    first = mock.create(NEVER_ENDS, start_session=True)
    mock.patch(f"/v1/runs/{first['id']}", {"status": "cancelled"})
    mock.post(f"/v1/runs/{first['id']}/retry", {}, prefer="duration=1")
    second = mock.create(NEVER_ENDS, session_id=first["session_id"])
    mock.clock.advance(5)
    shown = mock.read(second["id"])
    assert shown["status"] == "running"

    mock.delete(f"/v1/runs/{first['id']}")

    assert mock.read(second["id"]) == shown


def test_a_retried_run_waits_for_the_session_though_it_once_stood_before_it():
    mock = Mock()
    first, second = mock.create_many(2, NEVER_ENDS, start_session=True)
    mock.patch(f"/v1/runs/{first['id']}", {"status": "cancelled"})
    mock.clock.advance(5)
    assert mock.status(second["id"]) == "running"
    mock.post(f"/v1/runs/{first['id']}/retry", {})

    refused = mock.patch(f"/v1/runs/{first['id']}", {"status": "running"})

    assert refused.status_code == 409
    mock.clock.advance(1000)
    assert [mock.status(first["id"]), mock.status(second["id"])] == ["scheduling", "running"]


class Timelines(RuleBasedStateMachine):
    """Anything at any moment; and after each step, everything is read and held against what was read before."""

    @initialize(
        progression=st.sampled_from(["time", "time", "time", "immediate", "manual"]),
        scale=st.sampled_from([1, 1, 0.5, 37]),
    )
    def begin(self, progression, scale):
        self.mock = Mock(progression=progression, time_scale=scale, self_check=False)
        self.sessions: dict[str, list[str]] = {}
        self.session_of: dict[str, str | None] = {}
        self.last: dict[str, dict[str, Any]] = {}

    def _created(self, runs):
        for run in runs:
            session_id = run["session_id"]
            self.session_of[run["id"]] = session_id
            if session_id is not None:
                self.sessions.setdefault(session_id, []).append(run["id"])

    def _some(self, data):
        return data.draw(st.sampled_from(sorted(self.session_of)), label="run")

    @rule(
        count=st.sampled_from([1, 1, 2, 3]),
        workflow_id=st.sampled_from([SUCCEEDS, TASK_FAILED, NEVER_ENDS, ENDS_AT_ONCE]),
        start_session=st.booleans(),
        join=st.booleans(),
        prefer=st.sampled_from([None, None, "duration=0", "duration=4, outcome=error"]),
        data=st.data(),
    )
    def create(self, count, workflow_id, start_session, join, prefer, data):
        body: dict[str, Any] = {"start_session": start_session}
        if join and self.sessions:
            body["session_id"] = data.draw(st.sampled_from(sorted(self.sessions)), label="session")
        self._created(self.mock.create_many(count, workflow_id, prefer=prefer, **body))

    @rule(workflow_ids=st.lists(st.sampled_from([SUCCEEDS, NEVER_ENDS, ENDS_AT_ONCE]), min_size=1, max_size=3))
    def chain(self, workflow_ids):
        made = self.mock.post("/v1/runs/chain", {"steps": [{"workflow_id": each} for each in workflow_ids]}).json()
        self._created([{"id": run_id, "session_id": made["session_id"]} for run_id in made["run_ids"]])

    @rule(seconds=st.sampled_from([0.000001, 0.5, 1, 1.7, 3, 8, 30, 500]))
    def let_time_pass(self, seconds):
        self.mock.clock.pass_time(seconds)

    @rule(seconds=st.sampled_from([0.000001, 1, 1200]))
    def advance(self, seconds):
        self.mock.clock.advance(seconds)

    @rule(frozen=st.booleans())
    def freeze(self, frozen):
        (self.mock.clock.freeze if frozen else self.mock.clock.resume)()

    @rule(scale=st.sampled_from([0, 0.1, 1, 2, 60]))
    def rescale(self, scale):
        self.mock.clock.rescale(scale)

    @precondition(lambda self: self.session_of)
    @rule(status=st.sampled_from(sorted(SETTABLE_STATUSES)), data=st.data())
    def update(self, status, data):
        run_id = self._some(data)
        before = self.mock.status(run_id)

        answer = self.mock.patch(f"/v1/runs/{run_id}", {"status": status})

        if answer.status_code == 200:
            assert status in SETTABLE_STATUSES[before]
        else:
            assert answer.status_code == 409
            assert status not in SETTABLE_STATUSES[before] or self.session_of[run_id] is not None

    @precondition(lambda self: self.session_of)
    @rule(data=st.data())
    def delete(self, data):
        run_id = self._some(data)
        assert self.mock.delete(f"/v1/runs/{run_id}").status_code == 204
        session_id = self.session_of.pop(run_id)
        if session_id is not None:
            self.sessions[session_id].remove(run_id)
        self.last.pop(run_id, None)

    @precondition(lambda self: self.session_of)
    @rule(
        how=st.sampled_from([{}, {}, {"reuse_session": False}, {"start_session": True}, "join"]),
        prefer=st.sampled_from([None, "duration=0", "duration=7"]),
        data=st.data(),
    )
    def retry(self, how, prefer, data):
        run_id = self._some(data)
        before = self.mock.status(run_id)
        if how == "join":
            how = {"session_id": data.draw(st.sampled_from(sorted(self.sessions)))} if self.sessions else {}

        answer = self.mock.post(f"/v1/runs/{run_id}/retry", how, prefer=prefer)

        assert (answer.status_code == 200) == (before in TERMINAL)
        if answer.status_code == 200:
            left = self.session_of.pop(run_id)
            if left is not None:
                self.sessions[left].remove(run_id)
            self._created([answer.json()])
            self.last.pop(run_id, None)

    @invariant()
    def nothing_is_taken_back(self):
        runs = {run["id"]: run for run in self.mock.listed()}
        assert runs.keys() == self.session_of.keys()
        for run_id, run in runs.items():
            status, before = run["status"], self.last.get(run_id)
            if before is not None:
                assert status in SETTABLE_STATUSES[before["status"]], (before, run)
                for name in ("started_at", "ended_at"):
                    assert before[name] in (None, run[name]), (before, run)
            assert (run["ended_at"] is not None) == (status in TERMINAL)
            assert (run["started_at"] is not None) >= (status in ACTIVE)
            assert status != "scheduling" or run["started_at"] is None
            assert (run["started_at"] or "") <= (run["ended_at"] or "9")
            assert (run["output_data"] is not None) == (status == "success")
            assert (run["error"] is not None) == (status in ("task_failed", "error"))
        self.last = runs
        for run_ids in self.sessions.values():
            statuses = [runs[run_id]["status"] for run_id in run_ids]
            active = [place for place, status in enumerate(statuses) if status in ACTIVE]
            assert len(active) <= 1, statuses
            assert all(status in TERMINAL for status in statuses[: active[0] if active else 0]), statuses

        # A single read shows what the list shows.
        for run_id in sorted(runs)[:1]:
            assert self.mock.read(run_id) == runs[run_id]


TestLives = Timelines.TestCase
TestLives.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

# --- The pure functions --------------------------------------------------------------------------------------------

PROFILE = RunProfile((SECOND, 3 * SECOND), (5 * SECOND, 20 * SECOND), (("success", 0.5), ("error", 0.5)), b"{}", ("e",))


def _batch(number: int, count: int, *, script: Script | None = None, created: int = 0) -> Batch:
    placement = Placement(None, b"null", None, b"null", b"null")
    ids = id_row(b"key", f"runs {number}", count)
    return Batch(ids, number, created, created, SUCCEEDS, placement, b"null", b"null", (), script)


@given(st.integers(0, 1000), st.integers(1, 1000), st.sampled_from(["time", "immediate", "manual"]))
def test_no_run_of_a_batch_ends_outside_the_bounds_that_lists_go_by(number, count, progression):
    batch, schedules = _batch(number, count), Schedules(b"key", progression)

    ends = []
    for index in {0, count // 2, count - 1}:
        schedule = schedules.schedule(PROFILE, batch, index, Change())
        ends.append(min(FOREVER, schedule.scheduling + schedule.running))

    active_until, ended_from = schedules.bounds(PROFILE, batch)
    assert active_until <= min(ends)
    assert max(ends) <= ended_from


@given(st.integers(0, 500), st.integers(0, 99), st.integers(0, 3))
def test_a_course_is_a_function_of_seed_run_and_attempt(number, index, attempt):
    batch = _batch(number, 100)
    change = Change(attempt=attempt)

    schedules = [Schedules(b"key", "time").schedule(PROFILE, batch, index, change) for _ in range(2)]

    assert schedules[0] == schedules[1]
    assert SECOND <= schedules[0].scheduling <= 3 * SECOND
    assert 5 * SECOND <= schedules[0].running <= 20 * SECOND
    assert schedules[0].outcome in ("success", "error")


def test_another_seed_gives_another_course():
    batch = _batch(0, 50)

    one, other = (
        [Schedules(key, "time").schedule(PROFILE, batch, i, Change()) for i in range(50)] for key in (b"a", b"b")
    )

    assert one != other


def test_courses_are_drawn_again_alike_after_many_batches():
    schedules = Schedules(b"key", "time")
    first = schedules.schedule(PROFILE, _batch(0, 2), 1, Change())

    for number in range(1, 600):
        schedules.schedule(PROFILE, _batch(number, 1), 0, Change())

    assert schedules.schedule(PROFILE, _batch(0, 2), 1, Change()) == first


@pytest.mark.parametrize("script", [Script(None, 7 * SECOND), Script("error", None), Script("success", 0)])
def test_a_script_says_how_a_run_ends_and_leaves_the_rest_to_the_workflow(script):
    batch = _batch(0, 1, script=script)
    plain = Schedules(b"key", "time").schedule(PROFILE, _batch(0, 1), 0, Change())

    schedule = Schedules(b"key", "time").schedule(PROFILE, batch, 0, Change())

    assert schedule.scheduling == plain.scheduling
    assert schedule.running == (plain.running if script.running_us is None else script.running_us)
    assert schedule.outcome == (script.outcome or plain.outcome)


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=50))
def test_an_outcome_without_odds_is_never_drawn(numbers):
    profile = RunProfile(None, None, (("success", 0.0), ("task_failed", 2.0), ("error", 0.0)), b"{}", ("e",))

    assert {profile.outcome(number) for number in [0, 0xFFFFFFFF, *numbers]} == {"task_failed"}


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 2 * 10**9))
def test_the_next_turn_is_when_the_status_changes_next(started, running, sim_time):
    timeline = Timeline(started, FOREVER, started + running, "success")

    turn = timeline.next_change(sim_time)

    if sim_time >= timeline.ended:
        assert turn == FOREVER
    else:
        assert turn > sim_time
        assert timeline.status_at(turn) != timeline.status_at(sim_time)
        assert timeline.status_at(turn - 1) == timeline.status_at(sim_time)


def test_a_move_to_running_starts_the_course_from_there():
    change = Change(moves=(Move("running", 1_100),))

    timeline = timeline_of(Schedule(10_000, 500, "success"), change, 1_000)

    assert timeline == Timeline(1_100, FOREVER, 1_600, "success")


def test_a_session_is_read_again_when_a_run_has_left_it_meanwhile():
    batch = _batch(0, 1)
    profiles = dict.fromkeys([SUCCEEDS], World.from_files(None).default_profile)

    timelines = SessionTimelines(
        Schedules(b"key", "time"), profiles, [Part(Slot(batch.tail, 0, 1, 0), batch, {0: Change(attempt=1)})]
    )

    with pytest.raises(VersionConflict):
        timelines[batch.tail, 0]
    with pytest.raises(VersionConflict):
        timelines[batch.tail, 1]


_MOVES = st.builds(Move, st.sampled_from(["running", "success", "cancelled"]), st.integers(0, 60 * SECOND))
_CHANGES = st.dictionaries(
    st.integers(0, 5),
    st.builds(
        Change,
        moves=st.lists(_MOVES, max_size=2).map(lambda moves: tuple(sorted(moves, key=lambda move: move.at))),
        deleted=st.none() | st.integers(0, 60 * SECOND),
        attempt=st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=4,
)


_READS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), _CHANGES, _READS), min_size=1, max_size=12))
def test_timelines_that_follow_from_those_before_are_those_that_are_computed_anew(steps):
    schedules, profiles = Schedules(b"key", "time"), {SUCCEEDS: PROFILE}
    batches = [_batch(number, 6, created=number * SECOND) for number in range(3)]
    slots = [
        Slot(batches[0].tail, 1, 6, 0),
        Slot(batches[1].tail, 0, 3, 0),
        Slot(batches[2].tail, 2, 4, 0, 70 * SECOND),
    ]
    changes: list[dict[int, Change]] = [{}, {}, {}]
    versions = []
    count = 1
    for number, more, changed, reads in steps:
        changes[number] = changes[number] | changed if len(changed) < 3 else changed
        count = max(count, more)  # runs may join a session
        parts = [Part(*each) for each in zip(slots, batches, changes.copy(), strict=True)][:count]
        before = versions[-1][0] if versions else None
        timelines = SessionTimelines(schedules, profiles, parts, before)
        anew = SessionTimelines(schedules, profiles, parts)
        for batch, place in reads:
            assert _timeline(timelines, batches[batch], place) == _timeline(anew, batches[batch], place)
        versions.append((timelines, anew))
    for timelines, anew in versions:
        for batch, place in itertools.product(batches, range(6)):
            assert _timeline(timelines, batch, place) == _timeline(anew, batch, place)


def _timeline(timelines: SessionTimelines, batch: Batch, place: int) -> tuple[Timeline, int] | None:
    try:
        return timelines[batch.tail, place], timelines.free_before(batch.tail, place)
    except VersionConflict:
        return None


@pytest.mark.parametrize("in_order", [1, -1], ids=["the first first", "the last first"])
@pytest.mark.parametrize("seconds", [0, 5_000], ids=["before most have run", "after all have run"])
def test_deleting_the_runs_of_a_session_computes_few_timelines_for_each(monkeypatch, in_order, seconds):
    mock = new_organisation()
    runs = mock.create_many(200, start_session=True)
    mock.clock.advance(seconds)
    computed = []
    monkeypatch.setattr(
        session_timelines, "timeline_of", lambda *args, **how: computed.append(1) or timeline_of(*args, **how)
    )
    for run in runs[::in_order]:
        mock.delete(f"/v1/runs/{run['id']}")
    assert mock.total() == 0
    assert len(computed) <= 5 * len(runs)


def test_what_comes_behind_a_run_that_has_left_a_session_still_comes_after_its_end():
    slots = (Slot("a", 0, 5, 0), Slot("b", 0, 1, 0))
    session = Session(slots, None)

    assert session.without("a", 2, 70).slots == (Slot("a", 0, 2, 0), Slot("a", 3, 5, 0, 70), Slot("b", 0, 1, 0))
    assert session.without("a", 0, 70).slots == (Slot("a", 1, 5, 0, 70), Slot("b", 0, 1, 0))
    assert session.without("a", 4, 70).slots == (Slot("a", 0, 4, 0), Slot("b", 0, 1, 0, 70))
    assert session.without("b", 0, 70).slots == (Slot("a", 0, 5, 0),)
    assert session.without("a", 4, 70).without("b", 0, 60).slots == (Slot("a", 0, 4, 0),)
    both = session.without("a", 4, 70).without("a", 3, 60)
    assert both.slots == (Slot("a", 0, 3, 0), Slot("b", 0, 1, 0, 70))
