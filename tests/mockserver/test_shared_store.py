"""Two servers with one store are one mock; they refuse to be if they would answer differently."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from mockserver import Settings, create_app
from mockserver.errors import StartError, Unavailable
from mockserver.idempotency import Idempotency
from mockserver.settings import StoreURL
from mockserver.store import Write, valkey
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.admin.test_events import watching
from tests.mockserver.inprocess import HAS_OUTPUT_FILES, SUCCEEDS, Mock, world_file
from tests.mockserver.valkey import Valkey

ROOT = Path(__file__).parents[2]
_BODY = {"workflow_id": SUCCEEDS}


def test_what_one_server_has_created_changed_or_deleted_the_other_shows(pair):
    one, other = pair
    runs = one.create_many(3)
    session = other.create(start_session=True)
    assert other.total() == one.total() == 4
    assert one.patch(f"/v1/runs/{runs[0]['id']}", {"output_data": {"a": 1}}).status_code == 200
    assert other.read(runs[0]["id"])["output_data"] == {"a": 1}
    assert other.delete(f"/v1/runs/{runs[1]['id']}").status_code == 204
    assert one.get(f"/v1/runs/{runs[1]['id']}").status_code == 404
    one.create(session_id=session["session_id"])
    assert other.total(session_id=session["session_id"]) == 2
    assert one.ids() == other.ids()
    assert one.post("/v1/pools", {"name": "New"}).status_code == 201
    assert one.get("/v1/pools").json() == other.get("/v1/pools").json()


def test_the_same_requests_give_the_same_runs_whichever_server_answers_them(pair):
    one, other = pair
    alone = ControlledMock()
    for place in range(70):
        assert (one, other)[place % 2].create() == alone.create()
    assert one.listed() == alone.listed()


def test_a_key_is_used_once_over_both(pair):
    one, other = pair
    first = one.create(key="k")
    again = other.post("/v1/runs", _BODY, key="k")
    assert (again.json(), again.headers["idempotency-status"]) == (first, "replayed")
    assert other.post("/v1/runs", {**_BODY, "input_values": {}}, key="k").status_code == 409
    assert one.total() == 1


@pytest.mark.parametrize("change", ["retry", "delete"])
def test_a_repeat_is_replayed_though_the_other_server_handles_the_same_request_meanwhile(pair, monkeypatch, change):
    one, other = pair
    path = f"/v1/runs/{one.create()['id']}"
    assert one.patch(path, {"status": "cancelled"}).is_success
    request, body = (("DELETE", path), {}) if change == "delete" else (("POST", f"{path}/retry"), {"json": {}})
    lookup = Idempotency.reply
    is_first = True

    async def look_up(*args: Any) -> Any:
        nonlocal is_first
        found = await lookup(*args)
        if is_first:
            is_first = False
            assert (await other.sent(*request, key="k", **body)).is_success
        return found

    monkeypatch.setattr(Idempotency, "reply", look_up)
    repeat = one.request(*request, key="k", **body)

    assert (repeat.is_success, repeat.headers["idempotency-status"]) == (True, "replayed")


def test_the_clock_is_one(pair):
    one, other = pair
    run = one.create()
    other.control("POST", "/clock", {"advance": "1h"})
    assert one.status(run["id"]) == "success"
    one.control("POST", "/clock", {"scale": 60})
    one.control("POST", "/clock", {"resume": True})
    assert other.asked("/clock")["scale"] == 60
    other.control("POST", "/clock", {"freeze": "2030-01-01T00:00:00Z"})
    assert one.asked("/clock") == other.asked("/clock")
    assert one.create()["created_at"] == "2030-01-01T00:00:00.000000Z"


def test_simulated_time_passes_alike_where_the_second_server_starts_later(url: str):
    one = ControlledMock(store=url, time_scale=1000.0, freezes=False)
    run = one.create()
    other = ControlledMock(store=url, time_scale=1000.0, freezes=False)
    other.control("POST", "/clock", {"freeze": True})
    assert one.read(run["id"]) == other.read(run["id"])


def test_a_fault_applies_as_often_as_it_says_over_both(pair):
    one, other = pair
    fault = one.fault(match="GET /v1/machines", answer={"status": 418}, nth=[2, 9], times=3)
    statuses = [(one, other)[place % 2].get("/v1/machines").status_code for place in range(7)]
    assert statuses == [200, 418, 418, 418, 200, 200, 200]
    for each in pair:
        (shown,) = each.asked("/faults")["items"]
        assert (shown["id"], shown["matched"], shown["applied"], shown["active"]) == (fault, 4, 3, False)
    other.control("DELETE", f"/faults/{fault}")
    assert one.asked("/faults")["items"] == []


def test_the_journal_has_the_requests_to_both_in_the_order_of_their_answers(pair):
    one, other = pair
    one.create()
    other.get("/v1/machines")
    one.get("/v1/rnus")
    for each in pair:
        page = each.asked("/requests")
        assert [(item["seq"], item["operation"], item["status"]) for item in page["items"]] == [
            (1, "create_run", 201),
            (2, "list_machines", 200),
            (3, None, 404),
        ]
        assert page["complete"]
        assert each.asked("/requests/2") == page["items"][1]
        assert [item["seq"] for item in each.asked("/requests?since=1")["items"]] == [2, 3]
    other.control("DELETE", "/requests")
    assert one.asked("/requests")["total"] == 0
    one.get("/v1/machines")
    assert [item["seq"] for item in other.asked("/requests")["items"]] == [4]


def test_the_journal_of_all_namespaces_is_limited_and_says_what_is_gone(url: str):
    mock = ControlledMock(store=url, journal_bytes=20_000)
    for place in range(30):
        mock.get(f"/__ns/n{place % 3}/v1/health", token=None)
    kept = [mock.asked("/requests", namespace=f"n{place}") for place in range(3)]
    totals = [page["total"] for page in kept]
    assert 5 < sum(totals) < 15
    assert max(totals) - min(totals) <= 1  # the oldest were evicted, of whichever namespace
    assert not any(page["complete"] for page in kept)
    assert mock.asked("/requests?since=9", namespace="n0")["complete"]


def test_no_token_and_no_sensitive_value_is_stored(pair, valkey_server: Valkey):
    one, other = pair
    one.create(sensitive_input_values={"pin": "sturgeon-sturgeon"}, token="test-of-a-sturgeon")
    one.post("/v1/runs", {"sensitive_input_values": "sturgeon-sturgeon"})
    one.get("/v1/runs?token=sturgeon-sturgeon")
    assert other.asked("/requests")["total"] == 3
    # Words that no other test sends: all tests of a process have one server.
    stored = valkey_server.everything()
    assert b"vault_" in stored
    assert b"sturgeon" not in stored
    assert b"of-a-sturgeon" not in stored


def test_who_watches_one_server_is_told_what_another_does(pair):
    one, other = pair

    async def go() -> list[Any]:
        async with watching(one) as stream:
            await other.sent("POST", "/v1/runs", json=_BODY)
            told = [await stream.next("request"), await stream.next("runs")]
            await other.controlled("POST", "/clock", {"scale": 7})
            told.append(await stream.next("clock"))
            await other.controlled("POST", "/faults", {"match": "*", "delay_s": 0})
            await stream.next("faults")
            told.append(await stream.next("faults"))
            await other.controlled("POST", "/reset")
            await stream.next("reset")
            return told

    request, runs, clock, faults = one.run(go())
    assert (request["seq"], request["operation"]) == (1, "create_run")
    assert runs["total"] == 1
    assert clock["scale"] == 7
    assert [fault["match"] for fault in faults["items"]] == ["*"]


# Which depth is too much for the parser, and which for masking, depends on the version of Python.
@pytest.mark.parametrize("depth", [600, 9_000, 100_000])
def test_a_body_that_is_nested_deeply_shows_no_secret(pair, depth):
    one, other = pair
    deep = '{"a":' * depth + '{"sensitive_input_values": {"pin": "hunter2-hunter2"}}' + "}" * depth
    refused = one.request("POST", "/v1/runs", content=deep.encode(), headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 422)
    (item,) = other.asked("/requests")["items"]
    assert item["body"]
    assert "hunter2" not in str(item)


def test_a_stale_read_repeats_an_answer_that_another_server_gave_to_the_same_caller(pair):
    one, other = pair
    before = one.get("/v1/runs", params={"limit": 5})
    other.get("/v1/runs", params={"limit": 5}, token="test-two")
    one.create()
    other.fault(match="list_runs", fault="stale-read")
    assert other.get("/v1/runs", params={"limit": 5}).content == before.content


def test_a_reset_a_removal_and_a_restored_state_are_those_of_both(pair):
    one, other = pair
    run = one.create(key="k")
    state = other.asked("/state")
    assert one.control("POST", "/reset").status_code == 204
    assert other.total() == 0
    assert other.get(f"/v1/runs/{run['id']}").status_code == 404
    assert other.control("PUT", "/state", state).status_code == 204
    assert one.read(run["id"]) == run
    assert one.create(key="k") == run
    for each in pair:
        each.post("/__ns/extra/v1/runs", _BODY)
    assert one.get("/__ns/extra/v1/runs").json()["total"] == 2
    assert other.control("DELETE", "/namespaces/extra").status_code == 204
    assert [item["name"] for item in one.asked("/namespaces")["items"]] == [""]
    assert one.control("DELETE", "/namespaces/extra").status_code == 404
    assert one.get("/__ns/extra/v1/runs").json()["total"] == 0


def test_nothing_is_left_of_a_namespace_that_was_removed(pair, valkey_server: Valkey):
    one, other = pair
    prefix = one.app.settings.store.url.partition("prefix=")[2]
    before = valkey_server.keys(prefix)
    for place, each in enumerate(pair):
        each.post("/__ns/some%20%25where/v1/runs", _BODY, key="k", token=f"test-org/{place}")
        each.fault(namespace="some%20%25where", match="*", delay_s=0)
        each.get("/__ns/some%20%25where/v1/runs", token=f"test-org/{place}")
    assert len(valkey_server.keys(prefix)) > len(before) + 10
    assert other.control("DELETE", "/namespaces/some%20%25where").status_code == 204
    assert [key for key in valkey_server.keys(prefix) if key not in before] == [f"{prefix}journal-bytes".encode()]
    assert b"where" not in valkey_server.everything(prefix)


def test_a_commit_to_a_namespace_that_was_reset_meanwhile_leaves_nothing(pair, valkey_server: Valkey):
    one, other = pair
    one.create()
    before = one.app.namespaces.default
    (space,) = before.spaces.values()
    other.control("POST", "/reset")
    prefix = one.app.settings.store.url.partition("prefix=")[2]
    clean = valkey_server.keys(prefix)
    with pytest.raises(Unavailable, match="was reset meanwhile"):
        one.run(space.store.commit(Write("counter", "x", 1, 0)))
    assert valkey_server.keys(prefix) == clean


def test_a_download_url_of_one_server_works_on_the_other(pair):
    one, other = pair
    run = one.create(HAS_OUTPUT_FILES)
    one.control("POST", "/clock", {"advance": "1h"})
    (item, *_) = one.asked(f"/runs/{run['id']}/attachments")["items"]
    path = item["url"].partition("4010")[2]
    assert other.get(path, token=None).content == one.get(path, token=None).content != b""
    assert other.get(path + "0", token=None).status_code == 404
    assert other.get("/__downloads/-none/-a/-b?expires=99999999999&signature=x", token=None).status_code == 404


def test_a_rate_limit_counts_the_requests_to_both(url: str):
    pair = [Mock(store=url, rate_limit="4/m") for _ in range(2)]
    statuses = [pair[place % 2].get("/v1/machines").status_code for place in range(6)]
    assert statuses == [200, 200, 200, 200, 429, 429]


def test_the_runs_of_a_world_are_made_once(url: str, tmp_path: Path):
    world = world_file(tmp_path, f"runs:\n- {{workflow_id: {SUCCEEDS}, count: 3}}\n")
    pair = [ControlledMock(store=url, world=world, freezes=False) for _ in range(2)]
    assert [each.asked("/runs")["total"] for each in pair] == [3, 3]
    pair[0].control("POST", "/reset")
    assert [each.asked("/runs")["total"] for each in reversed(pair)] == [3, 3]


def test_organisations_that_only_another_server_has_seen_are_shown(pair):
    one, other = pair
    for token in ("test-a", "test-b"):
        one.create(token=token)
    assert other.asked("/runs")["total"] == 2
    assert len(other.asked("/namespaces")["items"][0]["organizations"]) == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seed": 7}, r"another --seed \(0 there, 7 here\)"),
        (
            {"progression": "manual", "time_scale": 2.0},
            r"--progression \(time there, manual here\), --time-scale \(1\.0 there, 2\.0 here\): give",
        ),
        ({"coercion": "lax"}, "coercion"),
        ({"rate_limit": "1/s"}, r"another --rate-limit \(none there, 1/s here\)"),
        ({"known_only": True}, r"another --known-only \(off there, on here\)"),
    ],
    ids=str,
)
def test_servers_that_would_answer_differently_refuse_to_share(url: str, settings: dict[str, Any], told: str):
    one, other = Mock(store=url), create_app(Settings(store=url, **settings))
    one.create()
    with pytest.raises(StartError, match=told):
        one.run(other.check_store())


def test_another_world_document_or_version_is_refused_too(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = Mock(store=url)
    one.create()
    world = world_file(tmp_path, "builtin: false\n")
    document = json.loads(one.get("/openapi.json", token=None).content)
    document["info"]["title"] = "Another"
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    faults = tmp_path / "faults.json"
    faults.write_text('[{"match": "*", "delay_s": 0}]')
    for name, settings in (("world", {"world": world}), ("spec", {"spec": spec}), ("faults", {"faults": faults})):
        with pytest.raises(StartError, match=f"another --{name}: give"):
            one.run(create_app(Settings(store=url, **settings)).check_store())
    monkeypatch.setattr("mockserver.state.version", lambda name: "0.0.0")
    with pytest.raises(StartError, match=r"another version \(.* there, 0.0.0 here\)"):
        one.run(create_app(Settings(store=url)).check_store())


def test_a_server_that_meets_another_kind_after_its_start_answers_503_and_says_why(url: str):
    other = Mock(store=url, seed=7)
    Mock(store=url).create()
    answer = other.get("/v1/runs", fails=True)
    assert answer.status_code == 503
    assert "another --seed" in answer.json()["detail"]


def test_several_workers_need_a_store_that_they_share():
    with pytest.raises(StartError, match="give --store valkey://HOST:PORT"):
        Settings(workers=2)
    assert Settings(workers=2, store="valkey://127.0.0.1").workers == 2


def test_a_state_file_beside_a_shared_store_is_refused(tmp_path: Path):
    with pytest.raises(StartError, match="keeps the state itself: leave out --state"):
        Settings(store="redis://h", state=tmp_path / "state.json")


@pytest.mark.parametrize("text", ["", "disk", "http://h", "valkey:", "valkey://", "redis:///0", "valkey://h:0"])
def test_what_is_no_store_is_refused(text: str):
    with pytest.raises(StartError, match="invalid store; use memory or valkey://"):
        Settings(store=text)


@pytest.mark.parametrize(
    "text", ["valkey://user:hunter2\u2100@h", "valkey://user:hunter2@[::1", "valkey://u:hunter2@h:x"]
)
def test_a_store_that_is_refused_does_not_show_its_password(text: str):
    with pytest.raises(StartError, match="invalid store; use memory or valkey://") as caught:
        Settings(store=text)
    assert "hunter2" not in str(caught.value)


def test_a_store_does_not_show_its_password(url: str):
    secret = "valkey://user:hunter2@127.0.0.1:1/0?prefix=p:"
    assert "hunter2" not in f"{StoreURL(secret)} {StoreURL(secret)!r} {Settings(store=secret)}"
    assert str(StoreURL(secret)) == "valkey://127.0.0.1:1/0?prefix=p:"
    with pytest.raises(StartError) as caught:
        Mock().run(create_app(Settings(store=secret)).check_store())
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("?prefix=", "empty prefix"),
        ("?timeout=0", "above 0, not '0'"),
        ("?timeout=soon", "not 'soon'"),
        ("?prefix=a:&prefix=b:", "'prefix' is given twice"),
        ("?prfix=m:", r"'prfix' is not known; give \?prefix=NAME"),
        ("/x?prefix=m:", "the database is a number, as in /0, not '/x'"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(rest: str, told: str):
    with pytest.raises(StartError, match=told):
        create_app(Settings(store=f"valkey://h{rest}"))


def test_without_the_client_library_the_store_is_refused_and_the_memory_store_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mockserver.store.valkey_client", None)
    monkeypatch.delattr("mockserver.store.valkey_client", raising=False)
    # As docs/scale.md, and as the contract suite about its extra.
    assert "pip install '.[valkey]'" in (ROOT / "docs/scale.md").read_text()
    with pytest.raises(
        StartError, match=re.escape("run  pip install '.[valkey]'  in a checkout, or install the wheel")
    ):
        create_app(Settings(store="valkey://127.0.0.1"))
    assert Mock().total() == 0


def test_the_client_library_is_not_loaded_for_the_memory_store():
    text = "import sys, mockserver.cli; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text]).returncode == 0


@pytest.mark.parametrize("is_connected", [True, False], ids=["a connection", "a new connection"])
def test_where_the_socket_was_closed_meanwhile_the_answer_is_503_and_the_next_one_is_right(
    url: str, monkeypatch: pytest.MonkeyPatch, is_connected: bool
):
    mock = Mock(store=url)
    mock.create()
    if not is_connected:
        mock.run(mock.app.close_store())
    send = AbstractConnection.send_packed_command
    errors = iter([RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")])

    async def closed(connection: Any, *command: Any, **more: Any) -> None:
        for error in errors:  # as uvloop raises it
            raise error
        await send(connection, *command, **more)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", closed)

    refused = mock.get("/v1/runs", fails=True)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert mock.get("/v1/runs").json()["total"] == 1


def test_the_journal_takes_no_more_room_for_namespaces_that_were_removed(url: str, valkey_server: Valkey):
    mock = ControlledMock(store=url)
    mock.get("/v1/health", token=None)
    taken = []
    for place in range(10):
        mock.get(f"/__ns/n{place}/v1/health", token=None)
        mock.control("DELETE", f"/namespaces/n{place}")
        taken.append(len(valkey_server.everything(url.partition("prefix=")[2]).splitlines()))
    assert taken == taken[:1] * 10


def test_a_request_that_writes_more_than_the_server_takes_at_once_is_a_413_and_makes_nothing(
    pair, monkeypatch: pytest.MonkeyPatch
):
    one, other = pair
    monkeypatch.setattr(valkey, "_MAX_BYTES", 100_000)
    body = {"steps": [_BODY] * 20, "shared_inputs": {"a": "x" * 10_000}}

    refused = one.post("/v1/runs/chain", body)

    assert refused.status_code == 413
    assert "The store takes 100000 bytes at once" in refused.json()["detail"]
    assert one.post("/v1/runs/chain", {**body, "steps": [_BODY] * 5}).status_code == 201
    assert other.total() == 5


def test_a_request_that_makes_more_changes_than_the_server_takes_at_once_is_a_413_and_makes_nothing(
    pair, monkeypatch: pytest.MonkeyPatch
):
    one, other = pair
    monkeypatch.setattr(valkey.ValkeySpace, "max_writes", 20)

    refused = one.post("/v1/runs/chain", {"steps": [_BODY] * 20})

    assert refused.status_code == 413
    assert "The store takes 20 changes at once" in refused.json()["detail"]
    assert other.total() == 0


def test_runs_of_a_session_that_cannot_be_removed_at_once_are_deleted_all_the_same(
    pair, monkeypatch: pytest.MonkeyPatch
):
    one, other = pair
    monkeypatch.setattr(valkey.ValkeySpace, "max_writes", 20)
    first = one.create(start_session=True)
    runs = [first, *(one.create(session_id=first["session_id"]) for _ in range(9))]

    assert [one.delete(f"/v1/runs/{run['id']}").status_code for run in runs] == [204] * 10

    assert other.total() == one.total() == 0
    assert other.get(f"/v1/runs/{first['id']}").status_code == 404
    assert other.create(session_id=first["session_id"])["machine_id"] == first["machine_id"]
