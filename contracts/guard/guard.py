"""The guard: every request of a check goes through `Guard.send`, which refuses what the check must not do.

The steps for each request: check its effect (gate), charge its maximum cost (account), wait for the rate limit, write
the intent of a create (journal), send it (upstream; again after a 429), log the exchange with the tokens masked, and
settle: set the charge to the actual cost, and write the ids of the answer to the journal before the caller gets it.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Exchange, Request
from contracts.core.findings import Remedy, Spent
from contracts.core.interrupts import interrupt_delayed
from contracts.core.target import Target
from contracts.guard.admitted_request import AdmittedRequest, RequestKind
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.budget import CLEANUP_REQUESTS, CLEANUP_REQUESTS_PER_RUN, BudgetAccount, Charge
from contracts.guard.concurrency import GroupStart, InFlight, all_at_once
from contracts.guard.count_limit import CountLimit
from contracts.guard.effect import Effect, describe, effect_of
from contracts.guard.exchange_log import ExchangeLog
from contracts.guard.gate import Gate
from contracts.guard.identity import PossibleRun, likely_first
from contracts.guard.journal import Journal, default_directory
from contracts.guard.journal_cleanup import CheckCleanup
from contracts.guard.ownership import Ownership
from contracts.guard.proxy import Proxy
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.reachability import Reachability
from contracts.guard.refusals import NoAnswer, NotAllowed, NotDelivered, OutOfBudget
from contracts.guard.runs_client import RunsClient
from contracts.guard.schedule import Schedule
from contracts.guard.settlement import Settlement
from contracts.guard.tokens import Tokens
from contracts.guard.unreported_run_detector import UnreportedRunDetector, UnreportedRuns
from contracts.guard.upstream import Lost, Upstream, proxy_for


class Guard:
    """Thread-safe. A context manager: entering opens the journal; leaving closes the proxy, the connections and the
    journal. It does not clean up: call `clean_up` before leaving.
    """

    _journal: Journal
    _gate: Gate
    _cleanup: CheckCleanup
    _settlement: Settlement

    def __init__(
        self, target: Target, *, journal_dir: Path | None = None, clock: Clock | None = None, bounds: Bounds = BOUNDS
    ) -> None:
        self.target = target
        self._bounds = bounds
        self.ownership_marker: Final = f"contracts-{secrets.token_hex(8)}"
        """A unique text: a run with it in its input values or session alias is proven to belong to this check."""
        self._clock = clock or Clock()
        self._journal_dir = journal_dir
        self._is_open = False
        self._authorizations = (TOKEN,) if target.second_token is None else (TOKEN, SECOND_TOKEN)
        """The authorizations of the organisations that the check has a token for."""
        self._tokens = Tokens(target.token, target.second_token)
        self._upstream = Upstream(target.url, ca_bundle=target.ca_bundle, proxy=proxy_for(target.url), bounds=bounds)
        self.reachability: Final = Reachability(self._clock, bounds)
        self.ownership: Final = Ownership()
        self._account = BudgetAccount(
            target.budget, keeps_reserve=target.clean_up, learns_excess=target.profile == "live"
        )
        self._rate_limiter = RateLimiter(target.budget.rate, self._clock, bounds)
        self._started = self._clock.monotonic()
        self._started_at = self._clock.now()
        self._schedule = Schedule(
            self._started + target.max_time_s, self._clock, lambda: self.grace_s(len(self.ownership.runs))
        )
        self.log: Final = ExchangeLog(bounds)
        self._count_limit = CountLimit() if target.profile == "full" else None
        """On a live target, each request is charged with all the runs that it asks for."""
        self._creates_in_flight = InFlight()
        self._detector: UnreportedRunDetector | None = None
        """On a live target, looks for runs that no answer reported."""
        self._proxy: Proxy | None = None
        self._proxy_lock = threading.Lock()
        self._runs_left = 0

    def __enter__(self) -> Self:
        directory = self._journal_dir or default_directory()
        self._journal = Journal.create(directory, self.target, self.ownership_marker, self._started_at)
        self._is_open = True
        self._gate = Gate(
            self.target,
            self.ownership,
            self._journal.record.identity,
            authorizations=self._authorizations,
            client=self._client,
        )
        if self.target.profile == "live":
            self._detector = UnreportedRunDetector(
                self._client(), self.ownership, self._journal, self._account, authorizations=self._authorizations
            )
        self._settlement = Settlement(
            self.target, self._account, self.ownership, self._journal, self._detector, self._clock
        )
        self._cleanup = CheckCleanup(
            self._journal,
            self.ownership,
            self._detector,
            self.log,
            authorizations=self._authorizations,
            client=lambda: self._client(uses_reserve=True),
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._upstream.close()  # first, to end the requests that the proxy still waits for
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        if self._is_open:
            self._is_open = False
            record = self._journal.record
            self._journal.close(keep=bool(record.unfinished or record.open_intents))

    # State and settings of a check

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges (by default at most 20,000 with 256 MiB of headers and bodies), oldest first."""
        return self.log.exchanges

    @property
    def spent(self) -> Spent:
        seconds = self._clock.monotonic() - self._started
        runs, throttled = len(self.ownership.runs), self.log.throttled_count
        return Spent(self._account.requests, runs, self._runs_left, round(seconds, 3), throttled)

    @property
    def proxy(self) -> Proxy:
        """The guard's loopback proxy. The first access starts it."""
        with self._proxy_lock:
            if self._proxy is None:
                self._proxy = Proxy(self.send)
            return self._proxy

    def can_afford(self, *, runs: int, requests: int = 1) -> bool:
        return self._account.can_afford(runs=runs, requests=requests)

    @property
    def why_no_request_left(self) -> str:
        """Why nothing more can be sent within the budget; empty if something can."""
        return self._account.why_no_request_left

    def allow_unknown(self, run_id: str) -> None:
        """Allow writes to a made-up id, which belongs to nobody (see gate.py)."""
        self.ownership.add_made_up(run_id)

    def new_session(self) -> str:
        """Return a new session id of this check. Runs created in it can be found by it after a crash."""
        session_id = self.ownership.new_session()
        self._journal.add_session(session_id)
        return session_id

    def offers_delete(self) -> bool:
        """Return whether the target can delete runs, tested once with an unused id. Raises as `send` does."""
        return self._cleanup.delete_support().offered

    @property
    def cannot_delete(self) -> bool:
        """Whether the target was tested and cannot delete runs."""
        return self._cleanup.cannot_delete

    # Unreported runs

    def set_kind_of(self, kind_of: Callable[[Request], RequestKind]) -> None:
        """Set the function that returns the `RequestKind` of a request that may create runs."""
        if self._detector is not None:
            self._detector.kind_of = kind_of

    def take_unreported_runs(self) -> list[UnreportedRuns]:
        """Return, and forget, the runs on a live target that no answer reported."""
        return [] if self._detector is None else self._detector.take_unreported()

    def take_checked_refusals(self) -> int:
        """Return, and reset, the number of refused requests after which the lists were checked for new runs."""
        return 0 if self._detector is None else self._detector.take_checked_refusals()

    # Cleaning up

    def clean_up(self) -> int:
        """Cancel and delete every run of this check, including unreported runs that are proven to belong to it.

        Returns how many are left. A run counts as left unless the server shows that it is gone.
        """
        self._creates_in_flight.close(wait_s=self._bounds.exchange_s)
        self._schedule.begin_cleaning()
        if self._journal.record.last_intent:
            self._cleanup.clean_up()
        self._runs_left = len(self._journal.record.unfinished)
        return self._runs_left

    def count_left(self) -> int:
        """Return how many runs of this check the server still has, without cleaning up."""
        self._schedule.begin_cleaning()
        self._cleanup.count_left()
        self._runs_left = len(self._journal.record.unfinished)
        return self._runs_left

    @property
    def unfinished_runs(self) -> Sequence[str]:
        """The ids of the runs of this check that are not known to be gone."""
        return tuple(self._journal.record.unfinished)

    @property
    def other_resources(self) -> Mapping[str, int]:
        """How many pools and workflows the check has created. The API cannot delete them."""
        return self._settlement.other_resources

    @property
    def left_unknown(self) -> Sequence[str]:
        """The reasons why it is not known how many runs of this check are left; empty if it is known."""
        return tuple(self._cleanup.unclear)

    @property
    def possibly_left(self) -> Sequence[PossibleRun]:
        """The runs that may belong to this check, without proof, likely ones first; they are not changed.

        A run matches a request whose answer did not report it, or was reported but seems to be of someone else.
        """
        noticed = () if self._detector is None else self._detector.possible
        return likely_first((*noticed, *self._cleanup.possible, *self._settlement.not_ours))

    def grace_s(self, runs: int) -> float:
        """Return the time after the check for cleaning up that many runs, or only for counting them."""
        if not self.target.clean_up:
            return self._bounds.count_left_s
        requests, rate = CLEANUP_REQUESTS + CLEANUP_REQUESTS_PER_RUN * runs, self.target.budget.rate
        return self._bounds.clean_up_s + (requests / rate if rate else 0.0)

    # Sending

    def send(self, request: Request) -> Exchange:
        """Send a request. Raises a Refused if it must not be sent, NoAnswer if no complete answer came."""
        with self._one_at_a_time():
            admitted = self._admit(request)
            self._wait(admitted)
            return self._execute(admitted)

    def send_together(self, requests: Sequence[Request], *, over_s: float = 0.0) -> list[Exchange]:
        """Send all requests at the same time, or one after the other within `over_s`, over separate connections that
        are opened first.

        All are checked and charged before the first is sent; if one is refused, none is sent. Raises as `send` does,
        after all have ended.
        """
        with self._one_at_a_time():
            admitted: list[AdmittedRequest] = []
            try:
                for request in requests:
                    admitted.append(self._admit(request))
            except BaseException:  # NoAnswer, too: the gate may have to ask whether a run exists
                self._refund(*admitted)
                raise
            self._wait(*admitted)
            outcomes = all_at_once(self._execute, admitted, over_s=over_s)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, NoAnswer))
        return [outcome for outcome in outcomes if isinstance(outcome, Exchange)]

    def _one_at_a_time(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._detector is None else self._detector.one_at_a_time()

    def _admit(self, request: Request) -> AdmittedRequest:
        """Check a request and charge its maximum cost. Raises a Refused if it must not be sent."""
        if not self._is_open:
            raise RuntimeError("a Guard sends only inside its `with` block: the journal is not open")
        if self._schedule.left_s() <= 0:
            raise OutOfBudget("the time of the check is over")
        masked = self._tokens.mask_request(request)
        effect = effect_of(masked)
        self._gate.require_allowed(masked, effect)
        if effect.creates and self.target.profile == "live" and not self.target.leave_runs and not self.offers_delete():
            raise NotAllowed(
                "the target does not offer DELETE, so created runs would stay (allow it with --leave-runs)"
            )
        if SECOND_TOKEN in (request.header("authorization") or "") and self.target.second_token is None:
            why = "no second token was given (give one in CONTRACTS_SECOND_TOKEN, or with --second-token)"
            raise NotAllowed(why, Remedy.SECOND_TOKEN)
        if self._detector is not None and effect.runs:
            kind, charge = self._admit_watched(self._detector, masked, effect)
        else:
            kind, charge = RequestKind.by_path(masked), self._charge(masked, effect)
        return AdmittedRequest(request, masked, kind, effect, charge, self._clock.now())

    def _admit_watched(
        self, detector: UnreportedRunDetector, masked: Request, effect: Effect
    ) -> tuple[RequestKind, Charge]:
        """Check and charge a request after which the detector looks for new runs in the lists."""
        kind, authorization = detector.kind_of(masked), masked.header("authorization")
        if self._settlement.answers_name_others:
            raise NotAllowed("no more creates are sent: an answer reported runs that this check did not create")
        if kind.reason is None:
            self._gate.require_as_named(describe(masked), effect)
        list_requests = detector.requests_for_lists(kind, authorization)
        charge = self._charge(masked, effect, list_requests=list_requests)
        self._account.refund_request(list_requests)  # they are charged one by one when they are sent
        detector.remember_existing_runs(authorization)
        return kind, charge

    def _charge(self, masked: Request, effect: Effect, *, list_requests: int = 0) -> Charge:
        runs = effect.runs if self._count_limit is None else self._count_limit.max_runs(effect)
        try:
            return self._account.charge(runs, creates=effect.creates, what=describe(masked), requests=1 + list_requests)
        except OutOfBudget as error:
            self.log.add_skipped(str(error))
            raise

    def _wait(self, *admitted: AdmittedRequest) -> None:
        try:
            self._rate_limiter.wait(len(admitted), left_s=self._schedule.left_s)
        except BaseException as error:
            if isinstance(error, OutOfBudget):
                self.log.add_skipped(str(error))
            self._refund(*admitted)
            raise

    def _refund(self, *admitted: AdmittedRequest) -> None:
        for each in admitted:
            self._account.settle(each.charge, 0)
            self._account.refund_request()

    def _execute(self, admitted: AdmittedRequest, start: GroupStart | None = None) -> Exchange:
        """Send an admitted request. During a create, the first Ctrl-C takes effect after the answer with its runs."""
        with interrupt_delayed() if admitted.effect.creates else contextlib.nullcontext():
            return self._send_and_settle(admitted, start)

    def _send_and_settle(self, admitted: AdmittedRequest, start: GroupStart | None) -> Exchange:
        """Send the request. Even if it fails, account and journal then cover all runs that it may have created."""
        admitted.sent_at = self._clock.now()
        try:
            with self._creates_in_flight if admitted.effect.creates else contextlib.nullcontext():
                exchange = self._exchange(admitted, start)
            admitted.exchange, admitted.answered_at = exchange, self._clock.now()
            if self._count_limit is not None:
                self._count_limit.note(admitted)
            self._note_for_detector(admitted)
            return exchange
        except (NotDelivered, NotAllowed):  # it did not reach the target, so it created nothing
            self._account.settle(admitted.charge, 0)
            if admitted.intent is not None:
                self._journal.close_intent(admitted.intent, ())
            raise
        except BaseException:
            self._settlement.assume_worst(admitted)
            self._note_for_detector(admitted)
            raise

    def _note_for_detector(self, admitted: AdmittedRequest) -> None:
        if self._detector is not None and admitted.effect.runs:
            self._detector.note(admitted)

    def _exchange(self, admitted: AdmittedRequest, start: GroupStart | None) -> Exchange:
        if admitted.effect.creates:
            admitted.intent = self._journal.intend(
                admitted.masked, admitted.effect, self._clock.now(), keeps_digest=self._detector is not None
            )
        for attempt in range(self._bounds.repeats + 1):
            exchange = Exchange(admitted.masked, self._answer(admitted, start if attempt == 0 else None))
            self.log.add(exchange)
            if exchange.answer.status != 429 or not self._wait_to_repeat(exchange, attempt):
                break
        if exchange.answer.status == 503 and exchange.answer.header("retry-after"):
            wait_s = self._rate_limiter.asked_wait_s(exchange.answer, 0)
            self._rate_limiter.pause(min(wait_s, self._longest_wait_s), asked_s=wait_s)
        if admitted.effect.writes:
            self._settlement.process_answer(admitted, exchange)
        return exchange

    def _answer(self, admitted: AdmittedRequest, start: GroupStart | None) -> Answer:
        left_s, sent_at = self._schedule.left_s(creates=admitted.effect.creates), self._clock.monotonic()
        if left_s <= 0:
            raise NotDelivered(f"{describe(admitted.masked)}: the time of the check is over")
        outcome = self._upstream.exchange(
            admitted.request, self._tokens.insert_token, start=start, within_s=left_s, may_resend=self._may_send_again
        )
        if not isinstance(outcome, Lost):
            self.reachability.note_answered()
            return self._tokens.mask_answer(outcome)
        message = f"{describe(admitted.masked)}: {outcome.reason}"
        if outcome.malformed:
            raise NotAllowed(message)
        if outcome.group_failed:
            raise NotDelivered(message)
        if outcome.reached:
            self.reachability.note_unanswered(admitted.masked)
        elif self.reachability.wait(outcome.reason, sent_at=sent_at):
            return self._answer(admitted, None)
        if self._schedule.left_s(creates=admitted.effect.creates) > 0:
            self.log.add_lost(message)
        else:
            self.reachability.note_cut_off(message, sent_at=sent_at)
        raise NoAnswer(message, lost=outcome.reason) if outcome.reached else NotDelivered(message)

    def _wait_to_repeat(self, exchange: Exchange, attempt: int) -> bool:
        """Handle a 429: wait as it asks, and return whether to retry the request."""
        self.log.add_throttled(exchange)
        wait_s = self._rate_limiter.asked_wait_s(exchange.answer, attempt)
        self._rate_limiter.pause(wait_s)
        is_too_late = attempt == self._bounds.repeats or wait_s > self._longest_wait_s
        return not is_too_late and self._may_send_again()

    def _may_send_again(self) -> bool:
        """Charge a request that is sent once more, and wait until the rate allows it."""
        if not self._account.charge_request(cleaning=False):
            return False
        try:
            self._rate_limiter.wait(left_s=self._schedule.left_s)
        except OutOfBudget:
            self._account.refund_request()
            return False
        return True

    @property
    def _longest_wait_s(self) -> float:
        """The longest time that a request waits because the target asks for it: not beyond the end of the check."""
        return max(0.0, min(self._bounds.wait_s, self._schedule.left_s()))

    def _client(self, *, uses_reserve: bool = False) -> RunsClient:
        """Return a client for the guard's own requests. Only some may use the requests reserved for cleaning up."""
        return RunsClient(
            self._upstream,
            self._tokens,
            self._rate_limiter,
            self._clock,
            is_shared=self.target.is_shared,
            charge=lambda: self._account.charge_request(cleaning=uses_reserve or self._schedule.is_cleaning),
            left_s=self._schedule.left_for_guard_s,
            record=self.log.add,
            bounds=self._bounds,
        )
