"""Cleaning up: what was made goes, what others made stays, and what is left is what the server says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.core.exchange import SECOND_TOKEN, Answer
from contracts.core.target import Budget
from contracts.guard import Guard, NoAnswer, clean_up_journals, cleaner, concurrency, runs_client
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import bulk, get, ids_of, post
from tests.contracts.guard.standin import CUT, FIRST, NOT_FOUND, WORKFLOW, Received, Reply, StandIn


def test_everything_that_was_made_goes_and_nothing_else(live_guard: Guard, server: StandIn) -> None:
    theirs = {server.add_run(organisation) for organisation in ("one", "two")}
    before = json.dumps(server.runs)
    live_guard.send(bulk(3))
    live_guard.send(post("/v1/runs", {"workflow_id": WORKFLOW}))
    live_guard.send(post("/v1/runs/chain", {"steps": [{}, {}]}))
    live_guard.send(bulk(2, authorization=SECOND_TOKEN))
    assert live_guard.clean_up() == 0
    assert set(server.runs) == theirs
    assert json.dumps(server.runs) == before
    spent = live_guard.spent
    assert (spent.runs_created, spent.runs_left) == (8, 0)
    assert spent.requests == len(server.received)


def test_on_a_target_that_others_use_a_run_is_cancelled_before_it_is_deleted_unless_it_has_ended(
    live_guard: Guard, server: StandIn
) -> None:
    running = live_guard.send(post("/v1/runs", {})).answer.json()["id"]
    ended = live_guard.send(post("/v1/runs", {})).answer.json()["id"]
    server.runs[ended]["status"] = "success"
    live_guard.clean_up()
    [patch] = [each for each in server.received if each.method == "PATCH"]
    assert (patch.target, patch.json()) == (f"/v1/runs/{running}", {"status": "cancelled"})
    methods = [each.method for each in server.received if each.target == f"/v1/runs/{running}"]
    assert methods == ["GET", "PATCH", "DELETE", "GET"]


def test_on_the_users_own_server_one_request_per_run_is_enough(guard: Guard, server: StandIn) -> None:
    guard.send(bulk(500))
    before = len(server.received)
    assert guard.clean_up() == 0
    assert len(server.received) - before < 500 + 60
    assert server.sent("PATCH") == []
    assert server.runs == {}


def test_a_run_that_must_end_before_it_is_deleted_is_cancelled(guard: Guard, server: StandIn) -> None:
    def only_ended(received: Received) -> Reply | None:
        run = server.runs.get(received.target.rpartition("/")[2])
        return Reply(409, {}) if received.method == "DELETE" and run and run["status"] == "scheduling" else None

    server.meddle = only_ended
    guard.send(bulk(2))
    assert guard.clean_up() == 0


def test_without_a_delete_runs_are_cancelled_and_reported_as_left(open_guard: OpenGuard, server: StandIn) -> None:
    server.offers_delete = False
    guard = open_guard(profile="live", leave_runs=True, clean_up=True)
    guard.send(bulk(2))
    assert guard.clean_up() == 2
    assert {run["status"] for run in server.runs.values()} == {"cancelled"}
    assert guard.spent.runs_left == 2
    assert guard.cannot_delete


def test_a_delete_without_effect_is_detected(guard: Guard, server: StandIn) -> None:
    server.meddle = lambda received: Reply(204) if received.method == "DELETE" else None
    guard.send(bulk(3))
    assert guard.clean_up() == 3
    assert guard.spent.runs_left == 3
    assert not guard.cannot_delete


@pytest.mark.parametrize("reply", [CUT, Reply(500, {}), Reply(403, {})])
def test_a_run_counts_as_left_unless_the_server_says_that_it_is_gone(
    guard: Guard, server: StandIn, reply: Reply
) -> None:
    guard.send(bulk(3))
    server.meddle = lambda received: reply if received.method == "GET" else None
    assert guard.clean_up() == 3


def test_a_dead_server_has_all_runs_left_and_is_asked_but_once(guard: Guard, server: StandIn) -> None:
    guard.send(bulk(300))
    before = guard.spent.requests
    server.__exit__(None, None, None)
    assert guard.clean_up() == 300
    server.__enter__()
    assert guard.spent.requests - before <= 3
    assert guard.log.skipped[-1].startswith("cleaning up: DELETE")


@pytest.mark.parametrize("end", [Guard.clean_up, Guard.count_left])
def test_a_server_that_hangs_is_not_waited_for_with_every_run(
    guard: Guard, server: StandIn, manual: ManualClock, end: Callable[[Guard], int]
) -> None:
    guard.send(bulk(300))
    before = len(server.received)

    def hang(_: Received) -> Reply:
        manual.moment += 30
        return CUT

    server.meddle = hang
    assert end(guard) == 300
    # Those that were on their way at the same time, and a read over a used connection is sent twice.
    assert len(server.received) - before <= 2 * (3 + concurrency.WORKERS)


def test_counting_the_runs_that_are_left_deletes_none(guard: Guard, server: StandIn) -> None:
    made = [run["id"] for run in guard.send(bulk(3)).answer.json()["created_runs"]]
    guard.send(get(f"/v1/runs/{made[0]}", method="DELETE"))
    assert guard.count_left() == 2
    assert (guard.spent.runs_left, set(server.runs)) == (2, set(made[1:]))


@pytest.fixture
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are used for few runs already, in small pages."""
    monkeypatch.setattr(cleaner, "_COUNTED_ONE_BY_ONE", 3)
    monkeypatch.setattr(runs_client, "_PAGE", 4)
    monkeypatch.setattr(cleaner, "_SAMPLE", 2)


