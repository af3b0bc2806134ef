"""Accounts for what a write has created, by its answer: settles its charge, and records its runs before the caller gets
the answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.core.exchange import Answer, Exchange
from contracts.core.target import Target
from contracts.guard.admitted_request import AdmittedRequest
from contracts.guard.budget import BudgetAccount
from contracts.guard.created import CreatedRun, created_by
from contracts.guard.effect import Effect
from contracts.guard.identity import PossibleRun, has_other_inputs
from contracts.guard.journal import Journal
from contracts.guard.ownership import Ownership
from contracts.guard.rate_limiter import Clock
from contracts.guard.unreported_run_detector import UnreportedRunDetector


@dataclass(eq=False)
class Settlement:
    target: Target
    account: BudgetAccount
    ownership: Ownership
    journal: Journal
    detector: UnreportedRunDetector | None
    clock: Clock
    not_ours: list[PossibleRun] = field(default_factory=list)
    """Runs that an answer reported though they seem older than the check, or created by another request."""
    answers_name_others: bool = False
    """Whether an answer reported such a run."""
    other_resources: Counter[str] = field(default_factory=Counter)
    """How many pools and workflows the check has created. The API cannot delete them."""

    def process_answer(self, admitted: AdmittedRequest, exchange: Exchange) -> None:
        """Settle the charge of a write, and record what its answer reports as created."""
        status = exchange.answer.status
        # 307 and 308 ask to send the same request elsewhere, so it was not carried out here; 303 says that it was.
        refused = 400 <= status < 500 or status in {307, 308}
        if admitted.effect.creates:
            self._process_created_runs(admitted, exchange, refused=refused)
            return
        if admitted.charge.runs and refused:
            self.account.settle(admitted.charge, 0)
        if admitted.effect.collections and 200 <= status < 300:
            for resource in created_by(exchange.answer).runs:
                if resource.id not in self.ownership.other_ids:
                    self.other_resources.update(admitted.effect.collections)
                self.ownership.other_ids.add(resource.id)

    def _process_created_runs(self, admitted: AdmittedRequest, exchange: Exchange, *, refused: bool) -> None:
        created = created_by(exchange.answer)
        ours = self._ours(created.runs, exchange.answer, admitted.effect)
        run_ids = admitted.reported = tuple(run.id for run in ours)
        unproven = [run.id for run in ours if run.body is None]
        new = sum(run_id not in self.ownership.runs for run_id in run_ids)  # a replay creates none
        for run in ours:
            self.ownership.add_run(run.id, exchange.request.header("authorization"), proven=run.body is not None)
        self.ownership.other_ids.update(created.attachment_ids)
        self.ownership.sessions.update(run.session_id for run in ours if run.session_id)
        # A read was charged in case the server mixes up methods; if its answer reports no run, it only read.
        only_read = exchange.request.is_read and not created.runs
        reports_all = exchange.answer.status < 300 and len(run_ids) + created.failed == admitted.charge.runs
        if refused or only_read or reports_all:
            self.account.settle(admitted.charge, new)
            if admitted.intent is not None and self.detector is None:
                self.journal.close_intent(admitted.intent, run_ids, unproven)
                return
        else:
            self.assume_worst(admitted)
        if admitted.intent is not None:  # stays open until the detector or the clean-up has searched for more runs
            self.journal.record_answer(admitted.intent, run_ids, self.clock.now().timestamp(), unproven)

    def _ours(self, created: Sequence[CreatedRun], answer: Answer, effect: Effect) -> Sequence[CreatedRun]:
        """Return the runs of an answer that belong to the check.

        An answer proves nothing by itself if others use the target too: a broken server may report the run that someone
        else created last, a run of another answer, or all runs there are. What it says is compared with what the lists
        showed before the request, and with what was sent.
        """
        if not self.target.is_shared:
            return created
        identity, now = self.journal.record.identity, self.clock.now()
        ours: list[CreatedRun] = []
        for run in created:
            if self.detector is not None and run.id in self.detector.lists.others:
                continue  # not even possibly: the run was there before the request
            body = run.body
            if body is None or (identity.may_include(body, answer, now) and not has_other_inputs(body, effect.body)):
                ours.append(run)
            else:
                self.not_ours.append(PossibleRun.of({**body, "id": run.id}))
        self.answers_name_others |= len(ours) < len(created)
        return ours

    def assume_worst(self, admitted: AdmittedRequest) -> None:
        """Keep the charge, as the outcome is unknown. The open intent makes the clean-up search for runs."""
        self.account.settle(admitted.charge, max(admitted.charge.runs, len(admitted.reported)))
