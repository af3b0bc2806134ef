"""HAR 1.2: every exchange that the guard recorded, for tools that show traffic."""

import base64
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from contracts.core.exchange import Answer, Exchange, Request
from contracts.report.report import Report, json_headers, json_text, project_version


def render_har(report: Report) -> str:
    result = report.result
    log = {
        "version": "1.2",
        "creator": {"name": "cyberdesk contracts", "version": project_version()},
        "comment": f"contracts check {result.target}, seed {result.seed}, salt {result.salt}. Tokens and"
        " sensitive values are placeholders. Times are not recorded: all entries carry the start of the check, in their"
        " order.",
        "entries": [_entry(exchange, report) for exchange in report.exchanges],
    }
    return json_text({"log": log}, indent=1)


def _entry(exchange: Exchange, report: Report) -> dict[str, Any]:
    return {
        "startedDateTime": report.started_at.isoformat(timespec="milliseconds"),
        "time": 0,
        "request": _request(exchange.request, report.result.target),
        "response": _response(exchange.answer),
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


def _request(request: Request, target: str) -> dict[str, Any]:
    query = request.path.partition("?")[2]
    shown: dict[str, Any] = {
        "method": request.method,
        "url": target + request.path,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": json_headers(request.headers),
        "queryString": [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)],
        "headersSize": -1,
        "bodySize": len(request.body or b""),
    }
    if request.body is not None:
        shown["postData"] = {"mimeType": request.header("Content-Type") or ""} | _text(request.body, "comment")
    return shown


def _response(answer: Answer) -> dict[str, Any]:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    return {
        "status": answer.status,
        "statusText": phrase,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": json_headers(answer.headers),
        "content": {"size": len(answer.body), "mimeType": answer.header("Content-Type") or ""}
        | _text(answer.body, "encoding"),
        "redirectURL": answer.header("Location") or "",
        "headersSize": -1,
        "bodySize": len(answer.body),
    }


def _text(body: bytes, encoding_field: str) -> dict[str, str]:
    """The body as text, or as base64, which `encoding_field` then states. HAR defines `encoding` for responses only, so
    requests use `comment`.
    """
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), encoding_field: "base64"}
