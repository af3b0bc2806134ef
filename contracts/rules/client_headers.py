"""Headers that clients send: answers are the same with those of common clients, and errors are JSON with any."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from contracts.core.exchange import Headers
from contracts.data import limits, rows, write_bodies
from contracts.engine import CallResult, Case, CaseContext, Scenario
from contracts.engine.request_building import request_for
from contracts.rules.list_reads import NEWEST_FIRST, WHOLE_PAGE, listed_item, own_run_filters
from contracts.rules.tracked_run import TrackedRun

_COUNT: Final = 2**3 + 1
"""The runs to create: their answers and lists are longer than a mebibyte."""


@dataclass(frozen=True)
class HeadersCase(Case):
    headers: Headers
    expected_runs: ClassVar[int] = _COUNT


# Answers with the headers of common clients

_LONG: Final = "word " * (2 * limits.BUFFER // 5)
"""Longer than the smallest answer that servers compress, and than two of their buffers."""
_FILE: Final = {"filename": "long.txt", "content": base64.b64encode(_LONG.encode()).decode("ascii")}


def run_with_headers(context: CaseContext, case: HeadersCase) -> None:
    """Create, read, list and change a run, and download its file. The headers of the case must make no difference."""
    body = write_bodies.minimal("bulk_create_runs", count=_COUNT) | {"input_values": {"m": "«marker»", "text": _LONG}}
    if context.check.offers("download_run_attachment"):
        body |= {"file_inputs": [_FILE]}
    written = context.create("bulk_create_runs", body, headers=case.headers)
    if not written.runs_are_reliable:
        return
    run = TrackedRun.of(context, written, headers=case.headers)
    before = [run.read(), *_list(run)]
    if context.check.offers("update_run"):
        run.update({"output_data": {"changed": True}})
        after = [run.read(), *_list(run)]
        for result, changed in zip(before, after, strict=True):
            if result.body != changed.body:
                _judge_validator(run, result)
    if "file_inputs" in body:
        (attachment,) = written.runs[0]["input_attachment_ids"]
        run.require_file(attachment, [_FILE], "ATTACHMENTS", "other bytes", "the bytes that were sent")
        _judge_range(run, attachment)


def _list(run: TrackedRun) -> list[CallResult]:
    """List the run by a filter that no other run matches, and judge it as listed."""
    if not run.context.check.offers("list_runs"):
        return []
    query = [*own_run_filters(run.context)[:1], WHOLE_PAGE, NEWEST_FIRST]
    result = run.context.call_valid("list_runs", query=query, after=run.evidence, headers=run.headers)
    item = listed_item(result, run.id)
    cause, expected = "a run is missing from a list", f"run {run.id}"
    run.require(item, "LIST-COMPLETE", cause, expected, result, got="a list without it")
    if item is not None:
        run.compare(item, result)
    return [result]


def _judge_validator(run: TrackedRun, before: CallResult) -> None:
    """Send a read again with its ETag after a change. 304 would mean that nothing has changed (RFC 9110, 13.1.2)."""
    etag = before.answer.header("ETag")
    if etag is None:
        return
    result = run.context.send(before.exchange.request.with_header("If-None-Match", etag))
    cause, expected = "304 for a run that has changed", "200, since the run has changed after the answer with that ETag"
    run.require(result.status != 304, "UPDATE-PARTIAL", cause, expected, before, result)


def _judge_range(run: TrackedRun, attachment: str) -> None:
    """Download a part of a file. A server may send the whole file instead (RFC 9110, 14.2), but not compressed."""
    first, last = 1, limits.BUFFER
    others = (header for header in run.headers if header[0] != "Accept-Encoding")
    asked = (*others, ("Range", f"bytes={first}-{last}"))
    result = run.context.call("download_run_attachment", attachment, headers=asked)
    content = _LONG.encode()
    part = content[first : last + 1]
    expected = f"206 with {len(part):,} bytes from byte {first}, or 200 with all {len(content):,}"
    right = (result.status, result.answer.body) in {(206, part), (200, content)}
    got = f"{result.status} with {len(result.answer.body):,} bytes"
    run.require(right, "ATTACHMENTS", "another part of a file", expected, result, got=got)


# Without Origin, since a server may refuse an unknown one.
_COMMON: Final = {
    "Accept-Encoding": ("gzip", "gzip, deflate", "deflate"),
    "Accept": ("application/json, text/plain, */*", "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
    "Accept-Language": ("de-DE,de;q=0.9",),
    "Cache-Control": ("no-cache", "max-age=0"),
    "Content-Type": ("application/json; charset=utf-8", "application/json;charset=UTF-8"),
    "Cookie": ("session=abc; theme=dark",),
    "User-Agent": ("Mozilla/5.0 (X11; Linux x86_64)", "python-httpx/0.28", "okhttp/4.12"),
    "X-Requested-With": ("XMLHttpRequest",),
}


# Errors for unusual headers


def run_errors_with_headers(context: CaseContext, case: HeadersCase) -> None:
    """Provoke each kind of error with the headers of the case: errors must still be JSON, and never a 5xx."""
    headers = case.headers
    for request in (
        request_for("get_run", context.placeholder("unknown"), headers=headers),
        request_for("list_runs", query=[("limit", "0")], headers=headers),
        request_for("list_runs", token=None, headers=headers),
        request_for("bulk_create_runs", body={"count": 0}, headers=headers),
        request_for("bulk_create_runs", body={"pool_ids": ["x"] * 20}, headers=headers),  # a long error, to compress
        request_for("bulk_create_runs", raw=b"{", headers=headers),
        request_for(("PUT", "/v1/runs"), raw=b"{}", headers=headers),
        request_for(("GET", "/v1/nothing"), headers=headers),
    ):
        context.send(request)


_UNUSUAL: Final = {
    "Accept": ("text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain", "application/xml", "x", ""),
    "Accept-Language": ("x" * 300,),
    "Accept-Encoding": ("gzip, nonsense;q=2, *;q=0", "gzip, deflate, br"),
    "Accept-Charset": ("utf-16",),
    "User-Agent": ("Mozilla/5.0 (X11; Linux) \xe9\xff", ""),
    "Cookie": ("a=b; session=\xff; =",),
    "Origin": ("https://example.com", "null"),
    "Referer": ("\xff",),
    "X-Requested-With": ("XMLHttpRequest",),
    "X-Forwarded-For": ("not an address",),
    "Forwarded": ("for=;;",),
    "If-None-Match": ("*",),
    "If-Modified-Since": ("x",),
    "Range": ("bytes=0-0",),
    "Prefer": ("x=y;z",),
    "Idempotency-Key": ("", "\xe9\xff", "k" * 3000, " "),
    "Traceparent": ("00-x-y-z",),
    "X-Request-Id": ("x" * 3000,),
    "Authorization-Extra": ("\xff",),
}


def _cases_with(values: Mapping[str, Sequence[str]]) -> Iterator[HeadersCase]:
    """Yield cases that together have every value of every header."""
    yield from (HeadersCase(tuple(row.items())) for row in rows(values))


SCENARIOS = (
    Scenario(
        "headers of common clients",
        ("READ-BACK", "LIST-COMPLETE", "UPDATE-PARTIAL", "ATTACHMENTS"),
        run_with_headers,
        lambda check: _cases_with(_COMMON),
        needs=("get_run",),
    ),
    Scenario(
        "errors with unusual headers",
        ("NO-5XX", "HTTP-ERROR-JSON"),
        run_errors_with_headers,
        lambda check: _cases_with(_UNUSUAL),
        creates_runs=False,
        order=2,
    ),
)
