"""Machines: those of the world. Only the pools that they belong to can change; reservations are not shown."""

from __future__ import annotations

from mockserver.behaviour.context import Context
from mockserver.behaviour.paging import page
from mockserver.behaviour.pools import all_pools, machine_view
from mockserver.errors import NotFound
from mockserver.reply import Reply
from mockserver.spec import Call


async def list_machines(call: Call, context: Context) -> Reply:
    name, search, status = (call.query.get(key) for key in ("name", "search", "status"))
    machines = [
        machine
        for machine in context.world.machines.values()
        if (status is None or machine.status == status)
        and (name is None or name == machine.name)
        and (search is None or search.casefold() in f"{machine.id} {machine.name} {machine.hostname}".casefold())
    ]
    pools = await all_pools(context)
    return await page(call, machines, lambda machine: machine_view(context, machine, pools))


async def get_machine(call: Call, context: Context) -> Reply:
    machine = context.world.machines.get(call.path["machine_id"])
    if machine is None:
        raise NotFound(f"Machine {call.path['machine_id']} not found")
    return Reply(200, await machine_view(context, machine, await all_pools(context)))
