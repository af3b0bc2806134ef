"""The order in which batches were made, in blocks: so that a list can judge a block of them without a look inside.

The open block takes each new batch; when it is full it is closed under its number. Whoever changes a run commits the
block of its batch too, unchanged: its version then says that what is known of the block no longer holds.
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
    """`next_number` is the number of the next batch, as of the block's last; `tails` name its batches, oldest first."""

    next_number: int
    tails: tuple[str, ...]


_NOTHING_YET = Unit(Block(0, ()), 0)


async def open_block(store: SpaceStore) -> Unit:
    unit = await store.load(LEDGER, OPEN)
    return unit if unit.version else _NOTHING_YET


def entered(unit: Unit, *tails: str) -> list[Write]:
    """What enters new batches, numbered on from the open block's `next_number`."""
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
    """What says that runs of the batch have changed."""
    key = batch.block or str(batch.number // BLOCK)
    unit = await store.load(LEDGER, key)
    if not unit.version:
        key, unit = OPEN, await store.load(LEDGER, OPEN)
    return Write(LEDGER, key, unit.value, unit.version)


def block_of_its_own(key: str, tails: tuple[str, ...]) -> Write:
    """For batches that are older than when they were made: so those of the other blocks stay in their order."""
    return Write(LEDGER, key, Block(0, tails), 0)


async def blocks(store: SpaceStore) -> Iterator[tuple[str, Unit]]:
    """All of them by key, newest first."""
    units = await store.items(LEDGER)
    return _newest_first(units)


def _newest_first(units: dict[str, Unit]) -> Iterator[tuple[str, Unit]]:
    if OPEN in units:
        yield OPEN, units[OPEN]
    for key in reversed(units):
        if key != OPEN:
            yield key, units[key]
