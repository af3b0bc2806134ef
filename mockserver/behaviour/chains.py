"""Chains: a row of workflows in one session, one run each, created together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mockserver.behaviour.batch import BATCH, SESSION, Batch, Placement, Slot
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import id_row, one_id
from mockserver.behaviour.input_schema import Inputs, check_inputs
from mockserver.behaviour.ledger import entered, open_block
from mockserver.behaviour.places import workflow
from mockserver.behaviour.run_creation import attachments, choose_machine, joined, json_or_null, script
from mockserver.behaviour.secrets import aliases
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call
from mockserver.store import Write


@dataclass(frozen=True, slots=True)
class _Step:
    workflow_id: str
    alias: bytes
    inputs: dict[str, Any]
    sensitive: dict[str, Any]


async def create_run_chain(call: Call, context: Context) -> Reply:
    """A step's own inputs lie over the shared ones; the shared files go with every step."""
    body: dict[str, Any] = call.body
    steps = [_step(each, body) for each in body["steps"]]
    for place, step in enumerate(steps):
        known = await workflow(context, step.workflow_id)
        at = ("body", "steps", place)
        check_inputs(
            known, Inputs(step.inputs, step.sensitive, (*at, "inputs"), (*at, "sensitive_inputs"), chained=True)
        )

    key = context.space.key
    block = await open_block(context.store)
    first: int = block.value.next_number
    session_id: str = body.get("session_id") or one_id(key, f"session of runs {first}")
    session = await context.store.load(SESSION, session_id)
    machine_id = await choose_machine(context, body, session, lot=session_id)
    keep = bool(body.get("keep_session_after_completion"))
    writes: list[Write] = []
    batches: list[Batch] = []
    for place, step in enumerate(steps):
        ids = id_row(key, f"runs {first + place}", 1)
        files, owners = attachments(context, body.get("shared_file_inputs"), ids, where="shared_file_inputs")
        last = place == len(steps) - 1
        placement = Placement(
            machine_id=machine_id,
            pool_ids=json_or_null(body.get("pool_ids")),
            session_id=session_id,
            session_alias=step.alias,
            release_session_after=json_or_null(last and not keep),
        )
        batch = Batch(
            ids=ids,
            number=first + place,
            created=context.now,
            workflow_id=step.workflow_id,
            placement=placement,
            input_values=json_or_null(step.inputs or None),
            aliases=aliases(step.sensitive, key=key, owner=ids.tail),
            files=files,
            script=script(context),
        )
        batches.append(batch)
        writes += [Write(BATCH, ids.tail, batch, 0), *owners]
    writes.append(joined(session_id, session, machine_id, *(Slot(each.tail, 0, 1, 0) for each in batches)))
    await context.store.commit(*entered(block, *(batch.tail for batch in batches)), *writes)
    run_ids = [batch.ids.id(0) for batch in batches]
    return Reply(201, JSONContent({"session_id": session_id, "run_ids": run_ids}))


def _step(step: dict[str, Any], body: dict[str, Any]) -> _Step:
    return _Step(
        step["workflow_id"],
        json_or_null(step.get("session_alias")),
        {**(body.get("shared_inputs") or {}), **(step.get("inputs") or {})},
        {**(body.get("shared_sensitive_inputs") or {}), **(step.get("sensitive_inputs") or {})},
    )
