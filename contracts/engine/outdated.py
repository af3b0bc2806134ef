"""Recognises a read that answers with an outdated state, as caches do and replicas that lag behind.

The violation that it causes may be of any rule: an update seems lost, a deleted run seems to be there, a refused
request seems to have changed a run. In each case, the same read shows what earlier answers had shown when it is sent
again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.exchange import Answer, Exchange
from contracts.oracle import accepts

OUTDATED: Final = "an outdated state, of a cache or a replica? The same read is right when it is sent again"
"""The guess at the cause."""
Resources = Mapping[str, Mapping[str, Any]]
"""By id."""


@dataclass(frozen=True)
class Contradictions:
    """In what a read contradicts the last writes and the reads after them. If it is outdated, the same read agrees with
    them later.
    """

    values: Mapping[tuple[str, str], Sequence[Any]]
    """Other values of a field, by id and field."""
    missing: frozenset[str] = frozenset()
    """Resources that the read does not show."""
    deleted: frozenset[str] = frozenset()
    """Resources that the read shows though they were deleted."""

    def __bool__(self) -> bool:
        return bool(self.values or self.missing or self.deleted)

    def are_gone_in(self, later: Answer) -> bool:
        """Return whether one of them is gone in a later answer to the same read."""
        now = resources_in(later)
        return self.agrees_with(now) or not self.missing.isdisjoint(now) or not self.deleted <= now.keys()

    def agrees_with(self, now: Resources) -> bool:
        """Return whether a resource has one of the other values."""
        return any(
            resource in now and name in now[resource] and now[resource][name] in values
            for (resource, name), values in self.values.items()
        )


def contradictions_of(exchanges: Sequence[Exchange], field: str = "") -> Contradictions:
    """Return in what the last of the exchanges, a read, contradicts the others. `field` is the field of a resource that
    is wrong; empty if it is not exactly one.
    """
    *before, read = exchanges
    known = _Known()
    for exchange in before:
        known.add(exchange, resources_in(exchange.answer))
    shown, path = resources_in(read.answer), read.request.path_without_query
    expected = known.by_id.keys() - known.deleted
    named = {resource for resource in expected if resource in path}
    return Contradictions(
        known.other_values(shown, field),
        frozenset((named or expected) - shown.keys()),
        frozenset(known.deleted & shown.keys()),
    )


def has_outdated_read(exchanges: Sequence[Exchange], field: str = "") -> bool:
    """Return whether a read before the last exchange shows an outdated state, by what the last one shows."""
    *before, last = exchanges
    known, now = _Known(), resources_in(last.answer)
    for exchange in before:
        shown = resources_in(exchange.answer)
        if exchange.request.is_read and Contradictions(known.other_values(shown, field)).agrees_with(now):
            return True
        known.add(exchange, shown)
    return False


class _Known:
    """What the last write that shows a resource, and the reads after it, have shown of it, by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, list[Mapping[str, Any]]] = {}
        self.deleted: set[str] = set()

    def add(self, exchange: Exchange, shown: Resources) -> None:
        for resource_id, resource in shown.items():
            if exchange.request.is_read:
                self.by_id.setdefault(resource_id, []).append(resource)
            else:
                self.by_id[resource_id] = [resource]
        if exchange.request.method == "DELETE" and accepts(exchange.answer):
            self.deleted.add(exchange.request.path.rpartition("/")[2])

    def other_values(self, shown: Resources, field: str) -> dict[tuple[str, str], list[Any]]:
        """Return the known values of the field that are not shown, or of each field if it is empty."""
        found: dict[tuple[str, str], list[Any]] = {}
        for resource_id, resource in shown.items():
            for known in self.by_id.get(resource_id, ()):
                for name in (field,) if field else known:
                    if name in known and [known[name]] != [resource.get(name)]:  # in lists, NaN is equal to itself
                        found.setdefault((resource_id, name), []).append(known[name])
        return found


def resources_in(answer: Answer) -> dict[str, dict[str, Any]]:
    """Return the resources that an answer shows, by id, wherever in the JSON they are."""
    objects = _objects(answer.json_or_none())
    return {resource["id"]: resource for resource in objects if isinstance(resource.get("id"), str)}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
        if isinstance(node, dict | list):
            todo += node.values() if isinstance(node, dict) else node
