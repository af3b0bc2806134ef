"""Cleans up the runs of a journal, and records the result in it. First finds the runs that no answer reported.

A run that only looks like one of the check (same workflow, input values and approximate time) may belong to another
user of the same workflow: it is reported as possibly left, and not changed.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.guard.cleaner import Authorizations, Cleaner, DeleteSupport, Left, delete_support
from contracts.guard.exchange_log import ExchangeLog
from contracts.guard.identity import CREATION_WINDOW_S, LATE_CREATE_S, PossibleRun, created_at, likely_first, text_of
from contracts.guard.journal import AUTHORIZATIONS, CREDENTIALS, OTHER, Intent, Journal, JournalRecord, digest
from contracts.guard.ownership import Ownership
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.runs_client import Run, RunsClient
from contracts.guard.unreported_run_detector import UnreportedRunDetector

_CLOCK_TOLERANCE_S: Final = 3.0
"""The tolerance for times that were corrected by the target's Date, which has a resolution of a second."""


@dataclass(frozen=True, slots=True)
class UnknownRuns:
    """Runs that the journal does not contain. `proven` belong to the check; each id is mapped to the authorization that
    found it. `possible` may belong to the check, likely ones first.
    """

    proven: dict[str, str]
    possible: tuple[PossibleRun, ...]
    all_seen: bool
    """False if a list that may contain runs of the open intents could not be read to its end."""


@dataclass(frozen=True, slots=True)
class CleanedUp:
    found: UnknownRuns
    left: Left
    unclear: str | None
    """Why more runs may be left than those in `left` and `found.possible`; None if there are no others."""


def clean_up(
    cleaner: Cleaner,
    journal: Journal,
    authorizations: Sequence[str],
    known: Mapping[str, str | None] | None = None,
    support: DeleteSupport | None = None,
) -> CleanedUp:
    """Clean up, and record in the journal which runs are gone. Raises NoAnswer, OutOfBudget.

    Afterwards, `journal.record.unfinished` has the runs that are left. `known` maps run ids to the authorization they
    were created with, since the journal does not store an authorization other than the two tokens.
    """
    record = journal.record
    found = unknown_runs(cleaner.client, record, authorizations)
    runs = _unfinished(record, authorizations, known)
    runs |= {run: (authorization,) for run, authorization in found.proven.items()}
    left = Left()
    if runs:
        with contextlib.suppress(OutOfBudget):  # runs that were not reached are counted as left below
            support = support or delete_support(cleaner.client, authorizations[0])
            cleaner.clean(runs, support, unproven=record.unproven, listed=found.proven)
        found = _without_refuted(found, cleaner.refuted)
        for run, authorization in found.proven.items():
            journal.add_runs(CREDENTIALS[authorization], [run])
        left = count_left(cleaner, journal, authorizations, known)
    all_seen = found.all_seen and left.lists_are_reliable
    if all_seen and not found.possible:
        journal.close_intents(_settled(record, len(found.proven), cleaner.client.clock.now()))
    unclear = None
    if record.open_intents and not all_seen:
        unclear = _why_not_searched(record, cleaner.client, authorizations)
    elif record.open_intents and not found.possible:
        unclear = "a create got no answer a moment ago, and may yet be carried out: clean up again in a minute"
    return CleanedUp(found, left, unclear)


def _without_refuted(found: UnknownRuns, refuted: Mapping[str, Run]) -> UnknownRuns:
    proven = {run: authorization for run, authorization in found.proven.items() if run not in refuted}
    doubtful = map(PossibleRun.of, refuted.values())
    return UnknownRuns(proven, likely_first((*found.possible, *doubtful)), found.all_seen)


def _why_not_searched(record: JournalRecord, client: RunsClient, authorizations: Sequence[str]) -> str:
    if _of_other_tokens(record, authorizations):
        return "a create was sent with another token than those given, so its runs could not be searched for"
    answered = all(intent.was_answered for intent in record.open_intents.values())
    creates = "creates whose answer does not say whether they made runs" if answered else "an unanswered create"
    if client.no_list is None:
        return f"the target's lists could not be searched for runs of {creates}"
    return (
        f"the target offers no list of runs (GET /v1/runs: {client.no_list}), so it cannot be searched for runs of"
        f" {creates}"
    )


