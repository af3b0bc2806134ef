"""Listing runs: filters, search, order and paging. A batch is judged whole wherever it can be, not run by run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from mockserver.behaviour.batch import BATCH, CHANGES, NO_CHANGES, SESSION, UNCHANGED, Batch, Change, Changes
from mockserver.behaviour.context import Context
from mockserver.behaviour.includes import included
from mockserver.behaviour.lifecycle import Life
from mockserver.behaviour.paging import ListContent
from mockserver.behaviour.run_view import ALWAYS_SHOWN, FIELDS, Run, lone_life, run_fields, session_lives, shown
from mockserver.clock import moment_from
from mockserver.reply import Reply
from mockserver.spec import Call

Lives = Mapping[tuple[str, int], Life]


@dataclass(frozen=True, slots=True)
class _Row:
    """Some runs of one batch, by index, in the order in which they are listed."""

    batch: Batch
    changes: Changes
    indices: Sequence[int]


async def list_runs(call: Call, context: Context) -> Reply:
    query = call.query
    search = _Search(context, query)
    first, then = await search.rows(by_activity=query["sort_mode"] == "activity")
    skip, limit = query["skip"], query["limit"]
    total = sum(len(row.indices) for row in chain(first, then))
    picked = list(_slice(chain(first, then), skip, limit))
    wanted = query.get("fields")
    items = []
    runs = []
    for row, indices in picked:
        for index in indices:
            change = row.changes.get(index, UNCHANGED)
            lives = search.lives_of(row.batch, change)
            if wanted is None:
                items.append(shown(context.space, row.batch, index, change, lives, search.lived))
            else:
                items.append(_projected(context, search.run(row.batch, index, change), wanted, search.lived))
            if query.get("include"):
                runs.append(search.run(row.batch, index, change))
    return Reply(200, ListContent(items, total, skip, limit, await included(context, query.get("include"), runs)))


def _projected(context: Context, run: Run, wanted: Sequence[str], lived: int) -> bytes:
    kept = ALWAYS_SHOWN.union(wanted)
    fields = zip(FIELDS, run_fields(context.space, run, lived), strict=True)
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields if name in kept)


def _slice(rows: chain[_Row], skip: int, limit: int) -> list[tuple[_Row, Sequence[int]]]:
    picked: list[tuple[_Row, Sequence[int]]] = []
    for row in rows:
        size = len(row.indices)
        if skip >= size:
            skip -= size
            continue
        indices = row.indices[skip : skip + limit]
        picked.append((row, indices))
        skip, limit = 0, limit - len(indices)
        if limit <= 0:
            break
    return picked


class _Search:
    """One listing: its filters, read once, and what it has loaded."""

    def __init__(self, context: Context, query: dict[str, Any]) -> None:
        self._context = context
        self.lived = context.lived
        self._workflow_id = query.get("workflow_id")
        self._machine_id = query.get("machine_id")
        self._session_id = query.get("session_id")
        self._status = query.get("status")
        self._from = moment_from(query["created_at_from"]) if query.get("created_at_from") else None
        self._to = moment_from(query["created_at_to"]) if query.get("created_at_to") else None
        self._text = (query.get("search") or "").casefold()
        self._deep = query["deep_search"]
        self._lives: dict[str, Lives] = {}

    async def rows(self, *, by_activity: bool) -> tuple[list[_Row], list[_Row]]:
        """The matching runs, newest first: the active and the ended ones apart, or all in the first."""
        store = self._context.store
        batches = await store.items(BATCH)
        changed = await store.items(CHANGES)
        active: list[_Row] = []
        ended: list[_Row] = []
        for tail in reversed(batches):
            batch: Batch = batches[tail].value
            if (
                (self._workflow_id is not None and batch.workflow_id != self._workflow_id)
                or (self._from is not None and batch.created < self._from)
                or (self._to is not None and batch.created > self._to)
            ):
                continue
            changes: Changes = changed[tail].value if tail in changed else NO_CHANGES
            if not changes and not self._placed(batch, UNCHANGED):
                continue
            await self._load_lives(batch, changes)
            indices = self._matching(batch, changes)
            if not indices:
                continue
            if not by_activity:
                active.append(_Row(batch, changes, indices))
                continue
            still, over = self._parted(batch, changes, indices)
            if still:
                active.append(_Row(batch, changes, still))
            if over:
                ended.append(_Row(batch, changes, over))
        return active, ended

    def _placed(self, batch: Batch, change: Change) -> bool:
        placement = change.placement or batch.placement
        return (self._machine_id is None or placement.machine_id == self._machine_id) and (
            self._session_id is None or placement.session_id == self._session_id
        )

    def _matching(self, batch: Batch, changes: Changes) -> Sequence[int]:
        # The later of runs made at one moment first: so a chain reads from its last step to its first, like the rest.
        every = range(batch.ids.count - 1, -1, -1)
        if not changes and self._status is None and not self._text:
            return every
        found = []
        for index in every:
            change = changes.get(index, UNCHANGED)
            if change.deleted is not None or not self._placed(batch, change):
                continue
            if self._status is not None and self.run(batch, index, change).life.status_at(self.lived) != self._status:
                continue
            if self._text and not self._mentions(batch, index, change):
                continue
            found.append(index)
        return found

    def _parted(self, batch: Batch, changes: Changes, indices: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """The active and the ended ones. Where no run of the batch can be the one, or the other, none is looked at."""
        space = self._context.space
        if not changes and batch.placement.session_id is None:
            temper = space.tempers[batch.workflow_id]
            age = self.lived - space.clock.lived(batch.created)
            if age >= space.courses.settled_after(temper, batch):
                return (), indices
            if age < space.courses.active_until(temper, batch):
                return indices, ()
        still: list[int] = []
        over: list[int] = []
        for index in indices:
            run = self.run(batch, index, changes.get(index, UNCHANGED))
            (over if self.lived >= run.life.ended else still).append(index)
        return still, over

    async def _load_lives(self, batch: Batch, changes: Changes) -> None:
        placements = {(change.placement or batch.placement).session_id for change in changes.values()}
        for session_id in {batch.placement.session_id, *placements}:
            if session_id is not None and session_id not in self._lives:
                unit = await self._context.store.load(SESSION, session_id)
                self._lives[session_id] = await session_lives(self._context, session_id, unit)

    def lives_of(self, batch: Batch, change: Change) -> Lives | None:
        session_id = (change.placement or batch.placement).session_id
        return None if session_id is None else self._lives[session_id]

    def run(self, batch: Batch, index: int, change: Change) -> Run:
        lives = self.lives_of(batch, change)
        life = lone_life(self._context.space, batch, index, change) if lives is None else lives[batch.tail, index]
        return Run(batch, index, change, life)

    def _mentions(self, batch: Batch, index: int, change: Change) -> bool:
        run = self.run(batch, index, change)
        if self._text in run.id:
            return True
        values = dict(zip(FIELDS, run_fields(self._context.space, run, self.lived), strict=True))
        names = ("input_values", "output_data", "error", "session_alias")
        return any(
            self._text in value
            for name in (*names, "run_message_history")
            if name in names or self._deep
            for value in _values(values[name])
        )


@lru_cache(maxsize=4096)
def _values(text: bytes) -> tuple[str, ...]:
    """Every value in a JSON text that can be searched, at any depth, case-folded; keys are no values."""
    found: list[str] = []
    waiting = [json.loads(text)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.append(value.casefold())
        elif value is not None:
            found.append(json.dumps(value))
    return tuple(found)
