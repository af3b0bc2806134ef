"""Limits the requests in progress whose clients have left."""

from __future__ import annotations

import asyncio


class AbandonedRequests:
    """The requests whose clients have left. They are handled to their end, as by the real server.

    Past `most` of them, the oldest is cancelled: a delay may be long, or never end while a clock is frozen.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they were abandoned

    def add(self, task: asyncio.Task[None]) -> None:
        if task.done():
            return
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        if len(self._tasks) > self._most:
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            oldest.cancel()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
