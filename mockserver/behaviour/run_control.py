"""Changes of single runs by the control API: it sets any status at any time, and decides how a run will end."""

from __future__ import annotations

from dataclasses import replace

from mockserver.behaviour.batch import CHANGES, SESSION, TERMINAL, Batch, Change, Move, Script
from mockserver.behaviour.context import Context
from mockserver.behaviour.run_view import Found, Run, changes_with, commit_and_reply
from mockserver.errors import Conflict
from mockserver.reply import Reply
from mockserver.store import Write

_MAX_MOVES = 1_000
"""Each read of a run looks at all its moves. An update through the API adds a few at most: no status comes twice."""


def with_move(context: Context, batch: Batch, place: int, change: Change, status: str, at: int) -> Change:
    """Return the change with a move to a status at a simulated time, whatever the status before.

    If the schedule has no time left from this status on, the move holds: otherwise the run would end at once.

    Raises Conflict if the run was moved too often.
    """
    if len(change.moves) >= _MAX_MOVES:
        raise Conflict(f"The status of this run was set {_MAX_MOVES} times, which is the limit; retry the run to go on")
    schedule = context.space.schedule(batch, place, change)
    left = {
        "scheduling": schedule.scheduling + schedule.running + schedule.checks,
        "running": schedule.running + schedule.checks,
        "running_checks": schedule.checks or schedule.running,
    }.get(status)
    return replace(change, moves=(*change.moves, Move(status, at, left == 0)))


def next_status(context: Context, run: Run) -> str:
    """Return the status that follows the current one. Raises Conflict for a run that has ended."""
    status = run.timeline.status_at(context.sim_time)
    if status in TERMINAL:
        raise Conflict(f"This run has ended in {status}; use PATCH to set another status")
    schedule = context.space.schedule(run.batch, run.place, run.change)
    if status == "scheduling":
        return "running"
    return "running_checks" if status == "running" and schedule.checks else schedule.outcome


def with_script(
    context: Context, run: Run, outcome: str | None, running_us: int | None, *, moved_to: str | None
) -> Change:
    """Return the change that sets the run's outcome and its total time in `running`.

    `moved_to` is the status that the same request sets. If it is active, the time counts from now.

    Raises Conflict if it is too late: for the outcome once the run has ended, for the time once it is in its checks.
    """
    status = run.timeline.status_at(context.sim_time)
    will_be_active = moved_to is not None and moved_to not in TERMINAL
    if status in TERMINAL and not will_be_active:
        needed = "outcome and duration_s need a status of scheduling, running or running_checks in the same request"
        raise Conflict(f"This run has ended in {status}: {needed}")
    if running_us is not None and status != "scheduling" and not will_be_active:
        if status == "running_checks":
            raise Conflict("This run is in running_checks: how long it is running cannot be decided any more")
        since = max((move.at for move in run.change.moves if move.status == "running"), default=run.timeline.started)
        running_us = max(running_us, context.sim_time - since)
    before = run.change.script or run.batch.script or Script(None, None)
    script = Script(outcome or before.outcome, before.running_us if running_us is None else running_us)
    return replace(run.change, script=script)


async def commit_change(context: Context, found: Found, change: Change) -> Reply:
    """Return the run as it is after the change."""
    run = found.run
    writes = [Write(CHANGES, run.batch.tail, changes_with(found.changes, run.place, change), found.changes.version)]
    session_id = run.placement.session_id
    if found.session is not None and session_id is not None:
        # The timelines of the session's other runs may depend on this run: a new version invalidates the cached ones.
        writes.append(Write(SESSION, session_id, found.session.value, found.session.version))
    return await commit_and_reply(context, run, *writes)
