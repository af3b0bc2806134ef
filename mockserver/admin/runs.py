"""The runs of a namespace, across its organisations: listed, seeded, and put into any state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mockserver.admin.context import AdminContext
from mockserver.admin.seeds import read_seeds
from mockserver.behaviour.attachments import attachment_fields, attachment_size
from mockserver.behaviour.batch import Change
from mockserver.behaviour.context import Context
from mockserver.behaviour.paging import list_parts, window
from mockserver.behaviour.run_control import commit_change, next_status, with_move, with_script
from mockserver.behaviour.run_creation import json_or_null
from mockserver.behaviour.run_files import Attachment
from mockserver.behaviour.run_list import projected
from mockserver.behaviour.run_overview import Listed, Overview, counts_by_status
from mockserver.behaviour.run_view import TIMESTAMPS, Found, Run, RunContent, find_run, run_json, shown_size
from mockserver.behaviour.seeding import Seed, check_moments, check_seeds, prepare
from mockserver.clock import SECOND, moment_from, text_of
from mockserver.errors import NotFound, VersionConflict
from mockserver.reply import LARGE_BYTES, JSONContent, Reply
from mockserver.spec import Call, render_json
from mockserver.store import Write, retried
from mockserver.time_slice import TimeSlice, in_slices

_URL_LIFETIME_S = 3_600
_JSON_FIELDS = ("input_values", "output_data", "error", "run_message_history", "usage_metadata")


async def list_runs(call: Call, context: AdminContext) -> Reply:
    query = call.query
    organisation = query.get("organization")
    contexts = [each for each in await context.contexts() if organisation in (None, each.space.organisation)]
    same = {"workflow_id": query.get("workflow_id"), "status": query.get("status")}
    skip, limit = window(query)
    found = await Overview.of(contexts, same, skip, limit)
    shown = [each async for each in found.runs()]
    counts = await counts_by_status(contexts, same)
    return Reply(200, _RunPage(shown, query.get("fields"), found.total, skip, limit, counts))


class _RunPage(NamedTuple):
    """One page of runs, out of `total`."""

    runs: Sequence[Listed]
    wanted: Sequence[str] | None
    total: int
    skip: int
    limit: int
    counts: Mapping[str, int]

    @property
    def held_bytes(self) -> int:
        """One run is rendered at a time."""
        return max(self._sizes(), default=0)

    def render(self) -> bytes | Iterator[bytes]:
        """A large page comes in parts: a thousand runs with the largest inputs would not fit into memory."""
        return self._parts() if sum(self._sizes()) > LARGE_BYTES else b"".join(self._parts())

    def _sizes(self) -> Iterator[int]:
        return (shown_size(run.batch, {run.place: run.change}) for _, run in self.runs)

    def _parts(self) -> Iterator[bytes]:
        items = (
            run_json(listing.space, run, listing.sim_time)
            if self.wanted is None
            else projected(listing.space, run, self.wanted, listing.sim_time)
            for listing, run in self.runs
        )
        counts = b',"counts":%b' % render_json(self.counts)
        return list_parts(items, self.total, self.skip, self.limit, (counts,))


async def get_run(call: Call, context: AdminContext) -> Reply:
    run_context, found = await _find(call, context)
    return Reply(200, RunContent(run_context.space, found.run, run_context.sim_time))


async def list_attachments(call: Call, context: AdminContext) -> Reply:
    """Each attachment has a URL that needs no token."""
    run_context, found = await _find(call, context)
    expires = run_context.now // SECOND + _URL_LIFETIME_S

    def shown(attachment: Attachment) -> dict[str, Any]:
        return {**attachment_fields(attachment), "url": run_context.sign_download(attachment.id, expires)}

    attachments = found.run.attachments(run_context.sim_time, run_context.space.clock)
    if sum(map(attachment_size, attachments)) > LARGE_BYTES:
        return Reply(200, _LargeAttachments(attachments, shown))
    items = await in_slices(shown, attachments)
    return Reply(200, JSONContent({"items": items, "total": len(items)}))


class _LargeAttachments(NamedTuple):
    """Rendered while they are sent: their names may have megabytes."""

    attachments: Sequence[Attachment]
    shown: Callable[[Attachment], dict[str, Any]]

    @property
    def held_bytes(self) -> int:
        """One attachment is rendered at a time."""
        return max(map(attachment_size, self.attachments))

    def render(self) -> Iterator[bytes]:
        separator = b'{"items":['
        for attachment in self.attachments:
            yield separator + render_json(self.shown(attachment))
            separator = b","
        yield b'],"total":%d}' % len(self.attachments)


async def _find(call: Call, context: AdminContext) -> tuple[Context, Found]:
    """Find the run in any organisation. Raises NotFound."""
    run_id = call.path["run_id"]
    time_slice = TimeSlice()
    for run_context in await context.contexts():
        try:
            return run_context, await find_run(run_context, run_id)
        except NotFound:
            if time_slice.is_over:
                await time_slice.give_way()
    raise NotFound(f"Run {run_id} is in no organisation of this namespace")


async def change_run(call: Call, context: AdminContext) -> Reply:
    body: dict[str, Any] = call.body
    run_context, found = await _find(call, context)
    run = found.run
    change = run.change
    if "outcome" in body or "duration_s" in body:
        duration_s = body.get("duration_s")
        running_us = None if duration_s is None else round(duration_s * SECOND)
        change = with_script(run_context, run, body.get("outcome"), running_us, moved_to=body.get("status"))
    if "status" in body:
        change = _with_move(run_context, run, change, body["status"])
    fields = {name: json_or_null(body[name]) for name in _JSON_FIELDS if name in body}
    for name in TIMESTAMPS:
        if name in body:
            fields[name] = json_or_null(None if body[name] is None else text_of(moment_from(body[name])))
    return await commit_change(run_context, found, replace(change, fields={**change.fields, **fields}))


async def finish_run(call: Call, context: AdminContext) -> Reply:
    return await _advance(call, context, "success")


async def fail_run(call: Call, context: AdminContext) -> Reply:
    return await _advance(call, context, "task_failed")


async def advance_run(call: Call, context: AdminContext) -> Reply:
    return await _advance(call, context, None)


async def _advance(call: Call, context: AdminContext, status: str | None) -> Reply:
    """Move a run that has not ended to a status, or to the one that follows. Raises NotFound or Conflict."""
    run_context, found = await _find(call, context)
    following = next_status(run_context, found.run)
    change = _with_move(run_context, found.run, found.run.change, status or following)
    return await commit_change(run_context, found, change)


def _with_move(run_context: Context, run: Run, change: Change, status: str) -> Change:
    """Move a run to a status. Drops timestamps that an update has set, if the run has yet to reach them."""
    gone = {"scheduling": TIMESTAMPS, "running": ("ended_at",), "running_checks": ("ended_at",)}.get(status, ())
    change = replace(change, fields={name: value for name, value in change.fields.items() if name not in gone})
    return with_move(run_context, run.batch, run.place, change, status, run_context.sim_time)


# --- Seeds


async def seed_runs(call: Call, context: AdminContext) -> Reply:
    context.dependencies.memory_limit.require_room()
    ids = await seed_all(context, read_seeds(call.body))
    return Reply(201, JSONContent({"ids": ids}))


async def seed_all(context: AdminContext, seeds: Sequence[Seed]) -> list[str]:
    """Seed all runs or none, and return their ids. Raises Unprocessable, TooLarge or Conflict.

    In a store that several servers share, only the runs of one organisation are all or none: if the store fails, or
    another server takes the same ids meanwhile, those of other organisations may have been seeded.
    """
    default = context.dependencies.default_organisation
    seeds = [replace(seed, organisation=seed.organisation or default) for seed in seeds]
    check_seeds(seeds)
    check_moments(seeds, context.namespace.clock.now())
    organisations = {seed.organisation or default for seed in seeds}
    ids_by_seed: dict[int, Sequence[str]] = {}
    prepared: list[tuple[Context, list[int], list[Write]]] = []
    for organisation in sorted(organisations):
        places = [place for place, seed in enumerate(seeds) if (seed.organisation or default) == organisation]
        run_context = await context.context_of(organisation)
        ids, writes = await prepare(run_context, [seeds[place] for place in places])
        ids_by_seed |= zip(places, ids, strict=True)
        prepared.append((run_context, places, writes))
    for run_context, places, writes in prepared:
        try:
            await run_context.store.commit(*writes)
        except VersionConflict:
            # Not all over again: what was committed for other organisations would be seeded twice.
            ids = await retried(partial(_seed, run_context, [seeds[place] for place in places]))
            ids_by_seed |= zip(places, ids, strict=True)
    return [id_ for place in range(len(seeds)) for id_ in ids_by_seed[place]]


async def _seed(run_context: Context, seeds: Sequence[Seed]) -> list[Sequence[str]]:
    """Raises VersionConflict."""
    ids, writes = await prepare(run_context, seeds)
    await run_context.store.commit(*writes)
    return ids
