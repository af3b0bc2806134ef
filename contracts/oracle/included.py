"""Judges the resources in `included`, which an answer shows because the request asked for them (`include`)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from contracts.oracle.run import changed_field
from contracts.oracle.run_list import items_in
from contracts.oracle.violation import Violation

INCLUDE_RULE = "READ-INCLUDE"
JsonObject = Mapping[str, Any]
Resources = Mapping[str, JsonObject]
"""By id."""


def included_violations(answer: JsonObject, asked: Collection[str], known: Resources) -> Iterator[Violation]:
    """Judge `included` of a run or of a list of runs.

    `asked` are the values of `include`. `known` are resources by id, as reads show them: only the fields that do not
    change by themselves, and the `pools` of a machine if a read shows them. A resource that is not in `known` need not
    be included. If the pools of a machine are not known, any pool may be included.
    """
    shown = answer.get("included") or []
    if not isinstance(shown, list) or not all(
        isinstance(item, dict) and {"id", "type"} <= item.keys() for item in shown
    ):
        return  # judged by the schema
    runs = items_in(answer) if "items" in answer else [answer]
    kinds, judges_pools = _referenced(runs, asked, known), "machine.pools" in asked
    ids = [str(item["id"]) for item in shown]
    for resource, kind in kinds.items():
        if resource in known and resource not in ids:
            expected = f"{kind} {resource} in included"
            yield Violation(INCLUDE_RULE, f"a {kind} is not included", expected, _in_words(shown))
    for number, (resource, item) in enumerate(zip(ids, shown, strict=True)):
        if resource in ids[:number]:
            yield Violation(INCLUDE_RULE, "a resource is included twice", "each resource once", _in_words(shown))
        if resource not in kinds and not _may_be_more(runs, resource, asked, known):
            cause = "a resource is included that was not asked for"
            referenced = [{"type": each, "id": identity} for identity, each in kinds.items()]
            yield Violation(INCLUDE_RULE, cause, _in_words(referenced), _in_words(shown))
        yield from _different(item, kinds.get(resource, ""), known.get(resource, {}), judges_pools=judges_pools)


def _different(item: JsonObject, kind: str, read: JsonObject, *, judges_pools: bool) -> Iterator[Violation]:
    """Judge an included resource by its kind, and by how a read shows it."""
    resource = str(item["id"])
    if kind in {"workflow", "machine"} and item["type"] != kind:
        cause, got = "an included resource has another type", f"type {item['type']!r} of {kind} {resource}"
        yield Violation(INCLUDE_RULE, cause, f"type {kind!r}", got, field="type")
    if changed := changed_field(read, item, [name for name in read if name in item and name != "pools"]):
        name, problem = changed
        cause, expected = f"{name} of an included {kind} reads differently", f"{kind} {resource} as a read shows it"
        yield Violation(INCLUDE_RULE, cause, expected, problem, field=name)
    shown_pools, read_pools = pool_ids_of(item), pool_ids_of(read)
    are_known = shown_pools is not None and read_pools is not None
    if judges_pools and are_known and shown_pools != read_pools:
        cause = "pools of an included machine read differently"
        expected, got = (f"pools {', '.join(sorted(ids or ())) or 'none'}" for ids in (read_pools, shown_pools))
        yield Violation(INCLUDE_RULE, cause, f"{expected}, as a read shows them", got, field="pools")


def pools_of(machine: Any) -> list[dict[str, Any]] | None:
    """Return the pools that a machine shows; None if it has no list of pools, which is optional."""
    pools = machine.get("pools") if isinstance(machine, dict) else None
    return [pool for pool in pools if isinstance(pool, dict)] if isinstance(pools, list) else None


def pool_ids_of(machine: Any) -> set[str] | None:
    """Return the ids of the pools that a machine shows; None if it has no list of pools, which is optional."""
    pools = pools_of(machine)
    return None if pools is None else {str(pool.get("id")) for pool in pools}


def _referenced(runs: Collection[JsonObject], asked: Collection[str], known: Resources) -> dict[str, str]:
    """Return the kinds of the resources to include, by id."""
    kinds: dict[str, str] = {}
    for run in runs:
        machine = run.get("machine_id")
        if "workflow" in asked:
            kinds[str(run.get("workflow_id"))] = "workflow"
        if "machine" in asked and machine:
            kinds[machine] = "machine"
        if "machine.pools" in asked:
            kinds.update((str(pool.get("id")), "pool") for pool in pools_of(known.get(machine or "")) or ())
    return kinds


def _may_be_more(runs: Collection[JsonObject], resource: str, asked: Collection[str], known: Resources) -> bool:
    """Return whether a resource may be included, but need not be: a machine whose pools were asked for, or any resource
    if the pools of a machine are not known.
    """
    machines = {str(run["machine_id"]) for run in runs if run.get("machine_id")}
    are_known = all(pools_of(known.get(machine)) is not None for machine in machines)
    return "machine.pools" in asked and (resource in machines or not are_known)


def _in_words(shown: Collection[JsonObject]) -> str:
    each = [f"{item['type']} {item['id']}" for item in shown]
    return f"included: {', '.join(each) or 'nothing'}"
