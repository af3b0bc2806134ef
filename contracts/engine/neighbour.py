"""Compares a failing attempt at a case with those that passed, to find the nearest of them and to guess the cause.

Two attempts are compared by their requests. Values that each attempt makes up (ids, markers, keys, moments) do not
count. A guess names what the failing request has, and what all passing requests that differ in only one place lack.
"""

import difflib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.core.counting import counted
from contracts.core.exchange import Exchange, Request
from contracts.core.json_tree import map_texts
from contracts.engine.results import Attempt
from contracts.openapi.router import route_of
from contracts.openapi.schemas import UUID_PATTERN
from contracts.oracle import accepts

_UUID: Final = re.compile(UUID_PATTERN, re.IGNORECASE)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MAX_NAMED: Final = 3
"""The most parts that a guess names."""
_LONG: Final = 3
"""Only longer texts are replaced by the name of their placeholder, or compared by their beginning."""
_LONG_TEXT: Final = 64
"""The characters of a longer text tell nothing if all texts that passed are less than half as long."""
_MANY: Final = 8
"""If an object has more members, their number matters rather than their names."""
_LONG_NUMBER: Final = 10
"""A query parameter with this many digits, or more, is compared as a text, not as a number."""
_ABSENT: Final = object()


@dataclass(frozen=True)
class RequestDifference:
    """A place in which two requests differ, with both values. Either may be absent. `exchange` is the passing one."""

    place: str
    failing: Any
    passing: Any
    exchange: Exchange

    @property
    def size(self) -> float:
        one, other = self.failing, self.passing
        if _is_number(one) and _is_number(other):
            return float(min(abs(one - other), 1e9))
        if isinstance(one, str | list | dict) and type(one) is type(other):
            is_alike = isinstance(one, str) and "«" in one and "«" in other
            return 0.5 if is_alike else max(0.5, abs(len(one) - len(other)))
        return 1.5


@dataclass(frozen=True)
class Neighbour:
    """How the requests of an attempt that passed differ from those of the failing one. `exchange` has the last request
    that differs, or else the one that was judged.
    """

    exchange: Exchange
    differences: tuple[RequestDifference, ...]

    @property
    def distance(self) -> tuple[int, float]:
        return len(self.differences), sum(difference.size for difference in self.differences)


def neighbours(failing: Attempt, passing: Iterable[Attempt]) -> list[Neighbour]:
    """Return the attempts that passed and got a success for the request that fails, the nearest first."""
    found = (_neighbour(failing, attempt) for attempt in passing)
    return sorted((one for one in found if one is not None), key=lambda one: one.distance)


def guess(nearest: Sequence[Neighbour]) -> str:
    """Return, as a question, what the failing request has and its neighbours lack; empty if that is not clear.

    Only neighbours that differ in one place are compared. If values of a place can be compared, they give the guess.
    Otherwise it names the places that only the failing request has.
    """
    by_place: dict[str, list[RequestDifference]] = {}
    for neighbour in nearest:
        if len(neighbour.differences) == 1:
            by_place.setdefault(neighbour.differences[0].place, []).append(neighbour.differences[0])
    lacked = [place for place, found in by_place.items() if all(one.passing is _ABSENT for one in found)]
    compared = {place: found for place, found in by_place.items() if place not in lacked}
    guesses = [words for place, found in compared.items() if (words := _guess_at(place, found))]
    outer = [place for place in lacked if not any(place != other and place.startswith(other) for other in lacked)]
    if not guesses and len(outer) <= _MAX_NAMED:
        requests = [place for place in outer if isinstance(by_place[place][0].failing, _Comparable)]
        parts = [_part_in_words(place, by_place[place][0].failing) for place in outer if place not in requests]
        together = " together" if len(parts) > 1 else ""
        guesses = [*requests, *([f"with {' and '.join(parts)}{together}"] if parts else [])]
    return f"only {' and '.join(guesses[:_MAX_NAMED])}?" if guesses else ""


