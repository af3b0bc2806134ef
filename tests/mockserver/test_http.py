"""HTTP as the mock speaks it, apart from what the operations mean."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest

from mockserver import Settings, create_app
from tests.mockserver.http11.wire import answers, exchange
from tests.mockserver.inprocess import SUCCEEDS, Mock, violations

_UNKNOWN = "e67a1534-2013-463c-800c-e6aa0d582f7f"
_PATHS = sorted({re.sub(r"\{\w+\}", _UNKNOWN, each.path) for each in create_app(Settings()).operations.values()})
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("path", _PATHS)
def test_what_allow_says_is_what_is_served(path: str):
    mock = Mock()
    allowed = mock.request("OPTIONS", path, token=None)
    assert (allowed.status_code, allowed.content) == (204, b"")
    methods = allowed.headers["allow"].split(", ")
    assert methods == sorted(methods)
    for method in _METHODS:
        answer = mock.request(method, path)
        assert (answer.status_code != 405) == (method in methods), method
        if answer.status_code == 405:
            assert answer.headers["allow"].split(", ") == methods
            assert answer.json() == {"detail": "Method Not Allowed"}
    assert ("HEAD" in methods) == ("GET" in methods)
    assert "OPTIONS" in methods


def test_an_unknown_method_is_not_allowed():
    assert Mock().request("BREW", "/v1/runs").status_code == 405
    assert Mock().request("HEAD", "/v1/runs/bulk").status_code == 405


@pytest.mark.parametrize("path", ["/v1/machines", "/v1/health", f"/v1/runs/{_UNKNOWN}", "/v1/none"])
def test_head_tells_what_get_tells_without_the_body(path: str):
    mock = Mock()
    head, get = mock.request("HEAD", path), mock.get(path)
    assert head.status_code == get.status_code
    assert dict(head.headers) == dict(get.headers)
    assert head.content == b""
    assert get.content


@pytest.mark.parametrize(
    "path", ["/v1", "/v2/runs", "/v1/none", "/v1/runs//", "/v1/runs/a/b/c", "/v1/RUNS", "/docs/x", "/v1/runs/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_an_unknown_path_is_a_404_in_json(method: str, path: str):
    answer = Mock().request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"detail": "Not Found"}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/runs", "; did you mean /v1/runs?"),
        ("/v1/run", "; did you mean /v1/runs?"),
        ("/v1/runs/", "; did you mean /v1/runs?"),
        ("/v1/v1/runs/bulk", "; did you mean /v1/runs/bulk?"),
        ("/v1/run/3c90c3cc-0d44-4b50-8888-8dd25736052a", "; did you mean /v1/runs/{run_id}?"),
        ("/runs/3c90c3cc-0d44-4b50-8888-8dd25736052a/retry", "; did you mean /v1/runs/{run_id}/retry?"),
        ("/nothing/like/it", ""),
        (f"/v1/{'run' * 400}", ""),
    ],
)
def test_an_unknown_path_is_told_with_the_one_that_may_be_meant(path: str, hint: str):
    answer = Mock().get(path)
    assert answer.json() == {"detail": "Not Found"}
    assert answer.headers["mock-warning"] == f"404: no operation has the path {path[:200]}{hint}"


@pytest.mark.parametrize("path", ["/__ns//v1/runs", "/__ns/a", "/__ns/", "/__ns", "/__nss/a/v1/runs"])
def test_a_path_that_names_no_namespace_is_told_how_to(path: str):
    answer = Mock().get(path)
    assert answer.status_code == 404
    hint = "; a path in a namespace begins with /__ns/NAME/"
    assert answer.headers["mock-warning"] == f"404: no operation has the path {path}{hint}"


def test_an_unknown_path_cannot_begin_a_line_of_its_own_where_it_is_told():
    warning = Mock().get("/v1/a%0D%0Ab").headers["mock-warning"]
    assert warning == r"404: no operation has the path '/v1/a\r\nb'"


def test_strictly_a_path_that_is_written_out_is_never_taken_for_an_id():
    answer = Mock().get("/v1/runs/bulk")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"


def test_leniently_a_read_of_bulk_asks_for_a_run_of_that_id_as_the_real_server_does():
    mock = Mock(coercion="lax")
    for path in ("/v1/runs/bulk", "/v1/runs/chain"):
        assert violations(mock.get(path)) == [(("path", "run_id"), "uuid_parsing")]
        assert violations(mock.delete(path)) == [(("path", "run_id"), "uuid_parsing")]
    refused = mock.request("PUT", "/v1/runs/bulk")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST"
    assert mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 1}).status_code == 201


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/v1/runs/", "/v1/runs"),
        ("/v1/runs/?limit=1&a=%20b", "/v1/runs?limit=1&a=%20b"),
        (f"/v1/runs/{_UNKNOWN}/", f"/v1/runs/{_UNKNOWN}"),
        ("/__ns/a%20b/v1/runs/", "/__ns/a%20b/v1/runs"),
        ("/v1/runs%2F", "/v1/runs"),
        ("/v1/runs/%2f%2F/?limit=1", "/v1/runs?limit=1"),
        (f"/v1/runs/{_UNKNOWN}%2F", f"/v1/runs/{_UNKNOWN}"),
    ],
)
def test_leniently_a_slash_too_many_is_redirected_with_the_query(asked: str, location: str):
    mock = Mock(coercion="lax")
    answer = mock.get(asked)
    assert (answer.status_code, answer.headers["location"]) == (307, location)
    assert mock.get(location).status_code in (200, 404, 422)


def test_leniently_a_slash_after_nothing_known_is_a_404():
    mock = Mock(coercion="lax")
    assert mock.get("/v1/none/").status_code == 404
    assert mock.get("/__ns/a/").status_code == 404


@pytest.mark.parametrize(
    ("name", "good", "bad", "status"),
    [
        ("Authorization", "Bearer test", "Bearer real", 401),
        ("Idempotency-Key", "k", "k" * 256, 422),
        ("Content-Type", "application/json", "text/plain", 422),
    ],
)
def test_of_a_repeated_header_the_first_one_counts(name: str, good: str, bad: str, status: int):
    mock, content = Mock(), json.dumps({"workflow_id": SUCCEEDS}).encode()

    def asked(*values: str) -> int:
        usual = {"Authorization": "Bearer test", "Content-Type": "application/json"}
        headers = [each for each in usual.items() if each[0] != name] + [(name, value) for value in values]
        return mock.post("/v1/runs", content=content, headers=headers, token=None).status_code

    assert (asked(good, bad), asked(bad, good)) == (201, status)


def test_a_body_larger_than_allowed_is_refused_by_its_length_before_it_is_read():
    mock = Mock(max_body=100)
    answer = mock.post("/v1/runs", content=b"x" * 101)
    assert (answer.status_code, answer.json()) == (413, {"detail": "The body is larger than 100 bytes"})


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/runs", 200), ("DELETE", "/v1/runs/{}", 204)])
def test_a_body_where_none_is_expected_is_passed_over(method: str, path: str, status: int):
    mock = Mock(max_body=200)
    run = mock.create(SUCCEEDS)
    answer = mock.request(method, path.format(run["id"]), content=b"x" * 201)
    assert answer.status_code == status


def test_a_body_that_grows_larger_than_allowed_is_refused_while_it_is_read():
    mock = Mock(max_body=100)
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 10

    answer = mock.post("/v1/runs", content=chunks())
    assert answer.status_code == 413
    assert sent < 20


@pytest.mark.parametrize(("size", "status"), [(100, 422), (101, 413)])
def test_a_chunked_body_that_comes_at_once_is_refused_too(size: int, status: int):
    head = "POST /v1/runs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer test\r\nTransfer-Encoding: chunked\r\n"
    request = f"{head}Content-Type: application/json\r\n\r\n{size:x}\r\n{'x' * size}\r\n0\r\n\r\n".encode()
    answered = answers(exchange(create_app(Settings(max_body=100)), request).written)
    assert [each for each, _ in answered] == [status]


def test_a_body_in_pieces_is_put_together():
    mock = Mock(max_body=200)
    text = b'{"workflow_id": "%s"}' % SUCCEEDS.encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield text[:9]
        yield text[9:]

    answer = mock.post("/v1/runs", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 201


def test_a_body_of_just_the_size_allowed_is_read():
    text = b'{"workflow_id": "%s"}' % SUCCEEDS.encode()
    how = {"content": text, "headers": {"content-type": "application/json"}}
    assert Mock(max_body=len(text)).post("/v1/runs", **how).status_code == 201
    assert Mock(max_body=len(text) - 1).post("/v1/runs", **how).status_code == 413


def test_a_client_that_goes_away_in_the_middle_of_its_body_gets_no_answer_and_creates_nothing():
    mock = Mock()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/runs",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer test-one"), (b"content-type", b"application/json")],
    }
    messages = [
        {"type": "http.request", "body": b'{"workflow', "more_body": True},
        {"type": "http.disconnect"},
    ]
    answered = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        answered.append(message)

    mock.run(mock.app(scope, receive, send))
    assert answered == []
    assert mock.total() == 0


def test_the_mock_speaks_no_websocket():
    mock = Mock()
    with pytest.raises(ValueError, match="speaks HTTP, not websocket"):
        mock.run(mock.app({"type": "websocket", "headers": []}, None, None))


def test_its_life_is_started_and_ended_as_asgi_wants():
    mock = Mock()
    said = []

    async def receive():
        return {}

    async def send(message):
        said.append(message["type"])

    mock.run(mock.app({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"", b"[]", b"nul"])
@pytest.mark.parametrize("coercion", ["strict", "lax"])
def test_what_is_no_such_json_is_told_in_the_words_of_the_spec(content: bytes, coercion: str):
    mock = Mock(coercion=coercion)
    answer = mock.post("/v1/runs", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["detail"]
