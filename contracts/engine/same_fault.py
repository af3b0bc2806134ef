"""Groups the findings of one fault: one of them is the main finding, and the others are part of it.

Two findings show the same fault only if the answers prove it: `_is_same_fault` has the kinds of proof. Otherwise,
findings of different fields stay apart, since each may be a fault of its own.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

from contracts.core.exchange import Request
from contracts.core.findings import Finding
from contracts.engine.neighbour import KEY_OF
from contracts.engine.outdated import OUTDATED
from contracts.openapi import strict
from contracts.openapi.router import operation_at, route_of
from contracts.openapi.schemas import UUID_PATTERN
from contracts.oracle.answer_schema import field_at, has_documented_form, part, wrong_parts

_ID: Final = re.compile(rf"{UUID_PATTERN}|[0-9a-f]{{8}}…")
_PLACE: Final = re.compile(r"\bitems\.([0-9]+|\[\])\.")


def grouped(findings: Iterable[Finding], rank: Callable[[Finding], Any] = lambda finding: 0) -> tuple[Finding, ...]:
    """Return the findings in their order. Of the findings that show one fault, the first by rank, then by order, is the
    main one. It says where else the fault was seen (`also_seen`); the others are part of it (`part_of`).
    """
    findings = list(findings)
    groups: list[list[int]] = []
    for index in range(len(findings)):
        joined = [group for group in groups if any(_is_same_fault(findings[one], findings[index]) for one in group)]
        groups = [group for group in groups if group not in joined] + [[*chain.from_iterable(joined), index]]
    result = list(findings)
    for group in groups:
        main, *others = _main_first(findings, group, rank)
        also_seen = tuple(
            dict.fromkeys(f"{findings[other].rule} on {_operation_of(findings[other])}" for other in sorted(others))
        )
        result[main] = dataclasses.replace(findings[main], also_seen=also_seen)
        for other in others:
            result[other] = dataclasses.replace(findings[other], part_of=findings[main].fingerprint)
    return tuple(result)


def _main_first(findings: Sequence[Finding], group: Sequence[int], rank: Callable[[Finding], Any]) -> list[int]:
    """Return the group with the main finding first."""
    main_rule = ""
    if all(_gets_5xx(findings[index]) for index in group):
        main_rule = "NO-5XX"
    elif all(findings[index].guess == OUTDATED for index in group):
        main_rule = "READ-BACK"
    elif accepted := [findings[index].rule for index in group if _accepts_invalid_value(findings[index])]:
        main_rule = accepted[0]

    def order(index: int) -> tuple[Any, ...]:
        return bool(main_rule) and findings[index].rule != main_rule, rank(findings[index]), index

    return sorted(group, key=order)


def _is_same_fault(one: Finding, other: Finding) -> bool:
    both, rules = (one, other), {one.rule, other.rule}
    if one.field and one.field == other.field and _is_same_fault_of_field(one, other):
        return True
    # One operation answers both with a 5xx, which NO-5XX reports too: this is then the main finding.
    if "NO-5XX" in rules and all(map(_gets_5xx, both)) and _path_of(one) == _path_of(other):
        return True
    # Several operations sometimes answer with the same 5xx: when a pool of connections is exhausted, for example.
    if one.intermittent and other.intermittent and (_explained_5xx(one) == _explained_5xx(other) is not None):
        return True
    # Several operations get the same 502, 503 or 504, as from a gateway whose server is down.
    if _status_of(one) == _status_of(other) and _status_of(one) in {502, 503, 504}:
        return True
    # One operation accepts several kinds of invalid credentials, or several operations accept one kind.
    if rules <= _RULES_OF_CREDENTIALS and all(map(_is_success, both)):
        return one.rule == other.rule or _operation_of(one) == _operation_of(other)
    # One operation ignores idempotency keys, so it handles repeats, conflicts and concurrent requests wrongly.
    is_of_keys = rules <= _RULES_OF_KEYS and KEY_IS_IGNORED in {one.cause, other.cause}
    if is_of_keys and _keyed_operation(one) == _keyed_operation(other):
        return True
    return one.guess != "" and one.guess == other.guess and _may_share_a_guess(one, other)


def _is_same_fault_of_field(one: Finding, other: Finding) -> bool:
    """Return whether two findings of the same field show the same fault."""
    # One answer shows both. (A filter that is broken lists runs whose fields may be right.)
    in_one_answer = (one.rule, one.cause) in other.same_answer or (other.rule, other.cause) in one.same_answer
    if in_one_answer and (one.rule == "LIST-FILTER") == (other.rule == "LIST-FILTER"):
        return True
    # Both show the same change within the field, or the same change of its form.
    if one.change and _ID.sub("id", one.change) == _ID.sub("id", other.change):
        return True
    # A list and a read show the same wrong value.
    is_list_and_read = one.rule == other.rule and _is_list_and_read(one, other)
    if is_list_and_read and _without_ids_and_position(one) == _without_ids_and_position(other):
        return True
    # Successes of several operations show a secret.
    if one.rule == other.rule == "SECRET-LEAK" and _is_success(one) and _is_success(other):
        return True
    # Answers of several operations break the same requirement of the schema, with a value of one type.
    broken, broken_by_other = _broken_requirement(one), _broken_requirement(other)
    if broken == broken_by_other is not None:
        return True
    # An invalid value is accepted, which is the main finding, and a later answer shows one that violates the schema.
    return (_accepts_invalid_value(one) and broken_by_other is not None) or (
        _accepts_invalid_value(other) and broken is not None
    )


def _may_share_a_guess(one: Finding, other: Finding) -> bool:
    """Return whether an equal guess at the cause shows the same fault. Under two rules, both findings must also be of
    the same field, and have the same wrong value or a guess about values of that field.
    """
    if one.guess == OUTDATED:
        return True  # READ-BACK is then the main finding if it is among them
    same_field = one.field != "" and one.field == other.field
    if one.rule == other.rule:
        return same_field or not (one.field and other.field) or _accepts_invalid_value(one)
    same_value = _ID.sub("id", one.got) == _ID.sub("id", other.got)
    return same_field and (same_value or _names_values_of(one.field, one.guess))


KEY_IS_IGNORED: Final = "another answer for the same key and body"
"""The cause if a write is carried out again when it is repeated later with its key."""
_RULES_OF_KEYS: Final = frozenset({"IDEM-REPLAY", "IDEM-CONFLICT"})
_RULES_OF_CREDENTIALS: Final = frozenset({"AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN"})


def _accepts_invalid_value(finding: Finding) -> bool:
    return finding.rule.startswith("REQ-") and not finding.exchanges[-1].request.is_read and _is_success(finding)


def _broken_requirement(finding: Finding) -> tuple[str, str] | None:
    """Return which requirement of the schema the field of the finding breaks in the answer, and the type of its value;
    None if it breaks none.
    """
    exchange = finding.exchanges[-1]
    operation = operation_at(exchange.request.method, exchange.request.path)
    if operation is None or not finding.field or not has_documented_form(operation, exchange.answer):
        return None
    paths = (path for path in wrong_parts(operation, exchange.answer) if field_at(path) == finding.field)
    if (path := next(paths, None)) is None:
        return None
    body = exchange.answer.json()
    value = part(body, path)
    return strict.success_requirements(operation, body).get(path, ""), type(value).__name__


def _status_of(finding: Finding) -> int:
    return finding.exchanges[-1].answer.status


def _is_success(finding: Finding) -> bool:
    return _status_of(finding) < 400


def _gets_5xx(finding: Finding) -> bool:
    return _status_of(finding) >= 500


def _explained_5xx(finding: Finding) -> bytes | None:
    """Return the body of a 5xx if it says more than the phrase of the status; otherwise None."""
    answer = finding.exchanges[-1].answer
    is_phrase = any(answer.status == status and status.phrase.encode() in answer.body for status in HTTPStatus)
    return None if answer.status < 500 or is_phrase or not answer.body else answer.body


def _is_list_and_read(one: Finding, other: Finding) -> bool:
    """Return whether one is about a list of resources, and the other about a read of one of them."""
    shorter, longer = sorted((_path_of(one), _path_of(other)), key=len)
    return longer.endswith("}") and longer.rpartition("/")[0] == shorter


def _without_ids_and_position(finding: Finding) -> tuple[str, ...]:
    """Return the expected and the actual value in words, without ids and without the position in a list."""
    return tuple(_PLACE.sub("", _ID.sub("id", text)) for text in (finding.expected, finding.got))


def _names_values_of(field: str, guess: str) -> bool:
    """Return whether a guess says which values of the field are wrong, and not only that the field must be there."""
    return re.search(rf" in ({KEY_OF})?{re.escape(field)}\b", guess) is not None


def _operation_of(finding: Finding) -> str:
    return f"{finding.exchanges[-1].request.method} {_path_of(finding)}"


def _keyed_operation(finding: Finding) -> str:
    """Return the operation of the last write with an idempotency key, also if a read shows what it has done."""
    requests = [exchange.request for exchange in finding.exchanges]
    keyed = [request for request in requests if request.idempotency_key is not None]
    last = (keyed or requests)[-1]
    return f"{last.method} {_path_in_document(last)}"


def _path_of(finding: Finding) -> str:
    return _path_in_document(finding.exchanges[-1].request)


def _path_in_document(request: Request) -> str:
    """Return the documented path of a request if there is one, else the path itself."""
    route = route_of(request.method, request.path)
    return request.path_without_query if route is None else route.template
