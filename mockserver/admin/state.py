"""The state of a namespace as one document."""

from __future__ import annotations

from mockserver.admin.context import AdminContext
from mockserver.errors import Unprocessable
from mockserver.reply import Reply
from mockserver.spec import Call
from mockserver.state import StateContent
from mockserver.state_codec import StateError


async def get_state(call: Call, context: AdminContext) -> Reply:
    return Reply(200, StateContent(await context.dependencies.states.written(context.namespace)))


async def put_state(call: Call, context: AdminContext) -> Reply:
    context.dependencies.memory_limit.require_room()
    try:
        await context.dependencies.states.restore(context.namespace.name, call.sent)
    except StateError as error:
        raise Unprocessable(f"state: {error}") from None
    return Reply(204)
