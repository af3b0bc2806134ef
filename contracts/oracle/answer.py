"""Judges what must hold for every answer, whatever the request: no 5xx, no secret, and the documented form."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import Answer, Request, json_object_in, retry_after_of
from contracts.core.json_tree import Path, leaves
from contracts.openapi.schemas import SENSITIVE_FIELDS, is_uuid
from contracts.oracle.answer_schema import ANSWER_RULE, SCHEMA_RULE, answer_violations, field_at
from contracts.oracle.refusal import accepts, fails, refuses
from contracts.oracle.request import is_well_formed
from contracts.oracle.violation import Violation, excerpt
from contracts.oracle.wording import answer_in_words


def universal_violations(
    operation: str | None, request: Request, answer: Answer, canaries: Sequence[bytes], *, judges_form: bool = True
) -> Iterator[Violation]:
    """Yield violations of the rules that apply to every answer.

    `canaries` are the forms in which an answer could show a secret. If the request itself sends a canary outside of the
    fields for secrets, the answer may contain it. The form of a success is not judged if the request does not have the
    documented form: either the success itself is the violation, or the contract does not determine the answer. Nor is
    the form of the answer to a malformed URL: HTTP libraries refuse it before the API sees the request.
    """
    at = operation or "an undocumented place"
    if fails(answer):
        yield Violation("NO-5XX", f"a 5xx from {at}", "no 5xx, whatever is sent", answer_in_words(answer))
    if _contains_any(answer, canaries) and not sends_openly(request, canaries):
        yield _leak(at, answer, [form.decode("latin-1") for form in canaries])
    if answer.status == 429 and retry_after_of(answer) is None:
        retry_after = answer.header("retry-after")
        got = "429 without Retry-After" if retry_after is None else f"429 with Retry-After {excerpt(retry_after)}"
        yield Violation("HTTP-LIMIT", "no Retry-After", "a 429 with Retry-After", got)
    if judges_form and not _MALFORMED_ESCAPE.search(request.path):
        for violation in answer_violations(operation, answer):
            if refuses(answer) or is_well_formed(operation, request):
                yield violation
    if accepts(answer) and (overfull := _overfull_page(operation, answer)) is not None:
        yield overfull


def _overfull_page(operation: str | None, answer: Answer) -> Violation | None:
    """Return a violation if a list has more items than the limit in the same answer, whatever was asked for."""
    if operation is None or not operation.startswith("list_"):
        return None
    body = json_object_in(answer)
    items, limit = body.get("items"), body.get("limit")
    if not isinstance(items, list) or type(limit) is not int or len(items) <= limit:
        return None
    cause = f"a page of {operation} has more items than its limit"
    return Violation("LIST-PAGE", cause, f"at most {counted(max(0, limit), 'item')}", counted(len(items), "item"))


_SHOW_THE_RESOURCE_OF_THE_PATH: Final = frozenset(
    {
        *("get_run", "update_run", "retry_run", "get_run_attachment"),
        *("get_machine", "get_pool", "add_machine_to_pool", "get_workflow"),
    }
)


def other_resource(operation: str | None, request: Request, answer: Answer) -> Violation | None:
    """Return a violation if the answer is about another resource than the request. Only ids in lower case are read."""
    if operation not in _SHOW_THE_RESOURCE_OF_THE_PATH or not accepts(answer):
        return None
    asked = next(filter(is_uuid, request.path_without_query.split("/")), None)
    shown = json_object_in(answer).get("id")
    if asked is None or not is_uuid(shown) or shown == asked:
        return None
    rule, cause = ANSWER_RULE.get(operation, SCHEMA_RULE), f"{operation} answers with another resource"
    return Violation(rule, cause, f"id {asked}", f"id {shown}", field="id")


_MALFORMED_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def _contains_any(answer: Answer, canaries: Sequence[bytes]) -> bool:
    text = "\n".join(value for _, value in answer.headers).encode(errors="replace") + b"\n" + answer.body
    return any(form in text for form in canaries)


def _leak(at: str, answer: Answer, forms: Sequence[str]) -> Violation:
    cause = f"in an answer of {at}" if answer.status < 400 else "in an error"
    path = _path_of_any(answer, forms)
    where = ".".join(map(str, path)) or _header_of_any(answer, forms)
    got = f"{answer.status} with a sensitive value" + (f" in {where}" if where else "")
    return Violation("SECRET-LEAK", cause, "no sensitive value in any answer", got, field=field_at(path))


def _header_of_any(answer: Answer, forms: Sequence[str]) -> str:
    """Return "the header NAME" for the first header that contains one of the forms; empty if none does."""
    names = (name for name, value in answer.headers if any(form in value for form in forms))
    return next((f"the header {name}" for name in names), "")


def _path_of_any(answer: Answer, forms: Sequence[str]) -> Path:
    """Return the path of the first value of a JSON answer that contains one of the forms; empty if no value does."""
    parts = leaves(answer.json_or_none())
    found = ((path, leaf if isinstance(leaf, str) else json.dumps(leaf)) for path, leaf in parts)
    return next((path for path, text in found if any(form in text for form in forms)), ())


def sends_openly(request: Request, canaries: Sequence[bytes]) -> bool:
    """Return whether the body of a request has a canary outside of the fields for secrets.

    There it is a value like any other. In a body that is a text or not JSON, a canary counts as outside unless the body
    also contains the name of such a field.
    """
    raw = request.body or b""
    try:
        body = request.json() if raw else None
    except ValueError:
        body = raw.decode("latin-1")
    if isinstance(body, str):
        return any(form in raw for form in canaries) and not any(name in body for name in SENSITIVE_FIELDS)
    open_part = json.dumps(_without_sensitive(body), ensure_ascii=False).encode(errors="replace")
    return any(form in open_part for form in canaries)


def _without_sensitive(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sensitive(item) for key, item in value.items() if key not in SENSITIVE_FIELDS}
    return [_without_sensitive(item) for item in value] if isinstance(value, list) else value
