"""What comes into being on a target that others use, beside what its answers tell: looked for in the lists.

Creates and retries go out one at a time, and the newest runs are looked at after each that was accepted or that got no
proper answer, and after the first refused request of each kind. A run that was not there before, and that no answer
told, is
- the check's own, where the check's marker or a session id that the check made stands in it: it is cleaned up;
- perhaps its own, where its workflow, its input values and its moment fit a request of the check: it is told, never
  touched, since someone else may have made it;
- someone else's otherwise.
At the first such run no more requests of its operation go out that must create nothing. Where an accepted request made
it, none at all go out, unless others make runs of that workflow too, so that it may be a coincidence. Where the lists
cannot tell, one request of each kind that must create nothing is all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.core.exchange import Exchange, Request
from contracts.guard.cleanup import NEWEST, Cleaner
from contracts.guard.created import carries
from contracts.guard.ownership import Ownership
from contracts.guard.rate_limiter import Clock
from contracts.guard.refusals import NoAnswer, NotAllowed, OutOfBudget

_TOLERANCE_BEFORE: Final = timedelta(seconds=1.5)
_TOLERANCE_AFTER: Final = timedelta(seconds=3)
"""By so much a moment may lie beside the true one once the target's Date is reckoned with, which has whole seconds, and
which some servers make anew but once a second.
"""
_LAGS_S: Final = (0.3, 0.7, 1.5)
"""How long a list is waited for that does not show yet what an answer told."""
_IDLE_AFTER: Final = timedelta(minutes=10)
"""A workflow of which nobody made a run for so long is one of which a run that fits a request is no coincidence."""


ANY: Final = object()
"""In the place of input values: those of the runs are not told by one field of the request."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`reason` says why a request must create nothing, as far as the request alone shows it."""

    operation: str
    reason: str | None = None


def _by_path(request: Request) -> Kind:
    return Kind(f"{request.method} {request.path.partition('?')[0]}")


@dataclass(slots=True)
class Sent:
    """A request that may have created runs. `exchange` is None where no answer came."""

    kind: Kind
    authorization: str | None
    workflow_ids: frozenset[str]
    inputs: Any
    at: datetime
    exchange: Exchange | None = None
    answered_at: datetime | None = None
    told: tuple[str, ...] = ()
    intent: int | None = None

    @property
    def refused(self) -> bool:
        return self.exchange is not None and 300 <= self.exchange.answer.status < 500

    @property
    def accepted(self) -> bool:
        return self.exchange is not None and self.exchange.answer.status < 300


