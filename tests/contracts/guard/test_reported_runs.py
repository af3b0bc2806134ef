"""Runs of someone else in the answer to a create: whatever the answer says, they stay as they are."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.core.exchange import Request
from contracts.guard import Guard, NotAllowed, NotOwned, clean_up_journals
from contracts.guard.identity import has_other_inputs
from contracts.guard.runs_client import NEWEST
from tests.contracts.guard.requests import bulk, get, ids_of, post
from tests.contracts.guard.standin import FIRST, SECOND, Received, Reply, StandIn

ADA, BOB = {"name": "Ada"}, {"name": "Bob"}
OTHER_WORKFLOW = str(uuid.uuid4())


def ago(**units: float) -> str:
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def answers(server: StandIn, *run_ids: str, **shown: Any) -> None:
    """Creates are carried out, and answered with these runs in place of those created. `shown` is said of each."""

    def meddle(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        server.answer(received)
        return Reply(201, {"created_runs": [server.runs[each] | shown for each in run_ids], "failed_count": 0})

    server.meddle = meddle


def require_untouched(server: StandIn, guard: Guard, *run_ids: str) -> None:
    """The check changes none of the runs, whatever it tries, and neither does a clean-up, now or later."""
    before = {each: json.dumps(server.runs[each]) for each in run_ids}
    for each in run_ids:
        for request in (
            post(f"/v1/runs/{each}", {"status": "cancelled"}, method="PATCH"),
            post(f"/v1/runs/{each}/retry", {}),
            get(f"/v1/runs/{each}", method="DELETE"),
        ):
            with pytest.raises((NotOwned, NotAllowed)):
                guard.send(request)
    guard.clean_up()
    guard.__exit__()
    clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir_of(guard))
    assert {each: json.dumps(server.runs.get(each)) for each in run_ids} == before


def journal_dir_of(guard: Guard) -> Path:
    assert guard._journal_dir is not None
    return guard._journal_dir


@pytest.mark.parametrize("create", [bulk(1, input_values=ADA), post("/v1/runs/chain", {"steps": [{}]})])
def test_a_run_that_a_list_showed_before_the_create_is_not_of_that_create(
    live_guard: Guard, server: StandIn, create: Request
) -> None:
    theirs = server.add_run(input_values=ADA, created_at=ago(minutes=5))
    made = Reply(201, {"created_runs": [server.runs[theirs]], "run_ids": [theirs]})
    server.meddle = lambda received: made if received.method == "POST" else None
    live_guard.send(create)
    assert not live_guard.ownership.runs
    with pytest.raises(NotAllowed, match="runs that this check did not create"):
        live_guard.send(bulk(1))
    require_untouched(server, live_guard, theirs)
    assert not live_guard.possibly_left


def test_of_an_answer_with_all_runs_there_are_only_the_new_one_belongs_to_the_check(
    live_guard: Guard, server: StandIn
) -> None:
    theirs = [server.add_run(input_values=ADA, created_at=ago(minutes=5)) for _ in range(NEWEST + 20)]

    def meddle(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        server.answer(received)
        return Reply(201, {"created_runs": list(server.runs.values()), "failed_count": 0})

    # A list shows the newest first: those of these runs that it shows first are the last that were added.
    for number, each in enumerate(theirs):
        server.runs[each]["created_at"] = ago(minutes=5, seconds=-number)
    server.meddle = meddle
    live_guard.send(bulk(1, input_values=ADA))
    [ours] = live_guard.ownership.runs
    assert ours not in theirs
    require_untouched(server, live_guard, *theirs)
    assert ours not in server.runs


@pytest.mark.parametrize("of_another", [{"workflow_id": OTHER_WORKFLOW}, {"input_values": BOB}])
def test_a_new_run_of_another_request_is_reported_as_possible_and_left_alone(
    live_guard: Guard, server: StandIn, of_another: dict[str, Any]
) -> None:
    """The answers to two creates at the same moment may be mixed up: then neither list nor time tells."""
    live_guard.send(bulk(1, input_values=ADA))
    theirs = server.add_run(**({"input_values": ADA} | of_another))
    answers(server, theirs)
    live_guard.send(bulk(1, input_values=ADA))
    assert theirs in ids_of(live_guard.possibly_left)
    require_untouched(server, live_guard, theirs)


@pytest.mark.parametrize("of_another", [{"workflow_id": OTHER_WORKFLOW}, {"input_values": BOB}])
def test_without_lists_the_answer_alone_shows_that_a_run_is_of_another_request(
    live_guard: Guard, server: StandIn, of_another: dict[str, Any]
) -> None:
    theirs = server.add_run(**({"input_values": ADA} | of_another))
    answer = {"POST": Reply(201, {"created_runs": [server.runs[theirs]]}), "GET": Reply(500, {"detail": "no"})}
    server.meddle = lambda received: answer.get(received.method)
    live_guard.send(bulk(1, input_values=ADA))
    assert not live_guard.ownership.runs
    server.meddle = lambda _: None
    require_untouched(server, live_guard, theirs)


@pytest.mark.parametrize("of_another", [{"workflow_id": OTHER_WORKFLOW}, {"input_values": BOB}])
def test_a_run_whose_id_was_mixed_up_is_given_up_when_the_list_shows_what_it_is(
    live_guard: Guard, server: StandIn, of_another: dict[str, Any]
) -> None:
    """A server may answer with what was sent, and with the id of the run that someone else created last."""
    live_guard.send(bulk(1, input_values=ADA))
    [first] = live_guard.ownership.runs
    theirs = server.add_run(**({"input_values": ADA} | of_another))
    answers(server, theirs, input_values=ADA, workflow_id=server.runs[first]["workflow_id"])
    live_guard.send(bulk(1, input_values=ADA))
    assert set(live_guard.ownership.runs) == {first}
    assert theirs in ids_of(live_guard.possibly_left)
    require_untouched(server, live_guard, theirs)


def test_a_run_that_a_full_page_of_newer_runs_does_not_show_is_read_before_it_is_changed(
    live_guard: Guard, server: StandIn
) -> None:
    old = server.add_run(input_values=ADA, created_at=ago(minutes=30))
    for number in range(NEWEST):
        server.add_run(input_values=BOB, created_at=ago(minutes=20, seconds=-number))
    answers(server, old, created_at=ago())
    live_guard.send(bulk(1, input_values=ADA))
    require_untouched(server, live_guard, old)


def test_a_server_that_changes_some_values_still_has_the_runs_of_the_check(live_guard: Guard, server: StandIn) -> None:
    def meddle(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        reply = server.answer(received)
        for run in reply.body["created_runs"]:
            run["input_values"] = ADA | {"count": "5"}
        return reply

    server.meddle = meddle
    live_guard.send(bulk(1, input_values=ADA | {"count": 5}))
    assert live_guard.clean_up() == 0
    assert not server.runs
    assert not live_guard.possibly_left


def lists_mix_up(server: StandIn, theirs: str) -> None:
    """The lists show the marked runs of the check with the id of someone else's run, too."""

    def meddle(received: Received) -> Reply | None:
        if received.method != "GET" or not received.target.startswith("/v1/runs?"):
            return None
        reply = server.answer(received)
        marked = [run for run in reply.body["items"] if "contracts-" in json.dumps(run["input_values"])]
        reply.body["items"][:0] = [run | {"id": theirs} for run in marked[:1]]
        return reply

    server.meddle = meddle


