"""Suggests what a misspelled name, or a path that no operation has, probably stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from os.path import commonpath

_MAX_LENGTH = 200
_LIKE_ENOUGH = 0.8


def closest(name: str, names: Iterable[str], least: float = 0.6) -> str | None:
    """Return the most similar of the names; None if no similarity (the ratio of `difflib`) is `least` or more."""
    found = get_close_matches(name[:_MAX_LENGTH], names, 1, least)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name; empty if none of the names is similar."""
    near = closest(name, names)
    return "" if near is None else f"; did you mean {near!r}?"


def suggestion(name: str, names: Collection[str], otherwise: str | None = None) -> str:
    """Return what to write in place of an unknown name: a similar one, else `otherwise`, by default any of them."""
    near = closest(name, names)
    return otherwise or f"there are {', '.join(names)}" if near is None else f"did you mean {near!r}?"


class NearPaths:
    """`paths` are the templates of the API's paths, such as `/v1/runs/{run_id}`."""

    def __init__(self, paths: Iterable[str]) -> None:
        # Paths without parameters come first: of two that are as similar, the first one is taken.
        self._paths = {path: path.split("/") for path in sorted(paths, key=lambda path: "{" in path)}
        common = commonpath(self._paths) if self._paths else "/"
        self._base = "" if common == "/" or common in self._paths else common
        self.near = lru_cache(maxsize=256)(self._near)
        """Return the nearest template for a path, or for a pattern of paths with `*` in it. None if no template is
        similar, or if a template has the path.
        """

    def why_not_found(self, path: str) -> str:
        """Return what is wrong with a path that no operation has, and which path may be meant."""
        near = self.near(path)
        shown = path[:200] if path.isprintable() else repr(path[:200])
        return f"no operation has the path {shown}" + (f"; did you mean {near}?" if near else "")

    def problem(self, pattern: str) -> str | None:
        """Say which path a pattern probably means. None if an operation has such a path, or if none is similar."""
        near = self.near(pattern.rstrip("/"))
        return None if near is None else f"no operation has the path {pattern[:200]!r}: did you mean {near!r}?"

    def _near(self, path: str) -> str | None:
        if len(path) > _MAX_LENGTH or "**" in path or self._template_of(path):
            return None
        for variant in self._variants(path):
            template = self._template_of(variant)
            if template is not None:
                return template
        matcher: SequenceMatcher[str] = SequenceMatcher(b=path)
        best, nearest = 0.0, None
        for template, segments in self._paths.items():
            matcher.set_seq1(_filled(segments, path.split("/")))
            least = max(best, _LIKE_ENOUGH)
            if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
                continue
            ratio = matcher.ratio()
            if ratio >= _LIKE_ENOUGH and ratio > best:
                best, nearest = ratio, template
        return nearest

    def _variants(self, path: str) -> Iterator[str]:
        """Yield the path without a slash at its end, and with the base of all paths added or removed once."""
        plain = path.rstrip("/")
        yield plain
        if self._base:
            yield self._base + plain
            yield plain.removeprefix(self._base)

    def _template_of(self, path: str) -> str | None:
        parts = path.split("/")
        for template, segments in self._paths.items():
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
