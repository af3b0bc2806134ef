"""The guard's own questions to the target: to look whether ids are unknown, to clean up, to count what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.exchange import Answer, Exchange, Request
from contracts.guard.pace import MAX_WAIT_S, Pace
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Lost, Upstream

MAX_REPEATS: Final = 5
"""How often a request is repeated that the target puts off with 429."""


class Asker:
    """Thread-safe. `pay` says whether one more request may be spent; `record` sees each exchange, tokens masked."""

    def __init__(
        self,
        upstream: Upstream,
        tokens: Tokens,
        pace: Pace,
        *,
        pay: Callable[[], bool] = lambda: True,
        record: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        self._upstream = upstream
        self._tokens = tokens
        self._pace = pace
        self._pay = pay
        self._record = record

    def ask(self, method: str, path: str, authorization: str | None, body: bytes | None = None) -> Answer:
        """Raises OutOfBudget, NoAnswer. Waits and repeats after a 429; the last one is the answer."""
        headers = (("Authorization", authorization),) if authorization is not None else ()
        if body is not None:
            headers = (*headers, ("Content-Type", "application/json"))
        request = Request(method, path, headers, body)
        for attempt in range(MAX_REPEATS + 1):
            if not self._pay():
                raise OutOfBudget(f"{method} {path}: no request is left")
            self._pace.wait()
            outcome = self._upstream.exchange(request, self._tokens.put_in)
            if isinstance(outcome, Lost):
                raise NoAnswer(f"{method} {path}: {outcome.words}")
            answer = self._tokens.mask_answer(outcome)
            self._record(Exchange(request, answer))
            if answer.status != 429:
                break
            wait_s = self._pace.asked_wait_s(answer, attempt)
            self._pace.pause(wait_s)
            if wait_s > MAX_WAIT_S:
                break
        return answer
