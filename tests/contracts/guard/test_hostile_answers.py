"""Every hostile behaviour against the guard's own client: an answer, or words that say what was wrong with it."""

from __future__ import annotations

import dataclasses
import re
import ssl
import tracemalloc
from pathlib import Path

import pytest

from contracts.core.exchange import Answer
from contracts.guard.bounds import MEBIBYTE, Bounds
from contracts.guard.upstream import Lost, Upstream
from tests.contracts.guard.requests import get
from tests.contracts.guard.test_upstream import exchange
from tests.contracts.guard.wire import Wire, ok, then_close
from tests.hostile.servers import BEHAVIOURS, CERTIFICATE, HostileServer

SMALL = Bounds(
    connect_s=0.3, exchange_s=60, head_bytes=16_384, interim_answers=3, chunk_line_bytes=512, body_bytes=65_536
)
SHORT = dataclasses.replace(SMALL, exchange_s=0.3)

ENDLESS = {
    "endless_header_lines": "the answer has more than 256 headers",
    "endless_header_line": "the head of the answer is longer than it may be",
    "endless_status_line": "the head of the answer is longer than it may be",
    "endless_body": "the answer is larger than 65536 bytes",
    "endless_chunks": "the answer is larger than 65536 bytes",
    "endless_chunk_extension": "a chunk's size is longer than it may be",
    "endless_trailers": "the answer has more than 256 headers",
    "gzip_bomb": "the answer announces \\d+ bytes, more than the 65536 that are read",
    "json_bomb": "the answer announces 12000004 bytes, more than the 65536 that are read",
    "deep_json": "the answer announces 200000 bytes, more than the 65536 that are read",
    "informational_flood": r"more than 3 interim answers \(1xx\) came and no final one",
    "early_hints_flood": r"more than 3 interim answers \(1xx\) came and no final one",
}
SLOW = {
    "slow_head": "the head of the answer was not complete in time",
    "slow_body": "the answer was not complete in time: it stopped or was too slow after 1 of 60000 bytes",
    "length_too_long_and_silent": (
        "the answer was not complete in time: it stopped or was too slow after 2 of 1000 bytes"
    ),
    "silent": "no answer in time",
}
WRONG = {
    "negative_chunk": "the answer has a chunk of size '-5'",
    "length_too_long": "the answer was cut after 2 of 1000 bytes",
    "length_of_an_exabyte": "the answer announces 1000000000000000000 bytes, more than the 65536 that are read",
    "length_that_is_no_number": "the answer has Content-Length '-2', which is not a length",
    "two_lengths": "the answer has more than one Content-Length: 2, 3",
    "reset_in_the_head": "the answer was cut in its head: the connection was reset|the connection was reset",
    "reset_in_the_body": r"the answer was cut after \d+ of 1000 bytes, the connection was reset",
    "not_http": r"the answer is not HTTP: it begins with 'SSH-2.0-Open\\x1b\[31mSSH\\x1b\]0;title\\x07'",
    "binary": r"the answer is not HTTP: it begins with '\\x00\\x01.*'",
    "switching_protocols": "the answer is 101, though no other protocol was asked for",
    "closes_at_once": "the connection was closed without an answer",
    "hostile_text": r"the answer has a malformed header: 'X-\\x1b: no'",
    "tls_cut_in_the_answer": r"the answer was cut after 500 of 1000 bytes, TLS failed: .*",
    # Nothing may have come: what stands in the queue of a connection goes with its reset.
    "reset_in_a_tls_answer": r"the answer was cut .*reset|the connection was (reset|closed.*)",
}
NO_CONNECTION = {
    "silent_handshake": "cannot connect: the TLS handshake was not done within 0.3 s",
    "slow_handshake": "cannot connect: the TLS handshake was not done within 0.3 s",
    "reset_in_the_handshake": "cannot connect: (the TLS handshake was reset|TLS failed: .*)",
    "plain_text_in_the_handshake": r"cannot connect: TLS failed: wrong version number \(.* begins with http://\)",
}
ANSWERED = {
    "redirect_elsewhere": 307,
    "length_too_short": 200,
    "retry_after_a_year": 429,
    "unavailable_for_a_year": 503,
}


def lost(name: str, bounds: Bounds) -> Lost:
    with HostileServer(BEHAVIOURS[name]) as server:
        upstream = Upstream(server.url, ca_bundle=str(CERTIFICATE) if server.url[4] == "s" else None, bounds=bounds)
        outcome = exchange(upstream, get("/v1/runs"))
        upstream.close()
    assert isinstance(outcome, Lost)
    return outcome


