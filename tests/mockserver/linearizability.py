"""Whether a history of concurrent operations on one object has an order that explains every answer.

An operation takes effect at one moment between its call and its return. One without an answer (its connection broke, or
it was answered with 503) may take effect at any moment after its call, or never. The search is that of Wing and Gong,
with the states that it has seen: small histories of one object at a time (Herlihy and Wing: this is enough).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

Step = Callable[[Any, Any], tuple[Any, Hashable]]
"""Takes a request and a state; returns the answer that a correct server gives, and the state after it."""


class Operation(NamedTuple):
    """`answer` is None if there was none, and then `returned` is infinite."""

    called: float
    returned: float
    request: Any
    answer: Any = None


def unanswered(called: float, request: Any) -> Operation:
    return Operation(called, math.inf, request)


def is_linearizable(history: Sequence[Operation], state: Hashable, step: Step) -> bool:
    every = sorted(history, key=lambda each: each.called)
    seen: set[tuple[frozenset[int], Hashable]] = set()
    waiting: list[tuple[frozenset[int], Hashable]] = [(frozenset(range(len(every))), state)]
    while waiting:
        left, state = waiting.pop()
        if all(every[place].answer is None for place in left):
            return True
        if (left, state) in seen:
            continue
        seen.add((left, state))
        # Only an operation that was called before each other one had returned may be next.
        first_return = min(every[place].returned for place in left)
        for place in left:
            operation = every[place]
            if operation.called > first_return:
                continue
            answer, after = step(operation.request, state)
            if operation.answer is None or operation.answer == answer:
                waiting.append((left - {place}, after))
    return False
