"""Who may pass: which writes go out, by profile, by address, and by what the check made."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from contracts.core.exchange import Request
from contracts.guard import Guard, NotAllowed, NotOwned
from contracts.guard.effect import effect_of
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.requests import bulk, get, ids_of, post
from tests.contracts.guard.standin import NOT_FOUND, Received, Reply, StandIn

ELSEWHERE = "http://runs.example.test"
NO_RUNS = Reply(200, {"items": [], "total": 0, "skip": 0, "limit": 100})


def made(guard: Guard, count: int = 1) -> list[str]:
    return [run["id"] for run in guard.send(bulk(count)).answer.json()["created_runs"]]


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT", "POST", "FROB"])
def test_a_run_that_the_check_did_not_make_is_not_written_to(guard: Guard, server: StandIn, method: str) -> None:
    theirs = server.add_run()
    with pytest.raises(NotOwned, match=theirs):
        guard.send(post(f"/v1/runs/{theirs}", {"status": "cancelled"}, method=method))
    assert server.received == []


@pytest.mark.parametrize(
    "form", [str.upper, lambda i: i.replace("-", ""), lambda i: f"%7B{i}%7D", lambda i: f"x/../{i}"]
)
def test_no_form_of_a_foreign_id_passes(guard: Guard, server: StandIn, form: object) -> None:
    assert callable(form)
    with pytest.raises(NotOwned):
        guard.send(get(f"/v1/runs/{form(server.add_run())}", method="DELETE"))
    assert server.received == []


def test_a_foreign_id_in_the_body_of_an_update_does_not_pass(guard: Guard, server: StandIn) -> None:
    [ours] = made(guard)
    with pytest.raises(NotOwned):
        guard.send(post(f"/v1/runs/{ours}", {"id": server.add_run(), "error": []}, method="PATCH"))


def test_a_retry_of_a_foreign_run_does_not_pass_by_any_method(guard: Guard, server: StandIn) -> None:
    theirs = server.add_run()
    for request in (post(f"/v1/runs/{theirs}/retry", {}), get(f"/v1/runs/{theirs}/retry")):
        with pytest.raises(NotOwned):
            guard.send(request)
    assert server.received == []


def test_a_method_override_on_a_foreign_run_does_not_pass(guard: Guard, server: StandIn) -> None:
    request = Request("GET", f"/v1/runs/{server.add_run()}", (("X-HTTP-Method-Override", "DELETE"),))
    with pytest.raises(NotOwned):
        guard.send(request)


def test_a_run_of_the_check_is_written_to_in_any_form_and_by_any_identity(guard: Guard) -> None:
    [ours] = made(guard)
    assert guard.send(post(f"/v1/runs/{ours}", {"error": []}, method="PATCH")).answer.status == 200
    assert guard.send(get(f"/v1/runs/{ours.upper()}", method="DELETE", authorization=None)).answer.status == 401
    assert guard.send(get(f"/v1/runs/{ours}", method="DELETE")).answer.status == 204
    assert guard.send(get(f"/v1/runs/{ours}", method="DELETE")).answer.status == 404


def test_reading_runs_of_others_is_allowed(guard: Guard, server: StandIn) -> None:
    assert guard.send(get(f"/v1/runs/{server.add_run()}")).answer.status == 200


def test_a_made_up_id_passes_once_it_is_declared(guard: Guard, server: StandIn) -> None:
    unknown = str(uuid.uuid4())
    with pytest.raises(NotOwned):
        guard.send(get(f"/v1/runs/{unknown}", method="DELETE"))
    guard.allow_unknown(unknown.upper())
    assert guard.send(get(f"/v1/runs/{unknown}", method="DELETE")).answer.status == 404
    assert server.sent("GET") == []


def test_on_a_live_target_a_made_up_id_passes_only_if_no_organisation_knows_it(
    live_guard: Guard, server: StandIn
) -> None:
    unknown, theirs = str(uuid.uuid4()), server.add_run("two")
    live_guard.allow_unknown(unknown)
    live_guard.allow_unknown(theirs)
    for _ in range(2):
        assert live_guard.send(get(f"/v1/runs/{unknown}", method="DELETE")).answer.status == 404
    assert server.sent("GET") == [f"/v1/runs/{unknown}"] * 2  # once for each organisation, not once for each write
    with pytest.raises(NotOwned):
        live_guard.send(get(f"/v1/runs/{theirs}", method="DELETE"))
    assert theirs in server.runs


def test_an_id_that_is_not_a_uuid_passes_on_a_full_check_of_a_loopback_address(guard: Guard) -> None:
    assert guard.send(get("/v1/runs/*", method="DELETE")).answer.status == 422


@pytest.mark.parametrize("odd", ["1", "*", "%25", "all", "cancel", "0a1b2c3d", "null"])
def test_ids_that_a_broken_server_might_take_for_other_runs_do_not_pass_on_a_live_target(
    live_guard: Guard, server: StandIn, odd: str
) -> None:
    with pytest.raises(NotAllowed):
        live_guard.send(get(f"/v1/runs/{odd}", method="DELETE"))
    assert server.received == []


def test_harmless_texts_and_texts_with_made_up_ids_pass_on_a_live_target(live_guard: Guard) -> None:
    unknown = "not-an-id-of-anything"
    live_guard.allow_unknown(unknown)
    for odd in ("not-a-uuid", f"{live_guard.ownership_marker}-x", unknown + "x"):
        assert live_guard.send(get(f"/v1/runs/{odd}", method="DELETE")).answer.status == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/runs"),
        ("PATCH", "/v1/runs"),
        ("DELETE", "/v1/runs/bulk"),
        ("PUT", "/v1/runs/bulk"),
        ("POST", "/v1/machines"),
        ("POST", "/v1/pools"),
        ("POST", "/v1/workflows"),
        ("DELETE", "/v1/workflows"),
        ("POST", "/v1/health"),
        ("POST", "/v1/nowhere"),
        ("POST", "/"),
    ],
)
def test_writes_to_whole_collections_pass_only_on_the_users_own_server(
    guard: Guard, live_guard: Guard, server: StandIn, method: str, path: str
) -> None:
    with pytest.raises(NotAllowed):
        live_guard.send(post(path, {}, method=method))
    assert server.received == []
    guard.send(post(path, {"count": 0}, method=method))
    assert [each.method for each in server.received] == [method]


def test_pools_and_workflows_are_made_on_a_full_check_only_and_then_belong_to_the_check(guard: Guard) -> None:
    pool = guard.send(post("/v1/pools", {"name": "ours"})).answer.json()["id"]
    guard.send(post(f"/v1/pools/{pool}/machines", {"machine_id": str(uuid.uuid4())}))
    with pytest.raises(NotOwned):
        guard.send(post(f"/v1/pools/{uuid.uuid4()}/machines", {}))


def test_a_full_check_of_another_address_makes_pools_but_changes_no_collection(open_guard: OpenGuard) -> None:
    guard = open_guard(url=ELSEWHERE, allow_writes=True)
    pool = post("/v1/pools", {})
    guard._gate.require_allowed(pool, effect_of(pool))
    for request in (get("/v1/runs", method="DELETE"), get("/v1/runs/1", method="DELETE"), post("/v1/nowhere", {})):
        with pytest.raises(NotAllowed):
            guard.send(request)


@pytest.mark.parametrize("profile", ["full", "live"])
def test_nothing_is_written_elsewhere_without_permission(open_guard: OpenGuard, profile: str) -> None:
    guard = open_guard(url=ELSEWHERE, profile=profile)
    for request in (bulk(), bulk(0), bulk(authorization=None), get("/v1/runs/not-a-uuid", method="DELETE")):
        with pytest.raises(NotAllowed, match="--allow-writes"):
            guard.send(request)
    assert guard.spent.requests == 0


def test_a_get_that_a_broken_server_might_take_for_a_retry_is_not_called_a_write(open_guard: OpenGuard) -> None:
    guard = open_guard(profile="live", allow_writes=False)
    with pytest.raises(
        NotAllowed, match=r"/retry: a broken server might take it for a write, and writes are not allow"
    ):
        guard.send(get("/v1/runs/not-a-uuid/retry"))
    with pytest.raises(NotAllowed, match=r"^DELETE /v1/runs/not-a-uuid: writes are not allowed on this target"):
        guard.send(get("/v1/runs/not-a-uuid", method="DELETE"))


@pytest.mark.parametrize("profile", ["full", "live"])
def test_no_writes_holds_on_a_loopback_address_too(open_guard: OpenGuard, server: StandIn, profile: str) -> None:
    guard = open_guard(profile=profile, allow_writes=False)
    guard.send(get("/v1/runs"))
    for request in (bulk(), get("/v1/runs/not-a-uuid", method="DELETE")):
        with pytest.raises(NotAllowed, match="--allow-writes"):
            guard.send(request)
    assert [each.method for each in server.received] == ["GET"]


def test_on_a_live_target_only_sessions_of_the_check_are_joined(live_guard: Guard, server: StandIn) -> None:
    theirs = str(uuid.uuid4())
    with pytest.raises(NotOwned, match="session"):
        live_guard.send(bulk(session_id=theirs.upper()))
    ours = live_guard.new_session()
    assert live_guard.send(bulk(session_id=ours)).answer.status == 201
    claimed = str(uuid.uuid4())
    live_guard.allow_unknown(claimed)
    assert live_guard.send(bulk(session_id=claimed)).answer.status == 201
    assert live_guard.send(bulk(session_id=None)).answer.status == 201
    assert live_guard.send(bulk(session_id="not-a-uuid")).answer.status == 201


def test_a_session_that_the_target_made_for_the_check_may_be_joined(live_guard: Guard) -> None:
    answer = live_guard.send(post("/v1/runs/chain", {"steps": [{"inputs": {}}]})).answer.json()
    assert live_guard.send(bulk(session_id=answer["session_id"])).answer.status == 201


def test_on_a_live_target_no_foreign_attachment_is_linked_since_it_would_be_deleted_with_the_run(
    live_guard: Guard, server: StandIn
) -> None:
    attachment = str(uuid.uuid4())

    def with_attachment(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        run = server.runs[server.add_run()] | {"input_attachment_ids": [attachment, 5]}
        return Reply(201, run)

    server.meddle = with_attachment
    ours = live_guard.send(post("/v1/runs", {})).answer.json()["id"]
    update = {"output_attachment_ids": [attachment]}
    assert live_guard.send(post(f"/v1/runs/{ours}", update, method="PATCH")).answer.status == 200
    update = {"output_attachment_ids": [str(uuid.uuid4())]}
    with pytest.raises(NotOwned, match="attachment"):
        live_guard.send(post(f"/v1/runs/{ours}", update, method="PATCH"))


def test_an_unknown_property_named_id_passes_in_a_create_on_a_server_of_ones_own_only(
    guard: Guard, live_guard: Guard
) -> None:
    guard.send(bulk(id=str(uuid.uuid4())))
    with pytest.raises(NotOwned):
        live_guard.send(bulk(id=str(uuid.uuid4())))


def test_on_a_live_target_without_delete_nothing_is_created_unless_runs_may_be_left(
    live_guard: Guard, open_guard: OpenGuard, server: StandIn
) -> None:
    server.offers_delete = False
    for _ in range(2):
        with pytest.raises(NotAllowed, match="--leave-runs"):
            live_guard.send(bulk())
    assert len(server.received) == 1
    leaving = open_guard(profile="live", leave_runs=True)
    assert leaving.send(bulk()).answer.status == 201


@pytest.mark.parametrize(
    ("unknown", "malformed", "nowhere", "offered"),
    [
        (NOT_FOUND, Reply(422, {}), None, True),
        (NOT_FOUND, NOT_FOUND, Reply(404, {"detail": "Not Found"}), True),
        (
            Reply(404, {"detail": "Not Found"}),
            Reply(404, {"detail": "Not Found"}),
            Reply(404, {"detail": "Not Found"}),
            False,
        ),
        (NOT_FOUND, Reply(405, {}), Reply(404, {"detail": "Run not found"}), False),
        (Reply(405, {}), None, None, False),
        (Reply(501, {}), None, None, False),
        (Reply(401, {}), None, None, False),
        (Reply(204), None, None, True),
    ],
)
def test_unused_ids_show_whether_deletes_are_offered(
    guard: Guard, server: StandIn, unknown: Reply, malformed: Reply | None, nowhere: Reply | None, offered: bool
) -> None:
    replies = [unknown, malformed, nowhere]
    server.meddle = lambda _: replies.pop(0)
    assert guard.offers_delete() is offered
    assert guard.offers_delete() is offered
    assert len(server.received) == sum(reply is not None for reply in (unknown, malformed, nowhere))


def test_ids_of_older_runs_in_the_answer_to_a_create_are_not_taken_for_the_checks_own(
    live_guard: Guard, server: StandIn
) -> None:
    old = server.add_run(created_at="2023-11-07T05:31:56Z")
    naive = server.add_run(created_at="2023-11-07T05:31:56")
    undated = server.add_run(created_at="once upon a time")
    marked = server.add_run(created_at="2023-11-07T05:31:56Z", input_values={"m": live_guard.ownership_marker})
    told = {"created_runs": [server.runs[each] for each in (old, naive, undated, marked)]}
    server.meddle = lambda received: Reply(201, told) if received.method == "POST" else NO_RUNS
    live_guard.send(bulk(4))
    assert set(live_guard.ownership.runs) == {undated, marked}
    assert ids_of(live_guard.possibly_left) == {old, naive}
    with pytest.raises(NotOwned):
        live_guard.send(get(f"/v1/runs/{old}", method="DELETE"))


def test_a_target_whose_clock_is_wrong_has_its_runs_judged_by_that_clock(live_guard: Guard, server: StandIn) -> None:
    there = datetime.now(UTC) - timedelta(days=3)
    dated = (("Date", format_datetime(there, usegmt=True)), ("Content-Type", "application/json"))
    new = server.add_run(created_at=there.isoformat())
    server.meddle = lambda _: Reply(201, server.runs[new], dated)
    live_guard.send(post("/v1/runs", {}))
    assert set(live_guard.ownership.runs) == {new}


def test_on_the_users_own_server_reported_runs_are_trusted(guard: Guard, server: StandIn) -> None:
    old = server.add_run(created_at="2023-11-07T05:31:56Z")
    server.meddle = lambda received: Reply(201, server.runs[old]) if received.method == "POST" else None
    guard.send(post("/v1/runs", {}))
    assert guard.send(get(f"/v1/runs/{old}", method="DELETE")).answer.status == 204


def test_a_run_with_only_its_id_reported_is_read_once_before_it_is_changed(live_guard: Guard, server: StandIn) -> None:
    old = server.add_run(created_at="2023-11-07T05:31:56Z")
    new, gone = server.add_run(), str(uuid.uuid4())
    told = {"run_ids": [old, new, gone]}
    answer = {"/v1/runs/chain": Reply(201, told), "/v1/runs": NO_RUNS}
    server.meddle = lambda received: answer.get(received.target.partition("?")[0])
    live_guard.send(post("/v1/runs/chain", {"steps": [{}, {}, {}]}))
    with pytest.raises(NotOwned, match="older"):
        live_guard.send(post(f"/v1/runs/{old}", {"status": "cancelled"}, method="PATCH"))
    for _ in range(2):
        assert live_guard.send(post(f"/v1/runs/{new}", {"error": []}, method="PATCH")).answer.status == 200
    assert live_guard.send(get(f"/v1/runs/{gone}", method="DELETE")).answer.status == 404
    reads = [target for target in server.sent("GET") if not target.startswith("/v1/runs?")]
    assert reads == [f"/v1/runs/{each}" for each in (old, new, gone)]


def test_ids_are_taken_from_where_creates_tell_them_and_from_nowhere_else(guard: Guard, server: StandIn) -> None:
    theirs, ours = server.add_run(), str(uuid.uuid4())
    echo = {"detail": [{"loc": ["body"], "input": {"id": theirs}}]}
    included = {"id": ours, "workflow": {"id": theirs}, "session_id": 7, "created_at": 9}
    for reply in (
        Reply(422, echo),
        Reply(200, [{"id": theirs}]),
        Reply(500, b"{" + theirs.encode()),
        Reply(201, included),
    ):
        server.meddle = lambda _, reply=reply: reply
        guard.send(post("/v1/runs", {}))
    assert list(guard.ownership.runs) == [ours]


def test_run_ids_are_owned_in_any_form_and_odd_values_among_them_are_passed_over(guard: Guard, server: StandIn) -> None:
    ours = str(uuid.uuid4())
    told = {"run_ids": [ours.upper(), None, "", True, [7]], "created_runs": [None, {"id": {}}], "id": ours}
    server.meddle = lambda _: Reply(201, json.dumps(told).encode())
    guard.send(post("/v1/runs/chain", {"steps": [{}]}))
    assert list(guard.ownership.runs) == [ours]
