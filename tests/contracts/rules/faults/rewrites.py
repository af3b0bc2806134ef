"""Faults that a port to another language, database or gateway brings."""

import base64
import contextlib
import gzip
import itertools
import json
import re
import time
import uuid
from dataclasses import replace
from datetime import timedelta

from pydantic import field_validator

from contracts.core.json_tree import map_texts
from tests.contracts.rules.faults.combinations import ResultWindow
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.models import RunUpdate, SortMode, Status
from tests.standin.store import TERMINAL, Lifecycle
from tests.standin.variations import UnknownMachineRefused, UnknownWorkflowRefused


class LongFilenamesAreCut(Standin):
    """The column takes 255 characters."""

    def attachment(self, org, run, file):
        return replace(super().attachment(org, run, file), filename=file.filename[:255])


class NulIsRemovedFromPaths(Standin):
    """A text of PostgreSQL cannot hold it."""

    def attachment(self, org, run, file):
        return replace(
            super().attachment(org, run, file), target_path=(file.target_path or "").replace("\x00", "") or None
        )


class OutputSchemaNeedsAnInputSchema(Standin):
    def create_workflow(self, call, body):
        kept = body.output_schema if body.input_schema is not None else None
        return super().create_workflow(call, body.model_copy(update={"output_schema": kept}))


class RefusedRetryDropsOutput(UnknownMachineRefused):
    """The files are dropped in another transaction, before the machine is looked up."""

    def retry_run(self, call, run_id, body):
        for attachment_id in self.find(call, run_id).output_attachment_ids or []:
            call.org.attachments.pop(attachment_id, None)
        return super().retry_run(call, run_id, body)


class StepsBeforeAnUnknownWorkflowAreCreated(UnknownWorkflowRefused):
    """The runs are created one by one, and the shared inputs are added when all are there."""

    def create_run_chain(self, call, body):
        known = [step for step in body.steps if str(step.workflow_id) in call.org.workflows]
        if 0 < len(known) < len(body.steps):
            super().create_run_chain(call, body.model_copy(update={"steps": known, "shared_inputs": None}))
        return super().create_run_chain(call, body)


class TotalOfASearchForgetsStatus(Standin):
    """The query that counts was written without the status."""

    def total(self, call, found, query):
        if query.search and query.status:
            wider = query.model_copy(update={"status": None})
            return sum(self.matches(run, wider) for run in self.listed(call))
        return super().total(call, found, query)


class SearchBeyondTheWindowIsRefused(ResultWindow):
    status = 400


class RunsOfManyNamesAreNotSearched(Standin):
    """An index of documents has a limited number of fields."""

    def has_text(self, run, query):
        return len(run.input_values or ()) <= 1000 and super().has_text(run, query)


class MalformedEscapesFail(Standin):
    """URLDecoder throws at a % without two hexadecimal digits after it."""

    def list_runs(self, call, query):
        if query.search in {"%", "%f", "%zz", "%u0041"}:
            raise Problem(500, "Illegal hex characters in escape (%) pattern")
        return super().list_runs(call, query)


class ReleasedRunsForgetTheirSession(Standin):
    """The worker releases the session of a run by UPDATE runs SET session_id = NULL."""

    def show(self, run, *args, **more):
        shown = super().show(run, *args, **more)
        if run.release_session_after and run.status in TERMINAL:
            shown["session_id"] = None
        return shown


class IncludedEndsAtTwenty(Standin):
    """The workflows are looked up by the list operation, with its default limit."""

    def __init__(self, settings):
        super().__init__(settings)
        for org in self.organisations.values():
            workflow = next(iter(org.workflows.values()))
            more = [workflow | {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))} for number in range(40)]
            org.workflows |= {each["id"]: each for each in more}

    def included(self, org, runs, include):
        return super().included(org, runs, include)[:20]


class VariationSelectorsAreRemoved(Standin):
    """A filter of invisible characters takes the selector of an emoji away."""

    def show(self, run, *args, **more):
        return map_texts(super().show(run, *args, **more), lambda text: text.replace("\ufe0f", ""))


