"""Judges what must hold for every answer, whatever the request, and the form of a success."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from contracts.core.exchange import Answer, Request
from contracts.openapi.strict import answer_differences
from contracts.oracle.operation import ANSWER_RULE, SCHEMA_RULE, SUCCESS
from contracts.oracle.refusal import accepts
from contracts.oracle.violation import Violation, excerpt


def universal_violations(
    operation: str | None, answer: Answer, canaries: Sequence[bytes], request: Request | None = None
) -> Iterator[Violation]:
    """Yield violations of the rules that apply to every answer.

    `canaries` are the forms in which an answer could show a secret. If the request itself sends a canary outside of the
    fields for secrets, the answer may contain it.
    """
    at = operation or "an undocumented place"
    if answer.status >= 500 or answer.status == 0:
        got = f"{answer.status} {excerpt(answer.body)}" if answer.status else f"no answer: {answer.lost}".rstrip(": ")
        yield Violation("NO-5XX", f"a 5xx from {at}", "no 5xx, whatever is sent", got)
    if _contains_any(answer, canaries) and not (request is not None and sends_openly(request, canaries)):
        yield Violation(
            "SECRET-LEAK",
            f"in an answer of {at}" if answer.status < 400 else "in an error",
            "no sensitive value in any answer",
            f"one in the {answer.status} of {at}",
        )
    if 400 <= answer.status < 500:
        problem = _schema_error_of_error(answer)
        if problem is not None:
            yield Violation("HTTP-ERROR-JSON", f"{answer.status}: {problem}", "an error as JSON with detail", problem)
        if answer.status == 429 and not is_retry_after(answer.header("retry-after")):
            retry_after = answer.header("retry-after")
            yield Violation("HTTP-LIMIT", "no Retry-After", "a 429 with Retry-After", f"Retry-After {retry_after!r}")


def _contains_any(answer: Answer, canaries: Sequence[bytes]) -> bool:
    texts = [answer.body, *(value.encode(errors="replace") for _, value in answer.headers)]
    return any(form in text for form in canaries for text in texts)


_SENSITIVE: Final = ("sensitive_input_values", "sensitive_inputs", "shared_sensitive_inputs")


def sends_openly(request: Request, canaries: Sequence[bytes]) -> bool:
    """Whether a body has a canary outside of the fields for secrets, where it is a value like any other.

    In text and in a body that is not JSON, a canary counts as outside unless the name of such a field is there too.
    """
    raw = request.body or b""
    try:
        body = request.json() if raw else None
    except (ValueError, RecursionError):
        body = raw.decode("latin-1")
    if isinstance(body, str):
        return any(form in raw for form in canaries) and not any(name in body for name in _SENSITIVE)
    open_part = json.dumps(_without_sensitive(body), ensure_ascii=False).encode(errors="replace")
    return any(form in open_part for form in canaries)


def _without_sensitive(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sensitive(item) for key, item in value.items() if key not in _SENSITIVE}
    return [_without_sensitive(item) for item in value] if isinstance(value, list) else value


def _schema_error_of_error(answer: Answer) -> str | None:
    if not is_json(answer):
        return f"content type {answer.header('content-type')}"
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return "a body that is no JSON"
    if not isinstance(body, dict) or body.get("detail") in (None, "", [], {}):
        return "no detail"
    return None


def is_json(answer: Answer) -> bool:
    return (answer.header("content-type") or "").split(";")[0].strip().lower() == "application/json"


def is_retry_after(value: str | None) -> bool:
    if value is None:
        return False
    if value.strip().isdigit():
        return True
    try:
        parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return False
    return True


def schema_violations(operation: str, answer: Answer) -> Iterator[Violation]:
    """Yield how a success differs from the documented one, for an operation without a rule of its own."""
    if (wrong := schema_error(operation, answer)) is not None:
        yield wrong
    elif accepts(answer):
        body = answer.json()
        for path in answer_differences(operation, answer.status, body):
            where = ".".join("[]" if isinstance(step, int) else step for step in path) or "an answer"
            value: Any = body
            for step in path:
                value = value[step]
            got = f"{excerpt(json.dumps(value))} in {'.'.join(map(str, path)) or 'the answer'}"
            yield Violation(SCHEMA_RULE, f"{where} of {operation} is not of its schema", f"{where} as documented", got)


def schema_error(operation: str, answer: Answer) -> Violation | None:
    """Return how a success differs from the documented one: its status, its content type, no JSON, or no object."""
    rule = ANSWER_RULE.get(operation, SCHEMA_RULE)
    if not accepts(answer):
        return None
    status = SUCCESS.get(operation, 200)
    if answer.status != status:
        return Violation(rule, f"another status from {operation}", f"status {status}", f"status {answer.status}")
    if status == 204 or operation == "download_run_attachment":
        return None
    if not is_json(answer):
        found = answer.header("content-type")
        return Violation(rule, f"another content type from {operation}", "application/json", f"content type {found}")
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return Violation(rule, f"no JSON from {operation}", "a JSON object", excerpt(answer.body))
    if not isinstance(body, dict):
        return Violation(rule, f"no object from {operation}", "a JSON object", excerpt(answer.body))
    return None