@pytest.mark.usefixtures("small_numbers")
def test_many_runs_are_counted_by_the_list(guard: Guard, server: StandIn) -> None:
    for _ in range(3):
        server.add_run()
    guard.send(bulk(10))
    guard.send(bulk(3, authorization=SECOND_TOKEN))
    for run_id in list(guard.ownership.runs)[:4]:
        guard.send(get(f"/v1/runs/{run_id}", method="DELETE"))
    before = len(server.received)
    assert guard.count_left() == 9
    assert len(server.received) - before < 10


@pytest.mark.usefixtures("small_numbers")
@pytest.mark.parametrize(
    "page", [Reply(200, {"items": [], "total": 0}), Reply(404, {}), Reply(200, {"items": 7}), Reply(200, b"{"), CUT]
)
def test_a_list_that_does_not_tell_all_is_not_believed(guard: Guard, server: StandIn, page: Reply) -> None:
    guard.send(bulk(8))
    server.meddle = lambda received: page if received.target.startswith("/v1/runs?") else None
    assert guard.count_left() == 8


def test_odd_things_in_a_list_are_passed_over(guard: Guard, server: StandIn) -> None:
    made = [run["id"] for run in guard.send(bulk(5)).answer.json()["created_runs"]]
    items: list[Any] = [None, {"id": 7}, *({"id": run.upper()} for run in made)]
    pages = iter([Reply(200, {"items": items[:4]}), Reply(200, {"items": items[4:]})])
    server.meddle = lambda received: next(pages) if received.target.startswith("/v1/runs?") else None
    assert guard.count_left() == 5


@pytest.mark.usefixtures("small_numbers")
def test_runs_that_the_budget_does_not_allow_to_count_count_as_left(open_guard: OpenGuard) -> None:
    guard = open_guard(budget=Budget(max_requests=2))
    guard.send(bulk(8))
    assert guard.count_left() == 8


def cut_after_creating(server: StandIn) -> None:
    """Creates, and closes the connection before it says so."""

    def meddle(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        server.answer(received)
        return CUT

    server.meddle = meddle


def test_runs_of_a_cut_create_are_found_by_the_marker_and_cleaned_up(live_guard: Guard, server: StandIn) -> None:
    theirs = server.add_run(input_values={"a": "b"})
    cut_after_creating(server)
    marked = bulk(3, input_values={"deep": [{"er": live_guard.ownership_marker}]})
    with pytest.raises(NoAnswer):
        live_guard.send(marked)
    assert len(server.runs) == 4
    assert live_guard.clean_up() == 0
    assert set(server.runs) == {theirs}
    assert (live_guard.spent.runs_created, live_guard.possibly_left) == (3, ())
    assert len(live_guard.ownership.runs) == 3


def test_runs_of_a_cut_create_are_found_by_a_session_of_the_check(live_guard: Guard, server: StandIn) -> None:
    theirs = server.add_run(session_id=str(uuid.uuid4()))
    cut_after_creating(server)
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(2, session_id=live_guard.new_session()))
    assert live_guard.clean_up() == 0
    assert set(server.runs) == {theirs}


def test_runs_that_only_look_like_those_of_the_check_are_reported_and_not_changed(
    live_guard: Guard, server: StandIn
) -> None:
    same = {"workflow_id": WORKFLOW, "input_values": {"customer": "someone"}}
    cut_after_creating(server)
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(2, input_values={"customer": "someone"}))
    lookalike = server.add_run(**same)
    other_values = server.add_run(**(same | {"input_values": {"customer": "else"}}))
    other_workflow = server.add_run(**(same | {"workflow_id": str(uuid.uuid4())}))
    older = server.add_run(**same, created_at="2023-11-07T05:31:56Z")
    undated = server.add_run(**same, created_at="~~~")
    naive = server.add_run(**same, created_at=datetime.now(UTC).replace(tzinfo=None).isoformat())
    before = json.dumps(server.runs)
    assert live_guard.clean_up() == 0
    assert json.dumps(server.runs) == before
    told = ids_of(live_guard.possibly_left)
    assert {lookalike, naive} < told
    assert len(told) == 4
    assert not told & {other_values, other_workflow, older, undated}


