"""What a web page may do with a mock on the machine of whoever visits it."""

from __future__ import annotations

import httpx
import pytest

from tests.mockserver.inprocess import SUCCEEDS, Mock

OWN = "http://localhost:5173"
OTHER = "https://other.example"


def asked(
    mock: Mock, method: str = "GET", path: str = "/v1/runs", *, host: str = "localhost:4010", **how
) -> httpx.Response:
    headers = {"Host": host, **how.pop("headers", {})}
    return mock.request(method, path, headers=headers, **how)


def preflight(mock: Mock, origin: str, **headers: str) -> httpx.Response:
    asks = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,prefer"}
    return asked(mock, "OPTIONS", headers={"Origin": origin, **asks, **headers}, token=None)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://localhost:5173",
        "http://app.localhost:3000",
        "http://127.0.0.1:8080",
        "http://127.8.9.10",
        "http://[::1]:8080",
    ],
)
def test_a_page_of_this_machine_may_use_the_mock(origin: str):
    mock = Mock()
    answer = asked(mock, headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "Origin" in answer.headers["vary"]
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("Idempotency-Status", "Retry-After", "X-RateLimit-Remaining", "Content-Disposition"):
        assert name in exposed
    allowed = preflight(mock, origin)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == origin
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    created = asked(mock, "POST", headers={"Origin": origin}, json={"workflow_id": SUCCEEDS})
    assert created.status_code == 201


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "null",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://notlocalhost",
        "http://localhost:5173.example",
        "http://192.168.0.1",
        "http://[::2]",
        "file://localhost",
        "http://[",
        "http://",
        "",
    ],
)
def test_a_page_of_another_origin_may_neither_read_nor_write(origin: str):
    mock = Mock()
    assert "access-control-allow-origin" not in asked(mock, headers={"Origin": origin}).headers
    refused = preflight(mock, origin)
    assert refused.status_code == 400
    asked_for = f"A page of {origin!r} may not use this mock: start it with --cors-origin {origin}"
    assert refused.json() == {"detail": asked_for}
    assert "access-control-allow-origin" not in refused.headers
    for method, path in (("POST", "/v1/runs"), ("POST", "/v1/runs/bulk"), ("DELETE", f"/v1/runs/{SUCCEEDS}")):
        # What a form sends needs no preflight.
        answer = asked(mock, method, path, headers={"Origin": origin, "Content-Type": "text/plain"}, content=b"{}")
        assert answer.status_code == 403
        assert "--cors-origin" in answer.json()["detail"]
    assert mock.total() == 0


def test_what_a_page_may_not_do_is_logged_once(caplog: pytest.LogCaptureFixture):
    mock = Mock()
    for _ in range(3):
        preflight(mock, OTHER)
        asked(mock, headers={"Origin": OTHER})
    logged = [record.getMessage() for record in caplog.records if record.name == "mockserver"]
    assert len(logged) == 2
    assert all(f"--cors-origin {OTHER}" in line for line in logged)
    for number in range(200):
        preflight(mock, f"https://{number}.example")
    assert len(caplog.records) < 110


def test_a_refusal_quotes_the_beginning_of_a_long_origin_or_host_only():
    for sent in ({"headers": {"Origin": "https://" + "a" * 60_000}}, {"host": "a" * 60_000 + ".example"}):
        answer = asked(Mock(), "POST", **{"headers": {"Origin": OWN}, **sent})
        assert answer.status_code == 403
        assert len(answer.content) < 1_000


