"""What an answer says of its request: refused where it was right, accepted where it was wrong, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.exchange import Answer
from contracts.openapi.schemas import (
    Fault,
    Path,
    body_schema,
    schema,
)
from contracts.oracle.operation import CREATES
from contracts.oracle.request import ParsedRequest
from contracts.oracle.violation import Violation, excerpt


def accepts(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def refuses(answer: Answer) -> bool:
    return 400 <= answer.status < 500


def refusal_of_valid(parsed: ParsedRequest, answer: Answer) -> Violation:
    """A valid request was refused. Which rule that breaks follows from what is left in the request."""
    rule, cause = _blame(parsed)
    return Violation(
        rule, cause, "a valid request to be accepted", f"{answer.status} {excerpt(answer.body)}", family="refused"
    )


def _blame(parsed: ParsedRequest) -> tuple[str, str]:
    body = parsed.body
    required = set(schema(body_schema(parsed.operation) or "")["required"]) if parsed.operation in CREATES else set()
    optional = {name: value for name, value in body.items() if name not in required}
    known = set(schema(body_schema(parsed.operation) or "")["properties"])
    if parsed.operation == "bulk_create_runs" and not optional:
        return "REQ-COUNT", "a count in range is refused"
    for name, value in optional.items():
        if name in known and (value is None or value in ([], {})):
            return "REQ-NULL", "null or an empty value is refused"
    files = [file for name in ("file_inputs", "shared_file_inputs") for file in body.get(name) or ()]
    if any(file.get("target_path", "") is None for file in files):
        return "REQ-NULL", "null or an empty value is refused"
    if len(files) > _FEW_FILES or len({file["filename"] for file in files}) < len(files):
        return "REQ-ACCEPT", "many files are refused" if len(files) > _FEW_FILES else "files of one name are refused"
    if files and all(map(_is_plain_file, files)):
        return "REQ-FILES", "a good file input is refused"
    if files:
        return "REQ-ACCEPT", "an unusual file input is refused"
    if body.get("count", 1) > _FEW and parsed.operation == "bulk_create_runs":
        return "REQ-COUNT", "a count in range is refused"
    for step in body.get("steps") or ():
        if any(value is None or value == {} for value in step.values()):
            return "REQ-NULL", "null or an empty value is refused"
    return "REQ-ACCEPT", "a valid request is refused"


_FEW_FILES: Final = 3
_FEW: Final = 10
"""A count above this would have been made smaller if it did not matter."""


def _is_plain_file(file: Mapping[str, Any]) -> bool:
    """One that is refused for being a file, if it is refused: nothing about it is unusual."""
    name, path, content = file["filename"], file.get("target_path") or "", file["content"]
    return (name + path).isascii() and len(name + path) < 100 and 0 < len(content) < 10_000


_FAULT_WORDS: Final = {
    "missing": "is missing",
    "type": "has the wrong type",
    "range": "is out of range",
    "form": "is malformed",
    "length": "has too few items",
    "body": "is no JSON object",
}


def rule_of_fault(fault: Fault) -> str:
    last = next((part for part in reversed(fault.path) if isinstance(part, str)), "")
    if fault.kind == "body":
        return "REQ-BODY"
    if last == "count":
        return "REQ-COUNT"
    if last == "workflow_id":
        return "REQ-WORKFLOW"
    if fault.kind == "missing" and last in {"filename", "content"}:
        return "REQ-FILES"
    return "REQ-TYPES"


def acceptance_of_invalid(parsed: ParsedRequest, answer: Answer) -> Violation:
    fault = parsed.faults[0]
    said = f"{fault.where} {_FAULT_WORDS[fault.kind]}"
    return Violation(
        rule_of_fault(fault),
        f"accepted although {said}",
        f"a refusal with 4xx, since {said}",
        f"{answer.status} {excerpt(answer.body)}",
        family=f"accepted: {rule_of_fault(fault)}",
    )


def _validation_detail(answer: Answer) -> tuple[list[Any] | None, Violation | None]:
    """What a 422 tells, or how it is not of the shape; neither where it is no JSON object, as HTTP-ERROR-JSON says."""
    try:
        detail = answer.json().get("detail")
    except (ValueError, AttributeError):
        return None, None
    problem = _schema_error_of_validation_error(detail)
    if problem is None:
        return detail, None
    return None, Violation("REQ-ERROR", "not the shape", "a 422 in the shape of HTTPValidationError", problem)


def error_violations(parsed: ParsedRequest, answer: Answer) -> Iterator[Violation]:
    """REQ-ERROR: what a 422 for an invalid request has to say."""
    if answer.status != 422 or not parsed.is_invalid:
        return
    detail, misshapen = _validation_detail(answer)
    if misshapen is not None:
        yield misshapen
    if detail is None:
        return
    wrong = [fault.path for fault in parsed.faults]
    locs = [list(item["loc"]) for item in detail]
    where = " or ".join(".".join(map(str, ("body", *path))) for path in wrong[:3])
    if not any(_names(loc, path) for loc in locs for path in wrong):
        yield Violation("REQ-ERROR", "loc names another place", f"a loc that names {where}", f"loc {locs[:3]}")
    elif len(locs) > len({json.dumps(loc) for loc in locs}) and not all(
        any(_names(loc, path) for loc in locs) for path in wrong
    ):
        yield Violation("REQ-ERROR", "one loc for two errors", "a loc of its own for each field", f"loc {locs[:3]}")
    elif not parsed.ambiguities:
        beside = next((loc for loc in locs if not _is_about(loc, wrong)), None)
        if beside is not None:
            yield Violation("REQ-ERROR", "loc names a field that is right", f"only {where} named", f"loc {beside}")


def parameter_error_violations(where: Path, answer: Answer) -> Iterator[Violation]:
    """REQ-ERROR for a wrong parameter of a path or a query: `where` is ("query", "limit"), say."""
    if answer.status != 422:
        return
    detail, misshapen = _validation_detail(answer)
    if misshapen is not None:
        yield misshapen
    elif detail is not None and not any(item["loc"][: len(where)] == [*where] for item in detail):
        named = ".".join(map(str, where))
        got = f"loc {[item['loc'] for item in detail[:3]]}"
        yield Violation("REQ-ERROR", "loc names another parameter", f"a loc that names {named}", got)


def _is_about(loc: Sequence[Any], wrong: Sequence[Path]) -> bool:
    """Whether an error is about a field that is wrong, or an id, which a server may know to be unknown, or no field."""
    field_names = [part for part in loc[1:2] if isinstance(part, str)]
    tops = {path[0] for path in wrong if path}
    return not tops or all(name in tops or name in _MAY_BE_UNKNOWN for name in field_names)


_MAY_BE_UNKNOWN: Final = frozenset({"workflow_id", "machine_id", "pool_ids", "session_id", "steps"})


def _schema_error_of_validation_error(detail: Any) -> str | None:
    if not isinstance(detail, list) or not detail:
        return f"detail {excerpt(json.dumps(detail))}"
    for item in detail:
        if not isinstance(item, dict):
            return f"an item {excerpt(json.dumps(item))}"
        loc = item.get("loc")
        if not isinstance(loc, list) or not loc or not all(isinstance(part, (str, int)) for part in loc):
            return f"loc {excerpt(json.dumps(loc))}"
        for name in ("msg", "type"):
            if not isinstance(item.get(name), str):
                return f"{name} {excerpt(json.dumps(item.get(name)))}"
    return None


def _names(loc: Sequence[Any], path: Path) -> bool:
    """Whether loc has the path's parts in their order: unions put names of their own between them."""
    parts = iter(loc)
    return all(any(part == wanted and type(part) is type(wanted) for part in parts) for wanted in ("body", *path))