def _neighbour(failing: Attempt, passing: Attempt) -> Neighbour | None:
    failing_requests, passing_requests = _requests(failing), _requests(passing)
    pairs = _aligned(failing_requests, passing_requests)
    if not pairs or pairs[-1][0] != len(failing_requests) - 1:
        return None  # it did not send the request that fails
    end = pairs[-1][1]
    judged = passing.exchanges[end]
    if not accepts(judged.answer):
        return None
    if _has_json(failing.exchanges[-1].request) and not _has_json(judged.request):
        return None  # the contract does not say how a body of another type is read, so nothing was judged
    paired_failing, paired_passing = (set(indices) for indices in zip(*pairs, strict=True))
    only_failing = [request for index, request in enumerate(failing_requests) if index not in paired_failing]
    only_passing = [request for index, request in enumerate(passing_requests[:end]) if index not in paired_passing]
    differences = [
        *(RequestDifference(f"after {request.name}", request, _ABSENT, judged) for request in only_failing),
        *(RequestDifference(f"without {request.name}", _ABSENT, request, judged) for request in only_passing),
    ]
    for left, right in pairs:
        for place, one, other in _differences(failing_requests[left].parts, passing_requests[right].parts):
            differences.append(RequestDifference(place, one, other, passing.exchanges[right]))
    if not differences:
        return None
    return Neighbour(differences[-1].exchange, tuple(differences))


def _has_json(request: Request) -> bool:
    media_type = (request.header("Content-Type") or "").partition(";")[0]
    return request.body is None or media_type.strip().lower() == "application/json"


@dataclass(frozen=True)
class _Comparable:
    """A request without the values that each attempt makes up."""

    name: str
    parts: dict[str, Any]


def _requests(attempt: Attempt) -> list[_Comparable]:
    names = {str(value): f"«{name}»" for name, value in attempt.placeholders.items() if len(str(value)) > _LONG}
    return [_comparable(exchange.request, names) for exchange in attempt.exchanges]


def _comparable(request: Request, names: Mapping[str, str]) -> _Comparable:
    def plain(text: str) -> str:
        for value, name in names.items():
            text = text.replace(value, name)
        return _MOMENT.sub(_kind_of_moment, _UUID.sub("«id»", text))

    path, _, query = request.path.partition("?")
    route = route_of(request.method, path)
    name = f"{request.method} {plain(path) if route is None else route.template}"
    parts: dict[str, Any] = {"": plain(path)}
    for key, value in parse_qsl(query, keep_blank_values=True):
        parts[key] = f"{parts[key]}, {plain(value)}" if key in parts else _number_or_text(plain(value))
    parts |= {key: plain(value) for key, value in request.headers}
    if request.body is not None:
        try:
            body = map_texts(request.json(), plain)
        except (ValueError, RecursionError):
            body = request.body.decode("latin-1")
        parts |= body if isinstance(body, dict) else {"the body": body}
    return _Comparable(name, parts)


def _kind_of_moment(match: re.Match[str]) -> str:
    fraction, zone = match.groups()
    if zone != "Z":
        zone = "+00:00" if zone.endswith("00:00") else "+hh:mm"
    return f"«moment{'.f' if fraction else ''}{zone}»"


def _aligned(one: Sequence[_Comparable], other: Sequence[_Comparable]) -> list[tuple[int, int]]:
    """Return the indices of requests that correspond, in order: those of the longest common subsequences of names."""
    names = [request.name for request in one], [request.name for request in other]
    blocks = difflib.SequenceMatcher(None, *names, autojunk=False).get_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


