"""The journal in the control API: filtered, and with tokens and sensitive values masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from mockserver.admin.context import AdminContext, Server
from mockserver.clock import text_of
from mockserver.errors import NotFound, Unprocessable
from mockserver.journal import LONGEST_ANSWER, Entry, Journal
from mockserver.matching import PathPattern, RequestMatch
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call

_SECRET_PART = re.compile(
    r"authorization|cookie|token|secret|passw|passphrase|credential|signature|jwt|(?:api|access|private)key"
)
_SECRET_NAMES = frozenset({"auth", "key", "otp", "pass", "pin", "pwd", "sig"})
"""Names of headers and query parameters, reduced to lower-case letters and digits."""
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_SCHEMES = frozenset({"apikey", "basic", "bearer", "digest", "negotiate", "token"})
_MASK = "**********"
_MAX_CUTS = 8


async def list_requests(call: Call, context: AdminContext) -> Reply:
    found = _filtered(context, call.query)
    return _page(context, found, call.query)


async def count_requests(call: Call, context: AdminContext) -> Reply:
    filters = call.body
    count = len(_filtered(context, filters))
    complete = context.namespace.journal.is_complete_after(filters.get("since", 0))
    return Reply(200, JSONContent({"count": count, "complete": complete}))


async def list_unmatched_requests(call: Call, context: AdminContext) -> Reply:
    entries = _between(context.namespace.journal, call.query)
    unmatched = [entry for entry in entries if entry.operation_id is None and not entry.is_valid]
    return _page(context, unmatched, call.query)


async def get_request(call: Call, context: AdminContext) -> Reply:
    seq = call.path["seq"]
    entry = context.namespace.journal.find(seq)
    if entry is None:
        raise NotFound(f"There is no request {seq} in the journal of this namespace; it may have been dropped")
    return Reply(200, JSONContent(request_json(entry, context.server)))


async def clear_requests(call: Call, context: AdminContext) -> Reply:
    context.namespace.journal.clear()
    return Reply(204)


async def export_requests(call: Call, context: AdminContext) -> Reply:
    entries = [_har_entry(request_json(entry, context.server)) for entry in context.namespace.journal]
    creator = {"name": "cyberdesk-mockserver", "version": "1"}
    return Reply(200, JSONContent({"log": {"version": "1.2", "creator": creator, "entries": entries}}))


def _page(context: AdminContext, found: Sequence[Entry], query: dict[str, Any]) -> Reply:
    items = [request_json(entry, context.server) for entry in found[-query.get("limit", 1_000) :]]
    complete = context.namespace.journal.is_complete_after(query.get("since", 0))
    return Reply(200, JSONContent({"items": items, "total": len(found), "complete": complete}))


def _between(journal: Journal, filters: dict[str, Any]) -> Iterable[Entry]:
    since, before = filters.get("since", 0), filters.get("before")
    return (entry for entry in journal if entry.seq > since and (before is None or entry.seq < before))


def _filtered(context: AdminContext, filters: dict[str, Any]) -> list[Entry]:
    """Raises Unprocessable."""
    match = path = None
    if "match" in filters:
        try:
            match = RequestMatch.from_text(filters["match"], context.server.operations)
        except ValueError as error:
            raise Unprocessable(f"match: {error}") from None
    if "path" in filters:
        path = PathPattern(filters["path"])
    operation, method, status, valid = (filters.get(name) for name in ("operation", "method", "status", "valid"))
    return [
        entry
        for entry in _between(context.namespace.journal, filters)
        if (operation is None or entry.operation_id == operation)
        and (method is None or entry.method == method.upper())
        and (status is None or entry.status == status)
        and (valid is None or entry.is_valid is valid)
        and (path is None or path.matches(path_in_namespace(entry.path)))
        and (match is None or match.matches(entry.method, path_in_namespace(entry.path), entry.operation_id))
    ]


def path_in_namespace(path: str) -> str:
    return "/" + path.split("/", 3)[3] if path.startswith("/__ns/") and path.count("/") >= 3 else path


def request_summary(entry: Entry, server: Server) -> dict[str, Any]:
    """Return an entry as JSON without its headers and bodies, with secrets masked."""
    return {
        "seq": entry.seq,
        "at": text_of(entry.at),
        "method": entry.method,
        "path": entry.path,
        "query": _query(entry.query, server),
        "status": entry.status,
        "duration_ms": None if entry.duration_ms is None else round(entry.duration_ms, 3),
        "operation": entry.operation_id,
        "organization": entry.organisation or None,
        "valid": entry.is_valid,
        "reason": entry.reason,
        "warnings": list(entry.warnings),
        "fault": entry.fault,
    }


def request_json(entry: Entry, server: Server) -> dict[str, Any]:
    """Return an entry as JSON, with secrets masked."""
    return {
        **request_summary(entry, server),
        "headers": _headers(entry.headers),
        "body": _content(entry.body, entry.headers, server),
        "answer": {
            "headers": _headers(entry.answer_headers),
            "body": _content(entry.answer, entry.answer_headers, server),
            "bytes": entry.answer_bytes,
            "truncated": entry.answer_bytes is None or entry.answer_bytes > len(entry.answer),
        },
    }


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        if _is_secret(name):
            # Keep the scheme: it may explain a refusal, and reveals nothing about the token.
            scheme, blank, _ = value.partition(" ")
            value = f"{scheme} {_MASK}" if blank and scheme.lower() in _SCHEMES else _MASK
        shown[name] = f"{shown[name]}, {value}" if name in shown else value
    return shown


def _is_secret(name: str) -> bool:
    plain = _NOT_PLAIN.sub("", name.lower())
    return plain in _SECRET_NAMES or _SECRET_PART.search(plain) is not None


def _query(query: bytes, server: Server) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        value = _MASK if _is_secret(name) or server.masker.is_sensitive(name) else value
        if name not in shown:
            shown[name] = value
        elif isinstance(shown[name], list):
            shown[name].append(value)
        else:
            shown[name] = [shown[name], value]
    return shown


def _content(body: bytes, headers: Iterable[tuple[bytes, bytes]], server: Server) -> Any:
    """Return the parsed JSON, or text if it is not JSON; None for an empty body. Sensitive values are masked."""
    if not body:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        value = _complete_part(text) if len(body) == LONGEST_ANSWER else text
    return server.masker.masked(value)


def _complete_part(text: str) -> Any:
    """Return the complete part of truncated JSON; the text if that part cannot be determined."""
    end = len(text)
    for _ in range(_MAX_CUTS):
        end = text.rfind("}", 0, end)
        if end < 0:
            break
        for closing in ("]}", "]", "}", "}]}"):
            with suppress(ValueError, RecursionError):
                return json.loads(text[: end + 1] + closing)
    return text


def _escaped(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"), safe="/:@!$&'()*+,;=~")


def _har_entry(shown: dict[str, Any]) -> dict[str, Any]:
    def text_of_content(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def pairs(headers: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "value": value} for name, value in headers.items()]

    answer = shown["answer"]
    host = shown["headers"].get("host", "localhost")
    query = [
        {"name": name, "value": each}
        for name, value in shown["query"].items()
        for each in (value if isinstance(value, list) else [value])
    ]
    query_string = f"?{urlencode([(each['name'], each['value']) for each in query])}" if query else ""
    request: dict[str, Any] = {
        "method": shown["method"],
        "url": f"http://{host}{_escaped(shown['path'])}{query_string}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(shown["headers"]),
        "queryString": query,
        "headersSize": -1,
        "bodySize": -1,
    }
    if shown["body"] is not None:
        media_type = shown["headers"].get("content-type", "")
        request["postData"] = {"mimeType": media_type, "text": text_of_content(shown["body"])}
    content: dict[str, Any] = {
        "size": answer["bytes"] if answer["bytes"] is not None else -1,
        "mimeType": answer["headers"].get("content-type", ""),
    }
    if answer["body"] is not None:
        content["text"] = text_of_content(answer["body"])
    duration_ms = shown["duration_ms"] or 0
    return {
        "startedDateTime": shown["at"],
        "time": duration_ms,
        "request": request,
        "response": {
            "status": shown["status"] or 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": pairs(answer["headers"]),
            "content": content,
            "redirectURL": answer["headers"].get("location", ""),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": duration_ms, "receive": 0},
        "comment": "; ".join([*([shown["reason"]] if shown["reason"] else []), *shown["warnings"]]),
    }
