"""Machines: those of the world. Only the pools that they belong to can change; reservations are not shown."""

from __future__ import annotations

from mockserver.behaviour.context import Context
from mockserver.behaviour.paging import page
from mockserver.behaviour.pools import WORLD_CREATED, pool_json, pools_of_machine
from mockserver.behaviour.world import Machine
from mockserver.clock import SECOND, text_of
from mockserver.errors import NotFound
from mockserver.reply import Reply, TransientContent
from mockserver.spec import Call, render_json
from mockserver.time_slice import Sliced


async def list_machines(call: Call, context: Context) -> Reply:
    name, search, status = (call.query.get(key) for key in ("name", "search", "status"))
    machines = [
        machine
        for machine in context.world.machines.values()
        if (status is None or machine.status == status)
        and (name is None or name == machine.name)
        and (search is None or search.casefold() in f"{machine.id} {machine.name} {machine.hostname}".casefold())
    ]
    return await page(call, machines, lambda machine: _json(context, machine))


async def get_machine(call: Call, context: Context) -> Reply:
    machine_id = call.path["machine_id"]
    json = await machine_json(context, machine_id)
    if json is None:
        raise NotFound(f"Machine {machine_id} not found")
    return Reply(200, TransientContent(json))


async def machine_json(context: Context, machine_id: str) -> bytes | None:
    """Return None for an unknown machine."""
    machine = context.world.machines.get(machine_id)
    return None if machine is None else await _json(context, machine)


async def _json(context: Context, machine: Machine) -> bytes:
    connected = machine.status == "connected"
    pools = [await pool_json(context, pool) async for pool in Sliced(await pools_of_machine(context, machine.id))]
    head = render_json(
        {
            "id": machine.id,
            "unkey_key_id": f"key_{machine.id[-4:]}",
            "name": machine.name,
            "version": "1.0.0",
            "hostname": machine.hostname,
            "os_info": machine.os_info,
            "status": machine.status,
            "is_available": connected,
            "alerts_enabled": True,
            "machine_parameters": None,
            "reserved_session_id": None,
            "user_id": context.space.user_id,
            "organization_id": context.space.organisation,
            "created_at": text_of(WORLD_CREATED),
            "last_seen": text_of(context.now - context.now % SECOND if connected else WORLD_CREATED),
        }
    )
    return b'%b,"pools":[%b]}' % (head[:-1], b",".join(pools))
