"""What odd clients send, over a real socket: each gets a JSON answer that says what is wrong, and none a 5xx."""

import asyncio
import http.client
import json
import socket

import httpx
import pytest

from mockserver import Settings, create_app
from tests.mockserver.external.asgi import ask


@pytest.fixture
def client(mock, token):
    with httpx.Client(base_url=mock, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.mark.parametrize("moment", ["0", "0.5", "1700000000", "2024-01-01", "2024-01-01T00:00:00", "now"])
def test_a_date_time_in_a_query_is_read_by_the_letter(client, moment):
    answer = client.get("/v1/runs", params={"created_at_from": moment})

    assert answer.status_code == 422
    assert [violation["loc"] for violation in answer.json()["detail"]] == [["query", "created_at_from"]]


def test_a_number_or_a_flag_in_a_query_is_text_and_is_read_leniently(client):
    answer = client.get("/v1/runs", params={"limit": "5.0", "deep_search": "yes"})

    assert (answer.status_code, answer.json()["limit"]) == (200, 5)


# --- Bytes on the wire ------------------------------------------------------------------------------------------------


def spoken(url, *parts):
    """Status, headers and body of the one answer to these bytes."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def request(method, target, token, *headers, body=b""):
    # The first of two headers of one name counts.
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: x", *headers, b"Authorization: Bearer " + token.encode()]
    if body:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


A_RUN = b'{"workflow_id": "10000000-0000-4000-8000-000000000005"}'


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/runs HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/runs\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_json_answer(mock, sent):
    status, headers, body = spoken(mock, sent)

    assert (status, headers["content-type"], headers["connection"]) == (400, "application/json", "close")
    assert set(json.loads(body)) == {"detail"}


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade", b"UPGRADE "])
def test_an_offer_to_upgrade_to_http_2_does_not_cost_the_body(mock, token, name):
    offer = [b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAEAAEAAAAIAAAAA", name.strip() + b": h2c"]

    status, _, body = spoken(mock, request(b"POST", b"/v1/runs", token, *offer, body=A_RUN))

    assert status == 201
    assert json.loads(body)["workflow_id"] in A_RUN.decode()


def test_a_body_that_speaks_of_upgrades_comes_back_as_it_was_sent(client):
    words = {"text": "\r\n\r\nUpgrade: now\r\nupgrade: later", "UPGRADE": "upgrade: \n"}

    run = client.post("/v1/runs", json={"workflow_id": "10000000-0000-4000-8000-000000000001", "input_values": words})

    assert run.json()["input_values"] == words


def test_a_body_in_chunks_and_one_that_waits_for_100_continue_are_read(mock, token):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in A_RUN) + b"0\r\n\r\n"
    json_type = b"Content-Type: application/json"
    chunked = spoken(
        mock, request(b"POST", b"/v1/runs", token, json_type, b"Transfer-Encoding: chunked"), chunks[:50], chunks[50:]
    )
    waiting = spoken(mock, request(b"POST", b"/v1/runs", token, b"Expect: 100-continue", body=A_RUN))

    assert (chunked[0], waiting[0]) == (201, 201)


def test_a_body_past_the_limit_is_refused_before_it_is_sent(mock, token):
    length = b"Content-Length: 99999999999999"

    status, headers, body = spoken(mock, request(b"POST", b"/v1/runs", token, length, b"Expect: 100-continue"))

    assert (status, headers["content-type"]) == (413, "application/json")
    assert "33554432 bytes" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/runs/%00", 422),
        (b"/v1/runs/%zz", 422),
        (b"/v1/runs/%ff%fe", 422),
        (b"/v1/runs?search=%00%ff%", 200),
        (b"/v1/runs?search=" + b"a" * 60_000, 200),
        (b"/v1/runs?" + b"fields=error&" * 3_000, 200),
        (b"/v1/runs?skip=99999999999999999999999999", 200),
        (b"/v1/runs?limit=" + b"9" * 5_000, 422),
        (b"/v1/runs?created_at_from=0001-01-01T00:00:00%2B23:59", 200),
        (b"/v1/runs?created_at_to=9999-12-31T23:59:59-23:59", 200),
        (b"/v1/runs?__code=500", 500),
        (b"/v1/runs?__code=%ff", 400),
        (b"/__ns/%00/v1/runs", 200),
        (b"/__ns//v1/runs", 404),
        (b"/__downloads/%00/%ff/z?expires=99999999999999&signature=%ff", 404),
        (b"//v1/runs", 404),
        (b"*", 404),
    ],
)
def test_an_odd_target_is_answered_in_json(mock, token, target, status):
    answered, headers, body = spoken(mock, request(b"GET", target, token))

    assert (answered, headers["content-type"]) == (status, "application/json")
    assert json.loads(body).keys() >= ({"detail"} if status >= 400 else {"items"})


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Idempotency-Key: \xff\xfe", 201),
        (b"Idempotency-Key: a\tb", 201),
        (b"Idempotency-Key: " + b"k" * 60_000, 422),
        (b'Prefer: ;;;===,,,"', 201),
        (b"Prefer: \xff=\xff; code=\xb2", 201),
        (b"Prefer: code=500", 500),
        (b"Prefer: code=-1", 400),
        (b"Prefer: code=600", 400),
        (b'Prefer: example="\\"\xe9"', 400),
        (b"Prefer: duration=9999999999", 400),
        (b"Prefer: delay=301", 400),
        (b"Prefer: outcome=bliss", 400),
        (b"X-Big: " + b"a" * 60_000, 201),
        (b"X-Big: " + b"a" * 100_000, 431),
        (b"Expect: miracles", 201),
        (b"Authorization: Bearer \xff", 401),
    ],
)
def test_an_odd_header_is_answered_in_json(mock, token, header, status):
    answered, headers, body = spoken(mock, request(b"POST", b"/v1/runs", token, header, body=A_RUN))

    assert (answered, headers["content-type"]) == (status, "application/json")
    assert json.loads(body).keys() >= ({"detail"} if status >= 400 else {"id", "status"})


ODD_TEXTS = {
    "a lone surrogate": rb'{"a": "\ud800"}',
    "a lone surrogate as a name": rb'{"\ud800": 1}',
    "NUL and controls": rb'{"\u0000": "\u0000\u001f\u007f"}',
    "an integer of 4,000 digits": b'{"a": %b}' % (b"9" * 4_000),
    "numbers written in odd ways": b'{"a": -0.0, "b": 1E5, "c": 0.1e-7, "d": 123456789012345678901234567890}',
    "nesting of 250": b'{"a": %b%b}' % (b"[" * 250, b"]" * 250),
    "20,000 names": json.dumps({str(number): number for number in range(20_000)}).encode(),
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_values_come_back_as_they_were_sent_and_break_no_list(client, text):
    body = b'{"workflow_id": "10000000-0000-4000-8000-000000000001", "input_values": %b}' % text
    made = client.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    listed = client.get("/v1/runs", params={"search": "zebra", "deep_search": "true"})
    page = client.get("/v1/runs")

    assert (made.status_code, listed.status_code, page.status_code) == (201, 200, 200)
    sent = json.loads(text)
    for values in (json.loads(made.content)["input_values"], json.loads(page.content)["items"][0]["input_values"]):
        assert values == sent
        assert [type(value) for value in values.values()] == [type(value) for value in sent.values()]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"input_values": {"a": %b}}' % (b"9" * 5_000), 400),
        (b'{"workflow_id": "10000000-0000-4000-8000-000000000001", "input_values": {"a": 1e400}}', 422),
        (b"NaN", 422),
        (b"\xff", 400),
        (b"\x00" * 10, 400),
        (b"{} {}", 422),
    ],
)
def test_a_body_that_cannot_be_kept_is_refused_in_json(client, body, status):
    answer = client.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["detail"]
    assert client.get("/v1/runs").json()["total"] == 0


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PROPFIND", "QUERY"])
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/bulk", "/nope"])
def test_every_method_on_every_path_is_answered_as_it_should_be(client, method, path):
    answer = client.request(method, path)

    known, readable = path != "/nope", path == "/v1/runs"
    if method == "OPTIONS" and known:
        assert (answer.status_code, answer.content) == (204, b"")
    elif method == "HEAD" and readable:
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
    else:
        assert answer.status_code == (405 if known else 404)
        assert method == "HEAD" or answer.json() == {"detail": "Method Not Allowed" if known else "Not Found"}
    if known and answer.status_code in (204, 405):
        assert answer.headers["allow"] == ("GET, HEAD, OPTIONS, POST" if readable else "OPTIONS, POST")


def test_a_preflight_is_answered_and_a_refused_one_says_so_in_json(serve):
    url = serve("--cors-origin", "http://page.example")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Idempotency-Key, Prefer"}

    allowed = httpx.options(f"{url}/v1/runs", headers={"Origin": "http://page.example", **asked})
    refused = httpx.options(f"{url}/v1/runs", headers={"Origin": "http://evil.example", **asked})

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "http://page.example"
    assert refused.status_code == 400
    assert "--cors-origin http://evil.example" in refused.json()["detail"]
    assert "access-control-allow-origin" not in refused.headers


def test_an_answer_that_cannot_be_made_up_is_refused_with_the_place_in_the_document(tmp_path):
    schema = {"type": "string", "pattern": "^a+$"}
    answer = {"description": "Some", "content": {"application/json": {"schema": schema}}}
    operation = {"operationId": "some", "responses": {"200": answer}}
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/some": {"get": operation}}}
    (tmp_path / "own.json").write_text(json.dumps(document))

    answered = asyncio.run(ask(create_app(Settings(spec=tmp_path / "own.json")), "GET", "/some", [], b""))

    assert answered.status == 400
    assert "own.json: #/paths/~1some/get/responses/200" in json.loads(answered.body)["detail"]