def count_left(
    cleaner: Cleaner, journal: Journal, authorizations: Sequence[str], known: Mapping[str, str | None] | None
) -> Left:
    """Ask the target which runs are left, and record in the journal which are gone."""
    runs = _unfinished(journal.record, authorizations, known)
    left = cleaner.left(runs)
    journal.record_gone([run for run in runs if run not in left.runs])
    return left


def _unfinished(
    record: JournalRecord, authorizations: Sequence[str], known: Mapping[str, str | None] | None
) -> dict[str, Authorizations]:
    """Return the runs that are not known to be gone, with the authorizations that may reach each."""
    runs: dict[str, Authorizations] = {}
    for run, credentials in record.unfinished.items():
        if credentials == OTHER:
            runs[run] = (*authorizations, (known or {}).get(run))
        elif AUTHORIZATIONS[credentials] in authorizations:
            runs[run] = (AUTHORIZATIONS[credentials],)
    return runs


def unknown_runs(client: RunsClient, record: JournalRecord, authorizations: Sequence[str]) -> UnknownRuns:
    """Find the runs that the open intents of a journal may have created and that the journal does not contain."""
    identity = record.identity
    proven: dict[str, str] = {}
    possible: list[PossibleRun] = []
    intents = tuple(record.open_intents.values())
    all_seen = not _of_other_tokens(record, authorizations)
    searches = [{"search": record.marker}]
    searches += [{"session_id": i.session_id} for i in intents if i.session_id in record.sessions]
    all_are_provable = bool(intents) and all(i.carries_marker or i.session_id in record.sessions for i in intents)
    for authorization in authorizations:
        searched = [_read_all(client, authorization, **search) for search in searches]
        ours = {run["id"]: authorization for runs, _ in searched for run in runs if identity.proves(run)}
        searches_suffice = all_are_provable and all(is_complete for _, is_complete in searched)
        # If the searches find no run of the check, the target may have ignored their filters.
        if intents and not (searches_suffice and ours):
            earliest = datetime.fromtimestamp(min(i.at for i in intents), UTC)
            listed, complete = _read_all(client, authorization, **client.created_since(earliest))
            all_seen = all_seen and complete
            for run in listed:
                if identity.proves(run):
                    ours[run["id"]] = authorization
                else:
                    possible += _possible(run, intents, record, client.clock_offset, authorization)
        proven |= ours
    new = {run: authorization for run, authorization in proven.items() if run not in record.runs}
    others = (run for run in possible if run.id not in proven and run.id not in record.runs)
    return UnknownRuns(new, likely_first(others), all_seen)


def _of_other_tokens(record: JournalRecord, authorizations: Sequence[str]) -> bool:
    """Return whether an open intent was sent with a token that was not given: nobody can look for its runs."""
    needed = {intent.credentials for intent in record.open_intents.values()} - {OTHER}
    return any(AUTHORIZATIONS[credentials] not in authorizations for credentials in needed)


def _possible(
    run: Run, intents: Sequence[Intent], record: JournalRecord, clock_offset: timedelta, authorization: str
) -> Iterator[PossibleRun]:
    """Yield the run once for each intent that may have created it."""
    created, by_target = created_at(run, clock_offset), created_at(run)
    if created is None or by_target is None:
        return
    if by_target.timestamp() < record.oldest_listed.get(CREDENTIALS[authorization], by_target.timestamp()):
        return  # the run is older than all runs of the list that was read before the first create
    for intent in intents:
        if intent.number <= record.listed.get(run["id"], intent.number) and _may_have_created(
            intent, run, created, record
        ):
            apart_s = created.timestamp() - intent.at
            yield PossibleRun.of(run, apart_s=apart_s, names_workflow=bool(intent.workflow_ids))


def _read_all(client: RunsClient, authorization: str, **query: str | None) -> tuple[list[Run], bool]:
    """Return the runs of a list as far as it can be read, and whether it was read to its end.

    A server that does not know the query parameters may refuse or ignore them.
    """
    runs: list[Run] = []
    try:
        runs.extend(client.pages(authorization, **query))
    except NoAnswer:
        return runs, False
    return runs, True


