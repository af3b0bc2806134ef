"""Cleaning up: cancels and deletes the runs of a check, counts what is left, and finds runs that no answer reported.

A run is deleted only if it is proven to belong to the check:
- the answer to a create of the check reported its id (and, if others use the target too, it was not created more than
  an hour before the check began), or
- its input values or session alias contain the check's marker, a random text that nobody else uses, or
- its session has a random id that the check generated.

A run that only looks like one of the check (same workflow, input values and approximate time) may belong to another
user of the same workflow: it is reported as possibly left, and not changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.guard.created import ahead, carries, is_older, run_id_in
from contracts.guard.effect import path_of_run
from contracts.guard.internal_client import InternalClient
from contracts.guard.journal import (
    IDENTITIES,
    Intent,
    Record,
    digest,
)
from contracts.guard.rate_limiter import Clock
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.threads import in_threads

_PAGE: Final = 1000
NEWEST: Final = 100
"""How many of the newest runs are read after a create."""
_MAX_PAGES: Final = 1000
_MAX_SHARED_PAGES: Final = 10
"""The limit if others use the target too, since the list may contain any number of their runs."""
_COUNTED_ONE_BY_ONE: Final = 200
_SAMPLE: Final = 50
_MINIMAL_FIELDS: Final = "session_id"
"""The fields that a list always returns are enough; `fields` must name at least one more, since it cannot be empty."""
_WINDOW_S: Final = 300.0
"""How far a run's creation may be from the time of its intent, because of differing clocks or a slow create."""
_CLOCK_TOLERANCE_S: Final = 3.0
"""The tolerance after correcting a time by the target's Date, which has a resolution of a second."""
_LATE_CREATE_S: Final = 60.0
"""How long after it was sent an unanswered create may still be carried out."""
_DEAD_AFTER: Final = 20
"""Consecutive requests without an answer after which the target counts as dead."""
_SILENT_AFTER: Final = 3
_SILENT_S: Final = 30.0
"""`_SILENT_AFTER` unanswered requests are enough if this time has passed: each may take the whole read timeout."""
_LAGS_S: Final = (0.5, 1.0, 2.0)
"""Pauses before reading a list again that still shows deleted runs."""
_TERMINAL = frozenset({"success", "task_failed", "error", "cancelled"})
_CANCEL = b'{"status": "cancelled"}'

