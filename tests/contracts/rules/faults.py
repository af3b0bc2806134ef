"""Servers with one fault each, for the scenarios that were made to find such: beside the table of planted defects."""

import asyncio
import gzip
import hashlib
import heapq
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import field_validator

from tests.standin.behaviour import SECRETS, Answer, Problem, Standin
from tests.standin.models import RunQuery, Status
from tests.standin.store import TERMINAL, Lifecycle, Run
from tests.standin.variations import AnswersCompressed, AnswersHaveEtags, RangesServed


class ReadTrimsAlias(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        trimmed = where == "get_run" and shown["session_alias"]
        return shown | ({"session_alias": shown["session_alias"].strip()} if trimmed else {})


class ListLowersNamesOfSecrets(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        aliases = shown["sensitive_input_aliases"]
        if where == "list_runs" and aliases:
            shown["sensitive_input_aliases"] = {name.lower(): alias for name, alias in aliases.items()}
        return shown


class ReadShowsTenAttachments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"input_attachment_ids": shown["input_attachment_ids"][:10]} if where == "get_run" else {})


class ListRoundsMoments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"created_at": self.written(run.created_at.replace(microsecond=0))} if where[0] == "l" else {})


class IncludeLosesInputs(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        if include and "machine" in include:
            answer.content["input_values"] = None
        return answer


class FirstMachineIncluded(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return found + [{"type": "machine", **self.machine_shown(org, one)} for one in org.machines.values()][:1]


class IncludedPoolsHaveTheMachinesName(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return [one | ({"name": found[0]["name"]} if one["type"] == "pool" else {}) for one in found]


class PoolIncludedForEachMachine(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        machines = {run.machine_id for run in runs if run.machine_id}
        pools = [one for one in found if one["type"] == "pool"]
        twice = [pool for pool in pools if all(pool["id"] in org.machines[one]["pools"] for one in machines)]
        return found + (twice if len(machines) > 1 else [])


class LastOfFullChunkLost(Standin):
    """Runs are made in chunks of 256. If the last chunk is full, its last run is not made."""

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if len(runs) % 256 == 0:
            call.org.runs.pop(runs.pop().id)
        return runs


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


class UnknownSignaturesFail(Standin):
    def signed_download(self, signature):
        if signature not in self.signed:
            raise KeyError(signature)
        return super().signed_download(signature)


class DeletesAtOnceUnlistAnother(Standin):
    """A delete takes a run off the list by the position that the run had when the delete arrived."""

    unlisted: frozenset[str] = frozenset()

    async def once(self, call, handle):
        if call.operation == "delete_run":
            self.before = {**getattr(self, "before", {}), id(call): list(call.org.runs)}
            await asyncio.sleep(0.005)
        return await super().once(call, handle)

    def delete_run(self, call, run_id):
        run = self.find(call, run_id)
        now = list(call.org.runs)
        position = self.before.pop(id(call)).index(run.id)
        self.unlisted |= {now[position]} if position < len(now) else set()
        return super().delete_run(call, run_id)

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in self.unlisted]


class FieldsLeaveOutIncluded(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_:
            answer.content.pop("included", None)
        return answer


class IncludedOfTheFirstTen(Standin):
    def included(self, org, runs, include):
        return super().included(org, runs[:10], include)


class PageOfActiveAndEndedIsShort(Standin):
    def page(self, found, query):
        items = super().page(found, query)
        ended = [run for run in items if isinstance(run, Run) and run.status in TERMINAL]
        return items[:-1] if query.skip and ended and len(ended) < len(items) else items


class RetryLosesPools(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.pool_ids = None if body.pool_ids is None else run.pool_ids


class KeyOfARetryEndsWithTheRun(Standin):
    async def once(self, call, handle):
        self.advance(call.org)
        run = call.org.runs.get(call.path.split("/")[3]) if call.path.endswith("/retry") else None
        if run is not None and run.status in TERMINAL:
            self.keys_of(call).pop(self.key_name(call), None)
        return await super().once(call, handle)


class KeyOfARefusedWriteIsStuck(Standin):
    async def once(self, call, handle):
        answer = await super().once(call, handle)
        if answer.status == 422 and call.key:
            self.keys_of(call)[self.key_name(call)].answer = None
        return answer


class OldWorkEndsARetriedRun(Standin):
    class Lifecycle(Lifecycle):
        def advance(self, org, now):
            for when, _, epoch, what, run in sorted(org.agenda, key=lambda one: one[0]):
                if what == "finish" and epoch < run.epoch and run.status not in TERMINAL and when <= now:
                    self.finish(org, run, when)
            super().advance(org, now)

        def wait_s(self, run):
            # The old work ends first; the new attempt begins while the ended runs are still watched.
            return super().wait_s(run) if run.epoch == 0 else 1.2

        def work_s(self, run):
            return 1.0 if run.epoch == 0 else 30.0

        def start(self, org, run, when):
            if run.status in TERMINAL and run.status != Status.CANCELLED:
                run.status = Status.SCHEDULING
            super().start(org, run, when)


class RetryLosesAlias(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.session_alias = body.session_alias


class OneRunIsUnlisted(Standin):
    """The last run of one create of several runs, and never again."""

    hidden = ""

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if len(runs) > 2 and not self.hidden:
            self.hidden = runs[-1].id
        return runs

    def listed(self, call):
        return [run for run in super().listed(call) if run.id != self.hidden]


class LastStepUnlisted(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.hidden = getattr(self, "hidden", set()) | {answer.content["run_ids"][-1]}
        return answer

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in getattr(self, "hidden", ())]


class MachineFilterKeepsTheFirst(Standin):
    def take_over(self, org, run, body):
        self.first = getattr(self, "first", {})
        self.first.setdefault(run.id, run.machine_id)
        super().take_over(org, run, body)

    def matches(self, run, query):
        machine = getattr(self, "first", {}).get(run.id)
        if query.machine_id is not None and machine is not None:
            return str(query.machine_id) == machine
        return super().matches(run, query)


class SearchRemembersInputs(Standin):
    def change(self, run, name, value):
        if name == "input_values":
            self.old = getattr(self, "old", {}) | {run.id: run.input_values}
        super().change(run, name, value)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from self.leaves(getattr(self, "old", {}).get(run.id))


class CancelDropsFiles(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            self.forget_attachments(org, run)


class CancelEmptiesAlias(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            run.session_alias = None


def start_next(lifecycle, org, session, now):
    """Start the next run of the session at once, so that a running one is not alone whatever chance does."""
    lifecycle.next_of(org, session, now)
    if session.current is not None:
        lifecycle.start(org, session.current, now)


class WorksLong(Standin):
    class Lifecycle(Lifecycle):
        def work_s(self, run):
            return 1.0  # so long that a busy machine meets runs at their work


class CancelOfAWaitingRunStartsTheNext(WorksLong):
    def move(self, org, run, status):
        session = org.sessions.get(run.session_id or "")
        if status == Status.CANCELLED and session is not None and session.current is not run:
            start_next(self.lifecycle, org, session, self.now(org))
        super().move(org, run, status)


class DeleteOfAWaitingRunStartsTheNext(WorksLong):
    def forget(self, org, run):
        session = org.sessions.get(run.session_id or "")
        if run.status == Status.SCHEDULING and session is not None and session.current is not run:
            start_next(self.lifecycle, org, session, self.now(org))
        super().forget(org, run)


class SessionWaitsNotForItsFirstRun(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            super().start(org, run, when)
            if run.session_id == run.id:
                start_next(self, org, org.sessions[run.session_id], when)


class ChainJoinsInFront(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        session = call.org.sessions[answer.content["session_id"]]
        ids = answer.content["run_ids"]
        session.waiting = [(number - 10**9 * (run.id in ids), epoch, run) for number, epoch, run in session.waiting]
        heapq.heapify(session.waiting)
        return answer


class MachinesOfAllOrganisationsPicked(Standin):
    known: tuple[str, ...] = ()

    def machine_of(self, org, body, index, of):
        self.known = tuple(dict.fromkeys((*self.known, *org.machines)))
        return super().machine_of(org, body, index, of) or (self.known[0] if body.pool_ids else None)


class AnyMachinePicked(Standin):
    def machine_of(self, org, body, index, of):
        return super().machine_of(org, body, index, of) or (list(org.machines)[-1] if body.pool_ids else None)


class AttachmentsOfOthersCounted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is None:
            answer.content["total"] += 1
        return answer


class FractionsAreMicroseconds(Standin):
    """`.5` is read as 5 µs. The moment that comes from the model is right, so all short fractions are taken."""

    def in_window(self, run, query):
        def misread(at):
            return at and at.replace(
                microsecond=at.microsecond // 100_000 if not at.microsecond % 100_000 else at.microsecond
            )

        given = {name: misread(getattr(query, name)) for name in ("created_at_from", "created_at_to")}
        return super().in_window(run, query.model_copy(update=given))


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


class SearchJoinsValues(Standin):
    def texts(self, run, *, deep):
        yield " ".join(super().texts(run, deep=deep))


class IncludesOfTheFirstPage(Standin):
    def page(self, found, query):
        self.found = found
        return super().page(found, query)

    def included(self, org, runs, include):
        return super().included(
            org, self.found[: len(runs)] if runs[0] in getattr(self, "found", ()) else runs, include
        )


class ActivityIsNewestFirst(Standin):
    def ordered(self, runs, query):
        return sorted(runs, key=self.newest_first)


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


class RunningRunsStay(Standin):
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


class SharedFilesOnFirstStep(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        shared = body if index == 0 else body.model_copy(update={"shared_file_inputs": None})
        return super().step_made(call, shared, index, of, session_id, created_at)


class AttachmentTotalOfPage(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        answer.content["total"] = len(answer.content["items"])
        return answer


class CleanUpLostInBulk(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids if index else ():
            org.attachments[one].cleanup_imports_after_run = False
        return ids


class EndsBeforeItStarts(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            if run.status in TERMINAL and run.started_at is not None:
                run.ended_at = run.started_at - timedelta(seconds=1)


class ListShowsOldStatus(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        late = where == "list_runs" and run.status == Status.SUCCESS and run.session_id is None
        return shown | ({"status": "running", "output_data": None} if late else {})


class CancelledAtWorkGoesOn(WorksLong):
    """And every other run at its work has ended when the cancel arrives."""

    def check_edge(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            self.late = not getattr(self, "late", False)
            if self.late:
                run.epoch += 1
                self.lifecycle.finish(org, run, self.now(org))
        super().check_edge(org, run, status)

    def move(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            run.status = status
        else:
            super().move(org, run, status)


class SessionHidesWorkflow(Standin):
    def matches(self, run, query):
        if query.session_id is not None and query.workflow_id is not None:
            query = query.model_copy(update={"workflow_id": None})
        return super().matches(run, query)


class SearchKnowsTheFirstAlias(Standin):
    def take_over(self, org, run, body):
        self.aliases = {run.id: run.session_alias} | getattr(self, "aliases", {})
        super().take_over(org, run, body)

    def texts(self, run, *, deep):
        new, first = run.session_alias, getattr(self, "aliases", {}).get(run.id)
        for text in super().texts(run, deep=deep):
            if run.id not in getattr(self, "aliases", {}) or new is None or text != self.folded(new):
                yield text
        if first:
            yield self.folded(first)


class SearchFindsNamesOfFiles(Standin):
    def attach(self, org, run, files, index=0, of=1):
        self.names = getattr(self, "names", {}) | {run.id: [file.filename for file in files]}
        return super().attach(org, run, files, index, of)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from getattr(self, "names", {}).get(run.id, ())


class SearchFindsNoNumbers(Standin):
    def leaves(self, value):
        return (text for text in super().leaves(value) if isinstance(value, dict | list | str))


class OldRunsForgotten(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        if call.org.created - self.find(call, run_id).number > 500:
            answer.content["input_values"] = None
        return answer


class RetryCutsFiles(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        for one in run.input_attachment_ids:
            org.attachments[one].content = org.attachments[one].content[:65536]


class BeginningOfAnIdIsEnough(Standin):
    def get_run(self, call, run_id, include):
        found = next((one for one in call.org.runs if one[:23] == run_id[:23]), run_id)
        return super().get_run(call, found, include)


class FieldsHideLastOfPage(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:-1] if getattr(query, "fields_", None) is not None and query.skip else page


class UsageEmptiesAlias(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "usage_metadata":
            run.session_alias = None


class RetriedStepLeavesSession(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.steps = getattr(self, "steps", set()) | set(answer.content["run_ids"])
        return answer

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if run.id in getattr(self, "steps", ()):
            run.session_id = None


class UpdateOfRetriedLost(Standin):
    def update_run(self, call, run_id, body):
        answer = super().update_run(call, run_id, body)
        run = self.find(call, run_id)
        if run.epoch > 2 and body.output_data is not None:
            run.output_data = None
        return answer


class RetriedUnlistedByActivity(Standin):
    def matches(self, run, query):
        again = run.epoch > 1 and run.status == Status.SCHEDULING and str(query.sort_mode) == "activity"
        return super().matches(run, query) and not again


class DeletedCountedBySession(Standin):
    def delete_run(self, call, run_id):
        self.gone = [*getattr(self, "gone", []), self.find(call, run_id).session_id]
        return super().delete_run(call, run_id)

    def total(self, call, found, query):
        return len(found) + (query.session_id is not None and getattr(self, "gone", []).count(str(query.session_id)))


class SessionsOfAllCounted(Standin):
    def total(self, call, found, query):
        if query.session_id is None:
            return super().total(call, found, query)
        return sum(self.matches(run, query) for org in self.organisations.values() for run in org.runs.values())


class AttachmentsOfAllCounted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is not None:
            every = [one for org in self.organisations.values() for one in org.attachments.values()]
            answer.content["total"] = sum(self.attachment_matches(one, self.ids_in(query)) for one in every)
        return answer

    def ids_in(self, query):
        return query.model_copy(update=self.ids_as_texts(query))


class TotalIsOneMore(Standin):
    """Of every list with a filter by workflow or session: the total says nothing of organisations."""

    def total(self, call, found, query):
        return len(found) + (query.workflow_id is not None or query.session_id is not None)


class WrongSecretsShownInTheBody(Standin):
    """Where a field is missing, the error shows the body, and secrets in it that are no object."""

    def masked(self, value: Any) -> Any:
        shown = super().masked(value)
        if isinstance(value, dict):
            shown |= {key: value[key] for key in SECRETS & value.keys() if not isinstance(value[key], dict)}
        return shown


class CreatedWorkflowsForgotten(Standin):
    def create_workflow(self, call, body):
        answer = super().create_workflow(call, body)
        del call.org.workflows[answer.content["id"]]
        return answer


class NewPoolsUnlisted(Standin):
    def list_pools(self, call, query):
        pools = call.org.pools
        call.org.pools = dict(list(pools.items())[:2])
        try:
            return super().list_pools(call, query)
        finally:
            call.org.pools = pools


class DescriptionOfPoolsLost(Standin):
    def get_pool(self, call, pool_id):
        answer = super().get_pool(call, pool_id)
        answer.content["description"] = None
        return answer


class NamesOfWorkflowsInAscii(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"name": body.name and ascii(body.name)}))


class MachinesNotAdded(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        return super().add_machine_to_pool(call, pool_id, body.model_copy(update={"machine_ids": []}))


class MachineCountNotKept(Standin):
    def pool_shown(self, org, pool):
        return super().pool_shown(org, pool) | {"machine_count": 0}


class UpdatesAtWorkLost(WorksLong):
    """The worker has a copy of the run, which it writes at the end."""

    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if run.status == Status.RUNNING:
            self.copies = {**getattr(self, "copies", {}), run.id: run.input_values}
        return super().update_run(call, run_id, body)

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        copies = getattr(self, "copies", {}) if run.status in TERMINAL else {}
        return shown | ({"input_values": copies[run.id]} if run.id in copies else {})


class SameBytesDeletedTogether(Standin):
    def forget_attachments(self, org, run):
        contents = [one.content for one in org.attachments.values() if one.run_id == run.id]
        super().forget_attachments(org, run)
        for one in org.attachments.values():
            if one.content in contents:
                one.content = b""


class LastEndedComesFirst(Standin):
    def ordered(self, runs, query):
        listed = super().ordered(runs, query)
        if str(query.sort_mode) == "created_at_desc":
            return listed
        active = [run for run in listed if run.status not in TERMINAL]
        ended = [run for run in listed if run.status in TERMINAL]
        return active + sorted(ended, key=lambda run: run.ended_at, reverse=True)


class SessionStopsAtADelete(Standin):
    def forget(self, org, run):
        session = org.sessions.get(run.session_id)
        super().forget(org, run) if session is None or session.current is not run else org.runs.pop(run.id)


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


class LongKeysIgnored(Standin):
    async def once(self, call, handle):
        return await super().once(replace(call, key=None if len(call.key or "") > 512 else call.key), handle)


class KeysComparedUpTo512Characters(Standin):
    async def once(self, call, handle):
        return await super().once(replace(call, key=call.key and call.key[:512]), handle)


class ChecksCountAsEnded(Standin):
    """While the results of a run are checked, a list by activity has it among those that ended."""

    def ordered(self, runs, query):
        listed = super().ordered(runs, query)
        checks = [run for run in listed if run.status == Status.RUNNING and run.number % 2]
        return [run for run in listed if run not in checks] + checks


class CancelOfARunningRunStartsTheRest(WorksLong):
    class Lifecycle(WorksLong.Lifecycle):
        def wait_s(self, run):
            return 1.5  # so long that on a busy machine, too, a case cancels a running run only if it waits for one

    def move(self, org, run, status):
        session = org.sessions.get(run.session_id or "")
        all_start = status == Status.CANCELLED and run.status == Status.RUNNING and session is not None
        super().move(org, run, status)
        while all_start and session.waiting:
            start_next(self.lifecycle, org, session, self.now(org))


class EndedSessionIsForgotten(WorksLong):
    """Runs that join a session whose runs have all ended do not wait for each other."""

    class Lifecycle(WorksLong.Lifecycle):
        forgotten: ClassVar[set[str]] = set()

        def schedule(self, org, run, now):
            others = [one for one in org.runs.values() if one.session_id == run.session_id and one is not run]
            if run.session_id and others and all(one.status in TERMINAL for one in others):
                self.forgotten.add(run.session_id)
            if run.session_id in self.forgotten:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)


class RetriedRunsJoinAtOnce(WorksLong):
    """They do not wait for the runs of the session if they were in no session before."""

    def take_over(self, org, run, body):
        self.joined = run.session_id is None and body.session_id is not None
        super().take_over(org, run, body)

    def again(self, org, run):
        if not self.joined:
            super().again(org, run)
            return
        run.status = Status.SCHEDULING
        run.epoch += 1
        self.lifecycle.at(org, self.now(org) + self.lifecycle.wait_s(run), "start", run)


class FieldsHaveNoErrors(Standin):
    def kept_fields(self, query):
        return super().kept_fields(query) - {"error"}


class FieldsHaveNoPools(Standin):
    def kept_fields(self, query):
        return super().kept_fields(query) - {"pool_ids"}


class RetryKeepsThePickedMachine(Standin):
    def machine_of(self, org, body, index, of):
        wanted = set(map(str, body.pool_ids or ()))
        fits = [name for name, machine in org.machines.items() if wanted and wanted <= set(machine["pools"])]
        return super().machine_of(org, body, index, of) or (fits[-1] if fits else None)


class ListedForEachPool(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if "pools" in str(query.include):
            pools = {name: len(machine["pools"]) for name, machine in call.org.machines.items()}
            items = answer.content["items"]
            answer.content["items"] = [item for item in items for _ in range(pools.get(item["machine_id"], 1))]
        return answer


class SearchIsCut(Standin):
    def list_runs(self, call, query):
        cut = query.search and query.search[:128]
        return super().list_runs(call, query.model_copy(update={"search": cut}))


class FilesAreCleanedUp(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            for attachment in run.input_attachment_ids or ():
                org.attachments[attachment].content = b""


class NewPoolsHaveAllMachines(Standin):
    def create_pool(self, call, body):
        answer = super().create_pool(call, body)
        answer.content["machine_count"] = len(call.org.machines)
        return answer


class WebhooksAreNotEnabled(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"is_webhooks_enabled": False}))


class OutputsAreSorted(Standin):
    def change(self, run, name, value):
        super().change(run, name, sorted(value) if name == "output_attachment_ids" and value else value)


class HealthNeedsAToken(Standin):
    def health_check(self):
        return Answer(401, {"detail": "Log in first."})


class CapitalsFindNothing(Standin):
    class RunQuery(RunQuery):
        session_id: str | None = None


class NamesInAnyCase(Standin):
    def parse(self, raw):
        value = super().parse(raw)
        return {name.lower(): inner for name, inner in value.items()} if isinstance(value, dict) else value


class StepsHaveTheLastWorkflow(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        run.workflow_id = str(body.steps[-1].workflow_id)
        return run


class TypeNeedsARun(Standin):
    def attachment_matches(self, one, query):
        of_all = query.model_copy(update={"attachment_type": None})
        return super().attachment_matches(one, of_all if query.run_id is None else query)


class CompressedAnswersAreCut(AnswersCompressed):
    """Of a long answer, only what fits into the buffer is compressed."""

    def delivered(self, answer, headers):
        sent = super().delivered(answer, headers)
        return sent if sent is answer else replace(sent, raw=gzip.compress(answer.body()[: 2**16]))


class CompressedStreamsAreCut(AnswersCompressed):
    def delivered(self, answer, headers):
        sent = super().delivered(answer, headers)
        return replace(sent, raw=sent.raw[:-9]) if "content-encoding" in (sent.headers or {}) else sent


class EtagsOfTheStatus(AnswersHaveEtags):
    def version_of(self, body):
        return hashlib.sha256(b"".join(re.findall(rb'"id":"[^"]*"|"status":"[^"]*"', body))).hexdigest()


class PagesForBrowsers(Standin):
    def delivered(self, answer, headers):
        is_browser = "text/html" in headers.get("accept", "")
        return replace(answer, headers={"content-type": "text/html"}) if is_browser else answer


class RangesAreOneLonger(RangesServed):
    def end_of(self, last):
        return last + 2


class CreatedBeforeItIsRefused(Standin):
    """Looks up what a create names after its first run is made."""

    def bulk_create_runs(self, call, body):
        try:
            return super().bulk_create_runs(call, body)
        except Problem:
            self.bulk_made(call, body.model_copy(update={"count": 1}))
            raise


class ChainBeginsBeforeItIsRefused(Standin):
    def create_run_chain(self, call, body):
        try:
            return super().create_run_chain(call, body)
        except Problem:
            self.step_made(call, body, 0, len(body.steps), self.chain_session(body), self.created_at(call.org))
            raise


class ClearedBeforeTheRetryIsRefused(Standin):
    def retry_run(self, call, run_id, body):
        try:
            return super().retry_run(call, run_id, body)
        except Problem:
            self.clear(call.org, self.find(call, run_id))
            raise


class UpdatedBeforeItIsRefused(Standin):
    """Does not know the attachment that an update names, after it has changed the other fields."""

    def update_run(self, call, run_id, body):
        if body.output_attachment_ids:
            super().update_run(call, run_id, body.model_copy(update={"output_attachment_ids": []}))
            raise Problem(404, "Attachment not found")
        return super().update_run(call, run_id, body)


class OnlyTrueInLowerCaseIsTrue(Standin):
    class RunQuery(RunQuery):
        @field_validator("deep_search", mode="before")
        @classmethod
        def read(cls, value):
            return value == "true"


class ShortWordsFindNothing(Standin):
    """Has an index of three letters."""

    def has_text(self, run, query):
        return len(query.search) > 2 and super().has_text(run, query)


class AttachmentsOfCancelledRunsUnlisted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        cancelled = {run.id for run in call.org.runs.values() if run.status == Status.CANCELLED}
        answer.content["items"] = [one for one in answer.content["items"] if one["run_id"] not in cancelled]
        answer.content["total"] = len(answer.content["items"])
        return answer


class IncludedOnceForAName(Standin):
    def included(self, org, runs, include):
        return list({one["name"]: one for one in super().included(org, runs, include)}.values())


class IncludedMachinesHaveNoPools(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return [one | ({"pools": []} if one["type"] == "machine" else {}) for one in found]


class FilesOfRefusedCreatesStay(Standin):
    """They stay in the store, where they belong to some run."""

    def create_run(self, call, body):
        try:
            return super().create_run(call, body)
        except Problem:
            self.attach(call.org, next(iter(call.org.runs.values())), body.file_inputs or [])
            raise


class MachinesAreAddedOneByOne(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        for machine in body.machine_ids:
            answer = super().add_machine_to_pool(call, pool_id, body.model_copy(update={"machine_ids": [machine]}))
        return answer


class KeysOfTheLastFiftyWrites(Standin):
    async def once(self, call, handle):
        keys = self.keys_of(call)
        while len(keys) > 50:
            del keys[next(iter(keys))]
        return await super().once(call, handle)


class SearchIsOfJsonText(Standin):
    """Searches the inputs as they are written in JSON: with escapes, and with no letters beyond ASCII."""

    def leaves(self, value):
        return (json.dumps(text)[1:-1] for text in super().leaves(value))


class SearchHasWildcards(Standin):
    def has_text(self, run, query):
        wanted = ".*".join(map(re.escape, self.folded(query.search).split("%")))
        return any(re.search(wanted, self.folded(text)) for text in self.texts(run, deep=query.deep_search))


class SecondOrganisationFindsNothing(Standin):
    def list_runs(self, call, query):
        if query.search and call.org is not next(iter(self.organisations.values())):
            query = query.model_copy(update={"search": "nothing has this"})
        return super().list_runs(call, query)


class SortedByActivityWithinAPage(Standin):
    def list_runs(self, call, query):
        if query.sort_mode != "activity":
            return super().list_runs(call, query)
        answer = super().list_runs(call, query.model_copy(update={"sort_mode": "created_at_desc"}))
        answer.content["items"].sort(key=lambda item: item["status"] in TERMINAL)
        return answer


class FirstMachineIsIncluded(Standin):
    """Includes the machine on which a run was before it was retried."""

    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        machines = self.__dict__.setdefault("machines", {})
        machines.setdefault(run_id, run.machine_id)
        return super().retry_run(call, run_id, body)

    def included(self, org, runs, include):
        machines = self.__dict__.get("machines", {})
        before = [replace(run, machine_id=machines.get(run.id, run.machine_id)) for run in runs]
        return super().included(org, before, include)


class ChunksAreSeenBeforeTheEnd(Standin):
    """A bulk create can be listed a chunk at a time while it is under way."""

    async def once(self, call, handle):
        if call.operation != "bulk_create_runs":
            return await super().once(call, handle)
        answer = await handle()
        made = [run["id"] for run in json.loads(answer.body()).get("created_runs", ())]
        hidden = {one: call.org.runs.pop(one) for one in made[256:]}
        if hidden:
            await asyncio.sleep(0.2)
            call.org.runs.update(hidden)
        return answer


class FilesOfASessionAreKeptByName(Standin):
    def attach(self, org, run, files, index=0, of=1):
        made = super().attach(org, run, files, index, of)
        for new in map(org.attachments.get, made):
            for one in org.attachments.values():
                is_of_session = org.runs.get(one.run_id, run).session_id == run.session_id is not None
                if is_of_session and one.filename == new.filename:
                    one.content = new.content
        return made