def _may_have_created(intent: Intent, run: Run, created: datetime, record: JournalRecord) -> bool:
    """Return whether the run matches the intent by workflow, time of creation and input values."""
    named = intent.workflow_ids or record.workflows
    if named and text_of(run, "workflow_id") not in named:
        return False
    if intent.answered_at is not None:  # the run was created between the request and its answer
        first, last = intent.at - _CLOCK_TOLERANCE_S, intent.answered_at + _CLOCK_TOLERANCE_S
    else:
        first, last = intent.at - CREATION_WINDOW_S, intent.at + CREATION_WINDOW_S
    if not first <= created.timestamp() <= last:
        return False
    return intent.digest is None or digest(run.get("input_values") or None, record.salt) == intent.digest


def _settled(record: JournalRecord, found: int, now: datetime) -> list[int]:
    """Return the open intents that create no more runs. `found` is the number of runs that were found by searching.

    An unanswered create may still be carried out, until `LATE_CREATE_S` have passed or all its runs were found.
    """
    unanswered = [intent for intent in record.open_intents.values() if not intent.was_answered]
    all_found = found >= sum(intent.runs for intent in unanswered)
    waits = {i.number for i in unanswered if not all_found and now.timestamp() - i.at < LATE_CREATE_S}
    return [number for number in record.open_intents if number not in waits]


@dataclass
class CheckCleanup:
    """Cleans up at the end of a check, or only counts the runs that are left. `client` makes a client that may use the
    budget's reserve for cleaning up.
    """

    journal: Journal
    ownership: Ownership
    detector: UnreportedRunDetector | None
    log: ExchangeLog
    authorizations: Sequence[str]
    client: Callable[[], RunsClient]
    unclear: dict[str, None] = field(default_factory=dict)
    """The reasons why it is not known how many runs of the check are left."""
    possible: list[PossibleRun] = field(default_factory=list)
    """Runs that may belong to the check, without proof."""
    _support: DeleteSupport | None = None
    _support_lock: threading.Lock = field(default_factory=threading.Lock)

    def delete_support(self) -> DeleteSupport:
        """Return whether the target can delete runs, tested once with an unused id. Raises NoAnswer, OutOfBudget."""
        with self._support_lock:
            if self._support is None:
                self._support = delete_support(self.client())
            return self._support

    @property
    def cannot_delete(self) -> bool:
        """Whether the target was tested and cannot delete runs."""
        return self._support is not None and not self._support.offered

    def clean_up(self) -> None:
        try:
            support = self.delete_support()
            self._read_lists_once_more()
            done = clean_up(self._cleaner(), self.journal, self.authorizations, self.ownership.runs, support)
            self.possible += [run for run in done.found.possible if run.id not in self.ownership.runs]
            if done.unclear is not None:
                self._add_unclear(done.unclear)
            if done.left.unknown:
                self._add_unclear(f"of {len(done.left.unknown)} runs neither reads nor lists show if they still exist")
            for run_id, authorization in done.found.proven.items():
                self.ownership.add_run(run_id, authorization)
        except (NoAnswer, OutOfBudget) as error:
            self._add_unclear(str(error))
        self._note_unreliable_lists()

    def count_left(self) -> None:
        self._read_lists_once_more()
        self._note_unreliable_lists()
        count_left(self._cleaner(), self.journal, self.authorizations, self.ownership.runs)

    def _cleaner(self) -> Cleaner:
        return Cleaner(self.client(), self.journal.record.identity, lists_lag=self._lists_are_unreliable)

    @property
    def _lists_are_unreliable(self) -> bool:
        return self.detector is not None and not self.detector.lists.are_reliable

    def _read_lists_once_more(self) -> None:
        if self.detector is not None:
            self.detector.poll(is_last=True)

    def _note_unreliable_lists(self) -> None:
        if self._lists_are_unreliable:
            self._add_unclear("the list of runs did not show what had been created, or could not be read")

    def _add_unclear(self, reason: str) -> None:
        self.unclear[reason] = None
        self.log.add_skipped(f"cleaning up: {reason}")