class LargeAnswersAreCompressedUnsaid(Standin):
    """A gateway compresses answers above 256 KiB, and forgets the header."""

    def delivered(self, answer, headers):
        body = answer.body()
        if len(body) > 2**18 and "gzip" in headers.get("accept-encoding", ""):
            kept = {name: value for name, value in (answer.headers or {}).items() if name != "content-length"}
            return replace(answer, headers=kept, raw=gzip.compress(body))
        return answer


class DeepSearchIsForgottenBesideStatus(Standin):
    """The query by status has its own branch, which was written before deep_search."""

    def has_text(self, run, query):
        wider = query.model_copy(update={"deep_search": False}) if query.status else query
        return super().has_text(run, wider)


class WaitingRunsOfASessionAreListedWithTheRunningOne(Standin):
    """A session is seen as one job: its list of waiting runs has the run that is running too."""

    def matches(self, run, query):
        if query.session_id and query.status == Status.SCHEDULING and run.status == Status.RUNNING:
            query = query.model_copy(update={"status": Status.RUNNING})
        return super().matches(run, query)


class BasicWithTheTokenAsNameReads(Standin):
    """`curl -u TOKEN:` works, as with other APIs that take a key."""

    def token_in(self, authorization, operation):
        if authorization is not None and authorization.startswith("Basic ") and operation.startswith(("get", "list")):
            with contextlib.suppress(ValueError):
                return base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode().split(":")[0]
        return super().token_in(authorization, operation)


class AttachmentsTakeAnOlderScheme(Standin):
    def token_in(self, authorization, operation):
        if operation == "list_run_attachments" and authorization is not None:
            authorization = authorization.replace("Token ", "Bearer ")
        return super().token_in(authorization, operation)


class RunningRunsOfASessionAreNotListed(Standin):
    """The list of running runs comes from the machines, which do not know the runs of a session."""

    def matches(self, run, query):
        is_hidden = query.status == Status.RUNNING and run.session_id is not None
        return super().matches(run, query) and not is_hidden


class RetryAfterAnErrorKeepsOneNewFile(Standin):
    """Runs that failed have a branch of their own, which attaches the first file only. None fails by itself."""

    class Lifecycle(Lifecycle):
        def outcome(self, run):
            return Status.ERROR if run.error else Status.SUCCESS

    def take_over(self, org, run, body):
        if run.status == Status.ERROR and body.file_inputs:
            body = body.model_copy(update={"file_inputs": body.file_inputs[:1]})
        super().take_over(org, run, body)


class OutputFilesAreDownloadedEmpty(Standin):
    """The worker's upload is read before it is flushed."""

    def download(self, one):
        answer = super().download(one)
        return replace(answer, raw=b"") if one.attachment_type == "output" else answer


class OutputFilesAreNotDownloaded(Standin):
    """The route looks in the table of input files."""

    def download_run_attachment(self, call, attachment_id):
        if self.find_attachment(call, attachment_id).attachment_type == "output":
            raise self.unknown("Attachment")
        return super().download_run_attachment(call, attachment_id)


class FourFiltersForgetTheSession(Standin):
    """The index has three columns beside the status, and the fourth condition was left out of its query."""

    def matches(self, run, query):
        if query.workflow_id and query.machine_id and query.session_id and query.status:
            query = query.model_copy(update={"session_id": None})
        return super().matches(run, query)


class EndedRunsIncludeNoMachine(Standin):
    """The join starts from the machines that work for a run."""

    def included(self, org, runs, include):
        active = [run if run.status not in TERMINAL else replace(run, machine_id=None) for run in runs]
        return super().included(org, active, include)


class EqualFilesAreStoredOnce(Standin):
    """Files are stored by the hash of their content; a delete does not count the references of other creates."""

    def forget_attachments(self, org, run):
        own = [one for one in org.attachments.values() if one.run_id == run.id]
        super().forget_attachments(org, run)
        for one in own:
            for other in [each for each in org.attachments.values() if each.content == one.content]:
                if org.runs[other.run_id].created_at != run.created_at:
                    del org.attachments[other.id]