Authorizations = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Runs that no answer reported. `proven` belong to the check: a map of ids to the authorization that found them."""

    proven: dict[str, str]
    possible: frozenset[str]
    all_seen: bool
    """False if a list that may contain runs of the open intents could not be read to its end."""


@dataclass(frozen=True, slots=True)
class Left:
    """`runs` still exist; for `unknown` neither reads nor lists tell whether they do."""

    runs: frozenset[str]
    unknown: frozenset[str]
    lists_tell: bool = True
    """False if the lists did not show a run that existed: then they may also omit runs that no answer reported."""

    @property
    def all(self) -> frozenset[str]:
        return self.runs | self.unknown


class Cleaner:
    """`careful` is for targets that others use too: a run is read before it is changed, and cancelled before it is
    deleted, so that no desktop keeps working on it.
    """

    def __init__(
        self,
        client: InternalClient,
        clock: Clock,
        *,
        careful: bool,
        started_at: datetime,
        marker: str,
        unknown_is_404: bool = False,
        lists_lag: bool = False,
    ) -> None:
        """`unknown_is_404`: the delete of an unknown id gave 404. `lists_lag`: the lists did not show created runs."""
        self._client = client
        self._clock = clock
        self._careful = careful
        self._started_at = started_at
        self._marker = marker
        self._lists_lag = lists_lag
        self._listed_before: dict[str, Mapping[str, Any]] | None = None
        self._found_by_read: set[str] = set()
        self._not_found: set[str] = set()
        self._deleted: set[str] = set()
        self._found_by_delete: set[str] = set()
        """Runs that existed: their delete succeeded, and the target answers 404 to the delete of an unknown id."""
        self.unknown_is_404 = unknown_is_404
        self._unanswered = 0
        self._silent_since: float | None = None
        self._ahead: timedelta | None = None

    def offers_delete(self, authorization: str = TOKEN) -> bool:
        """Return whether the target offers DELETE, tested with an unused id.

        An unknown id and a missing operation can both give 404. Then the answers to a malformed id and to a path that
        certainly does not exist tell the two apart.
        """
        unknown = self._ask("DELETE", f"/v1/runs/{uuid.uuid4()}", authorization)
        if unknown.status in {401, 403, 405, 501}:
            return False
        if unknown.status != 404:
            return True
        self.unknown_is_404 = True
        malformed = self._ask("DELETE", "/v1/runs/not-a-uuid", authorization)
        if malformed.status not in {404, 405}:
            return True
        nowhere = self._ask("DELETE", "/v1/contracts-not-a-uuid/nowhere", authorization)
        return nowhere.body != unknown.body

    def clean(
        self, runs: Mapping[str, Authorizations], *, deletes: bool, unproven: Collection[str] = frozenset()
    ) -> None:
        """Cancel the runs, and delete them if `deletes`. Failures are not reported: `left` finds the remaining runs.

        `unproven` are runs of which an answer reported only the id: a careful cleaner does not change them unless the
        target shows that they are new.
        """
        if self._careful:
            self._listed_before = self._listed_rows(runs)
        in_threads(
            lambda item: self._clean_one(item[0], item[1], deletes=deletes, proven=item[0] not in unproven),
            runs.items(),
        )

    def left(self, runs: Mapping[str, Authorizations]) -> Left:
        """Return which of the runs the server still has, by its reads and its lists."""
        if self._careful:
            return self._left_on_shared_target(runs)
        left = self._left_on_own_server(runs)
        return Left(left, frozenset())

    def _left_on_shared_target(self, runs: Mapping[str, Authorizations]) -> Left:
        """Count a run as gone if a reliable source says so and no source shows it.

        The sources are reads and lists. A source is unreliable if it has denied a run that existed.
        """
        before = self._listed_before
        for pause_s in (*_LAGS_S, None):
            after = self._listed_rows(runs)
            if pause_s is None or after is None or not any(run in after and run in self._deleted for run in runs):
                break
            self._clock.sleep(pause_s)  # the list may lag behind
        by_read: dict[str, bool | None] = {}

        def look(item: tuple[str, Authorizations]) -> None:
            by_read[item[0]] = self._exists_by_read(*item)

        in_threads(look, runs.items())
        was_there = {
            run for run in runs if run in self._found_by_read or run in (before or ()) or run in self._found_by_delete
        }
        reads_deny = any(run in was_there for run in self._not_found - self._found_by_read)
        with_known_token = {run for run in was_there if all(each in IDENTITIES for each in runs[run])}
        lists_deny = self._lists_lag or (before is not None and any(run not in before for run in with_known_token))
        left: set[str] = set()
        unknown: set[str] = set()
        for run in runs:
            if by_read[run] or run in (after or ()):
                left.add(run)
            elif (by_read[run] is None or reads_deny) and (after is None or lists_deny):
                unknown.add(run)
        return Left(frozenset(left), frozenset(unknown), lists_tell=not lists_deny)

    def _listed_rows(self, runs: Mapping[str, Authorizations]) -> dict[str, Mapping[str, Any]] | None:
        """Return the list items of those runs that the lists contain; None if a list cannot be read."""
        found: dict[str, Mapping[str, Any]] = {}
        earliest = self._started_at + self.ahead - timedelta(seconds=_WINDOW_S)
        since = earliest.isoformat().replace("+00:00", "Z")
        try:
            for authorization in dict.fromkeys(
                each for run_authorizations in runs.values() for each in run_authorizations
            ):
                if authorization in IDENTITIES:
                    listed = self._pages(authorization, fields=_MINIMAL_FIELDS, created_at_from=since)
                    found |= {row["id"]: row for row in listed if row["id"] in runs}
        except (NoAnswer, OutOfBudget):
            return None
        return found

    def _exists_by_read(self, run_id: str, authorizations: Authorizations) -> bool | None:
        """Return whether reads show that the run exists; None if they are inconclusive."""
        path = path_of_run(run_id)
        if path is None:
            return None
        try:
            statuses = [self._ask("GET", path, each).status for each in authorizations]
        except (NoAnswer, OutOfBudget):
            return None
        if any(200 <= status < 300 for status in statuses):
            return True
        gone = {401, 403, 404} if run_id in self._deleted else {404}
        known = [s in (gone if a not in IDENTITIES else {404}) for s, a in zip(statuses, authorizations, strict=True)]
        return False if all(known) else None

    def _left_on_own_server(self, runs: Mapping[str, Authorizations]) -> frozenset[str]:
        """Return the runs that the server shows or does not deny."""
        if len(runs) <= _COUNTED_ONE_BY_ONE:
            read = self._left_one_by_one(runs)
            listed: set[str] = set()
            for authorization in {each for authorizations in runs.values() for each in authorizations}:
                listed |= self._listed(runs, authorization) or set()
            return frozenset(read | listed)
        return frozenset(self._left_by_lists(runs))

    def _left_by_lists(self, runs: Mapping[str, Authorizations]) -> set[str]:
        listed: set[str] = set()
        for authorization in {each for authorizations in runs.values() for each in authorizations}:
            found = self._listed(runs, authorization)
            if found is None:
                return self._left_one_by_one(runs)
            listed |= found
        unlisted = [run for run in runs if run not in listed]
        sample = unlisted[:: max(1, len(unlisted) // _SAMPLE)]
        if self._left_one_by_one({run: runs[run] for run in sample}):
            return listed | self._left_one_by_one({run: runs[run] for run in unlisted})  # the list is incomplete
        return listed

    def orphans(self, record: Record, authorizations: Sequence[str]) -> Orphans:
        """Find the runs that the open intents of a journal may have created and that the journal does not contain."""
        proven: dict[str, str] = {}
        possible: set[str] = set()
        all_seen = True
        intents = tuple(record.open_intents.values())
        searches = [{"search": record.marker}]
        searches += [{"session_id": i.session_id} for i in intents if i.session_id in record.sessions]
        all_provable = bool(intents) and all(i.carries_marker or i.session_id in record.sessions for i in intents)
        for authorization in authorizations:
            found = [run for search in searches for run in self._all(authorization, **search)[0]]
            ours = {run["id"]: authorization for run in found if _is_proven(run, record)}
            if intents and not (all_provable and ours):  # the target may have ignored the filters
                earliest = datetime.fromtimestamp(min(i.at for i in intents) - _WINDOW_S, UTC) + self.ahead
                since = earliest.isoformat().replace("+00:00", "Z")
                listed, complete = self._all(authorization, created_at_from=since)
                all_seen = all_seen and complete
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
        """Return the open intents that can create no more runs; `found` runs were found beside those reported.

        An unanswered create may still be carried out, until `_LATE_CREATE_S` have passed or all its runs were found.
        """
        unanswered = [intent for intent in record.open_intents.values() if not intent.was_answered]
        all_found = found >= sum(intent.runs for intent in unanswered)
        now = self._clock.now().timestamp()
        waits = {i.number for i in unanswered if not all_found and now - i.at < _LATE_CREATE_S}
        return [number for number in record.open_intents if number not in waits]

    def _looks_like(self, run: Mapping[str, Any], intent: Intent, salt: str) -> bool:
        if intent.workflow_ids and run.get("workflow_id") not in intent.workflow_ids:
            return False
        try:
            created_at = datetime.fromisoformat(str(run.get("created_at")))
        except ValueError:
            return False
        created_at_s = (created_at.replace(tzinfo=created_at.tzinfo or UTC) - self.ahead).timestamp()
        if intent.answered_at is not None:  # the run was created between the request and its answer
            if not intent.at - _CLOCK_TOLERANCE_S <= created_at_s <= intent.answered_at + _CLOCK_TOLERANCE_S:
                return False
        elif abs(created_at_s - intent.at) > _WINDOW_S:
            return False
        return intent.digest is None or digest(run.get("input_values") or None, salt) == intent.digest

    def _clean_one(self, run_id: str, authorizations: Authorizations, *, deletes: bool, proven: bool) -> None:
        path = path_of_run(run_id)
        if path is None:
            return  # `left` reports it: a request could be interpreted as one for something else
        for authorization in authorizations:
            try:
                if self._clean_as(run_id, path, authorization, deletes=deletes, proven=proven):
                    return
            except NoAnswer:
                continue

    def _clean_as(self, run_id: str, path: str, authorization: str | None, *, deletes: bool, proven: bool) -> bool:
        """Return False if another authorization must be tried: this one cannot see or cannot delete the run."""
        cancelled = False
        if self._careful:
            answer = self._ask("GET", path, authorization)
            if answer.status in {200, 404}:
                (self._found_by_read if answer.status == 200 else self._not_found).add(run_id)
            run = _json_object(answer) or (self._listed_before or {}).get(run_id)
            if run is None and not proven:
                return False
            if run is not None and not self._is_ours(run, answer):
                return True
            cancelled = run is not None and run.get("status") in _TERMINAL
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
            if self.unknown_is_404:
                self._found_by_delete.add(run_id)
        return status < 300

    def newest(self, authorization: str) -> tuple[Exchange, list[dict[str, Any]]] | None:
        """Return the newest runs of the list, with the exchange that read them; None if the answer is not a list."""
        path = f"/v1/runs?{urlencode({'sort_mode': 'created_at_desc', 'limit': NEWEST})}"
        answer = self._ask("GET", path, authorization)
        listed = (_json_object(answer) or {}).get("items")
        if not isinstance(listed, list):
            return None
        exchange = Exchange(Request("GET", path, (("Authorization", authorization),)), answer)
        return exchange, [
            run | {"id": run_id}
            for run in listed
            if isinstance(run, dict) and (run_id := run_id_in(run.get("id"))) is not None
        ]

    @property
    def ahead(self) -> timedelta:
        """How far the target's clock is ahead of ours, by the Date of its answers."""
        return self._ahead or timedelta()

    def knows(self, run_id: str, authorization: str) -> bool:
        return self._ask("GET", f"/v1/runs/{quote(run_id, safe='')}", authorization).status != 404

    def is_ours(self, run_id: str, authorization: str | None) -> bool:
        """Return whether a run of which an answer reported only the id is new, or no longer exists."""
        answer = self._ask("GET", path_of_run(run_id) or "/v1/runs/not-a-uuid", authorization)
        run = _json_object(answer)
        return answer.status == 404 if run is None else self._is_ours(run, answer)

    def _is_ours(self, run: Mapping[str, Any], answer: Answer) -> bool:
        old = is_older(run, answer, self._started_at, self._clock.now())
        return not old or carries(self._marker, run)

    def _ask(self, method: str, path: str, authorization: str | None, body: bytes | None = None) -> Answer:
        """Send a request. Raises NoAnswer, also without sending if the target seems dead, and OutOfBudget."""
        began_at = self._clock.monotonic()
        if self._seems_dead(began_at):
            raise NoAnswer(f"{method} {path}: not sent, since the target has not answered {self._unanswered} times")
        try:
            answer = self._client.ask(method, path, authorization, body)
        except NoAnswer:
            self._unanswered += 1
            if self._silent_since is None:
                self._silent_since = began_at
            raise
        self._unanswered, self._silent_since = 0, None
        now_ahead = ahead(answer, self._clock.now())
        # Date is truncated to whole seconds, so the largest difference is the most accurate.
        self._ahead = now_ahead if self._ahead is None else max(self._ahead, now_ahead)
        return answer

    def _seems_dead(self, now: float) -> bool:
        if self._unanswered >= _DEAD_AFTER:
            return True
        silent_s = 0.0 if self._silent_since is None else now - self._silent_since
        return self._unanswered >= _SILENT_AFTER and silent_s >= _SILENT_S

    def _is_gone(self, run_id: str, authorization: str | None) -> bool:
        path = path_of_run(run_id)
        if path is None:
            return False
        status = self._ask("GET", path, authorization).status
        if authorization not in IDENTITIES and run_id in self._deleted:
            return status in {401, 403, 404}  # without a valid token, a read after the delete may not get a 404
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
        """Return those of the runs that the list contains; None if it cannot be read to its end."""
        found: set[str] = set()
        try:
            for run in self._pages(authorization, fields=_MINIMAL_FIELDS):
                if run["id"] in runs:
                    found.add(run["id"])
                    if len(found) == len(runs):
                        break
        except (NoAnswer, OutOfBudget):
            return None
        return found

    def _all(self, authorization: str, **query: str | None) -> tuple[list[dict[str, Any]], bool]:
        """Return the runs of a list as far as it can be read, and whether it was read to its end.

        An older server may not know the query parameters.
        """
        runs: list[dict[str, Any]] = []
        try:
            runs.extend(self._pages(authorization, **query))
        except NoAnswer:
            return runs, False
        return runs, True

    def _pages(self, authorization: str | None, **query: str | None) -> Iterator[dict[str, Any]]:
        """Yield the runs of a list, newest first. Raises NoAnswer for a page that is not a list, or too many pages."""
        max_pages = _MAX_SHARED_PAGES if self._careful else _MAX_PAGES
        for page in range(max_pages):
            parameters = {"sort_mode": "created_at_desc", "limit": _PAGE, "skip": page * _PAGE, **query}
            answer = self._ask("GET", f"/v1/runs?{urlencode(parameters)}", authorization)
            listed = (_json_object(answer) or {}).get("items")
            if not isinstance(listed, list):
                raise NoAnswer(f"GET /v1/runs: {answer.status}, and no list")
            for run in listed:
                if isinstance(run, dict) and (run_id := run_id_in(run.get("id"))) is not None:
                    yield run | {"id": run_id}
            if len(listed) < _PAGE:
                return
        raise NoAnswer(f"GET /v1/runs: more than {max_pages} pages")


def _json_object(answer: Answer) -> dict[str, Any] | None:
    if answer.status != 200:
        return None
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_proven(run: Mapping[str, Any], record: Record) -> bool:
    return carries(record.marker, run) or run.get("session_id") in record.sessions
