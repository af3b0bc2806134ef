"""`mockserver verify`: a gate for a client's CI, against a mock that is another process."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from click.testing import CliRunner, Result

from mockserver import journal_client
from mockserver.cli import main
from tests.mockserver.test_cli import serving

AUTH = {"Authorization": "Bearer test"}
_NAMES = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as (_, url):
        yield url


@pytest.fixture
def url(server: str) -> str:
    """A namespace of its own."""
    return f"{server}/__ns/{next(_NAMES)} ä"


def verify(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", url, *arguments])


def send_odd_requests(url: str) -> None:
    httpx.get(f"{url}/v1/machines", headers=AUTH)
    httpx.post(f"{url}/v1/runs/bulk", headers=AUTH, json={"count": 0})
    httpx.get(f"{url}/v1/runs?pagesize=3", headers=AUTH)
    httpx.get(f"{url}/v1/none", headers=AUTH)


def test_what_is_in_order_passes(url: str):
    httpx.get(f"{url}/v1/machines", headers=AUTH)
    result = verify(url, "--no-warnings", "--no-violations", "--at-least", "GET /v1/machines=1")
    assert (result.exit_code, result.output) == (0, "OK\n")


def test_violations_are_told_with_request_and_reason(url: str):
    send_odd_requests(url)
    result = verify(url, "--no-violations")
    assert result.exit_code == 1
    bulk, why_bulk, none, why_none, verdict = result.stdout.splitlines()
    assert "POST " in bulk
    assert "/v1/runs/bulk (request 2, 20" in bulk
    assert (
        why_bulk
        == "  violation: answered 422: body.workflow_id: Field required; body.count: Input should be greater than 0"
    )
    assert "/v1/none (request 4, 20" in none
    assert why_none == "  violation: answered 404: no operation has the path /v1/none"
    assert verdict == "FAILED: 2 requests"


def test_warnings_are_told_with_request(url: str):
    send_odd_requests(url)
    result = verify(url, "--no-warnings")
    assert result.exit_code == 1
    request, warning, verdict = result.stdout.splitlines()
    assert "/v1/runs (request 3, 20" in request
    assert warning.startswith("  warning: list_runs has no query parameter 'pagesize'")
    assert verdict == "FAILED: 1 request"


def test_a_refusal_by_the_state_is_no_violation(url: str):
    httpx.get(f"{url}/v1/runs/3c90c3cc-0d44-4b50-8888-8dd25736052a", headers=AUTH)
    assert verify(url, "--no-violations").exit_code == 0


def test_too_few_requests_fail(url: str):
    httpx.get(f"{url}/v1/machines", headers=AUTH)
    result = verify(url, "--at-least", "list_machines=2", "--at-least", "*=1")
    assert (result.exit_code, result.stdout) == (1, "list_machines: 1 request, expected at least 2\nFAILED: 1 count\n")


def test_all_pages_of_the_journal_are_read(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_client, "_PAGE", 2)
    httpx.get(f"{url}/v1/runs?pagesize=3", headers=AUTH)
    for _ in range(4):
        httpx.get(f"{url}/v1/machines", headers=AUTH)
    httpx.get(f"{url}/v1/none", headers=AUTH)
    result = verify(url, "--no-warnings", "--no-violations")
    assert [line for line in result.stdout.splitlines() if line.startswith("GET")] == [
        line for line in result.stdout.splitlines() if "(request 1," in line or "(request 6," in line
    ]
    assert result.stdout.count("(request ") == 2


@pytest.mark.parametrize("check", [("--no-violations",), ("--no-warnings",), ("--at-least", "*=1")])
def test_an_empty_journal_fails_whatever_is_checked(url: str, check: tuple[str, ...]):
    result = verify(url, *check)
    assert result.exit_code == 1
    assert f"No request came to {url}" in result.stdout
    assert result.stdout.endswith("FAILED: 1 count\n" if "--at-least" in check else "FAILED\n")


def test_an_empty_journal_passes_if_that_is_allowed(url: str):
    result = verify(url, "--no-warnings", "--allow-empty")
    assert (result.exit_code, result.stdout) == (0, "OK\n")
    assert f"No request came to {url}" in result.stderr


def test_with_an_empty_journal_it_is_told_where_requests_came():
    with serving() as (_, url):
        assert verify(url, "--no-violations").stdout.splitlines() == [
            f"No request came to {url}; --allow-empty accepts that",
            "FAILED",
        ]
        httpx.get(f"{url}/v1/machines", headers=AUTH)
        for _ in range(2):
            httpx.get(f"{url}/__ns/checkout/v1/machines", headers=AUTH)
        told = verify(f"{url}/__ns/chekout", "--no-violations").stdout.splitlines()[0]
        assert told.startswith(
            f"No request came to {url}/__ns/chekout, but requests came to {url}/__ns/checkout (2), {url} (1);"
        )


def test_what_had_to_go_cannot_be_checked_and_fails():
    with serving("--journal-bytes", "8000") as (_, url):
        for _ in range(20):
            httpx.get(f"{url}/v1/machines", headers=AUTH)
        for check in (["--no-warnings"], ["--no-violations"], ["--at-least", "list_machines=20"]):
            result = verify(url, *check)
            assert result.exit_code == 1
            assert "The journal is not complete: older requests were dropped" in result.stdout
        # What is there is enough.
        assert verify(url, "--at-least", "list_machines=1").exit_code == 0


def test_without_a_check_no_request_may_break_the_contract(url: str):
    httpx.get(f"{url}/v1/runs?pagesize=3", headers=AUTH)
    assert verify(url).exit_code == 0
    send_odd_requests(url)
    result = verify(url)
    assert (result.exit_code, result.stdout) == (1, verify(url, "--no-violations").stdout)


@pytest.mark.parametrize(
    ("url", "arguments", "said"),
    [
        ("localhost:4010", ["--no-warnings"], "invalid URL of a mock 'localhost:4010'; use http://127.0.0.1:4010"),
        ("http://127.0.0.1:port", ["--no-warnings"], "invalid URL of a mock"),
        ("http://127.0.0.1:4010/?a=b", ["--no-warnings"], "invalid URL of a mock"),
        ("http://\x01:4010", ["--no-warnings"], "invalid URL of a mock 'http://\\x01:4010': "),
        ("http://a b", ["--no-warnings"], "invalid URL of a mock 'http://a b': "),
        ("http://a..b:4010", ["--no-warnings"], "mockserver: no answer from http://a..b:4010: "),
        (
            "http://user:hunter2\u2100@h",
            ["--no-warnings"],
            "invalid URL of a mock 'http://***@h'; use http://127.0.0.1:4010",
        ),
        (
            "http://u:hunter2@[::1",
            ["--no-warnings"],
            "invalid URL of a mock 'http://***@[::1'; use http://127.0.0.1:4010",
        ),
        ("http://127.0.0.1:4010/__ns/", ["--no-warnings"], "use http://127.0.0.1:4010, or …/__ns/NAME"),
        ("http://127.0.0.1:4010/__ns//v1", ["--no-warnings"], "use http://127.0.0.1:4010, or …/__ns/NAME"),
        ("http://127.0.0.1:4010", ["--at-least", "list_runs"], "'list_runs' is not MATCH=N"),
        ("http://127.0.0.1:4010", ["--at-least", "list_runs=0"], "is not MATCH=N"),
        ("http://127.0.0.1:4010", ["--at-least", "=1"], "is not MATCH=N"),
        ("http://127.0.0.1:4010", ["--at-least", f"list_runs={'9' * 5_000}"], "is not MATCH=N"),
        ("http://127.0.0.1:4010", ["--timeout", "nan"], "should be above 0, and 3,600 seconds at most, not nan"),
        ("http://127.0.0.1:4010", ["--timeout", "0"], "should be above 0, and 3,600 seconds at most, not 0"),
    ],
)
def test_a_wrong_use_is_told(url: str, arguments: list[str], said: str):
    result = verify(url, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_match_that_is_none_is_told_with_the_one_that_may_be_meant(url: str):
    result = verify(url, "--at-least", "list_machnes=1")
    assert result.exit_code == 2
    assert "did you mean 'list_machines'?" in result.output
    result = verify(url, "--at-least", "POST /v1/run/bulk=1")
    assert result.exit_code == 2
    assert "no operation has the path '/v1/run/bulk': did you mean '/v1/runs/bulk'?" in result.output
    result = verify(url, "--at-least", "POST /v1/runs/bluk=1")
    assert result.exit_code == 2
    meant = "no operation is 'POST /v1/runs/bluk': did you mean 'POST /v1/runs/bulk'?"
    assert result.output == f"mockserver: --at-least: {meant}\n"


def test_a_match_that_no_operation_has_is_counted_with_a_hint(url: str):
    httpx.get(f"{url}/v2/reports", headers=AUTH)
    assert verify(url, "--at-least", "GET /v2/reports=1").exit_code == 0
    result = verify(url, "--at-least", "GET /v2/exports=1")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "GET /v2/exports: 0 requests, expected at least 1",
            "  no operation has GET '/v2/exports'; only a request that the API refuses can match",
            "FAILED: 1 count",
        ],
    )


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/__admin", "/__admin/"])
def test_any_url_of_the_mock_will_do(url: str, end: str):
    httpx.get(f"{url}/v1/machines", headers=AUTH)
    assert verify(f"{url}{end}", "--no-violations").exit_code == 0


def test_nobody_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = verify(f"http://127.0.0.1:{port}", "--no-warnings")
    assert result.exit_code == 2
    assert f"no answer from http://127.0.0.1:{port}: Connection refused; is the mock running there?" in result.output


def test_a_server_that_does_not_answer_is_not_waited_for_in_silence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mockserver.commands.verify._SILENCE_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = verify(url, "--timeout", "0.5")
    assert (result.exit_code, result.stdout) == (2, "")
    waiting, failed = result.stderr.splitlines()
    assert waiting == f"mockserver: waiting for {url}, up to 0.5 s"
    assert failed == f"mockserver: no answer from {url} within 0.5 s: is it a mock? --timeout waits longer"


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:s3cret@127.0.0.1:{port}",
        "http://s3cret@127.0.0.1:{port}/__ns/a@b",
        "http://ada:x@s3cret@127.0.0.1:{port}",
        "http://ada:x/s3cret@127.0.0.1:{port}",
        "http://ada:s3cret@127.0.0.1:port",
        "http://ada:s3cret@127.0.0.1?a=b",
        "ada:s3cret@127.0.0.1",
        "http://ada:s3\ncret@127.0.0.1?",
    ],
)
def test_a_password_in_the_url_is_not_shown(url: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = verify(url.format(port=port), "--no-warnings")
    assert result.exit_code == 2
    assert "***@" in result.output
    assert "cret" not in result.output


def test_a_url_with_a_password_will_do_too(url: str):
    with_password = url.replace("http://", "http://ada:s3cret@")
    result = verify(with_password, "--no-warnings")
    assert result.exit_code == 1
    assert f"No request came to {url.replace('http://', 'http://***@')}" in result.output
    httpx.get(f"{url}/v1/machines", headers=AUTH)
    assert verify(with_password, "--no-warnings").exit_code == 0


def test_a_control_api_that_is_off_and_a_journal_that_is_not_kept_are_told():
    with serving("--no-admin") as (_, url):
        result = verify(url, "--no-warnings")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "has no control API (404): it is not a mock, or was started with --no-admin" in result.stderr
    with serving("--journal-bytes", "0") as (_, url):
        result = verify(url, "--no-warnings")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "keeps no journal: start it without --journal-bytes 0" in result.stderr


def test_the_token_of_the_control_api_is_given_by_flag_or_variable():
    with serving("--admin-token", "sesame") as (_, url):
        for token, said in (([], "requires the header"), (["--admin-token", "wrong"], "Wrong token")):
            result = verify(url, "--no-warnings", *token)
            assert result.exit_code == 2
            assert said in result.output
            assert "give it with --admin-token or MOCKSERVER_ADMIN_TOKEN" in result.output
        httpx.get(f"{url}/v1/machines", headers=AUTH)
        assert verify(url, "--no-warnings", "--admin-token", "sesame").exit_code == 0
        told = CliRunner().invoke(main, ["verify", url, "--no-warnings"], env={"MOCKSERVER_ADMIN_TOKEN": "sesame"})
        assert told.exit_code == 0


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """A server that gives one answer, and its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(answer: bytes) -> str:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    with listener:
        yield start


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html", "has no control API (200)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test\r\nContent-Length: 0\r\n\r\n", "no control API (302)"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"name": "other"}'[:-1], "has no control API (200)"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"name": "other"}', "is not a mock of this kind"),
        (b"220 mail ESMTP\x1b[2J\r\n", "mail ESMTP\ufffd[2J; is the mock running there?"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, "has no control API (200)"),
    ],
)
def test_what_is_no_mock_is_told(answering: Callable[[bytes], str], answer: bytes, said: str):
    result = verify(answering(answer), "--no-warnings")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("part", "pause_s", "said"),
    [(b" " * 65_536, 0.0, "is not a mock of this kind"), (b" ", 0.05, "within 0.5 s: is it a mock?")],
)
def test_an_answer_without_an_end_is_given_up(part: bytes, pause_s: float, said: str):
    is_over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not is_over.wait(pause_s):
                connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        result = verify(f"http://127.0.0.1:{listener.getsockname()[1]}", "--timeout", "0.5")
        is_over.set()
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_path_cannot_write_lines_of_its_own(url: str):
    httpx.get(f"{url}/v1/x%0AOK%1b[31m")
    result = verify(url, "--no-violations")
    assert "\nOK" not in result.stdout
    assert "\x1b" not in result.stdout


def test_a_page_of_the_journal_is_what_came_before_a_request(url: str):
    for _ in range(5):
        httpx.get(f"{url}/v1/machines", headers=AUTH)
    page = json.loads(httpx.get(f"{url}/__admin/requests?limit=2&before=4").content)
    assert [item["seq"] for item in page["items"]] == [2, 3]
    assert page["total"] == 3


@pytest.mark.parametrize("token", ["s\u00e9same", "\u20ac", "ses ame", "sesame\n"])
def test_a_token_that_no_mock_can_have_is_refused(token: str):
    result = verify("http://127.0.0.1:1", "--no-warnings", "--admin-token", token)
    assert result.exit_code == 2
    assert "the token of the control API has blanks or unusual characters in it" in result.output
    assert token not in result.output
