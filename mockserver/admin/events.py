"""`GET /events`: the events of a namespace, as server-sent events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from mockserver.admin.context import AdminContext, clock_json
from mockserver.admin.requests import request_summary
from mockserver.behaviour.batch import Change
from mockserver.behaviour.run_list import projected
from mockserver.behaviour.run_overview import Overview, counts_by_status
from mockserver.bodies import until_disconnected
from mockserver.clock import real_time
from mockserver.errors import Unavailable, VersionConflict
from mockserver.events import Event
from mockserver.journal import Entry
from mockserver.namespaces import Namespace
from mockserver.reply import Reply
from mockserver.scope_keys import CONNECTION_KEY
from mockserver.spec import Call, render_json
from mockserver.time_slice import Sliced

MEDIA_TYPE = "text/event-stream"
_HEARTBEAT_S = 15.0
_MIN_INTERVAL_S = 0.2
_MAX_LOAD = 0.1
"""The share of time in which all watchers together may read runs, whatever their namespaces."""
_NO_FILTERS: Mapping[str, Any] = {}
_MAX_RUNS = 1_000
_SHOWN = ("workflow_id", "organization_id", "machine_id", "status", "created_at", "started_at", "ended_at")


async def watch(call: Call, context: AdminContext) -> Reply:
    return Reply(200, EventStream(context), MEDIA_TYPE, headers={"Cache-Control": "no-store"})


class EventStream:
    """A content without an end: `send` sends it, and `render` returns nothing. So an answer to HEAD has no length."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    def render(self) -> Iterator[bytes]:
        return iter(())

    async def send(self, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client disconnects, or the namespace is deleted, or the server ends."""
        headers = [(b"content-type", reply.media_type.encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        connection = scope.get(CONNECTION_KEY)
        if connection is not None:
            connection.leave_at_eof()
        events = self._context.namespace.events
        subscription = events.subscribe()
        watchers = self._context.dependencies.watchers
        watchers.add(subscription)
        gone = asyncio.ensure_future(until_disconnected(receive))
        gone.add_done_callback(lambda _: subscription.close())
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            runs, others = RunWatch(self._context), ServerWatch(self._context)
            now = real_time()
            text = _event("clock", render_json(clock_json(self._context.namespace.clock)))
            next_look, next_heartbeat = now, now + _HEARTBEAT_S
            while not subscription.is_closed:
                if now >= next_look:
                    # One watcher at a time: otherwise many watchers would take turns and starve other requests.
                    async with self._context.dependencies.run_watch_lock:
                        began = real_time()
                        changes = await self._changes(runs, others)
                        took = real_time() - began
                    if changes is None:
                        subscription.close()
                    else:
                        text += changes
                    next_look = real_time() + max(_MIN_INTERVAL_S, took * len(watchers) / _MAX_LOAD)
                if text:
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                    next_heartbeat = real_time() + _HEARTBEAT_S
                waited = await subscription.read(max(0.0, min(next_look, next_heartbeat) - real_time()))
                text = await self._rendered(waited)
                now = real_time()
                if not text and now >= next_heartbeat:
                    text = b":\n\n"
            if not gone.done():
                # The namespace was deleted: without its last part, the answer would be cut off.
                await send({"type": "http.response.body", "body": text})
        finally:
            gone.cancel()
            events.unsubscribe(subscription)
            watchers.discard(subscription)

    async def _changes(self, runs: RunWatch, others: ServerWatch) -> bytes | None:
        """Return the events of what has changed since the last look; None if the namespace was deleted.

        While a shared store does not answer, there is nothing new: the next look asks again.
        """
        text = b""
        with suppress(Unavailable, VersionConflict):
            # Not the namespace that the watcher began with: a reset replaces the object.
            namespace = await self._namespace()
            if namespace is None:
                return None
            text += await others.changes(namespace)
            text += await runs.changes(namespace)
        return text

    async def _namespace(self) -> Namespace | None:
        """Return the namespace as it is now; None if it was removed, perhaps by another server.

        To make it again is for a request that uses it, not for a watcher. The default one is always there.
        """
        name, namespaces = self._context.namespace.name, self._context.dependencies.namespaces
        return await namespaces.find(name) if name else await namespaces.get(name)

    async def _rendered(self, events: Sequence[Event]) -> bytes:
        """Return the texts of events. A slow reader has up to a thousand at once, so others run in between."""
        texts: list[bytes] = []
        async for event in Sliced(events):
            if isinstance(event.content, Entry) and event.content.is_long_to_show:
                texts.append(await asyncio.to_thread(event.rendered, self._render))
            else:
                texts.append(event.rendered(self._render))
        return b"".join(texts)

    def _render(self, type_: str, content: Any) -> bytes:
        if isinstance(content, Entry):
            content = request_summary(content, self._context.dependencies)
        return _event(type_, render_json(content))


class ServerWatch:
    """Detects what other servers with the same store have done in a namespace since the last call."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._version, self._epoch = context.namespace.version, context.namespace.epoch
        self._seq: int | None = None

    async def changes(self, namespace: Namespace) -> bytes:
        """Return events, or `b""` if there is nothing new."""
        is_reset = namespace.epoch != self._epoch
        seq = 0 if is_reset else self._seq
        if seq is None:
            seq = await namespace.journal.last_seq()
        entries = await namespace.journal.recorded_after(seq)
        # No step below can fail: after a look during which the store did not answer, the next one tells all of it.
        text = b""
        if is_reset:
            self._epoch = namespace.epoch
            text += _event("reset", b"{}")
        if namespace.version != self._version:
            self._version = namespace.version
            now = namespace.clock.now()
            text += _event("clock", render_json(clock_json(namespace.clock)))
            text += _event("faults", render_json({"items": [fault.shown(now) for fault in namespace.faults]}))
        for entry in entries:
            text += _event("request", render_json(request_summary(entry, self._context.dependencies)))
            seq = entry.seq
        self._seq = seq
        return text


class RunWatch:
    """Detects changes in the newest runs of a namespace, of all organisations, since the last call.

    The counts by status are those of all runs.
    """

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._known: dict[str, tuple[str, Change]] | None = None
        self._counts: Mapping[str, int] = {}

    async def changes(self, namespace: Namespace) -> bytes:
        """Return an event, or `b""` if nothing has changed."""
        context = self._context._replace(namespace=namespace)
        contexts = await context.contexts()
        overview = await Overview.of(contexts, _NO_FILTERS, 0, _MAX_RUNS)
        before = self._known
        known: dict[str, tuple[str, Change]] = {}
        changed: list[bytes] = []
        newest: Counter[str] = Counter()
        workflows = self._context.dependencies.world.workflows
        names: dict[str, str] = {}
        async for listing, run in overview.runs():
            status = run.timeline.status_at(listing.sim_time)
            newest[status] += 1
            known[run.id] = status, run.change
            was, change = (before or {}).get(run.id, ("", None))
            if status != was or change is not run.change:
                changed.append(projected(listing.space, run, _SHOWN, listing.sim_time))
                workflow = workflows.get(run.batch.workflow_id)
                if workflow is not None:
                    names[workflow.id] = workflow.name
        gone = [run_id for run_id in before or () if run_id not in known]
        counts = newest if overview.total == len(known) else await counts_by_status(contexts, _NO_FILTERS)
        is_news = before is None or changed or gone or counts != self._counts
        self._known, self._counts = known, counts
        if not is_news:
            return b""
        others = {"gone": gone, "counts": counts, "total": overview.total, "workflow_names": names}
        return _event("runs", b'{"changed":[%b],%b' % (b",".join(changed), render_json(others)[1:]))


def _event(type_: str, content: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (type_.encode(), content)
