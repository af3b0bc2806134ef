"""Reads, retries and deletes single runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from mockserver.behaviour.batch import (
    BATCH,
    CHANGES,
    FILES,
    NO_CHANGES,
    NO_FIELDS,
    SESSION,
    TERMINAL,
    Batch,
    Change,
    Changes,
    File,
    Placement,
    Session,
    Slot,
)
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.includes import included
from mockserver.behaviour.input_schema import Inputs, check_inputs
from mockserver.behaviour.ledger import write_of_change, writes_of_removal
from mockserver.behaviour.lifecycle import Timeline
from mockserver.behaviour.new_files import attachments, check_file_count, decoded_files, outputs
from mockserver.behaviour.resources import find_workflow
from mockserver.behaviour.run_creation import choose_machine, json_or_null, load_machine_choices, script, session_write
from mockserver.behaviour.run_results import NULL
from mockserver.behaviour.run_view import (
    RESULT_FIELDS,
    Found,
    Run,
    RunContent,
    changes_with,
    commit_and_reply,
    find_run,
    forget_session,
)
from mockserver.behaviour.secrets import aliases
from mockserver.clock import FOREVER
from mockserver.errors import Conflict, VersionConflict
from mockserver.reply import Reply
from mockserver.spec import Call
from mockserver.store import Unit, Write


async def get_run(call: Call, context: Context) -> Reply:
    run = (await find_run(context, call.path["run_id"])).run
    resources = await included(context, call.query.get("include"), [run])
    return Reply(200, RunContent(context.space, run, context.sim_time, resources))


async def delete_run(call: Call, context: Context) -> Reply:
    found = await find_run(context, call.path["run_id"])
    run, session_id = found.run, found.run.placement.session_id
    before = run.change
    # Keep what its timeline is computed from: the timelines of later runs in its session depend on it.
    change = Change(
        deleted=context.sim_time,
        moves=before.moves,
        began=before.began,
        attempt=before.attempt,
        placement=before.placement,
        script=before.script,
    )
    changes = changes_with(found.changes, run.place, change)
    removable = await _removable(context, found, changes)
    sessions = dict(removable.sessions)
    writes = await _without_owners(context, (*(before.files or ()), *before.outputs))
    if found.session is not None and session_id is not None and session_id not in sessions:
        writes.append(Write(SESSION, session_id, found.session.value, found.session.version))
    for key, unit in sessions.items():
        writes.append(Write(SESSION, key, unit.value._replace(slots=()), unit.version))  # it still has its machine
    for batch, its_changes in removable.batches:
        tail = batch.value.tail
        writes += [Write(BATCH, tail, None, batch.version), Write(CHANGES, tail, None, its_changes.version)]
        writes += await _without_owners(context, (*batch.value.files, *batch.value.outputs, *batch.value.given))
    if removable.batches:
        writes += await writes_of_removal(context.store, [batch.value for batch, _ in removable.batches])
    else:
        writes.append(Write(CHANGES, run.batch.tail, changes, found.changes.version))
        writes.append(await write_of_change(context.store, run.batch))
    await context.store.commit(*writes)
    for key in sessions:
        forget_session(context.space, key)
    return Reply(204)


class _Removable(NamedTuple):
    """Batches with their changes, and the sessions that their runs are in, by id."""

    batches: list[tuple[Unit, Unit]]
    sessions: dict[str, Unit]

    def count_writes(self) -> int:
        """Return how many writes remove them, at most: of a batch those of itself, its changes, its block and files."""
        batches: list[Batch] = [batch.value for batch, _ in self.batches]
        return len(self.sessions) + sum(3 + len((*each.files, *each.outputs, *each.given)) for each in batches)


async def _removable(context: Context, found: Found, changes: Changes) -> _Removable:
    """Return what can be removed once `changes` is stored; nothing if the store does not remove as much at once.

    Batches of one session are removed together, once all their runs are deleted: the timelines of a session depend on
    all runs before. A retry may have moved a run to another session, whose batches then belong to them.

    Raises VersionConflict if a batch has gone meanwhile.
    """
    own = found.run.batch.tail
    removable = _Removable([], {})
    due, seen = [own], {own}
    while due:
        tail = due.pop()
        batch, its_changes = await context.store.load_many((BATCH, tail), (CHANGES, tail))
        if batch.value is None:
            raise VersionConflict(f"batch {tail} has gone while its session was read")
        its_changes = found.changes if tail == own else its_changes
        known = changes if tail == own else its_changes.value or NO_CHANGES
        if not _all_are_deleted(batch.value, known):
            return _Removable([], {})
        removable.batches.append((batch, its_changes))
        for session_id in _sessions(batch.value, known) - removable.sessions.keys():
            session = await context.store.load(SESSION, session_id)
            if session_id == found.run.placement.session_id and found.session is not None:
                session = found.session
            if session.value is None:
                raise VersionConflict(f"session {session_id} has gone, by a reset, after its runs were read")
            tails = [slot.batch_tail for slot in session.value.slots]
            if tail in tails:  # else a retry has moved its runs away
                removable.sessions[session_id] = session
                # Runs are mostly deleted from one end to the other: look at the ends first.
                new = [each for each in dict.fromkeys((*tails[1:-1], tails[-1], tails[0])) if each not in seen]
                due += new
                seen.update(new)
    return removable if removable.count_writes() <= context.store.max_writes else _Removable([], {})


def _sessions(batch: Batch, changes: Changes) -> set[str]:
    """Return the ids of the sessions that the runs of a batch may be in."""
    placements = {batch.placement, *(each.placement for each in changes.values() if each.placement is not None)}
    return {each.session_id for each in placements if each.session_id is not None}


def _all_are_deleted(batch: Batch, changes: Changes) -> bool:
    """Whether all runs of a batch are deleted, and their sessions known: older states lack those of retries."""
    return len(changes) == batch.ids.size and all(
        each.deleted is not None and (not each.attempt or each.placement is not None) for each in changes.values()
    )


async def _without_owners(context: Context, files: Iterable[File]) -> list[Write]:
    """Return the writes that remove the owner entries of these files."""
    tails = [file.ids.tail for file in files]
    return [Write(FILES, tail, None, (await context.store.load(FILES, tail)).version) for tail in tails]


async def retry_run(call: Call, context: Context) -> Reply:
    found = await find_run(context, call.path["run_id"])
    run, body = found.run, call.body or {}
    current = run.timeline.status_at(context.sim_time)
    if current not in TERMINAL:
        raise Conflict(f"Only a run that has ended can be retried; this one is {current}")
    workflow = await find_workflow(context, run.batch.workflow_id)
    if body.get("input_values") is not None or body.get("sensitive_input_values") is not None:
        values = body.get("input_values")
        values = json.loads(bytes(run.input_values)) if values is None else values
        inputs = Inputs(values, body.get("sensitive_input_values"))
        check_inputs(workflow, inputs, most=context.limits.max_violations)

    attempt = run.change.attempt + 1
    placement, write_of_session = await _retry_placement(context, found, body, attempt)
    fields = {name: value for name, value in run.change.fields.items() if name not in RESULT_FIELDS}
    if body.get("input_values") is not None:
        fields["input_values"] = json_or_null(body["input_values"])
    fields.pop("release_session_after", None)
    files, writes = await _retry_files(context, run, body, attempt)
    writes += await _without_owners(context, run.change.outputs)
    templates = context.world.outputs_of(run.batch.workflow_id)
    made, owners = outputs(context, templates, run.batch.ids, retried=(run.place, attempt))
    writes += owners
    sensitive = body.get("sensitive_input_values")
    change = Change(
        fields=fields or NO_FIELDS,
        began=context.sim_time,
        attempt=attempt,
        placement=placement,
        files=files,
        aliases=run.change.aliases
        if sensitive is None
        else aliases(sensitive, key=context.space.key, owner=f"{run.id} {attempt}"),
        script=script(context),
        outputs=made,
    )
    writes.append(Write(CHANGES, run.batch.tail, changes_with(found.changes, run.place, change), found.changes.version))
    writes += _writes_of_leaving(context, found, placement)
    if write_of_session is not None:
        writes.append(write_of_session)
    # As it is at the beginning of the attempt, which may be over at once; a create shows its runs in this way too.
    return await commit_and_reply(context, run, *writes, timeline=_AT_THE_BEGINNING)


_AT_THE_BEGINNING = Timeline(FOREVER, FOREVER, FOREVER, "success")


async def _retry_files(
    context: Context, run: Run, body: dict[str, Any], attempt: int
) -> tuple[tuple[File, ...] | None, list[Write]]:
    """Return the input files of the new attempt, and the writes that replace the old ones."""
    if body.get("file_inputs") is None:
        return run.change.files, []
    removed = await _without_owners(context, run.change.files or ())
    check_file_count(context, len(body["file_inputs"]))
    contents = decoded_files(body["file_inputs"], where="file_inputs", strict=context.strict)
    files, owners = attachments(context, contents, run.batch.ids, retried=(run.place, attempt))
    return files, [*removed, *owners]


def _writes_of_leaving(context: Context, found: Found, placement: Placement) -> list[Write]:
    """Return the write of the session that the run leaves for the new placement, if it had another one."""
    run = found.run
    session_id = run.placement.session_id
    if found.session is None or session_id is None or session_id == placement.session_id:
        return []
    session: Session = found.session.value
    remaining = session.without(run.batch.tail, run.place, run.timeline.ended)
    if not remaining.slots:
        forget_session(context.space, session_id)
    return [Write(SESSION, session_id, remaining, found.session.version)]


async def _retry_placement(
    context: Context, found: Found, body: dict[str, Any], attempt: int
) -> tuple[Placement, Write | None]:
    """Return the placement of the new attempt, and the write of the session that it joins, if any."""
    run = found.run
    old = run.placement
    session_id: str | None = body.get("session_id")
    if session_id is None and body.get("start_session"):
        session_id = one_id(context.space.key, f"session of {run.id} {attempt}")
    elif session_id is None and body.get("reuse_session") is not False:
        session_id = old.session_id
    choices = await load_machine_choices(context, body, session_id)
    session = choices.session
    if body.get("machine_id") is None and body.get("pool_ids") is None and body.get("session_id") is None:
        machine_id = old.machine_id
        if session.value is not None:
            machine_id = session.value.machine_id
    else:
        machine_id = choose_machine(context, body, choices, draw_key=f"{run.id}{attempt:02x}")
    kept = session_id == old.session_id
    release = json_or_null(body.get("release_session_after"))
    if release == NULL and kept:
        release = run.change.fields.get("release_session_after", old.release_session_after)
    alias = json_or_null(body.get("session_alias"))
    if alias == NULL and kept:
        alias = old.session_alias
    placement = Placement(
        machine_id=machine_id,
        pool_ids=json_or_null(body["pool_ids"]) if body.get("pool_ids") is not None else old.pool_ids,
        session_id=session_id,
        session_alias=alias,
        release_session_after=release,
    )
    if session_id is None:
        return placement, None
    slot = Slot(run.batch.tail, run.place, run.place + 1, attempt)
    if session_id == old.session_id and session.value is not None:
        session = session._replace(value=session.value.without(run.batch.tail, run.place, run.timeline.ended))
    return placement, session_write(session_id, session, machine_id, slot)
