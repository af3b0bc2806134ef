"""Creates single runs and bulks of runs; chains and retries use parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from mockserver.behaviour.batch import BATCH, SESSION, Batch, File, Placement, Script, Session, Slot
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import IdRow, id_row, one_id
from mockserver.behaviour.input_schema import Inputs, check_inputs
from mockserver.behaviour.ledger import open_block, writes_of_batches
from mockserver.behaviour.new_files import attachments, check_file_count, decoded_files, outputs
from mockserver.behaviour.resources import (
    COUNTER,
    WorkflowRecord,
    check_machine,
    drawn_machine,
    find_workflow,
    pick_machine,
    pool_machines,
)
from mockserver.behaviour.run_results import NULL
from mockserver.behaviour.run_view import CreatedContent, CreatedRunContent
from mockserver.behaviour.secrets import aliases
from mockserver.behaviour.world import Workflow
from mockserver.clock import SECOND
from mockserver.errors import Unavailable
from mockserver.reply import Reply
from mockserver.spec import Call, render_json
from mockserver.store import ABSENT, Unit, Write
from mockserver.time_slice import Sliced

_PLACING = ("machine_id", "pool_ids", "session_alias", "release_session_after")


async def bulk_create_runs(call: Call, context: Context) -> Reply:
    body: dict[str, Any] = call.body
    count: int = body["count"]
    workflow = await _available_workflow(context, body)
    failed = _failures(context, workflow, count)
    errors: tuple[str, ...] = ()
    if failed:
        # Spread evenly: of half of them, every second run fails.
        places = [place for place in range(1, count + 1) if place * failed // count > (place - 1) * failed // count]
        errors = tuple(f"Run {place} of {count} could not be created" for place in places)
    choices = await load_machine_choices(context, body, body.get("session_id"))
    block = await open_block(context.store)
    number: int = block.value.next_number
    label = f"runs {number}"
    ids = id_row(context.space.key, label, max(1, count - failed))
    session_id = body.get("session_id")
    if session_id is None and body.get("start_session"):
        session_id = one_id(context.space.key, f"session of {label}")
    batch, writes = _new_batch(context, body, ids, number, session_id, choices)
    if failed == count:
        # Validated like any other create, but nothing is stored.
        return Reply(201, CreatedContent(context.space, None, failed, errors))
    await context.store.commit(*writes_of_batches(block, ids.tail), *writes)
    return Reply(201, CreatedContent(context.space, batch, failed, errors))


async def _available_workflow(context: Context, body: Mapping[str, Any]) -> Workflow | WorkflowRecord | None:
    """Return the workflow of a create, after a check of the inputs; None for an unknown one.

    Raises Invalid, NotFound or Unavailable.
    """
    workflow = await find_workflow(context, body["workflow_id"])
    if workflow is not None:
        check_inputs(workflow, Inputs.of_create(body), most=context.limits.max_violations)
        await check_availability(context, workflow)
    return workflow


def _failures(context: Context, workflow: Workflow | WorkflowRecord | None, count: int) -> int:
    """Return how many runs of a bulk create fail: as the client prefers, else as the workflow defines."""
    if context.preferences.failed is not None:
        return min(context.preferences.failed, count)
    if context.preferences.failed_share is not None:
        return int(count * context.preferences.failed_share)
    return int(count * workflow.bulk_failures) if isinstance(workflow, Workflow) else 0


async def create_run(call: Call, context: Context) -> Reply:
    body: dict[str, Any] = call.body
    await _available_workflow(context, body)
    choices = await load_machine_choices(context, body, body.get("session_id"))
    block = await open_block(context.store)
    number: int = block.value.next_number
    ids = id_row(context.space.key, f"runs {number}", 1)
    session_id = body.get("session_id")
    if session_id is None and body.get("start_session"):
        session_id = ids.id(0)
    batch, writes = _new_batch(context, body, ids, number, session_id, choices)
    await context.store.commit(*writes_of_batches(block, ids.tail), *writes)
    return Reply(201, CreatedRunContent(context.space, batch))


async def check_availability(context: Context, workflow: Workflow | WorkflowRecord) -> None:
    """Raises Unavailable for the first `create_failures` creates of a workflow in its space."""
    if not isinstance(workflow, Workflow) or not workflow.create_failures:
        return
    key = f"creates of {workflow.id}"
    unit = await context.store.load(COUNTER, key)
    failed: int = unit.value or 0
    if failed < workflow.create_failures:
        await context.store.commit(Write(COUNTER, key, failed + 1, unit.version))
        raise Unavailable("The service is not available at the moment; try again", {"Retry-After": "1"})


def _new_batch(
    context: Context, body: Mapping[str, Any], ids: IdRow, number: int, session_id: str | None, choices: MachineChoices
) -> tuple[Batch, list[Write]]:
    writes: list[Write] = []
    if session_id is None and body.keys().isdisjoint(_PLACING):
        placement = _unplaced(drawn_machine(context.world.connected, ids.tail))
    else:
        machine_id = choose_machine(context, body, choices, draw_key=ids.tail)
        if session_id is not None:
            writes.append(session_write(session_id, choices.session, machine_id, Slot(ids.tail, 0, ids.size, 0)))
        placement = Placement(
            machine_id=machine_id,
            pool_ids=json_or_null(body.get("pool_ids")),
            session_id=session_id,
            session_alias=json_or_null(body.get("session_alias")),
            release_session_after=json_or_null(body.get("release_session_after")),
        )
    files: tuple[File, ...] = ()
    file_inputs = body.get("file_inputs")
    if file_inputs:
        check_file_count(context, len(file_inputs))
        contents = decoded_files(file_inputs, where="file_inputs", strict=context.strict)
        files, owners = attachments(context, contents, ids)
        writes += owners
    made, owners = outputs(context, context.world.outputs_of(body["workflow_id"]), ids)
    writes += owners
    batch = Batch(
        ids,
        number,
        context.now,
        context.sim_time,
        intern(body["workflow_id"]),
        placement,
        json_or_null(body.get("input_values")),
        aliases(body.get("sensitive_input_values"), key=context.space.key, owner=ids.tail),
        files,
        script(context),
        made,
    )
    writes.append(Write(BATCH, ids.tail, batch, 0))
    return batch, writes


@lru_cache(maxsize=1024)
def _unplaced(machine_id: str | None) -> Placement:
    """Return the placement of runs without a placement request: one shared object per machine."""
    return Placement(machine_id, NULL, None, NULL, NULL)


class MachineChoices(NamedTuple):
    """What the choice of a machine depends on. `session` is absent for a new session; `pools` are machine ids."""

    session: Unit
    pools: Sequence[Sequence[str]]


async def load_machine_choices(context: Context, body: Mapping[str, Any], session_id: str | None) -> MachineChoices:
    """Load the session and the pools of a create, before `open_block`: what is loaded after it delays its commit.

    Raises NotFound for an unknown machine or pool, if the server accepts only known ones.
    """
    if body.get("machine_id") is not None:
        check_machine(context, body["machine_id"])
    pools: Sequence[Sequence[str]] = ()
    if body.get("pool_ids"):
        pools = [await pool_machines(context, pool_id) async for pool_id in Sliced(dict.fromkeys(body["pool_ids"]))]
    return MachineChoices(ABSENT if session_id is None else await context.store.load(SESSION, session_id), pools)


def choose_machine(context: Context, body: Mapping[str, Any], choices: MachineChoices, *, draw_key: str) -> str | None:
    """Return the machine of the session if it exists, else the requested machine, else one of the pools, by `draw_key`.

    With a `session_id` of a new session, it ignores the requested machine and pools and picks any connected machine.
    """
    if choices.session.value is not None:
        held: Session = choices.session.value
        return held.machine_id
    machine_id: str | None = body.get("machine_id")
    if machine_id is not None and body.get("session_id") is None:
        return machine_id
    return pick_machine(context, () if body.get("session_id") is not None else choices.pools, draw_key)


def session_write(session_id: str, unit: Unit, machine_id: str | None, *slots: Slot) -> Write:
    """Return the write that appends runs to a session, or creates it."""
    session: Session = unit.value or Session((), machine_id)
    return Write(SESSION, session_id, Session(session.slots + slots, session.machine_id), unit.version)


def script(context: Context) -> Script | None:
    preferences = context.preferences
    if preferences.outcome is None and preferences.duration_s is None:
        return None
    duration_s = preferences.duration_s
    return Script(preferences.outcome, None if duration_s is None else int(duration_s * SECOND))


def json_or_null(value: Any) -> bytes:
    return NULL if value is None else render_json(value)
