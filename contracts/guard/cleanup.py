"""Cleaning up: cancels and deletes what a check made, asks the server what is left, finds what a crash left unknown.

What may be deleted must be proven to be ours:
- its id stood in the answer to a create of this check (and, on a live target, it was not created long before), or
- the check's marker, a random text that nobody else uses, stands in one of its values, or
- its session is one whose random id this check made.

A run that only looks like one of ours (made about then, of that workflow, with the same input values) may be someone
else's, who runs the same workflow: it is told as possibly left, and not touched.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from contracts.exchange import TOKEN, Answer
from contracts.guard.asking import Asker
from contracts.guard.effect import canonical
from contracts.guard.journal import (
    AUTHORIZATIONS,
    IDENTITIES,
    OTHER,
    Intent,
    Journal,
    Record,
    default_directory,
    digest,
    fingerprint,
    journals,
)
from contracts.guard.made import ahead, carries, is_older
from contracts.guard.pace import Clock, Pace
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.tokens import Tokens
from contracts.guard.upstream import Upstream, proxy_for
from contracts.target import Target, is_loopback

WORKERS: Final = 8
_PAGE: Final = 1000
_MAX_PAGES: Final = 1000
_MAX_SHARED_PAGES: Final = 10
"""Where others use the target, their runs are not read through to the end of days."""
_COUNTED_ONE_BY_ONE: Final = 200
_SAMPLE: Final = 50
_SHORTEST: Final = "session_id"
"""Of a run's fields, those that always stay are enough: one more is named, since none cannot be asked for."""
_WINDOW_S: Final = 300.0
"""How far the target's clock, and a slow create, may be from the moment of an intent."""
_STILL_AT_WORK_S: Final = 60.0
"""For so long after it was sent, a create that got no answer may yet be carried out."""
_DEAD_AFTER: Final = 20
"""Requests in a row without an answer, after which a target counts as dead."""
_SILENT_AFTER: Final = 3
_SILENT_S: Final = 30.0
"""So many are enough where it has said nothing for so long: each may take as long as reading waits."""
_TERMINAL = frozenset({"success", "task_failed", "error", "cancelled"})
_CANCEL = b'{"status": "cancelled"}'

