"""The state of a namespace as one document."""

from __future__ import annotations

from mockserver.admin.context import AdminContext
from mockserver.errors import Unprocessable
from mockserver.reply import Reply
from mockserver.spec import Call
from mockserver.state import StateContent
from mockserver.state_codec import StateError

_BYTES_OF_UNIT = 500
"""What a unit of the store takes while a state is written: its places in a copy, and what the encoder keeps of it."""


async def get_state(call: Call, context: AdminContext) -> Reply:
    states = context.dependencies.states
    await context.memory.take(_BYTES_OF_UNIT * await states.count_units(context.namespace))
    return Reply(200, StateContent(await states.written(context.namespace)))


async def put_state(call: Call, context: AdminContext) -> Reply:
    context.dependencies.memory_limit.require_room()
    try:
        await context.dependencies.states.restore(context.namespace.name, call.sent)
    except StateError as error:
        raise Unprocessable(f"state: {error}") from None
    return Reply(204)
