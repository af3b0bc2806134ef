"""The Valkey server fails: requests are answered with 503 at once, and again with success when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import hiredis
import httpx
import pytest

from mockserver.errors import StartError, Unavailable
from mockserver.store.valkey_connection import Address, ValkeyConnection
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import SUCCEEDS, Mock, unknown_id
from tests.mockserver.valkey import Valkey, serving

_BODY = {"workflow_id": SUCCEEDS}


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Valkey]:
    with serving(tmp_path, durable=True) as server:
        yield server


def _refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_without_a_store_each_request_is_answered_with_503_and_with_success_when_it_is_back(durable: Valkey):
    mock = Mock(store=durable.url(), rate_limit="100/s")
    run = mock.create(key="k")
    durable.kill()
    for method, path, body in (
        ("POST", "/v1/runs", _BODY),
        ("POST", "/v1/runs/bulk", {**_BODY, "count": 3}),
        ("GET", "/v1/runs", None),
        ("GET", f"/v1/runs/{run['id']}", None),
        ("PATCH", f"/v1/runs/{run['id']}", {"status": "cancelled"}),
        ("DELETE", f"/v1/runs/{run['id']}", None),
        ("GET", "/__ns/other/v1/machines", None),
        ("GET", "/__downloads/-/-a/-b?expires=99999999999&signature=x", None),
    ):
        how = {} if body is None else {"json": body}
        assert _refused(mock.request(method, path, fails=True, **how)), path
    durable.start()
    assert mock.read(run["id"]) == run
    assert mock.create(key="k") == run
    assert mock.total() == 1


def test_the_control_api_without_a_store_answers_503_too(durable: Valkey):
    mock = ControlledMock(store=durable.url())
    durable.kill()
    for path in ("requests", "clock", "runs", "state", "namespaces"):
        assert _refused(mock.get(f"/__admin/{path}", fails=True)), path
    durable.start()
    assert mock.asked("/clock")["frozen"]


def test_a_store_that_does_not_answer_is_given_up_and_used_again_when_it_does(durable: Valkey):
    mock = Mock(store=durable.url(timeout_s=0.8))
    mock.create()
    durable.pause()
    answers = mock.together(*(mock.sent("POST", "/v1/runs", json=_BODY, key=f"k{n}", fails=True) for n in range(8)))
    assert all(map(_refused, answers))
    assert _refused(mock.get(f"/v1/runs/{unknown_id()}", fails=True))
    durable.resume()
    # What was sent before may have been done: a repeat with the same key finds out.
    for number in range(8):
        mock.create(key=f"k{number}")
    assert mock.total() == 9


def test_scripts_that_the_server_has_lost_are_loaded_again(durable: Valkey):
    mock = Mock(store=durable.url())
    mock.create()
    durable.ask("SCRIPT", "FLUSH")
    refused = mock.post("/v1/runs", _BODY, fails=True)
    assert _refused(refused)
    mock.create()
    assert mock.total() == 2


def test_a_store_whose_memory_is_full_is_told_as_such(durable: Valkey, caplog: pytest.LogCaptureFixture):
    mock = Mock(store=durable.url())
    run = mock.create()
    durable.ask("CONFIG", "SET", "maxmemory", "1")
    refused = mock.post("/v1/runs", _BODY, fails=True)
    assert _refused(refused)
    words = "The store refuses what this request needs: command not allowed when used memory > 'maxmemory'"
    assert refused.json() == {"detail": words}
    assert f"the journal lacks POST /v1/runs: {words}" in caplog.messages
    assert mock.read(run["id"]) == run
    durable.ask("CONFIG", "SET", "maxmemory", "0")
    mock.create()


@pytest.mark.parametrize(
    ("maxmemory", "policy", "is_told"),
    [("100mb", "allkeys-lru", True), ("0", "allkeys-lru", False), ("100mb", "volatile-lru", False)],
)
def test_a_store_that_would_remove_runs_when_its_memory_is_full_is_told_of(
    durable: Valkey, caplog: pytest.LogCaptureFixture, maxmemory: str, policy: str, is_told: bool
):
    durable.ask("CONFIG", "SET", "maxmemory", maxmemory)
    durable.ask("CONFIG", "SET", "maxmemory-policy", policy)
    Mock(store=durable.url()).create()
    told = [each for each in caplog.messages if "set its maxmemory-policy to noeviction, not allkeys-lru" in each]
    assert len(told) == is_told


def test_a_store_that_was_emptied_is_a_new_mock(durable: Valkey):
    mock = Mock(store=durable.url())
    run = mock.create()
    durable.ask("FLUSHALL")
    assert mock.get(f"/v1/runs/{run['id']}").status_code == 404
    assert mock.create()["id"] == run["id"]  # the first one of this seed
    assert mock.total() == 1


def test_lists_do_not_show_what_a_store_has_lost_when_it_was_started_again(tmp_path: Path):
    with serving(tmp_path) as server:
        one, other = (Mock(store=server.url()) for _ in range(2))
        kept = one.create(input_values={"text": "kept"})
        server.ask("SAVE")
        lost = one.create(input_values={"text": "lost"})
        assert one.total() == other.total() == 2
        server.kill()
        server.start()
        assert other.request("GET", "/v1/runs", fails=True).status_code == 503  # its connection has broken
        assert other.total() == 1
        again = other.create(input_values={"text": "again"})
        assert again["id"] == lost["id"]
        assert one.request("GET", "/v1/runs", fails=True).status_code == 503
        for mock in (one, other):
            page = mock.get("/v1/runs?fields=input_values").json()
            assert [(each["id"], each["input_values"]["text"]) for each in page["items"]] == [
                (again["id"], "again"),
                (kept["id"], "kept"),
            ]


def test_what_others_have_written_under_the_keys_of_the_mock_is_told(durable: Valkey):
    mock = ControlledMock(store=durable.url())
    run = mock.create()
    (batches,) = (key.decode() for key in durable.keys("test:space") if key.endswith(b"/batch"))
    for key in (batches, "test:namespaces"):
        field = durable.ask("HKEYS", key).split(b"\r\n")[2].decode() or '""'
        durable.ask("HSET", key, field, "something")
        for path in (f"/v1/runs/{run['id']}", "/__admin/state"):
            refused = mock.get(path, fails=True)
            assert _refused(refused), path
            assert f"The store has a value under {key} that no mock has written" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("command", "key_end"),
    [
        (("ZADD", "1", "something"), ""),
        (("ZADD", "1", "'1 1 1 something'"), ""),
        (("ZADD", "1", "'1 1 1 {}'"), ""),
        (("SET", "something"), "-"),
    ],
)
def test_a_journal_that_cannot_be_read_is_told(durable: Valkey, command: tuple[str, ...], key_end: str):
    mock = ControlledMock(store=durable.url())
    mock.create()
    (journal,) = (key.decode() for key in durable.keys("test:journal/") if not key.endswith((b"#", b"-")))
    name, *arguments = command
    durable.ask(name, journal + key_end, *arguments)
    refused = mock.get("/__admin/requests", fails=True)
    assert _refused(refused)
    assert f"a value under {journal}{key_end} that no mock has written" in refused.json()["detail"]
    assert mock.get("/v1/runs").status_code == 200


def test_a_list_of_changes_that_cannot_be_read_is_told(durable: Valkey):
    mock = ControlledMock(store=durable.url())
    mock.create()
    (changes,) = (key.decode() for key in durable.keys("test:space") if key.endswith(b"/ledger~"))
    durable.ask("ZADD", changes, "2", r'"\xff"')
    refused = mock.get("/v1/runs", fails=True)
    assert _refused(refused)
    assert f"a value under {changes} that no mock has written" in refused.json()["detail"]


@pytest.mark.parametrize("content", ["{}", '{"clock": 1}', "{not JSON}"])
def test_a_namespace_whose_record_cannot_be_read_is_told(durable: Valkey, content: str):
    mock = ControlledMock(store=durable.url())
    durable.ask("HSET", "test:namespaces", '""', f"'1 a {content}'")
    refused = mock.get("/v1/runs", fails=True)
    assert _refused(refused)
    assert "test:namespaces" in refused.json()["detail"]


@pytest.mark.parametrize("text", ["something", "[1]", "5"])
def test_a_server_does_not_start_where_others_have_written_under_its_keys(durable: Valkey, text: str):
    durable.ask("SET", "test:made_by", text)
    mock = Mock(store=durable.url())
    with pytest.raises(StartError, match="a value under test:made_by that no mock has written: remove that key"):
        mock.run(mock.app.check_store())


def test_a_server_does_not_start_without_its_store(durable: Valkey):
    mock = Mock(store=durable.url())
    durable.kill()
    with pytest.raises(StartError, match=f"--store valkey://127.0.0.1:{durable.port}/0.*: .*111"):
        mock.run(mock.app.check_store())
    durable.start()


def test_a_client_that_goes_away_does_not_spoil_the_answers_of_others(durable: Valkey):
    mock = Mock(store=durable.url())
    run = mock.create()

    async def some_leave() -> list[httpx.Response]:
        reads = [asyncio.ensure_future(mock.sent("GET", f"/v1/runs/{run['id']}")) for _ in range(20)]
        for turn in range(10):
            await asyncio.sleep(0)
            reads[turn].cancel()
        return [await read for read in reads[10:]]

    assert {answer.json()["id"] for answer in mock.run(some_leave())} == {run["id"]}
    assert mock.total() == 1


def test_the_answer_to_another_command_is_never_taken_for_that_of_this_one(durable: Valkey):
    """As behind a proxy that sends an answer twice: all later ones would be those of the commands before them."""

    async def run() -> bytes:
        connection = ValkeyConnection(Address.from_url(durable.url()))
        await connection.call("SET", "key", "value")
        await connection._connection.send_packed_command(hiredis.pack_command(("ECHO", "another")))
        with pytest.raises(Unavailable, match="does not answer"):
            await connection.call("GET", "key")
        answer: bytes = await connection.call("GET", "key")
        await connection.close()
        return answer

    assert asyncio.run(run()) == b"value"
