"""The ledger: batches in order of creation, in blocks, so that a list can filter a block without looking inside.

Each new batch is added to the open block; a full block is closed and stored under its number. A change of a run also
commits the block of its batch, with its value unchanged: the new version invalidates the cached statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mockserver.behaviour.batch import Batch
from mockserver.store import SpaceStore, Unit, Write

LEDGER = "ledger"
OPEN = "open"
BLOCK = 64


class Block(NamedTuple):
    """`next_number` follows the number of the block's last batch; `tails` are those of its batches, oldest first."""

    next_number: int
    tails: tuple[str, ...]


_EMPTY_BLOCK = Unit(Block(0, ()), 0)


async def open_block(store: SpaceStore) -> Unit:
    unit = await store.load(LEDGER, OPEN)
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


async def changed(store: SpaceStore, batch: Batch) -> Write:
    """Return the write that gives the batch's block a new version, after a change of its runs."""
    key = batch.block or str(batch.number // BLOCK)
    unit = await store.load(LEDGER, key)
    if not unit.version:
        key, unit = OPEN, await store.load(LEDGER, OPEN)
    return Write(LEDGER, key, unit.value, unit.version)


def block_of_its_own(key: str, tails: tuple[str, ...]) -> Write:
    """Return the write of a separate block for backdated batches, so that the other blocks stay in order."""
    return Write(LEDGER, key, Block(0, tails), 0)


async def blocks(store: SpaceStore) -> Iterator[tuple[str, Unit]]:
    """All blocks with their keys, newest first."""
    units = await store.items(LEDGER)
    return _newest_first(units)


def _newest_first(units: dict[str, Unit]) -> Iterator[tuple[str, Unit]]:
    if OPEN in units:
        yield OPEN, units[OPEN]
    for key in reversed(units):
        if key != OPEN:
            yield key, units[key]