def test_origins_that_are_named_are_let_in_beside_those_of_this_machine():
    mock = Mock(cors_origin=(OTHER, "null"))
    for origin in (OTHER, "null", OWN):
        assert asked(mock, headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
        assert preflight(mock, origin).status_code == 200
    assert "access-control-allow-origin" not in asked(mock, headers={"Origin": "https://third.example"}).headers


def test_every_origin_is_let_in_if_that_is_wanted():
    mock = Mock(cors_origin=("*",))
    assert asked(mock, headers={"Origin": OTHER}).headers["access-control-allow-origin"] == "*"
    assert asked(mock, "POST", headers={"Origin": OTHER}, json={"workflow_id": SUCCEEDS}).status_code == 201


@pytest.mark.parametrize("browser", [{"Origin": OWN}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:4010", "127.0.0.1.example", "localhost.example", ""]
)
def test_a_page_that_has_its_own_name_lead_here_is_refused(browser: dict[str, str], host: str):
    answer = asked(Mock(), host=host, headers=browser)
    assert answer.status_code == 403
    assert "--allowed-host" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost:1", "127.0.0.1:4010", "10.0.0.1", "[::1]:4010", "mock:4010"]
)
def test_a_page_may_reach_the_mock_by_loopback_names_addresses_and_names_that_are_allowed(host: str):
    mock = Mock(allowed_host=("mock",))
    assert asked(mock, host=host, headers={"Origin": OWN}).status_code == 200


@pytest.mark.parametrize("language", ["en-US,en;q=0.5", "*", ""])
@pytest.mark.parametrize("path", ["/v1/runs", "/openapi.json", "/docs", "/__ns/a/v1/runs"])
@pytest.mark.parametrize("agent", ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.0"])
def test_a_page_cannot_read_under_its_own_name_by_plain_http(language: str, path: str, agent: str):
    # A browser sends neither Origin nor Sec-Fetch-Site here. The page chooses the other headers, but sends them all.
    sent = {"Accept-Language": language, "User-Agent": agent}
    mock = Mock(allowed_host=("mock.example",))
    for host in ("rebound.example", "rebound.example:4010", "rebound.example."):
        answer = asked(mock, path=path, host=host, headers=sent)
        assert answer.status_code == 403
        assert "--allowed-host rebound.example" in answer.json()["detail"]
    for host in ("localhost:4010", "127.0.0.1:4010", "[::1]:4010", "mock.example:4010"):
        assert asked(mock, path=path, host=host, headers=sent, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("host", ["mock", "mock:4010", "mock.default.svc.cluster.local:4010"])
@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "curl/8.0"},
        {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; en-US) PowerShell/7.4.0"},
        {"User-Agent": "node", "Accept-Language": "*", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_a_client_that_is_no_browser_may_reach_it_by_any_name(headers: dict[str, str], host: str):
    assert asked(Mock(), host=host, headers=headers).status_code == 200
    assert asked(Mock(), "POST", host=host, headers=headers, json={"workflow_id": SUCCEEDS}).status_code == 201


def test_a_client_that_sends_a_language_may_reach_it_by_the_name_of_a_container():
    deno = {"User-Agent": "Deno/2.0", "Accept-Language": "*"}
    assert asked(Mock(), host="mock:4010", headers=deno).status_code == 200
    assert asked(Mock(), host="mock.example:4010", headers=deno).status_code == 403


def test_a_client_that_is_no_browser_gets_no_headers_for_one():
    assert not [name for name in asked(Mock()).headers if name.startswith("access-control")]


def test_a_preflight_of_a_private_network_is_answered():
    answer = preflight(Mock(), OWN, **{"Access-Control-Request-Private-Network": "true"})
    assert answer.headers["access-control-allow-private-network"] == "true"
    refused = preflight(Mock(), OTHER, **{"Access-Control-Request-Private-Network": "true"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("path", "how", "status"),
    [
        ("/v1/runs", {"token": None}, 401),
        ("/v1/none", {}, 404),
        ("/v1/runs", {"params": {"limit": "x"}}, 422),
        ("/v1/runs", {"prefer": "code=99"}, 400),
    ],
)
def test_a_page_can_read_refusals_too(path: str, how: dict, status: int):
    answer = asked(Mock(), path=path, headers={"Origin": OWN}, **how)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == OWN


def test_a_page_can_read_a_500_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    mock = Mock()

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(mock.app.namespaces, "_make_space", fails)
    answer = asked(mock, headers={"Origin": OWN}, fails=True)
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Internal Server Error"}
    assert answer.headers["access-control-allow-origin"] == OWN
    assert "ZeroDivisionError" in caplog.text


def test_the_mocks_own_page_may_change_things_under_any_name_that_the_mock_is_allowed_to_have():
    own = {"headers": {"Origin": "http://192.0.2.7:4010"}, "json": {"workflow_id": SUCCEEDS, "count": 1}}
    mock = Mock()

    assert asked(mock, "POST", "/v1/runs/bulk", host="192.0.2.7:4010", **own).status_code == 201
    # Another port is another page; and a name that was not allowed stays refused, whatever the page says it is.
    assert asked(mock, "POST", "/v1/runs/bulk", host="192.0.2.7:9999", **own).status_code == 403
    rebound = {**own, "headers": {"Origin": "http://rebound.example"}}
    assert asked(mock, "POST", "/v1/runs/bulk", host="rebound.example", **rebound).status_code == 403
