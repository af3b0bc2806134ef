"""Work in threads: in parallel, all started at the same time, and the number of creates in flight."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from contracts.guard.refusals import NotAllowed

WORKERS: Final = 8
T = TypeVar("T")
R = TypeVar("R")


def in_threads(do: Callable[[T], object], items: Iterable[T]) -> None:
    """Call `do` for every item, in up to `WORKERS` threads.

    The first error stops the other threads after their current item and is raised. Ctrl-C is raised at once.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                do(item)
            except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(WORKERS, waiting.qsize()))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as interruption:
        errors.append(interruption)
        raise
    if errors:
        raise errors[0]


class _Group:
    """Requests that are sent at the same time. If one of them cannot be sent, the waiting ones are not sent either.

    One thread sends for all: threads that wake up one after the other would send too far apart. It does so in a random
    order, since a target may handle them as they arrive, and a fault may need any of them to be the last.
    """

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, action=self._send_all)
        self.sends: list[Callable[[], None]] = []

    def _send_all(self) -> None:
        random.shuffle(self.sends)
        for send in self.sends:
            send()


@dataclass
class GroupStart:
    """The start of one request of a group, `delay_s` after the others are ready."""

    group: _Group
    delay_s: float
    has_passed: bool = False

    def send(self, send: Callable[[], None]) -> bool:
        """Call `send`, which must not raise, when all requests of the group are ready and the delay is over. Return
        False, without the call, if one of them cannot be sent.
        """
        if not self.delay_s:
            self.group.sends.append(send)
        try:
            self.group.barrier.wait()
        except threading.BrokenBarrierError:
            return False
        self.has_passed = True
        if self.delay_s:
            time.sleep(self.delay_s)
            send()
        return True


def all_at_once(
    do: Callable[[T, GroupStart], R], items: Sequence[T], *, over_s: float = 0.0
) -> list[R | BaseException]:
    """Call `do` for all items at the same time, or one after the other within `over_s`, without waiting for any to
    return. Return what each call returned or raised, in the order of the items.
    """
    group = _Group(len(items))
    outcomes: dict[int, R | BaseException] = {}

    def work(position: int, item: T) -> None:
        start = GroupStart(group, over_s * position / len(items))
        try:
            outcomes[position] = do(item, start)
        except BaseException as error:  # noqa: BLE001  the caller raises it
            outcomes[position] = error
        finally:
            if not start.has_passed:
                group.barrier.abort()

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in enumerate(items)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[position] for position in range(len(items))]


class InFlight:
    """A context manager that each create holds while it is in flight. Entering raises NotAllowed after `close`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._closed:
                raise NotAllowed("cleaning up has begun: nothing more is created")
            self._count += 1

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def close(self, *, wait_s: float) -> None:
        """Block new creates, and wait for those in flight, `wait_s` at most."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._count == 0, timeout=wait_s)
