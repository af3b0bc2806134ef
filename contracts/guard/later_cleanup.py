"""Cleans up after checks that crashed or did not clean up, using their journals."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN
from contracts.core.target import Target, is_loopback
from contracts.guard.cleaner import Cleaner
from contracts.guard.created import run_id_in
from contracts.guard.effect import path_of_run
from contracts.guard.identity import PossibleRun, likely_first
from contracts.guard.journal import (
    AUTHORIZATIONS,
    IN_USE,
    Journal,
    JournalRecord,
    default_directory,
    journals,
    named_directory,
    other_origins,
)
from contracts.guard.journal_cleanup import clean_up
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.runs_client import RunsClient, json_object_of_200
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Upstream, proxy_for

_MOST_READ: Final = 3
"""How many runs are read with a token: some of them may be gone."""


@dataclass(slots=True)
class CleanUpReport:
    """`problems` has a line for each journal that could not be cleaned up completely, with the reason."""

    journals: int = 0
    cleaned: int = 0
    left: int = 0
    unknown: int = 0
    """How many of the runs in `left` may already be gone: the target does not say."""
    unclear: int = 0
    """For how many journals more runs may be left than those counted; `problems` explains why."""
    possibly_left: list[PossibleRun] = field(default_factory=list)
    """Runs that may belong to a check, without proof, likely ones first."""
    problems: list[str] = field(default_factory=list)
    unreachable: set[str] = field(default_factory=set)
    """The origins that gave no answer: the other journals of these are skipped."""
    elsewhere: list[str] = field(default_factory=list)
    """The other origins of which there are journals, if a URL was named."""


def clean_up_journals(
    url: str | None,
    *,
    token: str,
    second_token: str | None = None,
    journal_dir: Path | None = None,
    ca_bundle: str | None = None,
    clock: Clock | None = None,
    on_begin: Callable[[str, int], Callable[[], None]] = lambda origin, runs: lambda: None,
) -> CleanUpReport:
    """Clean up the runs of all journals of the URL's origin. Without a URL, use all journals that were written with one
    of the tokens.

    A journal in use is skipped. A token is sent only to the origin that it was used for before, or that the URL names.
    `on_begin` is called before a journal is cleaned up, with its origin and its number of runs. The function that it
    returns is called after each of these runs, from any thread.
    """
    given_tokens = [each for each in (token, second_token) if each]
    cleanup = _LaterCleanup(given_tokens, ca_bundle, clock or Clock(), on_begin, url_is_named=url is not None)
    report = cleanup.report
    directory = journal_dir or default_directory()
    if not directory.is_dir() and (directory.exists() or directory == named_directory()):
        report.unclear += 1
        what = f"{directory} is not a folder" if directory.exists() else f"there is no folder {directory}"
        report.problems.append(f"{what}: correct CONTRACTS_JOURNAL_DIR")
    origin = None if url is None else Target(url, token).origin
    if origin is not None:
        report.elsewhere += other_origins(directory, origin)
    for path, found in journals(directory, origin):
        if isinstance(found, str):
            report.problems.append(f"{path.name} {found}")
            report.unclear += found != IN_USE  # a check that is running cleans up itself
            continue
        keep = True
        try:
            keep = cleanup.clean_up(found)
        finally:
            found.close(keep=keep)
    report.problems[:] = dict.fromkeys(report.problems)
    return report


def forget_journals(url: str, *, journal_dir: Path | None = None) -> CleanUpReport:
    """Delete all journals of the URL's origin that no check uses, and send nothing. The runs in them count as left."""
    report = CleanUpReport()
    for path, found in journals(journal_dir or default_directory(), Target(url, "").origin):
        if isinstance(found, str):
            report.problems.append(f"{path.name} {found}")
            continue
        report.journals += 1
        report.left += len(found.record.unfinished)
        found.close(keep=False)
    return report


