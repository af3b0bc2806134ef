"""`include=workflow,machine,machine.pools`: the resources that runs refer to, each once, with a `type`."""

from __future__ import annotations

from collections.abc import Iterable

from mockserver.behaviour.context import Context
from mockserver.behaviour.included_resources import Resource
from mockserver.behaviour.pools import all_pools, machine_view, pools_with
from mockserver.behaviour.resource_view import PoolView, StoredView
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
    pools = await all_pools(context) if wanted & {"machine", "machine.pools"} else []
    async for run in Sliced(runs):
        workflow_id, machine_id = run.batch.workflow_id, run.placement.machine_id
        if "workflow" in wanted and ("workflow", workflow_id) not in resources:
            json = await workflow_json(context, workflow_id)
            if json is not None:
                resources["workflow", workflow_id] = Resource("workflow", StoredView(json))
        if machine_id is None or machine_id in seen:
            continue
        seen.add(machine_id)
        machine = context.world.machines.get(machine_id)
        if "machine" in wanted and machine is not None:
            resources["machine", machine_id] = Resource("machine", await machine_view(context, machine, pools))
        if "machine.pools" in wanted:
            async for pool in Sliced(await pools_with(machine_id, pools)):
                resources["pool", pool.id] = Resource("pool", PoolView(context.space, pool))
    return tuple(resources.values())
