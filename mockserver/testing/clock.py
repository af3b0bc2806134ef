"""Controls the clock of a mock from a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mockserver.testing.control import is_refusal, moment_text

__tracebackhide__ = is_refusal


class MockClock:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self._call("GET", "/clock")["now"])

    @property
    def frozen(self) -> bool:
        return bool(self._call("GET", "/clock")["frozen"])

    @property
    def scale(self) -> float:
        """How many times faster than the clock runs progress. Can be set; 0 stops them."""
        return float(self._call("GET", "/clock")["scale"])

    @scale.setter
    def scale(self, scale: float) -> None:
        self._change(scale=scale)

    def freeze(self, at: datetime | str | None = None) -> datetime:
        """Stop the clock, at the moment `at` if given, and return the moment at which it stands."""
        if at is None:
            return self._change(freeze=True)
        return self._change(freeze=moment_text(at) if isinstance(at, datetime) else at)

    def advance(
        self,
        by: timedelta | str | float | None = None,
        *,
        days: float | None = None,
        hours: float | None = None,
        minutes: float | None = None,
        seconds: float | None = None,
    ) -> datetime:
        """Move the clock forward by exactly this amount, and return the new moment.

        `by` may be a number of seconds, or text such as `20m`, `1h30m` or `250ms`.
        """
        if by is None and days is None and hours is None and minutes is None and seconds is None:
            raise TypeError("advance() needs an amount, such as advance(minutes=20) or advance('1h30m')")
        beside = timedelta(days=days or 0, hours=hours or 0, minutes=minutes or 0, seconds=seconds or 0)
        if isinstance(by, str):
            if beside:
                raise TypeError("advance() takes a text or amounts by name, not both")
            return self._change(advance=by)
        length = by if isinstance(by, timedelta) else timedelta(seconds=by or 0)
        return self._change(advance=(length + beside).total_seconds())

    def resume(self) -> datetime:
        """Let the clock run again, and return the moment from which it continues."""
        return self._change(resume=True)

    def _change(self, **change: Any) -> datetime:
        return datetime.fromisoformat(self._call("POST", "/clock", body=change)["now"])
