"""The way to the target: bytes as given, one host, no answer invented, and no token where it does not belong."""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import ssl
import threading
import traceback
import zlib
from pathlib import Path
from typing import Any

import pytest

from contracts.core.exchange import Answer, Request
from contracts.core.findings import CouldNotCheck
from contracts.guard import Guard, NoAnswer, NotAllowed
from contracts.guard.bounds import Bounds
from contracts.guard.connection import Cut
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Lost, Upstream, proxy_for
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.requests import bulk, get
from tests.contracts.guard.standin import FIRST, SECOND, Received, Reply, StandIn
from tests.contracts.guard.wire import Wire, close, hang_up, ok, then_close

CERTIFICATE = Path(__file__).parent / "tls" / "loopback.pem"


def exchange(upstream: Upstream, request: Request) -> Answer | Lost:
    return upstream.exchange(request, lambda authorization: authorization)


def test_a_request_goes_out_byte_for_byte() -> None:
    path = "/v1//runs/%2e%2E/a%2Fb;c=%zz/\xe9?q=%20&q=+&Q[]={}|"
    headers = (("X-B", "2"), ("x-a", "1"), ("X-B", "three  "), ("X-Text", "\u20ac\udcff"), ("X-Empty", ""))
    with Wire(ok()) as wire:
        exchange(Upstream(wire.url + "/base/"), Request("FROB", path, headers, b"\x00\r\n\r\nbody"))
    head, _, body = wire.requests[0].partition(b"\r\n\r\n")
    assert body == b"\x00\r\n\r\nbody"
    assert head.split(b"\r\n") == [
        b"FROB /base" + path.encode("latin-1") + b" HTTP/1.1",
        b"Host: 127.0.0.1:%d" % wire.port,
        b"X-B: 2",
        b"x-a: 1",
        b"X-B: three  ",
        b"X-Text: \xe2\x82\xac\xff",
        b"X-Empty: ",
        b"User-Agent: cyberdesk-contracts",
        b"Accept-Encoding: identity",
        b"Content-Length: 9",
    ]


def test_what_frames_a_message_is_the_guards_own_and_the_host_is_always_the_targets() -> None:
    headers = (
        ("Host", "evil.test"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Expect", "100-continue"),
        ("User-Agent", "someone"),
    )
    with Wire(ok()) as wire:
        exchange(Upstream(wire.url), Request("POST", "/", headers))
    lines = wire.requests[0].split(b"\r\n")
    assert lines[1:5] == [
        b"Host: 127.0.0.1:%d" % wire.port,
        b"User-Agent: someone",
        b"Accept-Encoding: identity",
        b"Content-Length: 0",
    ]


def test_an_answer_comes_back_as_it_was() -> None:
    raw = b"HTTP/1.1 299 Odd\r\nX-A: 1\r\nx-a: 2\r\nX-Raw: \xe9\r\nContent-Length: 3\r\n\r\n\x00\xff\n"
    with Wire(raw) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert answer == Answer(
        299, (("X-A", "1"), ("x-a", "2"), ("X-Raw", "\xe9"), ("Content-Length", "3")), b"\x00\xff\n"
    )


def test_chunked_and_unlimited_answers_are_read_to_their_end() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with Wire(chunked, then_close(b"HTTP/1.1 200 OK\r\n\r\nto the end")) as wire:
        upstream = Upstream(wire.url)
        bodies = [exchange(upstream, get("/")), exchange(upstream, get("/"))]
    assert [each.body for each in bodies if isinstance(each, Answer)] == [b"abcde", b"to the end"]
    assert wire.connections == 1


def test_a_large_answer_is_read_whole_and_one_that_ends_early_is_lost() -> None:
    large = b"x" * 1_000_000
    with Wire(ok(large), then_close(ok(large)[:-1]), then_close(ok(b"1234")[:-1])) as wire:
        upstream = Upstream(wire.url)
        answer = exchange(upstream, get("/"))
        assert isinstance(answer, Answer)
        assert answer.body == large
        assert exchange(upstream, get("/")) == Lost("the answer was cut after 999999 of 1000000 bytes", reached=True)
        assert exchange(upstream, get("/")) == Lost("the answer was cut after 3 of 4 bytes", reached=True)


def test_a_head_answer_has_no_body_whatever_its_content_length() -> None:
    with Wire(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", ok(b"[]")) as wire:
        upstream = Upstream(wire.url)
        answer = exchange(upstream, get("/", method="HEAD"))
        assert isinstance(answer, Answer)
        assert (answer.body, answer.header("content-length")) == (b"", "500")
        assert isinstance(exchange(upstream, get("/")), Answer)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"plain", mtime=0)),
        ("X-GZIP", gzip.compress(b"plain", mtime=0)),
        ("deflate", zlib.compress(b"plain")),
        ("deflate", zlib.compress(b"plain")[2:-4]),
    ],
)
def test_an_answer_that_is_compressed_unasked_is_kept_readable(coding: str, packed: bytes) -> None:
    with Wire(ok(packed, b"Content-Encoding: " + coding.encode(), b"X-Other: 1")) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert answer == Answer(200, (("X-Other", "1"), ("content-length", "5")), b"plain")


