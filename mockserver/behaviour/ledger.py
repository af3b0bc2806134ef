"""The ledger: batches in order of creation, in blocks, so that the index finds what was created or changed.

Each new batch is added to the open block; a full block is closed and stored under its number. A change of a run also
commits the block of its batch, with its value unchanged: the new version tells the index to look at it again.
"""

from __future__ import annotations

from typing import NamedTuple

from mockserver.behaviour.batch import Batch
from mockserver.errors import Conflict
from mockserver.store import SpaceStore, Unit, Write

LEDGER = "ledger"
OPEN = "open"
BLOCK = 64


class Block(NamedTuple):
    """`next_number` follows the number of the block's last batch; `tails` are those of its batches, oldest first.

    For a block of its own, `next_number` is that of the open block when it was made.
    """

    next_number: int
    tails: tuple[str, ...]


_EMPTY_BLOCK = Unit(Block(0, ()), 0)


async def open_block(store: SpaceStore) -> Unit:
    """Return it as after the creates in progress: for a commit that writes it."""
    return _block(await store.load_uncommitted(LEDGER, OPEN))


def _block(unit: Unit) -> Unit:
    return unit if unit.version else _EMPTY_BLOCK


def entered(unit: Unit, *tails: str) -> list[Write]:
    """Return the writes that add new batches, numbered from the open block's `next_number`."""
    number, open_tails = unit.value
    if len(tails) == 1 and (number + 1) % BLOCK:
        return [Write(LEDGER, OPEN, Block(number + 1, open_tails + tails), unit.version)]
    writes: list[Write] = []
    for tail in tails:
        number += 1
        open_tails += (tail,)
        if not number % BLOCK:
            writes.append(Write(LEDGER, str(number // BLOCK - 1), Block(number, open_tails), 0))
            open_tails = ()
    writes.append(Write(LEDGER, OPEN, Block(number, open_tails), unit.version))
    return writes


async def changed(store: SpaceStore, batch: Batch, *, removed: bool = False) -> Write:
    """Return the write that gives the batch's block a new version, after a change of its runs.

    If the batch is `removed`, its tail leaves the block; a closed block without batches is removed too.
    Raises Conflict if the block is closed meanwhile.
    """
    key = batch.block or str(batch.number // BLOCK)
    unit = await store.load(LEDGER, key)
    if not unit.version:
        key, unit = OPEN, await open_block(store)
        if batch.tail not in unit.value.tails:
            # Another server may have added the batch since this one has last loaded the open block.
            unit = _block(await store.load(LEDGER, OPEN))
        if batch.tail not in unit.value.tails:
            # Another commit has closed the block between the two loads. The write would succeed, and miss its block.
            raise Conflict(f"the block of the batch {batch.number} has been closed meanwhile")
    block: Block = unit.value
    if removed:
        block = Block(block.next_number, tuple(tail for tail in block.tails if tail != batch.tail))
    return Write(LEDGER, key, block if block.tails or key == OPEN else None, unit.version)


async def block_of_its_own(store: SpaceStore, key: str, tails: tuple[str, ...]) -> Write:
    """Return the write of a separate block for backdated batches, so that the other blocks stay in order."""
    unit = await store.load(LEDGER, OPEN)
    return Write(LEDGER, key, Block(unit.value.next_number if unit.version else 0, tails), 0)
