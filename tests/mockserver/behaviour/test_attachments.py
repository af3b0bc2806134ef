"""Attachments: stored, listed, and downloaded byte for byte."""

from __future__ import annotations

import base64
import os
import tracemalloc
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.behaviour import run_files
from mockserver.behaviour.ids import Ids
from mockserver.behaviour.new_files import decoded
from tests.mockserver.inprocess import (
    ENDS_AT_ONCE,
    HAS_OUTPUT_FILES,
    SUCCEEDS,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)


def _file(content: bytes = b"hello", filename: str = "a.txt", **more):
    return {"filename": filename, "content": base64.b64encode(content).decode(), **more}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=2000), st.text(max_size=20)), min_size=1, max_size=3), st.integers(1, 3))
def test_what_was_sent_is_downloaded_byte_for_byte(files, count):
    mock = new_organisation()

    runs = mock.create_many(count, file_inputs=[_file(content, name) for content, name in files])

    for run in runs:
        for id_, (content, name) in zip(run["input_attachment_ids"], files, strict=True):
            shown = mock.get(f"/v1/run-attachments/{id_}").json()
            assert (shown["filename"], shown["size_bytes"], shown["run_id"]) == (name, len(content), run["id"])
            download = mock.get(f"/v1/run-attachments/{id_}/download")
            assert (download.status_code, download.content) == (200, content)


@pytest.mark.parametrize("letter", ["a", "\N{HOT BEVERAGE}"])
def test_a_download_with_a_long_name_has_a_header_that_clients_can_read(letter):
    mock = new_organisation()
    run = mock.create(file_inputs=[_file(filename=letter * 100_000)])
    attachment = f"/v1/run-attachments/{run['input_attachment_ids'][0]}"

    assert mock.get(attachment).json()["filename"] == letter * 100_000
    assert len(mock.get(f"{attachment}/download").headers["content-disposition"]) < 4_000


def test_a_large_file_comes_back_whole():
    mock = new_organisation()
    content = os.urandom(2_000_000)

    run = mock.create(file_inputs=[_file(content)])

    assert mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == content


def test_an_attachment_shows_what_is_known_of_it():
    mock = new_organisation()
    run = mock.create(
        file_inputs=[_file(filename="Ü.PDF", target_path="C:\\in\\Ü.pdf", cleanup_imports_after_run=True)]
    )
    (id_,) = run["input_attachment_ids"]

    shown = mock.get(f"/v1/run-attachments/{id_}").json()

    assert shown == {
        "id": id_,
        "run_id": run["id"],
        "filename": "Ü.PDF",
        "content_type": "application/pdf",
        "attachment_type": "input",
        "size_bytes": 5,
        "storage_path": f"runs/{run['id']}/Ü.PDF",
        "target_path": "C:\\in\\Ü.pdf",
        "cleanup_imports_after_run": True,
        "created_at": run["created_at"],
    }


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.b.CSV", "text/csv"),
        ("noending", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("", "application/octet-stream"),
        (".", "application/octet-stream"),
        ("http://[x.txt", "text/plain"),
        ("data:,x.json", "application/json"),
        ("a\u0000.txt", "text/plain"),
    ],
)
def test_the_type_follows_from_the_ending_of_the_name(filename, content_type):
    mock = new_organisation()
    (id_,) = mock.create(file_inputs=[_file(filename=filename)])["input_attachment_ids"]

    assert mock.get(f"/v1/run-attachments/{id_}").json()["content_type"] == content_type


@pytest.mark.parametrize("filename", ["a.txt", 'q"uo\\te\r\nX-Evil: 1', "naïve 日本.txt", "\x7f\x00", "\ud800"])
def test_a_name_cannot_break_out_of_its_header(filename):
    mock = new_organisation()
    (id_,) = mock.create(file_inputs=[_file(filename=filename)])["input_attachment_ids"]

    download = mock.get(f"/v1/run-attachments/{id_}/download")

    disposition = download.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.isascii()
    assert disposition.isprintable()
    assert disposition.count('"') == 2
    assert "x-evil" not in download.headers


@pytest.mark.parametrize("content", ["aGVsbG8=", " aGVs bG8=\n", "aGVs\tbG8=", ""])
def test_space_within_base64_is_passed_over(content):
    mock = new_organisation()
    (id_,) = mock.create(file_inputs=[{"filename": "a", "content": content}])["input_attachment_ids"]

    assert mock.get(f"/v1/run-attachments/{id_}/download").content == (b"hello" if content else b"")


