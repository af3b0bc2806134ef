"""Describes a finding in one sentence: the request, the answer, and what was expected.

The sentence is made from the texts of the violation and from its exchanges, so rules do not write it. It shows a
request in short: without the parts that all such requests have, with long values cut, and without sensitive values.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN, TOKEN, Exchange, Request, json_object_in
from contracts.core.secret_matcher import SENSITIVE_KEY
from contracts.openapi.router import resource_id_of
from contracts.openapi.schemas import UUID_PATTERN, is_uuid
from contracts.oracle.refusal import refuses
from contracts.oracle.violation import excerpt
from contracts.oracle.wording import answer_in_words

_UUID: Final = re.compile(UUID_PATTERN, re.IGNORECASE)
_MAX_TEXT: Final = 40
_MAX_ITEMS: Final = 3
_MAX_DEPTH: Final = 4
_MAX_BODY: Final = 160
_MAX_PATH: Final = 200
_ORDINALS: Final = {2: "second", 3: "third"}
_LEAST_S: Final = 5
_LEAST_REQUESTS: Final = 100


def summary_of(
    expected: str,
    got: str,
    exchanges: Sequence[Exchange],
    guess: str = "",
    concurrent: Sequence[Sequence[Exchange]] = (),
    recorded: Sequence[Exchange] = (),
    field: str = "",
) -> str:
    """Return the sentence. `exchanges` are those of the finding; the last one is the request that was judged. `guess`
    is a guess at the cause, and `field` the field that is wrong, if it is one. `concurrent` are groups of exchanges
    whose requests were sent at the same moment. `recorded` are the last exchanges of the check, which say how many lie
    between those of the finding.
    """
    sentence = f"{got}; expected {expected}" + (f" ({guess})" if guess else "")
    if exchanges:
        sentence = f"{_requests_in_words(got, field, exchanges, concurrent, recorded)}: {sentence}"
    return shorten_ids([sentence])[0]


def exchange_in_words(exchange: Exchange) -> str:
    return shorten_ids([f"{request_in_words(exchange.request)}: {answer_in_words(exchange.answer)}"])[0]


def commands_note_of(exchanges: Sequence[Exchange], concurrent: Sequence[Sequence[Exchange]]) -> str:
    """Say which of the requests must be sent at the same moment; empty if none."""
    found = ([n for n, one in enumerate(exchanges, 1) if any(one is each for each in group)] for group in concurrent)
    notes = (_at_the_same_moment(numbers, len(group)) for numbers, group in zip(found, concurrent, strict=True))
    return " ".join(filter(None, notes))


def _at_the_same_moment(numbers: Sequence[int], sent: int) -> str:
    if len(numbers) > 1:
        return f"Send requests {_list_in_words(numbers)} at the same moment: one after the other, they may not show it."
    if numbers and sent > 1:
        others = counted(sent - 1, "other")
        return f"Request {numbers[0]} was sent at the same moment as {others}: alone, it may not show it."
    return ""


def _list_in_words(numbers: Sequence[int]) -> str:
    *others, last = numbers
    if len(others) > 1 and last - numbers[0] == len(others):
        return f"{numbers[0]} to {last}"
    return f"{', '.join(map(str, others))} and {last}"


def shorten_ids(texts: Iterable[str]) -> list[str]:
    """Shorten each UUID to its first 8 characters, unless another UUID in the texts begins with the same ones."""
    texts = list(texts)
    beginnings: dict[str, set[str]] = {}
    for found in _UUID.findall("\n".join(texts)):
        beginnings.setdefault(found[:8].lower(), set()).add(found)
    ambiguous = {beginning for beginning, ids in beginnings.items() if len(ids) > 1}

    def shortened(match: re.Match[str]) -> str:
        return match[0] if match[0][:8].lower() in ambiguous else f"{match[0][:8]}…"

    return [_UUID.sub(shortened, text) for text in texts]


def _requests_in_words(
    got: str,
    field: str,
    exchanges: Sequence[Exchange],
    concurrent: Sequence[Sequence[Exchange]],
    recorded: Sequence[Exchange],
) -> str:
    *before, last = exchanges
    words, moment = request_in_words(last.request), _moment_in_words(last, concurrent)
    prior = _prior(last.request, before, got)
    if prior is None:
        return words + moment
    giving = _write_giving(field, last, before)
    if giving is not None and refuses(giving.answer):
        prior = giving
    elapsed = _elapsed_in_words(prior, last, recorded)
    if prior.request == last.request:
        times = 1 + sum(exchange.request == last.request for exchange in before)
        if moment:
            return f"{words}, sent {times} times at the same moment"
        later = f", {elapsed} later" if elapsed else ""
        return f"{words} again{later}" if times == 2 else f"{words}, sent {times} times{later}"
    prior_words = request_in_words(prior.request)
    if prior_words == words:
        prior_words = f"the same with another {_other_part(last.request, prior.request)}"
    if giving is not None and giving is not prior:
        prior_words = f"{request_in_words(giving.request)}, then {prior_words}"
    later = f", {elapsed}" if elapsed else ""
    nth = "" if _is_alike(prior.request, last.request) else _number_in_words(last, before)
    return f"{nth}{words}{moment}{later} after {prior_words}{_moment_in_words(prior, concurrent)}"


def _number_in_words(last: Exchange, before: Sequence[Exchange]) -> str:
    """Return "the second " for the second write of its kind to one resource; empty for the first."""
    number = 1 + sum(_is_alike(each.request, last.request) for each in before)
    return f"the {_ORDINALS[number]} " if number in _ORDINALS else ""


def _is_alike(request: Request, last: Request) -> bool:
    """Return whether both are writes of one kind to one resource."""
    is_same = (request.method, request.path) == (last.method, last.path)
    return is_same and not last.is_read and resource_id_of(last) != ""


def _elapsed_in_words(earlier: Exchange, later: Exchange, recorded: Sequence[Exchange]) -> str:
    """Return, for example, "41 s and 18,204 requests"; empty unless both are many: a fault may need the time, or the
    requests in between.
    """
    start, end = earlier.answer.received_at, later.answer.received_at
    if start is None or end is None:
        return ""
    moments = [each.answer.received_at for each in recorded if each.answer.received_at is not None]
    between = sum(start < moment < end for moment in moments)
    seconds = (end - start).total_seconds()
    if seconds < _LEAST_S or between < _LEAST_REQUESTS:
        return ""
    at_least = "at least " if min(moments) > start else ""  # the first ones are no longer recorded
    return f"{seconds:,.0f} s and {at_least}{between:,} requests"


def _other_part(one: Request, other: Request) -> str:
    """Name what differs between two requests that read the same in words, which leave out ids, secrets and the middle
    of long values.
    """
    if one.body == other.body:
        return "header"
    try:
        bodies = [request.json() for request in (one, other)]
    except ValueError:
        return "body"
    if not all(isinstance(body, dict) for body in bodies):
        return "body"
    before, after = bodies
    names = [name for name in before | after if before.get(name) != after.get(name)]
    return " and ".join(names) or "form of the body"


def _moment_in_words(exchange: Exchange, concurrent: Sequence[Sequence[Exchange]]) -> str:
    """Say how many requests were sent at the same moment; empty if it was this one alone."""
    sent = next((len(group) for group in concurrent if any(each is exchange for each in group)), 1)
    return f" (one of {sent} requests at the same moment)" if sent > 1 else ""


def _prior(last: Request, before: Sequence[Exchange], got: str) -> Exchange | None:
    """Return the earlier exchange that matters most: the first write with the same idempotency key; or the last write
    of the run that a list shows wrongly; or the last write.
    """
    key = last.idempotency_key
    writes = [exchange for exchange in before if not exchange.request.is_read]
    same_key = [exchange for exchange in writes if exchange.request.idempotency_key == key]
    if key is not None and same_key:
        return same_key[0]
    if last.is_read and (listed := re.search(rf"\brun ({UUID_PATTERN})", got)):
        of_listed = [
            each for each in writes if listed[1] in each.request.path or listed[1].encode() in each.answer.body
        ]
        writes = of_listed or writes
    return writes[-1] if writes else None


def _write_giving(field: str, last: Exchange, before: Sequence[Exchange]) -> Exchange | None:
    """Return the last update or retry of the resource that gives the field, unless the judged request does: the wrong
    value is the one that it gave, or replaces it. One that was refused counts only if the answer shows its value.
    """
    resource, shown = resource_id_of(last.request), json_object_in(last.answer)
    is_keyed = last.request.idempotency_key is not None  # then the first request with the key matters
    if not field or not resource or is_keyed or field in json_object_in(last.request):
        return None
    for exchange in reversed(before):
        if exchange.request.is_read or resource_id_of(exchange.request) != resource:
            continue
        body = json_object_in(exchange.request)
        is_shown = field in shown and shown[field] == body.get(field)
        if field in body and (is_shown or not refuses(exchange.answer)):
            return exchange
    return None


def request_in_words(request: Request) -> str:
    path, mark, query = request.path.partition("?")
    readable = unquote(path) + mark + unquote(query)
    is_readable = readable.isprintable() and "\ufffd" not in readable  # U+FFFD replaces bytes that are not UTF-8
    shown = excerpt(readable if is_readable else request.path, _MAX_PATH)
    details = [*_headers_in_words(request), *_body_in_words(request)]
    return f"{request.method} {shown}{''.join(f' {detail}' for detail in details)}"


def _headers_in_words(request: Request) -> Iterator[str]:
    token = request.header("Authorization")
    if token == SECOND_TOKEN:
        yield "as the other organisation"
    elif token is None:
        yield "without a token"
    elif token != TOKEN:
        yield f'with Authorization "{excerpt(token, _MAX_TEXT)}"'
    for name, value in request.headers:
        is_usual = name.lower() == "authorization" or (name.lower(), value) == ("content-type", "application/json")
        if not is_usual:
            yield f"with {name} {excerpt(value, _MAX_TEXT + 8)}"


def _body_in_words(request: Request) -> Iterator[str]:
    if not request.body:
        return
    try:
        body = request.json()
    except ValueError:
        yield f"with a body of {counted(len(request.body), 'byte')} that is not JSON"
        return
    if isinstance(body, dict) and is_uuid(body.get("workflow_id")) and request.method == "POST":
        body = {name: value for name, value in body.items() if name != "workflow_id"}
    if body or not isinstance(body, dict) or request.method != "POST":
        words = abbreviated(body)
        shortened = shorten_ids([words])[0]
        yield f"with {words if len(shortened) <= _MAX_BODY else excerpt(shortened, _MAX_BODY)}"


def abbreviated(value: Any, depth: int = _MAX_DEPTH) -> str:
    """Write a JSON value in short: long values are cut and followed by their length, deeply nested ones left out."""
    if isinstance(value, str):
        is_long = len(value) > _MAX_TEXT
        return f'{_json(value[: _MAX_TEXT // 2])[:-1]}…" ({len(value):,} characters)' if is_long else _json(value)
    if isinstance(value, dict | list) and value and not depth:
        return "{…}" if isinstance(value, dict) else "[…]"
    if isinstance(value, dict):
        members = list(value.items())[: _MAX_ITEMS + 1]
        shown = [f"{_json(excerpt(key, _MAX_TEXT))}: {_member_in_words(key, one, depth - 1)}" for key, one in members]
        return _cut("{", shown, "}", "members", len(value))
    if isinstance(value, list):
        items = [abbreviated(item, depth - 1) for item in value[: _MAX_ITEMS + 1]]
        return _cut("[", items, "]", "items", len(value))
    words = _json(value)
    return words if len(words) <= _MAX_TEXT else f"{words[: _MAX_TEXT // 2]}… ({len(words):,} characters)"


def _member_in_words(key: str, value: Any, depth: int) -> str:
    if SENSITIVE_KEY.fullmatch(key) and isinstance(value, dict) and value:
        names = [f"{_json(excerpt(name, _MAX_TEXT))}: …" for name in list(value)[: _MAX_ITEMS + 1]]
        return _cut("{", names, "}", "members", len(value))
    return "…" if SENSITIVE_KEY.fullmatch(key) and value else abbreviated(value, depth)


def _cut(start: str, shown: Sequence[str], end: str, noun: str, count: int) -> str:
    if count <= _MAX_ITEMS:
        return f"{start}{', '.join(shown)}{end}"
    return f"{start}{', '.join(shown[: _MAX_ITEMS - 1])}, …{end} ({count:,} {noun})"


def _json(value: Any) -> str:
    return json.dumps(value)
