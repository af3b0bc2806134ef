"""The guard's loopback front: what comes in goes out as it came, and what does not is marked."""

from __future__ import annotations

import http.client
import socket
import threading
import uuid
from urllib.parse import urlsplit

import pytest

from contracts.core.exchange import TOKEN, Request
from contracts.core.target import Budget
from contracts.guard import Guard
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.standin import CUT, FIRST, Received, Reply, StandIn
from tests.contracts.guard.wire import Wire

MARK = "X-Contracts-Guard"


def through(
    guard: Guard,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (("Authorization", TOKEN),),
) -> tuple[http.client.HTTPResponse, bytes]:
    """As any client would that knows only the proxy's URL."""
    parts = urlsplit(guard.proxy.url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    line._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
    line.putrequest(method, parts.path + path, skip_accept_encoding=True)
    for name, value in headers:
        line.putheader(name, value)
    if body is not None:
        line.putheader("Content-Length", str(len(body)))
    line.endheaders(body)
    response = line.getresponse()
    return response, response.read()


def test_a_request_passes_unchanged_except_for_hop_by_hop_headers(guard: Guard, server: StandIn) -> None:
    path = "/v1//runs/%2e%2E/a%2Fb;c=%zz?q=%20&q=+&Q[]={}|"
    headers = (
        ("Authorization", TOKEN),
        ("X-B", "2"),
        ("x-a", "\xe9"),
        ("X-B", "3"),
        ("Accept-Encoding", "gzip, br"),
        ("Connection", "keep-alive"),
    )
    through(guard, "PUT", path, b"\x00\xffbody", headers)
    [received] = server.received
    assert (received.method, received.target, received.body) == ("PUT", path, b"\x00\xffbody")
    assert [(n.lower(), v) for n, v in received.headers] == [
        ("host", f"127.0.0.1:{urlsplit(server.url).port}"),
        ("authorization", f"Bearer {FIRST}"),
        ("x-b", "2"),
        ("x-a", "\xe9"),
        ("x-b", "3"),
        ("user-agent", "cyberdesk-contracts"),
        ("accept-encoding", "identity"),
        ("content-length", "6"),
    ]
    recorded = guard.exchanges[-1].request
    assert recorded.headers == (("authorization", TOKEN), ("x-b", "2"), ("x-a", "\xe9"), ("x-b", "3"))


def test_an_answer_comes_back_as_it_came(guard: Guard, server: StandIn) -> None:
    headers = (("X-A", "1"), ("X-A", "\xe9"), ("Set-Cookie", "a=b"), (MARK, "forged"), ("Date", "then"))
    server.meddle = lambda _: Reply(299, b"\x00\xff\x1f\x8b", headers)
    response, body = through(guard, "GET", "/v1/runs")
    assert (response.status, body) == (299, b"\x00\xff\x1f\x8b")
    assert [(n.lower(), v) for n, v in response.getheaders()] == [
        ("x-a", "1"),
        ("x-a", "\xe9"),
        ("set-cookie", "a=b"),
        ("date", "then"),
        ("content-length", "4"),
    ]


def test_invalid_answers_do_not_stop_the_proxy(open_guard: OpenGuard) -> None:
    told = b"HTTP/1.1 200 OK\r\nX-Odd: a\x00b\x1b[2J\r\nContent-Length: 999\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Wire(told + b"2\r\n{}\r\n0\r\n\r\n") as wire:
        response, body = through(open_guard(url=wire.url), "GET", "/v1/runs")
    assert (response.status, body, response.getheader("x-odd")) == (200, b"{}", "a b [2J")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "FROB"])
def test_any_method_passes(guard: Guard, server: StandIn, method: str) -> None:
    server.meddle = lambda _: Reply(200, b"x")
    response, body = through(guard, method, "/v1/runs/not-a-uuid")
    assert (response.status, server.received[-1].method) == (200, method)
    assert (body, response.getheader("content-length")) == (b"" if method == "HEAD" else b"x", "1")


def test_an_answer_without_a_body_stays_without(guard: Guard, server: StandIn) -> None:
    server.meddle = lambda _: Reply(204, None, ())
    response, body = through(guard, "GET", "/v1/runs")
    assert (response.status, body, response.getheader("content-length")) == (204, b"", None)


def test_no_authorization_and_a_made_up_one_pass_as_they_are(guard: Guard, server: StandIn) -> None:
    through(guard, "GET", "/v1/runs", headers=())
    through(guard, "GET", "/v1/runs", headers=(("Authorization", "Bearer made up"),))
    assert [each.header("authorization") for each in server.received] == [None, "Bearer made up"]


