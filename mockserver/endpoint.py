"""The way of one request: found, let in, read, handled, written. The one place where an error becomes an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope, Send

from mockserver.behaviour.context import NO_PREFERENCES, Context, Preferences, Space
from mockserver.bodies import LARGE_BODY, Bodies, Disconnected
from mockserver.clock import Instant
from mockserver.errors import (
    BadRequest,
    Conflict,
    HTTPError,
    NotFound,
    Redirect,
    Refused,
)
from mockserver.headers import Headers, headers_of
from mockserver.idempotency import Idempotency
from mockserver.log import AccessLog
from mockserver.organisations import Organisations
from mockserver.prefer import read_preferences
from mockserver.rate_limit import count_request
from mockserver.reply import JSON, BytesContent, JSONContent, Reply, error_reply
from mockserver.response import send_reply
from mockserver.routes import Routes
from mockserver.settings import RateLimit
from mockserver.spaces import Spaces
from mockserver.spec import Call, Invalid, Operation, RawRequest, SpecError, render_json
from mockserver.spec import reply as reply_from_spec

Behaviour = Callable[[Call, Context], Awaitable[Reply]]
MakeContext = Callable[[Space, Preferences, Instant, Scope], Context]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ATTEMPTS = 100
_READERS = 2
_NAMESPACES = "/__ns/"
_LONGEST_NAMESPACE = 200
_log = logging.getLogger("mockserver")


class Endpoint:
    """An ASGI application for all operations."""

    def __init__(
        self,
        *,
        operations: Mapping[str, Operation],
        behaviours: Mapping[str, Behaviour],
        organisations: Organisations,
        spaces: Spaces,
        make_context: MakeContext,
        rate_limit: RateLimit | None,
        max_body: int,
        max_bodies: int,
        max_idempotency_keys: int,
        strict: bool,
        self_check: bool,
        seed: int,
        access_log: AccessLog,
    ) -> None:
        self._routes = Routes(operations, first_path_only=strict)
        self._behaviours = behaviours
        self._organisations = organisations
        self._spaces = spaces
        self._make_context = make_context
        self._rate_limit = rate_limit
        self._bodies = Bodies(most_bytes=max_body, most_together=max_bodies)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")
        self._strict = strict
        self._self_check = self_check
        self._seed = seed
        self._access_log = access_log
        self._idempotency = Idempotency(most_keys=max_idempotency_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extra: dict[str, str] = {}  # headers that go with the answer, whatever it is
        operation: Operation | None = None
        try:
            namespace, path = namespace_of(scope)
            if scope["method"] == "OPTIONS":
                reply = Reply(204, None, headers={"Allow": ", ".join(self._routes.allowed(path))})
            else:
                operation, parameters = self._find(scope["method"], path, scope)
                headers = headers_of(scope)
                organisation = ""
                if operation.secured:
                    organisation = self._organisations.from_header(headers.get(b"authorization"))
                space = self._spaces.known(namespace, organisation) or await self._spaces.get(namespace, organisation)
                space.requests += 1
                try:
                    reply = await self._answer(operation, parameters, space, scope, headers, receive, extra)
                finally:
                    space.requests -= 1
            body = reply.render()
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            reply = self._error_reply(error, scope)
            if isinstance(error, BadRequest):
                extra.pop("Preference-Applied", None)
            if reply.status >= 500:
                operation = None  # no document knows of what goes wrong here
            body = reply.render()
        if self._self_check and operation is not None:
            reply, body = self._checked(operation, reply, body if isinstance(body, bytes) else b"".join(body))
        self._access_log.add(scope["method"], scope["path"], reply.status)
        await send_reply(reply, body, extra, scope, send)

    def _error_reply(self, error: Exception, scope: Scope) -> Reply:
        """The one place where an error becomes an answer. What nobody expected is logged with its traceback."""
        if isinstance(error, Invalid):
            return _refusal(error)
        if isinstance(error, HTTPError):
            return error_reply(error.status, error.detail, error.headers)
        if isinstance(error, MemoryError):
            _log.error("there was not enough memory for %s %s", scope["method"], scope["path"])
            return error_reply(503, "There was not enough memory to handle the request")
        _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        return error_reply(500, "Internal Server Error")

    def _find(self, method: str, path: str, scope: Scope) -> tuple[Operation, Mapping[str, str]]:
        try:
            return self._routes.find("GET" if method == "HEAD" else method, path)
        except NotFound:
            if not self._strict and path != "/" and path.endswith("/"):
                # As the real server's router does: a path with one slash too many is sent to the one without.
                self._routes.allowed(path.rstrip("/"))
                raise _redirect(scope) from None
            raise

    async def _answer(
        self,
        operation: Operation,
        parameters: Mapping[str, str],
        space: Space,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        extra: dict[str, str],
    ) -> Reply:
        """What can be judged without the body is judged before it is read."""
        now = space.clock.read()
        if self._rate_limit is not None and operation.secured:
            await self._count(space, self._rate_limit, now.moment, extra)
        query = scope["query_string"].decode("latin-1")
        preferences = NO_PREFERENCES
        if b"prefer" in headers or "__code" in query:
            lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer"]
            preferences = read_preferences(", ".join(lines), query, operation.operation_id)
            if preferences.applied:
                extra["Preference-Applied"] = ", ".join(preferences.applied)
        # Where no body is documented none is read: it is passed over, however long.
        body, taken = await self._bodies.read(headers, receive) if operation.has_body else (b"", 0)
        try:
            content_type = JSON if headers.get(b"content-type") == _JSON_TYPE else headers.text("content-type")
            raw = RawRequest(parameters, query, headers.text, content_type, body)
            if len(body) <= LARGE_BODY:
                call = operation.decode(raw)
            else:
                # In a thread, so that nobody waits for it; its refusal too is made there.
                decoded = await asyncio.get_running_loop().run_in_executor(self._readers, _decode, operation, raw)
                if isinstance(decoded, Reply):
                    return decoded
                call = decoded
            if b"idempotency-key" in headers and operation.method in _WRITES:
                key = headers.text("idempotency-key")
                if key:
                    fingerprint = self._idempotency.fingerprint(operation.method, scope["path"], query, body)
                    return await self._handle_once(key, fingerprint, call, space, preferences, now, scope, extra)
            return await self._handle(call, space, preferences, now, scope)
        finally:
            self._bodies.give_back(taken)

    async def _count(self, space: Space, limit: RateLimit, now: int, extra: dict[str, str]) -> None:
        """Raises TooManyRequests."""
        try:
            extra.update(await count_request(space.store, limit, now))
        except HTTPError as error:
            extra.update(error.headers)
            raise

    async def _handle_once(
        self,
        key: str,
        fingerprint: bytes,
        call: Call,
        space: Space,
        preferences: Preferences,
        now: Instant,
        scope: Scope,
        extra: dict[str, str],
    ) -> Reply:
        """With an idempotency key: once, and then repeated from what the first request made."""
        repeated = await self._idempotency.claim(space.store, key, fingerprint, now.moment)
        if repeated is not None:
            extra["Idempotency-Status"] = "replayed"
            return repeated
        settled = False
        try:
            reply = await self._handle(call, space, preferences, now, scope)
            if 200 <= reply.status < 300:
                await self._idempotency.settle(space.store, key, fingerprint, now.moment, reply)
                settled = True
        finally:
            if not settled:
                await self._idempotency.release(space.store, key, fingerprint, now.moment)
        return reply

    async def _handle(self, call: Call, space: Space, preferences: Preferences, now: Instant, scope: Scope) -> Reply:
        if preferences.delay_s:
            await space.clock.sleep(preferences.delay_s)
            now = space.clock.read()
        behaviour = self._behaviours.get(call.operation.operation_id)
        if behaviour is None or preferences.code or preferences.example is not None or preferences.dynamic:
            return self._from_spec(call.operation, preferences, space, scope)
        for _ in range(_ATTEMPTS):
            try:
                return await behaviour(call, self._make_context(space, preferences, now, scope))
            except Conflict:
                await asyncio.sleep(0)
                now = space.clock.read()
        raise Refused("Too many requests change this at once; try again")

    def _from_spec(self, operation: Operation, preferences: Preferences, space: Space, scope: Scope) -> Reply:
        """Raises BadRequest where the operation documents no such answer."""
        status = preferences.code or operation.success_status
        seed = f"{self._seed} {space.organisation} {operation.operation_id} {scope['path']}"
        try:
            media_type, value = reply_from_spec(
                operation, status, name=preferences.example, dynamic=preferences.dynamic, seed=seed
            )
        except KeyError:
            known = ", ".join(str(each) for each in sorted(operation.responses))
            names = ", ".join(operation.example_names(status)) if status in operation.responses else ""
            asked = f"example {preferences.example!r} of {status}" if preferences.example is not None else f"{status}"
            hint = f"; its examples of {status}: {names}" if names else ""
            raise BadRequest(f"{operation.operation_id} documents no {asked}; it documents {known}{hint}") from None
        except SpecError as error:
            raise BadRequest(f"An answer to {operation.operation_id} cannot be made up: {error}") from error
        if media_type is None:
            return Reply(status)
        headers = {"Retry-After": "1"} if status == 429 else {}
        if media_type == JSON or media_type.endswith("+json"):
            return Reply(status, JSONContent(value), media_type, headers)
        return Reply(status, _Text(value), media_type, headers)

    def _checked(self, operation: Operation, reply: Reply, payload: bytes) -> tuple[Reply, bytes]:
        """The reply and its body, or a loud 500 of our own where they do not fit the spec."""
        media_type = reply.media_type if reply.content is not None else None
        problem = operation.check_reply(reply.status, media_type, payload)
        if problem is None:
            return reply, payload
        _log.error("self-check: %s answers %d: %s", operation.operation_id, reply.status, problem)
        text = f"self-check: the answer of {operation.operation_id} does not fit the spec: {problem}"
        return Reply(500), render_json({"detail": text})


def _decode(operation: Operation, raw: RawRequest) -> Call | Reply:
    """The call, or its refusal as it is sent."""
    try:
        return operation.decode(raw)
    except Invalid as invalid:
        refusal = _refusal(invalid)
        rendered = refusal.render()
        assert isinstance(rendered, bytes)
        return Reply(refusal.status, BytesContent(rendered))


class _Text:
    def __init__(self, value: Any) -> None:
        self._value = value

    def render(self) -> bytes:
        return self._value if isinstance(self._value, bytes) else str(self._value).encode()


def _refusal(invalid: Invalid) -> Reply:
    detail: Any = invalid.violations if invalid.status == 422 else invalid.detail
    return Reply(invalid.status, JSONContent({"detail": detail}))


def _redirect(scope: Scope) -> Redirect:
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").split("?")[0].rstrip("/")
    return Redirect("Temporary Redirect", {"Location": path + ("?" + query if query else "")})


def namespace_of(scope: Scope) -> tuple[str, str]:
    """Namespace and path: `/__ns/NAME/v1/…` is /v1/… in a namespace of its own, all else in the one without a name.

    Raises NotFound for a name that is too long.
    """
    path: str = scope["path"]
    if path.startswith(_NAMESPACES):
        name, slash, rest = path[len(_NAMESPACES) :].partition("/")
        if name and slash:
            if len(name) > _LONGEST_NAMESPACE:
                raise NotFound(f"The name of a namespace has {_LONGEST_NAMESPACE} characters at most")
            if "\ufffd" in name:
                # What is not UTF-8 was decoded to this: its bytes tell names apart.
                raw = scope.get("raw_path", path.encode())[len(_NAMESPACES) :].partition(b"/")[0]
                name = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
            return name, slash + rest
    return "", path


_JSON_TYPE = b"application/json"
