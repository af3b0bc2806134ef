"""GET /events: what happens in a namespace, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from mockserver.admin import events as admin_events
from mockserver.admin.events import RunWatch, ServerWatch
from mockserver.clock import ManualClock
from mockserver.errors import Unavailable
from mockserver.events import Event, Subscription
from mockserver.spec import render_json
from mockserver.time_slice import TimeSlice
from tests.mockserver.admin.control import ControlledMock, controlled_mock, validate
from tests.mockserver.http11.wire import Server
from tests.mockserver.inprocess import NEVER_ENDS, SUCCEEDS
from tests.processes import serving

_PATIENCE_S = 20


class Stream:
    """A client of the stream. It takes what comes unless it `is_stuck`."""

    def __init__(self, mock: ControlledMock, namespace: str = "") -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.is_stuck = False
        self.is_whole = False
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._is_left = asyncio.Event()
        self._takes = asyncio.Event()
        self._takes.set()
        prefix = f"/__ns/{namespace}" if namespace else ""
        path = f"{prefix}/__admin/events"
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"localhost")],
        }
        self.task = asyncio.ensure_future(mock.app(self._scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self._is_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.is_whole = not message.get("more_body", False)
        for block in message["body"].decode().split("\n\n")[:-1]:
            if block.startswith("event: "):
                type_, content = block.split("\n")
                assert content.startswith("data: ")
                self._events.put_nowait((type_[7:], json.loads(content[6:])))

    def stop_taking(self) -> None:
        self._takes.clear()

    def take_again(self) -> None:
        self._takes.set()

    def leave(self) -> None:
        self._is_left.set()

    async def next(self, *types: str) -> Any:
        """The content of the next event of these types."""
        while True:
            type_, content = await asyncio.wait_for(self._events.get(), _PATIENCE_S)
            if not types or type_ in types:
                return content


async def stop_reading(mock: ControlledMock, stream: Stream) -> None:
    """Stop while an event is being sent, so that the next ones wait."""
    stream.stop_taking()
    await mock.sent("GET", "/v1/pools")
    for _ in range(30):
        await asyncio.sleep(0)


@asynccontextmanager
async def watching(mock: ControlledMock, namespace: str = "") -> AsyncIterator[Stream]:
    stream = Stream(mock, namespace)
    try:
        await stream.next("clock")
        await stream.next("runs")
        yield stream
    finally:
        stream.leave()
        await asyncio.wait_for(stream.task, _PATIENCE_S)


def test_the_stream_begins_with_the_clock_and_the_runs():
    mock = controlled_mock()
    run = mock.create()

    async def go() -> tuple[Stream, Any, Any]:
        stream = Stream(mock)
        clock, runs = await stream.next("clock"), await stream.next("runs")
        stream.leave()
        await asyncio.wait_for(stream.task, _PATIENCE_S)
        return stream, clock, runs

    stream, clock, runs = mock.run(go())

    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert stream.headers["cache-control"] == "no-store"
    assert clock == mock.asked("/clock")
    assert (runs["counts"], runs["total"], runs["gone"]) == ({"scheduling": 1}, 1, [])
    assert [each["id"] for each in runs["changed"]] == [run["id"]]


def test_a_request_is_told_when_it_is_over_without_its_bodies():
    mock = controlled_mock()

    async def go() -> Any:
        async with watching(mock) as stream:
            await mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS, "sesion_id": "hunter2"})
            return await stream.next("request")

    told = mock.run(go())

    entry = mock.last_request()
    assert told == {name: entry[name] for name in told}
    assert (told["status"], told["operation"], len(told["warnings"])) == (201, "create_run", 1)
    assert not {"headers", "body", "answer"} & told.keys()


@pytest.mark.parametrize("fault", [{"fault": "break-schema"}, {"delay_s": 0}, {"answer": {"status": 503}}])
def test_a_request_that_a_fault_meets_is_told_once(fault):
    mock = controlled_mock()
    mock.fault(match="list_runs", **fault)

    async def go() -> list[Any]:
        async with watching(mock) as stream:
            await mock._client.get("/v1/runs", headers={"Authorization": "Bearer test-one"})
            await mock.sent("GET", "/v1/pools")
            return [await stream.next("request"), await stream.next("request")]

    assert [told["operation"] for told in mock.run(go())] == ["list_runs", "list_pools"]


def test_nothing_secret_is_told():
    mock = controlled_mock()

    async def go() -> str:
        async with watching(mock) as stream:
            await mock.sent("GET", "/v1/runs?sensitive_input_values=hunter2", token="hunter2")
            await mock.sent("POST", "/v1/runs", json={"sensitive_input_values": {"hunter2": "hunter2"}})
            return json.dumps([await stream.next("request"), await stream.next("request")])

    assert "hunter2" not in mock.run(go())


def test_runs_that_change_are_told_with_their_counts():
    mock = controlled_mock()

    async def go() -> list[Any]:
        async with watching(mock) as stream:
            told = []
            run = (await mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS})).json()
            told.append(await stream.next("runs"))
            await mock.controlled("POST", "/clock", {"advance": "1h"})
            told.append(await stream.next("runs"))
            await mock.controlled("PATCH", f"/runs/{run['id']}", {"output_data": {"a": 1}})
            told.append(await stream.next("runs"))
            await mock.sent("DELETE", f"/v1/runs/{run['id']}")
            told.append(await stream.next("runs"))
            return [run, *told]

    run, created, ended, changed, deleted = mock.run(go())

    for told, status in ((created, "scheduling"), (ended, "success"), (changed, "success")):
        assert (told["counts"], told["total"], told["gone"]) == ({status: 1}, 1, [])
        assert [(each["id"], each["status"]) for each in told["changed"]] == [(run["id"], status)]
        assert told["workflow_names"] == {SUCCEEDS: "Always succeeds"}
        for each in told["changed"]:
            validate(each, {"$ref": "#/components/schemas/Run"})
    assert (deleted["changed"], deleted["gone"], deleted["total"]) == ([], [run["id"]], 0)


def test_the_counts_are_those_of_all_runs_and_not_of_the_newest_only():
    mock = controlled_mock()
    mock.seed({"count": 700, "status": "success", "workflow_id": SUCCEEDS})
    mock.seed({"count": 1_000, "status": "running", "workflow_id": NEVER_ENDS})
    [oldest] = mock.seed({"status": "running", "created_at": "2025-03-04T08:00:00Z", "workflow_id": NEVER_ENDS})

    async def go() -> Any:
        async with watching(mock) as stream:
            await mock.controlled("POST", f"/runs/{oldest}/fail")
            return await stream.next("runs")

    told = mock.run(go())

    assert (told["changed"], told["gone"], told["total"]) == ([], [], 1_701)
    assert told["counts"] == {"success": 700, "running": 1_000, "task_failed": 1}


def test_faults_the_clock_and_a_reset_are_told():
    mock = controlled_mock()

    async def go() -> list[tuple[str, Any]]:
        async with watching(mock) as stream:
            fault_id = (await mock.controlled("POST", "/faults", {"match": "*", "times": 1, "delay_s": 0})).json()["id"]
            added = await stream.next("fault")
            await mock.sent("GET", "/v1/pools")
            applied = await stream.next("fault")
            await mock.controlled("DELETE", f"/faults/{fault_id}")
            removed = await stream.next("fault")
            await mock.controlled("DELETE", "/faults")
            cleared = await stream.next("faults")
            await mock.controlled("POST", "/clock", {"advance": 1})
            clock = await stream.next("clock")
            await mock.controlled("POST", "/reset")
            reset = await stream.next("reset")
            return [added, applied, removed, cleared, clock, reset]

    added, applied, removed, cleared, clock, reset = mock.run(go())

    assert (added["match"], added["applied"], added["active"]) == ("*", 0, True)
    assert (applied["id"], applied["applied"], applied["active"]) == (added["id"], 1, False)
    assert removed == {"id": added["id"], "active": False}
    assert cleared == {"items": []}
    assert clock == {"now": "2025-03-04T09:00:03.000000Z", "scale": 1.0, "frozen": True}
    assert reset == {}


def test_of_a_large_fault_an_event_has_the_counts_alone():
    """A thousand events may wait for a reader."""
    mock = controlled_mock()

    async def go() -> list[Any]:
        async with watching(mock) as stream:
            source = {"match": "*", "answer": {"status": 418, "body": "x" * 10_000}}
            await mock.controlled("POST", "/faults", source)
            await mock.sent("GET", "/v1/pools")
            return [await stream.next("fault"), await stream.next("fault")]

    added, applied = mock.run(go())

    assert added == {"id": "f1", "match": "*", "matched": 0, "applied": 0, "active": True}
    assert applied == {**added, "matched": 1, "applied": 1}


def test_who_watches_goes_onwatching_behind_a_reset():
    mock = controlled_mock()

    async def go() -> list[Any]:
        async with watching(mock) as stream:
            await mock.controlled("POST", "/reset")
            await stream.next("reset")
            await mock.sent("POST", "/v1/runs", json={"workflow_id": SUCCEEDS})
            return [await stream.next("request"), await stream.next("runs")]

    request, runs = mock.run(go())

    assert (request["seq"], runs["total"]) == (1, 1)


def test_several_watchers_are_told_the_same_and_each_of_its_namespace_only():
    mock = controlled_mock()

    async def go() -> list[Any]:
        async with watching(mock) as one, watching(mock) as two, watching(mock, "a") as other:
            await mock.sent("GET", "/v1/pools")
            await mock.sent("GET", "/__ns/a/v1/machines")
            return [await each.next("request") for each in (one, two, other)]

    one, two, other = mock.run(go())

    assert one == two
    assert (one["path"], other["path"]) == ("/v1/pools", "/__ns/a/v1/machines")


def test_what_another_server_has_done_is_told_after_the_store_did_not_answer():
    class Journal:
        fails = True

        async def last_seq(self) -> int:
            return 0

        async def recorded_after(self, seq: int) -> tuple[()]:
            if self.fails:
                raise Unavailable("The store does not answer")
            return ()

    def namespace(epoch: str) -> Any:
        return SimpleNamespace(epoch=epoch, version=epoch, clock=ManualClock(), faults=(), journal=Journal())

    async def go() -> bytes:
        watch = ServerWatch(cast(Any, SimpleNamespace(namespace=namespace("before"))))
        reset = namespace("after")
        with pytest.raises(Unavailable):
            await watch.changes(reset)
        reset.journal.fails = False
        return await watch.changes(reset)

    told = asyncio.run(go())
    assert [line for line in told.split(b"\n") if line.startswith(b"event")] == [
        b"event: reset",
        b"event: clock",
        b"event: faults",
    ]


def test_a_client_that_leaves_is_noticed_and_nothing_of_it_is_kept():
    mock = controlled_mock()
    events = mock.app.namespaces.default.events

    async def go() -> list[bool]:
        async with watching(mock):
            watched = bool(events)
        return [watched, bool(events)]

    assert mock.run(go()) == [True, False]


def test_a_reader_that_is_too_slow_loses_events_and_is_told_how_many():
    mock = controlled_mock()

    async def go() -> tuple[int, Any, int]:
        async with watching(mock) as stream:
            await stop_reading(mock, stream)
            events = mock.app.namespaces.default.events
            for number in range(1_500):
                events.publish("fault", {"number": number})
            [subscription] = events._subscriptions
            waiting = len(subscription._waiting)
            stream.take_again()
            lost = await stream.next("lost")
            events.publish("fault", {"number": -1})
            after = await stream.next("fault")
            return waiting, lost, after["number"]

    waiting, lost, after = mock.run(go())

    assert waiting <= 1_000
    assert lost == {"events": 1_500 - waiting}
    assert after == -1


def test_long_events_that_wait_for_a_slow_reader_take_no_more_memory_than_an_answer():
    mock = controlled_mock()
    fault = mock.fault(match="GET /v1/zzz/a", answer={"status": 500, "body": "x" * 8_000})

    async def go() -> tuple[list[int], Any]:
        async with watching(mock) as stream:
            await stop_reading(mock, stream)
            for _ in range(20):
                await mock.sent("GET", f"/v1/pools?{'x' * 30_000}")
                await mock.sent("GET", "/v1/zzz/a", fails=True)
            [subscription] = mock.app.namespaces.default.events._subscriptions
            waiting = [render_json(request_or_fault(each.content)) for each in subscription._waiting]
            stream.take_again()
            return [len(each) for each in waiting], await stream.next("lost")

    def request_or_fault(content: Any) -> Any:
        return content if isinstance(content, dict) else {"path": content.path, "query": content.query.decode()}

    sizes, lost = mock.run(go())

    assert 200_000 < sum(sizes) <= 262_144
    assert lost == {"events": 60 - len(sizes)}
    assert mock.control("DELETE", f"/faults/{fault}").status_code == 204


def test_an_event_is_rendered_once_for_all_who_watch(monkeypatch):
    mock = controlled_mock()
    rendered: list[int] = []

    def summary(entry: Any, _server: Any) -> Any:
        rendered.append(entry.seq)
        return {"seq": entry.seq}

    monkeypatch.setattr("mockserver.admin.events.request_summary", summary)

    async def go() -> list[Any]:
        async with watching(mock) as one, watching(mock) as two, watching(mock) as three:
            await mock.sent("GET", "/v1/pools")
            return [await each.next("request") for each in (one, two, three)]

    assert mock.run(go()) == [{"seq": 1}] * 3
    assert rendered == [1]


def test_what_waits_for_a_slow_reader_has_no_bodies_and_gives_way_when_it_is_shown(monkeypatch):
    mock = controlled_mock()

    async def go() -> int:
        async with watching(mock) as stream:
            await stop_reading(mock, stream)
            for number in range(50):
                await mock.sent("POST", f"/v1/pools?a={number}", json={"name": "p" * 5_000})
            [subscription] = mock.app.namespaces.default.events._subscriptions
            entries = [event.content for event in subscription._waiting if event.type == "request"]
            assert len(entries) == 50
            assert not any(entry.body or entry.answer or entry.headers or entry.answer_headers for entry in entries)
            monkeypatch.setattr(TimeSlice, "is_over", True)
            stream.take_again()
            await stream.next("request")
            reading, turns = asyncio.ensure_future(stream.next("request")), 0
            while not reading.done():
                turns += 1
                await asyncio.sleep(0)
            return turns

    assert mock.run(go()) > 50


def test_a_namespace_that_is_deleted_ends_the_streams_of_it():
    mock = controlled_mock()

    async def go() -> None:
        stream = Stream(mock, "a")
        await stream.next("runs")
        await mock.controlled("DELETE", "/namespaces/a")
        await asyncio.wait_for(stream.task, _PATIENCE_S)
        assert stream.is_whole

    mock.run(go())
    assert [each["name"] for each in mock.asked("/namespaces")["items"]] == [""]


def test_head_is_answered_without_a_stream():
    answer = controlled_mock().control("HEAD", "/events")
    assert answer.status_code == 200
    assert "content-length" not in answer.headers


# --- On the wire


def _open(url: str, namespace: str = "") -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port), _PATIENCE_S)
    connection.sendall(f"GET {namespace}/__admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    seen = b""
    while b"event: runs" not in seen:
        seen += connection.recv(65_536)
    assert seen.startswith(b"HTTP/1.1 200")
    return connection


def test_a_stream_of_a_deleted_namespace_is_whole_and_the_connection_goes_on():
    with serving("--log-level", "warning") as (process, url):
        with _open(url, "/__ns/a") as stream:
            assert httpx.delete(f"{url}/__admin/namespaces/a").status_code == 204
            seen = b""
            while not seen.endswith(b"0\r\n\r\n"):
                part = stream.recv(65_536)
                assert part, "the stream was cut off"
                seen += part
            stream.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert stream.recv(65_536).startswith(b"HTTP/1.1 200")

        process.send_signal(signal.SIGTERM)

        assert process.wait(_PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_at_once_with_open_streams(signum):
    with serving("--log-level", "warning") as (process, url):
        streams = [_open(url) for _ in range(3)]

        process.send_signal(signum)

        assert process.wait(_PATIENCE_S) == 0
        assert process.stderr is not None
        # It would say so if streams were cut off behind their grace.
        assert process.stderr.read() == b""
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("how", ["closes", "ends its side"])
def test_a_client_that_goes_is_noticed_on_its_connection(how):
    mock = controlled_mock()
    events = mock.app.namespaces.default.events

    async def go() -> None:
        server = Server(mock.app)
        protocol, wire = server.connect()
        protocol.data_received(b"GET /__admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"event: runs" not in wire.written:  # noqa: ASYNC110 - the wire tells nobody
            await asyncio.sleep(0)
        assert events
        if how == "closes":
            protocol.connection_lost(None)
        else:
            protocol.eof_received()
        await asyncio.wait_for(server.settle(), _PATIENCE_S)

    mock.run(go())

    assert not events


def test_many_watchers_look_at_the_runs_one_after_the_other(monkeypatch):
    mock = controlled_mock()
    looking: list[int] = [0]

    async def changes(self: RunWatch, namespace: object) -> bytes:
        looking[0] += 1
        together = looking[0]
        await asyncio.sleep(0)
        looking[0] -= 1
        return b'event: runs\ndata: {"together":%d}\n\n' % together

    monkeypatch.setattr(RunWatch, "changes", changes)

    async def go() -> list[int]:
        streams = [Stream(mock) for _ in range(10)]
        found = [(await stream.next("runs"))["together"] for stream in streams]
        for stream in streams:
            stream.leave()
        await asyncio.wait_for(asyncio.gather(*(stream.task for stream in streams)), _PATIENCE_S)
        return found

    assert mock.run(go()) == [1] * 10


def test_watchers_of_all_namespaces_share_the_time_in_which_they_may_look(monkeypatch):
    mock = controlled_mock()
    now, waits = 0.0, []

    async def changes(self: RunWatch, namespace: object) -> bytes:
        nonlocal now
        now += 0.02
        return b""

    async def read(self: Subscription, timeout_s: float) -> list[Event]:
        waits.append(timeout_s)
        await self._changed.wait()
        return []

    monkeypatch.setattr(RunWatch, "changes", changes)
    monkeypatch.setattr(Subscription, "read", read)
    monkeypatch.setattr(admin_events, "real_time", lambda: now)

    async def go() -> None:
        streams = [Stream(mock, name) for name in ("", "a", "b")]
        while len(waits) < 3:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        for stream in streams:
            stream.leave()
        await asyncio.wait_for(asyncio.gather(*(stream.task for stream in streams)), _PATIENCE_S)

    mock.run(go())
    assert 0.5 < max(waits) <= 0.6  # the last one to come knows of all three: each looks for a thirtieth of the time
    assert not mock.app._admin._dependencies.watchers
