"""Applies faults to requests before the application, which need not know about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from mockserver import delays
from mockserver.bodies import LARGE_BODY, Bodies, Disconnected
from mockserver.byte_budget import ByteBudget
from mockserver.errors import HTTPError
from mockserver.faults.effects import FaultedRequest
from mockserver.faults.fault import Conditions, Fault
from mockserver.headers import headers_of
from mockserver.journal import Entry
from mockserver.log import AccessLog
from mockserver.namespaces import Namespace
from mockserver.response import send_error
from mockserver.routes import Routes
from mockserver.scope_keys import FAULT_KEY, JOURNAL_KEY
from mockserver.spec import parse_json, value_at

Handle = Callable[[Scope, Receive, Send], Awaitable[None]]


class Injector:
    def __init__(self, routes: Routes, bodies: Bodies, access_log: AccessLog, *, max_held_bytes: int) -> None:
        """`max_held_bytes`: of the answers that faults hold back, all together."""
        self._routes = routes
        self._access_log = access_log
        self._bodies = bodies
        self._held_answers = ByteBudget(max_held_bytes)

    async def __call__(
        self, namespace: Namespace, path: str, scope: Scope, receive: Receive, send: Send, handle: Handle
    ) -> None:
        """`path` is the path inside the namespace; `handle` answers if no fault applies."""
        entry: Entry | None = scope.get(JOURNAL_KEY)
        body = _Body(self._bodies, scope, receive)
        sent = _Sent(send)
        is_logged = True
        request: FaultedRequest | None = None
        try:
            operation_id = self._routes.operation_id(scope["method"], path)
            fault = await self._fault_for(namespace, path, operation_id, scope, body)
            if fault is None:
                await handle(scope, body.receive, send)
                return
            content = await body.read()
            if entry is not None:
                # Fill in the journal entry here, because the application may never see the request.
                entry.operation_id, entry.body, entry.fault = operation_id, content, fault.id
            namespace.events.publish("fault", fault.shown(namespace.clock.now(), in_event=True), fault.size_in_event)
            scope[FAULT_KEY] = fault.id
            is_logged = False

            def handle_logged(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
                nonlocal is_logged
                is_logged = True
                return handle(scope, receive, send)

            request = FaultedRequest(
                scope,
                body.receive,
                sent.send,
                handle_logged,
                namespace.clock,
                fault.effect_random(),
                body.hold_during,
                self._held_answers,
            )
            await fault.effect.apply(request)
        except (Disconnected, asyncio.CancelledError) as error:
            if entry is not None:
                entry.unanswered()
            if isinstance(error, asyncio.CancelledError):
                raise
        except HTTPError as error:
            if entry is not None:
                entry.reason = error.detail
            is_logged = False
            await send_error(error, scope, sent.send)
        finally:
            body.give_back()
            if request is not None:
                self._held_answers.give_back(request.held)
            if not is_logged:
                self._access_log.add(scope["method"], scope["path"], sent.status, fault=scope.get(FAULT_KEY))

    async def _fault_for(
        self, namespace: Namespace, path: str, operation_id: str | None, scope: Scope, body: _Body
    ) -> Fault | None:
        now = namespace.clock.now()
        # Iterate over a copy: faults may be added and removed while the body is read.
        for fault in tuple(namespace.faults):
            if fault.is_over(now) or not fault.matches(scope["method"], path, operation_id):
                continue
            sent = await body.json() if fault.conditions.body else None
            if _fits(fault.conditions, scope, sent) and await namespace.faults.count_match(fault, now):
                return fault
        return None


class _Sent:
    """Passes an answer on, and keeps its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class _Body:
    """The body of a request: read on first use, and then passed on to the application by `receive`."""

    def __init__(self, bodies: Bodies, scope: Scope, receive: Receive) -> None:
        self._bodies = bodies
        self._scope = scope
        self._receive = receive
        self._content: bytes | None = None
        self._json: Any = _UNREAD
        self._taken = 0
        self._is_given = False

    async def read(self) -> bytes:
        """Raises TooLarge, Unavailable or Disconnected, as `Bodies.read`."""
        if self._content is None:
            self._content, self._taken = await self._bodies.read(self._scope, self._receive)
        return self._content

    async def json(self) -> Any:
        """Return None if the body is not JSON, or too much of it. Raises as `read`."""
        if self._json is _UNREAD:
            try:
                content = await self.read()
                parse = partial(parse_json, content, allow_constants=True)
                self._json, _ = await asyncio.to_thread(parse) if len(content) > LARGE_BODY else parse()
            except (ValueError, RecursionError):
                self._json = None
        return self._json

    async def receive(self) -> Message:
        if self._content is None or self._is_given:
            return await self._receive()
        self._is_given = True
        return {"type": "http.request", "body": self._content, "more_body": False}

    async def hold_during(self, delay: Awaitable[None]) -> None:
        """Wait for a delay. Raises Unavailable if the body has memory, and others wait for it too long; or if others
        need the connection.
        """
        await delays.wait(self._bodies.hold_during(delay) if self._taken else delay, self._scope)

    def give_back(self) -> None:
        self._bodies.give_back(self._taken)


_UNREAD = object()


def _fits(conditions: Conditions, scope: Scope, sent: Any) -> bool:
    headers = headers_of(scope)
    return all(headers.text(name) == value for name, value in conditions.headers.items()) and all(
        _has(sent, pointer, value) for pointer, value in conditions.body.items()
    )


def _has(sent: Any, pointer: str, value: Any) -> bool:
    with suppress(KeyError):
        found = value_at(sent, pointer)
        return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)
    return False
