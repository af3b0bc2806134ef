"""Faults of updates, retries and deletes."""

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.contracts.rules.faults.lifecycles import WorksLong
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.defects.refusals import RefusedUpdateTakesOutput
from tests.standin.models import Status
from tests.standin.store import TERMINAL


class RefusedStatusChangesTheRest(Standin):
    def check_edge(self, org, run, status):
        try:
            super().check_edge(org, run, status)
        except Problem:
            run.output_data = {"changed": True}
            raise


class RetryKeepsSessionOfStarter(Standin):
    def take_over(self, org, run, body):
        old = run.session_id
        super().take_over(org, run, body)
        if old == run.id and run.session_id is None:
            run.session_id = old


class RetriedRunsAreCountedTwice(Standin):
    """All runs are counted by status as they change, and a retry leaves the count of the status before as it is."""

    retried = 0

    def take_over(self, org, run, body):
        self.retried += run.status == Status.CANCELLED
        super().take_over(org, run, body)

    def total(self, call, found, query):
        filters = query.workflow_id, query.machine_id, query.session_id, query.search, query.created_at_from
        is_counter = query.status == Status.CANCELLED and filters == (None,) * len(filters)
        return super().total(call, found, query) + self.retried * is_counter


class RetryLosesPools(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.pool_ids = None if body.pool_ids is None else run.pool_ids


class RetryLosesAlias(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.session_alias = body.session_alias


class RetryIgnoresEmptyInputs(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body.model_copy(update={"input_values": body.input_values or None}))


class NullLeavesTheSession(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if "reuse_session" in body.model_fields_set and body.reuse_session is None:
            run.session_id = None


class RetryKeepsGivenOutputs(Standin):
    def clear(self, org, run):
        given = [one for one in run.output_attachment_ids or [] if one not in org.attachments]
        super().clear(org, run)
        run.output_attachment_ids = given or None


class RefusedRetryAddsFiles(Standin):
    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if body.file_inputs and not self.may_retry(run):
            self.attach(call.org, run, body.file_inputs)
        return super().retry_run(call, run_id, body)


class FilesOfARetryStay(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.file_inputs:
            self.kept = getattr(self, "kept", set()) | set(run.input_attachment_ids)

    def forget_attachments(self, org, run):
        kept = {one: org.attachments[one] for one in getattr(self, "kept", ()) if one in org.attachments}
        super().forget_attachments(org, run)
        org.attachments.update(kept)


class RunningRunsRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or run.status == Status.RUNNING


class FailedTasksNotRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) and run.status != Status.TASK_FAILED


class RefusedRetryClears(Standin):
    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if not self.may_retry(run):
            run.output_data = None
        return super().retry_run(call, run_id, body)


class SuccessCancelled(Standin):
    def check_edge(self, org, run, status):
        if (run.status, status) != (Status.SUCCESS, Status.CANCELLED):
            super().check_edge(org, run, status)


class RunningRunsNotCancelled(Standin):
    def check_edge(self, org, run, status):
        if (run.status, status) == (Status.RUNNING, Status.CANCELLED):
            raise Problem(409, "A run at its work is not cancelled.")
        super().check_edge(org, run, status)


class RunningRunsStay(WorksLong):
    def delete_run(self, call, run_id):
        if self.find(call, run_id).status == Status.RUNNING:
            return Answer(204, raw=b"")
        return super().delete_run(call, run_id)


class ErrorMeansFailedToo(Standin):
    def matches(self, run, query):
        if query.status == Status.ERROR and run.status == Status.TASK_FAILED:
            query = query.model_copy(update={"status": run.status})
        return super().matches(run, query)


class SecondRetryKeepsOutput(Standin):
    def clear(self, org, run):
        kept = run.output_data
        super().clear(org, run)
        self.cleared = [*getattr(self, "cleared", []), run.id]
        if self.cleared.count(run.id) > 1:
            run.output_data = kept


class RetryKeepsPools(Standin):
    def take_over(self, org, run, body):
        kept = run.pool_ids
        super().take_over(org, run, body)
        run.pool_ids = kept


class RetryAlwaysReusesSession(Standin):
    def take_over(self, org, run, body):
        kept = run.session_id
        super().take_over(org, run, body)
        if body.reuse_session is False and run.session_id is None:
            run.session_id = kept


class DeletedFoundInDeepSearch(Standin):
    def delete_run(self, call, run_id):
        self.gone = [*getattr(self, "gone", []), self.find(call, run_id)]
        return super().delete_run(call, run_id)

    def list_runs(self, call, query):
        self.deep = query.search and query.deep_search
        return super().list_runs(call, query)

    def listed(self, call):
        return super().listed(call) + (getattr(self, "gone", []) if self.deep else [])


class DeletedCancelled(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", {}) | {run_id: self.find(call, run_id)}
        return super().delete_run(call, run_id)

    def update_run(self, call, run_id, body):
        if body.status is not None and run_id in getattr(self, "gone", {}):
            return Answer(200, self.show(self.gone[run_id], "update_run"))
        return super().update_run(call, run_id, body)


class UsageEmptiesAlias(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "usage_metadata":
            run.session_alias = None


class DeletedCountedBySession(Standin):
    def delete_run(self, call, run_id):
        self.gone = [*getattr(self, "gone", []), self.find(call, run_id).session_id]
        return super().delete_run(call, run_id)

    def total(self, call, found, query):
        return len(found) + (query.session_id is not None and getattr(self, "gone", []).count(str(query.session_id)))


class SameBytesDeletedTogether(Standin):
    def forget_attachments(self, org, run):
        contents = [one.content for one in org.attachments.values() if one.run_id == run.id]
        super().forget_attachments(org, run)
        for one in org.attachments.values():
            if one.content in contents:
                one.content = b""


class RetryFreesEqualFiles(Standin):
    def take_over(self, org, run, body):
        old = [one.content for one in org.attachments.values() if one.run_id == run.id]
        super().take_over(org, run, body)
        for one in org.attachments.values():
            if body.file_inputs and one.content in old:
                one.content = b""


class NullClearsAliasOfARetry(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if "session_alias" in body.model_fields_set:
            run.session_alias = body.session_alias


class RetryGoesBackToTheFirstAlias(Standin):
    def take_over(self, org, run, body):
        self.first = {run.id: run.session_alias, **getattr(self, "first", {})}
        super().take_over(org, run, body)
        if body.session_alias is None:
            run.session_alias = self.first[run.id]


class OutputsAreSorted(Standin):
    def change(self, run, name, value):
        super().change(run, name, sorted(value) if name == "output_attachment_ids" and value else value)


class OneReadAfterAnUpdateIsStale(Standin):
    """Once in the life of the server."""

    stale: dict[str, Any] | None = None

    def update_run(self, call, run_id, body):
        before = self.show(self.find(call, run_id), "get_run")
        answer = super().update_run(call, run_id, body)
        if self.stale is None and body.input_values:
            self.stale = before
        return answer

    def get_run(self, call, run_id, include):
        if self.stale is not None and self.stale.get("id") == run_id:
            shown, self.stale = self.stale, {}
            return Answer(200, shown)
        return super().get_run(call, run_id, include)


class RetriesCopyRuns(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        copy = replace(self.find(call, run_id), id=str(uuid.uuid4()))
        call.org.runs[copy.id] = copy
        return answer


class RefusedUpdatesTakeOutputThatWasLeftOut(RefusedUpdateTakesOutput):
    """Its answers leave out what is null."""

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return {name: value for name, value in shown.items() if value is not None or name == "machine_id"}


class DeletedStaysReadWithInclude(Standin):
    """Reads with include come from a cache of their own, which no delete empties."""

    def get_run(self, call, run_id, include):
        cache = self.__dict__.setdefault("reads", {})
        if include is not None and run_id not in call.org.runs and (call.org.id, run_id, include) in cache:
            return cache[call.org.id, run_id, include]
        answer = super().get_run(call, run_id, include)
        if include is not None:
            cache[call.org.id, run_id, include] = answer
        return answer


class FilesOfAChainGoWithTheFirstStep(Standin):
    def forget_attachments(self, org, run):
        of_session = {one.id for one in org.runs.values() if run.session_id and one.session_id == run.session_id}
        for one in org.attachments.values():
            if run.release_session_after is False and one.run_id in of_session:
                one.content = b""
        super().forget_attachments(org, run)


class StatusFilterForgetsRetries(Standin):
    """A list by status leaves out the runs that were retried, until they end again."""

    def again(self, org, run):
        super().again(org, run)
        self.retried = getattr(self, "retried", set()) | {run.id}

    def matches(self, run, query):
        is_missed = query.status is not None and run.ended_at is None and run.id in getattr(self, "retried", ())
        return super().matches(run, query) and not is_missed


class RetryAfterOutputDropsInputFiles(Standin):
    """A retry removes all files of the run if it has output files: the ids of the input files stay."""

    def clear(self, org, run):
        has_output = bool(run.output_attachment_ids)
        super().clear(org, run)
        for attachment in run.input_attachment_ids if has_output else ():
            org.attachments.pop(attachment, None)


class RetryClearsTheSession(Standin):
    def clear(self, org, run):
        super().clear(org, run)
        for other in org.runs.values():
            if run.session_id and other.session_id == run.session_id and other.status in TERMINAL:
                other.output_data = other.error = other.run_message_history = None


class DeletedStepShiftsTheInputs(Standin):
    """The steps after a deleted one take the inputs of the step after them."""

    def forget(self, org, run):
        is_step = run.session_id is not None and run.release_session_after is False
        of_session = [one for one in org.runs.values() if one.session_id == run.session_id and one.number > run.number]
        super().forget(org, run)
        for one, following in itertools.pairwise(of_session) if is_step else ():
            one.input_values = following.input_values


class ErrorAfterSuccessEmptiesOutput(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "error" and run.status == Status.SUCCESS:
            run.output_data = None


class EqualIsUnchanged(Standin):
    """Only fields that differ are written, as Python compares: 1 equals true."""

    def change(self, run, name, value):
        if value != getattr(run, name):
            super().change(run, name, value)


class EqualMessagesOnce(Standin):
    def change(self, run, name, value):
        if name == "run_message_history" and value:
            value = [message for message, _ in itertools.groupby(value)]
        super().change(run, name, value)


class MessageWithoutContent(Standin):
    def update_run(self, call, run_id, body):
        if any("role" in message and "content" not in message for message in body.run_message_history or ()):
            raise Problem(500, "KeyError")
        return super().update_run(call, run_id, body)


class EqualChainIsTakenForARepeat(Standin):
    """Double clicks: a chain equal to an earlier one gets its answer, without an idempotency key too."""

    def create_run_chain(self, call, body):
        self.answers = getattr(self, "answers", {})
        if call.body not in self.answers:
            self.answers[call.body] = super().create_run_chain(call, body)
        return self.answers[call.body]


class ChainsAreCreatedAtTheStart(Standin):
    """The default of created_at is evaluated once, a minute ago."""

    def step_made(self, call, body, index, of, session_id, created_at):
        return super().step_made(call, body, index, of, session_id, created_at - timedelta(seconds=60))


class RetryKeepsOldAliases(Standin):
    def take_over(self, org, run, body):
        old = run.sensitive_input_aliases or {}
        super().take_over(org, run, body)
        if body.sensitive_input_values:
            run.sensitive_input_aliases = {**old, **run.sensitive_input_aliases}


class RetryNamesTheWholeSession(Standin):
    """The alias is stored with the session."""

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.session_alias is not None and run.session_id is not None:
            for other in org.runs.values():
                if other.session_id == run.session_id:
                    other.session_alias = body.session_alias


class EarlyRetriesMoveTheRun(Standin):
    """The session is joined before the status is looked at."""

    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if run.status not in TERMINAL and body.session_id is not None:
            run.session_id = str(body.session_id)
        return super().retry_run(call, run_id, body)


class RetriesThatSucceedShowTheOldError(Standin):
    def __init__(self, settings):
        super().__init__(settings)
        self.errors = {}

    def clear(self, org, run):
        self.errors[run.id] = run.error
        super().clear(org, run)

    def show(self, run, *more):
        shown = super().show(run, *more)
        return (
            shown | {"error": self.errors[run.id]} if run.status == Status.SUCCESS and run.id in self.errors else shown
        )


class EmptyValuesOfStepsAreNone(Standin):
    """A step's value takes the place of the shared one unless it is an empty text, false or 0."""

    def merged(self, shared, own):
        merged = super().merged(shared, own)
        no_value = [name for name, value in (own or {}).items() if value in ("", False) and name in (shared or {})]
        return merged and merged | {name: shared[name] for name in no_value}
