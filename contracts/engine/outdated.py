"""Recognises a read that answers with an outdated state, as caches do and replicas that lag behind.

The violation that it causes may be of any rule: an update seems lost, a deleted run seems to be there, a refused
request seems to have changed a run. In each case, the same read shows what earlier answers had shown when it is sent
again.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import Answer, Exchange
from contracts.oracle import accepts

OUTDATED: Final = "an outdated state, of a cache or a replica? The same read is right when it is sent again"
"""The guess at the cause."""


def has_outdated_read(exchanges: Sequence[Exchange], field: str = "") -> bool:
    """Return whether a read before the last exchange shows an outdated state, by what the last one shows."""
    *before, last = exchanges
    reads = [number for number, exchange in enumerate(before, 1) if exchange.request.is_read]
    return any(is_outdated(before[:number], last.answer, field) for number in reads)


def is_outdated(exchanges: Sequence[Exchange], later: Answer, field: str = "") -> bool:
    """Return whether the last of the exchanges, a read, shows an outdated state. `later` is an answer that came after
    it, without a change in between. `field` is the field of a resource that is wrong; empty if it is not exactly one.

    It is outdated if `later` shows, of one resource, what the last write or a read after it had shown too, but the read
    did not; or if only one of both shows the resource, and `later` is right: it had been shown, or had been deleted.
    """
    *before, read = exchanges
    shown, now = resources_in(read.answer), resources_in(later)
    for resource_id in shown.keys() | now.keys():
        if resource_id not in now:
            if any(_deletes(exchange, resource_id) for exchange in before):
                return True
            continue
        known = _known_since_last_write(before, resource_id)
        if resource_id not in shown:
            if known:
                return True
            continue
        names = [field] if field else now[resource_id]
        if any(_is_newer(name, shown[resource_id], now[resource_id], known) for name in names):
            return True
    return False


def _known_since_last_write(exchanges: Sequence[Exchange], resource_id: str) -> list[dict[str, Any]]:
    """Return what the last write that shows the resource, and the reads after it, show of it."""
    known: list[dict[str, Any]] = []
    for exchange in exchanges:
        resource = resources_in(exchange.answer).get(resource_id)
        if resource is not None:
            known = [*known, resource] if exchange.request.is_read else [resource]
    return known


def _is_newer(name: str, shown: dict[str, Any], now: dict[str, Any], known: Sequence[dict[str, Any]]) -> bool:
    if name not in now or now[name] == shown.get(name):
        return False
    return any(name in each and each[name] == now[name] for each in known)


def _deletes(exchange: Exchange, resource_id: str) -> bool:
    request = exchange.request
    return request.method == "DELETE" and request.path.endswith(f"/{resource_id}") and accepts(exchange.answer)


def resources_in(answer: Answer) -> dict[str, dict[str, Any]]:
    """Return the resources that an answer shows, by id, wherever in the JSON they are."""
    try:
        return {resource["id"]: resource for resource in _objects(answer.json()) if isinstance(resource.get("id"), str)}
    except ValueError:
        return {}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
        if isinstance(node, dict | list):
            todo += node.values() if isinstance(node, dict) else node
