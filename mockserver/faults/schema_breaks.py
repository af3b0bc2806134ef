"""Mutations of an answer that violate the schema of its operation, each in one named way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

How = Literal["missing-field", "wrong-type", "unknown-status", "bad-date", "extra-null"]
HOWS: tuple[str, ...] = get_args(How)

_REQUIRED = ("id", "run_ids", "created_runs", "items", "url", "status")
_DATES = ("created_at", "started_at", "ended_at", "updated_at", "last_seen")


def broken(body: bytes, how: How) -> bytes:
    """Return the JSON body with the first object changed that allows it. If none does, its value stays the same."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    for member in _objects(value):
        if _MUTATIONS[how](member):
            break
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the members of a list before the object that holds it: clients read the members first."""
    if isinstance(value, dict):
        for member in value.values():
            if isinstance(member, list):
                yield from (each for each in member if isinstance(each, dict))
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))


def _remove_field(member: dict[str, Any]) -> bool:
    name = next((name for name in _REQUIRED if name in member), None)
    return name is not None and bool([member.pop(name)])


def _changed(names: Sequence[str], change: Callable[[Any], Any], of: type = object) -> Callable[[dict[str, Any]], bool]:
    """Return a function that changes the first of the named fields with a value of a type, if there is one."""

    def apply(member: dict[str, Any]) -> bool:
        name = next((name for name in names if name in member and isinstance(member[name], of)), None)
        if name is not None:
            member[name] = change(member[name])
        return name is not None

    return apply


_MUTATIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "missing-field": _remove_field,
    "wrong-type": _changed(_REQUIRED, lambda value: 12345 if isinstance(value, str) else "a text in its place"),
    "unknown-status": _changed(("status",), lambda _: "teleported"),
    "bad-date": _changed(_DATES, lambda _: "yesterday at 5", of=str),
    "extra-null": _changed(_REQUIRED, lambda _: None),
}
