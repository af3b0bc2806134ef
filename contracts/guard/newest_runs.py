"""What the lists of the newest runs show on a live target: runs that existed before, new ones, and those of others."""

from collections.abc import Collection, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from contracts.core.exchange import Exchange
from contracts.guard import identity
from contracts.guard.admitted_request import TOLERANCE_BEFORE
from contracts.guard.journal import CREDENTIALS, Journal
from contracts.guard.ownership import Ownership
from contracts.guard.runs_client import NEWEST, Run, RunsClient

_LAGS_S: Final = (0.3, 0.7, 1.5)
"""Pauses before reading a list again that does not yet show the runs that an answer reported."""
_IDLE_AFTER: Final = timedelta(minutes=10)
"""If nobody else created a run of a workflow for this time, a run that matches a request is not a coincidence."""


@dataclass(eq=False)
class NewestRuns:
    """The list of each organisation, by authorization."""

    client: RunsClient
    ownership: Ownership
    journal: Journal
    others: set[str] = field(default_factory=set)
    """The runs of someone else that the lists have shown."""
    are_reliable: bool = True
    """False after a list could not be read or did not show the runs that an answer reported."""
    lag_s: float = 0.0
    """The longest time after which a list has shown the runs that an answer reported."""
    _known: dict[str, set[str]] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)
    _foreign_runs_at: dict[str, datetime] = field(default_factory=dict)
    """Per workflow, when someone else last created a run of it, as far as the lists showed."""

    @property
    def authorizations(self) -> Collection[str]:
        """Those whose existing runs are known."""
        return self._known.keys()

    def remember_existing(self, authorization: str) -> None:
        """Remember, before the first request that may create runs, which runs exist: they belong to someone else."""
        page = self.client.newest(authorization)
        runs = [] if page is None else page[1]
        for run in runs:
            self.note_foreign(run)
        self._known[authorization] = {run["id"] for run in runs}
        self._since[authorization] = self.client.clock.now()
        if runs:
            times = [at for run in runs if (at := identity.created_at(run)) is not None]
            oldest = min(times).timestamp() if times and len(runs) >= NEWEST else None
            self.journal.add_listed(CREDENTIALS[authorization], sorted(self._known[authorization]), oldest)

    def read(self, authorization: str, reported: Set[str]) -> tuple[Exchange, list[Run]] | None:
        """Read the newest runs until they include all `reported` ones, or fill a page. Return None if they never do, or
        if the list cannot be read.
        """
        pauses_s = iter(_LAGS_S if self.are_reliable else ())
        waited_s = 0.0
        while (page := self.client.newest(authorization)) is not None:
            runs = page[1]
            if reported <= {run["id"] for run in runs} or len(runs) >= NEWEST:
                self.lag_s = max(self.lag_s, waited_s)
                return page
            pause_s = next(pauses_s, None)
            if pause_s is None:
                break
            self.client.clock.sleep(pause_s)
            waited_s += pause_s
        return None

    def new_runs(self, authorization: str, runs: Collection[Run]) -> list[Run]:
        """Return the runs that no answer reported and that did not exist before the first request of the check, or are
        proven to belong to it.
        """
        known = self._known[authorization]
        new = [run for run in runs if run["id"] not in known and run["id"] not in self.ownership.runs]
        known.update(run["id"] for run in runs)
        if new:
            self.journal.add_listed(CREDENTIALS[authorization], [run["id"] for run in new])
        earliest = self._since[authorization] - TOLERANCE_BEFORE
        proves = self.journal.record.identity.proves
        ours = [run for run in new if proves(run) or (self.created_at(run) or earliest) >= earliest]
        self.others.update({run["id"] for run in new} - {run["id"] for run in ours})
        return ours

    def created_at(self, run: Run) -> datetime | None:
        """Return when the run was created, by our clock."""
        return identity.created_at(run, self.client.clock_offset)

    def note_foreign(self, run: Run) -> None:
        """Note a run of someone else."""
        self.others.add(run["id"])
        workflow = str(run.get("workflow_id"))
        moment = self.created_at(run) or self.client.clock.now()
        self._foreign_runs_at[workflow] = max(moment, self._foreign_runs_at.get(workflow, moment))

    def is_idle(self, run: Run) -> bool:
        """Return whether nobody else has created a run of the same workflow for some time."""
        last = self._foreign_runs_at.get(str(run.get("workflow_id")))
        return last is None or self.client.clock.now() - last > _IDLE_AFTER
