from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.core.target import Budget, Target
from contracts.guard import Guard
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.rate_limiter import Clock
from tests.contracts.guard.standin import FIRST, SECOND, StandIn


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as standin:
        yield standin


@pytest.fixture
def journal_dir(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@dataclass
class ManualClock:
    """Moves only when somebody sleeps; keeps how long."""

    moment: float = 1000.0
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(round(seconds, 6))
        self.moment += seconds

    @property
    def clock(self) -> Clock:
        start = datetime.now(UTC)
        return Clock(lambda: self.moment, self.sleep, lambda: start + timedelta(seconds=self.moment - 1000))


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock()


OpenGuard = Callable[..., Guard]


@pytest.fixture
def open_guard(server: StandIn, journal_dir: Path, manual: ManualClock) -> Iterator[OpenGuard]:
    """Opens a guard of the stand-in; options are those of Target. Its clock never waits."""
    with ExitStack() as stack:

        def open_(bounds: Bounds = BOUNDS, **options: Any) -> Guard:
            target = Target(**({"url": server.url, "token": FIRST, "second_token": SECOND} | options))
            return stack.enter_context(Guard(target, journal_dir=journal_dir, clock=manual.clock, bounds=bounds))

        yield open_


@pytest.fixture
def guard(open_guard: OpenGuard) -> Guard:
    return open_guard()


@pytest.fixture
def live_guard(open_guard: OpenGuard) -> Guard:
    return open_guard(profile="live", budget=Budget(max_runs=25, max_requests=500), clean_up=True)
