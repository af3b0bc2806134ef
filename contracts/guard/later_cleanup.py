"""Cleans up, by their journals, after checks that crashed or did not clean up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from contracts.core.target import Target, is_loopback
from contracts.guard.cleanup import Cleaner
from contracts.guard.internal_client import InternalClient
from contracts.guard.journal import AUTHORIZATIONS, Journal, default_directory, fingerprint, journals
from contracts.guard.journal_cleanup import clean_up, what_may_follow
from contracts.guard.rate_limiter import Clock, RateLimiter
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Upstream, proxy_for


@dataclass(frozen=True, slots=True)
class CleanUpReport:
    """`words` explains, in a line each, which journals could not be cleaned up completely, and why."""

    journals: int = 0
    cleaned: int = 0
    left: int = 0
    possibly_left: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unknown: int = 0
    """How many of the runs in `left` may already be gone: the target does not tell."""
    unclear: int = 0
    """For how many journals more runs may be left than those counted; `words` explains why."""


@dataclass(slots=True)
class _Tally:
    journals: int = 0
    cleaned: int = 0
    left: int = 0
    unknown: int = 0
    unclear: int = 0
    possibly_left: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def report(self) -> CleanUpReport:
        return CleanUpReport(
            self.journals,
            self.cleaned,
            self.left,
            tuple(self.possibly_left),
            tuple(self.words),
            self.unknown,
            self.unclear,
        )


def clean_up_journals(
    url: str | None,
    *,
    token: str,
    second_token: str | None = None,
    journal_dir: Path | None = None,
    ca_bundle: str | None = None,
    clock: Clock | None = None,
) -> CleanUpReport:
    """Clean up after checks that crashed or did not clean up: all journals of the URL's origin, or without a URL all
    journals that were made with one of the tokens. A journal in use is skipped. A token is sent only to the origin that
    it was used for before.
    """
    tally = _Tally()
    wanted = Target(url, token).origin if url is not None else None
    given_tokens = [each for each in (token, second_token) if each]
    for path, found in journals(journal_dir or default_directory()):
        if isinstance(found, str):
            tally.words.append(f"{path.name} {found}")
            continue
        keep = True
        try:
            if wanted is None or found.record.origin == wanted:
                keep = _clean_up_journal(found, given_tokens, ca_bundle, clock or Clock(), tally)
        finally:
            found.close(keep=keep)
    return tally.report()


def _clean_up_journal(
    journal: Journal, given_tokens: list[str], ca_bundle: str | None, clock: Clock, tally: _Tally
) -> bool:
    """Clean up one journal; return whether it must be kept, because runs are left or may be left."""
    record = journal.record
    unfinished = len(record.unfinished)
    tokens = {
        identity: token
        for token in given_tokens
        for identity, known_fingerprint in record.fingerprints.items()
        if fingerprint(token, record.salt) == known_fingerprint
    }
    tally.journals += 1
    if not tokens:
        tally.left += unfinished
        tally.words.append(f"{journal.path.name} was made with another token on {record.origin}")
        return True
    upstream = Upstream(record.url, ca_bundle=ca_bundle, proxy=proxy_for(record.url))
    try:
        client = InternalClient(upstream, Tokens(tokens.get("first"), tokens.get("second")), RateLimiter(None, clock))
        started_at = datetime.fromtimestamp(record.started_at, UTC)
        careful = record.profile == "live" or not is_loopback(record.url)
        cleaner = Cleaner(client, clock, careful=careful, started_at=started_at, marker=record.marker)
        authorizations = tuple(AUTHORIZATIONS[identity] for identity in tokens)
        done = clean_up(cleaner, journal, authorizations)
    except (NoAnswer, OutOfBudget) as error:
        tally.left += unfinished
        tally.words.append(f"{journal.path.name}: {error}")
        return True
    finally:
        upstream.close()
    if unreached := sum(identity in AUTHORIZATIONS.keys() - tokens.keys() for identity in record.unfinished.values()):
        tally.words.append(f"{journal.path.name}: {unreached} runs were made with another token than those given")
    orphans = done.orphans
    left = len(record.unfinished)
    tally.unknown += len(done.left.unknown)
    tally.cleaned += unfinished + len(orphans.proven) - left
    tally.left += left
    tally.possibly_left.extend(sorted(orphans.possible))
    if words := what_may_follow(record, done):
        tally.unclear += 1
        tally.words.append(f"{journal.path.name}: {words}")
    return bool(left or record.open_intents)
