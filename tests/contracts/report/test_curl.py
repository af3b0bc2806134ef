"""The commands of a report, run by a real shell: they send the bytes that the check sent."""

import base64
import json
import shutil
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Exchange, Request
from contracts.report.curl import curls
from tests.contracts.report.shell import recorder

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the commands need curl")

JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def server():
    with recorder() as kept:
        yield kept


def curl(request: Request, base_url: str) -> str:
    return curls([Exchange(request, Answer(200, (), b""))], base_url)[0]


def sent_by_shell(server, request: Request, shell: str = "bash"):
    server.run(curl(request, server.url), shell)
    return server.arrived.pop()


def test_a_create_is_one_command_with_the_token_left_to_the_shell():
    request = Request("POST", "/v1/runs/bulk", (("Authorization", TOKEN), JSON), b'{"count": 1}')
    assert curl(request, "http://127.0.0.1:4010") == (
        "curl -sS -i -X POST \\\n"
        "  'http://127.0.0.1:4010/v1/runs/bulk' \\\n"
        '  -H "Authorization: Bearer $TOKEN" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        "  --data-raw '{\"count\": 1}'"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"@/etc/hostname",
        b'{"text": "it\'s $HOME `id` \\\\ !! %s"}',
        '{"text": "grün 😀"}'.encode(),
        '{"text": "decomposed u\u0308"}'.encode(),
        b'{"text": "a\x00b"}',
        b"\xff\xfe\x00%d\\'1",
        b"\x01" + b"7",
        b"--not-an-option",
        b"line\nline\r\nline\n",
        b"\n",
        b'{"input_values": {"a": "' + b"x" * 100_000 + b'"}}',
        b'{"a":' * 64 + b"1" + b"}" * 64,
        b'{"a":' * 600 + b"1" + b"}" * 600,
        json.dumps({f"key-{n}": n for n in range(4000)}).encode(),
        b"\xff" * 1500,
        bytes(range(256)) * 700,
        b"'''" + b'"""' * 900 + b"\\" * 999,
    ],
    ids=lambda body: f"{body[:16]!r}({len(body)})",
)
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_every_body_arrives_byte_for_byte(server, body, shell):
    arrived = sent_by_shell(server, Request("POST", "/v1/runs", (("Authorization", TOKEN), JSON), body), shell)
    assert arrived.body == body
    assert arrived.header("Authorization") == "Bearer secret-a"
    assert arrived.header("Content-Type") == "application/json"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: json.dumps(t).encode())))
def test_any_body_arrives_byte_for_byte(server, body):
    assert sent_by_shell(server, Request("POST", "/v1/runs", (JSON,), body)).body == body


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30))
def test_any_header_value_arrives(server, value):
    assume("$TOKEN" not in value and "$SECOND_TOKEN" not in value)  # in a header those stand for the tokens
    arrived = sent_by_shell(server, Request("GET", "/v1/runs", (("X-Odd", value),)))
    sent = arrived.header("X-Odd")
    # White space around a value is no part of it (RFC 9110, 5.5); 0x85 and 0xa0 are among what str.strip takes.
    assert (sent or "").strip(" \t") == value.strip(" ")


def test_a_request_without_content_type_is_sent_without_one(server):
    assert sent_by_shell(server, Request("POST", "/v1/runs", (), b"{}")).header("Content-Type") is None


def test_an_empty_header_is_sent_empty(server):
    assert sent_by_shell(server, Request("GET", "/v1/runs", (("Authorization", ""),))).header("Authorization") == ""


def test_an_answer_that_may_be_compressed_is_shown_decoded(server):
    request = Request("GET", "/v1/runs", (("Accept-Encoding", "gzip;q=0.5"),))
    assert "--compressed" in curl(request, server.url)
    codings = [value for name, value in sent_by_shell(server, request).headers if name.lower() == "accept-encoding"]
    assert codings == ["gzip;q=0.5"]


def test_no_authorization_is_sent_where_there_was_none(server):
    assert sent_by_shell(server, Request("GET", "/v1/runs")).header("Authorization") is None


def test_the_second_organisation_has_its_own_token(server):
    arrived = sent_by_shell(server, Request("GET", "/v1/runs", (("Authorization", SECOND_TOKEN),)))
    assert arrived.header("Authorization") == "Bearer secret-b"


@pytest.mark.parametrize(("text", "sent"), [("$TOKEN:", b"secret-a:"), (":$SECOND_TOKEN", b":secret-b")])
def test_a_token_in_base64_is_encoded_by_the_shell(server, text, sent):
    request = Request("GET", "/v1/runs", (("Authorization", f"Basic base64({text})"),))

    server.run("\n".join(curls([Exchange(request, Answer(200, (), b""))] * 2, server.url)))

    arrived = [server.arrived.pop() for _ in range(2)]
    assert [one.header("Authorization") for one in arrived] == [f"Basic {base64.b64encode(sent).decode()}"] * 2


@pytest.mark.parametrize("value", ["Basic $TOKEN", 'Token "$TOKEN"', "bearer $TOKEN!", "Bearer  $TOKEN`id`"])
def test_another_scheme_with_the_token_is_expanded_and_nothing_else_is(server, value):
    arrived = sent_by_shell(server, Request("GET", "/v1/runs", (("Authorization", value),)))
    assert arrived.header("Authorization") == value.replace("$TOKEN", "secret-a")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs?search=it's&limit=1",
        "/v1/runs/../runs/x",
        "/v1/runs/%2e%2e/%00",
        "/v1/runs?fields[]=id&x={a,b}&y=[1-3]",
        "/v1/runs/$(id)`id`\\",
        "/v1/runs/.",
    ],
)
def test_every_path_arrives_as_it_is(server, path):
    assert sent_by_shell(server, Request("GET", path)).path == path


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "PUT"])
def test_every_method_arrives(server, method):
    assert sent_by_shell(server, Request(method, "/v1/runs")).method == method


