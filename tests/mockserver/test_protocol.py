"""HTTP on the wire: what comes together is handled together, each answer in its place and in one write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from mockserver.protocol import Protocol

App = Callable[[Any, Any, Any], Awaitable[None]]


class Wire:
    """The transport of one connection, which keeps what is written to it."""

    def __init__(self, events: list[str], name: str) -> None:
        self._events, self._name = events, name
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self._events.append(f"{self._name} written")
        self.writes.append(data)

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4010) if name in ("sockname", "peername") else default


class Server:
    """Connections to an application, without a socket."""

    def __init__(self, app: App) -> None:
        self.config = uvicorn.Config(app, log_config=None, lifespan="off", proxy_headers=False)
        self.config.load()
        self.state = ServerState()
        self.events: list[str] = []

    def connect(self, name: str = "it") -> tuple[Protocol, Wire]:
        protocol, wire = Protocol(self.config, self.state, {}), Wire(self.events, name)
        protocol.connection_made(wire)  # type: ignore[arg-type]
        return protocol, wire


async def settled(server: Server) -> None:
    """Until nothing is left to do: no task of the application runs, and the loop has turned once more."""
    await asyncio.sleep(0)
    while server.state.tasks:
        await asyncio.gather(*server.state.tasks)
    await asyncio.sleep(0)


def request(path: str = "/", *, body: bytes = b"", headers: str = "") -> bytes:
    method = "POST" if body else "GET"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: mock\r\n{length}{headers}\r\n".encode() + body


async def whole_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send: Any, body: bytes, *, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*(headers or []), length]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, scope["path"].encode() + b" " + await whole_body(receive))


def body_of(written: bytes) -> bytes:
    return written.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size", [4, 15_000, 100_000])
def test_an_answer_leaves_in_one_write(size: int):
    async def go() -> list[bytes]:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(request("/a", body=b"1" * size))
        await settled(server)
        return wire.writes

    (written,) = asyncio.run(go())
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(written) == b"/a " + b"1" * size


def test_what_comes_in_one_turn_is_handled_before_any_of_it_is_answered():
    async def go() -> list[str]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            server.events.append(f"{scope['path'][1:]} handled")
            await answer(send, b"")

        server = Server(app)
        for name in ("one", "two", "three"):
            server.connect(name)[0].data_received(request(f"/{name}"))
        await settled(server)
        return server.events

    handled = ["one handled", "two handled", "three handled"]
    assert asyncio.run(go()) == [*handled, "one written", "two written", "three written"]


def test_a_request_that_waits_holds_up_no_other():
    async def go() -> list[str]:
        slow = asyncio.get_running_loop().create_future()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/slow":
                await slow
            await answer(send, b"")

        server = Server(app)
        server.connect("slow")[0].data_received(request("/slow"))
        server.connect("quick")[0].data_received(request("/quick"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen = [*server.events]
        slow.set_result(None)
        await settled(server)
        return [*seen, "then", *server.events[len(seen) :]]

    assert asyncio.run(go()) == ["quick written", "then", "slow written"]


def test_an_application_that_waits_sees_what_it_waited_for_fail():
    async def go() -> bytes:
        failing = asyncio.get_running_loop().create_future()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await failing
            except LookupError as error:
                await answer(send, str(error).encode())

        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        failing.set_exception(LookupError("gone"))
        await settled(server)
        return body_of(wire.writes[0])

    assert asyncio.run(go()) == b"gone"


def test_pipelined_requests_are_answered_in_their_order_however_many():
    count = 3000

    async def go() -> bytes:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(b"".join(request(f"/{number}") for number in range(count)))
        await settled(server)
        return b"".join(wire.writes)

    answers = asyncio.run(go())
    assert [int(part.split()[0]) for part in answers.split(b"\r\n\r\n/")[1:]] == list(range(count))


def test_a_body_in_parts_is_put_together():
    async def go() -> bytes:
        server = Server(echo)
        protocol, wire = server.connect()
        whole = request("/", body=b"0123456789")
        for start in range(0, len(whole), 7):
            protocol.data_received(whole[start : start + 7])
            await asyncio.sleep(0)
        await settled(server)
        return body_of(wire.writes[0])

    assert asyncio.run(go()) == b"/ 0123456789"


@pytest.mark.parametrize("headers", ["Content-Length: 20000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_body_that_may_be_long_is_handed_on_before_it_is_there(headers: str):
    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"too long")

    async def go() -> bytes:
        server = Server(refuses)
        protocol, wire = server.connect()
        protocol.data_received(f"POST / HTTP/1.1\r\nHost: mock\r\n{headers}\r\n".encode())
        await settled(server)
        return body_of(wire.writes[0])

    assert asyncio.run(go()) == b"too long"


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked():
    async def go() -> list[bytes]:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(request("/", body=b"12", headers="Expect: 100-continue\r\n")[:-2])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        protocol.data_received(b"12")
        await settled(server)
        return wire.writes

    asked, answered = asyncio.run(go())
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert body_of(answered) == b"/ 12"


@pytest.mark.parametrize("http", ["HTTP/1.0", "HTTP/1.1"])
def test_a_connection_that_is_to_be_closed_is_closed_behind_the_answer(http: str):
    async def go() -> Wire:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(f"GET / {http}\r\nHost: mock\r\nConnection: close\r\n\r\n".encode())
        await settled(server)
        return wire

    wire = asyncio.run(go())
    assert wire.closed
    assert b"\r\nconnection: close\r\n" in wire.writes[0]
    assert body_of(wire.writes[0]) == b"/ "


def test_an_answer_to_head_has_its_headers_alone():
    async def go() -> bytes:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(b"HEAD /a HTTP/1.1\r\nHost: mock\r\n\r\n")
        await settled(server)
        return b"".join(wire.writes)

    written = asyncio.run(go())
    assert b"content-length: 3\r\n" in written
    assert body_of(written) == b""


@contextmanager
def unlogged() -> Iterator[None]:
    """uvicorn tells of an application's exception at length."""
    import logging

    logger = logging.getLogger("uvicorn.error")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


