"""Cleaning up: cancels and deletes the runs of a check, and counts what is left.

A run is deleted only if it is proven to belong to the check:
- the answer to a create of the check reported its id (and, if others use the target too, neither the lists nor its
  time, workflow and input values show that it is of someone else: see `Settlement._ours`), or
- its input values or session alias contain the check's marker, a random text that nobody else uses, or
- its session has a random id that the check generated.

If only a list shows such a proof, a read must not refute it: a broken list may mix up the ids and the contents of runs.
"""

import contextlib
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts.core.exchange import TOKEN
from contracts.core.statuses import TERMINAL
from contracts.guard.concurrency import in_threads
from contracts.guard.effect import path_of_run
from contracts.guard.identity import CheckIdentity, text_of
from contracts.guard.journal import CREDENTIALS
from contracts.guard.refusals import NoAnswer, OutOfBudget
from contracts.guard.runs_client import Run, RunsClient, json_object_of_200

_COUNTED_ONE_BY_ONE: Final = 200
_SAMPLE: Final = 50
_MINIMAL_FIELDS: Final = "session_id"
"""The value of `fields`: it cannot be empty, and the fields that a list always returns are enough."""
_LAGS_S: Final = (0.5, 1.0, 2.0)
"""Pauses between reads of a list that still shows deleted runs."""
_CANCEL = b'{"status": "cancelled"}'

Authorizations = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class DeleteSupport:
    """Whether the target offers DELETE, and whether it answers 404 to the delete of an unknown id."""

    offered: bool
    unknown_is_404: bool = False


def delete_support(client: RunsClient, authorization: str = TOKEN) -> DeleteSupport:
    """Test DELETE with an unused id.

    A 404 may mean that the id is unknown, or that the operation is missing. To find out which, compare it with the
    answers for a malformed id and for a path that does not exist.
    """
    unknown = client.request("DELETE", f"/v1/runs/{uuid.uuid4()}", authorization)
    if unknown.status != 404:
        return DeleteSupport(unknown.status not in {401, 403, 405, 501})
    malformed = client.request("DELETE", "/v1/runs/not-a-uuid", authorization)
    if malformed.status not in {404, 405}:
        return DeleteSupport(offered=True, unknown_is_404=True)
    nowhere = client.request("DELETE", "/v1/contracts-not-a-uuid/nowhere", authorization)
    return DeleteSupport(offered=nowhere.body != unknown.body, unknown_is_404=True)


@dataclass(frozen=True, slots=True)
class Left:
    """`runs` still exist, except perhaps the `unknown` ones: neither reads nor lists show whether they do."""

    runs: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    lists_are_reliable: bool = True
    """False if the lists did not show a run that existed: then they may also omit runs that no answer reported."""


