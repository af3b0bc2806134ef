"""Groups the findings of one fault: one of them is the main finding, and the others are part of it.

Two findings show the same fault only if the answers prove it:

- one answer shows both, in the same field;
- both show the same change within one field, or the same change of its form;
- a list and a read show the same wrong value in the same field;
- answers of several operations break the same requirement of the schema in the same field, with a value of one type;
- successes of several operations show a secret in the same field;
- one operation answers both with a 5xx, which NO-5XX reports too: this is then the main finding;
- several operations sometimes answer with the same 5xx, whose body says more than its status: when a pool of
  connections is exhausted, for example;
- several operations get the same 502, 503 or 504, as from a gateway whose server is down;
- an invalid value is accepted, and a later answer shows a value of the same field that violates the schema: the
  accepted request is then the main finding;
- one operation succeeds for several kinds of invalid credentials, or several operations for one kind;
- one operation ignores idempotency keys, so that repeats, conflicts and concurrent requests are all handled wrongly;
- both show an outdated state: READ-BACK is then the main finding if it is among them;
- both have the same guess at the cause. Under two rules, both must also be of the same field, and have the same wrong
  value or a guess about values of that field.

Otherwise, findings of different fields stay apart, since each may be a fault of its own.
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
    same_field = bool(one.field) and one.field == other.field
    # A filter that is broken lists runs whose fields may be right, so it shows no fault of the field.
    only_one_is_of_a_filter = (one.rule == "LIST-FILTER") != (other.rule == "LIST-FILTER")
    in_one_answer = (one.rule, one.cause) in other.same_answer or (other.rule, other.cause) in one.same_answer
    if same_field and in_one_answer and not only_one_is_of_a_filter:
        return True
    if same_field and one.change and _ID.sub("id", one.change) == _ID.sub("id", other.change):
        return True
    is_list_and_read = one.rule == other.rule and same_field and _is_list_and_read(one, other)
    if is_list_and_read and _without_ids_and_position(one) == _without_ids_and_position(other):
        return True
    if same_field and all(each.rule == "SECRET-LEAK" and _is_success(each) for each in (one, other)):
        return True
    if "NO-5XX" in {one.rule, other.rule} and _gets_5xx(one) and _gets_5xx(other) and _path_of(one) == _path_of(other):
        return True
    if one.intermittent and other.intermittent and (_explained_5xx(one) == _explained_5xx(other) is not None):
        return True
    if _is_down(one) and _is_down(other) and one.exchanges[-1].answer.status == other.exchanges[-1].answer.status:
        return True
    if {one.rule, other.rule} <= _RULES_OF_CREDENTIALS and _is_success(one) and _is_success(other):
        return one.rule == other.rule or _operation_of(one) == _operation_of(other)
    broken, broken_by_other = _broken_requirement(one), _broken_requirement(other)
    if same_field and (broken == broken_by_other is not None):
        return True
    if same_field and (_accepts_invalid_value(one) and broken_by_other is not None):
        return True
    if same_field and (_accepts_invalid_value(other) and broken is not None):
        return True
    are_of_keys = {one.rule, other.rule} <= _RULES_OF_KEYS and KEY_IS_IGNORED in {one.cause, other.cause}
    if are_of_keys and _keyed_operation(one) == _keyed_operation(other):
        return True
    if not one.guess or one.guess != other.guess:
        return False
    if one.guess == OUTDATED:
        return True
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


def _is_success(finding: Finding) -> bool:
    return finding.exchanges[-1].answer.status < 400


def _gets_5xx(finding: Finding) -> bool:
    return finding.exchanges[-1].answer.status >= 500


def _explained_5xx(finding: Finding) -> bytes | None:
    """Return the body of a 5xx if it says more than the phrase of the status; otherwise None."""
    answer = finding.exchanges[-1].answer
    is_phrase = any(answer.status == status and status.phrase.encode() in answer.body for status in HTTPStatus)
    return None if answer.status < 500 or is_phrase or not answer.body else answer.body


def _is_down(finding: Finding) -> bool:
    return finding.exchanges[-1].answer.status in {502, 503, 504}


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
    keyed = [request for request in requests if request.header("Idempotency-Key") is not None]
    last = (keyed or requests)[-1]
    return f"{last.method} {_path_in_document(last)}"


def _path_of(finding: Finding) -> str:
    return _path_in_document(finding.exchanges[-1].request)


def _path_in_document(request: Request) -> str:
    """Return the documented path of a request if there is one, else the path itself."""
    route = route_of(request.method, request.path)
    return request.path_without_query if route is None else route.template
