"""A request as a case is the same request again."""

import pytest

from contracts.core.exchange import TOKEN, Request
from contracts.engine.request_case import RequestCase
from contracts.engine.shrink import shrink


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs",
        "/v1/runs?limit=2&skip=1",
        "/v1/runs?search=a%20b&search=",
        "/v1/runs?search=a+b",  # not written as usual: it must stay as it is
        "/v1/runs?search",
        "/v1/runs?a=1&&b=2",
        "/v1/runs?=true",  # shrinking leaves out a parameter without a name, so none may be there at first
    ],
)
def test_its_path_stays_byte_for_byte(path: str) -> None:
    request = Request("GET", path, (("Accept", "*/*"),), None)

    assert RequestCase.from_request(request).to_request() == request


@pytest.mark.parametrize("body", [b'{"a": %b}' % (b"9" * 5_000), b"\xff", b""])
def test_a_body_that_cannot_be_written_again_stays_byte_for_byte(body: bytes) -> None:
    request = Request("POST", "/v1/runs", (), body)
    sent = RequestCase.from_request(request).to_request()

    assert sent is not None
    assert sent.body == body


def test_parameters_that_do_not_matter_are_left_out() -> None:
    case = RequestCase.from_request(Request("GET", "/v1/runs?limit=50&search=a%20b&skip=3", (), None))

    def fails(one: RequestCase) -> bool:
        request = one.to_request()
        return request is not None and "skip=" in request.path

    small = shrink(case, fails, tries=60).to_request()

    assert small is not None
    assert small.path == "/v1/runs?skip="


def test_the_token_is_not_left_out_and_another_authorization_is() -> None:
    headers = (("Accept", "*/*"), ("Authorization", TOKEN), ("X-Trace", "1"))
    case = RequestCase.from_request(Request("GET", "/v1/runs?skip=1", headers, None))
    basic = RequestCase.from_request(Request("GET", "/v1/runs", (("Authorization", "Basic dTpw"),), None))

    (shrunk, small) = (shrink(each, lambda one: True, tries=60).to_request() for each in (case, basic))

    assert shrunk == Request("GET", "/v1/runs", (("Authorization", TOKEN),), None)
    assert small == Request("GET", "/v1/runs", (), None)