def test_an_id_of_an_earlier_answer_is_carried_to_later_requests(server):
    first, again = "3c90c3cc-0d44-4b50-8888-8dd25736052a", "11111111-2222-4333-8444-555555555555"
    exchanges = [
        Exchange(
            Request("POST", "/v1/runs/bulk", (JSON,), b'{"count":1}'),
            Answer(201, (), json.dumps({"created_runs": [{"id": first, "status": "scheduling"}]}).encode()),
        ),
        Exchange(
            Request("PATCH", f"/v1/runs/{first}?x=1", (JSON,), f'{{"it\'s":"{first}","output_data":{{}}}}'.encode()),
            Answer(200, (), b"{}"),
        ),
        Exchange(Request("GET", f"/v1/runs/{first}"), Answer(200, (), b"{}")),
    ]
    server.answers.append(json.dumps({"created_runs": [{"id": again}]}).encode())
    printed = server.run("\n".join(curls(exchanges, server.url)))
    create, update, read = (server.arrived.pop(0) for _ in range(3))
    assert create.body == b'{"count":1}'
    assert update.path == f"/v1/runs/{again}?x=1"
    assert json.loads(update.body) == {"it's": again, "output_data": {}}
    assert read.path == f"/v1/runs/{again}"
    assert again in printed


@pytest.mark.parametrize("moment", ["2025-01-02T03:04:05.678901Z", "2025-01-02T03:04:05+05:30"])
def test_a_moment_of_an_earlier_answer_is_carried_to_a_later_query(server, moment):
    exchanges = [
        Exchange(Request("POST", "/v1/runs", (JSON,), b"{}"), Answer(201, (), json.dumps({"at": moment}).encode())),
        Exchange(Request("GET", f"/v1/runs?created_at_from={quote(moment, safe='')}&limit=1"), Answer(200, (), b"{}")),
    ]
    server.answers.append(json.dumps({"at": "2031-12-30T00:00:00+01:00"}).encode())

    server.run("\n".join(curls(exchanges, server.url)))

    _, listed = server.arrived.pop(-2), server.arrived.pop()
    assert listed.path == "/v1/runs?created_at_from=2031-12-30T00%3A00%3A00%2B01%3A00&limit=1"


def test_a_url_of_an_earlier_answer_is_followed(server):
    attachment = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    exchanges = [
        Exchange(
            Request("GET", f"/v1/run-attachments/{attachment}/download-url"),
            Answer(200, (), json.dumps({"url": f"{server.url}/signed/old?a=%20{attachment}"}).encode()),
        ),
        Exchange(Request("GET", f"/signed/old?a=%20{attachment}"), Answer(200, (), b"x")),
    ]
    server.answers.append(json.dumps({"url": f"{server.url}/signed/new?a=%25"}).encode())

    server.run("\n".join(curls(exchanges, server.url)))

    _, followed = server.arrived.pop(-2), server.arrived.pop()
    assert followed.path == "/signed/new?a=%25"


def test_a_known_id_is_not_taken_from_an_answer_that_repeats_it():
    workflow = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    body = json.dumps({"workflow_id": workflow}).encode()
    exchange = Exchange(Request("POST", "/v1/runs", (JSON,), body), Answer(201, (), body))
    assert all(workflow in command for command in curls([exchange, exchange], "http://127.0.0.1"))
    assert "ID_1" not in "".join(curls([exchange, exchange], "http://127.0.0.1"))


def test_a_made_up_idempotency_key_is_new_in_each_try_and_the_same_within(server):
    headers = (("Idempotency-Key", "contract-5f0c2a9b7e"), JSON)
    exchange = Exchange(Request("POST", "/v1/runs", headers, b"{}"), Answer(201, (), b"{}"))
    script = "\n".join(curls([exchange, exchange], server.url))
    server.run(script)
    first, second = (server.arrived.pop(0).header("Idempotency-Key") for _ in range(2))
    assert first == second
    assert first != "contract-5f0c2a9b7e"


def test_an_unusual_idempotency_key_is_kept(server):
    exchange = Exchange(Request("POST", "/v1/runs", (("Idempotency-Key", "ü"), JSON), b"{}"), Answer(201, (), b"{}"))
    server.run("\n".join(curls([exchange], server.url)))
    assert server.arrived.pop().header("Idempotency-Key") == "ü"


def test_an_answer_that_is_not_json_gives_no_ids():
    wanted = "11111111-2222-4333-8444-555555555555"
    exchanges = [
        Exchange(Request("GET", "/v1/runs"), Answer(200, (), b"<html>")),
        Exchange(Request("GET", f"/v1/runs/{wanted}"), Answer(200, (), b"{}")),
    ]
    assert wanted in curls(exchanges, "http://127.0.0.1")[1]


def test_a_long_body_stays_short_enough_to_paste():
    body = json.dumps({"input_values": {f"key-{n}": n for n in range(4000)}}).encode()
    text = json.dumps({"input_values": {"a": "x" * 100_000}}).encode()
    assert len(curl(Request("POST", "/v1/runs", (), body), "http://127.0.0.1")) < len(body) / 2
    assert len(curl(Request("POST", "/v1/runs", (), text), "http://127.0.0.1")) < 400
