"""What comes into being beside what answers tell: looked for, owned where it is proven, and not followed by more."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from contracts.core.exchange import Request
from contracts.core.target import Budget
from contracts.guard import Guard, NoAnswer, NotAllowed, RequestKind
from contracts.guard.identity import CheckIdentity
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.requests import bulk, get, post
from tests.contracts.guard.standin import CUT, NOT_FOUND, WORKFLOW, Received, Reply, StandIn

REFUSAL = Reply(422, {"detail": []})


def kinds(request: Request) -> RequestKind:
    """A count that is no number must be refused."""
    refused = b'"count": "x"' in (request.body or b"")
    return RequestKind(request.path, "field count" if refused else None)


@pytest.fixture
def watched(live_guard: Guard) -> Guard:
    live_guard.set_kind_of(kinds)
    return live_guard


def refused_makes(server: StandIn, **values: object) -> list[str]:
    """Refuses every create whose count is not a number, and makes a run all the same. The list has their ids."""
    made: list[str] = []

    def meddle(received: Received) -> Reply | None:
        if received.method != "POST" or b'"count": "x"' not in received.body:
            return None
        made.append(server.add_run(**values))
        return REFUSAL

    server.meddle = meddle
    return made


def test_after_a_refused_create_that_made_a_run_no_other_of_its_kind_is_sent(watched: Guard, server: StandIn) -> None:
    made = refused_makes(server)
    watched.send(bulk("x"))
    with pytest.raises(NotAllowed, match="created runs that no answer reported"):
        watched.send(bulk("x"))
    watched.send(bulk(1))
    assert len(made) == 1
    [found] = watched.take_unreported_runs()
    assert (found.status, found.runs, found.certain) == (422, 1, True)
    assert [each.request.method for each in found.exchanges] == ["POST", "GET"]
    assert watched.take_unreported_runs() == []


def test_a_run_without_a_proof_is_reported_and_not_touched(watched: Guard, server: StandIn) -> None:
    made = refused_makes(server)
    watched.send(bulk("x"))
    watched.clean_up()
    assert list(server.runs) == made
    assert server.runs[made[0]]["status"] == "scheduling"
    assert [run.id for run in watched.possibly_left] == made


@pytest.mark.parametrize("proof", ["marker", "session"])
def test_a_run_with_a_proof_is_cleaned_up(watched: Guard, server: StandIn, proof: str) -> None:
    theirs = server.add_run()
    session = watched.new_session()
    carried = {"session_id": session} if proof == "session" else {"input_values": {"m": watched.ownership_marker}}
    refused_makes(server, **carried)
    watched.send(bulk("x", **carried))
    assert watched.clean_up() == 0
    assert list(server.runs) == [theirs]
    assert (watched.possibly_left, watched.left_unknown) == ((), ())


@pytest.mark.parametrize(
    "values",
    [
        {"workflow_id": str(uuid.uuid4())},
        {"input_values": {"customer": "someone"}},
        {"created_at": "2023-11-07T05:31:56Z"},
    ],
)
def test_a_run_that_fits_no_request_is_someone_elses(watched: Guard, server: StandIn, values: dict[str, str]) -> None:
    refused_makes(server, **values)
    watched.send(bulk("x"))
    watched.send(bulk("x"))
    assert watched.take_unreported_runs() == []
    assert watched.clean_up() == 0
    assert watched.possibly_left == ()


@pytest.mark.parametrize(
    ("chain", "inputs", "may_be_ours"),
    [
        ({"steps": [{}, {}]}, {"customer": "someone"}, False),
        ({"steps": [{}, {}]}, None, True),
        ({"steps": [{"inputs": {"a": 1}}], "shared_inputs": {"b": 2}}, {"a": 1, "b": 2}, True),
        ({"steps": [{"inputs": {"a": 1}}], "shared_inputs": {"a": 2}}, {"a": 2}, True),
        ({"steps": [{"inputs": {"a": 1}}], "shared_inputs": {"b": 2}}, {"b": 2}, False),
        ({"steps": [{"inputs": {"a": {"$ref": "first.outputs.x"}}}]}, {"a": "anything"}, True),
        ({"steps": [5], "shared_inputs": [1]}, {"a": "anything"}, True),
        ({"steps": "x"}, {"a": "anything"}, True),
    ],
)
def test_a_run_may_be_of_a_chain_if_it_has_the_inputs_of_a_step(
    watched: Guard, server: StandIn, chain: dict[str, object], inputs: object, may_be_ours: bool
) -> None:
    def meddle(received: Received) -> Reply | None:
        if received.method != "POST" or not received.target.endswith("/chain"):
            return None
        server.add_run(input_values=inputs)
        return REFUSAL

    watched.send(bulk(1))  # so that the workflow is one of the check
    server.meddle = meddle
    watched.send(post("/v1/runs/chain", chain))
    assert bool(watched.take_unreported_runs()) == may_be_ours


def test_where_others_make_runs_of_the_workflow_an_unreported_run_is_not_certain(
    watched: Guard, server: StandIn
) -> None:
    server.add_run(created_at=datetime.now(UTC).isoformat())
    refused_makes(server)
    watched.send(bulk("x"))
    [found] = watched.take_unreported_runs()
    assert not found.certain


def test_a_create_that_makes_two_runs_and_reports_one_is_detected(watched: Guard, server: StandIn) -> None:
    def makes_two(received: Received) -> Reply | None:
        if received.method == "POST":
            server.add_run()
        return None

    server.meddle = makes_two
    watched.send(post("/v1/runs", {"workflow_id": WORKFLOW}))
    [found] = watched.take_unreported_runs()
    assert (found.status, found.reported, found.runs) == (201, 1, 1)
    with pytest.raises(NotAllowed):
        watched.send(post("/v1/runs", {"workflow_id": WORKFLOW}))


def test_unreported_runs_are_charged(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(profile="live", budget=Budget(max_runs=3), clean_up=True)
    guard.set_kind_of(kinds)
    refused_makes(server)
    guard.send(bulk("x"))
    assert guard.can_afford(runs=2)
    assert not guard.can_afford(runs=3)


@pytest.mark.parametrize("page", [Reply(503, {}), Reply(200, {"items": None}), CUT])
def test_if_lists_are_not_reliable_one_request_of_a_kind_is_sent_and_it_is_unknown_what_is_left(
    watched: Guard, server: StandIn, page: Reply
) -> None:
    server.meddle = lambda received: page if received.target.startswith("/v1/runs?") else None
    watched.send(bulk("x"))
    with pytest.raises(NotAllowed, match="the list of runs is unreliable"):
        watched.send(bulk("x"))
    watched.send(bulk(1))
    watched.clean_up()
    assert watched.left_unknown
    assert server.runs == {}


def test_a_list_that_never_shows_created_runs_is_not_reliable(watched: Guard, server: StandIn) -> None:
    server.meddle = lambda received: Reply(200, {"items": []}) if received.target.startswith("/v1/runs?") else None
    watched.send(bulk(1))
    watched.clean_up()
    assert watched.left_unknown
    assert server.runs == {}


def test_a_create_without_an_answer_is_looked_after_at_once(watched: Guard, server: StandIn) -> None:
    def cuts(received: Received) -> Reply | None:
        if received.method == "POST":
            server.answer(received)
            return CUT
        return None

    server.meddle = cuts
    with pytest.raises(NoAnswer):
        watched.send(bulk(2, input_values={"m": watched.ownership_marker}))
    assert set(watched.ownership.runs) == set(server.runs)


def test_values_of_any_type_in_a_list_or_a_read_stop_nothing(watched: Guard, server: StandIn) -> None:
    watched.send(bulk(1))
    theirs = server.add_run(workflow_id={}, session_id=[], status={}, created_at=[], input_values=7)
    watched.send(bulk(1, input_values={"m": watched.ownership_marker}))
    for run in server.runs.values():
        run["status"] = {}
    assert watched.clean_up() == 0
    assert list(server.runs) == [theirs]


def test_values_that_are_nested_too_deeply_prove_nothing() -> None:
    values: list[object] = []
    for _ in range(100_000):
        values = [values]
    identity = CheckIdentity("a-marker", datetime.now(UTC), ())
    assert not identity.proves({"input_values": values})


# Cleaning up, whatever a read says


def reads_are_404(received: Received) -> Reply | None:
    return NOT_FOUND if received.method == "GET" and received.target.startswith("/v1/runs/") else None


def test_own_runs_are_deleted_though_their_reads_are_404(watched: Guard, server: StandIn) -> None:
    theirs = server.add_run()
    server.meddle = reads_are_404
    watched.send(bulk(3))
    assert watched.clean_up() == 0
    assert list(server.runs) == [theirs]
    assert watched.left_unknown == ()


def test_a_listed_run_is_left_though_its_read_is_404(watched: Guard, server: StandIn) -> None:
    def keeps_all(received: Received) -> Reply | None:
        if received.method == "DELETE" and received.target.rpartition("/")[2] in server.runs:
            return Reply(204)
        return reads_are_404(received)

    server.meddle = keeps_all
    watched.send(bulk(3))
    assert watched.clean_up() == 3


def test_it_is_unknown_what_is_left_if_neither_reads_nor_lists_show_it(watched: Guard, server: StandIn) -> None:
    def blind(received: Received) -> Reply | None:
        shows_nothing = Reply(200, {"items": []}) if received.target.startswith("/v1/runs?") else None
        return shows_nothing or reads_are_404(received)

    server.meddle = blind
    watched.send(bulk(3))
    assert watched.clean_up() == 3
    assert any("of 3 runs neither reads nor lists show" in words for words in watched.left_unknown)
    assert server.runs == {}


def test_a_chain_reported_by_ids_alone_is_not_deleted_where_nothing_shows_it_to_be_new(
    watched: Guard, server: StandIn
) -> None:
    old = server.add_run(created_at="2023-11-07T05:31:56Z")

    def blind(received: Received) -> Reply | None:
        if received.method == "POST":
            return Reply(201, {"run_ids": [old]})
        return Reply(200, {"items": []}) if received.target.startswith("/v1/runs?") else reads_are_404(received)

    server.meddle = blind
    watched.send(post("/v1/runs/chain", {"steps": [{}]}))
    watched.clean_up()
    assert list(server.runs) == [old]
    assert watched.left_unknown


@pytest.mark.parametrize("run_id", ["run 17", "é", "17", "a.b", "urn:run:1"])
def test_ids_that_are_no_uuids_are_deleted(watched: Guard, server: StandIn, run_id: str) -> None:
    deleted: list[str] = []
    run = {"id": run_id, "workflow_id": WORKFLOW, "created_at": datetime.now(UTC).isoformat(), "status": "scheduling"}
    server.meddle = odd_server(run, deleted)
    watched.send(post("/v1/runs", {"workflow_id": WORKFLOW}))
    assert watched.clean_up() == 0
    [target] = deleted
    assert target.startswith("/v1/runs/")
    assert unquote(target.removeprefix("/v1/runs/")) == run_id


@pytest.mark.parametrize("run_id", [".", "..", "bulk", "../machines/1", "a/b", "%2e%2e", "a?b", "*", " ", "x;y"])
def test_ids_that_would_change_the_meaning_of_a_path_are_not_sent_and_count_as_unknown(
    watched: Guard, server: StandIn, run_id: str
) -> None:
    deleted: list[str] = []
    run = {"id": run_id, "workflow_id": WORKFLOW, "created_at": datetime.now(UTC).isoformat(), "status": "scheduling"}
    server.meddle = odd_server(run, deleted)
    watched.send(post("/v1/runs", {"workflow_id": WORKFLOW}))
    assert watched.clean_up() == 1
    assert deleted == []


def odd_server(run: dict[str, str], deleted: list[str]) -> Callable[[Received], Reply | None]:
    """Has one run, of whatever id, once it is created."""
    made: list[dict[str, str]] = []

    def meddle(received: Received) -> Reply | None:
        if received.method == "POST":
            made.append(run)
            return Reply(201, run)
        if received.target.startswith("/v1/runs?"):
            return Reply(200, {"items": made, "total": len(made)})
        last = received.target.split("/")[-1]
        if not made or _is_uuid(last) or last == "not-a-uuid" or not received.target.startswith("/v1/runs/"):
            return None
        if received.method == "DELETE":
            deleted.append(received.target)
            made.clear()
            return Reply(204)
        return Reply(200, run)

    return meddle


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def test_a_full_check_of_the_users_own_server_is_not_watched(guard: Guard, server: StandIn) -> None:
    guard.send(bulk(2))
    guard.send(get("/v1/runs"))
    assert server.sent("GET") == ["/v1/runs"]


@pytest.mark.parametrize("lists", [Reply(404, {"detail": "Not Found"}), Reply(200, {"items": []})])
@pytest.mark.parametrize("lost", [CUT, Reply(504, {"detail": "Gateway Timeout"})])
def test_without_lists_one_create_of_an_operation_may_leave_a_run_that_nobody_finds(
    live_guard: Guard, server: StandIn, lists: Reply, lost: Reply
) -> None:
    def meddle(received: Received) -> Reply | None:
        if received.method != "POST":
            return lists if received.target.startswith("/v1/runs?") else None
        reply = server.answer(received)
        return lost if len(server.sent("POST")) > 1 else reply

    server.meddle = meddle
    live_guard.send(bulk(1))
    with contextlib.suppress(NoAnswer):
        live_guard.send(bulk(1))
    with pytest.raises(NotAllowed, match="or may have"):
        live_guard.send(bulk(1))
    assert len(server.sent("POST")) == 2
