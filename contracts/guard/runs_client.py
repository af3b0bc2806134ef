"""The guard's own requests: to look up ids, to clean up, and to count the runs that are left."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import Remedy
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.created import run_id_in
from contracts.guard.identity import CREATION_WINDOW_S, clock_offset_of
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Lost, Upstream

NEWEST: Final = 100
"""How many of the newest runs `newest` reads."""
_PAGE: Final = 1000
_MAX_PAGES: Final = 1000
_NOT_OFFERED: Final = frozenset({404, 405, 410, 501})
"""The statuses of GET /v1/runs by which a target says that it has no list of runs."""
_MAX_SHARED_PAGES: Final = 10
"""The limit if others use the target too, since the list may contain any number of their runs."""
_DEAD_AFTER: Final = 20
"""Consecutive requests without an answer after which the target counts as dead."""
_SILENT_AFTER: Final = 3
_SILENT_S: Final = 30.0
"""`_SILENT_AFTER` unanswered requests are enough if this time has passed: each may take the whole read timeout."""

Run = Mapping[str, Any]


@dataclass(eq=False)
class RunsClient:
    """Thread-safe."""

    upstream: Upstream
    tokens: Tokens
    rate_limiter: RateLimiter
    clock: Clock
    is_shared: bool = field(kw_only=True)
    """Whether others use the target too."""
    charge: Callable[[], bool] = lambda: True
    """Charges one request, and returns whether the budget allows it."""
    left_s: Callable[[str], float] = lambda _: float("inf")
    """Returns the time left for a request with the given method."""
    record: Callable[[Exchange], None] = lambda _: None
    """Receives each exchange, with the tokens masked."""
    bounds: Bounds = BOUNDS
    no_list: int | None = None
    """The status of GET /v1/runs, if the target has no list of runs."""
    _unanswered: int = 0
    _silent_since: float | None = None
    _clock_offset: timedelta | None = None

    @property
    def clock_offset(self) -> timedelta:
        """How far the target's clock is ahead of ours, by the Date of its answers."""
        return self._clock_offset or timedelta()

    def request(
        self,
        method: str,
        path: str,
        authorization: str | None,
        body: bytes | None = None,
        *,
        is_recorded: bool = True,
    ) -> Answer:
        """Send a request; wait and retry after 429. Returns the 429 if the retries are used up or the wait is too long.
        Thousands of requests that count runs are not recorded: they would replace the exchanges of the check.

        Raises NoAnswer, also without sending if the target seems dead, and OutOfBudget.
        """
        began_at = self.clock.monotonic()
        if self._seems_dead(began_at):
            raise NoAnswer(f"{method} {path}: not sent, since the target has not answered {self._unanswered} times")
        headers = (("Authorization", authorization),) if authorization is not None else ()
        if body is not None:
            headers = (*headers, ("Content-Type", "application/json"))
        try:
            answer = self._exchange(Request(method, path, headers, body), is_recorded=is_recorded)
        except NoAnswer:
            self._unanswered += 1
            if self._silent_since is None:
                self._silent_since = began_at
            raise
        self._unanswered, self._silent_since = 0, None
        offset = clock_offset_of(answer, self.clock.now())
        # Date is truncated to whole seconds, so the largest difference is the most accurate.
        self._clock_offset = offset if self._clock_offset is None else max(self._clock_offset, offset)
        return answer

    def _seems_dead(self, now: float) -> bool:
        silent_s = 0.0 if self._silent_since is None else now - self._silent_since
        return self._unanswered >= _DEAD_AFTER or (self._unanswered >= _SILENT_AFTER and silent_s >= _SILENT_S)

    def _exchange(self, request: Request, *, is_recorded: bool) -> Answer:
        what = f"{request.method} {request.path}"

        def may_send() -> bool:
            if self.left_s(request.method) <= 0:
                raise OutOfBudget(f"{what}: no time is left")
            if not self.charge():
                return False
            self.rate_limiter.wait(left_s=lambda: self.left_s(request.method))
            return True

        for attempt in range(self.bounds.repeats + 1):
            if not may_send():
                raise OutOfBudget(f"{what}: no request is left", Remedy.MORE_REQUESTS)
            if (left_s := self.left_s(request.method)) <= 0:
                raise OutOfBudget(f"{what}: no time is left")
            outcome = self.upstream.exchange(request, self.tokens.insert_token, within_s=left_s, may_resend=may_send)
            if isinstance(outcome, Lost):
                raise NoAnswer(f"{what}: {outcome.reason}", lost=outcome.reason)
            answer = self.tokens.mask_answer(outcome)
            if is_recorded:
                self.record(Exchange(request, answer))
            if answer.status != 429:
                break
            wait_s = self.rate_limiter.asked_wait_s(answer, attempt)
            self.rate_limiter.pause(wait_s)
            if wait_s > self.bounds.wait_s:
                break
        return answer

    # Lists

    def created_since(self, moment: datetime) -> dict[str, str]:
        """Return the query for the runs that a request may have created which was sent at that moment or later."""
        earliest = moment - timedelta(seconds=CREATION_WINDOW_S) + self.clock_offset
        return {"created_at_from": earliest.isoformat().replace("+00:00", "Z")}

    def newest(self, authorization: str) -> tuple[Exchange, list[Run]] | None:
        """Return the newest runs, with the exchange that read them; None if the list cannot be read."""
        path = f"/v1/runs?{urlencode({'sort_mode': 'created_at_desc', 'limit': NEWEST})}"
        try:
            answer = self.request("GET", path, authorization)
        except (NoAnswer, OutOfBudget):
            return None
        items = _items(answer)
        exchange = Exchange(Request("GET", path, (("Authorization", authorization),)), answer)
        return None if items is None else (exchange, _runs(items))

    def pages(self, authorization: str | None, **query: str | None) -> Iterator[Run]:
        """Yield the runs of a list, newest first. A page without a new run is the last one, since a server may ignore
        `skip`. Raises NoAnswer for a page that is not a list, or too many pages.
        """
        seen: set[Any] = set()
        max_pages = _MAX_SHARED_PAGES if self.is_shared else _MAX_PAGES
        for page in range(max_pages):
            parameters = {"sort_mode": "created_at_desc", "limit": _PAGE, "skip": page * _PAGE, **query}
            answer = self.request("GET", f"/v1/runs?{urlencode(parameters)}", authorization)
            items = _items(answer)
            if answer.status in _NOT_OFFERED:
                self.no_list = answer.status
            if items is None:
                raise NoAnswer(f"GET /v1/runs: {answer.status}, and no list")
            runs = _runs(items)
            yield from runs
            ids = {run.get("id") for run in runs}
            if len(items) < _PAGE or ids <= seen:
                return
            seen |= ids
        raise NoAnswer(f"GET /v1/runs: more than {max_pages} pages")


def json_object_of_200(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object of a 200."""
    value = answer.json_or_none() if answer.status == 200 else None
    return value if isinstance(value, dict) else None


def _items(answer: Answer) -> list[Any] | None:
    items = (json_object_of_200(answer) or {}).get("items")
    return items if isinstance(items, list) else None


def _runs(items: list[Any]) -> list[Run]:
    """Return the runs of a list that have an id, each with its id as text."""
    return [
        run | {"id": run_id}
        for run in items
        if isinstance(run, dict) and (run_id := run_id_in(run.get("id"))) is not None
    ]
