"""What happens in a namespace, for those who watch it: requests, runs that change, faults, the clock."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

_MOST_WAITING = 1_000


class Event(NamedTuple):
    type: str
    content: dict[str, Any]


class Subscription:
    """The events of one watcher, from when it came. One that does not keep up loses some, and is told how many."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_MOST_WAITING)
        self._lost = 0

    def put(self, event: Event) -> None:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._lost += 1

    async def next(self) -> Event:
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event("lost", {"events": lost})
        return await self._queue.get()


class Events:
    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def __bool__(self) -> bool:
        """Whether anybody watches: nothing has to be made for nobody."""
        return bool(self._subscriptions)

    def publish(self, type_: str, content: dict[str, Any]) -> None:
        for subscription in self._subscriptions:
            subscription.put(Event(type_, content))

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
