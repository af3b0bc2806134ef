"""What a handler of the control API gets in addition to the call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.types import Scope

from mockserver.answer_budget import AnswerBudget
from mockserver.behaviour.context import NO_PREFERENCES, Context, MakeContext
from mockserver.behaviour.world import World
from mockserver.clock import Clock, text_of
from mockserver.events import Subscription
from mockserver.faults import FaultParser
from mockserver.memory_limit import MemoryLimit
from mockserver.namespaces import Namespace, Namespaces
from mockserver.reply import LARGE_BYTES, Reply
from mockserver.settings import Settings
from mockserver.spec import Call, Masker, Operation
from mockserver.state import States
from mockserver.suggestions import NearPaths
from mockserver.time_slice import Sliced


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What all namespaces of the mock share. `operations` are those of the mocked API."""

    settings: Settings
    operations: Mapping[str, Operation]
    near_paths: NearPaths
    namespaces: Namespaces
    masker: Masker
    fault_parser: FaultParser
    started_at: float
    states: States
    make_context: MakeContext
    world: World
    default_organisation: str
    """The organisation of seeded runs that do not name one."""
    seeded: Collection[str]
    """The organisations that have runs in each namespace from the start."""
    answer_budget: AnswerBudget
    """The memory of the journal entries and the large runs in answers that clients have not read yet."""
    memory_limit: MemoryLimit
    journal_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an entry of a journal is rendered."""
    watchers: set[Subscription] = field(default_factory=set)
    """The subscriptions to the events of all namespaces."""
    run_watch_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the watcher that is reading the runs."""


class HeldMemory:
    """The memory that the answer to a request takes until it is sent, within the budget of all large answers."""

    def __init__(self, budget: AnswerBudget, scope: Scope) -> None:
        self._budget = budget
        self._scope = scope
        self._size = 0

    async def take(self, size: int) -> None:
        """Wait until clients have read enough of the large answers before it. Raises Unavailable.

        If an answer is large before it is rendered, its handler calls this before it makes the answer.
        """
        if size > LARGE_BYTES and not self._size:
            self._size = await self._budget.take_for(self._scope, size)

    async def send(self, sending: Awaitable[None]) -> None:
        await (self._budget.send(sending, self._scope) if self._size else sending)

    def give_back(self) -> None:
        self._budget.give_back(self._size)


class AdminContext(NamedTuple):
    dependencies: Dependencies
    namespace: Namespace
    scope: Scope
    memory: HeldMemory

    async def context_of(self, organisation: str) -> Context:
        """Return the context of an organisation. Raises Unavailable."""
        space = self.namespace.spaces.get(organisation)
        if space is None:
            space = await self.dependencies.namespaces.space(self.namespace, organisation)
        return self.dependencies.make_context(space, NO_PREFERENCES, self.namespace.clock.read(), self.scope)

    async def contexts(self) -> list[Context]:
        """Return the contexts of all organisations that were used in the namespace, or were seeded at the start."""
        organisations = await self.dependencies.namespaces.organisations(self.namespace)
        every = dict.fromkeys((*self.dependencies.seeded, *organisations))
        return [await self.context_of(organisation) async for organisation in Sliced(every)]


Handler = Callable[[Call, AdminContext], Awaitable[Reply]]


def clock_json(clock: Clock) -> dict[str, object]:
    return {"now": text_of(clock.now()), "scale": clock.scale, "frozen": clock.is_frozen}