@pytest.mark.parametrize("begun", [False, True])
def test_an_exception_of_the_application_is_a_500_in_json(begun: bool):
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        raise ZeroDivisionError

    async def go() -> Wire:
        server = Server(fails)
        protocol, wire = server.connect()
        protocol.data_received(request())
        await settled(server)
        return wire

    with unlogged():
        wire = asyncio.run(go())
    written = b"".join(wire.writes)
    assert written.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body_of(written)) == {"detail": "Internal Server Error"}
    assert wire.closed


def test_no_header_can_break_out_of_its_line():
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"", headers=[(b"x-echo", b"a\r\nset-cookie: b")])

    async def go() -> bytes:
        server = Server(careless)
        protocol, wire = server.connect()
        protocol.data_received(request())
        await settled(server)
        return b"".join(wire.writes)

    with unlogged():
        written = asyncio.run(go())
    assert b"set-cookie" not in written
    assert written.startswith(b"HTTP/1.1 500 ")


def test_nothing_is_written_to_a_client_that_has_gone():
    async def go() -> list[bytes]:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(request("/", body=b"12"))
        protocol.connection_lost(ConnectionResetError())
        await settled(server)
        return wire.writes

    assert asyncio.run(go()) == []


def test_a_path_is_decoded_and_kept_as_it_came():
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update({name: scope[name] for name in ("path", "raw_path", "query_string", "method", "http_version")})
        await answer(send, b"")

    async def go() -> None:
        server = Server(app)
        server.connect()[0].data_received(request("/a%20b?c=%20d"))
        await settled(server)

    asyncio.run(go())
    assert seen == {
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20d",
        "method": "GET",
        "http_version": "1.1",
    }