def _differences(failing: Any, passing: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, failing value, passing value) for each part that differs."""
    if isinstance(failing, dict) and isinstance(passing, dict):
        names = [*failing, *(name for name in passing if name not in failing)]
        differing = [name for name in names if (name in failing) != (name in passing)]
        if place and len(failing) == len(passing) == 1 and differing:
            yield f"the key of {place}", *failing, *passing
            yield from _differences(next(iter(failing.values())), next(iter(passing.values())), f"{place}.*")
            return
        if place and (len(differing) > 1 or (differing and len(names) > _MANY)):
            yield place, failing, passing
            return
        for name in names:
            if not place:
                inner = name
            elif name.isidentifier():
                inner = f"{place}.{name}"
            else:
                inner = f"{place}[{json.dumps(name)}]"
            yield from _differences(failing.get(name, _ABSENT), passing.get(name, _ABSENT), inner)
    elif isinstance(failing, list) and isinstance(passing, list) and len(failing) == len(passing):
        for index, (one, other) in enumerate(zip(failing, passing, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif type(failing) is not type(passing) or failing != passing:
        yield place, failing, passing


# Guesses


def _guess_at(place: str, found: Sequence[RequestDifference]) -> str:
    """Describe how the failing value of a place differs from the passing ones; empty if that is not clear."""
    failing, passing = found[0].failing, [one.passing for one in found if one.passing is not _ABSENT]
    if "sensitive" in place and not isinstance(failing, list | dict | str):
        return ""  # a report could not mask a part of a number
    if _is_number(failing) and all(map(_is_number, passing)):
        return _guess_at_number(place, failing, passing)
    if isinstance(failing, str) and all(isinstance(one, str) for one in passing):
        return _guess_at_text(place, failing, passing)
    if isinstance(failing, list | dict) and all(type(one) is type(failing) for one in passing):
        noun = "item" if isinstance(failing, list) else "member"
        return _guess_at_length(place, noun, failing, passing)
    return ""


def _guess_at_number(place: str, failing: float, passing: Sequence[float]) -> str:
    below = max((one for one in passing if one < failing), default=-math.inf)
    above = min((one for one in passing if one > failing), default=math.inf)
    if failing - below == 1 and above == math.inf:
        return f"with {place} above {below:,}"
    if above - failing == 1 and below == -math.inf:
        return f"with {place} below {above:,}"
    if failing - below == 1 and above - failing == 1:
        return f"with {place} {failing:,}"
    return ""


def _guess_at_length(place: str, noun: str, failing: Any, passing: Sequence[Any]) -> str:
    longest = max(map(len, passing))
    is_exact = len(failing) - longest == 1 and longest > 0
    return f"with more than {counted(longest, noun)} in {place}" if is_exact else ""


def _guess_at_text(place: str, failing: str, passing: Sequence[str]) -> str:
    if not place:
        return ""
    if "«" in failing:
        has_offset = "+hh:mm" in failing and not any("+hh:mm" in one for one in passing)
        return f"with a time zone offset in {place}" if has_offset else ""
    if len(failing) > _LONG and any(failing.startswith(one) for one in passing):
        words = _guess_at_length(place, "character", failing, [one for one in passing if failing.startswith(one)])
        if words:
            return words
    if len(failing) > _LONG_TEXT and len(failing) > 2 * max(map(len, passing)):
        return ""  # its length may matter rather than its characters, and was not tried by itself
    for words, has in _FEATURES.items():
        if has(failing) and not any(map(has, passing)):
            return f"with {words} in {place}"
    return ""


_FEATURES: Final[Mapping[str, Callable[[str], Any]]] = {
    "an empty text": lambda text: not text,
    "a null character": lambda text: "\0" in text,
    "a line break": lambda text: "\n" in text or "\r" in text,
    "another control character": lambda text: any(ord(c) < 32 or ord(c) == 127 for c in text),
    "a space at an end": lambda text: text != text.strip(),
    "a character outside of the Basic Multilingual Plane": lambda text: any(ord(c) > 0xFFFF for c in text),
    "characters that Unicode normalisation composes": lambda text: unicodedata.normalize("NFC", text) != text,
    "a non-ASCII character": lambda text: not text.isascii(),
    "a quotation mark": lambda text: '"' in text or "'" in text,
    "a backslash": lambda text: "\\" in text,
    "a percent sign": lambda text: "%" in text,
    "an underscore": lambda text: "_" in text,
    "a digit": lambda text: any(c.isdigit() for c in text),
    "a capital letter": lambda text: any(c.isupper() for c in text),
}


def _number_or_text(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONG_NUMBER else text


def _part_in_words(place: str, value: Any) -> str:
    """Return a place, with its value if that is short and not sensitive."""
    is_number = _is_number(value) and "sensitive" not in place
    is_short = value is None or isinstance(value, bool) or value in ("", [], {})
    return f"{place} {json.dumps(value)}" if is_number or is_short else place


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
