"""What an operation of the control API is given beside its call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mockserver.clock import Clock, text_of
from mockserver.faults import FaultReader
from mockserver.namespaces import Namespace, Namespaces
from mockserver.reply import Reply
from mockserver.settings import Settings
from mockserver.spec import Call, Masker, Operation


@dataclass(frozen=True, slots=True)
class Server:
    """What there is of the mock, once for all namespaces. `operations` are those of the API that is mocked."""

    settings: Settings
    operations: Mapping[str, Operation]
    namespaces: Namespaces
    masker: Masker
    fault_reader: FaultReader
    started_at: float
    reset: Callable[[str], None]
    """Makes a namespace as it was at the start."""


class AdminContext(NamedTuple):
    server: Server
    namespace: Namespace


Handler = Callable[[Call, AdminContext], Awaitable[Reply]]


def clock_json(clock: Clock) -> dict[str, object]:
    return {"now": text_of(clock.now()), "scale": clock.scale, "frozen": clock.is_frozen}
