"""Checks that a restored space can be shown: values of a state edited by hand may have valid types only."""

from __future__ import annotations

import json
import sys
from uuid import UUID

from mockserver.behaviour.batch import UNCHANGED, Batch
from mockserver.behaviour.context import Context
from mockserver.behaviour.pools import all_pools
from mockserver.behaviour.resource_view import PoolView
from mockserver.behaviour.resources import WORKFLOW
from mockserver.behaviour.run_overview import Overview
from mockserver.behaviour.run_view import run_json
from mockserver.state_codec import StateError


async def check_shown(context: Context) -> None:
    """Render pools, workflows, and of each batch the first run and all changed runs. Raises StateError."""
    what = "the pools and workflows"
    try:
        for pool in await all_pools(context):
            json.loads(b"".join(PoolView(context.space, pool).parts()))
        for unit in (await context.store.items(WORKFLOW)).values():
            json.loads(unit.value.shown)
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
