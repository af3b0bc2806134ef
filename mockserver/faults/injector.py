"""Where faults meet requests: before the application, which need not know of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from mockserver.bodies import Bodies
from mockserver.errors import HTTPError, TooLarge
from mockserver.faults.effects import Exchange
from mockserver.faults.fault import Conditions, Fault
from mockserver.headers import headers_of
from mockserver.journal import JOURNAL_KEY, Entry
from mockserver.namespaces import Namespace
from mockserver.reply import error_reply
from mockserver.response import send_reply
from mockserver.routes import Routes

Handle = Callable[[Scope, Receive, Send], Awaitable[None]]


class Injector:
    def __init__(self, routes: Routes, *, max_body: int) -> None:
        self._routes = routes
        self._bodies = Bodies(most_bytes=max_body, most_together=max_body)

    async def __call__(
        self, namespace: Namespace, path: str, scope: Scope, receive: Receive, send: Send, handle: Handle
    ) -> None:
        """`path` is the one in the namespace; `handle` is what answers where no fault applies."""
        try:
            fault, receive = await self._fault_for(namespace, path, scope, receive)
            if fault is None:
                await handle(scope, receive, send)
                return
            entry: Entry | None = scope.get(JOURNAL_KEY)
            if entry is not None:
                entry.fault = fault.id
            namespace.events.publish("fault", fault.shown(namespace.clock.now()))
            await fault.effect.apply(Exchange(scope, receive, send, handle, namespace.clock, fault.effect_random()))
        except HTTPError as error:
            reply = error_reply(error.status, error.detail)
            await send_reply(reply, reply.render(), {}, scope, send)

    async def _fault_for(
        self, namespace: Namespace, path: str, scope: Scope, receive: Receive
    ) -> tuple[Fault | None, Receive]:
        """The fault that applies, and what gives the body to whoever reads it next."""
        method: str = scope["method"]
        operation_id = self._routes.operation_id(method, path)
        now = namespace.clock.now()
        sent: Any = _UNREAD
        for fault in namespace.faults:
            if fault.is_over(now) or not fault.match.matches(method, path, operation_id):
                continue
            if fault.conditions.body and sent is _UNREAD:
                sent, receive = await self._read(scope, receive)
            if _fits(fault.conditions, scope, sent) and fault.meets(now):
                return fault, receive
        return None, receive

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Any, Receive]:
        """The JSON of the body, if it has one, and a `receive` that gives the body once more."""
        try:
            body, taken = await self._bodies.read(headers_of(scope), receive)
        except TooLarge:
            return None, receive
        self._bodies.give_back(taken)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        try:
            return json.loads(body), again
        except (ValueError, RecursionError):
            return None, again


_UNREAD = object()


def _fits(conditions: Conditions, scope: Scope, sent: Any) -> bool:
    headers = headers_of(scope)
    return all(headers.text(name) == value for name, value in conditions.headers.items()) and all(
        any(each == value and isinstance(each, bool) == isinstance(value, bool) for each in _values_at(sent, pointer))
        for pointer, value in conditions.body.items()
    )


def _values_at(value: Any, pointer: str) -> Iterator[Any]:
    """The value that a JSON pointer (RFC 6901) leads to, if it leads anywhere."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and len(name) < 8 and int(name) < len(value):
            value = value[int(name)]
        else:
            return
    yield value
