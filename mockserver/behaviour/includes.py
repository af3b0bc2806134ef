"""`include=workflow,machine,machine.pools`: the resources that runs refer to, each once, with a `type`."""

from __future__ import annotations

from collections.abc import Iterable

from mockserver.behaviour.context import Context
from mockserver.behaviour.included_resources import Resource
from mockserver.behaviour.machines import machine_json
from mockserver.behaviour.pools import pool_json, pools_of_machine
from mockserver.behaviour.run_view import Run
from mockserver.behaviour.workflows import workflow_json
from mockserver.time_slice import Sliced


async def included(context: Context, include: str | None, runs: Iterable[Run]) -> tuple[Resource, ...] | None:
    """Return each resource, or None if none was asked for. Ignores unknown words, as upstream does."""
    wanted = {word.strip() for word in (include or "").split(",")} & {"workflow", "machine", "machine.pools"}
    if not wanted:
        return None
    resources: dict[tuple[str, str], Resource] = {}
    seen: set[str] = set()
    async for run in Sliced(runs):
        workflow_id, machine_id = run.batch.workflow_id, run.placement.machine_id
        if "workflow" in wanted and ("workflow", workflow_id) not in resources:
            _add(resources, "workflow", workflow_id, await workflow_json(context, workflow_id))
        if machine_id is None or machine_id in seen:
            continue
        seen.add(machine_id)
        if "machine" in wanted and ("machine", machine_id) not in resources:
            _add(resources, "machine", machine_id, await machine_json(context, machine_id))
        if "machine.pools" in wanted:
            async for pool in Sliced(await pools_of_machine(context, machine_id)):
                _add(resources, "pool", pool.id, await pool_json(context, pool))
    return tuple(resources.values())


def _add(resources: dict[tuple[str, str], Resource], type_: str, id_: str, json: bytes | None) -> None:
    if json is not None:
        resources[type_, id_] = Resource(type_, json, is_stored=type_ == "workflow")
