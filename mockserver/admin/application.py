"""The control API as an application with its own document, routes and guard."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from types import ModuleType
from urllib.parse import unquote_plus

from starlette.types import Receive, Scope, Send

from mockserver.admin import clock, events, faults, requests, runs, server, state
from mockserver.admin.context import AdminContext, Dependencies, Handler, HeldMemory
from mockserver.admin.document import decode, document, operations
from mockserver.admin.events import EventStream
from mockserver.admin.guard import Guard
from mockserver.admin.journal_content import JournalContent
from mockserver.admin.page_files import PageFiles
from mockserver.bodies import LARGE_BODY, Bodies, Disconnected
from mockserver.errors import MethodNotAllowed, NoRoute, NotFound, Unprocessable
from mockserver.headers import headers_of
from mockserver.namespaces import Namespace
from mockserver.reply import BytesContent, Reply
from mockserver.response import reply_to, send_reply
from mockserver.routes import Routes
from mockserver.spec import Call, Operation, RawRequest, render_json
from mockserver.store import retried
from mockserver.suggestions import suggestion

PREFIX = "/__admin"
_MODULES: tuple[ModuleType, ...] = (server, clock, requests, faults, runs, state, events)


class Admin:
    def __init__(self, dependencies: Dependencies) -> None:
        settings, max_body = dependencies.settings, dependencies.settings.max_body
        self._dependencies = dependencies
        self._document = render_json(document().root)
        self._routes = Routes(operations(), first_path_only=True)
        self._handlers: Mapping[str, Handler] = {name: _handler(name) for name in operations()}
        self._guard = Guard(settings.admin_token)
        self._page = PageFiles(PREFIX)
        self._bodies = Bodies(max_bytes=max_body, max_together=max_body, timeout_s=settings.limits.body_timeout)

    async def __call__(self, namespace: Namespace, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """`path` is the path inside the namespace."""
        memory = HeldMemory(self._dependencies.answer_budget, scope)
        try:
            try:
                reply = await self._reply(namespace, path, scope, receive, memory)
                await memory.take(reply.held_bytes)
                body = reply.render()
            except Disconnected:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
                reply = reply_to(error, scope)
                body = reply.render()
            await memory.send(self._send(reply, body, scope, receive, send))
        finally:
            memory.give_back()

    async def _send(
        self, reply: Reply, body: bytes | Iterator[bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if isinstance(reply.content, EventStream) and scope["method"] == "GET":
            await reply.content.send(reply, scope, receive, send)
        elif isinstance(reply.content, JournalContent):
            async with reply.content.in_parts() as parts:
                await self._dependencies.answer_budget.send(send_reply(reply, parts, {}, scope, send), scope)
        else:
            await send_reply(reply, body, {}, scope, send)

    async def _reply(
        self, namespace: Namespace, path: str, scope: Scope, receive: Receive, memory: HeldMemory
    ) -> Reply:
        headers = headers_of(scope)
        method: str = scope["method"]
        if method == "OPTIONS":
            return Reply(204, None, headers={"Allow": ", ".join(self._routes.allowed(path))})
        page = self._page.find(method, path)
        if page is not None:
            self._guard.check_page(scope, headers)
            return page
        self._guard.check(scope, headers)
        if path == f"{PREFIX}/openapi.json" and method in ("GET", "HEAD"):
            return Reply(200, BytesContent(self._document))
        operation, parameters = self._find(method, path)
        body, taken = await self._bodies.read(scope, receive) if operation.has_body else (b"", 0)
        try:
            query = scope["query_string"].decode("latin-1")
            _check_query_names(operation, query)
            # Read as JSON whatever the Content-Type: `curl -d` sends another one. The guard has checked the Origin.
            raw = RawRequest(parameters, query, headers.text, "application/json", body)
            is_large = len(body) > LARGE_BODY
            call: Call = await asyncio.to_thread(decode, operation, raw) if is_large else decode(operation, raw)
            handler = self._handlers[operation.operation_id]

            async def handle() -> Reply:
                current = await self._dependencies.namespaces.get(namespace.name)
                return await handler(call, AdminContext(self._dependencies, current, scope, memory))

            return await retried(handle)
        finally:
            self._bodies.give_back(taken)

    def _find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        try:
            return self._routes.find("GET" if method == "HEAD" else method, path)
        except NoRoute:
            raise NotFound(f"The control API has no path {path[:200]}; {PREFIX}/openapi.json lists them") from None
        except MethodNotAllowed as error:
            what = f"{method} is not allowed here; allowed: {error.headers['Allow']}"
            raise MethodNotAllowed(what, error.headers) from None


def _check_query_names(operation: Operation, query: str) -> None:
    """Raises Unprocessable: a filter that is ignored would show, or delete, what was not asked for. Of a parameter that
    is sent twice, the first value would be ignored.
    """
    for name, times in Counter(unquote_plus(part.partition("=")[0]) for part in query.split("&")).items():
        if times > 1 and name in operation.query_names - operation.query_lists:
            raise Unprocessable(f"{operation.operation_id} takes one {name!r}, and {times} were sent")
        if name and name not in operation.query_names:
            known = sorted(operation.query_names)
            what = f"{operation.operation_id} has no query parameter {name[:200]!r}"
            raise Unprocessable(f"{what}: {suggestion(name, known, None if known else 'it has none')}")


def _handler(name: str) -> Handler:
    """Return the function with the name of the operation."""
    for module in _MODULES:
        handler: Handler | None = getattr(module, name, None)
        if handler is not None:
            return handler
    raise AssertionError(f"no module handles {name}")
