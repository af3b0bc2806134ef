"""Download URLs: the bytes of an attachment, without a token, for as long as the URL says."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import httpx
import pytest

from mockserver import Settings, create_app, downloads
from mockserver.behaviour.attachments import find_attachment
from mockserver.behaviour.run_files import Attachment
from mockserver.errors import VersionConflict
from mockserver.settings import Token
from tests.mockserver.admin.control import controlled_mock
from tests.mockserver.inprocess import SUCCEEDS, Mock, unknown_id

_BYTES = bytes(range(256))


def attached(mock: Mock, filename: str = "scan.pdf", namespace: str = "") -> str:
    file = {"filename": filename, "content": b64encode(_BYTES).decode()}
    answer = mock.post(f"{namespace}/v1/runs", {"workflow_id": SUCCEEDS, "file_inputs": [file]})
    (attachment_id,) = answer.json()["input_attachment_ids"]
    return attachment_id


def signed(mock: Mock, attachment_id: str, namespace: str = "", **query: int) -> str:
    answer = mock.get(f"{namespace}/v1/run-attachments/{attachment_id}/download-url", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == query.get("expires_in", 300)
    return answer.json()["url"]


@pytest.mark.parametrize("namespace", ["", "/__ns/a%20%3Fb"])
def test_a_signed_url_gives_the_bytes_without_a_token(namespace: str):
    mock = Mock()
    url = signed(mock, attached(mock, namespace=namespace), namespace=namespace)
    assert url.startswith("http://mock.test/__downloads/")
    answer = mock.get(url, token=None)
    assert (answer.status_code, answer.content) == (200, _BYTES)
    assert answer.headers["content-disposition"] == 'attachment; filename="scan.pdf"'


def test_a_signed_url_works_for_an_organisation_whose_name_is_not_utf_8():
    """As the command line gives it: bytes that are not UTF-8 are lone surrogates."""
    app = create_app(Settings(token=(Token("org\udcff", "test-one"),)))
    file = {"filename": "scan.pdf", "content": b64encode(_BYTES).decode()}

    async def go() -> bytes:
        headers = {"Authorization": "Bearer test-one"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mock.test", headers=headers) as client:
            run = (await client.post("/v1/runs", json={"workflow_id": SUCCEEDS, "file_inputs": [file]})).json()
            url = f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download-url"
            return (await client.get((await client.get(url)).json()["url"])).content

    assert asyncio.run(go()) == _BYTES


def test_a_signed_url_works_until_its_time_has_passed():
    mock = Mock()
    url = signed(mock, attached(mock), expires_in=10)
    mock.clock.advance(9.999)
    assert mock.get(url, token=None).status_code == 200
    mock.clock.advance(0.001)
    assert mock.get(url, token=None).status_code == 404


def test_a_signed_url_works_before_1970_too():
    mock = controlled_mock()
    mock.turn_clock(freeze="1773-03-29T00:00:00Z")
    url = signed(mock, attached(mock), expires_in=10)
    assert "expires=-" in url
    assert mock.get(url, token=None).content == _BYTES
    mock.turn_clock(advance="10s")
    assert mock.get(url, token=None).status_code == 404


def test_a_change_of_the_session_while_the_attachment_is_read_does_not_fail_it(monkeypatch: pytest.MonkeyPatch):
    attempts = 0

    async def found_later(context: Any, attachment_id: str) -> Attachment:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise VersionConflict("its session has moved on")
        return await find_attachment(context, attachment_id)

    mock = Mock()
    url = signed(mock, attached(mock))
    monkeypatch.setattr(downloads, "find_attachment", found_later)
    assert mock.get(url, token=None).content == _BYTES
    assert attempts == 2


@pytest.mark.parametrize("expires_in", [9, 3601])
def test_how_long_it_works_has_bounds(expires_in: int):
    mock = Mock()
    path = f"/v1/run-attachments/{attached(mock)}/download-url"
    assert mock.get(path, params={"expires_in": expires_in}).status_code == 422


def test_a_url_that_was_changed_in_any_part_is_not_served():
    mock = Mock()
    attachment_id = attached(mock)
    url, other = signed(mock, attachment_id), attached(mock)
    expires = url.partition("expires=")[2].partition("&")[0]
    for forged in (
        url.replace(attachment_id, other),
        url.replace(expires, str(int(expires) + 1)),
        url.replace(expires, "soon"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("&signature")[0],
        url.partition("?")[0],
        url.replace("?", "/more?"),
        "http://mock.test/__downloads/",
        "http://mock.test/__downloads/a/b/c?expires=1&signature=%C3%A9",
    ):
        answer = mock.get(forged, token=None)
        assert answer.status_code == 404, forged
        assert "not valid, or no longer" in answer.json()["detail"]


def test_a_url_of_one_server_is_not_served_by_another():
    mock, other = Mock(), Mock()
    url = signed(mock, attached(mock))
    attached(other)
    assert other.get(url, token=None).status_code == 404


def test_only_reads_are_served():
    mock = Mock()
    url = signed(mock, attached(mock))
    head = mock.request("HEAD", url, token=None)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "256")
    assert mock.post(url, token=None).status_code == 404


def test_what_was_deleted_is_gone_although_the_url_would_still_work():
    mock = Mock()
    attachment_id = attached(mock)
    url = signed(mock, attachment_id)
    (run_id,) = mock.ids()
    mock.delete(f"/v1/runs/{run_id}")
    assert mock.get(url, token=None).status_code == 404
    assert mock.get(f"/v1/run-attachments/{attachment_id}/download-url").status_code == 404


def test_an_unknown_attachment_has_no_url_and_no_other_organisation_gets_one():
    mock = Mock()
    assert mock.get(f"/v1/run-attachments/{unknown_id()}/download-url").status_code == 404
    path = f"/v1/run-attachments/{attached(mock)}/download-url"
    assert mock.get(path, token="test-two").status_code == 404


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("a.txt", 'filename="a.txt"'),
        ('a"b.txt', "filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\\b", "filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("é 1.txt", "filename=\"? 1.txt\"; filename*=UTF-8''%C3%A9%201.txt"),
        ("a\r\nSet-Cookie: x=1", "filename=\"a__Set-Cookie: x=1\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1"),
    ],
)
def test_a_filename_cannot_write_headers_of_its_own(filename: str, shown: str):
    mock = Mock()
    answer = mock.get(f"/v1/run-attachments/{attached(mock, filename)}/download")
    assert answer.content == _BYTES
    assert answer.headers["content-disposition"] == f"attachment; {shown}"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("others", [[], [("Host", "another.internal")]])
def test_a_url_names_the_server_as_the_client_reached_it(others: list[tuple[str, str]]):
    mock = Mock()
    path = f"/v1/run-attachments/{attached(mock)}/download-url"
    answer = mock.get(path, headers=[("Host", "mock.internal:8080"), *others])
    assert answer.json()["url"].startswith("http://mock.internal:8080/__downloads/")
