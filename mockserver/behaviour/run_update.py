"""Updates a run: sets the fields that the request names, and the status if the transition is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mockserver.behaviour.attachments import find_attachment
from mockserver.behaviour.batch import TERMINAL, Move
from mockserver.behaviour.context import Context
from mockserver.behaviour.lifecycle import SETTABLE_STATUSES
from mockserver.behaviour.run_control import commit_change
from mockserver.behaviour.run_creation import json_or_null
from mockserver.behaviour.run_view import TIMESTAMPS, Found, Run, find_run, session_timelines, shown_start
from mockserver.clock import FIRST_MOMENT, LAST_MOMENT, moment_from, text_of
from mockserver.errors import Conflict, NotFound
from mockserver.reply import Reply
from mockserver.spec import Call

_SETTABLE = frozenset(
    {
        "error",
        "output_data",
        "run_message_history",
        "input_values",
        "usage_metadata",
        "release_session_after",
    }
)


async def update_run(call: Call, context: Context) -> Reply:
    found = await find_run(context, call.path["run_id"])
    run, body = found.run, call.body
    sim_time = context.sim_time
    change = run.change
    current = run.timeline.status_at(sim_time)
    status = body.get("status") or current
    if status != current:
        await _check_move(context, found, status)
        change = replace(change, moves=(*change.moves, Move(status, sim_time)))
    fields = dict(change.fields)
    for name in call.sent_fields & _SETTABLE:
        fields[name] = json_or_null(body[name])
    moments = {name: _moment(body[name]) for name in TIMESTAMPS if name in call.sent_fields}
    if context.strict:
        _check_moments(run, context, moments, status)
    for name, moment in moments.items():
        fields[name] = json_or_null(None if moment is None else text_of(moment))
    if "output_attachment_ids" in call.sent_fields:
        ids = body["output_attachment_ids"]
        if context.strict:
            await _check_attachments(context, run, ids or ())
        fields["output_attachment_ids"] = json_or_null(ids)
    change = replace(change, fields=fields)
    return await commit_change(context, found, change)


async def _check_move(context: Context, found: Found, status: str) -> None:
    """Raises Conflict if the run cannot change to this status now."""
    run, sim_time = found.run, context.sim_time
    current = run.timeline.status_at(sim_time)
    if status not in SETTABLE_STATUSES[current]:
        raise Conflict(
            f"A run that is {current} cannot become {status}"
            + ("; only a retry takes it out of a terminal status" if current in TERMINAL else "")
        )
    if found.session is None or status == "cancelled" or current != "scheduling":
        return
    timelines = await session_timelines(context, run.placement.session_id or "", found.session)
    if timelines.free_before(run.batch.tail, run.place) > sim_time:
        raise Conflict(f"An earlier run of the session has not ended, so this run cannot become {status} yet")


def _moment(value: datetime | None) -> int | None:
    """Clamped to the years 1 to 9999 in UTC: the time zone may lead out of them."""
    return None if value is None else min(max(moment_from(value), FIRST_MOMENT), LAST_MOMENT)


def _check_moments(run: Run, context: Context, moments: Mapping[str, int | None], status: str) -> None:
    """Raises Conflict for times at which the run cannot have started or ended."""
    created = run.batch.created
    started, ended = moments.get("started_at"), moments.get("ended_at")
    if ended is not None and status not in TERMINAL:
        raise Conflict(f"A run that is {status} has no ended_at yet")
    for name, moment in moments.items():
        if moment is not None and moment < created:
            raise Conflict(f"{name} is before created_at, which is {text_of(created)}")
    if "started_at" not in moments:
        started = shown_start(context.space, run, context.sim_time)
    if started is not None and ended is not None and ended < started:
        raise Conflict(f"ended_at is before started_at, which is {text_of(started)}")


async def _check_attachments(context: Context, run: Run, ids: Sequence[str]) -> None:
    """Raises NotFound for an id that is not that of an attachment of the run."""
    own = {attachment.id for attachment in run.attachments(context.sim_time, context.space.clock)}
    other = next((id_ for id_ in ids if id_ not in own), None)
    if other is not None:
        await find_attachment(context, other)
        raise NotFound(f"Run attachment {other} belongs to another run")
