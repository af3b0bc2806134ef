"""Which requests a text means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.matching import PathPattern, RequestMatch, _Segment

_IDS = ("list_runs", "get_run", "bulk_create_runs", "create_run")


@pytest.mark.parametrize(
    ("text", "method", "path", "operation", "matches"),
    [
        ("*", "GET", "/v1/runs", "list_runs", True),
        ("*", "BREW", "/nothing", None, True),
        ("list_runs", "GET", "/v1/runs", "list_runs", True),
        ("list_runs", "GET", "/v1/runs", "get_run", False),
        ("list_runs", "GET", "/v1/runs", None, False),
        ("POST /v1/runs/bulk", "POST", "/v1/runs/bulk", None, True),
        ("POST /v1/runs/bulk", "GET", "/v1/runs/bulk", None, False),
        ("POST /v1/runs/bulk", "POST", "/v1/runs/bulk/", None, False),
        ("POST /v1/runs/bulk", "POST", "/v1/runs", None, False),
        ("post /v1/runs", "POST", "/v1/runs", None, True),
        ("POST   /v1/runs ", "POST", "/v1/runs", None, True),
        ("* /v1/runs", "DELETE", "/v1/runs", None, True),
        ("GET /v1/runs/*", "GET", "/v1/runs/abc", None, True),
        ("GET /v1/runs/*", "GET", "/v1/runs", None, False),
        ("GET /v1/runs/*", "GET", "/v1/runs/", None, True),
        ("GET /v1/runs/*", "GET", "/v1/runs/abc/retry", None, False),
        ("GET /v1/runs/{run_id}", "GET", "/v1/runs/abc", None, True),
        ("GET /v1/runs/{run_id}/retry", "GET", "/v1/runs/abc/retry", None, True),
        ("GET /v1/runs/a*c", "GET", "/v1/runs/abbc", None, True),
        ("GET /v1/runs/a*c", "GET", "/v1/runs/ab", None, False),
        ("GET /v1/runs/a*a", "GET", "/v1/runs/a", None, False),
        ("GET /v1/runs/*b*b*", "GET", "/v1/runs/abcb", None, True),
        ("GET /**", "GET", "/", None, True),
        ("GET /**", "GET", "/v1/runs/a/b/c", None, True),
        ("GET /v1/**/retry", "GET", "/v1/runs/a/retry", None, True),
        ("GET /v1/**/retry", "GET", "/v1/retry", None, True),
        ("GET /v1/**/retry", "GET", "/v1/runs/a/retries", None, False),
        ("GET /**/a/**/b", "GET", "/x/a/a/y/b", None, True),
        ("GET /v1/ru.s", "GET", "/v1/runs", None, False),
        ("GET /v1/runs/%41", "GET", "/v1/runs/A", None, False),
    ],
)
def test_a_text_means_these_requests(text, method, path, operation, matches):
    assert RequestMatch.from_text(text, _IDS).matches(method, path, operation) is matches


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("list_rusn", "did you mean 'list_runs'?"),
        ("bulk_create", "did you mean 'bulk_create_runs'?"),
        ("", "write 'METHOD /path', an operationId, or *"),
        ("/v1/runs", "write 'METHOD /path', an operationId, or *"),
        ("POST", "write 'METHOD /path', an operationId, or *"),
        ("POST v1/runs", "did you mean 'POST /v1/runs'?"),
        ("get v1/runs/*", "did you mean 'get /v1/runs/*'?"),
        ("GET http://127.0.0.1:4010/v1/runs", "did you mean 'GET /v1/runs'?"),
        ("GET https://mock.test/__ns/checkout/v1/runs", "did you mean 'GET /v1/runs'?"),
        ("* http://127.0.0.1:4010", "did you mean '* /'?"),
        ("PSOT v1/runs", "unknown method 'PSOT'; did you mean 'POST'?"),
        ("P0ST /v1/runs", "write 'METHOD /path', an operationId, or *"),
        ("**", "write 'METHOD /path', an operationId, or *"),
        ("x" * 1_001, "1000 characters at most"),
    ],
)
def test_a_text_that_means_none_is_refused_with_what_would_be_right(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        RequestMatch.from_text(text, _IDS)


_PATTERNS = st.lists(st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "**", "{x}", ""]), max_size=6).map("/".join)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "aab", "ba", ""]), max_size=7).map("/".join)


@given(_PATTERNS, _PATHS)
def test_a_pattern_matches_as_the_regular_expression_of_the_same_meaning_would(pattern, path):
    parts = [
        None if part == "**" else re.sub(r"\\\*|\\\{\w+\\\}", "[^/]*", re.escape(part)) for part in pattern.split("/")
    ]

    assert PathPattern(pattern).matches(path) is _matches(parts, path.split("/"))


def _matches(parts: list[str | None], segments: list[str]) -> bool:
    """By trying everything."""
    if not parts:
        return not segments
    if parts[0] is None:
        return any(_matches(parts[1:], segments[taken:]) for taken in range(len(segments) + 1))
    return bool(segments) and bool(re.fullmatch(parts[0], segments[0])) and _matches(parts[1:], segments[1:])


def test_a_long_path_takes_no_more_comparisons_than_one_of_some_segments(monkeypatch):
    compared = 0
    matches = _Segment.matches

    def counted(self: _Segment, part: str) -> bool:
        nonlocal compared
        compared += 1
        return matches(self, part)

    monkeypatch.setattr(_Segment, "matches", counted)

    assert PathPattern("/**/" + "a/" * 400 + "b").matches("/" + "a/" * 30_000) is False
    assert PathPattern("/" + "**/a/" * 200 + "b").matches("/" + "a/" * 30_000) is False
    assert PathPattern("/v1/**").matches("/v1" + "/a" * 30_000) is True
    assert compared < 3_000
