"""Compares a failing attempt at a case with other attempts, to find the nearest of those that passed.

Two attempts are compared by their requests. Values that each attempt makes up (ids, markers, keys, moments) do not
count.
"""

import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.core.exchange import Exchange, Request
from contracts.core.json_tree import leaves, map_texts
from contracts.engine.results import Attempt
from contracts.openapi.router import route_of
from contracts.openapi.schemas import UUID_PATTERN
from contracts.oracle import accepts

_UUID: Final = re.compile(UUID_PATTERN, re.IGNORECASE)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LONG: Final = 3
"""Only longer texts are replaced by the name of their placeholder."""
_MANY: Final = 8
"""If an object has more members, their number matters rather than their names."""
_LONG_NUMBER: Final = 10
"""A query parameter with this many digits, or more, is compared as a text, not as a number."""
ABSENT: Final = object()
KEY_OF: Final = "the key of "
"""Begins the place of a difference in the only name of an object."""


@dataclass(frozen=True)
class ComparableRequest:
    """A request without the values that each attempt makes up."""

    name: str
    parts: dict[str, Any]


@dataclass(frozen=True)
class RequestDifference:
    """A place in which two requests differ, with the value of the failing one and the other value. Either may be
    `ABSENT`. `exchange` is the other one. If `is_linked`, the failing value occurs at another place of the failing
    attempt too, so that it may matter only that both are equal. `is_judged`: the place is in the last request, which
    fails.
    """

    place: str
    failing: Any
    other: Any
    exchange: Exchange
    is_linked: bool = False
    is_judged: bool = False

    @property
    def size(self) -> float:
        one, other = self.failing, self.other
        if is_number(one) and is_number(other):
            return float(min(abs(one - other), 1e9))
        if isinstance(one, dict) and isinstance(other, dict):
            return max(0.5, len(one.keys() ^ other.keys()))
        if isinstance(one, str | list) and type(one) is type(other):
            is_alike = isinstance(one, str) and "«" in one and "«" in other
            return 0.5 if is_alike else max(0.5, abs(len(one) - len(other)))
        return 1.5


@dataclass(frozen=True)
class Neighbour:
    """How the requests of another attempt differ from those of the failing one. `exchange` has the last request that
    differs; it may be `judged`, the one that fails in the failing attempt.
    """

    exchange: Exchange
    judged: Exchange
    differences: tuple[RequestDifference, ...]

    @property
    def distance(self) -> tuple[int, float]:
        return len(self.differences), sum(difference.size for difference in self.differences)


def neighbours(failing: Attempt, passing: Iterable[Attempt]) -> list[Neighbour]:
    """Return the attempts that passed and got a success for the request that fails, the nearest first. An attempt does
    not count if it got no success for an earlier request either, and the failing one did.
    """
    found = (_neighbour(failing, attempt) for attempt in passing)
    return sorted((one for one in found if one is not None), key=lambda one: one.distance)


def also_failing(failing: Attempt, others: Iterable[Attempt]) -> list[Neighbour]:
    """Return how other attempts that fail differ from the failing one, if they do. Of an attempt that sent other
    requests too, only the last one is compared, which was judged.
    """
    found = (_other_failing(failing, attempt) for attempt in others)
    return [one for one in found if one is not None]


def _other_failing(failing: Attempt, other: Attempt) -> Neighbour | None:
    failing_requests, other_requests = _requests(failing), _requests(other)
    one, two = ([request.name for request in requests] for requests in (failing_requests, other_requests))
    if not one or one[-1:] != two[-1:]:
        return None
    pairs = [(len(one) - back, len(two) - back) for back in range(len(one) if one == two else 1, 0, -1)]
    return _neighbour_of(failing_requests, other_requests, other, pairs, ())


def _neighbour(failing: Attempt, passing: Attempt) -> Neighbour | None:
    failing_requests, passing_requests = _requests(failing), _requests(passing)
    pairs = _aligned(failing_requests, passing_requests)
    if not pairs or pairs[-1][0] != len(failing_requests) - 1:
        return None  # it did not send the request that fails
    if not _works(failing, passing, pairs):
        return None
    end = pairs[-1][1]
    paired_failing, paired_passing = (set(indices) for indices in zip(*pairs, strict=True))
    only_failing = [request for index, request in enumerate(failing_requests) if index not in paired_failing]
    only_passing = [request for index, request in enumerate(passing_requests[:end]) if index not in paired_passing]
    judged = passing.exchanges[end]
    differences = [
        *(RequestDifference(f"after {request.name}", request, ABSENT, judged) for request in only_failing),
        *(RequestDifference(f"without {request.name}", ABSENT, request, judged) for request in only_passing),
    ]
    return _neighbour_of(failing_requests, passing_requests, passing, pairs, differences)