@dataclass(frozen=True, slots=True)
class Surprise:
    """Runs that no answer told. `certain`: that this check has made them is proven, or no coincidence. `status` is that
    of the answer to the request that made them.
    """

    operation: str
    status: int
    runs: int
    told: int
    exchanges: tuple[Exchange, ...]
    certain: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has shown: runs proven to be ours, by the authorization they were found with, and perhaps ours."""

    proven: Mapping[str, str]
    possible: frozenset[str]
    settled: tuple[int, ...]
    """Intents of which it is known now what they made."""
    refused: int
    """How many refused requests were looked after."""


class Watch:
    """Thread-safe as long as `alone` is held from before a request is judged until it was looked after it."""

    def __init__(
        self,
        cleaner: Cleaner,
        ownership: Ownership,
        marker: str,
        clock: Clock,
        *,
        authorizations: tuple[str, ...],
        sessions: Callable[[], Collection[str]],
    ) -> None:
        self.alone: Final = threading.RLock()
        self.kind_of: Callable[[Request], Kind] = _by_path
        self.surprises: list[Surprise] = []
        self.lists_tell = True
        """False once the lists have not shown what an answer told, or could not be read."""
        self._cleaner = cleaner
        self._ownership = ownership
        self._marker = marker
        self._clock = clock
        self._authorizations = authorizations
        self._sessions = sessions
        self._known: dict[str, set[str]] = {}
        self._since: dict[str, datetime] = {}
        self._foreign_runs_at: dict[str, datetime] = {}
        """Per workflow, when someone else last made a run of it, as far as that was seen."""
        self._sent: list[Sent] = []
        self._pending: list[Sent] = []
        self._checked_kinds: set[Kind] = set()
        self._stopped: dict[str, bool] = {}
        """Per operation that made what it did not tell, whether only what must create nothing is to be kept back."""
        self._unverified: set[Kind] = set()
        """Kinds of which one was sent, and could not be looked after."""
        self._lag_s = 0.0

    def judge(self, request: Request) -> None:
        """Raises NotAllowed where one of its kind has made what no answer told, or nobody can tell whether it did."""
        kind = self.kind_of(request)
        if kind.operation in self._stopped and (kind.reason is not None or not self._stopped[kind.operation]):
            raise NotAllowed(f"{kind.operation}: an earlier one made runs that no answer told, so no more is sent")
        if kind.reason is not None and kind in self._unverified:
            raise NotAllowed(
                f"{kind.operation}: what one that must create nothing makes cannot be looked for, since the list of"
                " runs does not tell: no second one is sent"
            )

    def begin(self, authorization: str | None) -> None:
        """Before a request that may create: what is there already is not ours."""
        for each in self._lists_for(authorization):
            if each not in self._known:
                self._known[each] = set()
                page = self._newest_runs(each)
                for run in page[1] if page is not None else ():
                    self._known[each].add(run["id"])
                    self._note_foreign(run)
                self._since[each] = self._clock.now()

    def requests_for(self, authorization: str | None) -> int:
        """How many requests it takes to see what a request makes: one a list, and one more the first time."""
        return sum(1 if each in self._known else 2 for each in self._lists_for(authorization))

    def _lists_for(self, authorization: str | None) -> tuple[str, ...]:
        """In whose lists stands what a request makes: in any, where it has neither token."""
        return (authorization,) if authorization in self._authorizations else self._authorizations

    def note(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._pending.append(sent)

    @property
    def must_look(self) -> bool:
        """Whether the last request is one after which it is looked what came into being."""
        if not self._pending:
            return False
        last = self._pending[-1]
        return not last.refused or self._kind_with_answer(last) not in self._checked_kinds

    @staticmethod
    def _kind_with_answer(sent: Sent) -> Kind:
        """A request that only its answer shows to create nothing (of a run that is unknown, say) is of a kind too."""
        if sent.kind.reason is not None or sent.exchange is None:
            return sent.kind
        return Kind(sent.kind.operation, f"answered with {sent.exchange.answer.status}")

    def look(self, *, is_last: bool = False) -> Seen:
        """What came into being since the last look. The last one looks for what a list may have shown too late."""
        pending, self._pending = self._pending, []
        if not pending and not (is_last and self._sent and self._lag_s):
            return Seen({}, frozenset(), (), 0)
        # What was made is rather the doing of a kind that is new than of one that was found to make nothing.
        latest_first = pending[::-1]
        order = sorted(
            latest_first, key=lambda sent: (self._kind_with_answer(sent) in self._checked_kinds, sent.accepted)
        )
        self._checked_kinds.update(map(self._kind_with_answer, pending))
        proven: dict[str, str] = {}
        possible: set[str] = set()
        suspected: list[tuple[Sent, dict[str, Any], Exchange]] = []
        lists_complete = True
        if self._lag_s and not all(sent.told for sent in pending):
            self._clock.sleep(self._lag_s)
        lists = tuple(self._known) if is_last else (e for sent in pending for e in self._lists_for(sent.authorization))
        for authorization in dict.fromkeys(lists):
            page = self._page_with_reported(
                authorization, [sent for sent in pending if sent.authorization == authorization]
            )
            if page is None:
                lists_complete = False
                continue
            exchange, runs = page
            for run in self._new_runs(authorization, runs):
                origin = self._matching_request(run, order)
                if self._is_proven(run):
                    proven[run["id"]] = authorization
                elif origin is not None:
                    possible.add(run["id"])
                else:
                    self._note_foreign(run)
                    continue
                suspected.append((origin or (pending or self._sent)[-1], run, exchange))
        if suspected:
            self._report_surprise(suspected, proven)
        if not lists_complete:
            self.lists_tell = False
            self._unverified.update(sent.kind for sent in pending if not sent.accepted)
        known = lists_complete and not possible
        intents = [sent.intent for sent in pending if sent.intent is not None and sent.exchange is not None]
        refused = sum(sent.refused for sent in pending) if lists_complete else 0
        return Seen(proven, frozenset(possible), tuple(intents) if known else (), refused)

    def _newest_runs(self, authorization: str) -> tuple[Exchange, list[dict[str, Any]]] | None:
        try:
            return self._cleaner.newest(authorization)
        except (NoAnswer, OutOfBudget):
            return None

    def _page_with_reported(
        self, authorization: str, pending: Iterable[Sent]
    ) -> tuple[Exchange, list[dict[str, Any]]] | None:
        """The newest runs, among them all that answers told just now; None where those do not come to stand there."""
        reported = {run for sent in pending for run in sent.told}
        waited_s = 0.0
        for pause_s in (*(_LAGS_S if self.lists_tell else ()), None):
            page = self._newest_runs(authorization)
            shown = set() if page is None else {run["id"] for run in page[1]}
            if page is not None and (reported <= shown or len(page[1]) >= NEWEST):
                self._lag_s = max(self._lag_s, waited_s)
                return page
            if page is None or pause_s is None:
                return None
            self._clock.sleep(pause_s)
            waited_s += pause_s
        return None

    def _new_runs(self, authorization: str, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that were not there before and that no answer told. What only moves up a list was there before."""
        known = self._known.setdefault(authorization, set())
        new = [run for run in runs if run["id"] not in known and run["id"] not in self._ownership.authorizations]
        known.update(run["id"] for run in runs)
        earliest = self._since.get(authorization, datetime.min.replace(tzinfo=UTC)) - _TOLERANCE_BEFORE
        return [run for run in new if self._is_proven(run) or (_created_at(run, self._ahead) or earliest) >= earliest]

    def _is_proven(self, run: Mapping[str, Any]) -> bool:
        return carries(self._marker, run) or run.get("session_id") in self._sessions()

    def _matching_request(self, run: Mapping[str, Any], order: list[Sent]) -> Sent | None:
        """The first request in that order that the run fits: by workflow, input values and moment."""
        named_workflows = {workflow for sent in self._sent for workflow in sent.workflow_ids}
        earlier: Iterable[Sent] = reversed(self._sent) if self._lag_s or not self.lists_tell else ()
        for sent in (*order, *earlier):
            if run.get("workflow_id") not in (sent.workflow_ids or named_workflows):
                continue
            if run.get("input_values") and sent.inputs is not ANY and run["input_values"] != sent.inputs:
                continue
            moment = _created_at(run, self._ahead)
            end = sent.answered_at or sent.at + timedelta(seconds=60)
            if moment is None or sent.at - _TOLERANCE_BEFORE <= moment <= end + _TOLERANCE_AFTER:
                return sent
        return None

    def _report_surprise(self, suspected: list[tuple[Sent, dict[str, Any], Exchange]], proven: Collection[str]) -> None:
        origin, _, look = next((one for one in suspected if one[0].exchange is not None), suspected[0])
        certain = any(run["id"] in proven or self._is_idle(run) for _, run, _ in suspected)
        operation = origin.kind.operation
        if certain or origin.refused:  # others may use the same workflow, and must not end a check of a sound server
            must_create_nothing = origin.refused and origin.kind.reason is not None
            self._stopped[operation] = must_create_nothing and self._stopped.get(operation, True)
        if origin.exchange is not None:
            exchanges = (origin.exchange, look)
            status, told = origin.exchange.answer.status, len(origin.told)
            self.surprises.append(Surprise(operation, status, len(suspected), told, exchanges, certain))

    def _is_idle(self, run: Mapping[str, Any]) -> bool:
        last = self._foreign_runs_at.get(str(run.get("workflow_id")))
        return last is None or self._clock.now() - last > _IDLE_AFTER

    def _note_foreign(self, run: Mapping[str, Any]) -> None:
        workflow = str(run.get("workflow_id"))
        moment = _created_at(run, self._ahead) or self._clock.now()
        self._foreign_runs_at[workflow] = max(moment, self._foreign_runs_at.get(workflow, moment))

    @property
    def _ahead(self) -> timedelta:
        return self._cleaner.ahead


def _created_at(run: Mapping[str, Any], ahead: timedelta) -> datetime | None:
    """When the run was created, by our clock; None where it does not say."""
    try:
        created_at = datetime.fromisoformat(str(run.get("created_at")))
        return created_at.replace(tzinfo=created_at.tzinfo or UTC) - ahead
    except (ValueError, OverflowError):
        return None
