"""Decides which of the runs that the answer to a create reports belong to the check.

An answer proves nothing by itself if others use the target too: a broken server may report the run that someone else
created last, a run of another answer, or all runs there are. What the answer says is compared with what the lists
showed before the request, and with what was sent.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from math import inf

from contracts.core.exchange import Answer
from contracts.guard.created import CreatedRun
from contracts.guard.effect import Effect
from contracts.guard.identity import CheckIdentity, PossibleRun, has_other_inputs


class ReportedRuns:
    """`others` are the runs that lists have shown and that belong to someone else."""

    def __init__(self, identity: CheckIdentity, others: Collection[str], now: Callable[[], datetime]) -> None:
        self.possible: list[PossibleRun] = []
        """Runs that an answer reported though they seem older than the check, or created by another request."""
        self.name_others = False
        """Whether an answer has reported a run that does not seem to belong to the check."""
        self._identity = identity
        self._others = others
        self._now = now

    def ours(self, created: Collection[CreatedRun], answer: Answer, effect: Effect) -> list[CreatedRun]:
        """Return the runs of the answer that belong to the check."""
        ours: list[CreatedRun] = []
        for run in created:
            if run.id in self._others:  # not even possibly: the run was there before the request
                self.name_others = True
            elif run.body is None or self._fits(run, answer, effect):
                ours.append(run)
            else:
                self.name_others = True
                shown = {**run.body, "id": run.id}
                self.possible.append(PossibleRun.of(shown, apart_s=inf, names_workflow=True))
        return ours

    def _fits(self, run: CreatedRun, answer: Answer, effect: Effect) -> bool:
        body = run.body or {}
        return self._identity.may_include(body, answer, self._now()) and not has_other_inputs(body, effect.body)