def _neighbour_of(
    failing: Sequence[ComparableRequest],
    requests: Sequence[ComparableRequest],
    other: Attempt,
    pairs: Sequence[tuple[int, int]],
    before: Sequence[RequestDifference],
) -> Neighbour | None:
    """Return the neighbour with the differences between the requests of the pairs, after those `before`."""
    differences, counts = list(before), _counts_of_values(failing)
    for left, right in pairs:
        for place, one, two in _differences(failing[left].parts, requests[right].parts):
            is_linked = counts[_value_key(place, one)] > 1
            is_judged = left == len(failing) - 1
            differences.append(RequestDifference(place, one, two, other.exchanges[right], is_linked, is_judged))
    if not differences:
        return None
    return Neighbour(differences[-1].exchange, other.exchanges[pairs[-1][1]], tuple(differences))


def _works(failing: Attempt, passing: Attempt, pairs: Sequence[tuple[int, int]]) -> bool:
    """Return whether the judged request succeeds, and each earlier one that succeeds in the failing attempt. After a
    refusal, an attempt passes because its scenario judges nothing, or something else.
    """
    judged = passing.exchanges[pairs[-1][1]]
    if not accepts(judged.answer):
        return False
    if _has_json(failing.exchanges[-1].request) and not _has_json(judged.request):
        return False  # the contract does not say how a body of another type is read, so nothing was judged
    return all(
        accepts(passing.exchanges[right].answer) or not accepts(failing.exchanges[left].answer) for left, right in pairs
    )


def _counts_of_values(requests: Sequence[ComparableRequest]) -> Counter[Any]:
    """Count the texts in all places of the requests, and the numbers in the places of one name."""
    found = (_value_key(str(path[-1]), value) for request in requests for path, value in leaves(request.parts))
    return Counter(key for key in found if key is not None)


def _value_key(place: str, value: Any) -> Any:
    """Return the key under which equal values are counted: of a text the text itself, of a number also its name, since
    numbers under different names are often equal by chance. None for a value that is not counted.
    """
    if isinstance(value, str) and value and "«" not in value:
        return value
    return (re.split(r"[.\[]", place)[-1].rstrip("]"), value) if is_number(value) else None


def _has_json(request: Request) -> bool:
    media_type = (request.header("Content-Type") or "").partition(";")[0]
    return request.body is None or media_type.strip().lower() == "application/json"


def _requests(attempt: Attempt) -> list[ComparableRequest]:
    names = {str(value): f"«{name}»" for name, value in attempt.placeholders.items() if len(str(value)) > _LONG}
    return [_comparable(exchange.request, names) for exchange in attempt.exchanges]


def _comparable(request: Request, names: Mapping[str, str]) -> ComparableRequest:
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
    return ComparableRequest(name, parts)


def _kind_of_moment(match: re.Match[str]) -> str:
    fraction, zone = match.groups()
    if zone != "Z":
        zone = "+00:00" if zone.endswith("00:00") else "+hh:mm"
    return f"«moment{'.f' if fraction else ''}{zone}»"


def _aligned(one: Sequence[ComparableRequest], other: Sequence[ComparableRequest]) -> list[tuple[int, int]]:
    """Return the indices of requests that correspond, in order: those of the longest common subsequences of names."""
    names = [request.name for request in one], [request.name for request in other]
    blocks = difflib.SequenceMatcher(None, *names, autojunk=False).get_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


def _differences(failing: Any, other: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, failing value, other value) for each part that differs."""
    if isinstance(failing, dict) and isinstance(other, dict):
        names, differing = failing | other, failing.keys() ^ other.keys()
        if place and len(failing) == len(other) == 1 and differing:
            yield KEY_OF + place, *failing, *other
            yield from _differences(next(iter(failing.values())), next(iter(other.values())), f"{place}.*")
            return
        if place and (len(differing) > 1 or (differing and len(names) > _MANY)):
            yield place, failing, other
            return
        for name in names:
            yield from _differences(failing.get(name, ABSENT), other.get(name, ABSENT), _member(place, name))
    elif isinstance(failing, list) and isinstance(other, list) and len(failing) == len(other):
        for index, (one, two) in enumerate(zip(failing, other, strict=True)):
            yield from _differences(one, two, f"{place}[{index}]")
    elif type(failing) is not type(other) or failing != other:
        yield place, failing, other


def _member(place: str, name: str) -> str:
    """Return the place of a member of the object at a place."""
    if not place:
        return name
    return f"{place}.{name}" if name.isidentifier() else f"{place}[{json.dumps(name)}]"


def _number_or_text(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONG_NUMBER else text


def is_number(value: Any) -> bool:
    """Return whether a value is a number that a double can hold, so that it can be compared with others."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
