"""Events of a namespace, for its subscribers: requests, changed runs, faults, the clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_MAX_WAITING = 1_000
_MAX_WAITING_BYTES = 262_144
"""The default of `max_response_buffer`: there may be a thousand readers, each with different events."""
SMALL_BYTES = 256
"""The size of an event without long texts."""


class Event:
    """One event, the same object for all subscribers."""

    __slots__ = ("_text", "content", "size", "type")

    def __init__(self, type_: str, content: Any, size: int = SMALL_BYTES) -> None:
        """`content` is JSON, or an `Entry` of the journal if the event is a request. `size`: about that of its text."""
        self.type = type_
        self.content = content
        self.size = size
        self._text: bytes | None = None

    def rendered(self, render: Callable[[str, Any], bytes]) -> bytes:
        """Return the text of the event. It is rendered once: there may be hundreds of subscribers."""
        if self._text is None:
            self._text = render(self.type, self.content)
        return self._text


class Subscription:
    """Queues events from its creation on. If it is read too slowly, it loses events and reports how many."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._lost = 0
        self._changed = asyncio.Event()
        self.is_closed = False

    def put(self, event: Event) -> None:
        if len(self._waiting) < _MAX_WAITING and self._bytes + event.size <= _MAX_WAITING_BYTES:
            self._waiting.append(event)
            self._bytes += event.size
        else:
            self._lost += 1
        self._changed.set()

    def close(self) -> None:
        self.is_closed = True
        self._changed.set()

    async def read(self, timeout_s: float) -> list[Event]:
        """Wait for an event, the timeout or `close`, and return all queued events, if any."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        if not self.is_closed:
            self._changed.clear()
        events = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        if self._lost:
            events.append(Event("lost", {"events": self._lost}))
            self._lost = 0
        return events


class Events:
    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def __bool__(self) -> bool:
        """Whether there is a subscriber: without one, no event has to be made."""
        return bool(self._subscriptions)

    def __len__(self) -> int:
        """The number of subscribers."""
        return len(self._subscriptions)

    def publish(self, type_: str, content: Any, size: int = SMALL_BYTES) -> None:
        event = Event(type_, content, size)
        for subscription in self._subscriptions:
            subscription.put(event)

    def close(self) -> None:
        """Close all subscriptions: nothing will be published any more."""
        for subscription in self._subscriptions:
            subscription.close()

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
