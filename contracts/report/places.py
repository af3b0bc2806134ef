"""Finds the places in a request and its answer that a finding names, so that a report can mark them."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from contracts.core.counting import counted
from contracts.core.findings import Finding
from contracts.report.report import shortened

_MAX_LINES: Final = 120
"""Lines of a body that are shown; of a longer one, the ends and what is near the marked lines."""
_MAX_LINE: Final = 600
_NEAR: Final = 3
_MAX_MARKED: Final = 12

_FIELD: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)+"')
_ID: Final = re.compile(r"\b[0-9a-f]{8}(?=-[0-9a-f]{4}-|…)")
_MEMBER: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"): ')


class Places:
    """The fields, values and ids that the texts of a finding name."""

    def __init__(self, finding: Finding) -> None:
        self._got = finding.got
        self._words = f"{finding.cause} {finding.expected} {finding.got}".lower()
        # The word "server" in "500 Internal Server Error" does not name the header.
        self._without_phrases = self._words
        for status in HTTPStatus:
            self._without_phrases = self._without_phrases.replace(
                f"{status.value} {status.phrase}".lower(), str(status.value)
            )
        self._fields = {f'"{name}"' for name in _FIELD.findall(self._words)}
        self._values = [*_QUOTED.findall(f"{finding.expected} {finding.got}"), *_ID.findall(finding.got)]

    def names_status(self, status: int) -> bool:
        return re.search(rf"\b{status}\b", self._got) is not None

    def names_header(self, name: str) -> bool:
        words, name = self._without_phrases, name.lower()
        return len(name) > 3 and (name in words or name.replace("-", " ") in words)

    def names_line(self, line: str) -> bool:
        """Return whether a line of an indented JSON body has a member or a value that the finding names."""
        member = _MEMBER.match(line)
        if member is not None and member[1] in self._fields:
            return True
        value = line[member.end() :] if member is not None else line
        return any(one in value for one in self._values)


def body_lines(body: bytes, places: Places | None) -> list[tuple[str, bool]]:
    """Return the lines of a body, JSON indented, each with whether it is to be marked. Long bodies are cut."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "backslashreplace")
    # Only what JSON and HTTP call a line break: a text may have others in it.
    lines = text.split("\n")
    marked = [index for index, line in enumerate(lines) if places is not None and places.names_line(line)]
    marked = marked[:_MAX_MARKED]
    kept = _kept(len(lines), marked)
    shown: list[tuple[str, bool]] = []
    before = -1
    for index in kept:
        if index != before + 1:
            shown.append((f"… {counted(index - before - 1, 'line')} left out …", False))
        shown.append((shortened(lines[index], _MAX_LINE), index in marked))
        before = index
    return shown


def _kept(count: int, marked: Sequence[int]) -> list[int]:
    if count <= _MAX_LINES:
        return list(range(count))
    end = _MAX_LINES // 3
    kept = {*range(end), *range(count - end, count)}
    for index in marked:
        kept |= {near for near in range(index - _NEAR, index + _NEAR + 1) if 0 <= near < count}
    return sorted(kept)
