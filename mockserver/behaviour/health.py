"""The health check: the server is up."""

from __future__ import annotations

from mockserver.behaviour.context import Context
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call

_UP = Reply(200, JSONContent({"status": "ok"}))


async def health_check(call: Call, context: Context) -> Reply:
    return _UP
