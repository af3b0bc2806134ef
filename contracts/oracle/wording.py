"""The words of violations: counts, values, runs and answers in a few words."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import Answer, json_object_in
from contracts.oracle.violation import excerpt

_MAX_ERRORS: Final = 2


def value_in_words(value: Any, length: int = 120) -> str:
    """Return the beginning of a JSON value. All but ASCII is escaped, since two texts may look alike and differ."""
    return excerpt(json.dumps(value), length)


def keys_in_words(keys: Sequence[str]) -> str:
    """Return the first keys of an object, quoted."""
    shown = ", ".join(value_in_words(key, 40) for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{'the key' if len(keys) == 1 else 'the keys'} {shown}{more}"


def keys_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return which keys of one object the other lacks or, if it lacks none, which further keys it has."""
    lost = [key for key in one if key not in other]
    new = [key for key in other if key not in one]
    return f"without {keys_in_words(lost)}" if lost else f"with {keys_in_words(new)}, too"


def run_in_words(view: Mapping[str, Any], names: Collection[str] = ()) -> str:
    """Return "run ID", with the values of the named fields."""
    values = [f"{name} {value_in_words(view.get(name), 60)}" for name in names if name in view]
    return f"run {view.get('id')}" + (f" ({', '.join(values)})" if values else "")


def place_in_words(wrong: Sequence[int], of: int) -> str:
    """Return which of the runs of an answer are wrong, by their indexes; empty if there is only one run."""
    if of == 1:
        return ""
    first, last = wrong[0] + 1, wrong[-1] + 1
    if len(wrong) == of:
        return f" in all {of} runs"
    if len(wrong) == 1:
        place = {1: f"the first of {of} runs", of: f"the last of {of} runs"}.get(first, f"run {first} of {of}")
        return f" only in {place}"
    if last - first + 1 == len(wrong):
        return f" in runs {first} to {last} of {of}"
    return f" in {len(wrong)} of {of} runs, the first of them run {first}"


def answer_in_words(answer: Answer) -> str:
    """Return the status and what the body says: the reasons of a refusal, or what a success shows."""
    if not answer.status:
        return f"no answer: {answer.lost}".rstrip(": ")
    if not answer.body:
        return f"{answer.status} without a body"
    return f"{answer.status} {_body_in_words(json_object_in(answer)) or excerpt(answer.body)}"


def _body_in_words(body: Mapping[str, Any]) -> str:
    match body:
        case {"detail": str(text)}:
            return value_in_words(text)
        case {"detail": [dict(), *_] as errors}:
            shown = [_error_in_words(error) for error in errors[:_MAX_ERRORS] if isinstance(error, dict)]
            more = f" and {counted(len(errors) - _MAX_ERRORS, 'more error')}" if len(errors) > _MAX_ERRORS else ""
            return f"({excerpt('; '.join(shown), 200)}{more})"
        case {"created_runs": list(runs)}:
            return f"with {counted(len(runs), 'created run')}"
        case {"items": list(items), "total": int(total)}:
            return f"with {counted(len(items), 'item')}, total {total}"
        case {"id": str(identity), "workflow_id": _, "status": status}:
            return f"with run {identity} (status {status})"
    return ""


def _error_in_words(error: Mapping[str, Any]) -> str:
    loc = error.get("loc")
    where = ".".join(map(str, loc)) if isinstance(loc, list) else value_in_words(loc)
    return f"{where}: {error.get('msg')}"
