"""How a request to the API is handled: routing, authentication, reading, the behaviour, the answer or the error."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeVar

from starlette.types import Receive, Scope, Send

from mockserver import delays
from mockserver.answer_budget import AnswerBudget
from mockserver.behaviour.context import NO_PREFERENCES, Context, MakeContext, Preferences, Space
from mockserver.bodies import LARGE_BODY, Bodies, Disconnected
from mockserver.clock import SECOND, Instant
from mockserver.documented_reply import documented_reply
from mockserver.errors import (
    BadRequest,
    Forbidden,
    HTTPError,
    MethodNotAllowed,
    NoRoute,
    NotFound,
    Redirect,
    Unauthorized,
    VersionConflict,
)
from mockserver.headers import Headers, headers_of, raw_path
from mockserver.idempotency import Idempotency
from mockserver.journal import Entry
from mockserver.log import AccessLog
from mockserver.memory_limit import MemoryLimit
from mockserver.namespaces import Namespace, Namespaces
from mockserver.organisations import Organisations
from mockserver.prefer import FOR_BEHAVIOUR, FOR_DOCUMENTED_REPLY, read_preferences
from mockserver.rate_limit import count_request
from mockserver.reply import JSON, LARGE_BYTES, Reply
from mockserver.request_lint import joined_values, lint, texts_of_numbers, wrong_content_type
from mockserver.response import reply_to, send_reply
from mockserver.routes import Routes
from mockserver.scope_keys import FAILED_KEY, FAILED_SHARE_KEY, FAULT_KEY, JOURNAL_KEY, PAGE_WARNING_KEY, STALE_S_KEY
from mockserver.settings import MEBIBYTE, RateLimit, Settings
from mockserver.spec import Call, Invalid, Operation, RawRequest, render_json
from mockserver.store import Transaction, retried
from mockserver.suggestions import NearPaths
from mockserver.time_slice import TimeSlice

Behaviour = Callable[[Call, Context], Awaitable[Reply]]
_T = TypeVar("_T")

_STORING = frozenset({"POST", "PUT", "PATCH"})
_WRITES = _STORING | {"DELETE"}
_DECODER_THREADS = 2
_WARNING = "Mock-Warning"
_MAX_HEADER_LENGTH = 2_000
_INVALID_REQUEST_ERRORS = (Invalid, BadRequest, Unauthorized, Forbidden, MethodNotAllowed, NoRoute)
"""The errors of requests that are invalid by themselves, whatever the state of the mock."""
_JSON_TYPE = b"application/json"
_MAX_CHECKED_BYTES = 8 * MEBIBYTE
_log = logging.getLogger("mockserver")


@dataclass(slots=True)
class _RequestState:
    """A request as it arrived, and what is known of its answer. `path` is the path inside the namespace."""

    path: str
    now: Instant
    scope: Scope
    receive: Receive
    headers: Headers
    query: str
    entry: Entry | None
    extra: dict[str, str]
    """Headers of the answer, whether it is a success or an error."""
    warnings: list[str]
    """What is wrong or odd in the request, for the log and the header Mock-Warning."""
    operation: Operation | None = None
    held_body: int = 0
    held_answer: int = 0
    """Bytes of a large body or answer. They are given back once the answer is sent: a client may read it slowly."""


def _state_of(path: str, now: Instant, scope: Scope, receive: Receive) -> _RequestState:
    headers, query = headers_of(scope), scope["query_string"].decode("latin-1")
    return _RequestState(path, now, scope, receive, headers, query, scope.get(JOURNAL_KEY), {}, [])


class _DecodedRequest(NamedTuple):
    """A request that was read and validated, at the time at which it takes effect."""

    call: Call
    space: Space
    preferences: Preferences
    now: Instant
    state: _RequestState

    def as_of_now(self) -> _DecodedRequest:
        return self._replace(now=self.space.clock.read())


class Endpoint:
    """Answers the requests for all operations."""

    def __init__(
        self,
        settings: Settings,
        *,
        routes: Routes,
        near_paths: NearPaths,
        behaviours: Mapping[str, Behaviour],
        organisations: Organisations,
        namespaces: Namespaces,
        make_context: MakeContext,
        memory_limit: MemoryLimit,
        access_log: AccessLog,
    ) -> None:
        max_bodies = max(settings.max_body, settings.limits.max_bodies_bytes)
        self._routes = routes
        self._near_paths = near_paths
        self._behaviours = behaviours
        self._organisations = organisations
        self._namespaces = namespaces
        self._make_context = make_context
        self._memory_limit = memory_limit
        self._rate_limit = settings.rate_limit
        timeout_s = settings.limits.body_timeout
        self._bodies = Bodies(max_bytes=settings.max_body, max_together=max_bodies, timeout_s=timeout_s)
        self._answer_budget = AnswerBudget(max_bodies, timeout_s=settings.limits.send_timeout)
        self._decoders = ThreadPoolExecutor(_DECODER_THREADS, thread_name_prefix="decoder")
        self._strict = settings.coercion == "strict"
        self._self_check = settings.self_check
        self._sends_warnings = settings.warnings
        self._seed = settings.seed
        self._access_log = access_log
        self._idempotency = Idempotency(max_keys=settings.limits.max_idempotency_keys)

    async def __call__(
        self, namespace: Namespace, path: str, now: Instant, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """`path` is the path inside the namespace."""
        state = _state_of(path, now, scope, receive)
        try:
            await self._respond(namespace, state, send)
        finally:
            self._bodies.give_back(state.held_body)
            self._answer_budget.give_back(state.held_answer)

    async def refuse(
        self, refusal: HTTPError, path: str, now: Instant, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request that may not be handled. It is not read."""
        state = _state_of(path, now, scope, receive)
        reply = self._error_reply(refusal, state)
        await self._send(reply, reply.render(), state, send)

    async def _respond(self, namespace: Namespace, state: _RequestState, send: Send) -> None:
        scope = state.scope
        if PAGE_WARNING_KEY in scope:
            self._record_warnings((scope[PAGE_WARNING_KEY],), state)
        try:
            reply = await self._dispatch(namespace, state)
            if reply.held_bytes > LARGE_BYTES:
                # Wait until clients have read enough of the large answers before it.
                state.held_answer = await self._answer_budget.take_for(scope, reply.held_bytes)
            body = reply.render()
        except (Disconnected, asyncio.CancelledError) as error:
            if state.entry is not None:
                state.entry.unanswered()
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            if state.entry is not None and not state.entry.body:
                state.entry.body = await self._bodies.read_refused(scope, state.receive)
            reply = self._error_reply(error, state)
            body = reply.render()
        if self._self_check and state.operation is not None and reply.is_documented:
            reply, body = await self._self_checked(state.operation, reply, body, state)
        sending = self._send(reply, body, state, send)
        await (self._answer_budget.send(sending, scope) if state.held_answer else sending)

    async def _dispatch(self, namespace: Namespace, state: _RequestState) -> Reply:
        """Find the operation and the organisation of a request, and answer it."""
        method: str = state.scope["method"]
        if method == "OPTIONS":
            return Reply(204, None, headers={"Allow": ", ".join(self._routes.allowed(state.path))})
        operation, parameters = self._find(method, state.path, state.scope)
        state.operation = operation
        if state.entry is not None:
            state.entry.operation_id = operation.operation_id
        organisation = ""
        if operation.secured:
            organisation = self._organisations.from_header(state.headers.get(b"authorization"))
        space = namespace.spaces.get(organisation)
        if space is None:
            space = await self._new_space(namespace, organisation, operation)
            state.now = space.clock.read()  # its initial runs were created after the request had come
        space.requests += 1
        try:
            return await self._answer(operation, parameters, space, state)
        finally:
            space.requests -= 1

    def _send(self, reply: Reply, body: bytes | Iterator[bytes], state: _RequestState, send: Send) -> Awaitable[None]:
        scope = state.scope
        note = _header_text(" | ".join(state.warnings)) if state.warnings else None
        if note is not None and self._sends_warnings:
            state.extra[_WARNING] = note
        self._access_log.add(scope["method"], scope["path"], reply.status, note, scope.get(FAULT_KEY))
        return send_reply(reply, body, state.extra, scope, send)

    async def _new_space(self, namespace: Namespace, organisation: str, operation: Operation) -> Space:
        """Return a space for an organisation that has none. Raises Unavailable."""
        if not organisation and operation.method == "GET" and operation.operation_id not in self._behaviours:
            # Without a token, and answered from the document, such as the health check: nothing is kept of it.
            return self._namespaces.temporary_space(namespace)
        return await self._namespaces.space(namespace, organisation)

    def _error_reply(self, error: Exception, state: _RequestState) -> Reply:
        """Return the reply to a request that has failed. The journal and the header Mock-Warning tell why it has."""
        reply = reply_to(error, state.scope)
        reason = self._reason(error, state.path)
        if state.entry is not None:
            state.entry.reason = reason
            state.entry.is_valid = not isinstance(error, _INVALID_REQUEST_ERRORS)
        state.warnings.append(f"{reply.status}: {reason}")
        # The document describes no failures of the mock, and need not list what clients do wrong.
        is_listed = state.operation is not None and reply.status in state.operation.responses
        return reply._replace(is_documented=reply.status < 500 and is_listed)

    def _reason(self, error: Exception, path: str) -> str:
        """Say why a request has failed, in more detail than its answer if that is possible."""
        match error:
            case Invalid():
                return error.reason
            case NoRoute():
                return self._near_paths.why_not_found(path)
            case MethodNotAllowed():
                return f"{error.detail}; allowed: {error.headers['Allow']}"
            case HTTPError():
                return error.detail
        return "an error of the mock: see its log"

    def _record_warnings(self, warnings: Sequence[str], state: _RequestState) -> None:
        if state.entry is not None:
            state.entry.warnings = (*state.entry.warnings, *warnings)
        state.warnings.extend(warnings)

    def _find(self, method: str, path: str, scope: Scope) -> tuple[Operation, Mapping[str, str]]:
        try:
            return self._routes.find("GET" if method == "HEAD" else method, path)
        except NotFound:
            if not self._strict and path != "/" and path.endswith("/"):
                # As the router of the real server does: redirect a path with a trailing slash to the path without it.
                self._routes.allowed(path.rstrip("/"))
                raise _redirect(scope) from None
            raise

    async def _answer(
        self, operation: Operation, parameters: Mapping[str, str], space: Space, state: _RequestState
    ) -> Reply:
        """Handle a request. Everything that can be checked without the body is checked before it is read."""
        scope, headers, query, now = state.scope, state.headers, state.query, state.now
        if self._rate_limit is not None and operation.secured:
            await self._apply_rate_limit(space, self._rate_limit, now.moment, state.extra)
        if operation.method in _STORING:
            self._memory_limit.require_room()
        preferences = NO_PREFERENCES
        if b"prefer" in headers or "__" in query:
            preferences = self._preferences(operation, state)
        if _FAULT_KEYS & scope.keys():
            preferences, now = _apply_fault_keys(scope, preferences, now)
        # A body that is not documented is ignored, whatever its length.
        body = b""
        if operation.has_body:
            body, state.held_body = await self._bodies.read(scope, state.receive)
        if state.entry is not None:
            state.entry.body = body
            state.entry.organisation = space.organisation
        content_type = JSON if headers.get(b"content-type") == _JSON_TYPE else headers.text("content-type")
        raw = RawRequest(parameters, query, headers.text, content_type, body)
        call = await self._decoded(operation, raw, preferences, state)
        request = _DecodedRequest(call, space, preferences, now, state)
        has_key = b"idempotency-key" in headers and operation.method in _WRITES
        key = headers.text("idempotency-key") if has_key else None
        if not key:
            return await self._handle(request)
        target = f"{operation.method} {state.path}?{query}"
        return await self._handle_once(key, self._idempotency.fingerprint(space.secret, target, body), request)

    def _preferences(self, operation: Operation, state: _RequestState) -> Preferences:
        lines = [value.decode("latin-1") for name, value in state.scope["headers"] if name == b"prefer"]
        return read_preferences(", ".join(lines), state.query, operation.operation_id)

    async def _decoded(
        self, operation: Operation, raw: RawRequest, preferences: Preferences, state: _RequestState
    ) -> Call:
        """Validate a request, and warn of what is odd in it. Raises Invalid."""
        try:
            call = await self._run(partial(operation.decode, raw), raw.body)
        except Invalid as invalid:
            warnings = lint(operation, state.headers, state.query, invalid.sent, preferences.unused)
            causes = (*wrong_content_type(raw, invalid), *joined_values(invalid), *texts_of_numbers(invalid))
            self._record_warnings((*causes, *warnings), state)
            raise
        warnings = lint(operation, state.headers, state.query, call.sent, preferences.unused)
        if warnings:
            self._record_warnings(warnings, state)
        return call

    async def _run(self, function: Callable[[], _T], body: bytes) -> _T:
        """Call a function that reads a body: in a thread if it is large, so that it does not block the event loop."""
        if len(body) <= LARGE_BODY:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function)

    async def _apply_rate_limit(self, space: Space, limit: RateLimit, now: int, extra: dict[str, str]) -> None:
        """Count the request and set the rate-limit headers. Raises TooManyRequests."""
        try:
            extra.update(await count_request(space.store, limit, now))
        except HTTPError as error:
            extra.update(error.headers)
            raise

    async def _handle_once(self, key: str, fingerprint: bytes, request: _DecodedRequest) -> Reply:
        """Handle a request with an idempotency key once, and replay a successful reply to every repeat."""
        keys = self._idempotency
        with keys.in_progress(request.space, key, fingerprint):
            if request.preferences.delay_s:
                reply = await keys.reply(request.space.store, key, fingerprint, request.now.moment)
                if reply is None:
                    request = await self._delayed(request)
            try:
                return await self._replay_or_handle(key, fingerprint, request)
            except VersionConflict:
                return await retried(lambda: self._replay_or_handle(key, fingerprint, request.as_of_now()))

    async def _replay_or_handle(self, key: str, fingerprint: bytes, request: _DecodedRequest) -> Reply:
        """Replay the stored reply; else store the effects and a successful reply at once. Raises VersionConflict."""
        keys, store, moment = self._idempotency, request.space.store, request.now.moment
        replayed = await self._replay(key, fingerprint, request)
        if replayed is not None:
            return replayed
        transaction = Transaction(store)
        try:
            reply = await self._run_behaviour(request, transaction)
        except HTTPError:
            # Another server may have handled the same request meanwhile, and its effects may have caused the refusal.
            replayed = await self._replay(key, fingerprint, request)
            if replayed is not None:
                return replayed
            await transaction.apply()  # a refusal may be counted
            raise
        writes = (keys.reply_write(key, fingerprint, moment, reply),) if 200 <= reply.status < 300 else ()
        await transaction.apply(*writes)
        await keys.evict(store, key, fingerprint, moment)
        return reply

    async def _replay(self, key: str, fingerprint: bytes, request: _DecodedRequest) -> Reply | None:
        """Return the stored reply, if any. Raises Conflict if the key was used for another request."""
        reply = await self._idempotency.reply(request.space.store, key, fingerprint, request.now.moment)
        if reply is not None:
            request.state.extra["Idempotency-Status"] = "replayed"
        return reply

    async def _handle(self, request: _DecodedRequest) -> Reply:
        if request.preferences.delay_s:
            request = await self._delayed(request)
        try:
            return await self._run_behaviour(request, None)
        except VersionConflict:
            return await retried(lambda: self._run_behaviour(request.as_of_now(), None))

    async def _delayed(self, request: _DecodedRequest) -> _DecodedRequest:
        """Wait for the delay of its preferences, then return the request with the current time.

        Raises Unavailable if it has a large body, and others wait for memory; or if others need its connection.
        """
        delay = request.space.clock.sleep(request.preferences.delay_s or 0)
        state = request.state
        await delays.wait(self._bodies.hold_during(delay) if state.held_body else delay, state.scope)
        _record_applied(("delay",), request)
        return request.as_of_now()

    async def _run_behaviour(self, request: _DecodedRequest, transaction: Transaction | None) -> Reply:
        """Return the reply of the behaviour, else one from the document. Raises VersionConflict."""
        call, space, preferences, now, state = request
        behaviour = self._behaviours.get(call.operation.operation_id)
        if behaviour is None or preferences.code or preferences.example is not None or preferences.dynamic:
            seed = f"{self._seed} {space.organisation} {call.operation.operation_id} {state.path}"
            reply = documented_reply(call.operation, preferences, seed=seed)
            _record_applied(FOR_DOCUMENTED_REPLY, request)
            return reply
        context = self._make_context(space, preferences, now, state.scope)
        reply = await behaviour(call, context if transaction is None else context._replace(transaction=transaction))
        _record_applied(FOR_BEHAVIOUR, request)
        return reply

    async def _self_checked(
        self, operation: Operation, reply: Reply, body: bytes | Iterator[bytes], state: _RequestState
    ) -> tuple[Reply, bytes | Iterator[bytes]]:
        """Return the reply and its body, or a 500 if they do not match the document. A very large body is not checked:
        as a whole it would not fit into memory.
        """
        body = await self._joined(body, state)
        if not isinstance(body, bytes) or len(body) > _MAX_CHECKED_BYTES:
            return reply, body
        media_type = reply.media_type if reply.content is not None else None
        problem = await self._run(partial(operation.check_reply, reply.status, media_type, body), body)
        if problem is None:
            return reply, body
        _log.error("self-check: %s answers %d: %s", operation.operation_id, reply.status, problem)
        text = f"self-check: the answer of {operation.operation_id} does not fit the spec: {problem}"
        return Reply(500), render_json({"detail": text})

    async def _joined(self, body: bytes | Iterator[bytes], state: _RequestState) -> bytes | Iterator[bytes]:
        """Join the parts of a body, unless it is too large to be checked."""
        if isinstance(body, bytes):
            return body
        parts, size, time_slice = [], 0, TimeSlice()
        for part in body:
            parts.append(part)
            size += len(part)
            if size > _MAX_CHECKED_BYTES:
                return chain(parts, body)
            if time_slice.is_over:
                await time_slice.give_way()
        joined = b"".join(parts)
        if size > LARGE_BYTES and not state.held_answer:
            state.held_answer = await self._answer_budget.take(size)
        return joined


