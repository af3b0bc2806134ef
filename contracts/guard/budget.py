"""What may be spent: requests and runs, charged before anything is sent, with a reserve for cleaning up."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from contracts.core.target import Budget
from contracts.guard.refusals import OutOfBudget

REQUESTS_TO_CLEAN_A_RUN = 4
"""Look at it, cancel, delete, and ask whether it is gone."""
REQUESTS_TO_CLEAN_AT_ALL = 14
"""Asking whether deletes are offered, reading the lists before and after, finding what an unanswered create made, and a
few waits for a rate limit."""


@dataclass(slots=True)
class Charge:
    """What a request was charged with; `makes` tells whether its runs are ones to clean up (a retry's are not)."""

    runs: int
    makes: bool


class Ledger:
    """Thread-safe. Every sum holds at each moment: a charge is refused, or nobody else can spend it."""

    def __init__(self, budget: Budget, *, keeps_reserve: bool) -> None:
        self._budget = budget
        self._keeps_reserve = keeps_reserve
        self._lock = threading.Lock()
        self._requests = 0
        self._runs = 0
        self._runs_to_clean = 0

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def runs(self) -> int:
        """Runs charged: made, run again, or perhaps made by a request of which nobody knows what became of it."""
        return self._runs

    def charge(self, runs: int, *, makes: bool, what: str, requests: int = 1) -> Charge:
        """Raises OutOfBudget, and then charges nothing."""
        with self._lock:
            if refusal := self._refusal(runs, makes=makes, requests=requests):
                raise OutOfBudget(f"{what}: {refusal}")
            self._requests += requests
            self._runs += runs
            self._runs_to_clean += runs if makes else 0
        return Charge(runs, makes)

    def settle(self, charge: Charge, runs: int) -> None:
        """What the request cost in truth, in place of what it was charged with."""
        with self._lock:
            self._runs += runs - charge.runs
            self._runs_to_clean += runs - charge.runs if charge.makes else 0
            charge.runs = runs

    def add_unreported(self, runs: int) -> None:
        """Runs that no answer told, and that this check has made, or perhaps."""
        with self._lock:
            self._runs += runs
            self._runs_to_clean += runs

    def take_back_request(self, requests: int = 1) -> None:
        """For requests that were charged and never sent."""
        with self._lock:
            self._requests -= requests

    def charge_request(self, *, cleaning: bool) -> bool:
        """One request that makes nothing: a repeat, or one of cleaning up, which may use the reserve."""
        with self._lock:
            limit = self._budget.max_requests
            kept = 0 if cleaning else self._reserve(self._runs_to_clean)
            if limit is not None and self._requests + 1 + kept > limit:
                return False
            self._requests += 1
            return True

    def affords(self, *, runs: int, requests: int) -> bool:
        with self._lock:
            return self._refusal(runs, makes=runs > 0, requests=requests) is None

    def _refusal(self, runs: int, *, makes: bool, requests: int) -> str | None:
        if runs and self._runs + runs > self._budget.max_runs:
            left = max(0, self._budget.max_runs - self._runs)
            return f"could cost {runs} runs, {left} of {self._budget.max_runs} are left"
        limit = self._budget.max_requests
        if limit is None:
            return None
        kept = self._reserve(self._runs_to_clean + (runs if makes else 0))
        if self._requests + requests + kept > limit:
            reserve = f" and {kept} kept for cleaning up" if kept else ""
            return f"no request is left: {self._requests} of {limit} are spent{reserve}"
        return None

    def _reserve(self, runs: int) -> int:
        if not self._keeps_reserve or not runs:
            return 0
        return REQUESTS_TO_CLEAN_AT_ALL + REQUESTS_TO_CLEAN_A_RUN * runs
