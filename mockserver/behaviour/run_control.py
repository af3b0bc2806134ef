"""What the control API does to single runs: any status at any time, and how a run will end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mockserver.behaviour.batch import CHANGES, SESSION, TERMINAL, Batch, Change, Move, Script
from mockserver.behaviour.context import Context
from mockserver.behaviour.ledger import changed
from mockserver.behaviour.run_view import Found, Run, changes_with
from mockserver.errors import Refused
from mockserver.store import Write


def moved(context: Context, batch: Batch, place: int, change: Change, status: str, at: int) -> Change:
    """Into a status at a lived time, whatever the one before. It stays there if its workflow takes no time for it."""
    schedule = context.space.schedules.schedule(context.space.profiles[batch.workflow_id], batch, place, change)
    left = {
        "scheduling": schedule.scheduling + schedule.running + schedule.checks,
        "running": schedule.running + schedule.checks,
        "running_checks": schedule.checks or schedule.running,
    }.get(status)
    return replace(change, moves=(*change.moves, Move(status, at, left == 0)))


def next_status(context: Context, run: Run) -> str:
    """Raises Refused for a run that has ended."""
    status = run.timeline.status_at(context.sim_time)
    if status in TERMINAL:
        raise Refused(f"This run has ended in {status}; PATCH takes it out of that")
    schedule = context.space.schedules.schedule(
        context.space.profiles[run.batch.workflow_id], run.batch, run.place, run.change
    )
    if status == "scheduling":
        return "running"
    return "running_checks" if status == "running" and schedule.checks else schedule.outcome


def scripted(context: Context, run: Run, outcome: str | None, running_us: int | None) -> Change:
    """How it will end, and how long it is running in all. Raises Refused where that lies behind it."""
    status = run.timeline.status_at(context.sim_time)
    if status in TERMINAL:
        raise Refused(f"This run has ended in {status}: how it will end cannot be decided any more; PATCH its status")
    if running_us is not None and status != "scheduling":
        if status == "running_checks":
            raise Refused("This run is in running_checks: how long it is running cannot be decided any more")
        since = max((move.at for move in run.change.moves if move.status == "running"), default=run.timeline.started)
        running_us = max(running_us, context.sim_time - since)
    before = run.change.script or run.batch.script or Script(None, None)
    script = Script(outcome or before.outcome, before.running_us if running_us is None else running_us)
    return replace(run.change, script=script)


def with_fields(change: Change, fields: Mapping[str, bytes]) -> Change:
    """`fields` are JSON."""
    return replace(change, fields={**change.fields, **fields}) if fields else change


async def commit_change(context: Context, found: Found, change: Change) -> None:
    run = found.run
    writes = [Write(CHANGES, run.batch.tail, changes_with(found.changes, run.place, change), found.changes.version)]
    session_id = run.placement.session_id
    if found.session is not None and session_id is not None:
        # The lives of the session's other runs may hang on this one: committing it too says so.
        writes.append(Write(SESSION, session_id, found.session.value, found.session.version))
    await context.store.commit(*writes, await changed(context.store, run.batch))
