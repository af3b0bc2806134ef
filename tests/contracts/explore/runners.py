"""Runners for a target that was discovered, with time for any search."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.core.target import Target
from contracts.engine.discovery import discover
from contracts.engine.runner import Runner
from contracts.guard import Guard
from tests.contracts.checks import TOKENS

LONG_S = 300.0
"""No search takes as long, even on a busy machine: nothing here depends on time."""


def target_at(url: str, *tokens: str, **more: Any) -> Target:
    one, other = tokens or TOKENS
    return Target(url, one, other, allow_writes=True, **({"max_time_s": LONG_S} | more))


@contextmanager
def running(target: Target, folder: Path) -> Iterator[Runner]:
    with Guard(target, journal_dir=folder) as guard:
        yield Runner(discover(target, guard, deadline=time.monotonic() + LONG_S))
