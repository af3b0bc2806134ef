"""Sends the guard's own requests: to look up ids, to clean up, and to count the runs that are left."""

from __future__ import annotations

from collections.abc import Callable

from contracts.core.exchange import Answer, Exchange, Request
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.rate_limiter import RateLimiter
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Lost, Upstream


class InternalClient:
    """Thread-safe. `pay` charges one request and returns whether the budget allows it. `left_s` returns the time left
    for a request with the given method. `record` receives each exchange, with the tokens masked.
    """

    def __init__(
        self,
        upstream: Upstream,
        tokens: Tokens,
        rate_limiter: RateLimiter,
        *,
        pay: Callable[[], bool] = lambda: True,
        left_s: Callable[[str], float] = lambda _: float("inf"),
        record: Callable[[Exchange], None] = lambda _: None,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._bounds = bounds
        self._upstream = upstream
        self._tokens = tokens
        self._rate_limiter = rate_limiter
        self._pay = pay
        self._left_s = left_s
        self._record = record

    def ask(self, method: str, path: str, authorization: str | None, body: bytes | None = None) -> Answer:
        """Send a request; wait and retry after 429. Returns the 429 if the retries are used up or the wait is too long.

        Raises OutOfBudget, NoAnswer.
        """
        headers = (("Authorization", authorization),) if authorization is not None else ()
        if body is not None:
            headers = (*headers, ("Content-Type", "application/json"))
        request = Request(method, path, headers, body)
        for attempt in range(self._bounds.repeats + 1):
            if not self._pay():
                raise OutOfBudget(f"{method} {path}: no request is left")
            self._rate_limiter.wait(left_s=lambda: self._left_s(method))
            if (left_s := self._left_s(method)) <= 0:
                raise OutOfBudget(f"{method} {path}: no time is left")
            outcome = self._upstream.exchange(request, self._tokens.put_in, within_s=left_s)
            if isinstance(outcome, Lost):
                raise NoAnswer(f"{method} {path}: {outcome.words}", lost=outcome.words)
            answer = self._tokens.mask_answer(outcome)
            self._record(Exchange(request, answer))
            if answer.status != 429:
                break
            wait_s = self._rate_limiter.asked_wait_s(answer, attempt)
            self._rate_limiter.pause(wait_s)
            if wait_s > self._bounds.wait_s:
                break
        return answer
