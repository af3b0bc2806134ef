"""Cleans up at the end of a check, or only counts the runs that are left, and collects why their number is unknown."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from contracts.guard.cleaner import Cleaner, DeleteSupport, delete_support
from contracts.guard.exchange_log import ExchangeLog
from contracts.guard.identity import PossibleRun
from contracts.guard.journal import Journal
from contracts.guard.journal_cleanup import clean_up, count_left
from contracts.guard.ownership import Ownership
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.runs_client import RunsClient
from contracts.guard.unreported_run_detector import UnreportedRunDetector


@dataclass
class CheckCleanup:
    """`client` makes a client that may use the budget's reserve for cleaning up."""

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
        lists_lag = self.detector is not None and not self.detector.lists_are_reliable
        return Cleaner(self.client(), self.journal.record.identity, lists_lag=lists_lag)

    def _read_lists_once_more(self) -> None:
        if self.detector is not None:
            self.detector.poll(is_last=True)

    def _note_unreliable_lists(self) -> None:
        if self.detector is not None and not self.detector.lists_are_reliable:
            self._add_unclear("the list of runs did not show what had been created, or could not be read")

    def _add_unclear(self, reason: str) -> None:
        self.unclear[reason] = None
        self.log.add_skipped(f"cleaning up: {reason}")
