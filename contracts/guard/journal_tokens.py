"""Finds out which of the given tokens fit a journal: those that it was written with, or that have replaced them.

Tokens of deployments expire. A renewed one has another fingerprint, but reads the runs of the check. That is tried only
at a URL that the user has named, since the header of the journal cannot be verified with a token it was not made with.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from contracts.core.exchange import TOKEN
from contracts.core.target import Target
from contracts.guard.created import run_id_in
from contracts.guard.effect import path_of_run
from contracts.guard.journal import JournalRecord
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.runs_client import RunsClient, json_object
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Upstream, proxy_for

_MOST_READ: Final = 3
"""How many runs are read with a token: some of them may be gone."""


def fitting_tokens(record: JournalRecord, given: Iterable[str]) -> dict[str, str]:
    """Return the tokens that the journal was written with, by identity."""
    return {
        identity: token
        for token in given
        for identity, known in record.fingerprints.items()
        if record.fingerprint(token) == known
    }


def renewed_tokens(
    record: JournalRecord, given: Iterable[str], fitting: dict[str, str], *, ca_bundle: str | None, clock: Clock
) -> dict[str, str]:
    """Return the tokens that read runs of the identities that `fitting` has no token of, by identity."""
    if Target(record.url, "").origin != record.origin:
        return {}
    renewed: dict[str, str] = {}
    upstream = Upstream(record.url, ca_bundle=ca_bundle, proxy=proxy_for(record.url))
    try:
        for token in given:
            if token in fitting.values():
                continue
            limiter = RateLimiter(record.rate, clock)
            client = RunsClient(upstream, Tokens(token, None), limiter, clock, is_shared=True)
            for identity in record.fingerprints.keys() - fitting.keys() - renewed.keys():
                created = [run for run, by in record.unfinished.items() if by == identity]
                if _reads_one(client, [run for run in created if run not in record.unproven][:_MOST_READ]):
                    renewed[identity] = token
                    break
    finally:
        upstream.close()
    return renewed


def _reads_one(client: RunsClient, runs: Sequence[str]) -> bool:
    try:
        for run in runs:
            path = path_of_run(run)
            read = None if path is None else json_object(client.request("GET", path, TOKEN))
            if read is not None and run_id_in(read.get("id")) == run:
                return True
    except (NoAnswer, OutOfBudget):
        pass
    return False
