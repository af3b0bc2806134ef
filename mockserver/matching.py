"""Patterns that select requests: `POST /v1/runs/bulk`, `GET /v1/runs/*`, `list_runs`, `*`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mockserver.suggestions import suggestion

_METHOD = re.compile(r"[A-Z]+|\*")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "*")
_MAX_LENGTH = 1_000
_MAX_SEGMENTS = 32


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """`text` is the source. Without an operation, requests are matched by method (None: any) and path."""

    text: str
    operation_id: str | None = None
    method: str | None = None
    path: PathPattern | None = None

    @classmethod
    def from_text(cls, text: str, operation_ids: Collection[str]) -> RequestMatch:
        """Parse an operationId, a method and a path pattern (see PathPattern), or `*` for all requests.

        Raises ValueError with a hint what to write.
        """
        if len(text) > _MAX_LENGTH:
            raise ValueError(f"a match has {_MAX_LENGTH} characters at most")
        if text == "*":
            return cls(text)
        if text in operation_ids:
            return cls(text, operation_id=text)
        method, blank, path = text.partition(" ")
        path = path.strip()
        if blank and path.startswith("/") and _METHOD.fullmatch(method.upper()):
            _check_method(method.upper())
            return cls(text, method=None if method == "*" else method.upper(), path=PathPattern(path))
        if blank and _METHOD.fullmatch(method.upper()):
            _check_method(method.upper())
            instead = f"did you mean {f'{method} {_path_of(path)}'!r}?"
        else:
            instead = suggestion(text, operation_ids, "write 'METHOD /path', an operationId, or *")
        raise ValueError(f"{text[:200]!r} matches no request: {instead}")

    def matches(self, method: str, path: str, operation_id: str | None) -> bool:
        if self.operation_id is not None:
            return operation_id == self.operation_id
        return (self.method is None or method == self.method) and (self.path is None or self.path.matches(path))


def _path_of(text: str) -> str:
    """Return the path of a URL, inside its namespace; other text is a path without its first slash."""
    _, is_url, rest = text.partition("://")
    path = "/" + (rest.partition("/")[2] if is_url else text)
    return re.sub(r"\A/__ns/[^/]+(?=/)", "", path)[:200]


def _check_method(method: str) -> None:
    """Raises ValueError for a method that HTTP does not have."""
    if method not in _METHODS:
        raise ValueError(f"unknown method {method[:200]!r}; {suggestion(method, _METHODS)}")


class PathPattern:
    """`*` and `{name}` stand for one segment, or a part of one, `**` for any number of segments.

    Matching takes O(pattern × path) time; a regular expression might backtrack for much longer. Only the first 32
    segments are split, the rest counts as one more.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._segments = [None if each == "**" else _Segment(each) for each in _split(text)]

    def matches(self, path: str) -> bool:
        segments, parts = self._segments, _split(path)
        at = part = 0
        wildcard = tried = -1
        while part < len(parts):
            segment = segments[at] if at < len(segments) else _NONE
            if segment is None:
                wildcard, tried = at, part
                at += 1
            elif segment.matches(parts[part]):
                at += 1
                part += 1
            elif wildcard >= 0:
                # Go back to the last `**`: it takes one more part of the path.
                tried += 1
                at, part = wildcard + 1, tried
            else:
                return False
        return all(segment is None for segment in segments[at:])


def _split(path: str) -> list[str]:
    return path.split("/", _MAX_SEGMENTS)


class _Segment:
    def __init__(self, text: str) -> None:
        self._literals = re.split(r"\*|\{\w+\}", text)

    def matches(self, part: str) -> bool:
        first, *others = self._literals
        if not others:
            return part == first
        *inner, last = others
        if len(part) < len(first) + len(last) or not part.startswith(first) or not part.endswith(last):
            return False
        at, end = len(first), len(part) - len(last)
        for literal in inner:
            found = part.find(literal, at, end)
            if found < 0:
                return False
            at = found + len(literal)
        return True


class _Nothing(_Segment):
    def matches(self, part: str) -> bool:
        return False


_NONE = _Nothing("")
