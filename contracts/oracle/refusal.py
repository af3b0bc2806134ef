"""Judges refusals: a valid request that was refused, an invalid one that was accepted, and the body of a 422."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.exchange import Answer
from contracts.core.json_tree import Path
from contracts.openapi.schemas import InvalidPart, body_properties, body_schema, newer_properties, schema
from contracts.openapi.strict import matches
from contracts.oracle.request import CREATES, ParsedRequest
from contracts.oracle.violation import Violation, excerpt
from contracts.oracle.wording import answer_in_words, value_in_words


def accepts(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def refuses(answer: Answer) -> bool:
    return 400 <= answer.status < 500


def fails(answer: Answer) -> bool:
    """Whether the answer is a 5xx, or no complete answer came."""
    return answer.status >= 500 or answer.status == 0


def refusal_of_valid(parsed: ParsedRequest, answer: Answer) -> Violation:
    """Return the violation for a refused valid request. Its rule depends on which fields the request has: after
    shrinking, these are the ones for which it is refused.
    """
    rule, cause = _rule_and_cause(parsed)
    expected = "a success, since the request is valid"
    return Violation(rule, cause, expected, answer_in_words(answer), dedup_key_override="refused")


def _rule_and_cause(parsed: ParsedRequest) -> tuple[str, str]:
    body = parsed.body
    required = set(schema(body_schema(parsed.operation) or "")["required"]) if parsed.operation in CREATES else set()
    optional = {name: value for name, value in body.items() if name not in required}
    known = set(body_properties(parsed.operation))
    if parsed.operation == "bulk_create_runs" and not optional:
        return "REQ-COUNT", "a count in range is refused"
    files = [file for name in ("file_inputs", "shared_file_inputs") for file in body.get(name) or ()]
    has_empty = any(name in known and value in (None, [], {}) for name, value in optional.items())
    if has_empty or any(file.get("target_path", "") is None for file in files):
        return "REQ-NULL", "null or an empty value is refused"
    if len(files) > _FEW_FILES or len({file["filename"] for file in files}) < len(files):
        return "REQ-ACCEPT", "many files are refused" if len(files) > _FEW_FILES else "files of one name are refused"
    if files and all(map(_is_plain_file, files)):
        return "REQ-FILES", "a good file input is refused"
    if files:
        return "REQ-ACCEPT", "an unusual file input is refused"
    if body.get("count", 1) > _FEW_RUNS and parsed.operation == "bulk_create_runs":
        return "REQ-COUNT", "a count in range is refused"
    if any(value in (None, {}) for step in body.get("steps") or () for value in step.values()):
        return "REQ-NULL", "null or an empty value is refused"
    return "REQ-ACCEPT", "a valid request is refused"


_FEW_FILES: Final = 3
_FEW_RUNS: Final = 10
"""Shrinking would have reduced a count above this if the count did not matter."""


def _is_plain_file(file: Mapping[str, Any]) -> bool:
    """Whether nothing about a file is unusual, so that a refusal concerns file inputs in general."""
    name, path, content = file["filename"], file.get("target_path") or "", file["content"]
    return (name + path).isascii() and len(name + path) < 100 and 0 < len(content) < 10_000


_PROBLEM_WORDS: Final = {
    "missing": "is missing",
    "type": "has the wrong type",
    "range": "is out of range",
    "form": "is malformed",
    "length": "has too few items",
    "body": "is not a JSON object",
}


def rule_of_invalid_part(invalid: InvalidPart) -> str:
    last = next((part for part in reversed(invalid.path) if isinstance(part, str)), "")
    if invalid.kind == "body":
        return "REQ-BODY"
    if last == "count":
        return "REQ-COUNT"
    if last == "workflow_id":
        return "REQ-WORKFLOW"
    if invalid.kind == "missing" and last in {"filename", "content"}:
        return "REQ-FILES"
    return "REQ-TYPES"


def acceptance_of_invalid(parsed: ParsedRequest, answer: Answer) -> Violation | None:
    """Return the violation for an accepted invalid request.

    None if only properties of newer releases are wrong: a server may ignore those that its answers do not show.
    """
    ignored = ignored_properties(answer)
    invalid = next((invalid for invalid in parsed.invalid_parts if not ignored.intersection(invalid.path[:1])), None)
    if invalid is None:
        return None
    rule, problem = rule_of_invalid_part(invalid), f"{invalid.where} {_PROBLEM_WORDS[invalid.kind]}"
    cause, expected = f"accepted although {problem}", f"a refusal with 4xx, since {problem}"
    field = next((step for step in invalid.path if isinstance(step, str)), "")
    return Violation(rule, cause, expected, answer_in_words(answer), field=field)


def ignored_properties(answer: Answer) -> frozenset[str]:
    """Return the properties of newer releases that the run in the answer to a write does not have."""
    run = answer.json_or_none()
    return newer_properties() - run.keys() if isinstance(run, dict) else frozenset()


def _listed_errors(answer: Answer) -> tuple[list[Any], Violation | None]:
    """Return the errors that the detail of a 422 lists, or a violation if it is a text.

    Neither for another status, or if the answer does not have the documented form, which `answer_schema` judges.
    """
    if answer.status != 422:
        return [], None
    body = answer.json_or_none()
    if matches("Error", body):
        expected, got = "a 422 whose detail is a list of errors", f"422 with detail {value_in_words(body['detail'])}"
        return [], Violation("REQ-ERROR", "not the shape", expected, got)
    return (body["detail"] if matches("HTTPValidationError", body) else []), None


_OF_SOMETHING_ELSE: Final = frozenset({401, 405, 406, 407, 410, 412, 416, 417, 418, 421, 423, 424, 425, 426, 428, 451})
"""The statuses by which HTTP refuses a request for its credentials, method, headers or server, or for the state of a
resource, and not for its content.
"""


def status_violations(answer: Answer) -> Iterator[Violation]:
    """Judge the status of the refusal of an invalid request that has a valid token."""
    if answer.status in _OF_SOMETHING_ELSE:
        expected = "400 or 422, since the content of the request is invalid"
        yield Violation("REQ-ERROR", "the status tells of another problem", expected, answer_in_words(answer))


def error_violations(parsed: ParsedRequest, answer: Answer) -> Iterator[Violation]:
    """Yield REQ-ERROR violations of a 422 for an invalid request."""
    if not parsed.is_invalid:
        return
    errors, shape_violation = _listed_errors(answer)
    if shape_violation is not None:
        yield shape_violation
    if not errors:
        return
    wrong = [invalid.path for invalid in parsed.invalid_parts]
    locs = [error["loc"] for error in errors]
    where = " or ".join(".".join(map(str, ("body", *path))) for path in wrong[:3])
    got = f"422 with {_locs_in_words(locs)}"
    names_all = all(any(_loc_contains(loc, path) for loc in locs) for path in wrong)
    unknown = parsed.unknown_properties
    if not any(_loc_contains(loc, path) for loc in locs for path in (*wrong, *parsed.ambiguous_places, *unknown)):
        yield Violation("REQ-ERROR", "loc names another place", f"an error with loc {where}", got)
    elif len(locs) > len({json.dumps(loc) for loc in locs}) and not names_all:
        yield Violation("REQ-ERROR", "two errors have the same loc", "a loc of its own for each wrong field", got)
    elif not parsed.ambiguities:
        other_loc = next((loc for loc in locs if not _is_about(loc, (*wrong, *unknown))), None)
        if other_loc is not None:
            expected, got = f"an error with loc {where} only", f"422 with {_locs_in_words([other_loc])}"
            yield Violation("REQ-ERROR", "loc names a valid field", expected, got)


def names_an_invalid_part(parsed: ParsedRequest, answer: Answer) -> bool:
    """Return whether the answer is a 422 with a loc for an invalid part: that part is a reason for the refusal."""
    errors, _ = _listed_errors(answer)
    return any(_loc_contains(error["loc"], invalid.path) for error in errors for invalid in parsed.invalid_parts)


def parameter_error_violations(where: Path, answer: Answer) -> Iterator[Violation]:
    """Yield REQ-ERROR violations of the refusal of a wrong parameter. `where` is like ("query", "limit")."""
    yield from status_violations(answer)
    errors, shape_violation = _listed_errors(answer)
    if shape_violation is not None:
        yield shape_violation
    elif errors and not any(error["loc"][: len(where)] == [*where] for error in errors):
        named = ".".join(map(str, where))
        got = f"422 with {_locs_in_words([error['loc'] for error in errors])}"
        yield Violation("REQ-ERROR", "loc names another parameter", f"an error with loc {named}", got)


def _locs_in_words(locs: Sequence[Sequence[Any]]) -> str:
    shown = ", ".join(".".join(map(str, loc)) for loc in locs[:3])
    return f"loc {excerpt(shown, 100)}" + (f" and {len(locs) - 3} more" if len(locs) > 3 else "")


def _is_about(loc: Sequence[Any], wrong: Sequence[Path]) -> bool:
    """Whether an error is about a wrong field, about a field with ids (which may be unknown), or about no field."""
    field_names = [part for part in loc[1:2] if isinstance(part, str)]
    wrong_names = {path[0] for path in wrong if path}
    return not wrong_names or all(name in wrong_names or name in _MAY_BE_UNKNOWN for name in field_names)


_MAY_BE_UNKNOWN: Final = frozenset({"workflow_id", "machine_id", "pool_ids", "session_id", "steps"})


def _loc_contains(loc: Sequence[Any], path: Path) -> bool:
    """Whether loc has the parts of the path in order. Validators add parts for unions between them."""
    parts = iter(loc)
    return all(any(part == wanted and type(part) is type(wanted) for part in parts) for wanted in ("body", *path))