@pytest.mark.parametrize("moment", ["while checking", "while cleaning up", "after a crash"])
def test_a_list_alone_does_not_prove_that_a_run_belongs_to_the_check(
    live_guard: Guard, server: StandIn, moment: str
) -> None:
    live_guard.send(bulk(1, input_values={"check": live_guard.ownership_marker}))
    theirs = server.add_run(input_values=ADA, created_at=ago(minutes=5))
    if moment == "while checking":
        lists_mix_up(server, theirs)
        live_guard.send(bulk(1, input_values={"check": live_guard.ownership_marker}))
    elif moment == "while cleaning up":
        lists_mix_up(server, theirs)
    before = json.dumps(server.runs[theirs])
    if moment != "after a crash":
        assert live_guard.clean_up() == 0
        assert theirs in ids_of(live_guard.possibly_left)
    live_guard.__exit__()
    lists_mix_up(server, theirs)
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir_of(live_guard))
    assert (report.left, [json.dumps(run) for run in server.runs.values()]) == (0, [before])


@pytest.mark.parametrize(
    ("shown", "sent", "differs"),
    [
        (BOB, ADA, True),
        (ADA | {"machine": 1}, ADA, False),
        (None, ADA, False),
        ({}, ADA, False),
        (BOB, None, False),
        ("Ada", ADA, False),
    ],
)
def test_inputs_are_of_another_request_if_none_of_those_sent_is_there(shown: Any, sent: Any, differs: bool) -> None:
    assert has_other_inputs({"input_values": shown}, {"input_values": sent}) is differs