def test_every_behaviour_is_tried() -> None:
    assert {*ENDLESS, *SLOW, *WRONG, *NO_CONNECTION, *ANSWERED} == BEHAVIOURS.keys()


@pytest.mark.parametrize(("name", "words"), [*ENDLESS.items(), *WRONG.items()])
def test_endless_or_invalid_answers_are_given_up_long_before_the_deadline(name: str, words: str) -> None:
    tracemalloc.start()
    try:
        outcome = lost(name, SMALL)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert re.fullmatch(words, outcome.reason), outcome.reason
    assert outcome.reached
    assert most < 32 * MEBIBYTE  # the server's own part is less than half of it


@pytest.mark.parametrize(("name", "words"), SLOW.items())
def test_a_slow_answer_is_given_up_at_the_deadline_however_steadily_bytes_arrive(name: str, words: str) -> None:
    outcome = lost(name, SHORT)
    assert re.fullmatch(words, outcome.reason), outcome.reason
    assert outcome.reached


@pytest.mark.parametrize(("name", "words"), NO_CONNECTION.items())
def test_a_connection_that_is_never_made_has_a_time_of_its_own_and_carries_nothing(name: str, words: str) -> None:
    outcome = lost(name, SMALL)
    assert re.fullmatch(words, outcome.reason), outcome.reason
    assert not outcome.reached


@pytest.mark.parametrize(("name", "status"), ANSWERED.items())
def test_unusual_answers_are_returned_and_redirects_not_followed(name: str, status: int) -> None:
    with HostileServer(BEHAVIOURS[name]) as server:
        upstream = Upstream(server.url)
        answers = [exchange(upstream, get("/v1/runs")) for _ in range(2)]
        upstream.close()
    assert [each.status for each in answers if isinstance(each, Answer)] == [status] * 2
    assert {request.split()[1] for request in server.requests} == {b"/v1/runs"}


def test_a_bomb_costs_no_more_than_may_be_read() -> None:
    with HostileServer(BEHAVIOURS["gzip_bomb"]) as server:
        outcome = exchange(Upstream(server.url, bounds=Bounds(body_bytes=8_000_000)), get("/"))
    assert outcome == Lost("the answer is larger than 8000000 bytes when unpacked", reached=True)


def test_json_of_more_values_than_may_be_is_given_up() -> None:
    with HostileServer(BEHAVIOURS["json_bomb"]) as server:
        outcome = exchange(Upstream(server.url), get("/"))
    assert outcome == Lost("the answer has more than 4000000 values as JSON", reached=True)


def test_unsolicited_bytes_after_an_answer_are_not_the_next_answer() -> None:
    with Wire(ok(b"{}") + ok(b'"smuggled"'), ok(b'"asked for"')) as wire:
        upstream = Upstream(wire.url)
        bodies = [exchange(upstream, get("/")) for _ in range(2)]
    assert [each.body for each in bodies if isinstance(each, Answer)] == [b"{}", b'"asked for"']
    assert wire.connections == 2


def test_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with Wire(hints + ok(b"{}")) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers) == (200, (("Content-Length", "2"),))


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b"HTTP/1.0 200\nA:1\nContent-Length:0\n\n", (("A", "1"), ("Content-Length", "0"))),
        (ok(b"", b"A: 1", b"  folded"), (("Content-Length", "0"), ("A", "1 folded"))),
        (ok(b"", b"Content-Length: 0"), (("Content-Length", "0"), ("Content-Length", "0"))),
    ],
)
def test_answers_of_old_servers_are_understood(raw: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    with Wire(then_close(raw)) as wire:
        answer = exchange(Upstream(wire.url), get("/"))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers) == (200, headers)


def test_a_tls_server_that_is_addressed_without_tls_is_recognised() -> None:
    with Wire(then_close(b"\x15\x03\x01\x00\x02\x02\x46\n")) as wire:
        outcome = exchange(Upstream(wire.url), get("/"))
    assert outcome == Lost("the answer is not HTTP: the server uses TLS, so its URL begins with https", reached=True)


def test_a_body_that_ends_with_its_tls_connection_is_whole_only_if_tls_was_closed_properly() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with Wire(then_close(b"HTTP/1.1 200 OK\r\n\r\nhalf"), context=context) as wire:
        outcome = exchange(Upstream(wire.url, ca_bundle=str(CERTIFICATE)), get("/"))
    assert outcome == Lost("the answer was cut after 4 bytes", reached=True)


def test_the_documented_table_is_the_one_in_the_code() -> None:
    document = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+)", document, flags=re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in table.items()} == {
        name: float(value) for name, value in dataclasses.asdict(Bounds()).items()
    }
