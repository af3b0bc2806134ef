"""Detects runs that the check created on a live target and that no answer reported, by reading the lists of runs.

Creates and retries are sent one at a time. The newest runs are read after each request that was not refused, and after
the first refused request of each kind. A new run that no answer reported
- belongs to the check, if it contains the check's marker or a session id that the check generated. It is cleaned up;
- possibly belongs to the check, if its workflow, input values and time of creation match a request of the check. It is
  reported and never changed, since someone else may have created it;
- belongs to someone else otherwise.

Such a run stops requests of the operation that created it:

    the request that created the run      the run belongs to the check      the run possibly belongs to the check
    refused, and must create nothing      those that must create nothing    those that must create nothing
    refused, but could create runs        all                               all
    not refused                           all                               all, unless others create runs of that
                                                                            workflow too (a coincidence)

If the lists cannot be read, or do not show the runs that answers report, only one request of each kind that must create
nothing is sent, and no more of an operation after one that got a 5xx or no answer: nobody could find its run.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from contracts.core.exchange import Exchange, Request
from contracts.guard.admitted_request import AdmittedRequest, RequestKind
from contracts.guard.budget import BudgetAccount
from contracts.guard.effect import path_of_run
from contracts.guard.identity import PossibleRun, has_other_inputs
from contracts.guard.journal import CREDENTIALS, OTHER, Journal
from contracts.guard.newest_runs import NewestRuns
from contracts.guard.ownership import Ownership
from contracts.guard.refusals import NoAnswer, NotAllowed, OutOfBudget
from contracts.guard.runs_client import NEWEST, Run, RunsClient, json_object_of_200


@dataclass(frozen=True, slots=True)
class _NewRun:
    """A run that no answer reported, the request that may have created it, and the list that showed it."""

    run: Run
    origin: AdmittedRequest
    listing: Exchange
    authorization: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class UnreportedRuns:
    """Runs that no answer reported. `certain`: it is proven, or cannot be a coincidence, that this check created them.
    `status` is that of the answer to the request that created them; `reported` is how many runs this answer reported.
    """

    operation: str
    status: int
    runs: int
    reported: int
    exchanges: tuple[Exchange, ...]
    certain: bool


@dataclass(eq=False)
class UnreportedRunDetector:
    """Adds the unreported runs that are proven to belong to the check to its runs and to the journal.

    Thread-safe, since requests and polls happen `one_at_a_time`.
    """

    client: RunsClient
    ownership: Ownership
    journal: Journal
    account: BudgetAccount
    authorizations: tuple[str, ...]
    kind_of: Callable[[Request], RequestKind] = RequestKind.by_path
    possible: list[PossibleRun] = field(default_factory=list)
    """Unreported runs that may belong to the check, without proof."""
    lists: NewestRuns = field(init=False)
    _alone: Any = field(default_factory=threading.RLock)
    _unreported: list[UnreportedRuns] = field(default_factory=list)
    _checked_refusals: int = 0
    _sent: list[AdmittedRequest] = field(default_factory=list)
    _pending: list[AdmittedRequest] = field(default_factory=list)
    _checked_kinds: set[RequestKind] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)
    """Operations that created unreported runs: none of their requests is sent any more."""
    _stopped_if_must_create_nothing: set[str] = field(default_factory=set)
    """Operations of which only the requests that must create nothing are not sent any more."""
    _unverified: set[RequestKind] = field(default_factory=set)
    """Kinds with a request that was not accepted while no reliable list could show what it created."""

    def __post_init__(self) -> None:
        self.lists = NewestRuns(self.client, self.ownership, self.journal)

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Send one request or group at a time, and look for new runs before the next one."""
        with self._alone:
            try:
                yield
            finally:
                if self._must_poll:
                    self.poll()

    def take_unreported(self) -> list[UnreportedRuns]:
        found, self._unreported = self._unreported, []
        return found

    def take_checked_refusals(self) -> int:
        checked, self._checked_refusals = self._checked_refusals, 0
        return checked

    def requests_for_lists(self, kind: RequestKind, authorization: str | None) -> int:
        """Return how many list requests a request needs: one per list, and one more the first time.

        Raises NotAllowed if an earlier request of its kind created unreported runs, or might have.
        """
        must_create_nothing = kind.reason is not None
        stopped = self._stopped | (self._stopped_if_must_create_nothing if must_create_nothing else set())
        if kind.operation in stopped:
            raise NotAllowed(
                f"{kind.operation}: an earlier one created runs that no answer reported, or may have: no more is sent"
            )
        if must_create_nothing and kind in self._unverified:
            raise NotAllowed(
                f"{kind.operation}: not sent again, since the list of runs is unreliable: runs created by a refused"
                " request would not be noticed"
            )
        return sum(1 if each in self.lists.authorizations else 2 for each in self._lists_for(authorization))

    def remember_existing_runs(self, authorization: str | None) -> None:
        """Remember, before the first request that may create runs, which runs exist: they belong to someone else."""
        for each in self._lists_for(authorization):
            if each not in self.lists.authorizations:
                self.lists.remember_existing(each)

    def _lists_for(self, authorization: str | None) -> tuple[str, ...]:
        """Return the authorizations whose lists may show the runs of a request: both, if it has neither token."""
        return (authorization,) if authorization in self.authorizations else self.authorizations

    def note(self, sent: AdmittedRequest) -> None:
        """Record a request that may have created runs, after its answer or after it failed."""
        self._sent.append(sent)
        self._pending.append(sent)

    @property
    def _must_poll(self) -> bool:
        """Whether `poll` must follow the last request."""
        if not self._pending:
            return False
        last = self._pending[-1]
        return not last.refused or self._kind_with_answer(last) not in self._checked_kinds

    @staticmethod
    def _kind_with_answer(sent: AdmittedRequest) -> RequestKind:
        """Return the kind of a request. If only its answer shows that it must create nothing (because the run is
        unknown, for example), the kind includes the status.
        """
        if sent.kind.reason is not None or sent.exchange is None:
            return sent.kind
        return RequestKind(sent.kind.operation, f"answered with {sent.exchange.answer.status}")

    def poll(self, *, is_last: bool = False) -> None:
        """Find the new runs since the last poll. The last one (`is_last`) also finds runs that a list showed late."""
        pending, self._pending = self._pending, []
        if not pending and not (is_last and self._sent and self.lists.lag_s):
            return
        by_likelihood = self._by_likelihood(pending)  # before their kinds count as checked
        self._checked_kinds.update(map(self._kind_with_answer, pending))
        if self.lists.lag_s and not all(sent.reported for sent in pending):
            self.client.clock.sleep(self.lists.lag_s)
        lists: Iterable[str] = self.lists.authorizations
        if not is_last:
            lists = chain.from_iterable(self._lists_for(sent.authorization) for sent in pending)
        new_by_list = [self._new_in_list(each, pending, by_likelihood) for each in dict.fromkeys(lists)]
        found = [new for in_list in new_by_list for new in in_list or ()]
        if found:
            self._report(found)
            self._keep(found)
        if None not in new_by_list:
            self._checked_refusals += sum(sent.refused for sent in pending)
            if all(new.is_proven for new in found):
                self._close_intents(pending)
        else:
            self.lists.are_reliable = False
            self._unverified.update(sent.kind for sent in pending if not sent.accepted)
        if not self.lists.are_reliable:  # then nobody can find the runs of a request with a 5xx or without an answer
            self._stopped.update(sent.kind.operation for sent in pending if not sent.accepted and not sent.refused)

    def _by_likelihood(self, pending: list[AdmittedRequest]) -> list[AdmittedRequest]:
        """Return the requests, first the one that most likely created a run that no answer reported. One of a kind that
        was checked before comes late, since it created nothing then, and so does an accepted one, which reported what
        it created. Of two that are equally likely, the later one comes first.
        """
        checked, latest_first = self._checked_kinds, pending[::-1]
        return sorted(latest_first, key=lambda sent: (self._kind_with_answer(sent) in checked, sent.accepted))

    def _new_in_list(
        self, authorization: str, pending: list[AdmittedRequest], by_likelihood: list[AdmittedRequest]
    ) -> list[_NewRun] | None:
        """Return the new runs of a list that belong to the check, or may; None if the list is not reliable. The last
        argument has the pending requests in the order of `_by_likelihood`.
        """
        of_list = [sent.reported for sent in pending if sent.authorization == authorization]
        page = self.lists.read(authorization, set(chain.from_iterable(of_list)))
        if page is None:
            return None
        exchange, runs = page
        self._compare_reported(pending, exchange, runs)
        found: list[_NewRun] = []
        for run in self.lists.new_runs(authorization, runs):
            origin = self._origin_of(run, by_likelihood)
            is_proven = self._is_proven(run, authorization)
            if is_proven or origin is not None:
                origin = origin or (pending or self._sent)[-1]
                found.append(_NewRun(run, origin, exchange, authorization, is_proven))
            else:
                self.lists.note_foreign(run)
        return found

    def _is_proven(self, run: Run, authorization: str) -> bool:
        """Return whether the list and a read of the run prove that it belongs to the check."""
        proves = self.journal.record.identity.proves
        if not proves(run) or (path := path_of_run(run["id"])) is None:
            return False
        try:
            read = json_object_of_200(self.client.request("GET", path, authorization))
        except (NoAnswer, OutOfBudget):
            read = None
        return read is None or proves(read)

    def _close_intents(self, pending: list[AdmittedRequest]) -> None:
        """Close the intents of the requests that were answered."""
        intents = [sent.intent.number for sent in pending if sent.exchange is not None and sent.intent is not None]
        if settled := [number for number in intents if number in self.journal.record.open_intents]:
            self.journal.close_intents(settled)

    def _keep(self, found: list[_NewRun]) -> None:
        for new in found:
            if new.is_proven:
                self.ownership.add_run(new.run["id"], new.authorization)
                self.journal.add_runs(CREDENTIALS[new.authorization], [new.run["id"]])
            else:
                at = self.lists.created_at(new.run) or new.origin.sent_at
                apart_s = (at - new.origin.sent_at).total_seconds()
                names_workflow = bool(new.origin.effect.workflow_ids)
                self.possible.append(PossibleRun.of(new.run, apart_s=apart_s, names_workflow=names_workflow))
        self.account.add_unreported(len({new.run["id"] for new in found}))

    def _compare_reported(self, pending: Iterable[AdmittedRequest], listing: Exchange, runs: list[Run]) -> None:
        """Compare the runs that answers reported with what the list shows of them.

        An answer may have the id of a run that someone else has just created, and otherwise what was sent. The check
        gives up such a run, and sends no more requests of the operation. A run that a full page does not show may be
        older than the page: it is read before it is changed.
        """
        listed, now = {run["id"]: run for run in runs}, self.client.clock.now()
        may_include = self.journal.record.identity.may_include
        for sent in pending:
            for run_id in set(sent.reported) & self.ownership.runs.keys():
                run = listed.get(run_id)
                if run is None and len(runs) >= NEWEST:
                    self.ownership.unproven.add(run_id)
                    self.journal.add_runs(CREDENTIALS.get(sent.authorization or "", OTHER), [run_id], [run_id])
                elif run and (not may_include(run, listing.answer, now) or has_other_inputs(run, sent.effect.body)):
                    self.ownership.disown(run_id)
                    self.journal.record_gone([run_id])
                    self._stopped.add(sent.kind.operation)
                    self.possible.append(PossibleRun.of(run))

    def _origin_of(self, run: Run, by_likelihood: list[AdmittedRequest]) -> AdmittedRequest | None:
        """Return the first of the requests that may have created the run; None if none may.

        If lists lag or are not reliable, the run may also be of an earlier request: these follow, the latest first.
        """
        named_workflows = {workflow for sent in self._sent for workflow in sent.effect.workflow_ids}
        earlier: Iterable[AdmittedRequest] = (
            reversed(self._sent) if self.lists.lag_s or not self.lists.are_reliable else ()
        )
        at = self.lists.created_at(run)
        matching = (sent for sent in (*by_likelihood, *earlier) if sent.may_have_created(run, at, named_workflows))
        return next(matching, None)

    def _report(self, found: list[_NewRun]) -> None:
        """Stop the operation that created the runs, and keep them for `take_unreported`."""
        first = next((new for new in found if new.origin.exchange is not None), found[0])
        origin, operation = first.origin, first.origin.kind.operation
        certain = any(new.is_proven or self.lists.is_idle(new.run) for new in found)
        if certain or origin.refused:  # a run of someone else must not stop the check
            must_create_nothing = origin.refused and origin.kind.reason is not None
            (self._stopped_if_must_create_nothing if must_create_nothing else self._stopped).add(operation)
        if origin.exchange is not None:
            exchanges = (origin.exchange, first.listing)
            status, reported = origin.exchange.answer.status, len(origin.reported)
            self._unreported.append(UnreportedRuns(operation, status, len(found), reported, exchanges, certain))
