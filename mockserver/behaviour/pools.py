"""Pools: those of the world and those that clients created. Machines can be added to either."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.paging import page
from mockserver.behaviour.resources import COUNTER, POOL, PoolRecord, check_machine
from mockserver.behaviour.run_creation import json_or_null
from mockserver.behaviour.world import Pool
from mockserver.clock import SECOND, text_of
from mockserver.errors import NotFound, TooLarge
from mockserver.reply import BytesContent, Reply, TransientContent
from mockserver.spec import Call, render_json
from mockserver.store import Write
from mockserver.time_slice import in_slices

WORLD_CREATED = 1_735_689_600 * SECOND
"""The creation time of everything in the world: the start of 2025."""


async def list_pools(call: Call, context: Context) -> Reply:
    return await page(call, await all_pools(context), lambda pool: pool_json(context, pool))


async def get_pool(call: Call, context: Context) -> Reply:
    pool, _ = await _find(context, call.path["pool_id"])
    return Reply(200, TransientContent(await pool_json(context, pool)))


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
    return Reply(201, BytesContent(await pool_json(context, pool)))


async def add_machine_to_pool(call: Call, context: Context) -> Reply:
    from mockserver.behaviour.machines import machine_json

    pool, version = await _find(context, call.path["pool_id"])
    added: list[str] = call.body["machine_ids"]
    for machine_id in added:
        check_machine(context, machine_id)
    machine_ids = tuple(dict.fromkeys((*pool.machine_ids, *added)))
    if len(machine_ids) > context.limits.max_pool_machines:
        raise TooLarge(f"A pool has {context.limits.max_pool_machines} machines at most here")
    pool = replace(pool, machine_ids=machine_ids, updated=context.now)
    await context.store.commit(Write(POOL, pool.id, pool, version))
    machines = [json for each in pool.machine_ids if (json := await machine_json(context, each)) is not None]
    shown = b'%b,"machines":[%b]}' % ((await pool_json(context, pool))[:-1], b",".join(machines))
    return Reply(200, BytesContent(shown))


async def all_pools(context: Context) -> list[PoolRecord]:
    """Return the pools of the world first, then those that were created, each in its latest state."""
    pools = {pool.id: _record(pool) for pool in context.world.pools.values()}
    pools.update((id_, unit.value) for id_, unit in (await context.store.items(POOL)).items())
    return list(pools.values())


async def pools_of_machine(context: Context, machine_id: str) -> list[PoolRecord]:
    pools = await all_pools(context)
    return list(compress(pools, await in_slices(lambda pool: machine_id in pool.machine_ids, pools)))


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


async def pool_json(context: Context, pool: PoolRecord) -> bytes:
    head = render_json(
        {
            "name": pool.name,
            "id": pool.id,
            "organization_id": context.space.organisation,
            "created_at": text_of(pool.created),
            "updated_at": text_of(pool.updated),
            "description": pool.description,
            "machine_count": len(pool.machine_ids),
        }
    )
    return b'%b,"pool_parameters":%b}' % (head[:-1], pool.parameters)
