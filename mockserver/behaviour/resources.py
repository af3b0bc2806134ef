"""Looks up what a create refers to: workflows, machines and pools, of the world and of the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from mockserver.behaviour.context import Context
from mockserver.behaviour.world import Machine, Workflow
from mockserver.errors import NotFound
from mockserver.state_codec import SharedIfLong

COUNTER = "counter"
POOL = "pool"
WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A pool that this organisation created, or a pool of the world that it has changed.

    `parameters` is JSON; `created` and `updated` are moments.
    """

    id: str
    name: Annotated[str, SharedIfLong]
    description: Annotated[str | None, SharedIfLong]
    machine_ids: Annotated[tuple[str, ...], SharedIfLong]
    parameters: bytes
    created: int
    updated: int


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """A workflow that this organisation created. `shown` is its JSON in the API."""

    id: str
    name: str | None
    input_schema: Mapping[str, Any] | None
    shown: bytes


async def find_workflow(context: Context, workflow_id: str) -> Workflow | WorkflowRecord | None:
    """Return None for an unknown workflow. Raises NotFound for it if the server accepts only known ones."""
    known = context.world.workflows.get(workflow_id)
    if known is not None:
        return known
    record: WorkflowRecord | None = (await context.store.load(WORKFLOW, workflow_id)).value
    if record is None and context.known_only:
        raise NotFound(f"Workflow {workflow_id} not found")
    return record


async def pool_machines(context: Context, pool_id: str) -> Sequence[str]:
    """Return the ids of a pool's machines, or no ids for an unknown pool.

    Raises NotFound for an unknown pool if the server accepts only known ones.
    """
    record: PoolRecord | None = (await context.store.load(POOL, pool_id)).value
    if record is not None:
        return record.machine_ids
    pool = context.world.pools.get(pool_id)
    if pool is None and context.known_only:
        raise NotFound(f"Pool {pool_id} not found")
    return pool.machine_ids if pool is not None else ()


def check_machine(context: Context, machine_id: str) -> None:
    """Raises NotFound for an unknown machine if the server accepts only known ones."""
    if context.known_only and machine_id not in context.world.machines:
        raise NotFound(f"Machine {machine_id} not found")


def pick_machine(context: Context, pools: Sequence[Sequence[str]], draw_key: str) -> str | None:
    """Return a connected machine that belongs to all the pools, or None if there is none.

    `draw_key` seeds the choice: it must end in eight hex digits.
    """
    machines: Sequence[Machine] = context.world.connected
    for members in pools:
        if machines:
            machines = [each for each in machines if each.id in members]
    return drawn_machine(machines, draw_key)


def drawn_machine(machines: Sequence[Machine], draw_key: str) -> str | None:
    """Return the id of the machine that the last eight hex digits of `draw_key` select, or None if there is none."""
    return machines[int(draw_key[-8:], 16) % len(machines)].id if machines else None
