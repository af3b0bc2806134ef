"""HTTP on the wire: what is read, what is refused, what is answered in which order, and when a connection ends."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockserver.http11.connection import Connection
from mockserver.scope_keys import CONNECTION_KEY
from tests.mockserver.http11.wire import Server, Wire, answer, answers, echo, exchange, request, unread, whole_body


def details(wire: Wire) -> list[tuple[int, str]]:
    """Status and detail of each answer, where each is an error."""
    return [(status, json.loads(body)["detail"]) for status, body in answers(wire.written)]


# --- Answers


@pytest.mark.parametrize("size", [4, 15_000, 100_000])
def test_an_answer_leaves_in_one_write(size: int):
    wire = exchange(echo, request("/a", body=b"1" * size))
    (written,) = wire.writes
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers(written) == [(200, b"POST /a " + b"1" * size)]


def test_an_answer_whose_length_nobody_knows_is_chunked():
    async def parts(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    written = exchange(parts, request()).written
    head, _, body = written.partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"

    wire = exchange(parts, b"GET / HTTP/1.0\r\n\r\n")
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"onethree"
    assert wire.is_half_closed


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_an_answer_without_a_body_is_its_head_alone(status: int, method: str):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"none of this"})

    wire = exchange(app, f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert wire.written.endswith(b"\r\n\r\n")
    assert b"none of this" not in wire.written
    assert b"chunked" not in wire.written
    assert not wire.is_closed


def test_the_headers_of_an_answer_to_head_say_what_get_would():
    assert b"content-length: 9\r\n" in exchange(echo, b"HEAD /ab HTTP/1.1\r\nHost: a\r\n\r\n").written


@pytest.mark.parametrize("said", [2, 4])
def test_an_answer_that_is_not_as_long_as_it_says_is_cut_off(said: int, caplog: pytest.LogCaptureFixture):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = (b"content-length", b"%d" % said)
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"bc"})

    wire = exchange(app, request())
    assert wire.is_aborted
    assert "not as long as its content-length" in caplog.text


@pytest.mark.parametrize("http", ["HTTP/1.0", "HTTP/1.1"])
def test_a_connection_that_is_to_be_closed_is_closed_behind_the_answer(http: str):
    wire = exchange(echo, f"GET / {http}\r\nHost: mock\r\nConnection: close\r\n\r\n".encode())
    assert wire.is_half_closed
    assert b"\r\nconnection: close\r\n" in wire.writes[0]
    assert answers(wire.written) == [(200, b"GET / ")]


def test_no_header_can_break_out_of_its_line(caplog: pytest.LogCaptureFixture):
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, headers=[(b"x-echo", b"a\r\nset-cookie: b")])

    written = exchange(careless, request()).written
    assert b"set-cookie" not in written
    assert answers(written) == [(500, b'{"detail":"Internal Server Error"}')]


def test_an_answer_whose_head_is_refused_after_its_length_is_a_500(caplog: pytest.LogCaptureFixture):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"1"), (b"x-note", b"a\nb")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a"})

    caplog.set_level(logging.CRITICAL, "mockserver.http")
    assert details(exchange(app, request())) == [(500, "Internal Server Error")]


class Panic(BaseException):
    """As an extension in Rust raises it."""


@pytest.mark.parametrize("error", [ZeroDivisionError, Panic])
@pytest.mark.parametrize("begun", [False, True])
def test_an_exception_of_the_application_is_a_500_in_json(
    begun: bool, error: type[BaseException], caplog: pytest.LogCaptureFixture
):
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        raise error

    wire = exchange(fails, request())
    assert details(wire) == [(500, "Internal Server Error")]
    assert wire.is_half_closed
    assert error.__name__ in caplog.text


@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_answered(error: type[BaseException]):
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def ends(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def run() -> bytes:
        protocol, wire = Server(waits).connect()
        protocol.data_received(request())
        with pytest.raises(error):
            protocol._exchange.run(ends).send(None)
        return wire.written

    assert asyncio.run(run()) == b""


def test_an_application_that_gives_no_answer_is_a_500(caplog: pytest.LogCaptureFixture):
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    assert details(exchange(silent, request())) == [(500, "Internal Server Error")]


def test_running_out_of_memory_is_a_503_and_not_the_end():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/large":
            raise MemoryError
        await answer(send, b"fine")

    async def run() -> list[tuple[int, bytes]]:
        server = Server(app)
        seen = b""
        for path in ("/large", "/small"):
            protocol, wire = server.connect()
            protocol.data_received(request(path))
            await server.settle()
            seen += wire.written
        return answers(seen)

    (status, body), fine = asyncio.run(run())
    assert (status, json.loads(body)) == (503, {"detail": "There was not enough memory to handle the request"})
    assert fine == (200, b"fine")


# --- Each request in a task of its own


def test_a_request_that_waits_holds_up_no_other():
    async def run() -> list[bytes]:
        slow = asyncio.get_running_loop().create_future()
        order: list[bytes] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/slow":
                await slow
            order.append(scope["path"].encode())
            await answer(send)

        server = Server(app)
        server.connect()[0].data_received(request("/slow"))
        server.connect()[0].data_received(request("/quick"))
        for _ in range(3):
            await asyncio.sleep(0)
        order.append(b"then")
        slow.set_result(None)
        await server.settle()
        return order

    assert asyncio.run(run()) == [b"/quick", b"then", b"/slow"]


def test_an_application_may_use_what_needs_a_task():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.timeout(10):
            await answer(send, b"in time")

    assert answers(exchange(app, request()).written) == [(200, b"in time")]


def test_a_context_variable_of_one_request_is_not_seen_by_another():
    seen: ContextVar[bool] = ContextVar("seen", default=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = str(seen.get()).encode()
        seen.set(True)
        await answer(send, body)

    wire = exchange(app, request() + request(), request())
    assert [body for _, body in answers(wire.written)] == [b"False", b"False", b"False"]


# --- Requests


def test_a_path_is_decoded_and_kept_as_it_came():
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update({name: scope[name] for name in ("path", "raw_path", "query_string", "method", "http_version")})
        await answer(send)

    exchange(app, request("/a%20b?c=%20d"))
    assert seen == {
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20d",
        "method": "GET",
        "http_version": "1.1",
    }


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("/a?b", b"localhost", "/a", b"b"),
        ("http://evil.example/a?b", b"evil.example", "/a", b"b"),
        ("http://evil.example:80/a?b=http://localhost/", b"evil.example:80", "/a", b"b=http://localhost/"),
        ("http://localhost@evil.example/a", b"evil.example", "/a", b""),
        ("https://[::1]:4010/", b"[::1]:4010", "/", b""),
        ("http://evil.example", b"evil.example", "/", b""),
        ("http://evil.example?b", b"evil.example", "/", b"b"),
    ],
)
def test_the_host_of_a_whole_url_counts_in_place_of_the_header(target: str, host: bytes, path: str, query: bytes):
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        seen.append((hosts, scope["path"], scope["raw_path"], scope["query_string"]))
        await answer(send)

    exchange(app, f"GET {target} HTTP/1.1\r\nA: b\r\nHost: localhost\r\n\r\n".encode())
    assert seen == [([host], path, path.encode(), query)]


def test_empty_lines_before_a_request_are_passed_over():
    assert answers(exchange(echo, b"\r\n\r\n\n" + request("/a")).written) == [(200, b"GET /a ")]
    assert answers(exchange(echo, b"\r\n", b"\r\n", request("/a")).written) == [(200, b"GET /a ")]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"what\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\nHost: mock\n\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : mock\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n", 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT mock:4010 HTTP/1.1\r\nHost: mock:4010\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 300, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 300 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 300, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 50 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_or_too_long_is_refused_in_json_and_the_connection_closed(head: bytes, status: int):
    wire = exchange(echo, head, max_target_bytes=200, max_header_bytes=200)
    ((refused, _),) = details(wire)
    assert refused == status
    assert b"\r\nconnection: close\r\n" in wire.written
    assert wire.is_half_closed


def test_a_length_with_thousands_of_zeros_is_refused():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b1\r\n\r\na" % (b"0" * 5_000)
    assert [status for status, _ in details(exchange(echo, head))] == [400]


def test_a_request_without_a_host_is_told_so_unless_it_is_http_1_0():
    ((status, detail),) = details(exchange(echo, b"GET /a HTTP/1.1\r\n\r\n"))
    assert (status, detail) == (400, "The header Host is missing; HTTP/1.1 requires it")
    assert answers(exchange(echo, b"GET /a HTTP/1.0\r\n\r\n").written) == [(200, b"GET /a ")]


def test_a_refusal_has_the_date_that_every_answer_has():
    async def go() -> bytes:
        server = Server(echo)
        server.state.default_headers = [(b"date", b"now")]
        protocol, wire = server.connect()
        protocol.data_received(b"what\r\n\r\n")
        return wire.written

    assert b"\r\ndate: now\r\n" in asyncio.run(go())


def test_a_head_as_long_as_it_may_be_is_read():
    target, value = "/" + "a" * 199, "b" * 186
    head = f"GET {target} HTTP/1.1\r\nHost: a\r\nA: {value}\r\n\r\n"
    # The headers are what stands behind the first line.
    assert len(head.partition("\r\n")[2]) == 202
    read = exchange(echo, head.encode(), max_target_bytes=200, max_header_bytes=202)
    assert answers(read.written) == [(200, f"GET {target} ".encode())]
    assert details(exchange(echo, head.encode(), max_target_bytes=199, max_header_bytes=202))[0][0] == 414
    assert details(exchange(echo, head.encode(), max_target_bytes=200, max_header_bytes=201))[0][0] == 431


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("at_once", [1, 7, 1_000_000])
def test_a_request_has_no_more_headers_than_so_many(is_whole: bool, at_once: int):
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 999
    most = exchange(echo, *parts(head + b"\r\n", at_once))
    assert [status for status, _ in answers(most.written)] == [200]
    too_many = head + b"A: b\r\n" + (b"\r\n" if is_whole else b"A: b\r\n" * 99)
    assert details(exchange(echo, *parts(too_many, at_once))) == [(431, "The request has more than 1,000 headers")]


def parts(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def test_what_is_wrong_before_the_byte_that_is_too_many_is_what_is_told():
    wrong = b"GET / HTTP/1.1\r\nHost: a\r\nA\x00: " + b"a" * 300
    assert details(exchange(echo, wrong, max_header_bytes=200))[0][0] == 400


# --- Bodies


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_body_in_parts_is_put_together(size: int):
    whole = request("/", body=b"0123456789")
    segments = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert answers(exchange(echo, *segments).written) == [(200, b"POST / 0123456789")]


_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"1\r\na\r\n00002\r\nbc\r\n000\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"1;name=value\r\na\r\n0;last\r\n\r\n", b"a"),
        (b"1\r\na\r\n0\r\nTrailer: dropped\r\n\r\n", b"a"),
    ],
)
def test_a_chunked_body_is_put_together(body: bytes, read: bytes):
    wire = exchange(echo, _CHUNKED + body + request("/next"))
    assert answers(wire.written) == [(200, b"POST / " + read), (200, b"GET /next ")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x\r\n", 400),
        (b"-1\r\n", 400),
        (b"0x1\r\na\r\n0\r\n\r\n", 400),
        (b"\r\n", 400),
        (b"1\na\r\n0\r\n\r\n", 400),
        (b"1\r\nab\r\n0\r\n\r\n", 400),
        (b"1\r\na0\r\n\r\n", 400),
        (b"1" * 2_000, 400),
        (b"1;" + b"a" * 2_000, 400),
        (b"0\r\n" + b"A: b\r\n" * 50 + b"\r\n", 431),
        (b"0\r\nA: " + b"b" * 300, 431),
        (b"0\r\nA: b\n\r\n", 400),
    ],
)
def test_a_body_that_is_not_chunked_as_it_says_is_refused(body: bytes, status: int):
    wire = exchange(echo, _CHUNKED + body, max_header_bytes=200)
    assert [each for each, _ in details(wire)] == [status]
    assert wire.is_half_closed


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked():
    whole = request("/", body=b"12", headers="Expect: 100-continue\r\n")
    wire = exchange(echo, whole[:-2], whole[-2:])
    assert wire.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answers(wire.writes[1]) == [(200, b"POST / 12")]


def test_a_client_that_waits_to_be_asked_is_not_asked_for_what_nobody_reads():
    wire = exchange(unread, request("/", body=b"12", headers="Expect: 100-continue\r\n")[:-2])
    assert [status for status, _ in answers(wire.written)] == [401]


def test_a_client_is_read_no_further_than_the_application_is():
    async def run() -> list[bool]:
        asked = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asked.wait()
            await answer(send, b"%d" % len(await whole_body(receive) or b""))

        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request("/", body=b"a" * 1_000_000)[:100_000])
        await asyncio.sleep(0)
        reading = [wire.is_reading]
        asked.set()
        for _ in range(3):
            await asyncio.sleep(0)
        return [*reading, wire.is_reading]

    assert asyncio.run(run()) == [False, True]


# --- What the client sends without waiting for the answer


def test_pipelined_requests_are_answered_in_their_order_however_many():
    count = 3_000
    wire = exchange(echo, b"".join(request(f"/{number}") for number in range(count)))
    assert [body for _, body in answers(wire.written)] == [b"GET /%d " % number for number in range(count)]


def test_a_client_that_sends_ahead_is_read_no_further():
    async def run() -> tuple[int, bool]:
        started: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            started.append(scope["path"])
            await asyncio.get_running_loop().create_future()

        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request("/1") + request("/2") + request("/3"))
        for _ in range(5):
            await asyncio.sleep(0)
        return len(started), wire.is_reading

    assert asyncio.run(run()) == (1, False)


def test_a_request_before_what_is_none_gets_its_answer():
    wire = exchange(echo, request("/", body=b"valid") + b"\x00\x01 garbage")
    assert [status for status, _ in answers(wire.written)] == [200, 400]
    assert answers(wire.written)[0] == (200, b"POST / valid")


@pytest.mark.parametrize("cut", [0, 1, 30, 60, 95])
@pytest.mark.parametrize("framing", ["Content-Length: 4", "Transfer-Encoding: chunked"])
def test_an_offer_to_upgrade_never_makes_a_request_of_a_body(framing: str, cut: int):
    body = "GET " if "Length" in framing else "4\r\nGET \r\n0\r\n\r\n"
    head = (
        f"POST /offer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{framing}\r\n\r\n"
    )
    offer = (head + body).encode()
    stream = request("/before") + offer + request("/after")
    wire = exchange(echo, stream[:cut], stream[cut:]) if cut else exchange(echo, stream)
    assert answers(wire.written) == [(200, b"GET /before "), (200, b"POST /offer GET "), (200, b"GET /after ")]


# --- Requests that are answered before they have been read


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_what_nobody_reads_is_passed_over_and_the_next_request_answered(framing: str):
    body = b"0123456789" if "Length" in framing else b"a\r\n0123456789\r\n0\r\n\r\n"
    head = f"POST /a HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
    for segments in ([head + body + request("/b")], [head, body, request("/b")]):
        wire = exchange(unread, *segments)
        assert answers(wire.written) == [(401, b"/a"), (401, b"/b")]
        assert not wire.is_closed


def test_a_long_body_that_nobody_reads_ends_the_connection_behind_the_answer():
    long = 300_000
    wire = exchange(unread, request("/a", body=b"0" * long) + request("/b"))
    assert answers(wire.written) == [(401, b"/a")]
    assert b"\r\nconnection: close\r\n" in wire.written
    assert wire.is_half_closed

    chunk = b"%x\r\n" % long + b"0" * long + b"\r\n0\r\n\r\n"
    wire = exchange(unread, b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, request("/b"))
    assert answers(wire.written) == [(401, b"/a")]
    assert wire.is_half_closed


def test_what_comes_behind_the_last_answer_is_dropped():
    async def run() -> tuple[bytes, bool]:
        server = Server(unread)
        protocol, wire = server.connect()
        protocol.data_received(request("/a", body=b"0" * 300_000)[:1_000])
        await server.settle()
        before = wire.written
        for _ in range(100):
            protocol.data_received(b"0" * 3_000)
        await server.settle()
        ended = protocol.eof_received()
        return wire.written[len(before) :], ended

    assert asyncio.run(run()) == (b"", False)


# --- Ends


def test_after_a_half_close_what_was_asked_is_answered():
    wire = exchange(echo, request("/a") + request("/b"), request("/c", body=b"12"), ends=True)
    assert answers(wire.written) == [(200, b"GET /a "), (200, b"GET /b "), (200, b"POST /c 12")]
    assert wire.is_closed


def test_what_is_said_of_one_exchange_does_not_hold_for_the_next():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            scope[CONNECTION_KEY].leave_at_eof()
        await echo(scope, receive, send)

    async def run() -> list[tuple[int, bytes]]:
        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request("/stream"))
        await server.settle()
        protocol.data_received(request("/next"))
        assert protocol.eof_received()
        await server.settle()
        return answers(wire.written)

    assert asyncio.run(run()) == [(200, b"GET /stream "), (200, b"GET /next ")]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", request("/", body=b"12")[:-1]])
def test_a_half_close_before_a_request_is_whole_ends_the_connection(sent: bytes):
    wire = exchange(echo, *([sent] if sent else []), ends=True)
    assert wire.written == b""
    assert wire.is_closed


def test_nothing_is_written_to_a_client_that_has_gone():
    async def run() -> bytes:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(request("/", body=b"12") + request("/"))
        protocol.connection_lost(ConnectionResetError())
        await server.settle()
        return wire.written

    assert asyncio.run(run()) == b""


def test_a_client_that_goes_away_while_it_is_answered_ends_the_wait_for_it(caplog: pytest.LogCaptureFixture):
    async def run() -> int:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(10):
                await send({"type": "http.response.body", "body": b"a" * 1_000, "more_body": True})

        server = Server(app, max_response_buffer=2_000)
        wire = server.connect_stuck(request())
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(server.state.tasks) == 1
        wire.protocol.connection_lost(ConnectionResetError())
        await server.settle()
        return len(server.state.tasks)

    with caplog.at_level(logging.DEBUG, "mockserver"):
        assert asyncio.run(run()) == 0
    assert caplog.text == ""


# --- Waits


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"", 31, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 31, 408),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 29, "open"),
        (request("/", body=b"1234")[:-2], 31, 408),
        (request("/", body=b"1234")[:-2], 29, "open"),
        (request("/"), 76, None),
        (request("/"), 74, "open"),
        (request("/") + b"GET ", 31, 408),
    ],
)
def test_the_wait_for_a_client_has_an_end(sent: bytes, seconds: float, status: int | str | None):
    async def run() -> bool:
        server = Server(echo)
        protocol, wire = server.connect()
        if sent:
            protocol.data_received(sent)
        for _ in range(5):
            await asyncio.sleep(0)
        wire.writes.clear()
        server.pass_time(seconds)
        await asyncio.sleep(0)
        if status == "open":
            return not (wire.is_closed or wire.is_half_closed)
        told = [each for each, _ in answers(wire.written)]
        return (wire.is_closed or wire.is_half_closed) and told == ([status] if status else [])

    assert asyncio.run(run())


def test_an_application_has_all_the_time_that_it_takes():
    async def run() -> bool:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.get_running_loop().create_future()

        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request())
        await asyncio.sleep(0)
        server.pass_time(10_000)
        return wire.is_closed

    assert asyncio.run(run()) is False


def test_each_part_of_a_body_gives_the_client_new_time_and_no_part_of_a_head_does():
    async def run() -> list[bool]:
        server = Server(echo)
        deadlines = []
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n", request("/", body=b"1234")[:-3]):
            protocol, _ = server.connect()
            protocol.data_received(sent)
            before = protocol.deadline
            await asyncio.sleep(0.01)
            protocol.data_received(b"1")
            deadlines.append(protocol.deadline > before)
        return deadlines

    assert asyncio.run(run()) == [False, True]


def test_a_client_that_will_not_stop_sending_is_let_go_after_a_while():
    async def run() -> list[bool]:
        server = Server(echo)
        protocol, wire = server.connect()
        protocol.data_received(b"what\r\n\r\n")
        seen = [wire.is_closed]
        protocol.data_received(b"more" * 1_000)
        server.pass_time(3)
        return [*seen, wire.is_aborted]

    assert asyncio.run(run()) == [False, True]


# --- How many


def test_past_the_last_connection_the_one_that_is_idle_for_longest_makes_room():
    async def run() -> tuple[list[bool], list[tuple[int, bytes]]]:
        server = Server(echo, max_connections=2)
        wires = []
        for name in ("/1", "/2", "/3"):
            protocol, wire = server.connect()
            wires.append(wire)
            protocol.data_received(request(name))
            await server.settle()
        return [wire.is_closed for wire in wires], answers(wires[2].written)

    assert asyncio.run(run()) == ([True, False, False], [(200, b"GET /3 ")])


def test_a_connection_is_idle_from_its_last_answer_on_and_a_new_one_since_it_was_opened():
    async def run() -> list[bool]:
        server = Server(echo, max_connections=3)
        (first, wire_1), (_, wire_2) = server.connect(), server.connect()
        first.data_received(request())
        await server.settle()
        _, wire_3 = server.connect()
        closed = []
        for _ in range(2):
            server.connect()
            await server.settle()
            closed += [wire.is_closed for wire in (wire_1, wire_2, wire_3)]
        return closed

    assert asyncio.run(run()) == [False, True, False, True, True, False]


def test_a_connection_that_was_refused_takes_no_room():
    async def run() -> tuple[list[int], list[int]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/slow":
                await asyncio.get_running_loop().create_future()
            await answer(send)

        server = Server(app, max_connections=2)
        busy = server.connect()[0]
        busy.data_received(request("/slow"))
        other, _ = server.connect()
        other.data_received(request("/slow", body=b"12")[:-1])
        _, refused = server.connect()
        other.connection_lost(None)
        server.connect()
        last, wire = server.connect()  # one of the two before it is idle
        last.data_received(request())
        for _ in range(5):
            await asyncio.sleep(0)
        return [status for status, _ in answers(refused.written)], [status for status, _ in answers(wire.written)]

    assert asyncio.run(run()) == ([503], [200])


def test_past_the_last_connection_a_503_where_all_are_at_work():
    async def run() -> list[tuple[int, bytes]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.get_running_loop().create_future()

        server = Server(app, max_connections=2)
        for _ in range(2):
            server.connect()[0].data_received(request())
        _, wire = server.connect()
        assert wire.is_half_closed
        return answers(wire.written)

    ((status, body),) = asyncio.run(run())
    assert (status, json.loads(body)) == (503, {"detail": "2 connections are open, and no more are taken"})


def test_past_the_last_connection_one_whose_client_has_ended_makes_room_before_a_503():
    async def run() -> tuple[list[bool], list[tuple[int, bytes]]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/slow":
                await asyncio.get_running_loop().create_future()
            await answer(send)

        server = Server(app, max_connections=2)
        wires = []
        for ends in (False, True):
            protocol, wire = server.connect()
            wires.append(wire)
            protocol.data_received(request("/slow"))
            if ends:
                protocol.eof_received()
        protocol, wire = server.connect()
        protocol.data_received(request())
        for _ in range(5):
            await asyncio.sleep(0)
        return [each.is_aborted for each in wires], answers(wire.written)

    closed, given = asyncio.run(run())
    assert closed == [False, True]
    assert [status for status, _ in given] == [200]


@pytest.mark.parametrize("began", [b"GET / HTTP/1.1\r\n", request("/late", body=b"12")[:-1]])
def test_past_the_last_connection_one_that_keeps_the_mock_waiting_makes_room_after_a_second(began: bytes):
    async def run() -> tuple[bytes, bytes, list[bool]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/busy":
                await asyncio.get_running_loop().create_future()
            await echo(scope, receive, send)

        server = Server(app, max_connections=3)
        wires = []
        for sent in (request("/busy"), began, began, request(), request()):
            protocol, wire = server.connect()
            wires.append(wire)
            if not wire.is_half_closed:
                protocol.data_received(sent)
            for _ in range(5):
                await asyncio.sleep(0)
            if len(wires) == 4:
                server.pass_time(1.5)
        return wires[3].written, wires[4].written, [each.is_aborted for each in wires]

    refused, answered, aborted = asyncio.run(run())
    assert answers(refused) == [(503, b'{"detail":"3 connections are open, and no more are taken"}')]
    assert answers(answered) == [(200, b"GET / ")]
    assert aborted == [False, True, False, False, False]


def test_past_the_last_connection_an_answer_without_an_end_makes_room_after_a_second():
    async def run() -> tuple[list[int], list[bool]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/endless":
                scope[CONNECTION_KEY].leave_at_eof()
            if scope["path"] != "/":
                await asyncio.get_running_loop().create_future()
            await answer(send)

        server = Server(app, max_connections=3)
        wires = []
        for path in ("/busy", "/endless", "/endless", "/", "/"):
            protocol, wire = server.connect()
            wires.append(wire)
            if not wire.is_half_closed:
                protocol.data_received(request(path))
            for _ in range(5):
                await asyncio.sleep(0)
            if len(wires) == 4:
                server.pass_time(1.5)
        return [answers(each.written)[0][0] for each in wires[3:]], [each.is_aborted for each in wires]

    assert asyncio.run(run()) == ([503, 200], [False, True, False, False, False])


def test_past_the_last_connection_a_body_that_comes_in_drops_makes_room_after_the_time_for_a_pause():
    async def run() -> tuple[list[int], list[bool]]:
        server = Server(echo, max_connections=1, body_timeout=10)
        drops, wire = server.connect()
        drops.data_received(request("/drops", body=b"1" * 1_000)[:-1_000])
        given, aborted = [], []
        for _ in range(2):
            for _ in range(12):
                server.pass_time(0.5)
                drops.data_received(b"1")
            protocol, other = server.connect()
            if not other.is_half_closed:
                protocol.data_received(request())
            for _ in range(5):
                await asyncio.sleep(0)
            given.append(answers(other.written)[0][0])
            aborted.append(wire.is_aborted)
        return given, aborted

    assert asyncio.run(run()) == ([503, 200], [False, True])


def test_of_the_requests_whose_clients_have_left_no_more_go_on_than_connections_may_be_open():
    async def run() -> tuple[list[str], int]:
        cancelled: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(scope["path"])
                raise

        server = Server(app, max_connections=2)
        for number in range(5):
            protocol, _ = server.connect()
            protocol.data_received(request(f"/{number}"))
            await asyncio.sleep(0)
            protocol.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        return list(cancelled), len(server.state.tasks)

    assert asyncio.run(run()) == (["/0", "/1", "/2"], 2)


def test_what_a_client_that_has_left_had_sent_is_freed_at_once():
    async def run() -> Any:
        kept: list[weakref.ref[Connection]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            kept.append(weakref.ref(scope[CONNECTION_KEY]))
            await receive()
            await receive()

        server = Server(app)
        protocol, wire = server.connect()
        protocol.data_received(request())
        await asyncio.sleep(0)
        protocol.connection_lost(None)
        await server.settle()
        del protocol, wire.protocol
        return kept[0]()

    gc.disable()  # it would free reference cycles
    try:
        assert asyncio.run(run()) is None
    finally:
        gc.enable()


# --- How the stream is cut changes nothing

_VALID = [
    request("/a"),
    request("/b%20?c=d", headers="X: " + "y" * 40 + "\r\n"),
    request("/c", body=b"0123456789"),
    request("/u", body=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", headers="Connection: upgrade\r\nUpgrade: websocket\r\n"),
    _CHUNKED + b"4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nA: b\r\n\r\n",
    b"\r\n\r\n" + request("/d"),
    b"HEAD /e HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    request("/f", headers="Connection: close\r\n"),
    b"GET /g HTTP/1.0\r\n\r\n",
    b"POST /h HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
]
_PART = b"not all of it"
_INVALID = [
    b"what\r\n\r\n",
    b"\x00",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/3.0\r\n\r\n",
    b"GET /" + b"t" * 120 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"h" * 120 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"h" * 120 + b"\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"h" * 60 + b"\x00" + b"h" * 60,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _CHUNKED + b"4\r\n01234\r\n0\r\n\r\n",
    _CHUNKED + b"g\r\n",
    _CHUNKED + b"1" * 1_100,
    _CHUNKED + b"0\r\n" + b"A: b\r\n" * 30 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + _PART,
]


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    parts = draw(st.lists(st.sampled_from(_VALID), max_size=4))
    parts += draw(st.lists(st.sampled_from(_INVALID) | st.binary(max_size=30), max_size=2))
    parts += draw(st.lists(st.sampled_from(_VALID), max_size=1))
    stream = b"".join(parts)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=8))
    return stream, sorted({0, *cuts, len(stream)})


async def _echo_or_refuse(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/u":
        await unread(scope, receive, send)
    else:
        await echo(scope, receive, send)


@settings(deadline=None, max_examples=100)
@given(_streams(), st.booleans())
@example((b"".join(_VALID[:8]), list(range(0, len(b"".join(_VALID[:8])) + 1))), True)
def test_how_a_stream_is_cut_changes_no_answer(cut_stream: tuple[bytes, list[int]], ends: bool):
    stream, cuts = cut_stream
    segments = [stream[start:stop] for start, stop in pairwise(cuts)]
    ends = ends or _PART in stream  # else the server may wait half a minute for the rest
    limits = {"max_target_bytes": 100, "max_header_bytes": 100}
    whole = exchange(_echo_or_refuse, *([stream] if stream else []), ends=ends, **limits)
    cut = exchange(_echo_or_refuse, *segments, ends=ends, **limits)
    assert answers(cut.written) == answers(whole.written)
    assert (cut.is_closed or cut.is_half_closed) == (whole.is_closed or whole.is_half_closed)
