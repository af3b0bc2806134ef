"""Mutations of an answer that violate the schema of its operation, each in one named way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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


def _change_type(member: dict[str, Any]) -> bool:
    name = next((name for name in _REQUIRED if name in member), None)
    if name is not None:
        member[name] = 12345 if isinstance(member[name], str) else "a text in its place"
    return name is not None


def _change_status(member: dict[str, Any]) -> bool:
    if "status" in member:
        member["status"] = "teleported"
    return "status" in member


def _change_date(member: dict[str, Any]) -> bool:
    name = next((name for name in _DATES if isinstance(member.get(name), str)), None)
    if name is not None:
        member[name] = "yesterday at 5"
    return name is not None


def _add_null(member: dict[str, Any]) -> bool:
    name = next((name for name in _REQUIRED if name in member), None)
    if name is not None:
        member[name] = None
    return name is not None


_MUTATIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "missing-field": _remove_field,
    "wrong-type": _change_type,
    "unknown-status": _change_status,
    "bad-date": _change_date,
    "extra-null": _add_null,
}