def _record_applied(names: Collection[str], request: _DecodedRequest) -> None:
    """Let the answer say which preferences were applied (RFC 7240, section 3): those with these names, if any."""
    applied, extra = request.preferences.applied, request.state.extra
    if applied:
        told = ", ".join(each for each in applied if each.partition("=")[0] in names)
        if told:
            extra["Preference-Applied"] = _header_text(told)


def _apply_fault_keys(scope: Scope, preferences: Preferences, now: Instant) -> tuple[Preferences, Instant]:
    if FAILED_KEY in scope:
        preferences = replace(preferences, failed=scope[FAILED_KEY])
    if FAILED_SHARE_KEY in scope:
        preferences = replace(preferences, failed_share=scope[FAILED_SHARE_KEY])
    stale = round(scope.get(STALE_S_KEY, 0) * SECOND)
    return preferences, Instant(now.moment - stale, now.sim_time - stale)


_FAULT_KEYS = frozenset({FAILED_KEY, FAILED_SHARE_KEY, STALE_S_KEY})


def _header_text(text: str) -> str:
    """Return a text that may quote the client as the value of a header: short, and without unusual characters."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return "".join(char if char.isprintable() else " " for char in plain)[:_MAX_HEADER_LENGTH]


def _redirect(scope: Scope) -> Redirect:
    query = scope["query_string"].decode("latin-1")
    location = _LAST_SLASHES.sub("", raw_path(scope)) + ("?" + query if query else "")
    return Redirect("Temporary Redirect", {"Location": location})


_LAST_SLASHES = re.compile(r"(?<!/)(?<!%2F)(?:/|%2F)++\Z", re.IGNORECASE)
"""Escaped ones too: the path that was found is without them, and a redirect that kept them would lead to itself.

Without the lookbehinds, a path of many slashes before something else would take quadratic time.
"""
