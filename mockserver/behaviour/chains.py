"""Chains: one run for each of several workflows, created together in one session. Shared values are stored once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from mockserver.behaviour.batch import BATCH, Batch, JSONText, Placement, Slot
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import id_row, one_id
from mockserver.behaviour.input_schema import Inputs, check_inputs
from mockserver.behaviour.ledger import open_block, writes_of_batches
from mockserver.behaviour.new_files import attachments, check_file_count, decoded_files, outputs
from mockserver.behaviour.resources import find_workflow
from mockserver.behaviour.run_creation import (
    check_availability,
    choose_machine,
    json_or_null,
    load_machine_choices,
    script,
    session_write,
)
from mockserver.behaviour.secrets import Aliases, aliases_size, check_names
from mockserver.errors import TooLarge
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call, render_json
from mockserver.state_codec import Shared
from mockserver.store import Write
from mockserver.time_slice import Sliced


@dataclass(frozen=True, slots=True)
class MergedInputs:
    """The shared inputs of a chain, overridden by those of a step: JSON that is rendered on demand."""

    shared: Annotated[Mapping[str, Any], Shared]
    own: Mapping[str, Any]
    size: int
    """The approximate size of the JSON in bytes."""

    def __bytes__(self) -> bytes:
        return render_json({**self.shared, **self.own})

    def __len__(self) -> int:
        return self.size


@dataclass(frozen=True, slots=True)
class _Shared:
    """The values that all steps of a chain share: one object for all of them."""

    inputs: Mapping[str, Any]
    inputs_json: bytes
    sensitive: Mapping[str, Any]
    sensitive_names: tuple[str, ...]
    aliases_size: int

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> _Shared:
        inputs, sensitive = body.get("shared_inputs") or {}, body.get("shared_sensitive_inputs") or {}
        return cls(inputs, json_or_null(inputs or None), sensitive, tuple(sensitive), aliases_size(sensitive))

    def inputs_of(self, step: Mapping[str, Any]) -> JSONText:
        own = step.get("inputs")
        if not own:
            return self.inputs_json
        own_json = render_json(own)
        return MergedInputs(self.inputs, own, len(self.inputs_json) + len(own_json)) if self.inputs else own_json

    def aliases_of(self, step: Mapping[str, Any], key: bytes, owner: str) -> Aliases:
        """Raises TooLarge."""
        own = tuple(step.get("sensitive_inputs") or ())
        check_names(len(self.sensitive_names) + len(own))
        return Aliases(self.sensitive_names, own, key, owner, self.aliases_size + aliases_size(own))


async def create_run_chain(call: Call, context: Context) -> Reply:
    """The inputs of a step override the shared inputs; every step gets the shared files."""
    body: dict[str, Any] = call.body
    steps: list[dict[str, Any]] = body["steps"]
    if len(steps) > context.limits.max_chain_steps:
        raise TooLarge(f"A chain has {context.limits.max_chain_steps} steps at most here, and this one {len(steps)}")
    file_inputs = body.get("shared_file_inputs") or ()
    check_file_count(context, len(file_inputs) * len(steps))
    shared = _Shared.from_body(body)
    await _check_inputs(context, steps, shared)

    key = context.space.key
    contents = decoded_files(file_inputs, where="shared_file_inputs", strict=context.strict)
    choices = await load_machine_choices(context, body, body.get("session_id") or None)
    block = await open_block(context.store)
    first: int = block.value.next_number
    session_id: str = body.get("session_id") or one_id(key, f"session of runs {first}")
    machine_id = choose_machine(context, body, choices, draw_key=session_id)
    keep = bool(body.get("keep_session_after_completion"))
    pool_ids = json_or_null(body.get("pool_ids"))
    writes: list[Write] = []
    batches: list[Batch] = []
    for place, step in enumerate(steps):
        ids = id_row(key, f"runs {first + place}", 1)
        files, owners = attachments(context, contents, ids)
        made, more = outputs(context, context.world.outputs_of(step["workflow_id"]), ids)
        last = place == len(steps) - 1
        placement = Placement(
            machine_id=machine_id,
            pool_ids=pool_ids,
            session_id=session_id,
            session_alias=json_or_null(step.get("session_alias")),
            release_session_after=json_or_null(last and not keep),
        )
        batch = Batch(
            ids=ids,
            number=first + place,
            created=context.now,
            born=context.sim_time,
            workflow_id=step["workflow_id"],
            placement=placement,
            input_values=shared.inputs_of(step),
            aliases=shared.aliases_of(step, key, ids.tail),
            files=files,
            script=script(context),
            outputs=made,
        )
        batches.append(batch)
        writes += [Write(BATCH, ids.tail, batch, 0), *owners, *more]
    slots = (Slot(each.tail, 0, 1, 0) for each in batches)
    writes.append(session_write(session_id, choices.session, machine_id, *slots))
    await context.store.commit(*writes_of_batches(block, *(batch.tail for batch in batches)), *writes)
    run_ids = [batch.ids.id(0) for batch in batches]
    return Reply(201, JSONContent({"session_id": session_id, "run_ids": run_ids}))


async def _check_inputs(context: Context, steps: list[dict[str, Any]], shared: _Shared) -> None:
    """Check each step's inputs by the schema of its workflow.

    Raises Invalid; NotFound for an unknown workflow, if the server accepts only known ones; Unavailable for a workflow
    whose creates fail.
    """
    async for place, step in Sliced(enumerate(steps)):
        workflow = await find_workflow(context, step["workflow_id"])
        if workflow is not None:
            await check_availability(context, workflow)
        if workflow is None or workflow.input_schema is None:
            continue
        at = ("body", "steps", place)
        given = Inputs(
            step.get("inputs"),
            step.get("sensitive_inputs") or {},
            (*at, "inputs"),
            (*at, "sensitive_inputs"),
            chained=True,
            shared_values=shared.inputs,
            shared_secrets=shared.sensitive,
        )
        check_inputs(workflow, given, most=context.limits.max_violations, steps=len(steps))
