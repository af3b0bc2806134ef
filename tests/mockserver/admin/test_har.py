"""The journal as an HTTP archive: by the structure of HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import SUCCEEDS


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {}), "comment": {"type": "string"}},
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": -1}
_MS = {"type": "number", "minimum": 0}
_PAIRS = {"type": "array", "items": _object({"name": _TEXT, "value": _TEXT})}
_COOKIES = {"type": "array", "items": {"type": "object", "required": ["name", "value"]}}
_REQUEST = _object(
    {
        "method": _TEXT,
        "url": {"type": "string", "pattern": "^https?://[^#]+$"},
        "httpVersion": _TEXT,
        "cookies": _COOKIES,
        "headers": _PAIRS,
        "queryString": _PAIRS,
        "headersSize": _WHOLE,
        "bodySize": _WHOLE,
    },
    {"postData": _object({"mimeType": _TEXT, "text": _TEXT})},
)
_RESPONSE = _object(
    {
        "status": {"type": "integer", "minimum": 0},
        "statusText": _TEXT,
        "httpVersion": _TEXT,
        "cookies": _COOKIES,
        "headers": _PAIRS,
        "content": _object({"size": _WHOLE, "mimeType": _TEXT}, {"text": _TEXT, "encoding": _TEXT}),
        "redirectURL": _TEXT,
        "headersSize": _WHOLE,
        "bodySize": _WHOLE,
    }
)
_ENTRY = _object(
    {
        "startedDateTime": {"type": "string", "format": "date-time"},
        "time": _MS,
        "request": _REQUEST,
        "response": _RESPONSE,
        "cache": {"type": "object"},
        "timings": _object({"send": _MS, "wait": _MS, "receive": _MS}),
    }
)
HAR = _object(
    {
        "log": _object(
            {
                "version": {"const": "1.2"},
                "creator": _object({"name": _TEXT, "version": _TEXT}),
                "entries": {"type": "array", "items": _ENTRY},
            }
        )
    }
)


def _archive(mock: ControlledMock) -> list[dict[str, Any]]:
    archive = mock.asked("/requests.har")
    jsonschema.Draft202012Validator(HAR).validate(archive)
    return archive["log"]["entries"]


def test_an_empty_journal_is_an_archive():
    assert _archive(controlled_mock()) == []


def test_every_kind_of_exchange_fits_the_structure():
    mock = controlled_mock()
    mock.create()
    mock.post("/v1/runs", content=b"\xff{", headers={"Content-Type": "text/plain"})
    mock.get("/v1/runs?limit=1&search=a%20b&search=%C3%A9")
    mock.get("/__ns/caf%C3%A9%20%3F/v1/runs")
    mock.get("/v1/runs", token=None)
    mock.request("PUT", "/v1/runs")
    mock.request("OPTIONS", "/v1/runs")
    mock.fault(match="*", answer={"status": 204})
    mock.delete("/v1/runs")

    entries = _archive(mock)

    assert [each["response"]["status"] for each in entries] == [201, 422, 200, 401, 405, 204, 204]
    assert all(datetime.fromisoformat(each["startedDateTime"]).utcoffset() is not None for each in entries)
    assert all(each["time"] == sum(each["timings"].values()) for each in entries)


def test_the_url_holds_the_query_and_leads_to_what_was_asked():
    mock = controlled_mock()
    mock.get("/v1/runs?search=a%20b&limit=5&x=&search=%C3%A9")

    [entry] = _archive(mock)

    url = urlsplit(entry["request"]["url"])
    assert (url.netloc, url.path) == ("localhost:4010", "/v1/runs")
    asked = [("search", "a b"), ("search", "é"), ("limit", "5"), ("x", "")]
    assert sorted(parse_qsl(url.query, keep_blank_values=True)) == sorted(asked)
    assert sorted((each["name"], each["value"]) for each in entry["request"]["queryString"]) == sorted(asked)


def test_the_path_in_the_url_is_escaped():
    mock = controlled_mock()
    mock.get("/v1/runs/caf%C3%A9%20%3F%23")

    [entry] = _archive(mock)

    assert entry["request"]["url"] == "http://localhost:4010/v1/runs/caf%C3%A9%20%3F%23"


def test_bodies_are_text_and_the_comment_tells_why_it_was_refused():
    mock = controlled_mock()
    mock.post("/v1/runs", {"workflow_ids": SUCCEEDS})

    [entry] = _archive(mock)

    assert json.loads(entry["request"]["postData"]["text"]) == {"workflow_ids": SUCCEEDS}
    assert entry["request"]["postData"]["mimeType"] == "application/json"
    assert json.loads(entry["response"]["content"]["text"])["detail"][0]["loc"] == ["body", "workflow_id"]
    assert "workflow_id" in entry["comment"]


def test_the_archive_of_a_namespace_holds_its_requests_only():
    mock = controlled_mock()
    mock.get("/v1/runs")
    mock.get("/__ns/a/v1/pools")

    entries = mock.asked("/requests.har", namespace="a")["log"]["entries"]

    assert [each["request"]["url"] for each in entries] == ["http://localhost:4010/__ns/a/v1/pools"]