@pytest.mark.parametrize(
    ("coding", "packed"), [("gzip", gzip.compress(b"plain", mtime=0)), ("deflate", zlib.compress(b"plain"))]
)
def test_a_compressed_answer_that_was_cut_is_left_as_it_is(coding: str, packed: bytes) -> None:
    with Wire(ok(packed[:-3], b"Content-Encoding: " + coding.encode())) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert isinstance(answer, Answer)
    assert (answer.body, answer.header("content-encoding")) == (packed[:-3], coding)


def test_a_request_may_accept_compressed_answers() -> None:
    with Wire(ok()) as wire:
        exchange(Upstream(wire.url), Request("GET", "/", (("accept-encoding", "gzip"),)))
    sent = [line for line in wire.requests[0].lower().split(b"\r\n") if line.startswith(b"accept-encoding")]
    assert sent == [b"accept-encoding: gzip"]


@pytest.mark.parametrize("coding", [b"br", b"identity", b"gzip"])
def test_an_answer_in_a_coding_that_cannot_be_undone_is_left_as_it_is(coding: bytes) -> None:
    with Wire(ok(b"as it is", b"Content-Encoding: " + coding)) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert isinstance(answer, Answer)
    assert (answer.body, answer.header("content-encoding")) == (b"as it is", coding.decode())


def test_an_answer_that_never_ends_or_grows_too_large_is_given_up() -> None:
    bounds = Bounds(body_bytes=1_000_000)
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000
    bomb = ok(gzip.compress(b"\0" * 2_000_000), b"Content-Encoding: gzip")
    with Wire(then_close(endless), then_close(bomb), then_close(ok(b"x" * 1_000_001))) as wire:
        lost = [exchange(Upstream(wire.url, bounds=bounds), get("/")) for _ in range(3)]
    assert lost == [
        Lost("the answer is larger than 1000000 bytes", reached=True),
        Lost("the answer is larger than 1000000 bytes when unpacked", reached=True),
        Lost("the answer announces 1000001 bytes, more than the 1000000 that are read", reached=True),
    ]


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (close, "the connection was closed without an answer"),
        (then_close(b"SSH-2.0-OpenSSH\r\n"), "the answer is not HTTP: it begins with 'SSH-2.0-OpenSSH'"),
        (
            then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "the answer was cut after 2 bytes",
        ),
        (then_close(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 257 + b"\r\n"), "the answer has more than 256 headers"),
    ],
)
def test_an_incomplete_answer_is_lost_with_a_reason(says: Any, words: str) -> None:
    with Wire(says) as wire:
        lost = exchange(Upstream(wire.url), bulk())
    assert isinstance(lost, Lost)
    assert (lost.reason, lost.reached) == (words, True)


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


def test_an_answer_that_does_not_come_in_time_is_lost() -> None:
    done = threading.Event()
    with Wire(lambda *_: assert_set(done)) as wire:
        lost = exchange(Upstream(wire.url, bounds=Bounds(exchange_s=0.05)), bulk())
        done.set()
    assert lost == Lost("no answer in time", reached=True)


def test_a_missing_target_is_reported() -> None:
    with Wire(ok()) as wire:
        url = wire.url
    lost = exchange(Upstream(url), get("/"))
    assert isinstance(lost, Lost)
    assert (lost.reason, lost.reached) == ("cannot connect: Connection refused", False)
    unknown = exchange(Upstream("http://no-such-host.invalid"), get("/"))
    assert isinstance(unknown, Lost)
    assert unknown.reason.startswith("cannot connect: the host is not known")


