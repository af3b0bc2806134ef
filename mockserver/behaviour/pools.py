"""Pools: those of the world and those that clients created. Machines can be added to either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from operator import attrgetter

from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.paging import page
from mockserver.behaviour.resource_view import WORLD_CREATED, MachineView, PoolView, PoolWithMachines
from mockserver.behaviour.resources import COUNTER, POOL, PoolRecord, check_machine
from mockserver.behaviour.run_creation import json_or_null
from mockserver.behaviour.world import Machine, Pool
from mockserver.clock import SECOND
from mockserver.errors import NotFound, TooLarge
from mockserver.reply import Reply
from mockserver.spec import Call
from mockserver.store import Write
from mockserver.time_slice import Sliced, in_slices


async def list_pools(call: Call, context: Context) -> Reply:
    async def view(pool: PoolRecord) -> PoolView:
        return PoolView(context.space, pool)

    return await page(call, await all_pools(context), view)


async def get_pool(call: Call, context: Context) -> Reply:
    pool, _ = await _find(context, call.path["pool_id"])
    return Reply(200, PoolView(context.space, pool))


async def create_pool(call: Call, context: Context) -> Reply:
    counter = await context.store.load(COUNTER, POOL)
    number = counter.value or 0
    pool = PoolRecord(
        id=one_id(context.space.key, f"pool {number}"),
        name=call.body["name"],
        description=call.body.get("description"),
        machine_ids=(),
        parameters=json_or_null(call.body.get("pool_parameters")),
        created=context.now,
        updated=context.now,
    )
    await context.store.commit(Write(COUNTER, POOL, number + 1, counter.version), Write(POOL, pool.id, pool, 0))
    return Reply(201, PoolView(context.space, pool))


async def add_machine_to_pool(call: Call, context: Context) -> Reply:
    pool, version = await _find(context, call.path["pool_id"])
    added: list[str] = call.body["machine_ids"]
    for machine_id in added:
        check_machine(context, machine_id)
    machine_ids = tuple(dict.fromkeys((*pool.machine_ids, *added)))
    if machine_ids == pool.machine_ids:
        machine_ids = pool.machine_ids  # once in memory, though replies refer to earlier states of the pool
    if len(machine_ids) > context.limits.max_pool_machines:
        raise TooLarge(f"A pool has {context.limits.max_pool_machines} machines at most here")
    pool = replace(pool, machine_ids=machine_ids, updated=context.now)
    await context.store.commit(Write(POOL, pool.id, pool, version))
    pools = await all_pools(context)
    known = (machine for each in machine_ids if (machine := context.world.machines.get(each)) is not None)
    machines = [await machine_view(context, machine, pools) async for machine in Sliced(known)]
    return Reply(200, PoolWithMachines(PoolView(context.space, pool), tuple(machines)))


async def all_pools(context: Context) -> list[PoolRecord]:
    """Return the pools of the world first, then those that were created, each in its latest state."""
    units = dict(await context.store.items(POOL))
    of_world = [
        _record(pool) if (unit := units.pop(pool.id, None)) is None else unit.value
        for pool in context.world.pools.values()
    ]
    return of_world + await in_slices(attrgetter("value"), units.values())


async def pools_with(machine_id: str, pools: Sequence[PoolRecord]) -> tuple[PoolRecord, ...]:
    return tuple(compress(pools, await in_slices(lambda pool: machine_id in pool.machine_ids, pools)))


async def machine_view(context: Context, machine: Machine, pools: Sequence[PoolRecord]) -> MachineView:
    """Return a machine with those of the pools that it belongs to."""
    last_seen = context.now - context.now % SECOND if machine.status == "connected" else WORLD_CREATED
    return MachineView(context.space, machine, last_seen, await pools_with(machine.id, pools))


async def _find(context: Context, pool_id: str) -> tuple[PoolRecord, int]:
    """Return a pool and its version in the store, 0 for one of the world that has not been changed."""
    unit = await context.store.load(POOL, pool_id)
    if unit.version:
        return unit.value, unit.version
    pool = context.world.pools.get(pool_id)
    if pool is None:
        raise NotFound(f"Pool {pool_id} not found")
    return _record(pool), 0


def _record(pool: Pool) -> PoolRecord:
    return PoolRecord(pool.id, pool.name, pool.description, pool.machine_ids, b"null", WORLD_CREATED, WORLD_CREATED)
