"""Whether the target enforces the limit of `count`, which bounds what a create with a huge count can cost."""

import threading
from dataclasses import dataclass, field
from typing import Final

from contracts.guard.admitted_request import AdmittedRequest
from contracts.guard.effect import LARGEST_BULK, Effect

_PROOFS: Final = 3
"""How many different counts must be refused."""
_HARMLESS: Final = frozenset({"workflow_id", "count", "input_values"})
"""The fields of a create that is refused for its count only: nothing else in it can be wrong."""


@dataclass(eq=False)
class CountLimit:
    """Thread-safe. Learns from the answers to creates whose `count` is too large by a little.

    A target that refuses them also refuses a huge count, or reads it as a number within the limit, as a server does
    that keeps the lower 32 bits. In both cases it creates at most LARGEST_BULK runs, until an answer shows more.
    """

    _refused: set[int] = field(default_factory=set)
    _is_exceeded: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def max_runs(self, effect: Effect) -> int:
        """Return the maximum number of runs that a request with this effect could create or retry."""
        if effect.runs <= LARGEST_BULK or not effect.creates:
            return effect.runs
        with self._lock:
            is_enforced = len(self._refused) >= _PROOFS and not self._is_exceeded
        return LARGEST_BULK if is_enforced else effect.runs

    def note(self, admitted: AdmittedRequest) -> None:
        """Learn from the answer to a request."""
        count, exchange = admitted.effect.fields.get("count"), admitted.exchange
        if exchange is None or type(count) is not int or count <= LARGEST_BULK:
            return
        with self._lock:
            if len(admitted.reported) > LARGEST_BULK:
                self._is_exceeded = True
            elif exchange.answer.status in {400, 422} and admitted.effect.fields.keys() <= _HARMLESS:
                self._refused.add(count)