def test_space_within_base64_is_passed_over_without_a_text_for_each_piece():
    content = "aGkh " * 200_000
    tracemalloc.start()

    made = decoded(content, (), strict=True)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made == b"hi!" * 200_000
    assert most < 4 * len(content)


@pytest.mark.parametrize("content", ["?", "aGVsbG8", "é", "\ud800"])
def test_what_is_not_base64_is_kept_as_it_is_in_lax(content):
    mock = new_organisation(coercion="lax")
    (id_,) = mock.create(file_inputs=[{"filename": "a", "content": content}])["input_attachment_ids"]

    download = mock.get(f"/v1/run-attachments/{id_}/download")

    assert download.content == content.encode("utf-8", "surrogatepass")


# --- Lists ---------------------------------------------------------------------------------------------------------


def test_attachments_are_listed_newest_first_and_by_pages():
    mock = new_organisation()
    one = mock.create(file_inputs=[_file(filename="1"), _file(filename="2")])
    mock.create()
    two, three = mock.create_many(2, file_inputs=[_file(filename="3")])

    pages = [mock.get("/v1/run-attachments", params={"skip": skip, "limit": 3}).json() for skip in (0, 3, 6)]

    ids = [each["id"] for page in pages for each in page["items"]]
    assert sorted(ids) == sorted(id_ for run in (one, two, three) for id_ in run["input_attachment_ids"])
    assert ids[2:] == one["input_attachment_ids"]
    assert [(page["total"], page["skip"], page["limit"], len(page["items"])) for page in pages] == [
        (4, 0, 3, 3),
        (4, 3, 3, 1),
        (4, 6, 3, 0),
    ]


def test_attachments_are_listed_by_run_and_by_type():
    mock = new_organisation()
    one, _ = mock.create(file_inputs=[_file()]), mock.create(file_inputs=[_file()])

    def listed(**query):
        return [each["id"] for each in mock.get("/v1/run-attachments", params=query).json()["items"]]

    assert listed(run_id=one["id"]) == listed(run_id=one["id"], attachment_type="input") == one["input_attachment_ids"]
    assert len(listed(attachment_type="input")) == 2
    assert listed(attachment_type="output") == listed(run_id=unknown_id()) == []


def test_a_type_that_there_is_not_is_refused():
    answer = new_organisation().get("/v1/run-attachments", params={"attachment_type": "both", "limit": 0})

    assert [loc for loc, _ in violations(answer)] == [("query", "attachment_type"), ("query", "limit")]


def test_attachments_are_listed_in_blocks_of_a_thousand_runs():
    mock = new_organisation()
    mock.create_many(1000, file_inputs=[_file()])

    page = mock.get("/v1/run-attachments", params={"skip": 990, "limit": 1000}).json()

    assert (page["total"], len(page["items"])) == (1000, 10)


# --- What there is not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/download", "/download-url"])
def test_an_attachment_that_nobody_knows_is_not_found(path):
    mock = new_organisation()
    run = mock.create(file_inputs=[_file()])
    (known,) = run["input_attachment_ids"]
    beside = f"{int(known[:8], 16) ^ 1:08x}{known[8:]}"

    assert mock.get(f"/v1/run-attachments/{unknown_id()}{path}").status_code == 404
    assert mock.get(f"/v1/run-attachments/{beside}{path}").status_code == 404
    assert mock.get(f"/v1/run-attachments/{run['id']}{path}").status_code == 404
    assert mock.get(f"/v1/run-attachments/{known}{path}").status_code == 200


# --- Download URLs -------------------------------------------------------------------------------------------------


def _target(url: str) -> str:
    return url.removeprefix("http://mock.test")


@pytest.mark.parametrize("prefix", ["", "/__ns/blue", "/__ns/-", "/__ns/%2E%2E", "/__ns/a%20b"])
def test_a_download_url_needs_no_token(prefix):
    mock = new_organisation()
    (id_,) = mock.post(f"{prefix}/v1/runs", {"workflow_id": SUCCEEDS, "file_inputs": [_file(b"bytes")]}).json()[
        "input_attachment_ids"
    ]

    answer = mock.get(f"{prefix}/v1/run-attachments/{id_}/download-url").json()
    download = mock.get(_target(answer["url"]), token=None)

    assert answer["expires_in"] == 300
    assert (download.status_code, download.content) == (200, b"bytes")
    assert download.headers["content-disposition"] == 'attachment; filename="a.txt"'
    assert mock.token not in answer["url"]


def test_a_download_url_is_at_the_host_that_was_asked():
    mock = new_organisation()
    (id_,) = mock.create(file_inputs=[_file()])["input_attachment_ids"]

    url = mock.get(f"/v1/run-attachments/{id_}/download-url", headers={"Host": "mock.example:99"}).json()["url"]

    assert url.startswith("http://mock.example:99/")


