"""The ledger: batches in order of creation, in blocks, so that the index finds what was created or changed.

Each new batch is added to the open block; a full block is closed and stored under its number. A change of a run also
commits the block of its batch, with its value unchanged: the new version tells the index to look at it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from mockserver.behaviour.batch import Batch
from mockserver.errors import VersionConflict
from mockserver.store import Unit, UnitStore, Write

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


async def open_block(store: UnitStore) -> Unit:
    """Return the open block, including creates in progress. Use it only to write the block."""
    return _block(await store.load_uncommitted(LEDGER, OPEN))


def _block(unit: Unit) -> Unit:
    return unit if unit.version else _EMPTY_BLOCK


def writes_of_batches(unit: Unit, *tails: str) -> list[Write]:
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


async def write_of_change(store: UnitStore, batch: Batch) -> Write:
    """Return the write that gives the batch's block a new version, after a change of its runs.

    Raises VersionConflict if the block is closed or the batch removed meanwhile.
    """
    key, unit = await _block_of(store, batch)
    return Write(LEDGER, key, unit.value, unit.version)


async def writes_of_removal(store: UnitStore, batches: Iterable[Batch]) -> list[Write]:
    """Return the writes that take batches out of their blocks; a closed block without batches is removed too.

    Raises VersionConflict if a block is closed or a batch removed meanwhile.
    """
    by_block: defaultdict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_block[_key(batch)].append(batch)
    units: dict[str, Unit] = {}
    gone: set[str] = set()
    for in_block in by_block.values():
        key, unit = await _block_of(store, *in_block)
        units[key] = unit
        gone.update(batch.tail for batch in in_block)
    writes: list[Write] = []
    for key, unit in units.items():
        tails = tuple(tail for tail in unit.value.tails if tail not in gone)
        block = Block(unit.value.next_number, tails) if tails or key == OPEN else None
        writes.append(Write(LEDGER, key, block, unit.version))
    return writes


def _key(batch: Batch) -> str:
    """The key that the batch's block has once it is closed."""
    return batch.block or str(batch.number // BLOCK)


async def _block_of(store: UnitStore, *batches: Batch) -> tuple[str, Unit]:
    """Return the block of batches that belong to the same one, and its key.

    Raises VersionConflict if it is closed meanwhile, or one of them is removed: whoever commits the block then knows
    that they are still there. The version of their changes does not show it: that of absent changes is always 0.
    """
    key = _key(batches[0])
    tails = {batch.tail for batch in batches}
    unit = await store.load(LEDGER, key)
    if not unit.version:
        key, unit = OPEN, await open_block(store)
        if not tails.issubset(unit.value.tails):
            # Another server may have added a batch since this one has last loaded the open block.
            unit = _block(await store.load(LEDGER, OPEN))
    if not tails.issubset(unit.value.tails):
        # If another commit has closed the block between the two loads, the write would succeed, and miss its block.
        raise VersionConflict(f"the batch {batches[0].number} was removed, or its block closed, meanwhile")
    return key, unit


async def block_of_its_own(store: UnitStore, key: str, tails: tuple[str, ...]) -> Write:
    """Return the write of a separate block for backdated batches, so that the other blocks stay in order."""
    unit = await store.load(LEDGER, OPEN)
    return Write(LEDGER, key, Block(unit.value.next_number if unit.version else 0, tails), 0)
