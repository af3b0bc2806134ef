"""Cleans up the runs of a journal, and records the result in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.guard.cleanup import Authorizations, Cleaner, Left, Orphans
from contracts.guard.journal import AUTHORIZATIONS, IDENTITIES, OTHER, Journal, Record
from contracts.guard.refusals import OutOfBudget


@dataclass(frozen=True, slots=True)
class CleanedUp:
    orphans: Orphans
    left: Left


def what_may_follow(record: Record, done: CleanedUp) -> str | None:
    """Return why more runs may be left than `done` lists as left or possibly left; None if there can be no more."""
    if record.open_intents and not (done.orphans.all_seen and done.left.lists_tell):
        return "the target's runs could not be looked through for what an unanswered create made"
    if record.open_intents and not done.orphans.possible:
        return "a create got no answer a moment ago, and may yet be carried out: clean up again in a minute"
    return None


def clean_up(
    cleaner: Cleaner,
    journal: Journal,
    authorizations: Sequence[str],
    known: Mapping[str, str | None] | None = None,
    deletes: Callable[[], bool] | None = None,
) -> CleanedUp:
    """Find the runs that no answer reported, clean up, and record in the journal which runs are gone.

    Afterwards `journal.record.unfinished` has the runs that are left. `known` maps run ids to the authorization they
    were created with: for a run created with neither token, the journal does not store it.
    """
    record = journal.record
    orphans = cleaner.orphans(record, authorizations)
    for authorization in authorizations:
        if found := [run for run, by in orphans.proven.items() if by == authorization]:
            journal.add_runs(IDENTITIES[authorization], found)
    runs: dict[str, Authorizations] = {}
    left = Left(frozenset(), frozenset())
    for run, identity in record.unfinished.items():
        if identity == OTHER:
            runs[run] = (*authorizations, (known or {}).get(run))
        elif AUTHORIZATIONS[identity] in authorizations:
            runs[run] = (AUTHORIZATIONS[identity],)
    if runs:
        with contextlib.suppress(OutOfBudget):  # runs that were not reached are counted as left below
            offers_delete = cleaner.offers_delete(authorizations[0]) if deletes is None else deletes()
            cleaner.clean(runs, deletes=offers_delete, unproven=record.unproven)
        left = cleaner.left(runs)
        journal.gone([run for run in runs if run not in left.all])
    if orphans.all_seen and left.lists_tell and not orphans.possible:
        journal.close_intents(cleaner.settled(record, len(orphans.proven)))
    return CleanedUp(orphans, left)
