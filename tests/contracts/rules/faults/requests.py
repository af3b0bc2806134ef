"""Faults of creates, keys, headers and errors, and between organisations."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
import uuid
from dataclasses import replace
from typing import Any

from tests.standin.behaviour import SECRETS, Answer, Problem, Standin
from tests.standin.models import Status
from tests.standin.store import TERMINAL
from tests.standin.variations import AnswersCompressed, AnswersHaveEtags, RangesServed, UnknownMachineRefused


class LastOfFullChunkLost(Standin):
    """Runs are made in chunks of 256. If the last chunk is full, its last run is not made."""

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if len(runs) % 256 == 0:
            call.org.runs.pop(runs.pop().id)
        return runs


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


class SharedFilesOnFirstStep(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        shared = body if index == 0 else body.model_copy(update={"shared_file_inputs": None})
        return super().step_made(call, shared, index, of, session_id, created_at)


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


class LongKeysIgnored(Standin):
    async def once(self, call, handle):
        return await super().once(replace(call, key=None if len(call.key or "") > 512 else call.key), handle)


class KeysComparedUpTo512Characters(Standin):
    async def once(self, call, handle):
        return await super().once(replace(call, key=call.key and call.key[:512]), handle)


class HealthNeedsAToken(Standin):
    def health_check(self):
        return Answer(401, {"detail": "Log in first."})


class NamesInAnyCase(Standin):
    def parse(self, raw):
        value = super().parse(raw)
        return {name.lower(): inner for name, inner in value.items()} if isinstance(value, dict) else value


class MachineIdsMayGoOn(UnknownMachineRefused):
    """Whatever follows the id of a machine is ignored."""

    def parse(self, raw):
        value = super().parse(raw)
        if isinstance(value, dict) and isinstance(machine := value.get("machine_id"), str) and len(machine) > 36:
            value = value | {"machine_id": machine[:36]}
        return value


class FirstPartOfARefusedCreateStays(UnknownMachineRefused):
    """References are looked up after the first 100 runs are made."""

    def bulk_create_runs(self, call, body):
        try:
            return super().bulk_create_runs(call, body)
        except Problem:
            if body.count > 100:
                self.bulk_made(call, body.model_copy(update={"count": 100, "machine_id": None}))
            raise


class FilesAreDecodedAfterTheRunsAreCreated(Standin):
    def bulk_create_runs(self, call, body):
        try:
            for file in body.file_inputs or ():
                base64.b64decode(file.content, validate=True)
        except ValueError as error:
            self.bulk_made(call, body.model_copy(update={"file_inputs": None}))
            raise Problem(422, "A file is not base64.") from error
        return super().bulk_create_runs(call, body)


class MachineOfTheFirstFifty(Standin):
    """Where the runs are in no session, which would override it anyway."""

    def machine_of(self, org, body, index, of):
        in_session = body.session_id is not None or body.start_session
        return super().machine_of(org, body, index, of) if index < 50 or in_session else None


class ListsByMachineAndStatusShowAll(Standin):
    def list_runs(self, call, query):
        if query.machine_id is None or query.status is None:
            return super().list_runs(call, query)
        return super().list_runs(replace(call, org=replace(call.org, runs=self.all_runs())), query)

    def all_runs(self):
        return {run_id: run for org in self.organisations.values() for run_id, run in org.runs.items()}


class BackslashesAreUnescaped(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return json.loads(json.dumps(values).replace("\\\\\\\\", "\\\\"))


class StepsHaveTheLastWorkflow(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        run.workflow_id = str(body.steps[-1].workflow_id)
        return run


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


class BareRunOfARefusedChain(Standin):
    """Starts the first step of a chain, without its inputs, before it finds that a later step has no workflow."""

    def create_run_chain(self, call, body):
        try:
            return super().create_run_chain(call, body)
        except Problem:
            first = body.model_copy(update={"steps": body.steps[:1], "shared_inputs": None, "shared_file_inputs": None})
            first.steps[0].inputs = None
            super().create_run_chain(call, first)
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


class FilesOfRefusedCreatesStay(Standin):
    """They stay in the store, where they belong to some run."""

    def create_run(self, call, body):
        try:
            return super().create_run(call, body)
        except Problem:
            self.attach(call.org, next(iter(call.org.runs.values())), body.file_inputs or [])
            raise


class KeysOfTheLastFiftyWrites(Standin):
    kept = 50

    async def once(self, call, handle):
        keys = self.keys_of(call)
        while len(keys) > self.kept:
            del keys[next(iter(keys))]
        return await super().once(call, handle)


class SecondOrganisationFindsNothing(Standin):
    def list_runs(self, call, query):
        if query.search and call.org is not next(iter(self.organisations.values())):
            query = query.model_copy(update={"search": "nothing has this"})
        return super().list_runs(call, query)


class ChunksAreSeenBeforeTheEnd(Standin):
    """A bulk create can be listed a chunk at a time while it is under way. Lists take a while, so they meet it."""

    async def once(self, call, handle):
        if call.operation == "list_runs":
            await asyncio.sleep(0.1)
        if call.operation != "bulk_create_runs":
            return await super().once(call, handle)
        answer = await handle()
        made = [run["id"] for run in json.loads(answer.body()).get("created_runs", ())]
        hidden = {one: call.org.runs.pop(one) for one in made[256:]}
        if hidden:
            await asyncio.sleep(0.5)
            call.org.runs.update(hidden)
        return answer


class SessionsOfAllInOneTable(Standin):
    """The id of a session that another organisation uses makes a create fail."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.owners = {}

    def run_made(self, call, create, *args):
        run = super().run_made(call, create, *args)
        if run.session_id and self.owners.setdefault(run.session_id, call.org.id) != call.org.id:
            raise RuntimeError("UNIQUE constraint failed: sessions.id")
        return run


