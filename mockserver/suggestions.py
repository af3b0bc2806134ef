"""Suggests what a misspelled name, or a path that no operation has, probably stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from os.path import commonpath

_MAX_LENGTH = 200
_LIKE_ENOUGH = 0.8
_AS_CLOSE = 0.05
"""Of two names whose similarities differ by no more than this, either may be meant: `inputs` is nearly as close to
`file_inputs` as to `input_values`.
"""


def closest(name: str, names: Iterable[str], least: float = 0.6) -> str | None:
    """Return the most similar of the names; None if no similarity (the ratio of `difflib`) is `least` or more."""
    found = get_close_matches(name[:_MAX_LENGTH], names, 1, least)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name; empty if none of the names is similar."""
    name = name[:_MAX_LENGTH]
    near = get_close_matches(name, names, 2)
    likeness = [SequenceMatcher(None, each, name).ratio() for each in near]
    if len(near) == 2 and likeness[0] - likeness[1] > _AS_CLOSE:
        near = near[:1]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def suggestion(name: str, names: Collection[str], otherwise: str | None = None) -> str:
    """Return what to write in place of an unknown name: a similar one, else `otherwise`, by default any of them."""
    near = closest(name, names)
    return otherwise or f"there are {', '.join(names)}" if near is None else f"did you mean {near!r}?"


class NearPaths:
    """`operations` are the methods and the templates of the API's paths, such as `GET` and `/v1/runs/{run_id}`."""

    def __init__(self, operations: Iterable[tuple[str, str]]) -> None:
        self._methods: dict[str, set[str]] = {}
        # Paths without parameters come first: of two that are as similar, the first one is taken.
        for method, path in sorted(operations, key=lambda each: "{" in each[1]):
            self._methods.setdefault(path, set()).add(method)
        self._paths = {path: path.split("/") for path in self._methods}
        common = commonpath(self._paths) if self._paths else "/"
        self._base = "" if common == "/" or common in self._paths else common
        self._near = lru_cache(maxsize=256)(self._nearest)

    def why_not_found(self, path: str) -> str:
        """Return what is wrong with a path that no operation has, and which path may be meant."""
        shown = path[:200] if path.isprintable() else repr(path[:200])
        if path.startswith("/__ns"):
            return f"no operation has the path {shown}; a path in a namespace begins with /__ns/NAME/"
        near = self._near(path, None)
        return f"no operation has the path {shown}" + (f"; did you mean {near}?" if near else "")

    def problem(self, method: str | None, pattern: str) -> str | None:
        """Say which path a pattern probably means. None if an operation has such a path, or if none is similar.

        `/v1/runs/bluk` is a path of an operation, as it may be the id of a run, but not of one with the method POST.
        """
        path = pattern.rstrip("/")
        near = self._near(path, None)
        if near is not None:
            return f"no operation has the path {pattern[:200]!r}: did you mean {near!r}?"
        near = None if method is None else self._near(path, method)
        if near is not None:
            return f"no operation is {f'{method} {pattern[:200]}'!r}: did you mean {f'{method} {near}'!r}?"
        return None

    def hint(self, method: str | None, pattern: str) -> str | None:
        """Say that a pattern matches no request that the API has an operation for. None if it may match one."""
        path = pattern.rstrip("/") or "/"
        if "**" in path or self._template_of(path, method):
            return None
        shown = f"the path {pattern[:200]!r}" if method is None else f"{method} {pattern[:200]!r}"
        return f"no operation has {shown}; only a request that the API refuses can match"

    def _nearest(self, path: str, method: str | None) -> str | None:
        """Return the nearest template, of those with a method, for a path, or for a pattern of paths with `*` in it.

        None if no template is similar, or if one has the path.
        """
        if len(path) > _MAX_LENGTH or "**" in path or self._template_of(path, method):
            return None
        for variant in self._variants(path):
            template = self._template_of(variant, method)
            if template is not None:
                return template
        matcher: SequenceMatcher[str] = SequenceMatcher(b=path)
        best, nearest = 0.0, None
        for template in self._with(method):
            matcher.set_seq1(_filled(self._paths[template], path.split("/")))
            least = max(best, _LIKE_ENOUGH)
            if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
                continue
            ratio = matcher.ratio()
            if ratio >= _LIKE_ENOUGH and ratio > best:
                best, nearest = ratio, template
        return nearest

    def _with(self, method: str | None) -> Iterator[str]:
        """Yield the templates that have a method. Each has OPTIONS, and HEAD if it has GET."""
        wanted = {"HEAD": "GET", "OPTIONS": None}.get(method, method) if method else None
        return (path for path, methods in self._methods.items() if wanted is None or wanted in methods)

    def _variants(self, path: str) -> Iterator[str]:
        """Yield the path without a slash at its end, and with the base of all paths added or removed once."""
        plain = path.rstrip("/")
        yield plain
        if self._base:
            yield self._base + plain
            yield plain.removeprefix(self._base)

    def _template_of(self, path: str, method: str | None) -> str | None:
        parts = path.split("/")
        for template in self._with(method):
            segments = self._paths[template]
            if len(parts) == len(segments) and all(map(_fits, parts, segments)):
                return template
        return None


def _fits(part: str, segment: str) -> bool:
    return part == segment or "*" in part or (bool(part) and "{" in part + segment)


def _filled(segments: list[str], parts: list[str]) -> str:
    """Return a template as a path that has the other path's parts in place of the template's parameters."""
    if len(segments) != len(parts):
        return "/".join(segments)
    return "/".join(part if segment.startswith("{") else segment for segment, part in zip(segments, parts, strict=True))