def test_a_run_that_a_list_showed_before_a_create_was_sent_is_not_of_that_create(
    open_guard: OpenGuard, server: StandIn
) -> None:
    same = {"workflow_id": WORKFLOW, "input_values": {"customer": "someone"}}
    theirs = {server.add_run(**same), *(server.add_run(workflow_id=str(uuid.uuid4())) for _ in range(150))}
    theirs |= {server.add_run(**same) for _ in range(20)}
    live_guard = open_guard(profile="live", budget=Budget(max_runs=25), clean_up=True)
    live_guard.send(bulk(1, input_values={"customer": "other"}))
    theirs |= {server.add_run(**same)}
    live_guard.send(bulk(1, input_values={"customer": "other"}))  # the look after it shows the run of someone else
    cut_after_creating(server)
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(2, input_values={"customer": "someone"}))
    live_guard.clean_up()
    assert len(server.runs) == len(theirs) + 2
    assert ids_of(live_guard.possibly_left) == server.runs.keys() - theirs


def test_an_unanswered_body_that_is_not_json_may_only_have_created_a_run_without_inputs_of_a_workflow_of_the_check(
    live_guard: Guard, server: StandIn
) -> None:
    server.meddle = lambda received: CUT if received.method == "POST" else None
    for request in (post("/v1/runs/bulk", b'{"workflow_id": "'), bulk(1, input_values={"customer": "someone"})):
        with pytest.raises(NoAnswer):
            live_guard.send(request)
    plain = server.add_run()
    server.add_run(input_values={"patient": "someone else"})
    server.add_run(workflow_id=str(uuid.uuid4()))
    same = server.add_run(input_values={"customer": "someone"})
    live_guard.clean_up()
    likely, unlikely = live_guard.possibly_left
    assert (likely.id, unlikely.id) == (same, plain)
    created = server.runs[same]["created_at"]
    assert str(likely) == f"{same} (workflow {WORKFLOW}, created at {created})"


def test_an_unanswered_body_that_is_not_json_but_has_input_values_may_have_created_a_run_with_any(
    live_guard: Guard, server: StandIn
) -> None:
    server.meddle = lambda received: CUT if received.method == "POST" else None
    for request in (post("/v1/runs/bulk", b'{"input_values": {"patient": '), bulk(1)):
        with pytest.raises(NoAnswer):
            live_guard.send(request)
    run = server.add_run(input_values={"patient": "someone"})
    live_guard.clean_up()
    assert ids_of(live_guard.possibly_left) == {run}


def test_a_run_at_the_end_of_time_in_a_list_does_not_stop_the_clean_up(live_guard: Guard, server: StandIn) -> None:
    """Its time, corrected by the clock of the target, which is behind, is beyond what a datetime can hold."""
    cut_after_creating(server)
    cutting = server.meddle
    live_guard.send(get("/v1/runs"))
    late = server.add_run(workflow_id=WORKFLOW, input_values={}, created_at="9999-12-31T23:59:59.999999Z")

    def behind(received: Received) -> Reply | None:
        items = {"items": list(server.runs.values()), "total": len(server.runs)}
        date = ("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
        is_list = received.target.startswith("/v1/runs?")
        return Reply(200, items, (date,)) if is_list else cutting(received)

    server.meddle = behind
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(1))
    live_guard.clean_up()
    assert late not in ids_of(live_guard.possibly_left)


@pytest.mark.usefixtures("small_numbers")
def test_if_no_list_can_be_searched_that_is_reported_and_the_journal_stays(
    live_guard: Guard, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_client, "_MAX_SHARED_PAGES", 2)
    for _ in range(9):
        server.add_run()
    cut_after_creating(server)
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(1))
    live_guard.clean_up()
    assert "could not be searched" in live_guard.log.skipped[-1]
    path = live_guard._journal.path
    live_guard.__exit__(None, None, None)
    server.meddle = lambda _: None
    report = clean_up_journals(server.url, token=FIRST, journal_dir=path.parent)
    assert "could not be searched" in report.problems[0]
    assert path.exists()