def test_a_kept_connection_is_used_again_and_a_read_survives_that_it_was_closed() -> None:
    closed = threading.Event()

    def answer_then_close(connection: socket.socket, _: bytes) -> None:
        connection.sendall(ok())
        hang_up(connection)
        closed.set()

    with Wire(ok(), answer_then_close, ok()) as wire:
        upstream = Upstream(wire.url)
        assert isinstance(exchange(upstream, get("/")), Answer)
        assert isinstance(exchange(upstream, get("/")), Answer)
        assert wire.connections == 1
        assert closed.wait(20)
        assert isinstance(exchange(upstream, bulk()), Answer)
    assert wire.connections == 2


def test_a_connection_is_not_used_again_after_a_5xx_since_the_server_may_close_it_without_notice() -> None:
    failed = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    with Wire(ok(), failed, ok()) as wire:
        upstream = Upstream(wire.url)
        for _ in range(3):
            exchange(upstream, bulk())
    assert wire.connections == 2


def test_a_read_that_was_cut_on_a_kept_connection_is_sent_again_and_a_write_is_not() -> None:
    with Wire(ok(), close, ok(), close, ok()) as wire:
        upstream = Upstream(wire.url)
        exchange(upstream, get("/"))
        assert isinstance(exchange(upstream, get("/")), Answer)
        lost = exchange(upstream, bulk())
    assert lost == Lost("the connection was closed without an answer", reached=True, was_cut=True)
    assert len(wire.requests) == 4


def test_a_read_that_is_cut_on_a_new_connection_is_lost() -> None:
    with Wire(close) as wire:
        assert isinstance(exchange(Upstream(wire.url), get("/")), Lost)
    assert len(wire.requests) == 1


def test_a_write_goes_over_no_connection_that_was_idle_for_long() -> None:
    with Wire(ok()) as wire:
        upstream = Upstream(wire.url)
        exchange(upstream, get("/"))
        upstream._idle[0].used_at -= 60
        exchange(upstream, get("/"))
        assert wire.connections == 1
        upstream._idle[0].used_at -= 60
        exchange(upstream, bulk())
        exchange(upstream, bulk())
    assert wire.connections == 2


def test_closing_cuts_requests_in_flight_and_sends_nothing_afterwards() -> None:
    arrived, done = threading.Event(), threading.Event()
    outcomes: list[Answer | Lost] = []

    def hold(*_: object) -> None:
        arrived.set()
        done.wait(20)

    with Wire(ok(), hold) as wire:
        upstream = Upstream(wire.url)
        lines = [upstream.connection(for_write=False) for _ in range(2)]
        for line in lines:
            upstream.exchange(get("/"), str, line) if line is lines[0] else None
        waiting = threading.Thread(target=lambda: outcomes.append(exchange(upstream, bulk())))
        waiting.start()
        assert arrived.wait(20)
        upstream.close()
        waiting.join(20)
        after = exchange(upstream, get("/"))
        done.set()
    assert [type(each) for each in outcomes] == [Lost]
    assert after == Lost("cannot connect: the guard is closed", reached=False)


def test_tls_is_verified_and_a_ca_bundle_makes_it_trusted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with Wire(ok(), context=context) as wire:
        lost = exchange(Upstream(wire.url), get("/"))
        assert isinstance(lost, Lost)
        assert (lost.reason, lost.reached) == (
            "cannot connect: the certificate is not trusted: self-signed certificate",
            False,
        )
        upstream = Upstream(wire.url, ca_bundle=str(CERTIFICATE))
        for _ in range(2):
            assert isinstance(exchange(upstream, bulk()), Answer)
    assert len(wire.requests) == 2