T = TypeVar("T")
Authorizations = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Runs that no answer told of. `proven` are ours, with the authorization they were found by."""

    proven: dict[str, str]
    possible: frozenset[str]
    all_seen: bool
    """All that the open intents could have made was looked through."""


class Cleaner:
    """`careful` is for targets that others use: a run is looked at before it is touched, and cancelled before it is
    deleted, so that no desktop goes on working on it.
    """

    def __init__(self, asker: Asker, clock: Clock, *, careful: bool, started_at: datetime, marker: str) -> None:
        self._asker = asker
        self._clock = clock
        self._careful = careful
        self._started_at = started_at
        self._marker = marker
        self._deleted: set[str] = set()
        self._unanswered = 0
        self._silent_since: float | None = None
        self._ahead = timedelta()

    def offers_delete(self, authorization: str = TOKEN) -> bool:
        """Tried on an id that nobody has. Where that is 404, as an unknown id and a missing operation both are, the
        answers to a malformed id and to a path that surely does not exist tell the two apart.
        """
        unknown = self._ask("DELETE", f"/v1/runs/{uuid.uuid4()}", TOKEN)
        if unknown.status in {401, 403, 405, 501}:
            return False
        if unknown.status != 404:
            return True
        malformed = self._ask("DELETE", "/v1/runs/not-a-uuid", TOKEN)
        if malformed.status not in {404, 405}:
            return True
        nowhere = self._ask("DELETE", "/v1/contracts-not-a-uuid/nowhere", TOKEN)
        return nowhere.body != unknown.body

    def clean(self, runs: Mapping[str, Authorizations], *, deletes: bool) -> None:
        """Cancels, and deletes where the target offers it. What did not work shows when what is left is counted."""
        in_threads(lambda item: self._clean_one(item[0], item[1], deletes=deletes), runs.items())

    def left(self, runs: Mapping[str, Authorizations]) -> set[str]:
        """The runs that the server still has, or does not say it has not."""
        if len(runs) <= _COUNTED_ONE_BY_ONE:
            return self._left_one_by_one(runs)
        listed: set[str] = set()
        for authorization in {each for authorizations in runs.values() for each in authorizations}:
            found = self._listed(runs, authorization)
            if found is None:
                return self._left_one_by_one(runs)
            listed |= found
        unlisted = [run for run in runs if run not in listed]
        sample = unlisted[:: max(1, len(unlisted) // _SAMPLE)]
        if self._left_one_by_one({run: runs[run] for run in sample}):
            return listed | self._left_one_by_one({run: runs[run] for run in unlisted})  # the list does not tell all
        return listed

    def orphans(self, record: Record, authorizations: Sequence[str]) -> Orphans:
        """What the open intents of a journal may have made, beside the runs that it knows."""
        proven: dict[str, str] = {}
        possible: set[str] = set()
        all_seen = True
        intents = tuple(record.open_intents.values())
        searches = [{"search": record.marker}]
        searches += [{"session_id": i.session_id} for i in intents if i.session_id in record.sessions]
        leaves_a_proof = bool(intents) and all(i.carries_marker or i.session_id in record.sessions for i in intents)
        for authorization in authorizations:
            found = [run for search in searches for run in self._all(authorization, **search)[0]]
            ours = {run["id"]: authorization for run in found if _is_proven(run, record)}
            if intents and not (leaves_a_proof and ours):  # what was searched for may not have been understood
                earliest = datetime.fromtimestamp(min(i.at for i in intents) - _WINDOW_S, UTC) + self._ahead
                since = earliest.isoformat().replace("+00:00", "Z")
                listed, whole = self._all(authorization, created_at_from=since)
                all_seen = all_seen and whole
                for run in listed:
                    if _is_proven(run, record):
                        ours[run["id"]] = authorization
                    elif any(self._looks_like(run, intent, record.salt) for intent in intents):
                        possible.add(run["id"])
            proven |= ours
        known = record.runs.keys()
        new = {run: authorization for run, authorization in proven.items() if run not in known}
        return Orphans(new, frozenset(possible - proven.keys() - known), all_seen)

    def settled(self, record: Record, found: int) -> list[int]:
        """The open intents of which nothing more can come. An unanswered one may yet be carried out."""
        unanswered = [intent for intent in record.open_intents.values() if not intent.was_answered]
        all_found = found >= sum(intent.runs for intent in unanswered)
        now = self._clock.now().timestamp()
        waits = {i.number for i in unanswered if not all_found and now - i.at < _STILL_AT_WORK_S}
        return [number for number in record.open_intents if number not in waits]

    def _looks_like(self, run: Mapping[str, Any], intent: Intent, salt: str) -> bool:
        if intent.workflow_ids and run.get("workflow_id") not in intent.workflow_ids:
            return False
        try:
            created_at = datetime.fromisoformat(str(run.get("created_at")))
        except ValueError:
            return False
        here = created_at.replace(tzinfo=created_at.tzinfo or UTC) - self._ahead
        if abs(here.timestamp() - intent.at) > _WINDOW_S:
            return False
        return intent.digest is None or digest(run.get("input_values"), salt) == intent.digest

    def _clean_one(self, run_id: str, authorizations: Authorizations, *, deletes: bool) -> None:
        for authorization in authorizations:
            try:
                if self._clean_as(run_id, authorization, deletes=deletes):
                    return
            except NoAnswer:
                continue

    def _clean_as(self, run_id: str, authorization: str | None, *, deletes: bool) -> bool:
        """False where this authorization does not reach the run."""
        path = f"/v1/runs/{run_id}"
        cancelled = False
        if self._careful:
            answer = self._ask("GET", path, authorization)
            run = _object(answer)
            if run is None:
                return False
            if not self._is_ours(run, answer):
                return True
            cancelled = run.get("status") in _TERMINAL
        if not cancelled and (self._careful or not deletes):
            self._ask("PATCH", path, authorization, _CANCEL)
            cancelled = True
        if not deletes:
            return True
        status = self._ask("DELETE", path, authorization).status
        if status in {400, 409, 422} and not cancelled:  # some servers delete only what has ended
            self._ask("PATCH", path, authorization, _CANCEL)
            status = self._ask("DELETE", path, authorization).status
        if status < 300:
            self._deleted.add(run_id)
        return status < 300

    def knows(self, run_id: str, authorization: str) -> bool:
        return self._ask("GET", f"/v1/runs/{quote(run_id, safe='')}", authorization).status != 404

    def is_ours(self, run_id: str, authorization: str | None) -> bool:
        """Of a run of which an answer told the id alone: whether it is new, or gone."""
        answer = self._ask("GET", f"/v1/runs/{run_id}", authorization)
        run = _object(answer)
        return answer.status == 404 if run is None else self._is_ours(run, answer)

    def _is_ours(self, run: Mapping[str, Any], answer: Answer) -> bool:
        old = is_older(run, answer, self._started_at, self._clock.now())
        return not old or carries(self._marker, run)

    def _ask(self, method: str, path: str, authorization: str | None, body: bytes | None = None) -> Answer:
        """A target that has died is not asked for every single run."""
        began_at = self._clock.monotonic()
        if self._seems_dead(began_at):
            raise NoAnswer(f"{method} {path}: not sent, since the target has not answered {self._unanswered} times")
        try:
            answer = self._asker.ask(method, path, authorization, body)
        except NoAnswer:
            self._unanswered += 1
            if self._silent_since is None:
                self._silent_since = began_at
            raise
        self._unanswered, self._silent_since = 0, None
        self._ahead = ahead(answer, self._clock.now())
        return answer

    def _seems_dead(self, now: float) -> bool:
        if self._unanswered >= _DEAD_AFTER:
            return True
        silent_s = 0.0 if self._silent_since is None else now - self._silent_since
        return self._unanswered >= _SILENT_AFTER and silent_s >= _SILENT_S

    def _is_gone(self, run_id: str, authorization: str | None) -> bool:
        status = self._ask("GET", f"/v1/runs/{run_id}", authorization).status
        if authorization not in IDENTITIES and run_id in self._deleted:
            return status in {401, 403, 404}  # who made it without a token can no longer ask, and need not
        return status == 404

    def _left_one_by_one(self, runs: Mapping[str, Authorizations]) -> set[str]:
        left: set[str] = set()

        def look(item: tuple[str, Authorizations]) -> None:
            run_id, authorizations = item
            try:
                if all(self._is_gone(run_id, each) for each in authorizations):
                    return
            except (NoAnswer, OutOfBudget):
                pass  # unknown counts as left
            left.add(run_id)

        in_threads(look, runs.items())
        return left

    def _listed(self, runs: Collection[str], authorization: str | None) -> set[str] | None:
        """Those of the runs that stand in the list; None where it cannot be read to its end."""
        found: set[str] = set()
        try:
            for run in self._pages(authorization, fields=_SHORTEST):
                if run["id"] in runs:
                    found.add(run["id"])
                    if len(found) == len(runs):
                        break
        except (NoAnswer, OutOfBudget):
            return None
        return found

    def _all(self, authorization: str, **query: str | None) -> tuple[list[dict[str, Any]], bool]:
        """The runs of a list as far as it can be read (an older server may not know what is asked for), and whether
        that was all.
        """
        runs: list[dict[str, Any]] = []
        try:
            runs.extend(self._pages(authorization, **query))
        except NoAnswer:
            return runs, False
        return runs, True

    def _pages(self, authorization: str | None, **query: str | None) -> Iterator[dict[str, Any]]:
        """The runs of a list, newest first. Raises NoAnswer where a page is no list, or where there are too many."""
        most = _MAX_SHARED_PAGES if self._careful else _MAX_PAGES
        for page in range(most):
            asked = {"sort_mode": "created_at_desc", "limit": _PAGE, "skip": page * _PAGE, **query}
            answer = self._ask("GET", f"/v1/runs?{urlencode(asked)}", authorization)
            listed = (_object(answer) or {}).get("items")
            if not isinstance(listed, list):
                raise NoAnswer(f"GET /v1/runs: {answer.status}, and no list")
            for run in listed:
                if isinstance(run, dict) and isinstance(run.get("id"), str):
                    yield run | {"id": canonical(run["id"]) or run["id"]}
            if len(listed) < _PAGE:
                return
        raise NoAnswer(f"GET /v1/runs: more than {most} pages")


def _object(answer: Answer) -> dict[str, Any] | None:
    if answer.status != 200:
        return None
    try:
        told = answer.json()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _is_proven(run: Mapping[str, Any], record: Record) -> bool:
    return carries(record.marker, run) or run.get("session_id") in record.sessions


def in_threads(do: Callable[[T], None], items: Iterable[T]) -> None:
    """Does it for every item, in a few threads. The first error ends it and is raised; so does Ctrl-C at once."""
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                do(item)
            except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(WORKERS, waiting.qsize()))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as interruption:
        errors.append(interruption)
        raise
    if errors:
        raise errors[0]


# Journals of checks that did not get to clean up


@dataclass(frozen=True, slots=True)
class CleanUpReport:
    """`words` has a line for each journal that could not be dealt with, and why."""

    journals: int = 0
    cleaned: int = 0
    left: int = 0
    possibly_left: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    journals: int = 0
    cleaned: int = 0
    left: int = 0
    possibly_left: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def report(self) -> CleanUpReport:
        return CleanUpReport(self.journals, self.cleaned, self.left, tuple(self.possibly_left), tuple(self.words))


def clean_up_journals(
    url: str | None,
    *,
    token: str,
    second_token: str | None = None,
    journal_dir: Path | None = None,
    ca_bundle: str | None = None,
    clock: Clock | None = None,
) -> CleanUpReport:
    """Cleans up after checks that crashed, or that were told not to: all journals of the URL's origin, or all that the
    tokens belong to. A journal in use is left alone. A token goes only to the origin it was used for before.
    """
    tally = _Tally()
    wanted = Target(url, token).origin if url is not None else None
    given = [each for each in (token, second_token) if each]
    for path, found in journals(journal_dir or default_directory()):
        if isinstance(found, str):
            tally.words.append(f"{path.name} {found}")
            continue
        keep = True
        try:
            if wanted is None or found.record.origin == wanted:
                keep = _clean_up_journal(found, given, ca_bundle, clock or Clock(), tally)
        finally:
            found.close(keep=keep)
    return tally.report()


def _clean_up_journal(journal: Journal, given: list[str], ca_bundle: str | None, clock: Clock, tally: _Tally) -> bool:
    """Whether the journal must be kept: something is left, or might be."""
    record = journal.record
    unfinished = len(record.unfinished)
    tokens = {
        identity: token
        for token in given
        for identity, print_ in record.fingerprints.items()
        if fingerprint(token, record.salt) == print_
    }
    tally.journals += 1
    if not tokens:
        tally.left += unfinished
        tally.words.append(f"{journal.path.name} was made with another token on {record.origin}")
        return True
    upstream = Upstream(record.url, ca_bundle=ca_bundle, proxy=proxy_for(record.url))
    try:
        asker = Asker(upstream, Tokens(tokens.get("first"), tokens.get("second")), Pace(None, clock))
        started_at = datetime.fromtimestamp(record.started_at, UTC)
        careful = record.profile == "live" or not is_loopback(record.url)
        cleaner = Cleaner(asker, clock, careful=careful, started_at=started_at, marker=record.marker)
        authorizations = tuple(AUTHORIZATIONS[identity] for identity in tokens)
        orphans = clean_up(cleaner, journal, authorizations)
    except (NoAnswer, OutOfBudget) as error:
        tally.left += unfinished
        tally.words.append(f"{journal.path.name}: {error}")
        return True
    finally:
        upstream.close()
    if unreached := sum(identity in AUTHORIZATIONS.keys() - tokens.keys() for identity in record.unfinished.values()):
        tally.words.append(f"{journal.path.name}: {unreached} runs were made with another token than those given")
    left = len(record.unfinished)
    tally.cleaned += unfinished + len(orphans.proven) - left
    tally.left += left
    tally.possibly_left.extend(sorted(orphans.possible))
    if words := what_may_follow(record, orphans):
        tally.words.append(f"{journal.path.name}: {words}")
    return bool(left or record.open_intents)


def what_may_follow(record: Record, orphans: Orphans) -> str | None:
    """Why it is not certain that nothing more is left, beside what is told as possibly left."""
    if not orphans.all_seen:
        return "the target's runs could not be looked through for what an unanswered create made"
    if record.open_intents and not orphans.possible:
        return "a create got no answer a moment ago, and may yet be carried out: clean up again in a minute"
    return None


def clean_up(
    cleaner: Cleaner,
    journal: Journal,
    authorizations: Sequence[str],
    known: Mapping[str, str | None] | None = None,
    deletes: Callable[[], bool] | None = None,
) -> Orphans:
    """Finds what no answer told of, cleans up, asks what is left, and writes that down: `journal.record.unfinished`.

    `known` has the authorization of each run that is remembered: of one that was made by a token of neither
    organisation, the journal knows only that.
    """
    record = journal.record
    orphans = cleaner.orphans(record, authorizations)
    for authorization in authorizations:
        if found := [run for run, by in orphans.proven.items() if by == authorization]:
            journal.told(IDENTITIES[authorization], found)
    if orphans.all_seen and not orphans.possible:
        journal.close_intents(cleaner.settled(record, len(orphans.proven)))
    runs: dict[str, Authorizations] = {}
    for run, identity in record.unfinished.items():
        if identity == OTHER:
            runs[run] = (*authorizations, (known or {}).get(run))
        elif AUTHORIZATIONS[identity] in authorizations:
            runs[run] = (AUTHORIZATIONS[identity],)
    if runs:
        with contextlib.suppress(OutOfBudget):  # what was not reached is counted as left below
            cleaner.clean(runs, deletes=(deletes or cleaner.offers_delete)())
        left = cleaner.left(runs)
        journal.gone([run for run in runs if run not in left])
    return orphans