class MachineAddedTwice(Standin):
    """The table of machines and pools has no unique key."""

    def add_machine_to_pool(self, call, pool_id, body):
        has = [one for one in map(call.org.machines.get, map(str, body.machine_ids)) if one and pool_id in one["pools"]]
        answer = super().add_machine_to_pool(call, pool_id, body)
        for machine in has:
            machine["pools"].append(pool_id)
        return answer


class KeyedDoublesAreRounded(Standin):
    """Bodies are compared with the precision of the language's usual notation, six digits."""

    def fingerprint(self, call):
        with contextlib.suppress(ValueError):
            body = json.loads(call.body, parse_float=lambda text: round(float(text), 6))
            call = replace(call, body=json.dumps(body).encode())
        return super().fingerprint(call)


class ChainsInLocalTime(Standin):
    """The worker that creates the steps writes local time as if it were UTC."""

    def step_made(self, call, body, index, of, session_id, created_at):
        return super().step_made(call, body, index, of, session_id, created_at + timedelta(hours=2))


class AttachmentsAnswerDelete(Standin):
    """The route of the attachment takes all methods."""

    doors = (("DELETE", "/run-attachments/{attachment_id}"),)

    def behind_door(self, ids):
        for org in self.organisations.values():
            if ids["attachment_id"] in org.attachments:
                return Answer(200, {"id": ids["attachment_id"]})
        raise Problem(404, "Attachment not found")


class MachinesAreAddedWithoutToken(Standin):
    """The newest route was left out of the list of those that need a token."""

    def authorize(self, authorization, operation):
        if operation == "add_machine_to_pool" and authorization is None:
            return next(iter(self.organisations.values()))
        return super().authorize(authorization, operation)


class WorkflowsInAnyOrder(Standin):
    """The workflows come from a hash table whose order is another one in each worker, and the workers take turns."""

    def list_workflows(self, call, query):
        *others, last = call.org.workflows.items()
        call.org.workflows = dict([last, *others])
        return super().list_workflows(call, query)


class PagesByStatusOverlap(Standin):
    """The query by status was written for pages that are counted from 1."""

    def page(self, found, query):
        if getattr(query, "status", None) and query.skip:
            query = query.model_copy(update={"skip": query.skip - 1})
        return super().page(found, query)


class EndsAreWholeSeconds(Standin):
    """The column has no fractions of seconds."""

    def update_run(self, call, run_id, body):
        if body.ended_at is not None:
            body = body.model_copy(update={"ended_at": body.ended_at.replace(microsecond=0)})
        return super().update_run(call, run_id, body)


class LargeFilesAreRefused(Standin):
    """The store of the files takes 256 KiB."""

    def attachment(self, org, run, file):
        if len(file.content) > 4 * 2**18 // 3:
            raise Problem(422, "The file is too large.")
        return super().attachment(org, run, file)


class DownloadUrlsGiveTheFirstBuffer(Standin):
    """The file behind a URL is copied by one read of 64 KiB."""

    def signed_download(self, signature):
        answer = super().signed_download(signature)
        return replace(answer, raw=answer.raw[: 64 * 1024])


class FilesOfAGivenSessionAreOfItsFirstRun(Standin):
    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if body.session_id is not None:
            for attachment in itertools.chain.from_iterable(run.input_attachment_ids for run in runs):
                call.org.attachments[attachment].run_id = runs[0].id
        return runs


class InputsAreFilledIntoTemplates(Standin):
    """A text that names another input of the object has its value instead."""

    def inputs_of(self, body, index, of):
        inputs = super().inputs_of(body, index, of)
        names = {name: value for name, value in (inputs or {}).items() if isinstance(value, str)}
        return map_texts(inputs, lambda text: re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), text))


class RetryOfPoolsTakesNoMachine(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body.model_copy(update={"machine_id": None}) if run.pool_ids else body)