class RetryWritesTheWholeRun(Standin):
    """It writes all fields of the run, as they were when the retry arrived."""

    async def once(self, call, handle):
        if call.operation == "retry_run":
            run = call.org.runs.get(call.path.split("/")[3])
            self.old = {**getattr(self, "old", {}), id(call): run and run.input_values}
            await asyncio.sleep(0.005)
        return await super().once(call, handle)

    def retry_run(self, call, run_id, body):
        old = self.old.pop(id(call))
        if body.input_values is None:
            self.find(call, run_id).input_values = old
        return super().retry_run(call, run_id, body)


class RetryBringsADeletedRunBack(Standin):
    async def once(self, call, handle):
        if call.operation == "retry_run":
            run = call.org.runs.get(call.path.split("/")[3])
            await asyncio.sleep(0.005)
            if run is not None:
                call.org.runs[run.id] = run
        return await super().once(call, handle)


class ListsByStatusAreCachedForAll(Standin):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.cache = {}

    def list_runs(self, call, query):
        if query.status is None:
            return super().list_runs(call, query)
        known = self.cache.setdefault(call.path + str(query), (self.settings.clock(), super().list_runs(call, query)))
        if self.settings.clock() - known[0] > 1.5:
            known = self.cache[call.path + str(query)] = self.settings.clock(), super().list_runs(call, query)
        return known[1]


class LongChainsFail(Standin):
    def create_run_chain(self, call, body):
        if len(body.steps) > 500:
            raise RuntimeError("too many SQL variables")
        return super().create_run_chain(call, body)


class ManyFilesInOneCreateFail(Standin):
    def bulk_made(self, call, body):
        if body.count * len(body.file_inputs or ()) > 5_000:
            raise RuntimeError("too many SQL variables")
        return super().bulk_made(call, body)


class KeyOfAnUnknownRunIsStuck(Standin):
    async def once(self, call, handle):
        answer = await super().once(call, handle)
        if answer.status == 404 and call.key in call.org.keys:
            call.org.keys[call.key].answer = None
        return answer


class SessionsOfTheSameMoment(Standin):
    """Creates that arrive while another one is handled get the session of that one."""

    async def once(self, call, handle):
        if call.operation != "bulk_create_runs":
            return await super().once(call, handle)
        self.handled = getattr(self, "handled", 0) + 1
        if self.handled == 1:
            self.session = str(uuid.uuid4())
        try:
            await asyncio.sleep(0.01)
            return await super().once(call, handle)
        finally:
            self.handled -= 1

    def bulk_session(self, body):
        return self.session if body.start_session and body.session_id is None else super().bulk_session(body)


class LongSearchesFail(Standin):
    def has_text(self, run, query):
        if len(query.search) > 4000:
            raise RuntimeError("the pattern is too long")
        return super().has_text(run, query)


class ChainsOfAMomentShareIds(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        self.step = uuid.uuid5(uuid.NAMESPACE_URL, f"{call.org.id} {int(self.settings.clock() * 20)} {index}")
        return super().step_made(call, body, index, of, session_id, created_at)

    def new_id(self, org, index, of):
        step, self.step = getattr(self, "step", None), None
        return super().new_id(org, index, of) if step is None else str(step)


class CancelBesideAnUpdateIsLost(Standin):
    """A cancel is lost if another update of the run is handled at the same moment: that one writes the old status."""

    async def once(self, call, handle):
        run = call.org.runs.get(call.path.rpartition("/")[2])
        if call.operation != "update_run" or run is None:
            return await super().once(call, handle)
        handled = self.__dict__.setdefault("handled", {})
        handled[run.id] = handled.get(run.id, 0) + 1
        try:
            await asyncio.sleep(0.015)
            before = run.status
            answer = await super().once(call, handle)
            if handled[run.id] > 1 and before == Status.SCHEDULING and run.status == Status.CANCELLED:
                run.status, run.ended_at = before, None
                self.lifecycle.schedule(call.org, run, self.now(call.org))
            return answer
        finally:
            handled[run.id] -= 1


class KeysOfRefusedWritesAreTakenForAll(Standin):
    async def once(self, call, handle):
        taken = self.__dict__.setdefault("taken", {})
        if call.key and taken.get(call.key, call.org) is not call.org:
            raise self.key_conflict()
        answer = await super().once(call, handle)
        if call.key and answer.status == 422:
            taken[call.key] = call.org
        return answer


class SharedInputsWin(Standin):
    def merged(self, shared, own):
        return super().merged(own, shared)


class ObjectsOfAChainAreMerged(Standin):
    """An object of a step gains the members of the shared one of its name."""

    def merged(self, shared, own):
        found = super().merged(shared, own)
        for name in (shared or {}).keys() & (own or {}).keys():
            if isinstance(shared[name], dict) and isinstance(own[name], dict):
                found[name] = shared[name] | own[name]
        return found


class OneReadIsUnauthorized(Standin):
    """The service that knows the tokens does not answer once."""

    reads = 0

    async def admit(self, call):
        if call.operation == "get_run":
            self.reads += 1
            if self.reads == 50:
                raise self.unauthorized("The token is not valid.")
        await super().admit(call)


class OneReadIsOfAnotherRun(Standin):
    reads = 0

    def get_run(self, call, run_id, query):
        others = [one for one in call.org.runs if one != run_id]
        if others and run_id in call.org.runs:
            self.reads += 1
            run_id = others[0] if self.reads == 50 else run_id
        return super().get_run(call, run_id, query)
