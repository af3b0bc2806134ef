"""Clients that read their answers slowly, or not at all."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from mockserver.http11.flow_control import unacknowledged_bytes
from tests.mockserver.http11.wire import Server, Wire, answer, answers, request


async def _endless(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"a" * 1_000, "more_body": True})


async def _long(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"a" * 20_000)


def test_a_client_that_does_not_read_is_kept_no_more_than_the_buffer_and_one_part():
    async def run() -> int:
        server = Server(_endless, max_response_buffer=10_000)
        wire = server.connect_stuck(request())
        for _ in range(100):
            await asyncio.sleep(0)
        kept = wire.unread
        server.pass_time(61)
        assert wire.is_aborted
        await server.settle()
        return kept

    assert asyncio.run(run()) < 12_000


def test_a_client_that_reads_slowly_is_waited_for_from_what_it_read_last():
    async def run() -> list[bool]:
        server = Server(_endless, max_response_buffer=10_000)
        wire = server.connect_stuck(request())
        for _ in range(100):
            await asyncio.sleep(0)
        seen = []
        for _ in range(5):
            server.pass_time(50)
            wire.take(1)
            seen.append(wire.is_closed)
        server.pass_time(59)
        seen.append(wire.is_closed)
        server.pass_time(2)
        await server.settle()
        return [*seen, wire.is_aborted]

    assert asyncio.run(run()) == [False] * 6 + [True]


_LAST = request(headers="Connection: close\r\n")


@pytest.mark.parametrize("left", [20_000, 100, 1])
@pytest.mark.parametrize("sent", [_LAST, request("/", body=b"0" * 300_000)[:100_000]])
def test_the_last_answer_is_kept_for_a_client_that_reads_it_slowly(sent: bytes, left: int):
    async def run() -> list[bool]:
        server = Server(_long, max_response_buffer=1_000)
        wire = server.connect_stuck(sent)
        await server.settle()
        assert wire.is_half_closed
        server.pass_time(30)
        wire.take(wire.unread - left)
        server.pass_time(59)
        seen = [wire.is_closed]
        wire.take(left)
        server.pass_time(2)
        seen.append(wire.is_closed)
        server.pass_time(1)
        return [*seen, wire.is_aborted]

    assert asyncio.run(run()) == [False, False, True]


@pytest.mark.parametrize("read", [0, 19_900])
def test_the_last_answer_is_not_kept_for_a_client_that_reads_no_more(read: int):
    async def run() -> list[bool]:
        server = Server(_long, max_response_buffer=1_000)
        wire = server.connect_stuck(_LAST)
        await server.settle()
        wire.take(read)
        server.pass_time(59)
        seen = [wire.is_closed]
        server.pass_time(2)
        return [*seen, wire.is_aborted]

    assert asyncio.run(run()) == [False, True]


def test_a_client_that_sends_no_further_request_still_gets_its_answer():
    async def run() -> list[bool]:
        server = Server(_long, max_response_buffer=30_000)
        wire = server.connect_stuck(request())
        await server.settle()
        server.pass_time(76)
        seen = [wire.is_closed, wire.is_aborted]
        server.pass_time(50)
        wire.take(1)
        server.pass_time(50)
        seen.append(wire.is_aborted)
        server.pass_time(11)
        return [*seen, wire.is_aborted]

    assert asyncio.run(run()) == [True, False, False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_the_system_keeps_for_a_client_is_unread_too():
    async def run() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            client = socket.socket()
            client.setblocking(False)
            with client:
                await loop.sock_connect(client, listener.getsockname())
                connection, _ = await loop.sock_accept(listener)
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=connection)
                nothing = unacknowledged_bytes(transport)
                transport.write(b"a" * 1_000_000)
                buffered, before = transport.get_write_buffer_size(), unacknowledged_bytes(transport)
                left = 1_000_000
                while left:
                    left -= len(await loop.sock_recv(client, left))
                async with asyncio.timeout(20):
                    while unacknowledged_bytes(transport):  # noqa: ASYNC110 - the last confirmation is not announced
                        await asyncio.sleep(0)
                transport.close()
                await asyncio.sleep(0)
        return nothing, buffered, before

    nothing, buffered, before = asyncio.run(run())
    assert nothing == 0
    assert before > buffered


def test_a_connection_whose_answer_is_not_sent_is_not_idle():
    async def run() -> list[bool]:
        server = Server(_long, max_connections=2)
        wires = []
        for _ in range(3):
            protocol, wire = server.connect()
            wire.is_stuck = not wires
            wires.append(wire)
            protocol.data_received(request())
            await server.settle()
        return [wire.is_closed for wire in wires]

    assert asyncio.run(run()) == [False, True, False]


async def _of_any_length(scope: Any, receive: Any, send: Any) -> None:
    """Answers a path of digits with as many bytes."""
    await answer(send, b"a" * int(scope["path"][1:]))


async def _statuses_past_the_limit(server: Server, wires: list[Wire], *seconds: float) -> list[int]:
    """The statuses of new clients, each after the seconds: there are no places for them but those of the wires."""
    statuses = []
    for each in seconds:
        server.pass_time(each)
        protocol, wire = server.connect()
        if not wire.is_half_closed:
            protocol.data_received(request("/1", headers="Connection: close\r\n"))
            await server.settle()
        statuses.append(answers(wire.written)[0][0])
        wires.append(wire)
    return statuses


@pytest.mark.parametrize(
    "sent",
    [
        request("/7", headers="Connection: close\r\n"),
        b"what\r\n\r\n",
        request("/7", body=b"0" * 300_000)[:100_000],
        request("/7", body=b"0" * 100)[:-1],
    ],
)
def test_past_the_last_connection_one_whose_client_has_its_answer_makes_room_before_an_idle_one(sent: bytes):
    async def run() -> tuple[list[int], list[bool]]:
        server = Server(_of_any_length, max_connections=2)
        wires: list[Wire] = []
        for each in (request("/7"), sent):
            protocol, wire = server.connect()
            wires.append(wire)
            protocol.data_received(each)
            await server.settle()
        return await _statuses_past_the_limit(server, wires, 0, 0), [wire.is_aborted for wire in wires]

    assert asyncio.run(run()) == ([200, 200], [False, True, True, False])


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
@pytest.mark.parametrize("length", [500, 100_000])
def test_past_the_last_connection_one_whose_client_does_not_read_makes_room_after_a_second(length: int, headers: str):
    async def run() -> tuple[list[int], bool]:
        server = Server(_of_any_length, max_connections=1, max_response_buffer=400)
        wires = [server.connect_stuck(request(f"/{length}", headers=headers))]
        await server.settle()
        return await _statuses_past_the_limit(server, wires, 0.5, 1), wires[0].is_aborted

    assert asyncio.run(run()) == ([503, 200], True)


def test_past_the_last_connection_one_whose_client_reads_in_drops_makes_room_after_the_time_for_a_pause():
    async def run() -> tuple[list[int], list[int]]:
        server = Server(_endless, max_connections=1, max_response_buffer=10_000, send_timeout=10)
        wires = [server.connect_stuck(request())]
        for _ in range(100):
            await asyncio.sleep(0)
        early, late = [], []
        for statuses in (early, late):
            for _ in range(12):
                server.pass_time(0.5)
                wires[0].take(1_000)  # it resumes the answer now and then
                for _ in range(20):
                    await asyncio.sleep(0)
            protocol, wire = server.connect()
            statuses.append(503 if wire.is_half_closed else 200)
            protocol.connection_lost(None)
        return early, late

    assert asyncio.run(run()) == ([503], [200])


def test_an_answer_has_its_own_time_whatever_those_before_it_took():
    async def run() -> list[int]:
        server = Server(_of_any_length, max_connections=1, max_response_buffer=400, send_timeout=10)
        protocol, wire = server.connect()
        wire.is_stuck = True
        statuses = []
        for _ in range(2):
            protocol.data_received(request("/1000"))
            await asyncio.sleep(0)
            server.pass_time(9)
            wire.take(1)
            server.pass_time(0.5)
            statuses += await _statuses_past_the_limit(server, [], 0)
            wire.take(wire.unread)
        return statuses

    assert asyncio.run(run()) == [503, 503]
