"""The guard: every request of a check goes through `Guard.send`, which refuses what the check must not do.

The steps for each request: check its effect (gate), charge its maximum cost (ledger), wait for the rate limit, write
the intent of a create (journal), send it (upstream; again after a 429), record the exchange with the tokens masked,
settle the charge to the actual cost, and write the ids of the answer to the journal before the caller gets the answer.

Over 500 lines: the order of these steps is what makes the guard safe, so it is read in one place.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Exchange, Request
from contracts.core.findings import Spent
from contracts.core.interrupts import held_back
from contracts.core.target import Target
from contracts.guard.bounds import BOUNDS, Bounds
from contracts.guard.budget import REQUESTS_TO_CLEAN_A_RUN, REQUESTS_TO_CLEAN_AT_ALL, Charge, Ledger
from contracts.guard.cleanup import Cleaner
from contracts.guard.connection import Broken, Connection
from contracts.guard.created import CreatedRun, carries, created_by, is_older
from contracts.guard.effect import SAFE_METHODS, Effect, effect_of, uuids_under
from contracts.guard.gate import Gate
from contracts.guard.in_flight import InFlight
from contracts.guard.internal_client import InternalClient
from contracts.guard.journal import (
    IDENTITIES,
    OTHER,
    Intent,
    Journal,
    default_directory,
    drop_stale_loopback_journals,
)
from contracts.guard.journal_cleanup import clean_up, what_may_follow
from contracts.guard.ownership import Ownership
from contracts.guard.proxy import Proxy
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.record import Record
from contracts.guard.refusals import NoAnswer, NotAllowed, OutOfBudget, Refused
from contracts.guard.schedule import Schedule
from contracts.guard.start_barrier import NotDelivered, StartBarrier
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Lost, Upstream, proxy_for
from contracts.guard.watch import ANY, Kind, Sent, UnreportedRuns, Watch

_COUNT = re.compile(rb'"count"\s*:\s*([^,}\]]{1,60})')


@dataclass(slots=True)
class _PendingRequest:
    """A request that has passed the gate and is paid for."""

    request: Request
    masked: Request
    effect: Effect
    charge: Charge
    intent: Intent | None = None
    reported_ids: tuple[str, ...] = ()
    """The ids of the runs that the answer reported and that belong to the check."""


class Guard:
    """Thread-safe. A context manager: entering opens the journal; leaving closes the proxy, the connections and the
    journal. It does not clean up: call `clean_up` before leaving.
    """

    def __init__(
        self,
        target: Target,
        *,
        journal_dir: Path | None = None,
        clock: Clock | None = None,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.target = target
        self._bounds = bounds
        self.marker: Final = f"contracts-{secrets.token_hex(8)}"
        """A unique text: a run with it in its input values or session alias is proven to belong to this check."""
        self._clock = clock or Clock()
        self._journal_dir = journal_dir
        self._journal: Journal | None = None
        self._tokens = Tokens(target.token, target.second_token)
        self._upstream = Upstream(target.url, ca_bundle=target.ca_bundle, proxy=proxy_for(target.url), bounds=bounds)
        self._ownership = Ownership()
        self._gate = Gate(
            target, self._ownership, self.marker, is_unknown=self._target_does_not_know, is_ours=self._run_is_ours
        )
        self._is_shared = target.profile == "live" or not target.is_loopback
        """Others may use the target too, so an answer alone does not prove that a run belongs to the check."""
        self._ledger = Ledger(target.budget, keeps_reserve=target.clean_up)
        self._rate_limiter = RateLimiter(target.budget.rate, self._clock, bounds)
        self._started = self._clock.monotonic()
        self._started_at = self._clock.now()
        self._schedule = Schedule(self._started + target.max_time_s, self._clock, self._grace_s)
        self._lock = threading.Lock()
        self._record = Record(bounds)
        self._possibly_left: frozenset[str] = frozenset()
        self._seemingly_older: set[str] = set()
        self._offers_delete: bool | None = None
        self._offers_delete_lock = threading.Lock()
        self._has_sent_creates = False
        self._creates_in_flight = InFlight()
        self._proxy: Proxy | None = None
        self._runs_left = 0
        self._unknown_is_404 = False
        self._is_cleaning = False
        self._unknown: dict[str, None] = {}
        self._checked_refusals = 0
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        directory = self._journal_dir or default_directory()
        drop_stale_loopback_journals(directory, self._started_at)
        self._journal = Journal.create(directory, self.target, self.marker, self._started_at)
        if self.target.profile == "live":
            self._watch = Watch(
                self._cleaner(cleaning=False),
                self._ownership,
                self.marker,
                self._clock,
                authorizations=self._authorizations,
                sessions=lambda: self._opened_journal.record.sessions,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._upstream.close()  # first, to end the requests that the proxy still waits for
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        if self._journal is not None:
            record = self._journal.record
            self._journal.close(keep=bool(record.unfinished or record.open_intents))
            self._journal = None

    # State and settings of a check

    @property
    def owned(self) -> Collection[str]:
        """The ids of the runs that this check created, including deleted ones."""
        return self._ownership.runs

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges (by default at most 20,000 with 256 MiB of headers and bodies), oldest first."""
        return self._record.exchanges

    @property
    def throttled(self) -> Sequence[Exchange]:
        """The exchanges that the target answered with 429, including retries (within the bounds)."""
        return self._record.throttled

    @property
    def skipped(self) -> Sequence[str]:
        """The distinct reasons why requests were not sent and why the clean-up is incomplete."""
        return self._record.skipped

    @property
    def lost(self) -> str | None:
        """How many requests got no complete answer, and the error of the first one; None if all got one."""
        return self._record.lost

    @property
    def spent(self) -> Spent:
        seconds = self._clock.monotonic() - self._started
        return Spent(self._ledger.requests, len(self._ownership.runs), self._runs_left, round(seconds, 3))

    @property
    def proxy_url(self) -> str:
        """The base URL of the guard's loopback proxy. The first access starts the proxy."""
        with self._lock:
            if self._proxy is None:
                self._proxy = Proxy(self.send)
            return self._proxy.url

    def affords(self, *, runs: int, requests: int = 1) -> bool:
        return self._ledger.affords(runs=runs, requests=requests)

    def allow_unknown(self, run_id: str) -> None:
        """Allow writes to a made-up id, which belongs to nobody.

        Unless this is a full check of a loopback address, the guard first asks the target whether it knows the id, and
        refuses the write if it does.
        """
        self._ownership.claim_unknown(run_id)

    def set_kind_of(self, kind_of: Callable[[Request], Kind]) -> None:
        """Set the function that returns the `Kind` of a request that may create runs."""
        if self._watch is not None:
            self._watch.kind_of = kind_of

    def take_unreported_runs(self) -> list[UnreportedRuns]:
        """Return, and forget, the runs that appeared on a live target and that no answer reported."""
        if self._watch is None:
            return []
        found, self._watch.unreported = self._watch.unreported, []
        return found

    def take_checked_refusals(self) -> int:
        """Return, and reset, the number of refused requests after which the lists were checked for new runs."""
        checked, self._checked_refusals = self._checked_refusals, 0
        return checked

    def new_session(self) -> str:
        """Return a new session id of this check. Runs created in it can be found by it after a crash."""
        session_id = self._ownership.new_session()
        self._opened_journal.session(session_id)
        return session_id

    # Cleaning up

    def offers_delete(self) -> bool:
        """Return whether the target can delete runs, tested once with an unused id. Raises as `send` does."""
        with self._offers_delete_lock:
            if self._offers_delete is None:
                cleaner = self._cleaner()
                self._offers_delete = cleaner.offers_delete()
                self._unknown_is_404 = cleaner.unknown_is_404
            return self._offers_delete

    def clean_up(self) -> int:
        """Cancel and delete every run of this check, including unreported runs that are proven to belong to it.

        Returns how many are left according to the server; a run whose state is unknown counts as left.
        """
        journal = self._opened_journal
        self._creates_in_flight.close(wait_s=self._bounds.exchange_s)
        self._schedule.begin_cleaning()
        self._is_cleaning = True
        if self._has_sent_creates:
            known = self._ownership.authorizations
            try:
                offers_delete = self.offers_delete()
                if self._watch is not None:
                    self._look(self._watch, is_last=True)
                done = clean_up(self._cleaner(), journal, self._authorizations, known, lambda: offers_delete)
                self._possibly_left |= done.orphans.possible - self._ownership.authorizations.keys()
                if words := what_may_follow(journal.record, done):
                    self._add_unknown(words)
                if done.left.unknown:
                    count = len(done.left.unknown)
                    self._add_unknown(f"of {count} runs neither reads nor lists tell whether they are still there")
                for run_id, authorization in done.orphans.proven.items():
                    self._ownership.add_run(run_id, authorization)
            except (NoAnswer, OutOfBudget) as error:
                self._add_unknown(str(error))
            if self._watch is not None:
                self._note_unreliable_lists(self._watch)
        self._runs_left = len(journal.record.unfinished)
        return self._runs_left

    def _note_unreliable_lists(self, watch: Watch) -> None:
        if not watch.lists_tell:
            self._add_unknown("the list of runs did not show what had been made, or could not be read")

    def _add_unknown(self, words: str) -> None:
        self._unknown[words] = None
        self._record.add_skipped(f"cleaning up: {words}")

    @property
    def left_unknown(self) -> Sequence[str]:
        """The reasons why it is not known how many runs of this check are left; empty if it is known."""
        return tuple(self._unknown)

    def count_left(self) -> int:
        """Return how many runs of this check the server still has, without cleaning up."""
        journal = self._opened_journal
        self._schedule.begin_cleaning()
        if self._watch is not None:
            self._look(self._watch, is_last=True)
            self._note_unreliable_lists(self._watch)
        runs = {run: self._authorizations_for(run) for run in journal.record.unfinished}
        left = self._cleaner().left(runs).all
        journal.gone([run for run in runs if run not in left])
        self._runs_left = len(left)
        return self._runs_left

    def _grace_s(self) -> float:
        """Return the time for cleaning up, or only for counting what is left, after the check's time is over.

        A rate limit extends the time for cleaning up by the time that its reserved requests need.
        """
        if not self.target.clean_up:
            return self._bounds.count_left_s
        rate = self.target.budget.rate
        requests = REQUESTS_TO_CLEAN_AT_ALL + REQUESTS_TO_CLEAN_A_RUN * len(self._ownership.runs)
        return self._bounds.clean_up_s + (requests / rate if rate else 0.0)

    def _authorizations_for(self, run_id: str) -> tuple[str | None, ...]:
        authorization = self._ownership.authorizations[run_id]
        if authorization in self._authorizations:
            return (authorization,)
        return (*self._authorizations, authorization)

    @property
    def possibly_left(self) -> Sequence[str]:
        """The ids of runs that this check may have created, without proof; they are not changed.

        They match a request of the check that did not report them, or an answer reported them though they seem older
        than the check.
        """
        return tuple(sorted({*self._possibly_left, *self._seemingly_older}))

    # Sending

    def send(self, request: Request) -> Exchange:
        """Send a request. Raises a Refused if it must not be sent, NoAnswer if no complete answer came."""
        with self._watching() as watch:
            pending = self._admit(request)
            self._wait(pending)
            try:
                return self._execute(pending)
            finally:
                if watch is not None and watch.must_look:
                    self._look(watch)

    def send_together(self, requests: Sequence[Request]) -> list[Exchange]:
        """Send all requests at the same time, over separate connections that are opened first.

        All are checked and charged before; if one is refused, none is sent. Raises as `send` does, after all have
        ended.
        """
        with self._watching() as watch:
            try:
                return self._send_together(requests)
            finally:
                if watch is not None and watch.must_look:
                    self._look(watch)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Watch | None]:
        """On a live target, send one request or group at a time, and check the lists before the next one."""
        if self._watch is None:
            yield None
            return
        with self._watch.alone:
            yield self._watch

    def _look(self, watch: Watch, *, is_last: bool = False) -> None:
        """Check the lists for new runs. Add those proven to belong to the check to its runs and to the journal."""
        seen = watch.look(is_last=is_last)
        journal = self._opened_journal
        for run_id, authorization in seen.proven.items():
            self._ownership.add_run(run_id, authorization)
            journal.add_runs(IDENTITIES[authorization], [run_id])
        self._possibly_left |= seen.possible
        self._ledger.add_unreported(len(seen.proven) + len(seen.possible))
        self._checked_refusals += seen.refused
        if seen.settled:
            journal.close_intents([each for each in seen.settled if each in journal.record.open_intents])

    def _send_together(self, requests: Sequence[Request]) -> list[Exchange]:
        pending_requests: list[_PendingRequest] = []
        try:
            for request in requests:
                pending_requests.append(self._admit(request))
        except Refused:
            for pending in pending_requests:
                self._refund(pending)
            raise
        self._wait(*pending_requests)
        outcomes: list[Exchange | BaseException | None] = [None] * len(pending_requests)
        barrier = StartBarrier(len(pending_requests))

        def execute(position: int, pending: _PendingRequest) -> None:
            try:
                outcomes[position] = self._execute(pending, barrier)
            except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
                barrier.abandon()
                outcomes[position] = error

        threads = [threading.Thread(target=execute, args=each, daemon=True) for each in enumerate(pending_requests)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, NoAnswer))
        return [outcome for outcome in outcomes if isinstance(outcome, Exchange)]

    def _admit(self, request: Request) -> _PendingRequest:
        if self._schedule.left_s() <= 0:
            raise OutOfBudget("the time of the check is over")
        masked = self._tokens.mask_request(request)
        effect = effect_of(masked)
        self._gate.check(masked, effect)
        if effect.creates and self.target.profile == "live" and not self.target.leave_runs and not self.offers_delete():
            raise NotAllowed("the target offers no delete: what a create makes would be left behind (--leave-runs)")
        if "$SECOND_TOKEN" in (request.header("authorization") or "") and self.target.second_token is None:
            raise NotAllowed("no second token was given")
        watch = self._watch if effect.runs else None
        authorization = masked.header("authorization")
        look_requests = 0
        if watch is not None:
            watch.judge(masked)
            if self._seemingly_older:
                raise NotAllowed(
                    "an answer reported runs older than this check, so what a create makes cannot be known"
                )
            look_requests = watch.requests_for(authorization)
        try:
            what = _describe(masked)
            charge = self._ledger.charge(effect.runs, makes=effect.creates, what=what, requests=1 + look_requests)
        except OutOfBudget as error:
            self._record.add_skipped(str(error))
            raise
        if watch is not None:
            self._ledger.take_back_request(look_requests)  # they are charged one by one when they are sent
            watch.begin(authorization)
        return _PendingRequest(request, masked, effect, charge)

    def _wait(self, *pending_requests: _PendingRequest) -> None:
        try:
            self._rate_limiter.wait(len(pending_requests), left_s=self._schedule.left_s)
        except BaseException as error:
            if isinstance(error, OutOfBudget):
                self._record.add_skipped(str(error))
            for pending in pending_requests:
                self._refund(pending)
            raise

    def _refund(self, pending: _PendingRequest) -> None:
        self._ledger.settle(pending.charge, 0)
        self._ledger.take_back_request()

    def _execute(self, pending: _PendingRequest, barrier: StartBarrier | None = None) -> Exchange:
        """Send an admitted request. The first Ctrl-C during a create waits for its answer, which reports the runs."""
        if not pending.effect.creates:
            return self._send_and_settle(pending, barrier)
        with held_back():
            return self._send_and_settle(pending, barrier)

    def _send_and_settle(self, pending: _PendingRequest, barrier: StartBarrier | None) -> Exchange:
        """Send the request. Whatever happens, ledger and journal afterwards cover what it may have created."""
        creates = pending.effect.creates
        sent_at = self._clock.now()
        try:
            with self._creates_in_flight if creates else contextlib.nullcontext():
                exchange = self._exchange(pending, barrier)
            self._note_for_watch(pending, sent_at, exchange)
            return exchange
        except NotDelivered as error:
            self._close_as_undelivered(pending)
            raise NoAnswer(str(error)) from None
        except NotAllowed:
            self._close_as_undelivered(pending)
            raise
        except BaseException:
            self._leave_open(pending)
            self._note_for_watch(pending, sent_at, None)
            raise

    def _note_for_watch(self, pending: _PendingRequest, sent_at: datetime, exchange: Exchange | None) -> None:
        if self._watch is None or not pending.effect.runs:
            return
        body = pending.effect.body
        is_object = isinstance(body, dict)
        self._watch.note(
            Sent(
                kind=self._watch.kind_of(pending.masked),
                authorization=pending.masked.header("authorization"),
                workflow_ids=frozenset(_workflow_ids(body)),
                inputs=ANY if is_object and "steps" in body else body.get("input_values") if is_object else None,
                at=sent_at,
                exchange=exchange,
                answered_at=None if exchange is None else self._clock.now(),
                reported=pending.reported_ids,
                intent=None if pending.intent is None else pending.intent.number,
            )
        )

    def _close_as_undelivered(self, pending: _PendingRequest) -> None:
        """Settle a request that did not reach the target, so that it created nothing."""
        self._ledger.settle(pending.charge, 0)
        if pending.intent is not None:
            self._opened_journal.made(pending.intent, ())

    def _exchange(self, pending: _PendingRequest, barrier: StartBarrier | None) -> Exchange:
        if pending.effect.creates:
            self._has_sent_creates = True
            pending.intent = self._opened_journal.intend(self._intent(pending))
        connection = None if barrier is None else self._connect_with_group(barrier)
        for attempt in range(self._bounds.repeats + 1):
            exchange = Exchange(pending.masked, self._answer(pending, connection if attempt == 0 else None))
            self._record.add(exchange)
            if exchange.answer.status != 429 or not self._may_repeat(exchange, attempt):
                break
        if exchange.answer.status == 503 and exchange.answer.header("retry-after"):
            wait_s = self._rate_limiter.asked_wait_s(exchange.answer, 0)
            self._rate_limiter.pause(min(wait_s, self._longest_wait_s), asked_s=wait_s)
        if pending.effect.writes:
            self._process_answer(pending, exchange)
        return exchange

    def _connect_with_group(self, barrier: StartBarrier) -> Connection:
        """Return an open connection, after all other requests of the group have one too."""
        connection = self._upstream.connection(for_write=True)
        with contextlib.suppress(Broken):  # the exchange tries again, and reports why it fails
            connection.open()
        barrier.meet()
        return connection

    def _answer(self, pending: _PendingRequest, connection: Connection | None) -> Answer:
        left_s = self._schedule.left_s(creates=pending.effect.creates)
        if left_s <= 0:
            raise NotDelivered(f"{_describe(pending.masked)}: the time of the check is over")
        outcome = self._upstream.exchange(pending.request, self._tokens.put_in, connection, within_s=left_s)
        if isinstance(outcome, Lost):
            words = f"{_describe(pending.masked)}: {outcome.words}"
            if outcome.malformed:
                raise NotAllowed(words)
            self._record.add_lost(words)
            raise NoAnswer(words, lost=outcome.words) if outcome.reached else NotDelivered(words)
        return self._tokens.mask_answer(outcome)

    def _may_repeat(self, exchange: Exchange, attempt: int) -> bool:
        """Handle a 429: wait as it asks, and return whether to retry the request."""
        self._record.add_throttled(exchange)
        wait_s = self._rate_limiter.asked_wait_s(exchange.answer, attempt)
        self._rate_limiter.pause(wait_s)
        if attempt == self._bounds.repeats or wait_s > self._longest_wait_s:
            return False
        if not self._ledger.charge_request(cleaning=False):
            return False
        try:
            self._rate_limiter.wait(left_s=self._schedule.left_s)
        except OutOfBudget:
            self._ledger.take_back_request()
            return False
        return True

    @property
    def _longest_wait_s(self) -> float:
        """The longest time that the target may make a request wait: not beyond the end of the check."""
        return max(0.0, min(self._bounds.wait_s, self._schedule.left_s()))

    # Outcome

    def _process_answer(self, pending: _PendingRequest, exchange: Exchange) -> None:
        status = exchange.answer.status
        # 307 and 308 ask to send the same request elsewhere, so it was not carried out here; 303 says that it was.
        refused = 400 <= status < 500 or status in {307, 308}
        if not pending.effect.creates:
            if pending.charge.runs and refused:
                self._ledger.settle(pending.charge, 0)
            if pending.effect.collections and 200 <= status < 300:
                for resource in created_by(exchange.answer).runs:
                    self._ownership.add_other(resource.id)
            return
        made = created_by(exchange.answer)
        reported = {run.id: run for run in made.runs if self._is_ours(run, exchange.answer)}
        run_ids = list(reported)
        pending.reported_ids = tuple(run_ids)
        unproven = [run.id for run in reported.values() if run.shown is None]
        self._seemingly_older.update(run.id for run in made.runs if run.id not in reported)
        new = sum(run_id not in self._ownership.authorizations for run_id in run_ids)  # a replay creates none
        authorization = exchange.request.header("authorization")
        for run_id, run in reported.items():
            self._ownership.add_run(run_id, authorization, proven=run.shown is not None)
        for other in made.others:
            self._ownership.add_other(other)
        for session_id in {run.session_id for run in reported.values() if run.session_id}:
            self._ownership.add_session(session_id)
        # A read was charged in case the server mixes up methods; if its answer reports no run, it only read.
        only_read = exchange.request.method in SAFE_METHODS and not made.runs
        if refused or only_read or (status < 300 and len(run_ids) + made.failed == pending.charge.runs):
            self._ledger.settle(pending.charge, new)
            if pending.intent is not None and self._watch is None:
                self._opened_journal.made(pending.intent, run_ids, unproven)
                return
        else:
            self._leave_open(pending, run_ids)
        if pending.intent is not None:  # stays open until the watch or the clean-up has searched for more runs
            now = self._clock.now().timestamp()
            self._opened_journal.answered(pending.intent, run_ids, now, unproven)

    def _leave_open(self, pending: _PendingRequest, run_ids: Sequence[str] = ()) -> None:
        """Keep the charge of a request with an unknown outcome. Its open intent makes the clean-up search for runs."""
        self._ledger.settle(pending.charge, max(pending.charge.runs, len(run_ids)))

    def _is_ours(self, run: CreatedRun, answer: Answer) -> bool:
        """Return whether a reported run belongs to the check: a broken server may report older runs of someone else."""
        if not self._is_shared or run.shown is None:
            return True
        old = is_older(run.shown, answer, self._started_at, self._clock.now())
        return not old or carries(self.marker, run.shown)

    def _intent(self, pending: _PendingRequest) -> Intent:
        masked = pending.masked
        body = pending.effect.body
        inputs = body.get("input_values") if isinstance(body, dict) else None
        has_inputs = isinstance(body, dict) and "steps" not in body
        sessions = tuple(uuids_under(body, frozenset({"session_id"})))
        return Intent(
            number=0,
            at=self._clock.now().timestamp(),
            identity=IDENTITIES.get(masked.header("authorization") or "", OTHER),
            runs=pending.effect.runs,
            workflow_ids=tuple(_workflow_ids(body)),
            session_id=sessions[0] if sessions else None,
            carries_marker=self.marker.encode() in (masked.body or b""),
            digest=self._opened_journal.digest(inputs or None) if has_inputs and self._watch is not None else None,
        )

    @property
    def _opened_journal(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("a Guard sends only inside its `with` block: the journal is not open")
        return self._journal

    # Requests of the guard itself

    def _target_does_not_know(self, run_id: str) -> bool:
        """Return whether none of the organisations that the check has a token for sees the run."""
        cleaner = self._cleaner(cleaning=False)
        return not any(cleaner.knows(run_id, each) for each in self._authorizations)

    def _run_is_ours(self, run_id: str) -> bool:
        if ours := self._cleaner(cleaning=False).is_ours(run_id, self._ownership.authorizations[run_id]):
            self._ownership.prove_run(run_id)
        return ours

    @property
    def _authorizations(self) -> tuple[str, ...]:
        return (TOKEN,) if self.target.second_token is None else (TOKEN, SECOND_TOKEN)

    def _cleaner(self, *, cleaning: bool = True) -> Cleaner:
        def pay() -> bool:
            return self._ledger.charge_request(cleaning=cleaning or self._is_cleaning)

        client = InternalClient(
            self._upstream,
            self._tokens,
            self._rate_limiter,
            pay=pay,
            left_s=self._schedule.left_to_ask_s,
            record=self._record.add,
            bounds=self._bounds,
        )
        return Cleaner(
            client,
            self._clock,
            careful=self._is_shared,
            started_at=self._started_at,
            marker=self.marker,
            unknown_is_404=self._unknown_is_404,
            lists_lag=self._watch is not None and not self._watch.lists_tell,
        )


def _workflow_ids(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        return
    steps = body.get("steps")
    for each in (body, *(steps if isinstance(steps, list) else ())):
        if isinstance(each, dict) and isinstance(each.get("workflow_id"), str):
            yield each["workflow_id"][:64]


def _describe(request: Request) -> str:
    """Return the method, the path and the `count` of a request, for a message."""
    words = f"{request.method} {request.path[:120]}"
    if request.body and (match := _COUNT.search(request.body)):
        words += f" with count {match.group(1).decode('ascii', 'replace').strip()[:40]}"
    return words
