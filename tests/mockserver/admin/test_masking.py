"""No answer of the control API shows a token or a sensitive value, however it was sent."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from mockserver import Settings, create_app
from mockserver.settings import Token
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import NEEDS_AN_INVOICE_NUMBER, SUCCEEDS

SECRET = "hunter2-that-nobody-may-see"
_ENCODED = base64.b64encode(SECRET.encode()).decode()
_PLACES = ("/requests", "/requests/1", "/requests/unmatched", "/requests.har", "/runs", "/settings", "/namespaces")

_SENT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "the token": ("GET", "/v1/runs", {"token": f"test-{SECRET}"}),
    "a refused token": ("GET", "/v1/runs", {"token": SECRET}),
    "a token without its scheme": ("GET", "/v1/runs", {"token": None, "headers": {"Authorization": SECRET}}),
    "a token in front": ("GET", "/v1/runs", {"token": None, "headers": {"Authorization": f"{SECRET} Bearer"}}),
    "a cookie": ("GET", "/v1/runs", {"headers": {"Cookie": f"session={SECRET}"}}),
    "an api key": ("GET", "/v1/runs", {"headers": {"X-Api-Key": SECRET}}),
    "another api key": ("GET", "/v1/runs", {"headers": {"Api-Key": SECRET}}),
    "a token header": ("GET", "/v1/runs", {"headers": {"X-Auth-Token": SECRET}}),
    "a header for authentication": ("GET", "/v1/runs", {"headers": {"X-Auth": SECRET}}),
    "a header with a key": ("GET", "/v1/runs", {"headers": {"X-Key": SECRET}}),
    "a token of a proxy": ("GET", "/v1/runs", {"headers": {"Proxy-Authorization": f"Basic {SECRET}"}}),
    **{
        f"{value[:6]!r} in {name}": ("GET", "/v1/runs", {"token": None, "headers": {name: value}})
        for name in ("Authorisation", "Authorizaton", "Autorization", "X-Autorisation", "X-Something-Else", "Accept")
        for value in (f"Bearer {SECRET}", f"basic\t {SECRET}")
    },
    "a misspelled header without a scheme": ("GET", "/v1/runs", {"headers": {"Authorisation": SECRET}}),
    "a misspelled header in a query": ("GET", f"/v1/runs?authorisation={SECRET}", {}),
    "JSON in a query": ("GET", f"/v1/runs?x={quote(json.dumps({'sensitive_input_values': SECRET}))}", {}),
    "JSON in a query with escapes": ("GET", f"/v1/runs?a=1&x=%7B%22sens%5Cu0069tive%22:%22{SECRET}%22%7D", {}),
    "a query": ("GET", f"/v1/runs?sensitive_input_values={SECRET}", {}),
    **{
        f"a query with {name}": ("GET", f"/v1/runs?limit=1&{name}={SECRET}", {})
        for name in ("password", "api_key", "apiKey", "API-Key", "api%5Fkey", "key", "token", "user[passwd]", "auth")
    },
    "create": ("POST", "/v1/runs", {"json": {"workflow_id": SUCCEEDS, "sensitive_input_values": {"pin": SECRET}}}),
    "bulk": (
        "POST",
        "/v1/runs/bulk",
        {"json": {"workflow_id": SUCCEEDS, "count": 3, "sensitive_input_values": {"pin": SECRET}}},
    ),
    "large bulk": (
        "POST",
        "/v1/runs/bulk",
        {"json": {"workflow_id": SUCCEEDS, "count": 1000, "sensitive_input_values": {"pin": SECRET}}},
    ),
    "chain": (
        "POST",
        "/v1/runs/chain",
        {
            "json": {
                "shared_sensitive_inputs": {"shared": SECRET},
                "steps": [{"workflow_id": SUCCEEDS, "sensitive_inputs": {"pin": SECRET}}],
            }
        },
    ),
    "a 422 with it inside": ("POST", "/v1/runs", {"json": {"sensitive_input_values": {"pin": SECRET}}}),
    "a 422 of it": ("POST", "/v1/runs", {"json": {"workflow_id": SUCCEEDS, "sensitive_input_values": SECRET}}),
    "a 422 of its name": (
        "POST",
        "/v1/runs",
        {"json": {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "sensitive_input_values": {"unknown": SECRET}}},
    ),
    "a misspelled name": (
        "POST",
        "/v1/runs",
        {"json": {"workflow_id": SUCCEEDS, "sensitve_input_values": {"p": SECRET}}},
    ),
    "broken JSON": ("POST", "/v1/runs", {"content": f'{{"sensitive_input_values": {{"pin": "{SECRET}"}}, '.encode()}),
    "JSON in JSON": (
        "POST",
        "/v1/runs",
        {
            "json": {
                "workflow_id": "x",
                "input_values": {"all": json.dumps({"sensitive_input_values": {"pin": SECRET}})},
            }
        },
    ),
    "JSON without its type": (
        "POST",
        "/v1/runs",
        {"content": json.dumps({"sensitive_input_values": SECRET}).encode(), "headers": {"Content-Type": "text/plain"}},
    ),
    "a path that is not there": ("POST", "/v1/rnus", {"json": {"sensitive_input_values": {"pin": SECRET}}}),
}


@pytest.mark.parametrize("what", _SENT)
def test_nothing_secret_is_shown(what):
    method, path, how = _SENT[what]
    mock = controlled_mock()
    answer = mock.request(method, path, **how)

    shown = [mock.control("GET", place).text for place in _PLACES]

    assert [each["seq"] for each in json.loads(shown[0])["items"]] == [1]
    for text in (*shown, answer.headers.get("mock-warning", "")):
        assert SECRET not in text
        assert _ENCODED not in text


def test_what_is_masked_is_seen_to_have_been_sent():
    mock = controlled_mock()
    mock.post("/v1/runs", {"workflow_id": SUCCEEDS, "sensitive_input_values": {"pin": SECRET}})
    mock.get("/v1/runs?sensitive_input_values=1", token=None, headers={"Authorization": "basic abc"})

    created, refused = mock.requests()

    assert created["headers"]["authorization"] == "Bearer **********"
    assert created["body"] == {"workflow_id": SUCCEEDS, "sensitive_input_values": "**********"}
    assert refused["headers"]["authorization"] == "basic **********"
    assert refused["query"] == {"sensitive_input_values": "**********"}


def test_what_only_looks_like_a_secret_is_shown():
    mock = controlled_mock()
    mock.get("/v1/runs?search=token&limit=7&keyword=invoice", key="my-key", headers={"Author": "bearer", "X": "a b"})

    request = mock.last_request()

    assert request["query"] == {"search": "token", "limit": "7", "keyword": "invoice"}
    assert request["headers"]["idempotency-key"] == "my-key"
    assert (request["headers"]["author"], request["headers"]["x"]) == ("bearer", "a b")


def test_values_of_the_document_are_shown_although_their_names_look_like_secrets():
    mock = controlled_mock()
    mock.get("/v1/runs?fields=sensitive_input_aliases&fields=error")
    refused = mock.get("/v1/runs?fields=error,sensitive_input_aliases").json()

    first, second = mock.requests()

    assert first["query"] == {"fields": ["sensitive_input_aliases", "error"]}
    assert second["query"] == {"fields": "**********"}
    [violation] = second["answer"]["body"]["detail"]
    assert violation["msg"] == refused["detail"][0]["msg"]
    assert "'sensitive_input_aliases'" in violation["msg"]
    assert violation["ctx"] == refused["detail"][0]["ctx"]


def test_an_answer_of_a_fault_with_a_cookie_is_masked():
    mock = controlled_mock()
    mock.fault(match="*", answer={"status": 200, "headers": {"Set-Cookie": f"session={SECRET}"}})
    mock.get("/v1/runs")

    assert SECRET not in mock.control("GET", "/requests").text


def test_the_settings_show_no_token():
    mock = ControlledMock(admin_token="adm1n-hunter", freezes=False)
    tokens = (Token.from_text("hunter2=acme"), Token.from_text("hunter3"))
    mock.app = create_app(Settings(token=tokens, admin_token="adm1n-hunter"))
    mock._client._transport.app = mock.app  # type: ignore[attr-defined]

    answer = mock.control("GET", "/settings", token="adm1n-hunter")

    assert answer.status_code == 200
    assert "hunter" not in answer.text
    assert answer.json()["token"] == [
        {"token": "**********", "organization": "acme"},
        {"token": "**********", "organization": None},
    ]
    assert answer.json()["admin_token"] == "**********"
    assert answer.json()["limits"]["max_spaces"] > 0
