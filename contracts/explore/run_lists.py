"""Judges the lists of a sequence: they show all runs that exist and match, each as it is known, and no others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult
from contracts.explore.model_run import TOKENS, ModelRun, fail
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, excerpt, gives_others_too, misses_a_run
from contracts.rules.isolated_runs import Query
from contracts.rules.listing import carries, items_of

_MAX_PAGES: Final = 12
_COMPARED: Final = 12
"""How many runs of a list are compared with what is known of them."""


@dataclass(frozen=True)
class ListedRuns:
    """A list of the runs of one organisation that pass the filter `isolated`, read in pages of `limit`. `narrowed` is
    one more filter, and `matches` tells which runs it must find.
    """

    context: CaseContext
    isolated: tuple[str, str]
    organisation: int
    limit: int = 1000
    narrowed: tuple[str, str] | None = None
    matches: Callable[[ModelRun], bool] = lambda run: True
    results: list[CallResult] = field(default_factory=list)

    def read(self) -> bool:
        """Read all pages and return whether that was possible."""
        while len(self.results) < _MAX_PAGES:
            skip = len(self.results) * self.limit
            paging = [("sort_mode", "created_at_desc"), ("limit", str(self.limit)), ("skip", str(skip))]
            query: Query = [self.isolated, *([self.narrowed] if self.narrowed else []), *paging]
            result = self.context.ask("list_runs", query=query, token=TOKENS[self.organisation], after=())
            self.results.append(result)
            if len(items_of(result)) < self.limit:
                return True
        return False

    @property
    def items(self) -> list[tuple[dict[str, Any], CallResult]]:
        found = [(item, result) for result in self.results for item in items_of(result)]
        return [(item, result) for item, result in found if carries(item, *self.isolated)]

    def judge(self, runs: Mapping[str, ModelRun], created: Sequence[CallResult], *, has_replayed: bool) -> None:
        """Judge the list by all known runs, by id. `created` are the answers to the creates that may be replayed."""
        self.context.check.count("LIST-COMPLETE")
        ids = [str(item.get("id")) for item, _ in self.items]
        self._judge_presence(ids, runs, created, has_replayed=has_replayed)
        there = [run for run in runs.values() if run.organisation == self.organisation and not run.known.is_deleted]
        self._judge_matches(ids, there, [run for run in there if self.matches(run)])
        moments = [moment for moment in (moment_of(item.get("created_at")) for item, _ in self.items) if moment]
        if any(one < other for one, other in itertools.pairwise(moments)):
            cause, got = "created_at_desc is not newest first", "an older run before a newer one"
            self._fail("LIST-PAGE", cause, "newest first", got)
        for item, result in self.items[:_COMPARED]:
            if str(item.get("id")) in runs:
                runs[str(item["id"])].compare(item, result)

    def _judge_presence(
        self, ids: Sequence[str], runs: Mapping[str, ModelRun], created: Sequence[CallResult], *, has_replayed: bool
    ) -> None:
        for run_id in ids:
            run = runs.get(run_id)
            if run is None:
                rule = "IDEM-REPLAY" if has_replayed else "LIST-COMPLETE"
                cause = "a repeat makes runs again" if has_replayed else "a run is listed that nobody made"
                self._fail(rule, cause, "only runs that were made", run_id, *created)
            elif run.organisation != self.organisation:
                cause = "another organisation finds a run with list_runs"
                self._fail("AUTH-TENANT", cause, "no run of another", run_id, *run.shown)
            elif run.known.is_deleted:
                self._fail("DELETE-GONE", "a deleted run is listed", "no deleted run in a list", run_id, *run.shown)
        if len(set(ids)) != len(ids):
            one_page = len(self.results) == 1
            cause = "a run twice in one page" if one_page else "a run on two pages"
            self._fail("LIST-COMPLETE" if one_page else "LIST-PAGE", cause, "every run once", "a run twice")

    def _judge_matches(self, ids: Collection[str], there: Sequence[ModelRun], matching: Sequence[ModelRun]) -> None:
        missing = [run for run in matching if run.id not in ids]
        if missing:
            rule, cause = self._why_missing(missing[0])
            got = f"{len(missing)} of {len(matching)} runs missing"
            self._fail(rule, cause, f"{len(matching)} runs", got, *missing[0].shown)
        others = [run for run in there if run.id in ids and run not in matching]
        if self.narrowed is not None and self.narrowed[0] == "status":
            others = [run for run in others if run.known.has_ended]  # others may have moved on
        if others and self.narrowed is not None:
            cause, got = gives_others_too([self.narrowed[0]]), f"{len(others)} others"
            self._fail("LIST-FILTER", cause, "only runs that match", got, *others[0].shown)
        total = self.results[0].body.get("total")
        if self.narrowed is None and len(ids) == len(matching) != total:
            expected, got = f"total {len(matching)}", f"total {excerpt(json.dumps(total))}"
            self._fail("LIST-PAGE", "total is not the number of runs", expected, got)

    def _why_missing(self, run: ModelRun) -> tuple[str, str]:
        if self.narrowed is not None:
            return "LIST-FILTER", misses_a_run([self.narrowed[0]])
        if self.limit != 1000:
            whole = ListedRuns(self.context, self.isolated, self.organisation)
            if whole.read() and any(item.get("id") == run.id for item, _ in whole.items):
                return "LIST-PAGE", "a run is on no page"
        run.fail_by_another("another run is gone too", "not in the list", self.results[0], is_gone=True)
        if self.context.check.offers("get_run"):
            run.read()  # it may be gone
        return "LIST-COMPLETE", "a created run is not listed"

    def _fail(self, rule: str, cause: str, expected: str, got: str, *shown: CallResult) -> None:
        fail(self.context, Violation(rule, cause, expected, got), *shown, *self.results[:3])
