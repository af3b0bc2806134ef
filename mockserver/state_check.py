"""Checks that a restored space can be shown: values of a state edited by hand may have valid types only."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from uuid import UUID

from mockserver.behaviour.batch import BATCH, CHANGES, SESSION, UNCHANGED, Batch
from mockserver.behaviour.context import Context, Space
from mockserver.behaviour.ids import GivenIds, IdRow, Ids
from mockserver.behaviour.pools import all_pools
from mockserver.behaviour.resource_view import PoolView, PoolWithMachines
from mockserver.behaviour.resources import WORKFLOW, PoolRecord
from mockserver.behaviour.run_overview import Overview
from mockserver.behaviour.run_view import CreatedContent, run_json
from mockserver.idempotency import KEY, Use
from mockserver.reply import JSON, Reply
from mockserver.state_codec import StateError
from mockserver.time_slice import Sliced


async def check_shown(context: Context) -> None:
    """Render pools, workflows, replies, and of each batch the first run and all changed runs. Raises StateError."""
    what = "the pools"
    try:
        async for pool in Sliced(await all_pools(context)):
            _check_pool(context.space, pool)
        async for id_, unit in Sliced((await context.store.items(WORKFLOW)).items()):
            what = f"workflow {id_}"
            workflow = json.loads(unit.value.shown)
            if not isinstance(workflow, dict) or workflow.get("id") != id_:
                raise ValueError("it is not an object with this id")
        async for id_, unit in Sliced((await context.store.items(SESSION)).items()):
            what = f"the machine of session {id_}"
            if unit.value.machine_id is not None:
                json.loads(b'"%b"' % unit.value.machine_id.encode())
        async for key, unit in Sliced((await context.store.items(KEY)).items()):
            what = f"the reply to the idempotency key {key}"
            use: Use = unit.value
            _check_reply(use.reply)
        async for tail, unit in Sliced((await context.store.items(BATCH)).items()):
            # A search reads it, whatever a retry has put in its place for those who show the runs.
            what = f"the session alias of the runs {tail}"
            json.loads(bytes(unit.value.placement.session_alias))
            what = f"a file of the runs {tail}"
            for file in (*unit.value.files, *unit.value.outputs, *unit.value.given):
                _check_ids(file.ids)
        async for tail, unit in Sliced((await context.store.items(CHANGES)).items()):
            what = f"a file of the runs {tail}"
            for change in unit.value.values():
                for file in (*(change.files or ()), *change.outputs):
                    _check_ids(file.ids)
        what = "the list of runs"
        overview = await Overview.of([context], {}, 0, sys.maxsize)
        shown: Batch | None = None
        async for listing, run in overview.runs():
            if run.batch is not shown or run.change is not UNCHANGED:
                shown = run.batch
                what = f"run {run.id}"
                UUID(run.id)
                json.loads(run_json(listing.space, run, listing.sim_time))
                run.attachments(listing.sim_time, context.space.clock)
    except Exception as error:
        raise StateError(f": {what} cannot be shown: {type(error).__name__}: {error}") from error


def _check_ids(ids: Ids) -> None:
    """The ids of a row differ in their position only."""
    for place in range(ids.size if isinstance(ids, GivenIds) else 1):
        UUID(ids.id(place))


def _check_pool(space: Space, pool: PoolRecord) -> None:
    # Any text can be shown, so the name and the description, which may be long, are left out.
    json.loads(b"".join(PoolView(space, replace(pool, name="", description=None)).parts()))


def _check_reply(reply: Reply) -> None:
    """Of the runs of a create only two are read: they differ in their ids only."""
    for text in (reply.media_type, *reply.headers.keys(), *reply.headers.values()):
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"{text!r} cannot stand in a header")
    content = reply.content
    if isinstance(content, PoolWithMachines):
        for view in (content.view, *(PoolView(each.space, pool) for each in content.machines for pool in each.pools)):
            _check_pool(view.space, view.pool)
        return
    if isinstance(content, CreatedContent) and content.batch is not None:
        content.render()
        ids = content.batch.ids
        two = ids._replace(size=min(ids.size, 2)) if isinstance(ids, IdRow) else ids
        content = content._replace(batch=content.batch._replace(ids=two))
    body = b"" if content is None else content.render()
    if content is not None and reply.media_type == JSON:
        json.loads(body if isinstance(body, bytes) else b"".join(body))