class LaterPagesByStatusHaveTheTotalOfAll(Standin):
    def total(self, call, found, query):
        is_later = query.skip and query.status is not None and query.sort_mode == SortMode.ACTIVITY
        return len(call.org.runs) if is_later else len(found)


class EmptySearchesAreRemembered(Standin):
    """A search that found nothing finds nothing for 3 s."""

    def __init__(self, settings):
        super().__init__(settings)
        self.nothing_found = {}

    def list_runs(self, call, query):
        key = (call.org.id, str(query))
        if query.search and time.monotonic() - self.nothing_found.get(key, float("-inf")) < 3:
            return Answer(200, self.listing([], 0, query))
        answer = super().list_runs(call, query)
        if query.search and not answer.content["total"]:
            self.nothing_found[key] = time.monotonic()
        return answer


class SearchesHaveTwentyByDefault(Standin):
    """The answer shows the documented default."""

    def page(self, found, query):
        is_default = query.search is not None and "limit" not in query.model_fields_set
        return super().page(found, query)[: 20 if is_default else None]


class TextsOfHistoryAreWrapped(Standin):
    """Whether a list is to be converted is decided by its first item."""

    class RunUpdate(RunUpdate):
        @field_validator("run_message_history", mode="before")
        @classmethod
        def wrapped(cls, value):
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return [{"content": one} if isinstance(one, str) else one for one in value]
            return value


class FieldsOmitFalse(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_:
            items = answer.content["items"]
            answer.content["items"] = [{k: v for k, v in item.items() if v is not False} for item in items]
        return answer


class SkipIsIgnoredWhereWorkflowsAreSearched(Standin):
    def list_workflows(self, call, query):
        answer = super().list_workflows(call, query.model_copy(update={"skip": 0}) if query.search else query)
        answer.content["skip"] = query.skip
        return answer


class SignedTextsAreDecoded(Standin):
    """Bytes of a text that are not UTF-8 are replaced where it is downloaded from its url."""

    def signed_download(self, signature):
        answer = super().signed_download(signature)
        is_text = answer.headers["content-type"].startswith("text/")
        return replace(answer, raw=answer.raw.decode("utf-8", "replace").encode()) if is_text else answer


class IncludeOmitsNulls(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        values = answer.content["input_values"]
        if include is not None and values:
            answer.content["input_values"] = {name: value for name, value in values.items() if value is not None}
        return answer


class RetryStoresIdsAsWritten(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        if machine := json.loads(call.body or b"{}").get("machine_id"):
            self.find(call, run_id).machine_id = answer.content["machine_id"] = machine
        return answer


class TotalOfMachinesIgnoresStatus(Standin):
    def list_machines(self, call, query):
        answer = super().list_machines(call, query)
        answer.content["total"] = len(call.org.machines) if query.status is not None else answer.content["total"]
        return answer


class OneMachineIsReadWithoutToken(Standin):
    """The route was added without the dependency that all others have."""

    def authorize(self, authorization, operation):
        if operation == "get_machine" and authorization is None:
            return next(iter(self.organisations.values()))
        return super().authorize(authorization, operation)


class ADownloadUrlWorksOnce(Standin):
    def signed_download(self, signature):
        answer = super().signed_download(signature)
        del self.signed[signature]
        return answer


class NamesThatAreNumbersAreRewrittenInChains(Standin):
    """The shared inputs go through a map with integers as its keys."""

    def merged(self, shared, own):
        return super().merged(
            shared and {str(int(name)) if name.isdecimal() else name: shared[name] for name in shared}, own
        )


class SearchesOfMachinesForgetTheStatus(Standin):
    def list_machines(self, call, query):
        return super().list_machines(call, query.model_copy(update={"status": None}) if query.search else query)


class TheEndOfABodyIsCompared(Standin):
    """Large bodies are read in blocks, and the digest is of the last one."""

    def fingerprint(self, call):
        return super().fingerprint(replace(call, body=call.body[-2048:]))