def test_where_the_search_is_not_understood_the_marker_is_found_in_the_list(live_guard: Guard, server: StandIn) -> None:
    cut_after_creating(server)
    cutting = server.meddle
    server.meddle = lambda received: NOT_FOUND if "search=" in received.target else cutting(received)
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(2, input_values={"m": live_guard.ownership_marker}))
    assert live_guard.clean_up() == 0
    assert server.runs == {}


def test_where_one_of_the_searches_fails_the_list_is_read(guard: Guard, server: StandIn) -> None:
    cut_after_creating(server)
    cutting = server.meddle
    server.meddle = lambda received: CUT if "session_id=" in received.target else cutting(received)
    marked = bulk(1, input_values={"m": guard.ownership_marker})
    with pytest.raises(NoAnswer):
        guard.send_together([marked, bulk(1, session_id=guard.new_session())])
    assert guard.clean_up() == 0
    assert server.runs == {}


def test_a_search_that_finds_everything_deletes_nothing_of_others(live_guard: Guard, server: StandIn) -> None:
    theirs = {server.add_run() for _ in range(3)}

    def finds_all(received: Received) -> Reply | None:
        found = {"items": list(server.runs.values())}
        return Reply(200, found) if "search=" in received.target or "session_id=" in received.target else None

    server.meddle = finds_all
    live_guard.send(bulk(1, input_values={"m": live_guard.ownership_marker}, session_id=live_guard.new_session()))
    assert live_guard.clean_up() == 0
    assert set(server.runs) == theirs


def test_runs_of_a_refused_create_are_found_by_the_marker(live_guard: Guard, server: StandIn) -> None:
    def refuses_and_creates(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        server.answer(received)
        return Reply(422, {"detail": []})

    server.meddle = refuses_and_creates
    live_guard.send(bulk(2, input_values={"m": live_guard.ownership_marker}))
    assert live_guard.clean_up() == 0
    assert server.runs == {}


def test_a_chain_that_is_answered_with_older_runs_does_not_get_them_deleted(live_guard: Guard, server: StandIn) -> None:
    old = server.add_run(created_at="2023-11-07T05:31:56Z")
    unlisted = Reply(200, {"items": []})
    server.meddle = lambda received: Reply(201, {"run_ids": [old]}) if received.method == "POST" else unlisted
    live_guard.send(post("/v1/runs/chain", {"steps": [{}]}))
    server.meddle = lambda _: None
    assert live_guard.clean_up() == 1
    assert (set(server.runs), server.runs[old]["status"]) == ({old}, "scheduling")


def test_runs_created_without_a_valid_token_are_cleaned_up_with_any_token_that_reaches_them(
    guard: Guard, server: StandIn
) -> None:
    server.organisations["made-up"] = "three"
    guard.send(bulk(1, authorization="Bearer made-up"))
    server.requires_auth = False
    guard.send(bulk(1, authorization=None))
    server.requires_auth = True
    assert guard.count_left() == 2
    assert guard.clean_up() == 0
    assert server.runs == {}


def test_a_second_interruption_ends_cleaning_up_and_the_journal_stays(
    guard: Guard, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.send(bulk(5))

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cleaner.Cleaner, "clean", interrupt)
    with pytest.raises(KeyboardInterrupt):
        guard.clean_up()
    path = guard._journal.path
    guard.__exit__(None, None, None)
    assert path.exists()


def test_a_target_that_dies_while_it_is_cleaned_up_is_not_asked_for_every_run(guard: Guard, server: StandIn) -> None:
    guard.send(bulk(1000))
    before = len(server.received)
    server.meddle = lambda received: CUT if received.target.rpartition("/")[2] in server.runs else None
    assert guard.clean_up() == 1000
    assert len(server.received) - before < 100


def test_work_in_threads_ends_at_the_first_error_and_raises_it() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 3:
            raise ValueError(item)
        done.append(item)

    with pytest.raises(ValueError, match="3"):
        concurrency.in_threads(work, range(100_000))
    assert len(done) < 99_999
    concurrency.in_threads(work, [])


def test_an_interruption_while_threads_work_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(concurrency.threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(concurrency.threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        concurrency.in_threads(lambda _: None, range(10))


def test_a_list_that_ignores_skip_is_read_until_a_page_has_no_new_run() -> None:
    asked: list[str] = []

    class SamePage(runs_client.RunsClient):
        def request(self, method: str, path: str, *args: Any, **more: Any) -> Answer:
            asked.append(path)
            items = [{"id": str(number)} for number in range(runs_client._PAGE)]
            return Answer(200, (), json.dumps({"items": items}).encode())

    missing: Any = None
    client = SamePage(missing, missing, missing, missing, is_shared=False)

    assert {run["id"] for run in client.pages("Bearer one")} == {str(number) for number in range(runs_client._PAGE)}
    assert len(asked) == 2
