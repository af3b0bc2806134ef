"""The mock as a whole: health, version, settings, namespaces, and the reset."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mockserver.admin.context import AdminContext, clock_json
from mockserver.clock import real_time
from mockserver.errors import NotFound
from mockserver.reply import JSONContent, Reply
from mockserver.settings import LIMITS, SETTINGS, RateLimit, StoreURL, Token
from mockserver.spec import MASK, Call
from mockserver.time_slice import Sliced

_BYTES_OF_NAMESPACE = 2_000
"""What a namespace with a few organisations takes in the list of them."""


async def get_health(call: Call, context: AdminContext) -> Reply:
    uptime_s = round(real_time() - context.dependencies.started_at, 3)
    return Reply(200, JSONContent({"status": "ok", "uptime_s": uptime_s}))


async def get_version(call: Call, context: AdminContext) -> Reply:
    return Reply(200, JSONContent({"name": "cyberdesk-mockserver", "version": version("cyberdesk-mockserver")}))


async def get_settings(call: Call, context: AdminContext) -> Reply:
    settings = context.dependencies.settings
    shown = {setting.name: _plain(getattr(settings, setting.name)) for setting in SETTINGS}
    shown["admin_token"] = None if settings.admin_token is None else MASK
    shown["limits"] = {limit.name: getattr(settings.limits, limit.name) for limit in LIMITS}
    return Reply(200, JSONContent(shown))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Token):
        return {"token": MASK, "organization": value.organisation}
    if isinstance(value, RateLimit):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value) if isinstance(value, Path | StoreURL) else value


async def list_namespaces(call: Call, context: AdminContext) -> Reply:
    namespaces = context.dependencies.namespaces
    names = await namespaces.names()
    await context.memory.take(_BYTES_OF_NAMESPACE * len(names))
    items = []
    async for name in Sliced(names):
        namespace = await namespaces.find(name)
        if namespace is None:
            continue  # it was removed meanwhile
        items.append(
            {
                "name": name,
                "organizations": await namespaces.organisations(namespace),
                "requests": await namespace.journal.count(),
                "faults": len(namespace.faults),
                "clock": clock_json(namespace.clock),
            }
        )
    return Reply(200, JSONContent({"items": items, "total": len(items)}))


async def delete_namespace(call: Call, context: AdminContext) -> Reply:
    name = call.path["name"]
    if not await context.dependencies.namespaces.drop(name):
        raise NotFound(f"There is no namespace {name!r}; GET /__admin/namespaces lists those that are in use")
    context.dependencies.memory_limit.measure_again()
    return Reply(204)


async def reset(call: Call, context: AdminContext) -> Reply:
    await context.dependencies.states.reset(context.namespace.name)
    context.dependencies.memory_limit.measure_again()
    return Reply(204)
