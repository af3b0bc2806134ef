"""Who may use the control API: callers on this machine, no foreign web page; or whoever has the token."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import httpx
import pytest

from mockserver import Settings, create_app
from tests.mockserver.admin.control import ControlledMock, assert_documented, controlled_mock
from tests.mockserver.inprocess import Mock


async def _ask(app: Any, host: str | None, client: tuple[str, int] | None, headers: dict[str, str]) -> httpx.Response:
    sent: list[Any] = []
    lines = [] if host is None else [(b"host", host.encode("latin-1"))]
    lines += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/__admin/health",
        "raw_path": b"/__admin/health",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 4010),
        "client": client,
        "headers": lines,
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    answer = httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)
    assert_documented("GET", "/__admin/health", answer)
    return answer


_started = lru_cache(Mock)


class _Asked:
    def __init__(self, **settings: Any) -> None:
        self._mock = _started(**settings)

    def __call__(
        self,
        host: str | None = "localhost:4010",
        client: tuple[str, int] | None = ("127.0.0.1", 50_000),
        **headers: str,
    ) -> httpx.Response:
        return self._mock.run(_ask(self._mock.app, host, client, headers))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_callers_on_this_machine_are_let_in(address):
    assert _Asked()(client=(address, 50_000)).status_code == 200


def test_a_caller_behind_a_unix_socket_or_in_the_process_is_let_in():
    assert _Asked()(client=None).status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.7", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "169.254.1.1"])
def test_callers_on_other_machines_are_refused_and_told_how_to_be_let_in(address):
    answer = _Asked()(client=(address, 50_000))

    assert answer.status_code == 403
    assert address in answer.json()["detail"]
    assert "--admin-token" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:4010",
        "LOCALHOST:4010",
        "localhost.:4010",
        "mock.localhost:1",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:4010",
        "[::ffff:127.0.0.1]:4010",
    ],
)
def test_a_loopback_name_in_the_host_header_is_taken(host):
    assert _Asked()(host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4010",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil-localhost",
        "192.168.1.7:4010",
        "[2001:db8::1]:4010",
        "[::ffff:10.0.0.1]",
        "0.0.0.0:4010",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost#evil.example",
        "[::1",
        "[",
        "[localhost]",
        "",
        " ",
        "\xe9.example",
    ],
)
def test_any_other_name_is_refused_so_that_dns_rebinding_leads_nowhere(host):
    answer = _Asked()(host=host)

    assert answer.status_code == 403
    assert "localhost" in answer.json()["detail"]
    assert "--admin-token" in answer.json()["detail"]


def test_a_request_without_a_host_header_is_refused():
    assert _Asked()(host=None).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80", "http://app.localhost:5173"]
)
def test_pages_of_this_machine_may_use_it(origin):
    assert _Asked()(Origin=origin).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "file://localhost",
        "http://[",
        "http://evil.example@localhost",
        "",
    ],
)
def test_pages_of_other_origins_are_refused_even_where_cors_lets_them_use_the_mock(origin):
    assert _Asked(cors_origin=("*",))(Origin=origin).status_code == 403


def test_a_foreign_origin_is_refused_with_the_token_too_unless_it_is_that_of_the_mock():
    asked = _Asked(admin_token="s3cret", cors_origin=("*",), allowed_host=("mock.example",))
    token = {"Authorization": "Bearer s3cret"}

    assert asked(Origin="https://evil.example", **token).status_code == 403
    assert asked(host="mock.example:4010", Origin="http://mock.example:4010", **token).status_code == 200


@pytest.mark.parametrize("cors_origin", [(), ("https://other.example",), ("*",)])
@pytest.mark.parametrize("origin", ["https://other.example", "null", "http://192.0.2.7:4010"])
def test_a_foreign_page_cannot_reset_by_a_request_that_needs_no_preflight(origin, cors_origin):
    mock = controlled_mock(cors_origin=cors_origin)
    mock.create()
    simple = {"headers": {"Origin": origin, "Content-Type": "text/plain"}, "content": b""}

    refused = mock.control("POST", "/reset", **simple)

    assert refused.status_code == 403
    assert "only pages of this machine or of the mock may" in refused.json()["detail"]
    assert mock.total() == 1


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://app.localhost", "https://127.0.0.1:8443"])
def test_a_page_of_this_machine_may_reset(origin):
    mock = controlled_mock()
    mock.create()

    answer = mock.control("POST", "/reset", headers={"Origin": origin})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert mock.total() == 0


def test_a_foreign_page_is_not_told_to_be_let_in_by_a_flag_that_does_not_let_it_use_the_control_api():
    preflight = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    answer = controlled_mock().request("OPTIONS", "/__ns/a/__admin/reset", headers=preflight)

    assert answer.status_code == 400
    assert "only pages of this machine or of the mock may" in answer.json()["detail"]


# --- --admin-token


def test_with_the_token_callers_are_let_in_from_anywhere_under_any_name():
    asked = _Asked(admin_token="s3cret")

    answer = asked(host="mock.internal:4010", client=("10.0.0.1", 1), Authorization="Bearer s3cret")

    assert answer.status_code == 200


@pytest.mark.parametrize("authorization", ["Bearer s3cre", "Bearer s3cret2", "bearer s3cret ", "Bearer \xe9"])
def test_a_wrong_token_is_called_so(authorization):
    answer = _Asked(admin_token="s3cret")(Authorization=authorization)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"detail": "Wrong token: it is not the one of --admin-token that the mock was started with"}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic s3cret", "s3cret"])
def test_without_the_right_token_nobody_is_let_in_not_even_from_this_machine(authorization):
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = _Asked(admin_token="s3cret")(**headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {
        "detail": "The control API requires the header Authorization: Bearer <the token of --admin-token>"
    }


def test_the_name_of_the_scheme_may_be_written_in_any_case():
    assert _Asked(admin_token="s3cret")(Authorization="bearer s3cret").status_code == 200


def test_the_admin_token_opens_nothing_of_the_mocked_api_and_its_tokens_nothing_here():
    mock = ControlledMock(admin_token="s3cret", freezes=False)

    assert mock.get("/v1/runs", token="s3cret").status_code == 401
    assert mock.control("GET", "/runs", token="test-one").status_code == 401
    assert mock.control("GET", "/runs", token="s3cret").status_code == 200


def test_the_guard_stands_before_every_operation_and_the_document():
    mock = ControlledMock(admin_token="s3cret", freezes=False)
    for method, path in [
        ("GET", "/openapi.json"),
        ("POST", "/reset"),
        ("DELETE", "/requests"),
        ("POST", "/runs"),
        ("GET", "/nothing"),
    ]:
        assert mock.request(method, f"/__admin{path}", token=None).status_code == 401, path
        assert mock.request(method, f"/__ns/a/__admin{path}", token=None).status_code == 401, path


# --- --no-admin, and where it is


def test_no_admin_answers_as_for_any_path_that_is_not_there():
    mock = Mock(admin=False)
    for method, path in [("GET", "/__admin/health"), ("POST", "/__admin/reset"), ("GET", "/__ns/a/__admin/clock")]:
        there = mock.request(method, path)
        nowhere = mock.request(method, "/nothing")
        for answer in (there, nowhere):
            assert answer.headers.pop("mock-warning").startswith("404: no operation has the path /")
        assert (there.status_code, there.content, there.headers) == (404, nowhere.content, nowhere.headers)


def test_each_namespace_has_a_control_api_of_its_own():
    mock = controlled_mock()
    mock.turn_clock("a", freeze="2030-01-01T00:00:00Z")

    assert mock.asked("/clock", namespace="a")["now"] == "2030-01-01T00:00:00.000000Z"
    assert mock.asked("/clock")["now"] == "2025-03-04T09:00:02.000000Z"


def test_the_control_api_is_no_part_of_the_api_that_is_mocked():
    app = create_app(Settings())

    assert not [operation.path for operation in app.operations.values() if "__" in operation.path]


def test_requests_to_the_control_api_are_not_in_the_journal():
    mock = controlled_mock()
    mock.get("/v1/health")
    mock.control("POST", "/nothing", {})
    mock.control("GET", "/requests", namespace="a")

    assert [each["path"] for each in mock.requests()] == ["/v1/health"]
    assert mock.requests("a") == []


@pytest.mark.parametrize("path", ["/__adminx", "/__admin2/health", "/x/__admin/health"])
def test_a_path_that_only_looks_like_it_is_none_of_it(path):
    mock = ControlledMock(admin_token="s3cret", freezes=False)

    assert mock.get(path).status_code == 404


def test_a_method_that_is_not_served_is_told():
    mock = controlled_mock()

    answer = mock.control("PUT", "/clock", {})

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert mock.request("OPTIONS", "/__admin/clock").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_head_answers_as_get_without_a_body():
    mock = controlled_mock()

    answer = mock.control("HEAD", "/clock")

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 10


@pytest.mark.parametrize(
    "twice", [{"Host": "localhost:4010"}, {"origin": "http://evil.example", "Origin": "http://localhost:3000"}]
)
def test_a_header_that_decides_and_was_sent_twice_is_refused(twice):
    answer = _Asked()(host="evil.example" if "Host" in twice else "localhost:4010", **twice)

    assert answer.status_code == 403
    assert "more than once" in answer.json()["detail"]
