"""The kinds of units in the store, the type of their values, and how a value is written as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mockserver.behaviour.batch import (
    BATCH,
    CHANGES,
    FILES,
    SESSION,
    Batch,
    Change,
    FileOwner,
    JSONText,
    Session,
    Slot,
)
from mockserver.behaviour.chains import MergedInputs
from mockserver.behaviour.context import Space
from mockserver.behaviour.ids import MAX_ROW_SIZE, GivenIds, IdRow
from mockserver.behaviour.ledger import LEDGER, Block
from mockserver.behaviour.resource_view import PoolView, PoolWithMachines
from mockserver.behaviour.resources import COUNTER, POOL, WORKFLOW, PoolRecord, WorkflowRecord
from mockserver.behaviour.run_view import CreatedContent, CreatedRunContent, RunContent
from mockserver.behaviour.secrets import Aliases
from mockserver.idempotency import KEY as IDEMPOTENCY
from mockserver.idempotency import Use
from mockserver.rate_limit import LIMIT, Window
from mockserver.reply import BytesContent, Content, JSONContent, Reply
from mockserver.spec import render_json
from mockserver.state_codec import Decoder, Encoder, Types

KINDS: Mapping[str, Any] = {
    BATCH: Batch,
    CHANGES: Mapping[int, Change],
    SESSION: Session,
    FILES: FileOwner,
    LEDGER: Block,
    COUNTER: int,
    POOL: PoolRecord,
    WORKFLOW: WorkflowRecord,
    IDEMPOTENCY: Use,
    LIMIT: Window,
}
"""The type of the values of each kind of unit."""
TYPES = Types(
    variants={
        JSONText: (bytes, MergedInputs, Aliases),
        Content: (
            JSONContent,
            BytesContent,
            RunContent,
            CreatedContent,
            CreatedRunContent,
            PoolView,
            PoolWithMachines,
        ),
    },
    implied=(Space,),
    ranges={
        IdRow: {"first": range(1 << 32), "size": range(1, MAX_ROW_SIZE + 1)},
        GivenIds: {"size": range(1, MAX_ROW_SIZE + 1)},
        Slot: {"first": range(MAX_ROW_SIZE), "stop": range(1, MAX_ROW_SIZE + 1)},
        MergedInputs: {"size": range(1 << 62)},
        Aliases: {"size": range(1 << 62)},
        Reply: {"status": range(200, 600)},
    },
)

FOLLOWED = frozenset({LEDGER, SESSION})
"""The kinds that `written_since` is asked for."""
ORDERED = frozenset({IDEMPOTENCY})
"""The kinds that `oldest` is asked for."""


class UnitCodec:
    """Writes the value of each unit as JSON of its own: `[value, shared values]`.

    `space` is what the decoded values belong to. Without one, those that refer to their space cannot be decoded.
    """

    def __init__(self, space: Space | None = None) -> None:
        self._implied = {} if space is None else {Space: space}

    def encode(self, kind: str, value: Any) -> bytes:
        encoder = Encoder(TYPES)
        return render_json([encoder.encode(value, KINDS[kind]), encoder.table])

    def decode(self, kind: str, text: bytes) -> Any:
        value, table = json.loads(text)
        return Decoder(TYPES, table, self._implied).decode(value, KINDS[kind])