@dataclass(eq=False)
class Cleaner:
    """Cancels and deletes runs, and finds out which are left.

    On a target that others use too, a run is read before it is changed, and cancelled before it is deleted, so that no
    desktop keeps working on it.
    """

    client: RunsClient
    identity: CheckIdentity
    lists_lag: bool = False
    """Whether the lists did not show created runs."""
    on_cleaned: Callable[[], None] = lambda: None
    """Called after each run, from any thread."""
    refuted: dict[str, Run] = field(default_factory=dict)
    """Runs that a list shows as those of the check, and a read as those of someone else: they were not changed."""
    _support: DeleteSupport = DeleteSupport(offered=False)
    _must_prove: Collection[str] = ()
    _listed_before: dict[str, Run] = field(default_factory=dict)
    _listed_all_before: bool = False
    _not_found: set[str] = field(default_factory=set)
    _deleted: set[str] = field(default_factory=set)
    _found_by_read: set[str] = field(default_factory=set)
    _found_by_delete: set[str] = field(default_factory=set)
    """Runs that existed: their delete succeeded, and the target answers 404 to the delete of an unknown id."""

    def clean(
        self,
        runs: Mapping[str, Authorizations],
        support: DeleteSupport,
        *,
        unproven: Collection[str],
        listed: Collection[str],
    ) -> None:
        """Cancel the runs, and delete them if possible. Failures are not reported: `left` finds the remaining runs.

        `unproven` are runs for which an answer reported only the id. On a shared target, they are changed only if the
        target shows that they are new. `listed` are runs whose proof only a list has shown.
        """
        self._support, self._must_prove = support, listed
        if self.client.is_shared:
            self._listed_before, self._listed_all_before = self._listed(runs)

        def clean_one(item: tuple[str, Authorizations]) -> None:
            run_id, authorizations = item
            path = path_of_run(run_id)
            if path is None:
                return  # a server could interpret the path as that of another resource; `left` reports the run
            for authorization in authorizations:
                with contextlib.suppress(NoAnswer):
                    if self._clean_as(run_id, path, authorization, proven=run_id not in unproven):
                        break
            self.on_cleaned()

        in_threads(clean_one, runs.items())

    def _clean_as(self, run_id: str, path: str, authorization: str | None, *, proven: bool) -> bool:
        """Return False if another authorization must be tried: this one cannot see or cannot delete the run."""
        if not self.client.is_shared:
            return self._cancel_and_delete(run_id, path, authorization)
        answer = self.client.request("GET", path, authorization)
        if answer.status in {200, 404}:
            (self._found_by_read if answer.status == 200 else self._not_found).add(run_id)
        read = json_object_of_200(answer)
        if read is not None and run_id in self._must_prove and not self.identity.proves(read):
            self.refuted[run_id] = {**read, "id": run_id}
            return True
        run = read or self._listed_before.get(run_id)
        if run is None:
            return proven and self._cancel_and_delete(run_id, path, authorization)
        if not self.identity.may_include(run, answer, self.client.clock.now()):
            return True
        return self._cancel_and_delete(run_id, path, authorization, has_ended=text_of(run, "status") in TERMINAL)

    def _cancel_and_delete(self, run_id: str, path: str, authorization: str | None, *, has_ended: bool = False) -> bool:
        """Return whether the run was deleted, or was cancelled where the target offers no DELETE."""
        request, must_cancel = self.client.request, not has_ended
        if must_cancel and (self.client.is_shared or not self._support.offered):
            request("PATCH", path, authorization, _CANCEL)
            must_cancel = False
        if not self._support.offered:
            return True
        status = request("DELETE", path, authorization).status
        if status in {400, 409, 422} and must_cancel:  # some servers delete only what has ended
            request("PATCH", path, authorization, _CANCEL)
            status = request("DELETE", path, authorization).status
        if status < 300:
            self._deleted.add(run_id)
            if self._support.unknown_is_404:
                self._found_by_delete.add(run_id)
        return status < 300

    def left(self, runs: Mapping[str, Authorizations]) -> Left:
        """Return which of the runs the server still has, by its reads and its lists.

        On the user's own server, a run counts as left unless a read says that it is gone and no list shows it. If there
        are many runs and the lists are complete, only a sample is read.
        """
        if self.client.is_shared:
            return self._left_on_shared_target(runs)
        listed, listed_all = self._listed(runs)
        by_read = self._exist_by_sample(runs, listed) if listed_all else self._exist_by_read(runs)
        not_gone = (run for run, exists in by_read.items() if exists is not False)
        return Left(frozenset((*listed, *not_gone)))

    def _left_on_shared_target(self, runs: Mapping[str, Authorizations]) -> Left:
        """Return which of the runs a target has that others use too. A run is gone only if reliable lists or reads do
        not have it. If neither can say so, it is unknown whether it is left.
        """
        listed, listed_all = self._listed(runs)
        for pause_s in _LAGS_S:
            if not listed_all or listed.keys().isdisjoint(self._deleted):
                break
            self.client.clock.sleep(pause_s)  # the list may lag behind
            listed, listed_all = self._listed(runs)
        by_read = self._exist_by_read(runs)
        lists_are_reliable, reads_are_reliable = self._lists_are_reliable(runs), self._reads_are_reliable()

        def is_gone(run: str) -> bool:
            return (listed_all and lists_are_reliable) or (by_read[run] is False and reads_are_reliable)

        exist = {run for run in runs if by_read[run] or run in listed}
        unknown = {run for run in runs.keys() - exist if not is_gone(run)}
        return Left(frozenset(exist | unknown), frozenset(unknown), lists_are_reliable=lists_are_reliable)

    def _lists_are_reliable(self, runs: Mapping[str, Authorizations]) -> bool:
        """Return whether the lists, if they were complete, had every run that is known to have existed."""
        # Only the lists of the two tokens are read, so only runs created with these can be missing in them.
        existed = {run for run in self._existed & runs.keys() if all(each in CREDENTIALS for each in runs[run])}
        return not self.lists_lag and (not self._listed_all_before or existed <= self._listed_before.keys())

    def _reads_are_reliable(self) -> bool:
        """Return whether no read has answered 404 for a run that is known to have existed."""
        return self._existed.isdisjoint(self._not_found - self._found_by_read)

    @property
    def _existed(self) -> set[str]:
        return self._found_by_read | self._found_by_delete | self._listed_before.keys()

    def _listed(self, runs: Mapping[str, Authorizations]) -> tuple[dict[str, Run], bool]:
        """Return those of the runs that the lists contain, as list items, and whether all lists could be read."""
        found: dict[str, Run] = {}
        query = {"fields": _MINIMAL_FIELDS}
        authorizations = dict.fromkeys(each for by_run in runs.values() for each in by_run)
        if self.client.is_shared:
            query |= self.client.created_since(self.identity.started_at)
            authorizations = {each: None for each in authorizations if each in CREDENTIALS}
        complete = True
        for authorization in authorizations:
            try:
                for run in self.client.pages(authorization, **query):
                    if run["id"] in runs:
                        found[run["id"]] = run
                        if len(found) == len(runs):
                            return found, True
            except (NoAnswer, OutOfBudget):
                complete = False
        return found, complete

    def _exist_by_sample(self, runs: Mapping[str, Authorizations], listed: Collection[str]) -> dict[str, bool | None]:
        """Read the runs that are not listed. Of many, read a sample first, and all only if one of it may exist."""
        unlisted = {run: runs[run] for run in runs if run not in listed}
        if len(runs) > _COUNTED_ONE_BY_ONE:
            sample = list(unlisted)[:: max(1, len(unlisted) // _SAMPLE)]
            by_read = self._exist_by_read({run: runs[run] for run in sample})
            if all(exists is False for exists in by_read.values()):
                return by_read
        return self._exist_by_read(unlisted)

    def _exist_by_read(self, runs: Mapping[str, Authorizations]) -> dict[str, bool | None]:
        """Return for each run whether reads show that it exists; None if they are inconclusive."""
        found: dict[str, bool | None] = {}

        def read(item: tuple[str, Authorizations]) -> None:
            try:
                found[item[0]] = self._exists_by_read(*item)
            except (NoAnswer, OutOfBudget):
                found[item[0]] = None

        in_threads(read, runs.items())
        return found

    def _exists_by_read(self, run_id: str, authorizations: Authorizations) -> bool | None:
        path = path_of_run(run_id)
        if path is None:
            return None
        is_gone = True
        for authorization in authorizations:
            status = self.client.request("GET", path, authorization, is_recorded=False).status
            if 200 <= status < 300:
                return True
            # Without a valid token, a read after the delete may not get a 404.
            has_token = authorization in CREDENTIALS or run_id not in self._deleted
            is_gone &= status in ({404} if has_token else {401, 403, 404})
        return False if is_gone else None
