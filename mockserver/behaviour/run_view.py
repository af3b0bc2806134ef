"""A run as the API shows it: finds it by its id, computes its timeline and renders its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from mockserver.behaviour.batch import (
    BATCH,
    CHANGES,
    NO_CHANGES,
    SESSION,
    UNCHANGED,
    Batch,
    Change,
    Changes,
    JSONText,
    Placement,
    Session,
)
from mockserver.behaviour.context import CachedJSON, Context, Space
from mockserver.behaviour.ids import tail_of
from mockserver.behaviour.included_resources import Resource, included_json
from mockserver.behaviour.ledger import write_of_change
from mockserver.behaviour.lifecycle import Timeline
from mockserver.behaviour.run_files import (
    Attachment,
    AttachmentIDs,
    input_attachments,
    input_files,
    output_attachments,
    output_files,
)
from mockserver.behaviour.run_index import RunIndex
from mockserver.behaviour.run_results import NOTHING_YET, NULL, results
from mockserver.behaviour.session_timelines import Part, SessionTimelines
from mockserver.clock import FOREVER, Clock, moment_from, text_of
from mockserver.errors import NotFound, VersionConflict
from mockserver.reply import LARGE_BYTES, Reply
from mockserver.spec import render_json
from mockserver.store import Transaction, Unit, Write
from mockserver.time_slice import TimeSlice

FIELDS = (
    "workflow_id",
    "machine_id",
    "id",
    "user_id",
    "organization_id",
    "status",
    "error",
    "output_data",
    "input_attachment_ids",
    "output_attachment_ids",
    "run_message_history",
    "input_values",
    "pool_ids",
    "sensitive_input_aliases",
    "session_id",
    "session_alias",
    "release_session_after",
    "usage_metadata",
    "created_at",
    "started_at",
    "ended_at",
)
ALWAYS_SHOWN = frozenset({"id", "workflow_id", "machine_id", "status", "created_at"})
RESULT_FIELDS = frozenset(
    {"error", "output_data", "output_attachment_ids", "run_message_history", "usage_metadata", "started_at", "ended_at"}
)
"""What a run gets when it starts or ends, and loses when it is retried."""
TIMESTAMPS = ("started_at", "ended_at")

_TEMPLATE = b"{%b}" % b",".join(b'"%b":%%b' % name.encode() for name in FIELDS)
_RANGES_CACHED = 64
_MAX_RANGE_RUNS = 200
_SLOTS_AT_ONCE = 100
_TIMELINES_CACHED = 200_000
_MAX_CACHED_RUN_BYTES = 16_384
_FRAME_BYTES = 1_536
_ID_BYTES = 39


class Run(NamedTuple):
    """One run as stored, with its timeline."""

    batch: Batch
    place: int
    change: Change
    timeline: Timeline

    @property
    def id(self) -> str:
        return self.batch.ids.id(self.place)

    @property
    def placement(self) -> Placement:
        return self.change.placement or self.batch.placement

    def attachments(self, sim_time: int, clock: Clock) -> list[Attachment]:
        inputs = input_attachments(self.batch, self.place, self.change)
        return inputs + output_attachments(self.batch, self.place, self.change, self.timeline, sim_time, clock)

    @property
    def input_values(self) -> JSONText:
        changed = self.change.fields.get("input_values")
        return self.batch.input_values if changed is None else changed


class Found(NamedTuple):
    """A run with the units that it was loaded from, so that a change can be committed."""

    run: Run
    changes: Unit
    session: Unit | None


async def find_run(context: Context, run_id: str, *, timeline: Timeline | None = None) -> Found:
    """Raises NotFound; VersionConflict if the run or its session changed while it was read.

    With a `timeline`, the run has this one, and its session is not looked at.
    """
    tail = tail_of(run_id)
    # The changes first: if the batch and they are removed in between, there is no batch without its changes.
    changes, unit = await context.store.load_many((CHANGES, tail), (BATCH, tail))
    batch: Batch | None = unit.value
    place = batch.ids.place(run_id) if batch is not None else None
    if batch is None or place is None:
        raise NotFound(f"Run {run_id} not found")
    change: Change = (changes.value or NO_CHANGES).get(place, UNCHANGED)
    if change.deleted is not None:
        raise NotFound(f"Run {run_id} not found")
    placement = change.placement or batch.placement
    if timeline is not None:
        return Found(Run(batch, place, change, timeline), changes, None)
    if placement.session_id is None:
        return Found(Run(batch, place, change, context.space.timeline(batch, place, change)), changes, None)
    session = await context.store.load(SESSION, placement.session_id)
    timelines = await session_timelines(context, placement.session_id, session)
    if context.transaction is None:
        # Not while a write is under way: in a busy session, another request would always commit before it.
        await timelines.compute(tail, place)
    if (await context.store.load(CHANGES, tail)).version != changes.version:
        raise VersionConflict(f"run {run_id} has moved on while its session was read")
    return Found(Run(batch, place, change, timelines[tail, place]), changes, session)


async def session_timelines(context: Context, session_id: str, unit: Unit) -> SessionTimelines:
    """The timelines of all runs of a session, cached by its version: every change of a run commits its session too.

    Raises VersionConflict if the session changes while it is read.
    """
    space = context.space
    cached = space.cached.sessions
    known = cached.get(session_id)
    if known is not None and known[0] == unit.version:
        return known[1]
    before = None if known is None else known[1]
    session: Session | None = unit.value
    if session is None:
        raise VersionConflict(f"session {session_id} has gone, by a reset, after its runs were read")
    parts: list[Part] = []
    time_slice = TimeSlice()
    for start in range(0, len(session.slots), _SLOTS_AT_ONCE):
        slots = session.slots[start : start + _SLOTS_AT_ONCE]
        places = [(kind, slot.batch_tail) for slot in slots for kind in (BATCH, CHANGES)]
        # The session as the last of them: if it has not changed, none of the others had changed when it was loaded.
        *units, seen = await context.store.load_many(*places, (SESSION, session_id))
        if seen.version != unit.version:
            raise VersionConflict(f"session {session_id} has moved on while it was read")
        for slot, stored, changes in zip(slots, units[::2], units[1::2], strict=True):
            batch: Batch | None = stored.value
            if batch is None:
                raise VersionConflict(f"a run of session {session_id} has gone while it was read")
            parts.append(Part(slot, batch, changes.value or NO_CHANGES))
            if time_slice.is_over:
                await time_slice.give_way()
    timelines = SessionTimelines(space.schedules, space.profiles, parts, before)
    space.cached.timeline_count += len(timelines) - (len(before) if before is not None else 0)
    if space.cached.timeline_count > _TIMELINES_CACHED:
        cached.clear()
        space.cached.timeline_count = len(timelines)
    cached[session_id] = (unit.version, timelines)
    return timelines


def forget_session(space: Space, session_id: str) -> None:
    """Drop what is cached of a session that has no runs any more."""
    _, timelines = space.cached.sessions.pop(session_id, (0, ()))
    space.cached.timeline_count -= len(timelines)


async def index_of(context: Context) -> RunIndex:
    """Return the index of the space, with all that is in the store. Raises VersionConflict."""

    async def timelines_of(session_id: str) -> SessionTimelines:
        return await session_timelines(context, session_id, await context.store.load(SESSION, session_id))

    index = context.space.index
    await index.catch_up(context.store, timelines_of)
    return index


def run_fields(space: Space, run: Run, sim_time: int) -> tuple[JSONText, ...]:
    """The JSON of each of FIELDS, as of a simulated time."""
    batch, change, timeline, placement = run.batch, run.change, run.timeline, run.placement
    set_ = change.fields
    status = timeline.status_at(sim_time)
    shown = NOTHING_YET
    if sim_time >= timeline.ended:
        shown = results(space.profiles[batch.workflow_id], timeline, batch.number + run.place)
    inputs = input_files(batch, change)
    outputs = output_files(batch, change, timeline, sim_time)
    return (
        b'"%b"' % batch.workflow_id.encode(),
        _quoted(placement.machine_id),
        b'"%b"' % run.id.encode(),
        space.user_id_json,
        space.organisation_json,
        b'"%b"' % status.encode(),
        set_.get("error", shown.error),
        set_.get("output_data", shown.output_data),
        AttachmentIDs(inputs, run.place) if inputs else NULL,
        set_.get("output_attachment_ids") or (AttachmentIDs(outputs, run.place) if outputs else NULL),
        set_.get("run_message_history", shown.history),
        run.input_values,
        placement.pool_ids,
        batch.aliases if change.aliases is None else change.aliases,
        _quoted(placement.session_id),
        placement.session_alias,
        set_.get("release_session_after", placement.release_session_after),
        set_.get("usage_metadata", shown.usage),
        b'"%b"' % text_of(batch.created).encode(),
        set_.get("started_at") or _moment(space, batch, timeline.started, sim_time),
        set_.get("ended_at") or _moment(space, batch, timeline.ended, sim_time),
    )


def shown_size(batch: Batch, changes: Changes) -> int:
    """Estimate the largest size of the JSON of a run of the batch, in bytes."""
    placement = batch.placement
    texts = len(batch.input_values) + len(batch.aliases) + len(placement.pool_ids) + len(placement.session_alias)
    most = _FRAME_BYTES + texts + _ID_BYTES * (len(batch.files) + len(batch.outputs) + len(batch.given))
    for change in changes.values():
        most = max(most, _changed_size(batch, change))
    return most


def _changed_size(batch: Batch, change: Change) -> int:
    placement = change.placement or batch.placement
    aliases = batch.aliases if change.aliases is None else change.aliases
    texts = len(batch.input_values) + len(aliases) + len(placement.pool_ids) + len(placement.session_alias)
    files = len(input_files(batch, change)) + len(batch.outputs) + len(batch.given) + len(change.outputs)
    return _FRAME_BYTES + texts + sum(map(len, change.fields.values())) + _ID_BYTES * files


def run_json(space: Space, run: Run, sim_time: int) -> bytes:
    return _TEMPLATE % run_fields(space, run, sim_time)


def unchanged_runs_json(space: Space, batch: Batch, places: Sequence[int], sim_time: int) -> bytes:
    """The JSON of unchanged runs without a session, separated by commas."""
    rendered_ranges = space.cached.rendered_ranges
    key = (batch.tail, places) if isinstance(places, range) and 1 < len(places) <= _MAX_RANGE_RUNS else None
    known = None if key is None else rendered_ranges.get(key)
    if known is not None and known[0] <= sim_time < known[1]:
        return known[2]
    each = [cached_run_json(space, batch, place, UNCHANGED, None, sim_time) for place in places]
    text = b",".join([one.text for one in each])
    if key is not None and len(text) <= LARGE_BYTES:
        if len(rendered_ranges) >= _RANGES_CACHED:
            space.rendered_budget.remove([len(text) for _, _, text in rendered_ranges.values()])
            rendered_ranges.clear()
            known = None
        space.rendered_budget.add(rendered_ranges, len(text), None if known is None else len(known[2]))
        rendered_ranges[key] = (max(one.since for one in each), min(one.until for one in each), text)
    return text


def cached_run_json(
    space: Space,
    batch: Batch,
    place: int,
    change: Change,
    timelines: SessionTimelines | None,
    sim_time: int,
) -> CachedJSON:
    """The JSON of a run, from the cache if it has not changed. `timelines` are those of its session."""
    rendered = space.cached.rendered
    of_batch = rendered.get(batch.tail)
    known = None if of_batch is None else of_batch.get(place)
    if (
        known is not None
        and known.since <= sim_time < known.until
        and known.change is change
        and known.timelines is timelines
    ):
        return known
    timeline = space.timeline(batch, place, change) if timelines is None else timelines[batch.tail, place]
    text = run_json(space, Run(batch, place, change, timeline), sim_time)
    replaced = None if known is None else len(known.text)
    known = CachedJSON(change, timelines, sim_time, timeline.next_change(sim_time), text)
    if len(text) <= _MAX_CACHED_RUN_BYTES:
        space.rendered_budget.add(rendered, len(text), replaced)
        rendered.setdefault(batch.tail, {})[place] = known
    return known


def _quoted(text: str | None) -> bytes:
    return NULL if text is None else b'"%b"' % text.encode()


def _moment(space: Space, batch: Batch, at: int, sim_time: int) -> bytes:
    if at > sim_time or at >= FOREVER:
        return NULL
    return b'"%b"' % text_of(batch.moment_of(at, space.clock)).encode()


def shown_start(space: Space, run: Run, sim_time: int) -> int | None:
    """The moment that a run shows as its `started_at`."""
    set_ = run.change.fields.get("started_at")
    if set_ is not None:
        return None if set_ == NULL else moment_from(datetime.fromisoformat(set_[1:-1].decode()))
    return run.batch.moment_of(run.timeline.started, space.clock) if run.timeline.started <= sim_time else None


async def commit_and_reply(context: Context, run: Run, *writes: Write, timeline: Timeline | None = None) -> Reply:
    """Commit changes of a run, and return it as it is right after them, whatever others change next.

    With a `timeline`, the answer shows this one. To compute that of a retry takes a step for each run of its session.
    """
    transaction = Transaction(context.store)
    await transaction.commit(*writes)
    changed = (await find_run(context._replace(transaction=transaction), run.id, timeline=timeline)).run
    # The block last: every create changes it, so it must not change between its load and the commit.
    await transaction.apply(await write_of_change(context.store, run.batch))
    return Reply(200, RunContent(context.space, changed, context.sim_time))


class RunContent(NamedTuple):
    """One run as of a simulated time, with the resources that `include` asked for."""

    space: Space
    run: Run
    sim_time: int
    included: tuple[Resource, ...] | None = None

    @property
    def held_bytes(self) -> int:
        return shown_size(self.run.batch, {self.run.place: self.run.change})

    def render(self) -> bytes | Iterator[bytes]:
        text = run_json(self.space, self.run, self.sim_time)
        if self.included is None:
            return text
        included = included_json(self.included)
        if not isinstance(included, bytes):
            return chain((text[:-1],), included, (b"}",))
        parts = text[:-1], included, b"}"
        return iter(parts) if len(text) + len(included) > LARGE_BYTES else b"".join(parts)


_BEFORE_CREATED = b'{"created_runs":['
_AFTER_CREATED = b'],"failed_count":%d,"errors":%b}'


class CreatedContent(NamedTuple):
    """The runs of a batch as of their creation. `failed` counts the runs that were not created.

    `batch` is None if no run was created.
    """

    space: Space
    batch: Batch | None
    failed: int
    errors: tuple[str, ...]

    def render(self) -> bytes | Iterator[bytes]:
        after = _AFTER_CREATED % (self.failed, render_json(self.errors) if self.failed else b"[]")
        if self.batch is None:
            return _BEFORE_CREATED + after
        batch = self.batch
        is_long = batch.ids.size > 1 or len(batch.input_values) > _MAX_CACHED_RUN_BYTES or batch.files
        if is_long and batch.ids.size * shown_size(batch, NO_CHANGES) > LARGE_BYTES:
            # `shown_size` may be too large. At creation the JSON of every run has the same length: measure the first.
            first = created_run_json(self.space, batch, 0)
            if batch.ids.size * len(first) > LARGE_BYTES:
                return self._parts(batch, after)
        return created_runs_json(self.space, batch, _BEFORE_CREATED, after)

    def _parts(self, batch: Batch, after: bytes) -> Iterator[bytes]:
        separator = _BEFORE_CREATED
        for place in range(batch.ids.size):
            yield separator
            yield created_run_json(self.space, batch, place)
            separator = b","
        yield after


def _created_template(space: Space) -> bytes:
    """The JSON of a run at its creation, with a placeholder for each value that differs between batches."""
    known = {
        "user_id": space.user_id_json.replace(b"%", b"%%"),
        "organization_id": space.organisation_json.replace(b"%", b"%%"),
        "workflow_id": b'"%b"',
        "id": b'"%b"',
        "status": b'"scheduling"',
        "created_at": b'"%b"',
    }
    known.update(dict.fromkeys(RESULT_FIELDS, NULL))
    return _TEMPLATE % tuple(known.get(name, b"%b") for name in FIELDS)


def created_run_json(space: Space, batch: Batch, place: int) -> bytes:
    """The JSON of a run at its creation: in `scheduling`, without results. Needs no timeline."""
    if space.created_template is None:
        space.created_template = _created_template(space)
    placement = batch.placement
    return space.created_template % (
        batch.workflow_id.encode(),
        _quoted(placement.machine_id),
        batch.ids.id(place).encode(),
        AttachmentIDs(batch.files, place) if batch.files else NULL,
        batch.input_values,
        placement.pool_ids,
        batch.aliases,
        _quoted(placement.session_id),
        placement.session_alias,
        placement.release_session_after,
        text_of(batch.created).encode(),
    )


class CreatedRunContent(NamedTuple):
    space: Space
    batch: Batch

    def render(self) -> bytes:
        return created_run_json(self.space, self.batch, 0)


def created_runs_json(space: Space, batch: Batch, before: bytes, after: bytes) -> bytes:
    """The JSON of the runs of a batch at their creation, separated by commas, between `before` and `after`.

    They differ only in their ids, so one is rendered, and the heads of the ids are joined with the bytes between two
    heads: the only cost is copying bytes, once.
    """
    first = created_run_json(space, batch, 0)
    if batch.ids.size == 1:
        return b"%b%b%b" % (before, first, after)
    if batch.files:
        return before + b",".join(created_run_json(space, batch, place) for place in range(batch.ids.size)) + after
    # The key of the id cannot occur before it: the values there, workflow_id and machine_id, are UUIDs.
    to_id, key, from_id = first.partition(b',"id":"')
    to_id += key
    from_id = from_id[8:]
    heads = batch.ids.heads()
    heads[0] = before + to_id + heads[0]
    heads[-1] += from_id + after
    return (from_id + b"," + to_id).join(heads)


def changes_with(changes: Unit, place: int, change: Change) -> Changes:
    return {**(changes.value or NO_CHANGES), place: change}
