"""Rate limits: a number of requests per organisation in each fixed window of the namespace's clock."""

from __future__ import annotations

from dataclasses import dataclass

from mockserver.clock import SECOND
from mockserver.errors import TooManyRequests
from mockserver.reply import RATE_LIMITED
from mockserver.settings import RateLimit
from mockserver.store import UnitStore, Write, retried

LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Window:
    """`started` is a moment."""

    started: int
    used: int


async def count_request(store: UnitStore, rate: RateLimit, now: int) -> dict[str, str]:
    """Count one request, and return the rate-limit headers. Raises TooManyRequests or TooManyConflicts."""
    size = rate.window_s * SECOND
    started = now - now % size

    async def count() -> dict[str, str]:
        unit = await store.load_uncommitted(LIMIT, "window")
        window: Window | None = unit.value
        used = window.used if window is not None and window.started == started else 0
        reset_s = -(-(started + size - now) // SECOND)
        headers = {
            "X-RateLimit-Limit": str(rate.limit),
            "X-RateLimit-Remaining": str(max(0, rate.limit - used - 1)),
            "X-RateLimit-Reset": str((started + size) // SECOND),
        }
        if used >= rate.limit:
            raise TooManyRequests(RATE_LIMITED, {"Retry-After": str(reset_s), **headers})
        await store.commit(Write(LIMIT, "window", Window(started, used + 1), unit.version, started + size))
        return headers

    return await retried(count)