def tunnel(wire: Wire) -> Any:
    """What a proxy does at CONNECT: it says 200, and then passes on what either side says."""

    def say(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there = socket.create_connection(("127.0.0.1", wire.port))
        threading.Thread(target=pour, args=(there, connection), daemon=True).start()
        pour(connection, there)

    return say


def pour(source: socket.socket, into: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            into.sendall(some)


def test_a_proxy_learns_only_the_name_of_the_target() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with Wire(ok(b"through"), context=context) as wire, Wire(tunnel(wire)) as proxy:
        url = f"https://localhost:{wire.port}"
        upstream = Upstream(url, ca_bundle=str(CERTIFICATE), proxy=f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        answers = [exchange(upstream, get("/v1/runs", authorization="Bearer secret")) for _ in range(2)]
        upstream.close()
    assert [each.body for each in answers if isinstance(each, Answer)] == [b"through"] * 2
    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith(b"CONNECT localhost:%d HTTP/1." % wire.port)
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.requests[0]
    assert b"secret" not in proxy.requests[0]
    assert wire.requests[0].startswith(b"GET /v1/runs HTTP/1.1\r\nHost: localhost")


def test_a_proxy_that_refuses_is_named_as_such() -> None:
    with Wire(then_close(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as proxy:
        lost = exchange(Upstream("https://localhost:1", proxy=proxy.url), get("/"))
    assert lost == Lost("cannot connect: the proxy refuses: 407 Proxy Authentication Required", reached=False)


def test_a_proxy_that_is_not_there_is_named() -> None:
    lost = exchange(Upstream("https://runs.example.test", proxy="http://127.0.0.1:1"), get("/"))
    assert lost == Lost("cannot connect: the proxy 127.0.0.1:1 of HTTPS_PROXY: Connection refused", reached=False)


@pytest.mark.parametrize("value", ["ftp://proxy.test", "http://", "http://proxy.test:x", "socks5://proxy.test:1080"])
def test_a_proxy_that_cannot_be_used_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(CouldNotCheck, match="http://HOST:PORT"):
        proxy_for("https://runs.example.test")


def test_a_proxy_reads_no_token_that_goes_over_http() -> None:
    with Wire(ok()) as wire, Wire(ok()) as proxy:
        assert isinstance(exchange(Upstream(wire.url, proxy=proxy.url), get("/")), Answer)
    assert (len(wire.requests), proxy.requests) == (1, [])


def test_the_environment_names_the_proxy_but_for_loopback_and_what_it_excepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test")
    assert proxy_for("https://runs.example.test") == "http://proxy.test:3128"
    assert proxy_for("https://inside.test") is None
    assert proxy_for("https://127.0.0.1:4010") is None
    assert proxy_for("http://runs.example.test") is None
    monkeypatch.setenv("https_proxy", "proxy.test:3128")
    assert proxy_for("https://runs.example.test") == "http://proxy.test:3128"


def test_an_answer_to_a_body_that_was_not_read_to_its_end_is_an_answer() -> None:
    answered = threading.Event()

    def answer_at_once(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        answered.set()

    with Wire(answer_at_once, ok()) as wire:
        upstream = Upstream(wire.url)
        line = upstream.connection(for_write=True)
        line.open()
        send = line.send

        def broken_pipe(_: object) -> None:
            send(b"POST / HTTP/1.1\r\n\r\n")
            assert answered.wait(20)
            raise Cut

        line.send = broken_pipe  # type: ignore[method-assign]
        answer = upstream.exchange(bulk(), str, line)
        assert isinstance(answer, Answer)
        assert answer.status == 413
        assert isinstance(exchange(upstream, get("/")), Answer)
    assert wire.connections == 2


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x", "http://user:word@host"])
def test_a_url_that_is_not_of_a_server_cannot_be_checked(url: str) -> None:
    with pytest.raises(CouldNotCheck):
        Upstream(url)


def test_a_ca_bundle_that_cannot_be_used_is_reported_in_one_line(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    for _ in range(2):
        with pytest.raises(CouldNotCheck, match=r"bundle\.pem"):
            Upstream("https://x", ca_bundle=str(bundle))
        bundle.write_text("no certificate")


# Tokens


def test_a_placeholder_is_replaced_by_the_token_only_when_it_is_sent(guard: Guard, server: StandIn) -> None:
    for authorization in ("Bearer $TOKEN", "Bearer $SECOND_TOKEN", "Basic $TOKEN", "bearer  $TOKEN", "Bearer other"):
        guard.send(get("/v1/runs", authorization=authorization))
    guard.send(get("/v1/runs", authorization=None))
    assert [each.header("authorization") for each in server.received] == [
        f"Bearer {FIRST}",
        f"Bearer {SECOND}",
        f"Basic {FIRST}",
        f"bearer  {FIRST}",
        "Bearer other",
        None,
    ]
    assert [each.request.header("authorization") for each in guard.exchanges][:2] == [
        "Bearer $TOKEN",
        "Bearer $SECOND_TOKEN",
    ]


def test_a_placeholder_outside_of_the_authorization_is_not_replaced(guard: Guard, server: StandIn) -> None:
    guard.send(Request("POST", "/v1/runs/bulk?x=$TOKEN", (("X-Other", "Bearer $TOKEN"),), b'{"count": "$TOKEN"}'))
    [received] = server.received
    assert (received.target, received.header("x-other"), received.body) == (
        "/v1/runs/bulk?x=$TOKEN",
        "Bearer $TOKEN",
        b'{"count": "$TOKEN"}',
    )


def test_a_second_token_that_was_not_given_cannot_be_used(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(second_token=None)
    with pytest.raises(NotAllowed, match="second token"):
        guard.send(get("/v1/runs", authorization="Bearer $SECOND_TOKEN"))
    assert server.received == []


def test_tokens_are_masked_in_whatever_is_kept(guard: Guard, server: StandIn) -> None:
    def echo(received: Received) -> Reply:
        headers = (("X-Echo", f"you said {received.header('authorization')}"), ("Content-Type", "application/json"))
        return Reply(200, {"headers": dict(received.headers), "also": SECOND}, headers)

    server.meddle = echo
    sent = Request("POST", f"/v1/runs?t={FIRST}", (("Authorization", f"Bearer {FIRST}"),), f'"{SECOND}"'.encode())
    exchange = guard.send(sent)
    assert (server.received[0].target, server.received[0].body) == (sent.path, sent.body)
    assert FIRST not in repr(exchange)
    assert SECOND not in repr(exchange)
    assert exchange.request.header("authorization") == "Bearer $TOKEN"
    assert exchange.answer.header("x-echo") == "you said Bearer $TOKEN"
    assert exchange.answer.json()["also"] == "$SECOND_TOKEN"


def test_a_token_is_masked_in_the_forms_that_json_and_urls_give_it() -> None:
    token = 'secret/with"quotes+and/slashes'
    tokens = Tokens(token, None)
    assert tokens.mask_text('a secret/with\\"quotes+and/slashes b') == "a $TOKEN b"
    assert tokens.mask_text("secret%2Fwith%22quotes%2Band%2Fslashes") == "$TOKEN"
    assert tokens.insert_token("Bearer $TOKEN") == f"Bearer {token}"


def test_a_short_token_is_masked_only_after_bearer_so_that_no_answer_is_changed() -> None:
    tokens = Tokens("test", "testing")
    body = b'{"input_values": {"a": "test"}, "said": ["Bearer test", "Bearer testing"]}'
    assert tokens.mask_bytes(body) == (
        b'{"input_values": {"a": "test"}, "said": ["Bearer $TOKEN", "Bearer $SECOND_TOKEN"]}'
    )


def test_nothing_that_is_printed_shows_a_token(
    open_guard: OpenGuard, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guard = open_guard()
    server.meddle = lambda _: Reply(0)
    for request in (bulk(), get("/", authorization="Bearer $TOKEN\n")):
        with pytest.raises((NoAnswer, NotAllowed)) as caught:
            guard.send(request)
        error: BaseException | None = caught.value
        while error is not None:
            assert error.__traceback__ is not None
            frames = error.__traceback__.tb_next or error.__traceback__  # without the test's own
            told = traceback.TracebackException(type(error), error, frames, capture_locals=True)
            assert FIRST not in "".join(told.format(chain=False))
            error = error.__cause__ or error.__context__
    assert FIRST not in repr(guard) + repr(guard._tokens) + repr(guard.target) + repr(guard.exchanges) + caplog.text


def test_a_redirect_is_the_answer_and_is_followed_nowhere(guard: Guard, server: StandIn) -> None:
    with Wire(ok()) as elsewhere:
        server.meddle = lambda _: Reply(302, None, (("Location", elsewhere.url + "/v1/runs"),))
        exchange = guard.send(get("/v1/runs"))
    assert (exchange.answer.status, elsewhere.requests) == (302, [])


def test_the_log_of_exchanges_is_bounded_by_number_and_by_bytes_of_bodies_and_headers(
    open_guard: OpenGuard, server: StandIn
) -> None:
    guard = open_guard(bounds=Bounds(exchanges=3))
    for page in range(5):
        guard.send(get(f"/v1/runs?skip={page}"))
    assert [each.request.path[-1] for each in guard.exchanges] == ["2", "3", "4"]
    guard = open_guard(bounds=Bounds(recorded_bytes=1500))
    for reply in (Reply(200, b"x" * 800), Reply(200, None, (("X-Long", "x" * 800),)), Reply(200, b"x" * 800)):
        server.meddle = lambda _, reply=reply: reply  # type: ignore[misc]
        guard.send(get("/v1/runs"))
        assert len(guard.exchanges) == 1
    assert guard.spent.requests == 3