@dataclass(frozen=True)
class _LaterCleanup:
    """Cleans up one journal after the other, and counts in `report` what was done."""

    given_tokens: Sequence[str]
    ca_bundle: str | None
    clock: Clock
    on_begin: Callable[[str, int], Callable[[], None]]
    url_is_named: bool = field(kw_only=True)
    report: CleanUpReport = field(default_factory=CleanUpReport)

    def clean_up(self, journal: Journal) -> bool:
        """Clean up a journal. Return whether it must be kept, because runs are left or may be left."""
        record, report = journal.record, self.report
        report.journals += 1
        tokens = self._tokens_of(record)
        if not tokens:
            what = f"was written with another token on {record.origin}, or changed since"
            step = "give the URL and a valid token"
            if self.url_is_named:
                step = "the token that was given reads none of its runs; give one of the same organisation"
            report.problems.append(f"{journal.path.name} {what}: {step}")
        can_reach = record.origin not in report.unreachable
        was_cleaned_up = bool(tokens) and can_reach and self._clean_up_with(tokens, journal)
        report.left += len(record.unfinished)
        if not was_cleaned_up:
            report.unclear += bool(record.open_intents)
            return True
        return bool(record.unfinished or record.open_intents)

    def _clean_up_with(self, tokens: Mapping[str, str], journal: Journal) -> bool:
        """Clean up with the tokens, by credentials. Return False if the target does not answer, or not in time."""
        record, report = journal.record, self.report
        unfinished = len(record.unfinished)
        on_cleaned = self.on_begin(record.url, unfinished)
        authorizations = tuple(AUTHORIZATIONS[credentials] for credentials in tokens)
        is_shared = record.profile == "live" or not is_loopback(record.url)
        try:
            with self._client(record, Tokens(tokens.get("first"), tokens.get("second")), is_shared=is_shared) as client:
                done = clean_up(Cleaner(client, record.identity, on_cleaned=on_cleaned), journal, authorizations)
        except NoAnswer as error:
            report.unreachable.add(record.origin)
            forget = f"`contracts cleanup {record.origin} --forget` discards its journals"
            report.problems.append(f"{record.origin}: {error}. Start the server; if it is gone, {forget}")
            return False
        except OutOfBudget as error:
            report.problems.append(f"{journal.path.name}: {error}")
            return False
        others = AUTHORIZATIONS.keys() - tokens.keys()
        if unreached := sum(credentials in others for credentials in record.unfinished.values()):
            runs = counted(unreached, "run", "needs", "need")
            report.problems.append(f"{journal.path.name}: {runs} another token than those given")
        report.unknown += len(done.left.unknown)
        report.cleaned += unfinished + len(done.found.proven) - len(record.unfinished)
        report.possibly_left[:] = likely_first((*report.possibly_left, *done.found.possible))
        if done.unclear is not None:
            report.unclear += 1
            # Without a list, one line for all journals, since none can be cleaned up.
            where = journal.path.name if client.no_list is None else record.origin
            forget = f"`contracts cleanup {record.origin} --forget` discards the journals of these creates"
            report.problems.append(f"{where}: {done.unclear}. If there is nothing to clean up there, {forget}")
        return True

    @contextlib.contextmanager
    def _client(self, record: JournalRecord, tokens: Tokens, *, is_shared: bool) -> Iterator[RunsClient]:
        upstream = Upstream(record.url, ca_bundle=self.ca_bundle, proxy=proxy_for(record.url))
        with contextlib.closing(upstream):
            yield RunsClient(upstream, tokens, RateLimiter(record.rate, self.clock), self.clock, is_shared=is_shared)

    def _tokens_of(self, record: JournalRecord) -> dict[str, str]:
        """Return the tokens that the journal was written with, and renewed ones, by credentials."""
        fitting = {
            credentials: token
            for token in self.given_tokens
            for credentials, known in record.fingerprints.items()
            if record.fingerprint(token) == known
        }
        if not self.url_is_named or record.origin in self.report.unreachable:
            return fitting
        return fitting | self._renewed_tokens(record, fitting)

    def _renewed_tokens(self, record: JournalRecord, fitting: Mapping[str, str]) -> dict[str, str]:
        """Return the tokens that read runs of the credentials that `fitting` has no token of, by credentials.

        Tokens of deployments expire. A renewed one has another fingerprint, but reads the runs of the check. Try that
        only at a URL that the user has named, since the header of the journal cannot be verified with a token it was
        not made with.
        """
        if Target(record.url, "").origin != record.origin:
            return {}
        renewed: dict[str, str] = {}
        for token in self.given_tokens:
            if token in fitting.values():
                continue
            with self._client(record, Tokens(token, None), is_shared=True) as client:
                for credentials in record.fingerprints.keys() - fitting.keys() - renewed.keys():
                    created = [run for run, by in record.unfinished.items() if by == credentials]
                    if _reads_one(client, [run for run in created if run not in record.unproven][:_MOST_READ]):
                        renewed[credentials] = token
                        break
        return renewed


def _reads_one(client: RunsClient, runs: Sequence[str]) -> bool:
    try:
        for run in runs:
            path = path_of_run(run)
            read = None if path is None else json_object_of_200(client.request("GET", path, TOKEN))
            if read is not None and run_id_in(read.get("id")) == run:
                return True
    except (NoAnswer, OutOfBudget):
        pass
    return False
