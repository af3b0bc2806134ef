"""Seeds: creates runs with any status and age, as if clients had created them before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mockserver.behaviour.batch import BATCH, CHANGES, TERMINAL, UNCHANGED, Batch, Change, Placement, Script
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import GivenIds, Ids, head_of, id_row, tail_of
from mockserver.behaviour.ledger import block_of_its_own
from mockserver.behaviour.new_files import outputs
from mockserver.behaviour.resources import COUNTER, check_machine, drawn_machine, find_workflow
from mockserver.behaviour.run_control import with_move
from mockserver.behaviour.run_creation import json_or_null
from mockserver.behaviour.run_results import NULL
from mockserver.behaviour.world import Output
from mockserver.clock import text_of
from mockserver.errors import Conflict, TooLarge, Unprocessable
from mockserver.store import UnitStore, Write
from mockserver.time_slice import Sliced

_COUNTER = "seeds"
_MAX_RUNS = 10_000
_MAX_OUTPUTS = 10_000


@dataclass(frozen=True, slots=True)
class Seed:
    """Runs that differ only in their ids. Times are moments; `fields` override the values that the API would show.

    Without `status` the runs progress from `created` on, like any run. Without `ids`, `count` runs are created.
    """

    workflow_id: str
    organisation: str | None = None
    count: int = 1
    ids: tuple[str, ...] = ()
    status: str | None = None
    script: Script | None = None
    created: int | None = None
    started: int | None = None
    ended: int | None = None
    machine_id: str | None = None
    input_values: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[Output] = ()


class SeedError(Unprocessable):
    """`place` is the position of the seed in the list of them."""

    def __init__(self, place: int, problem: str) -> None:
        super().__init__(f"runs[{place}]: {problem}")
        self.place = place
        self.problem = problem


def check_seeds(seeds: Sequence[Seed]) -> None:
    """Raises Unprocessable or TooLarge for seeds that contradict each other, whatever is stored already."""
    if sum(len(seed.ids) or seed.count for seed in seeds) > _MAX_RUNS:
        raise TooLarge(f"{_MAX_RUNS} runs at most are seeded at once")
    # Runs with generated ids share the outputs of their seed. Those with given ids may have them one by one.
    outputs_in_all = sum(len(seed.outputs) * max(1, len(seed.ids)) for seed in seeds)
    if outputs_in_all > _MAX_OUTPUTS:
        raise TooLarge(f"{_MAX_OUTPUTS} outputs at most are seeded at once, and these runs have {outputs_in_all}")
    owners: dict[tuple[str, str | None], int] = {}
    for at, seed in enumerate(seeds):
        if len(set(seed.ids)) < len(seed.ids):
            raise SeedError(at, "duplicate id in ids")
        if seed.status is None and seed.ended is not None:
            raise SeedError(at, "ended_at is given: say with which status the run ended")
        for id_ in seed.ids:
            if owners.setdefault((tail_of(id_), seed.organisation), at) != at:
                raise SeedError(at, _tail_conflict(id_))


def _tail_conflict(id_: str) -> str:
    return f"id {id_} equals the id of another run from the first dash on; only runs of one item may share that part"


def check_moments(seeds: Sequence[Seed], now: int) -> None:
    """Raises Unprocessable for times in the future or in the wrong order."""
    for at, seed in enumerate(seeds):
        moments = {"created_at": seed.created, "started_at": seed.started}
        if seed.status in TERMINAL:
            moments["ended_at"] = seed.ended
        for name, moment in moments.items():
            if moment is not None and moment > now:
                raise SeedError(at, f"{name} is later than the clock of this namespace ({text_of(now)})")
        created = now if seed.created is None else seed.created
        in_order = [("created_at", created), ("started_at", seed.started), ("ended_at", seed.ended)]
        given = [(name, moment) for name, moment in in_order if moment is not None]
        for (name, moment), (next_name, next_moment) in pairwise(given):
            if next_moment < moment:
                what = f"{next_name} is earlier than {name}"
                if name == "created_at" and seed.created is None:
                    what += f", which is now by default ({text_of(now)}): give created_at too"
                raise SeedError(at, what)


async def is_seeded(store: UnitStore) -> bool:
    return (await store.load(COUNTER, _COUNTER)).version > 0


async def prepare(context: Context, seeds: Sequence[Seed]) -> tuple[list[Sequence[str]], list[Write]]:
    """Return the ids of the runs of each seed, and the writes that create them in the space of the context.

    Raises Conflict for given ids that are in use, and NotFound for an unknown workflow or machine if the server accepts
    only known ones.
    """
    counter = await context.store.load(COUNTER, _COUNTER)
    number: int = counter.value or 0
    block = f"{_COUNTER} {number}"
    ids_by_seed: list[Sequence[str]] = []
    tails: list[str] = []
    writes: list[Write] = []
    async for seed in Sliced(seeds):
        await find_workflow(context, seed.workflow_id)
        if seed.machine_id is not None:
            check_machine(context, seed.machine_id)
        created = context.now if seed.created is None else seed.created
        ids: list[str] = []
        async for row in Sliced(_rows(context, seed, number)):
            while (await context.store.load(BATCH, row.tail)).version:
                if seed.ids:
                    raise Conflict(_tail_conflict(row.id(0)))
                # Another server has used the number meanwhile, or a seed has given these ids.
                number += 1
                row = _generated(context, seed, number)
            number += 1
            tails.append(row.tail)
            batch, owners = _batch(context, seed, row, number, created, block)
            changes = {place: _change(context, seed, batch, place) for place in range(row.size)}
            changes = {place: change for place, change in changes.items() if change != UNCHANGED}
            writes += [Write(BATCH, row.tail, batch, 0), *owners]
            if changes:
                writes.append(Write(CHANGES, row.tail, changes, 0))
            ids += [row.id(place) for place in range(row.size)]
        ids_by_seed.append(seed.ids or ids)
    writes += [
        Write(COUNTER, _COUNTER, number, counter.version),
        await block_of_its_own(context.store, block, tuple(tails)),
    ]
    return ids_by_seed, writes


def _rows(context: Context, seed: Seed, number: int) -> Iterator[Ids]:
    if not seed.ids:
        yield _generated(context, seed, number)
        return
    heads: dict[str, list[str]] = {}
    for id_ in seed.ids:
        heads.setdefault(tail_of(id_), []).append(head_of(id_))
    for tail, given in heads.items():
        yield GivenIds(tail, tuple(given))


def _generated(context: Context, seed: Seed, number: int) -> Ids:
    return id_row(context.space.key, f"seeds {number}", seed.count)


def _batch(
    context: Context, seed: Seed, ids: Ids, number: int, created: int, block: str
) -> tuple[Batch, Sequence[Write]]:
    # The seed's output files replace those of the workflow.
    files, owners = outputs(context, seed.outputs or context.world.outputs_of(seed.workflow_id), ids)
    machine_id = seed.machine_id or drawn_machine(context.world.connected, ids.tail)
    batch = Batch(
        ids=ids,
        number=number,
        created=created,
        born=context.sim_time - (context.now - created),
        workflow_id=seed.workflow_id,
        placement=Placement(machine_id, NULL, None, NULL, NULL),
        input_values=json_or_null(seed.input_values),
        aliases=NULL,
        files=(),
        script=seed.script,
        outputs=() if seed.outputs else files,
        given=files if seed.outputs else (),
        seeded=context.sim_time,
        block=block,
    )
    return batch, owners


def _change(context: Context, seed: Seed, batch: Batch, place: int) -> Change:
    """Return the change that gives a run the fields and the status of its seed."""
    fields = {name: json_or_null(value) for name, value in seed.fields.items()}
    moments = {"started_at": seed.started, "ended_at": seed.ended}
    fields |= {name: json_or_null(text_of(moment)) for name, moment in moments.items() if moment is not None}
    change = Change(fields=fields) if fields else UNCHANGED
    if seed.started is not None and seed.status != "scheduling":
        change = with_move(context, batch, place, change, "running", batch.born + seed.started - batch.created)
    if seed.status is None:
        return change
    at = context.sim_time
    if seed.status in TERMINAL:
        if seed.ended is not None:
            at = batch.born + seed.ended - batch.created
        else:
            # End it at the end of its schedule, but not later than now.
            at = min(at, context.space.timeline(batch, place, change).ended)
    return with_move(context, batch, place, change, seed.status, at)
