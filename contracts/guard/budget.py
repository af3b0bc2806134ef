"""The budget of requests and runs: charged before a request is sent, with a reserve for cleaning up."""

import threading
from dataclasses import dataclass, field

from contracts.core.counting import counted
from contracts.core.findings import Reason, Remedy
from contracts.core.target import Budget
from contracts.guard.refusals import OutOfBudget

CLEANUP_REQUESTS_PER_RUN = 4
"""Read, cancel, delete, and read again to confirm that the run is gone."""
CLEANUP_REQUESTS = 14
"""The requests that every clean-up needs, regardless of the number of runs: to test whether DELETE is offered, to read
the lists before and after, to search for runs of unanswered creates, and for a few retries after 429.
"""


@dataclass(slots=True)
class Charge:
    """The runs charged for a request. `creates`: they are new, so they must be cleaned up; a retry creates none."""

    runs: int
    creates: bool
    is_settled: bool = False


@dataclass(eq=False)
class BudgetAccount:
    """Thread-safe: `charge` either reserves the whole cost atomically or refuses it."""

    budget: Budget
    keeps_reserve: bool = field(kw_only=True)
    learns_excess: bool = field(default=False, kw_only=True)
    """Whether each create is charged with as many more runs as an answer has shown beyond its charge."""
    requests: int = 0
    runs: int = 0
    """Runs charged: created, retried, or possibly created by a request whose outcome is unknown."""
    _runs_to_clean: int = 0
    _unsettled: int = 0
    """Of the runs to clean up, those of creates that are not settled."""
    _excess: int = 0
    """By how many runs an answer has exceeded its charge: the next create may do so too."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def charge(self, runs: int, *, creates: bool, what: str, requests: int = 1) -> Charge:
        """Raises OutOfBudget, without charging anything."""
        with self._lock:
            runs += self._excess if creates else 0
            if refusal := self._refusal(runs, creates=creates, requests=requests):
                raise OutOfBudget(f"{what}: {refusal.text}", refusal.remedy)
            self.requests += requests
            self.runs += runs
            if creates:
                self._runs_to_clean += runs
                self._unsettled += runs
        return Charge(runs, creates)

    def settle(self, charge: Charge, runs: int) -> None:
        """Replace the charged number of runs by the actual one."""
        with self._lock:
            change = runs - charge.runs
            if self.learns_excess:
                self._excess = max(self._excess, change)
            self.runs += change
            if charge.creates:
                self._runs_to_clean += change
                self._unsettled -= 0 if charge.is_settled else charge.runs
            charge.runs, charge.is_settled = runs, True

    def add_unreported(self, runs: int) -> None:
        """Charge runs that no answer reported and that this check created or may have created."""
        with self._lock:
            self.runs += runs
            self._runs_to_clean += runs

    def refund_request(self, requests: int = 1) -> None:
        """Refund requests that were charged and never sent."""
        with self._lock:
            self.requests -= requests

    def charge_request(self, *, cleaning: bool) -> bool:
        """Charge one request that creates nothing; return False, without charging, if the budget does not allow it.

        Only requests of the clean-up (`cleaning`) may use the reserve.
        """
        with self._lock:
            if self._refusal(0, creates=False, requests=1, cleaning=cleaning):
                return False
            self.requests += 1
            return True

    def can_afford(self, *, runs: int, requests: int) -> bool:
        with self._lock:
            worst = runs + (self._excess if runs else 0)
            return self._refusal(worst, creates=runs > 0, requests=requests) is None

    @property
    def why_no_request_left(self) -> str:
        """Why no request can be sent any more, even if the creates in flight turn out to cost nothing; empty if one
        can. The clean-up has its reserve.
        """
        with self._lock:
            refusal = self._request_refusal(1, self._reserve(self._runs_to_clean - self._unsettled))
            return "" if refusal is None else refusal.text

    def _refusal(self, runs: int, *, creates: bool, requests: int, cleaning: bool = False) -> Reason | None:
        if runs and self.runs + runs > self.budget.max_runs:
            left = max(0, self.budget.max_runs - self.runs)
            are = "is" if left == 1 else "are"
            text = f"could cost {counted(runs, 'run')}, {left:,} of {self.budget.max_runs:,} {are} left"
            return Reason(text, Remedy.LARGER_BUDGET)
        kept = 0 if cleaning else self._reserve(self._runs_to_clean + (runs if creates else 0))
        return self._request_refusal(requests, kept)

    def _request_refusal(self, requests: int, kept: int) -> Reason | None:
        limit = self.budget.max_requests
        if limit is not None and self.requests + requests + kept > limit:
            reserve = f" and {kept:,} kept for cleaning up" if kept else ""
            return Reason(
                f"no request is left: {self.requests:,} of {limit:,} are spent{reserve}", Remedy.MORE_REQUESTS
            )
        return None

    def _reserve(self, runs: int) -> int:
        if not self.keeps_reserve or not runs:
            return 0
        return CLEANUP_REQUESTS + CLEANUP_REQUESTS_PER_RUN * runs