def test_a_real_token_passes_and_is_known_and_masked_as_what_it_is(guard: Guard, server: StandIn) -> None:
    body = b'{"workflow_id": "x", "count": 2}'
    response, _ = through(guard, "POST", "/v1/runs/bulk", body, (("Authorization", f"Bearer {FIRST}"),))
    assert response.status == 201
    assert guard.exchanges[-1].request.header("authorization") == TOKEN
    assert guard._journal.record.runs == dict.fromkeys(guard.ownership.runs, "first")


def test_a_refused_request_gets_a_marked_answer(open_guard: OpenGuard, server: StandIn) -> None:
    guard = open_guard(budget=Budget(max_runs=5))
    theirs = server.add_run()
    refused, said = through(guard, "DELETE", f"/v1/runs/{theirs}")
    assert (refused.status, refused.getheader(MARK)) == (403, "refused; NotOwned")
    assert theirs.encode() in said
    broke, _ = through(guard, "POST", "/v1/runs/bulk", b'{"count": 1000}')
    assert (broke.status, broke.getheader(MARK)) == (403, "refused; OutOfBudget")
    assert server.received == []


def test_a_request_without_an_answer_gets_a_marked_one(guard: Guard, server: StandIn) -> None:
    server.meddle = lambda _: CUT
    response, _ = through(guard, "GET", "/v1/runs")
    assert (response.status, response.getheader(MARK)) == (502, "no-answer")


def test_a_fault_of_the_guards_own_is_marked_too(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    url = guard.proxy.url
    monkeypatch.setattr(guard._proxy, "_send", lambda _: 1 / 0)
    response, said = through(guard, "GET", "/v1/runs")
    assert url == guard.proxy.url
    assert (response.status, response.getheader(MARK)) == (502, "fault")
    assert b"ZeroDivisionError" in said


def test_other_processes_of_this_machine_cannot_use_the_token(guard: Guard, server: StandIn) -> None:
    parts = urlsplit(guard.proxy.url)
    for path in ("/v1/runs", "/", parts.path[:-1] + "/v1/runs", parts.path + "x/v1/runs"):
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        line.request("GET", path, headers={"Authorization": TOKEN})
        response = line.getresponse()
        assert (response.status, response.getheader(MARK)) == (403, "refused")
    assert server.received == []


def test_many_clients_at_once_are_served_at_once(guard: Guard, server: StandIn) -> None:
    together = threading.Barrier(8)

    def wait_for_the_others(received: Received) -> Reply | None:
        together.wait(timeout=20)
        return None

    server.meddle = wait_for_the_others
    statuses: list[int] = []
    body = b'{"workflow_id": "%s", "count": 3}' % str(uuid.uuid4()).encode()
    clients = [
        threading.Thread(target=lambda: statuses.append(through(guard, "POST", "/v1/runs/bulk", body)[0].status))
        for _ in range(8)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(20)
    assert statuses == [201] * 8
    assert (len(guard.ownership.runs), guard.spent.requests) == (24, 8)


def test_the_proxy_ends_with_the_guard_though_a_request_is_on_its_way(
    open_guard: OpenGuard, server: StandIn, guard: Guard
) -> None:
    arrived, done = threading.Event(), threading.Event()

    def hold(_: Received) -> Reply | None:
        arrived.set()
        done.wait(20)
        return None

    server.meddle = hold
    parts = urlsplit(guard.proxy.url)
    client = socket.create_connection((parts.hostname, parts.port), timeout=20)
    client.sendall(f"GET {parts.path}/v1/runs HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert arrived.wait(20)
    guard.__exit__(None, None, None)
    done.set()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((parts.hostname, parts.port), timeout=20)
    client.close()


def test_it_keeps_its_own_exchanges_until_they_are_taken(guard: Guard, server: StandIn) -> None:
    through(guard, "GET", "/v1/runs?skip=1")
    guard.send(Request("GET", "/v1/runs?skip=2", (("Authorization", TOKEN),)))
    through(guard, "GET", "/v1/runs?skip=3")

    assert guard.proxy.forwarded == 2
    assert [one.request.path for one in guard.proxy.take_exchanges()] == ["/v1/runs?skip=1", "/v1/runs?skip=3"]
    assert guard.proxy.forwarded == 0
