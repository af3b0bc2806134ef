"""The worst-case effect of a request on the target: how many runs it could create, which ids it could change.

A broken or lenient server may interpret a request differently than intended: it may decode percent-encodings twice,
resolve `//` and `..`, ignore the case of a path, accept a method override, or parse a count from text. The effect is
therefore the union over all interpretations, whatever a correct server would do.
"""

import json
import math
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

from contracts.core.exchange import SAFE_METHODS, Request
from contracts.guard.content_coding import inflated

UNBOUNDED: Final = 10**18
"""The upper limit of a cost: more than any budget allows."""
LARGEST_BULK: Final = 1000
"""The runs of a bulk create of the maximum size: also the cost of a create whose body the guard cannot decode (an
unknown content encoding).
"""

_OVERRIDE_HEADERS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_METHOD_PARAMETER = re.compile(r"(?i)(?:^|&)_method=")
_PLAIN_PATH = re.compile(r"(?:/[a-z0-9_-]+)+")
_UUID = re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])")
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COUNT_IN_TEXT = re.compile(r"(?i)count\W{0,16}?([-+]?[\d.][\w.+-]*)")
_COUNT = re.compile(rb'"count"\s*:\s*("[^"]{0,40}"|[\w.+-]{1,40})')
_NUMBER_PREFIX = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_PATH_DELIMITER = re.compile(r"[/\\?#;%*]")
_CREATING = frozenset({"bulk", "chain"})
_RESOURCES = frozenset({"runs", "run-attachments", "machines", "pools", "workflows", "health"})
_ID_KEYS = frozenset({"id", "ids", "run_id", "run_ids"})
_MAX_INFLATED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PathInterpretation:
    """One interpretation of a path: decoded, in lower case, without empty segments and those before the resource."""

    resource: str
    """`runs`, `pools`, ...; empty if the path contains no known resource."""
    segments: tuple[str, ...]
    """The segments after the resource; all segments if the resource is unknown."""

    @property
    def creates_runs(self) -> bool:
        return self.resource == "runs" and (not self.segments or _stem(self.segments[0]) in _CREATING)

    @property
    def retries(self) -> bool:
        return self.resource == "runs" and len(self.segments) > 1 and not self.creates_runs


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request could do. `runs` is the maximum number of runs that it could create or retry. `ids` are the
    canonical UUIDs in the path, `non_uuids` the ids in the path that are not UUIDs.
    """

    writes: bool
    creates: bool = False
    """Whether it could be one of the create operations: bulk, single or chain."""
    runs: int = 0
    ids: frozenset[str] = frozenset()
    body_ids: frozenset[str] = frozenset()
    """Ids in the body: a broken server might change the runs with these ids."""
    non_uuids: frozenset[str] = frozenset()
    collections: frozenset[str] = frozenset()
    """The kinds of resources of which it could change several, or create one; `?` is an unknown kind."""
    body: Any = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The members of the body; none if it is not a JSON object."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def workflow_ids(self) -> tuple[str, ...]:
        """The workflows that the body names, also in the steps of a chain."""
        steps = self.fields.get("steps")
        objects = [self.fields, *(steps if isinstance(steps, list) else ())]
        named = [each.get("workflow_id") for each in objects if isinstance(each, dict)]
        return tuple(each[:64] for each in named if isinstance(each, str))


_READS = Effect(writes=False)


def canonical(text: str) -> str | None:
    """Return the UUID in lower case with dashes, if `text` is one in any form that a lenient server may accept."""
    if _CANONICAL.fullmatch(text):
        return text
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        return None


def effect_of(request: Request) -> Effect:
    """Return the union of the effects that a broken or lenient server might give the request."""
    path, _, query = request.path.partition("?")
    interpretations = interpretations_of(path)
    method = request.method.upper()
    if _is_overridden(request, query):
        method = "*"
    if method in SAFE_METHODS:
        # No documented GET writes. A server that mixes up methods might take a GET below a run for a retry, and a GET
        # with a body on a create path for a create.
        mixed_up = any(r.retries or (r.creates_runs and request.body) for r in interpretations)
        if not mixed_up:
            return _READS
    body = readable_body(request)
    ids, non_uuids = _ids_in_path(interpretations)
    creates = method != "DELETE" and any(r.creates_runs for r in interpretations)
    if creates:
        counts = (_max_number_in_text(value) for key, value in parse_qsl(query) if key.lower() == "count")
        runs = max(1, worst_case_runs(body), *counts)
    else:
        runs = int(method not in {"PATCH", "PUT", "DELETE"} and any(r.retries for r in interpretations))
    return Effect(
        writes=True,
        creates=creates,
        runs=runs,
        ids=ids,
        body_ids=frozenset(uuids_under(body.json, _ID_KEYS)),
        non_uuids=non_uuids,
        collections=frozenset(_collections(interpretations, method)),
        body=body.json,
    )


def path_of_run(run_id: str) -> str | None:
    """Return the path of a run with any text as id; None if a server could interpret it as another path."""
    if _PATH_DELIMITER.search(run_id) or not any(character.isalnum() for character in run_id):
        return None
    path = f"/v1/runs/{quote(run_id, safe='', errors='surrogatepass')}"
    interpretations = interpretations_of(path)
    plain = all(r.resource == "runs" and len(r.segments) == 1 and not r.creates_runs for r in interpretations)
    return path if plain else None


def _ids_in_path(interpretations: tuple[PathInterpretation, ...]) -> tuple[frozenset[str], frozenset[str]]:
    ids: set[str] = set()
    non_uuids: set[str] = set()
    for interpretation in interpretations:
        for position, segment in enumerate(interpretation.segments):
            if exact := canonical(segment):
                ids.add(exact)
                continue
            found = {str(uuid.UUID(hex=match.group().replace("-", ""))) for match in _UUID.finditer(segment)}
            ids |= found
            if not found and position == 0 and interpretation.resource and not interpretation.creates_runs:
                non_uuids.add(segment)
    return frozenset(ids), frozenset(non_uuids)


def _collections(interpretations: tuple[PathInterpretation, ...], method: str) -> Iterator[str]:
    for interpretation in interpretations:
        if not interpretation.resource:
            yield "?"
        elif interpretation.creates_runs:
            if method not in {"POST", *SAFE_METHODS}:
                yield "runs"
        elif not interpretation.segments:
            yield interpretation.resource


# Paths


@lru_cache(maxsize=4096)
def interpretations_of(path: str) -> tuple[PathInterpretation, ...]:
    """Return the distinct interpretations that a server may have of a path (without query)."""
    if _PLAIN_PATH.fullmatch(path):
        return (_interpretation(path),)
    texts = [path]
    while len(texts) < 4 and (decoded := unquote(texts[-1], errors="replace")) != texts[-1]:
        texts.append(decoded)
    interpretations: dict[PathInterpretation, None] = {}
    for text in texts:
        plain = re.sub(r"[\x00-\x20\x7f]", "", text.replace("\\", "/"))
        for variant in (plain, re.split(r"[?#]", plain)[0], re.sub(r";[^/]*", "", plain)):
            interpretations[_interpretation(variant)] = None
            interpretations[_interpretation(_resolve_dots(variant))] = None
    return tuple(interpretations)


def _interpretation(path: str) -> PathInterpretation:
    segments = tuple(segment for segment in path.casefold().split("/") if segment)
    for position, segment in enumerate(segments):
        if (resource := _stem(segment)) in _RESOURCES:
            return PathInterpretation(resource, segments[position + 1 :])
    return PathInterpretation("", segments)


def _stem(segment: str) -> str:
    """Return `runs` for `runs.json`: some frameworks treat the extension as the requested format."""
    return segment.partition(".")[0]


def _resolve_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _is_overridden(request: Request, query: str) -> bool:
    return (
        any(name.lower() in _OVERRIDE_HEADERS for name, _ in request.headers)
        or _METHOD_PARAMETER.search(query) is not None
    )


# Bodies


@dataclass(frozen=True, slots=True)
class LenientBody:
    """A body as a lenient server might parse it. `text` is its text, if it is a JSON string or not JSON. `objects` are
    the key-value pairs of the top-level objects, including duplicate keys.
    """

    json: Any = None
    text: str | None = None
    objects: tuple[tuple[tuple[str, Any], ...], ...] = ()
    unreadable: bool = False


class _Pairs(dict[str, Any]):
    """A JSON object that remembers its duplicate keys."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def readable_body(request: Request) -> LenientBody:
    """Return the body as a lenient server might parse it, after content decoding."""
    if not request.body:
        return LenientBody()
    raw = request.body
    encoding = (request.header("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        decoded = inflated(raw, _MAX_INFLATED_BYTES)
        if decoded is None or len(decoded) > _MAX_INFLATED_BYTES:
            return LenientBody(unreadable=True)
        raw = decoded
    try:
        parsed = json.loads(raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return LenientBody(text=raw.replace(b"\0", b"").decode("latin-1"))
    if isinstance(parsed, str):
        return LenientBody(text=parsed)
    objects = parsed if isinstance(parsed, list) else [parsed]
    return LenientBody(json=parsed, objects=tuple(tuple(each.pairs) for each in objects if isinstance(each, _Pairs)))


def worst_case_runs(body: LenientBody) -> int:
    """Return the maximum number of runs that a broken server could create from this body."""
    if body.unreadable:
        return LARGEST_BULK
    if body.text is not None:
        return max((_max_number_in_text(number) for number in _COUNT_IN_TEXT.findall(body.text)), default=1)
    return max(1, sum(_max_runs_of_object(pairs) for pairs in body.objects))


def _max_runs_of_object(pairs: tuple[tuple[str, Any], ...]) -> int:
    largest = 1
    for key, value in pairs:
        name = key.strip().lower()
        if name == "count":
            largest = max(largest, _max_number_in(value))
        elif name == "steps" and isinstance(value, list | dict):
            largest = max(largest, len(value))
    return largest


def _max_number_in(value: Any, depth: int = 0) -> int:
    """Return the largest integer that any lenient parser could read from a JSON value; at least 1."""
    match value:
        case bool() | None:
            return 1
        case int() | float():
            return _clamp(value)
        case str():
            return _max_number_in_text(value)
        case list() if depth < 4:
            return max((_max_number_in(each, depth + 1) for each in value), default=1)
        case dict() if depth < 4:
            return max((_max_number_in(each, depth + 1) for each in value.values()), default=1)
        case _:
            return 1


def _max_number_in_text(text: str) -> int:
    stripped = text.strip().replace("_", "").replace(",", "")
    largest = 1
    if re.fullmatch(r"[-+]?\d{19,}(\.\d*)?", stripped):
        return UNBOUNDED
    for convert in (int, float, lambda digits: int(digits, 0), _number_before_other_text):
        try:
            largest = max(largest, _clamp(convert(stripped)))
        except (ValueError, OverflowError):
            continue
    return largest


def _number_before_other_text(text: str) -> float:
    match = _NUMBER_PREFIX.match(text)
    return float(match.group()) if match else 0.0


def _clamp(number: float) -> int:
    if isinstance(number, float):
        if math.isnan(number):
            return 1
        number = UNBOUNDED if abs(number) >= UNBOUNDED else math.ceil(abs(number))
    return max(1, min(UNBOUNDED, abs(number)))


def uuids_under(body: Any, names: Collection[str]) -> Iterator[str]:
    """Yield the UUIDs in the top-level fields with these names (in any case) of a body, or of each object of a list."""
    for each in body if isinstance(body, list) else [body]:
        if not isinstance(each, dict):
            continue
        for key, value in each.items():
            if key.strip().lower() in names:
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str) and (found := canonical(text)) is not None:
                        yield found


def describe(request: Request) -> str:
    """Return the method, the path and the `count` of a request, for a message."""
    text = f"{request.method} {request.path[:120]}"
    if request.body and (match := _COUNT.search(request.body)):
        text += f" with count {match.group(1).decode('ascii', 'replace')}"
    return text
