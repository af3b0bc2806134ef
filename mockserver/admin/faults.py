"""The faults of a namespace."""

from __future__ import annotations

from typing import Any

from mockserver.admin.context import AdminContext
from mockserver.errors import NotFound
from mockserver.faults import described_presets
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call


async def list_faults(call: Call, context: AdminContext) -> Reply:
    faults = context.namespace.faults
    await context.memory.take(sum(fault.size for fault in faults))
    now = context.namespace.clock.now()
    await faults.refresh()
    items = [fault.shown(now) for fault in faults]
    return Reply(200, JSONContent({"items": items, "total": len(items)}))


async def add_fault(call: Call, context: AdminContext) -> Reply:
    context.dependencies.memory_limit.require_room()
    source: dict[str, Any] = call.sent
    namespace = context.namespace
    made = context.dependencies.fault_parser.add(namespace.faults, source, namespace.clock)
    await context.dependencies.namespaces.save(namespace)
    for fault in made:
        namespace.events.publish("fault", fault.shown(namespace.clock.now(), in_event=True), fault.size_in_event)
    ids = [fault.id for fault in made]
    return Reply(201, JSONContent({"id": ids[0], "ids": ids}))


async def clear_faults(call: Call, context: AdminContext) -> Reply:
    context.namespace.faults.clear()
    await context.dependencies.namespaces.save(context.namespace)
    context.namespace.events.publish("faults", {"items": []})
    return Reply(204)


async def delete_fault(call: Call, context: AdminContext) -> Reply:
    id_ = call.path["fault_id"]
    if not context.namespace.faults.remove(id_):
        raise NotFound(f"There is no fault {id_[:100]!r} in this namespace")
    await context.dependencies.namespaces.save(context.namespace)
    context.namespace.events.publish("fault", {"id": id_, "active": False})
    return Reply(204)


async def list_presets(call: Call, context: AdminContext) -> Reply:
    return Reply(200, JSONContent({"items": described_presets()}))