@pytest.mark.parametrize("expires_in", [10, 3600])
def test_a_download_url_holds_as_long_as_it_says(expires_in):
    mock = Mock()
    (id_,) = mock.create(file_inputs=[_file()])["input_attachment_ids"]
    url = mock.get(f"/v1/run-attachments/{id_}/download-url", params={"expires_in": expires_in}).json()["url"]

    mock.clock.advance(expires_in - 0.5)
    before = mock.get(_target(url), token=None)
    mock.clock.advance(0.5)
    after = mock.get(_target(url), token=None)

    assert (before.status_code, after.status_code) == (200, 404)
    assert after.json()["detail"]


@pytest.mark.parametrize(
    ("expires_in", "kind"), [(9, "greater_than_equal"), (3601, "less_than_equal"), ("x", "int_parsing")]
)
def test_a_download_url_cannot_hold_for_any_time(expires_in, kind):
    mock = new_organisation()
    (id_,) = mock.create(file_inputs=[_file()])["input_attachment_ids"]

    answer = mock.get(f"/v1/run-attachments/{id_}/download-url", params={"expires_in": expires_in})

    assert violations(answer) == [(("query", "expires_in"), kind)]


def test_a_download_url_that_was_tampered_with_gives_nothing():
    mock = new_organisation()
    (one,), (other,) = (run["input_attachment_ids"] for run in mock.create_many(2, file_inputs=[_file()]))
    url = mock.get(f"/v1/run-attachments/{one}/download-url").json()["url"]
    parts = urlsplit(url)
    expires, signature = (pair.split("=")[1] for pair in parts.query.split("&"))

    tampered = [
        _target(url).replace(one, other),
        f"{parts.path}?expires={int(expires) + 1}&signature={signature}",
        f"{parts.path}?expires={expires}&signature={signature[::-1]}",
        f"{parts.path}?expires=%C2%B2&signature={signature}",
        f"{parts.path}?expires={'9' * 40}&signature={signature}",
        f"{parts.path}?signature=%ED%A0%80",
        f"{parts.path}/more?{parts.query}",
        "/__downloads/",
        "/__downloads/a/b/c?expires=99999999999&signature=",
    ]

    answers = [mock.get(target, token=None) for target in tampered]
    assert [answer.status_code for answer in answers] == [404] * len(tampered)
    assert all(list(answer.json()) == ["detail"] for answer in answers)


def test_a_download_url_gives_nothing_once_its_run_is_gone():
    mock = new_organisation()
    run = mock.create(file_inputs=[_file()])
    url = mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download-url").json()["url"]

    mock.delete(f"/v1/runs/{run['id']}")

    assert mock.get(_target(url), token=None).status_code == 404


def test_a_download_url_can_be_asked_for_its_head_and_for_nothing_else():
    mock = new_organisation()
    run = mock.create(file_inputs=[_file(b"12345")])
    url = _target(mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download-url").json()["url"])

    head = mock.request("HEAD", url, token=None)

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    assert mock.request("POST", url, token=None).status_code == 404


@pytest.mark.parametrize("workflow", [ENDS_AT_ONCE, HAS_OUTPUT_FILES])
@pytest.mark.parametrize("skip", [0, 5_000])
def test_a_list_makes_only_the_attachments_of_its_page(monkeypatch, workflow, skip):
    made = 0
    make = run_files._id

    def counted(ids: Ids, place: int) -> str:
        nonlocal made
        made += 1
        return make(ids, place)

    mock = Mock()
    mock.create_many(1000, workflow, file_inputs=[_file() for _ in range(10)])
    monkeypatch.setattr(run_files, "_id", counted)

    page = mock.get("/v1/run-attachments", params={"limit": 5, "skip": skip}).json()
    outputs = mock.get("/v1/run-attachments", params={"limit": 5, "attachment_type": "output"}).json()

    assert len(page["items"]) == 5
    assert page["total"] == 10_000 + outputs["total"]
    assert outputs["total"] == (2_000 if workflow == HAS_OUTPUT_FILES else 0)
    assert made < 50


def test_a_list_of_other_fields_makes_no_ids_of_attachments(monkeypatch):
    mock = Mock()
    mock.create_many(10, HAS_OUTPUT_FILES, file_inputs=[_file() for _ in range(10)])
    monkeypatch.setattr(run_files, "_id", None)

    items = mock.get("/v1/runs", params={"fields": "error"}).json()["items"]

    assert len(items) == 10
