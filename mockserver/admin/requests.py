"""The journal in the control API: filtered, and with tokens and sensitive values masked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any
from urllib.parse import quote, urlencode

from mockserver.admin.context import AdminContext, Dependencies
from mockserver.admin.journal_content import journal_content
from mockserver.clock import text_of
from mockserver.errors import NotFound, Unprocessable
from mockserver.journal import Entry
from mockserver.masking import masked_content, masked_headers, masked_query, query_pairs
from mockserver.matching import PathPattern, RequestMatch
from mockserver.namespaces import split_path
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call, render_json
from mockserver.suggestions import suggestion
from mockserver.time_slice import in_slices

_REFUSED_PAGE = (400, 403)
"""A request without an operation has one of these if it was refused because of the page that sent it."""


class MisspelledPath(Unprocessable):
    """A `match` has a path that no operation has, and that resembles one."""


async def list_requests(call: Call, context: AdminContext) -> Reply:
    try:
        found = await _filtered(context, call.query)
    except MisspelledPath as error:
        raise Unprocessable(f"{error.detail} The filter 'path' takes any path") from None
    return await _page(context, found, call.query)


async def count_requests(call: Call, context: AdminContext) -> Reply:
    filters = call.body
    count = len(await _filtered(context, filters))
    complete = await context.namespace.journal.is_complete_after(filters.get("since", 0))
    return Reply(200, JSONContent({"count": count, "complete": complete, **_hint(context, filters)}))


async def list_unmatched_requests(call: Call, context: AdminContext) -> Reply:
    entries = await _between(context, call.query)
    unmatched = [
        entry
        for entry in entries
        if entry.operation_id is None and not entry.is_valid and entry.status not in _REFUSED_PAGE
    ]
    return await _page(context, unmatched, call.query)


async def get_request(call: Call, context: AdminContext) -> Reply:
    seq = call.path["seq"]
    entry = await context.namespace.journal.find(seq)
    if entry is None:
        raise NotFound(f"There is no request {seq} in the journal of this namespace; it may have been dropped")
    return Reply(200, await journal_content(b"", [entry], b"", context.dependencies, request_json))


async def clear_requests(call: Call, context: AdminContext) -> Reply:
    await context.namespace.journal.remove_all()
    return Reply(204)


async def export_requests(call: Call, context: AdminContext) -> Reply:
    entries = await context.namespace.journal.entries()
    creator = render_json({"name": "cyberdesk-mockserver", "version": "1"})
    before = b'{"log":{"version":"1.2","creator":%b,"entries":[' % creator
    return Reply(200, await journal_content(before, entries, b"]}}", context.dependencies, _har_entry))


async def _page(context: AdminContext, found: Sequence[Entry], query: dict[str, Any]) -> Reply:
    shown = found[-query.get("limit", 1_000) :]
    complete = await context.namespace.journal.is_complete_after(query.get("since", 0))
    hint = b"".join(b',"%b":%b' % (name.encode(), render_json(text)) for name, text in _hint(context, query).items())
    after = b'],"total":%d,"complete":%b%b}' % (len(found), render_json(complete), hint)
    return Reply(200, await journal_content(b'{"items":[', shown, after, context.dependencies, request_json))


def _hint(context: AdminContext, filters: Mapping[str, Any]) -> dict[str, str]:
    """Return a member of the answer for a `match` that only a request without an operation can match."""
    if "match" not in filters:
        return {}
    match = RequestMatch.from_text(filters["match"], context.dependencies.operations)
    hint = None if match.path is None else context.dependencies.near_paths.hint(match.method, match.path.text)
    return {} if hint is None else {"hint": hint}


async def _between(context: AdminContext, filters: dict[str, Any]) -> Sequence[Entry]:
    return await context.namespace.journal.entries(filters.get("since", 0), filters.get("before"))


async def _filtered(context: AdminContext, filters: dict[str, Any]) -> list[Entry]:
    """Raises Unprocessable."""
    match = path = None
    if "match" in filters:
        try:
            match = RequestMatch.from_text(filters["match"], context.dependencies.operations)
        except ValueError as error:
            raise Unprocessable(f"match: {error}") from None
        near_paths = context.dependencies.near_paths
        problem = None if match.path is None else near_paths.problem(match.method, match.path.text)
        if problem is not None:
            raise MisspelledPath(f"match: {problem}")
    if "operation" in filters and filters["operation"] not in context.dependencies.operations:
        instead = suggestion(filters["operation"], context.dependencies.operations)
        raise Unprocessable(f"operation: unknown operationId {filters['operation'][:200]!r}; {instead}")
    if "path" in filters:
        path = PathPattern(filters["path"])
    operation, method, status, valid = (filters.get(name) for name in ("operation", "method", "status", "valid"))

    def is_wanted(entry: Entry) -> bool:
        _, path_inside = split_path(entry.path)
        return (
            (operation is None or entry.operation_id == operation)
            and (method is None or entry.method == method.upper())
            and (status is None or entry.status == status)
            and (valid is None or entry.is_valid is valid)
            and (path is None or path.matches(path_inside))
            and (match is None or match.matches(entry.method, path_inside, entry.operation_id))
        )

    entries = await _between(context, filters)
    return list(compress(entries, await in_slices(is_wanted, entries)))


def request_summary(entry: Entry, dependencies: Dependencies) -> dict[str, Any]:
    """Return an entry as JSON without its headers and bodies, with secrets masked."""
    return {
        "seq": entry.seq,
        "at": text_of(entry.at),
        "method": entry.method,
        "path": entry.path,
        "query": masked_query(entry.query, dependencies.masker),
        "status": entry.status,
        "duration_ms": None if entry.duration_ms is None else round(entry.duration_ms, 3),
        "operation": entry.operation_id,
        "organization": entry.organisation or None,
        "valid": entry.is_valid,
        "reason": entry.reason,
        "warnings": list(entry.warnings),
        "fault": entry.fault,
    }


def request_json(entry: Entry, dependencies: Dependencies) -> dict[str, Any]:
    """Return an entry as JSON, with secrets masked."""
    return {
        **request_summary(entry, dependencies),
        "headers": masked_headers(entry.headers),
        "body": masked_content(entry.body, dependencies.masker),
        "answer": {
            "headers": masked_headers(entry.answer_headers),
            "body": masked_content(entry.answer, dependencies.masker),
            "bytes": entry.answer_bytes,
            "truncated": entry.answer_bytes is None or entry.answer_bytes > len(entry.answer),
        },
    }


def _escaped(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"), safe="/:@!$&'()*+,;=~")


def _har_entry(entry: Entry, dependencies: Dependencies) -> dict[str, Any]:
    shown = request_json(entry, dependencies)

    def text_of_content(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def pairs(items: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
        return [{"name": name, "value": value} for name, value in items]

    answer = shown["answer"]
    host = shown["headers"].get("host", "localhost")
    query = query_pairs(shown["query"])
    query_string = f"?{urlencode(query)}" if query else ""
    request: dict[str, Any] = {
        "method": shown["method"],
        "url": f"http://{host}{_escaped(shown['path'])}{query_string}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(shown["headers"].items()),
        "queryString": pairs(query),
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
            "headers": pairs(answer["headers"].items()),
            "content": content,
            "redirectURL": answer["headers"].get("location", ""),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": duration_ms, "receive": 0},
        "comment": "; ".join([*([shown["reason"]] if shown["reason"] else []), *shown["warnings"]]),
    }
