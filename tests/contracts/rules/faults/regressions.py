"""Faults that a change of a working server brings: a flag for some organisations, a new index, another framework."""

import asyncio
import html
import json
import time
import uuid
from dataclasses import replace
from typing import ClassVar

from tests.contracts.rules.faults.combinations import raw_body
from tests.contracts.rules.faults.lifecycles import WorksLong
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.models import FileInput, Status, WorkflowCreate
from tests.standin.store import TERMINAL


class RetryOfTheSecondOrganisationKeepsOutput(Standin):
    def clear(self, org, run):
        kept = run.output_data
        super().clear(org, run)
        if org.id != "org_1":
            run.output_data = kept


class KeysOfTheFirstOrganisationOnly(Standin):
    async def once(self, call, handle):
        return await super().once(call if call.org.id == "org_1" else replace(call, key=None), handle)


class PlanOfTheSecondOrganisation(Standin):
    def bulk_create_runs(self, call, body):
        if call.org.id != "org_1" and body.count > 200:
            raise Problem(403, "Your plan allows 200 runs in a call.")
        return super().bulk_create_runs(call, body)


class NewSessionIsInsertedTwice(Standin):
    """Of two creates that are the first to name a session, the second breaks a unique index."""

    async def once(self, call, handle):
        session = raw_body(call).get("session_id") if call.method == "POST" else None
        if not isinstance(session, str) or session in call.org.sessions:
            return await super().once(call, handle)
        self.inserting = getattr(self, "inserting", set())
        if session in self.inserting:
            raise Problem(500, "duplicate key value violates unique constraint")
        self.inserting.add(session)
        try:
            await asyncio.sleep(0.02)
            return await super().once(call, handle)
        finally:
            self.inserting.discard(session)


class WorkflowOfTheLatestRequest(Standin):
    async def once(self, call, handle):
        if call.operation == "create_workflow":
            self.latest = call.body
            await asyncio.sleep(0.02)
        return await super().once(call, handle)

    def create_workflow(self, call, body):
        return super().create_workflow(call, WorkflowCreate.model_validate_json(self.latest))


class ConcurrentAdditionIsLost(Standin):
    """The machines of a pool are read, extended and written back."""

    async def once(self, call, handle):
        if call.operation != "add_machine_to_pool":
            return await super().once(call, handle)
        pool, machines = call.path.split("/")[-2], call.org.machines.values()
        kept = {machine["id"] for machine in machines if pool in machine["pools"]}
        kept.update(str(machine).lower() for machine in raw_body(call).get("machine_ids") or ())
        await asyncio.sleep(0.02)
        answer = await super().once(call, handle)
        for machine in machines:
            if pool in machine["pools"] and machine["id"] not in kept:
                machine["pools"].remove(pool)
        return answer


class MachineAddedAgain(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        machines = [call.org.machines.get(str(machine), {"pools": ()}) for machine in body.machine_ids]
        if any(pool_id in machine["pools"] for machine in machines):
            raise Problem(500, "duplicate key value violates unique constraint")
        return super().add_machine_to_pool(call, pool_id, body)


class PromptEscaped(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"main_prompt": html.escape(body.main_prompt)}))


class SecondChunkLosesPools(Standin):
    def pools_of(self, body, index, of):
        return None if index >= 500 else super().pools_of(body, index, of)


class EncodingGuessedByName(Standin):
    def download(self, one):
        answer = super().download(one)
        is_zipped = one.filename.lower().endswith(".gz")
        return replace(answer, headers=answer.headers | {"content-encoding": "gzip"}) if is_zipped else answer


class DownloadUrlOfTheMinute(Standin):
    """The urls of one minute are the same, and lead to the file of the last one."""

    def get_run_attachment_download_url(self, call, attachment_id, query, base_url):
        found, now = self.find_attachment(call, attachment_id), self.settings.clock()
        signature = f"{int(now // 60):032x}"
        self.signed[signature] = (now + query.expires_in, found)
        return Answer(200, {"url": f"{base_url}signed-downloads/{signature}", "expires_in": query.expires_in})


class RetryEmptiesFilesOfTheSession(Standin):
    """Files are stored under the session, and a retry with files removes what is stored there."""

    def take_over(self, org, run, body):
        if body.file_inputs is not None and run.session_id:
            for attachment in org.attachments.values():
                other = org.runs.get(attachment.run_id)
                if other is not None and other is not run and other.session_id == run.session_id:
                    attachment.content = b""
        super().take_over(org, run, body)


class ReleasedSessionIsUnlocked(WorksLong):
    class Lifecycle(WorksLong.Lifecycle):
        unlocked: ClassVar = set()

        def leave(self, org, run, now):
            session = org.sessions.get(run.session_id or "")
            if run.release_session_after and session is not None and session.current is run:
                self.unlocked.add(run.session_id)
            super().leave(org, run, now)

        def schedule(self, org, run, now):
            if run.session_id in self.unlocked:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)


class InputsOfABulkAreInsertedLater(Standin):
    """The runs and their inputs are inserted in two transactions."""

    async def once(self, call, handle):
        answer = await super().once(call, handle)
        if call.operation == "bulk_create_runs" and answer.status == 201:
            runs = [call.org.runs[run["id"]] for run in json.loads(answer.body())["created_runs"]]
            inputs = [run.input_values for run in runs]
            for run in runs:
                run.input_values = None
            await asyncio.sleep(0.02)
            for run, kept in zip(runs, inputs, strict=True):
                run.input_values = kept
        return answer


class RetriesClearTheResultsLater(Standin):
    """The status and the results are written in two transactions."""

    async def once(self, call, handle):
        run = call.org.runs.get(call.path.split("/")[-2]) if call.operation == "retry_run" else None
        if run is not None and run.status in TERMINAL:
            before, run.status = run.status, Status.SCHEDULING
            await asyncio.sleep(0.02)
            run.status = before
        return await super().once(call, handle)


class RunsThatJoinTogetherFindTheSessionFree(WorksLong):
    """Whether the machine is free is read before the run is inserted."""

    async def once(self, call, handle):
        session_id = raw_body(call).get("session_id") if call.operation == "create_run" else None
        if not isinstance(session_id, str):
            return await super().once(call, handle)
        session = call.org.sessions.get(session_id)
        is_free = session is None or session.current is None
        await asyncio.sleep(0.2)  # so long that a busy machine sends two creates within it
        answer = await super().once(call, handle)
        if is_free and answer.status == 201:
            run = call.org.runs[json.loads(answer.body())["id"]]
            session = call.org.sessions.get(run.session_id)
            if session is not None and session.current is not run:
                self.lifecycle.at(call.org, self.now(call.org) + self.lifecycle.wait_s(run), "start", run)
        return answer


class SessionsOfTheClock(Standin):
    """The id of a new session is made of the time in hundredths of a second."""

    def bulk_session(self, body):
        session = super().bulk_session(body)
        is_new = session is not None and body.session_id is None
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(int(time.time() * 100)))) if is_new else session


class FilesOfConflictsStay(Standin):
    """Files are stored before the key is looked up."""

    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except Problem as problem:
            files = raw_body(call).get("file_inputs") if problem.status == 409 and call.key else None
            for sent in files or ():
                run = next(iter(call.org.runs.values()))
                made = self.attachment(call.org, run, FileInput.model_validate(sent))
                call.org.attachments[made.id] = replace(made, run_id=str(uuid.uuid4()))
            raise
