"""Judges answers by the documented form: status, content type and JSON schema, of successes and of errors.

All rules that require the documented form are judged here. Other modules only ask whether an answer has that form.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import Answer
from contracts.core.json_tree import Path
from contracts.openapi import strict
from contracts.openapi.schemas import responses, success_schema, success_status
from contracts.oracle.refusal import accepts, refuses
from contracts.oracle.violation import Violation, excerpt
from contracts.oracle.wording import value_in_words

ANSWER_RULE: Final = {
    "bulk_create_runs": "BULK-STATUS",
    "create_run": "CREATE-ANSWER",
    "create_run_chain": "CHAIN-RULES",
    "retry_run": "RETRY-RULES",
    "update_run": "UPDATE-PARTIAL",
    "delete_run": "DELETE-GONE",
    "get_run": "READ-BACK",
    "list_runs": "LIST-COMPLETE",
    "list_run_attachments": "ATTACHMENTS",
    "get_run_attachment": "ATTACHMENTS",
    "download_run_attachment": "ATTACHMENTS",
    "get_run_attachment_download_url": "ATTACHMENTS",
}
"""The rule that an operation breaks if its answer to a valid request is not the documented one."""
SCHEMA_RULE: Final = "HTTP-SCHEMA"
"""The rule of all other operations."""
_FIELD_RULE: Final = {
    ("bulk_create_runs", "id"): "BULK-IDS",
    ("bulk_create_runs", "status"): "BULK-INITIAL",
    ("bulk_create_runs", "created_at"): "BULK-INITIAL",
    ("list_runs", "total"): "LIST-PAGE",
    ("list_runs", "skip"): "LIST-PAGE",
    ("list_runs", "limit"): "LIST-PAGE",
}
"""The rule that a wrong value of one field breaks, by operation and field."""
_MISSING: Final = object()


def answer_violations(operation: str | None, answer: Answer) -> Iterator[Violation]:
    """Yield a violation for each way in which an answer differs from the documented one of its operation and status."""
    if refuses(answer):
        yield from _error_violations(operation, answer)
    elif operation is not None and accepts(answer):
        wrong = _form_violation(operation, answer)
        if wrong is not None:
            yield wrong
        elif paths := wrong_parts(operation, answer):
            yield from _part_violations(operation, answer.json(), paths)


def has_documented_form(operation: str, answer: Answer) -> bool:
    """Return whether an answer is a success with the documented status and content type, and a JSON object where one is
    documented. Parts of the object may still differ from the schema.
    """
    return accepts(answer) and _form_violation(operation, answer) is None


@functools.lru_cache(maxsize=16)
def wrong_parts(operation: str, answer: Answer) -> tuple[Path, ...]:
    """Return the paths of the parts that violate the schema. The answer must have the documented form."""
    return tuple(strict.success_differences(operation, answer.json())) if success_schema(operation) is not None else ()


def is_run(value: Any) -> bool:
    """Whether a part of an answer is a run with the documented schema."""
    return strict.matches("RunResponse", value)


def _form_violation(operation: str, answer: Answer) -> Violation | None:
    rule = ANSWER_RULE.get(operation, SCHEMA_RULE)
    status, has_json = success_status(operation), success_schema(operation) is not None
    is_part = answer.status == 206 and answer.header("Content-Range") is not None  # for a request with Range
    if answer.status != status and (has_json or not is_part):
        return Violation(rule, f"another status from {operation}", f"status {status}", f"status {answer.status}")
    problem = _problem_of_json(answer) if has_json else None
    return Violation(rule, f"{problem} from {operation}", _OBJECT, _beginning(answer)) if problem else None


def _part_violations(operation: str, body: Any, paths: Sequence[Path]) -> Iterator[Violation]:
    """Yield one violation for each kind of part, however many items of a list have it."""
    first: dict[str, Path] = {}
    requirements = strict.success_requirements(operation, body)
    for path in paths:
        first.setdefault(_where(path), path)
    for where, path in first.items():
        value = part(body, path)
        rule = ANSWER_RULE.get(operation, SCHEMA_RULE)
        if value is not _MISSING:
            rule = _FIELD_RULE.get((operation, str(path[-1])), rule)
        if operation == "list_runs" and path[0] == "items" and len(path) > 2:
            rule = ANSWER_RULE["get_run"]  # what is listed is also what a read shows
        item = part(body, (*path[:2], "id")) if path[0] == "items" else None
        about = item if isinstance(item, str) else ""
        cause, expected = f"{where} of {operation} is not of its schema", _wanted(where, requirements.get(path))
        yield Violation(rule, cause, expected, _in_words(value, path), about=about, field=field_at(path))


def _error_violations(operation: str | None, answer: Answer) -> Iterator[Violation]:
    problem = _problem_of_json(answer)
    if problem is None and answer.json().get("detail") in (None, "", [], {}):
        problem = "no detail"
    if problem is not None:
        got = f"{answer.status} with {_beginning(answer)}"
        yield Violation("HTTP-ERROR-JSON", f"{answer.status}: {problem}", f"{_OBJECT} with detail", got)
    elif operation is not None and answer.status in responses(operation):
        body = answer.json()
        for path in strict.differences("HTTPValidationError" if isinstance(body["detail"], list) else "Error", body):
            rule, where = "REQ-ERROR" if answer.status == 422 else "HTTP-ERROR-JSON", _where(path)
            cause = f"{where} of a {answer.status} is not of its schema"
            yield Violation(rule, cause, _wanted(where), _in_words(part(body, path), path))


_OBJECT: Final = "application/json with an object"


def _problem_of_json(answer: Answer) -> str | None:
    media_type = (answer.header("content-type") or "").split(";")[0].strip().lower()
    is_json_error = refuses(answer) and media_type.endswith("+json")  # such as application/problem+json
    if media_type != "application/json" and not is_json_error:
        return "another content type"
    try:
        body = answer.json()
    except ValueError:
        return "no JSON"
    return None if isinstance(body, dict) else "no object"


def _beginning(answer: Answer) -> str:
    content_type = answer.header("content-type") or "no Content-Type"
    if not answer.body:
        return f"{content_type} and an empty body"
    coding = answer.header("content-encoding") or "identity"
    if coding != "identity":  # the guard removes the header when it decodes the body
        return f"{content_type} in {excerpt(coding.encode())}, which cannot be decoded"
    is_broken = _problem_of_json(answer) == "no JSON"
    return f"{content_type}{' that is not valid JSON' if is_broken else ''}: {excerpt(answer.body)}"


def _wanted(where: str, requirement: str | None = None) -> str:
    return f"{where} to be {requirement}" if requirement else f"{where} as documented"


def _where(path: Path) -> str:
    """Return the path with [] for each index, since the same fault may be at any index."""
    return ".".join("[]" if isinstance(step, int) else step for step in path)


def field_at(path: Path) -> str:
    """Return the field of the resource that a path of an answer leads to; empty if it leads to no field."""
    return next((step for step in path if isinstance(step, str) and step not in {"items", "created_runs"}), "")


def part(body: Any, path: Path) -> Any:
    """Return the part of a JSON value at a path; `_MISSING` if there is none."""
    for step in path:
        if isinstance(step, str) and (not isinstance(body, dict) or step not in body):
            return _MISSING
        body = body[step]
    return body


def _in_words(value: Any, path: Path) -> str:
    where = ".".join(map(str, path))
    return f"no {where}" if value is _MISSING else f"{where} {value_in_words(value)}"
