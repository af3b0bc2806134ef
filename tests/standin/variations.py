"""What a lawful server may do otherwise: nothing here breaks a rule, so a check that reports any of it is wrong.

Each overrides one small part of the healthy behaviour, as defects do, and any of them may be combined.
"""

import base64
import binascii
import gzip
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.models import Status
from tests.standin.store import TERMINAL, Lifecycle, moment


@dataclass(frozen=True)
class Variation:
    id: str
    what: str
    kind: type


VARIATIONS: dict[str, Variation] = {}


def varies(what: str) -> Callable[[type], type]:
    """Registers a class that overrides parts of Standin; its name in snake case is the variation's id."""

    def register(kind: type) -> type:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", "_", kind.__name__).lower()
        VARIATIONS[name] = Variation(name, what, kind)
        return kind

    return register


def is_bulk(path: str) -> bool:
    return path == "/v1/runs/bulk"


# -- what a run has that nobody asked for


@varies("A machine is picked where none was asked for, out of all the pools named.")
class PickedMachine(Standin):
    def machine_of(self, org, body, index, of):
        asked = super().machine_of(org, body, index, of)
        pools = {str(pool_id) for pool_id in body.pool_ids or ()}
        fitting = [machine["id"] for machine in org.machines.values() if pools <= set(machine["pools"])]
        return asked or (fitting[index % len(fitting)] if fitting else None)

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.pool_ids is not None and body.machine_id is None:
            run.machine_id = self.machine_of(org, body, 0, 1)


@varies("pool_ids are null where a machine is given, since they are ignored then.")
class NullPoolsWithMachine(Standin):
    def pools_of(self, body, index, of):
        return None if body.machine_id is not None else super().pools_of(body, index, of)


@varies("machine_id and pool_ids are null where a session is joined, since it overrides them.")
class NullMachineInSession(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if getattr(body, "session_id", None) is not None:
            run.machine_id = run.pool_ids = None
        return run


@varies("A session's machine stands on each run that joins it.")
class SessionHasItsOwnMachine(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if getattr(body, "session_id", None) is not None:
            run.machine_id = str(uuid.uuid5(uuid.NAMESPACE_OID, run.session_id))
        return run


@varies("session_id and start_session together start a new session.")
class BothStartNewSession(Standin):
    def bulk_session(self, body):
        return str(uuid.uuid4()) if body.session_id is not None and body.start_session else super().bulk_session(body)


@varies("input_values gain a key of the machine's or the pools' own where one is named.")
class InputValuesGainKeys(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        named = body.machine_id is not None or body.pool_ids
        return {"desk_folder": "C:/work", **(values or {})} if named else values


@varies("Where a run has nothing to tell, lists and objects are empty, not null.")
class EmptyForNull(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        for name in ("error", "output_attachment_ids", "run_message_history", "pool_ids"):
            shown[name] = [] if shown[name] is None else shown[name]
        for name in ("output_data", "input_values", "sensitive_input_aliases", "usage_metadata"):
            shown[name] = {} if shown[name] is None else shown[name]
        return shown


@varies("Where a list or an object is empty, null stands.")
class NullForEmpty(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return {name: None if value in ([], {}) else value for name, value in shown.items()}


@varies("Answers have properties that nobody documented. Some change with every answer.")
class ExtraProperties(Standin):
    def extra(self):
        return {"region": "eu-2", "labels": {"tier": None}, "fetched": str(uuid.uuid4())}

    def show(self, run, where, index=0, of=1):
        return super().show(run, where, index, of) | self.extra()

    def attachment_shown(self, one):
        return super().attachment_shown(one) | self.extra()

    def machine_shown(self, org, machine):
        return super().machine_shown(org, machine) | self.extra()

    def pool_shown(self, org, pool):
        return super().pool_shown(org, pool) | self.extra()

    def workflow_shown(self, workflow):
        return super().workflow_shown(workflow) | self.extra()

    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs, body) | {"request_id": "r-1"}

    def listing(self, items, total, query):
        return super().listing(items, total, query) | {"next": None}

    def refused(self, status, detail, headers, path):
        return Answer(status, {"detail": detail, "request_id": "r-1"}, headers)


@varies("A newer server: its runs have more fields.")
class NewerServer(Standin):
    def show(self, run, where, index=0, of=1):
        return super().show(run, where, index, of) | {
            "is_priority": False,
            "main_prompt": None,
            "model_metadata": None,
            "post_run_checks": [],
        }


@varies("An older server: started_at, ended_at and usage_metadata are not there.")
class OlderServer(Standin):
    def show(self, run, where, index=0, of=1):
        newer = ("started_at", "ended_at", "usage_metadata")
        return {name: value for name, value in super().show(run, where, index, of).items() if name not in newer}


@varies("An older release: started_at, ended_at and usage_metadata are not there, and are ignored in requests.")
class OlderRelease(OlderServer):
    class RunUpdate(BaseModel):
        status: models.Status | None = None
        error: list[str] | None = None
        output_data: dict[str, Any] | None = None
        output_attachment_ids: list[str] | None = None
        run_message_history: list[dict[str, Any]] | None = None
        input_values: dict[str, Any] | None = None
        release_session_after: bool | None = None

    def fingerprint(self, call):
        """Two bodies are one if they differ only in what is ignored."""
        try:
            body = json.loads(call.body)
        except ValueError:
            return super().fingerprint(call)
        if call.operation == "update_run" and isinstance(body, dict):
            body = {name: value for name, value in body.items() if name in self.RunUpdate.model_fields}
        return super().fingerprint(replace(call, body=json.dumps(body).encode()))


class OlderStatus(StrEnum):
    SCHEDULING = "scheduling"
    RUNNING = "running"
    SUCCESS = "success"
    TASK_FAILED = "task_failed"
    ERROR = "error"
    CANCELLED = "cancelled"


@varies("An older release: running_checks is not a status, in lists and in updates.")
class NoRunningChecks(Standin):
    class RunQuery(models.RunQuery):
        status: OlderStatus | None = None

    class RunUpdate(models.RunUpdate):
        status: OlderStatus | None = None


# -- time


@varies("Runs never move on by themselves.")
class RunsNeverMove(Standin):
    class Lifecycle(Lifecycle):
        def at(self, org, when, what, run):
            pass


@varies("Runs have ended when they are first read.")
class RunsEndAtOnce(Standin):
    class Lifecycle(Lifecycle):
        def wait_s(self, run):
            return 0.0

        def work_s(self, run):
            return 0.0


@varies("A run is in running_checks before it ends.")
class RunningChecks(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            if run.status == Status.RUNNING:
                run.status = Status.RUNNING_CHECKS
                self.at(org, when + 0.1, "finish", run)
            else:
                super().finish(org, run, when)


@varies("A person or the server cancels some runs, before they start or while they are running.")
class OthersCancel(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            if run.status == Status.SCHEDULING and self.lot(run, "cancel") < 150:
                self.cancel(org, run, when)
            else:
                super().start(org, run, when)

        def finish(self, org, run, when):
            if run.status == Status.RUNNING and 150 <= self.lot(run, "cancel") < 300:
                self.cancel(org, run, when)
            else:
                super().finish(org, run, when)

        def cancel(self, org, run, when):
            run.status, run.ended_at = Status.CANCELLED, moment(when)
            run.epoch += 1
            self.leave(org, run, when)


@varies("No two runs have one created_at.")
class DistinctCreatedAt(Standin):
    def created_at(self, org):
        made = super().created_at(org) + timedelta(microseconds=1)
        last = getattr(self, "last", made)
        self.last = max(made, last + timedelta(microseconds=1))
        return self.last


@varies("The ids of a run's files are not in their order, nor the runs of a bulk create.")
class AnyOrder(DistinctCreatedAt):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, files, index, of)[::-1]

    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs[::-1], body)


@varies("The ids of runs are consecutive numbers in the form of a UUID, the newest first.")
class ConsecutiveIds(Standin):
    def new_id(self, org, index, of):
        self.last_id = getattr(self, "last_id", 0xFFFFFFFF) - 1
        return str(uuid.UUID(int=(0x35779D96 << 96) | (8 << 76) | (2 << 62) | self.last_id))


@varies("created_at has milliseconds, and an offset for the Z; many runs share one.")
class CoarseCreatedAt(Standin):
    def created_at(self, org):
        made = super().created_at(org)
        return made.replace(microsecond=made.microsecond // 1000 * 1000)

    def written(self, at):
        return None if at is None else at.isoformat(timespec="milliseconds")


@varies("Moments have nanoseconds, without the zeros at their end.")
class Nanoseconds(Standin):
    def written(self, at):
        if at is None:
            return None
        return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}{at.microsecond % 10}00".rstrip("0").rstrip(".") + "Z"


@varies("The runs of one bulk have one created_at and are listed in no order that shows.")
class TiesInAnyOrder(Standin):
    def bulk_made(self, call, body):
        at = self.created_at(call.org)
        runs = super().bulk_made(call, body)
        for run in runs:
            run.created_at = at
        return runs

    def newest_first(self, run):
        return (-run.created_at.timestamp(), run.id)


# -- statuses of refusals


@varies("A refused authorization is 403.")
class UnauthorizedIs403(Standin):
    def unauthorized(self, detail):
        return Problem(403, detail)


@varies("A missing Authorization is 403, a bad one 401.")
class MissingAuthorizationIs403(Standin):
    def authorize(self, authorization, operation):
        if authorization is None:
            raise Problem(403, "Not authenticated")
        return super().authorize(authorization, operation)


@varies("A body that is not JSON is 400.")
class BadJsonIs400(Standin):
    def violations(self, errors, call):
        if any(error["type"] == "json_invalid" for error in errors):
            raise Problem(400, "The body is not JSON.")
        return super().violations(errors, call)


@varies("A body that is not UTF-8 is 422.")
class UndecodableIs422(Standin):
    def parse(self, body):
        try:
            return super().parse(body)
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("no UTF-8", "", 0) from error


@varies("A used idempotency key with another body is 422.")
class KeyConflictIs422(Standin):
    def key_conflict(self):
        return Problem(422, "The idempotency key was used for another request.")


@varies("A retry of a run that has not ended is 422.")
class RetryConflictIs422(Standin):
    def retry_run(self, call, run_id, body):
        if not self.may_retry(self.find(call, run_id)):
            raise Problem(422, "Only a run that has ended can be retried.")
        return super().retry_run(call, run_id, body)


@varies("A malformed id is 404.")
class MalformedIdIs404(Standin):
    def violations(self, errors, call):
        if any(error["loc"][0] == "path" for error in errors):
            raise self.unknown("This")
        return super().violations(errors, call)


@varies("GET on the bulk path is 404.")
class BulkPathReadIs404(Standin):
    def refused(self, status, detail, headers, path):
        if status == 422 and is_bulk(path) and isinstance(detail, list) and detail[0]["loc"][0] == "path":
            return super().refused(404, "Not Found", headers, path)
        return super().refused(status, detail, headers, path)


@varies("GET on the bulk path is 405.")
class BulkPathReadIs405(Standin):
    def refused(self, status, detail, headers, path):
        if status == 422 and is_bulk(path) and isinstance(detail, list) and detail[0]["loc"][0] == "path":
            return super().refused(405, "Method Not Allowed", headers, path)
        return super().refused(status, detail, headers, path)


@varies("405 comes without Allow.")
class NoAllow(Standin):
    def refused(self, status, detail, headers, path):
        kept = {name: value for name, value in headers.items() if name.lower() != "allow"}
        return super().refused(status, detail, kept, path)


@varies("HEAD and OPTIONS are answered.")
class HeadAndOptionsAnswered(Standin):
    doors = tuple(
        (method, path)
        for method in ("HEAD", "OPTIONS")
        for path in ("/runs", "/runs/bulk", "/runs/{run_id}", "/machines", "/health")
    )


@varies("All messages are in other words.")
class OtherWording(Standin):
    def refused(self, status, detail, headers, path):
        if isinstance(detail, str):
            detail = "Das geht so nicht."
        else:
            detail = [{**error, "msg": "Dieser Wert geht nicht."} for error in detail]
        return super().refused(status, detail, headers, path)


@varies("fields is ignored: each item of a list has all fields.")
class FieldsIgnored(Standin):
    def kept_fields(self, query):
        return {*super().kept_fields(query), *map(str, models.RunField)}


@varies("A 422 has neither input nor ctx.")
class NoInputInErrors(Standin):
    def violation(self, error, call):
        shown = super().violation(error, call)
        return {name: shown[name] for name in ("loc", "msg", "type")}


@varies("The content type of JSON names its charset.")
class CharsetNamed(Standin):
    def bulk_create_runs(self, call, body):
        answer = super().bulk_create_runs(call, body)
        return Answer(answer.status, answer.content, {"content-type": "application/json; charset=utf-8"})

    def refused(self, status, detail, headers, path):
        return super().refused(status, detail, headers | {"content-type": "application/json; charset=utf-8"}, path)


# -- what HTTP allows


@varies("Answers are compressed for those who accept gzip.")
class AnswersCompressed(Standin):
    def delivered(self, answer, headers):
        answer = super().delivered(answer, headers)
        body = answer.body()
        if "gzip" not in headers.get("accept-encoding", "") or len(body) < 200 or answer.status == 206:
            return answer
        coding = {"content-encoding": "gzip", "vary": "accept-encoding"}
        kept = {name: value for name, value in (answer.headers or {}).items() if name != "content-length"}
        return Answer(answer.status, headers=kept | coding, raw=gzip.compress(body))


@varies("Successes have an ETag, and a client that has the answer already gets a 304.")
class AnswersHaveEtags(Standin):
    def delivered(self, answer, headers):
        answer = super().delivered(answer, headers)
        if answer.status != 200:
            return answer
        etag = f'"{self.version_of(answer.body())}"'
        if headers.get("if-none-match") == etag:
            return Answer(304, headers={"etag": etag}, raw=b"")
        return replace(answer, headers=(answer.headers or {}) | {"etag": etag})

    def version_of(self, body):
        return hashlib.sha256(body).hexdigest()


@varies("Parts of a body can be read.")
class RangesServed(Standin):
    def delivered(self, answer, headers):
        answer = super().delivered(answer, headers)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if answer.status != 200 or asked is None:
            return answer
        part = slice(int(asked[1]), self.end_of(int(asked[2])))
        kept = {name: value for name, value in (answer.headers or {}).items() if name != "content-length"}
        place = {"content-range": f"bytes {asked[1]}-{asked[2]}/{len(answer.body())}"}
        return Answer(206, headers=kept | place, raw=answer.body()[part])

    def end_of(self, last):
        return last + 1


# -- what is accepted


@varies("Scalars are read strictly: no numbers in text, no UUIDs but in lower case with dashes.")
class StrictScalars(Standin):
    RunBulkCreate = models.strictly(models.RunBulkCreate)
    RunCreate = models.strictly(models.RunCreate)
    RunUpdate = models.strictly(models.RunUpdate)
    RunRetry = models.strictly(models.RunRetry)
    ChainCreate = models.strictly(models.ChainCreate)


@varies("Properties of a request that are not known are refused. is_priority is known.")
class UnknownPropertiesRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate, extra="forbid"):
        is_priority: bool = False

    class RunCreate(models.RunCreate, extra="forbid"):
        is_priority: bool = False

    class RunUpdate(models.RunUpdate, extra="forbid"):
        pass

    class RunRetry(models.RunRetry, extra="forbid"):
        pass

    class ChainCreate(models.ChainCreate, extra="forbid"):
        is_priority: bool = False


@varies("NaN and infinities are read as null.")
class NotFiniteIsNull(Standin):
    def constant(self, name):
        return None

    def double(self, text):
        value = float(text)
        return None if value in (float("inf"), float("-inf")) else value


@varies("Nothing beyond the limits is taken: nesting over 64, text over 100,000, lone surrogates, bodies over 1 MiB.")
class LimitsAreHard(Standin):
    def parse(self, body):
        if len(body) > 1024 * 1024:
            raise Problem(413, "The body is too large.")
        parsed = super().parse(body)
        level, depth = [parsed], 0
        while level:
            for value in level:
                texts = [value] if isinstance(value, str) else value if isinstance(value, dict) else ()
                if any(len(text) > 100_000 or re.search("[\ud800-\udfff]", text) for text in texts):
                    raise Problem(422, [{"type": "value_error", "loc": ["body"], "msg": "A text is not supported."}])
            level = [
                child
                for value in level
                if isinstance(value, dict | list)
                for name, child in (value.items() if isinstance(value, dict) else enumerate(value))
                if name != "content"  # of a file: only the size of the body limits it
            ]
            depth += 1
        if depth > 64 + 6:
            raise Problem(422, [{"type": "value_error", "loc": ["body"], "msg": "Nested too deeply."}])
        return parsed


@varies("A name that stands twice in an object is refused.")
class DuplicateNamesRefused(Standin):
    def parse(self, body):
        def unique(pairs):
            if len({name for name, _ in pairs}) != len(pairs):
                raise Problem(422, [{"type": "value_error", "loc": ["body"], "msg": "A name stands twice."}])
            return dict(pairs)

        parsed = super().parse(body)
        json.loads(body, object_pairs_hook=unique)
        return parsed


@varies("Another content type than JSON is 415.")
class OtherContentTypeIs415(Standin):
    def violations(self, errors, call):
        if any(isinstance(error.get("input"), bytes) for error in errors):
            raise Problem(415, "Only application/json is read.")
        return super().violations(errors, call)


@varies("File content that is not base64 is refused.")
class NotBase64Refused(Standin):
    class Files(models.RunCreate):
        @field_validator("file_inputs", check_fields=False)
        @classmethod
        def base64(cls, files):
            for file in files or ():
                try:
                    base64.b64decode(file.content, validate=True)
                except (binascii.Error, ValueError) as error:
                    raise ValueError("content is not base64") from error
            return files

    class RunBulkCreate(Files, models.RunBulkCreate):
        pass

    class RunCreate(Files, models.RunCreate):
        pass


@varies("Null in an update is refused.")
class NullInUpdateRefused(Standin):
    class RunUpdate(models.RunUpdate):
        @model_validator(mode="before")
        @classmethod
        def filled(cls, body):
            if isinstance(body, dict) and any(body.get(name, 0) is None for name in cls.model_fields):
                raise ValueError("null is not a change")
            return body


@varies("An update changes a status to cancelled and to nothing else.")
class OnlyCancelled(Standin):
    def check_edge(self, org, run, status):
        if status != Status.CANCELLED:
            raise Problem(422, "Only cancelled is for you to set.")
        super().check_edge(org, run, status)


@varies("A cancelled run has an error that says so.")
class CancelFillsError(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            run.error = run.error or ["Cancelled."]


@varies("An update that cancels a run overwrites the results that an earlier one has set, unless it names them.")
class CancelWritesResults(Standin):
    def update_run(self, call, run_id, body):
        had_ended = self.find(call, run_id).status in TERMINAL
        answer = super().update_run(call, run_id, body)
        if body.status != Status.CANCELLED or had_ended:
            return answer
        run = self.find(call, run_id)
        for name, value in {"error": ["Cancelled."], "output_data": None}.items():
            if name not in body.model_fields_set:
                setattr(run, name, value)
        return Answer(200, self.show(run, "update_run"))


# -- what has to exist


class Existing(Standin):
    """Not a variation: refuses with 404 what names something unknown of one kind."""

    def bulk_create_runs(self, call, body):
        self.check_exists(call.org, body)
        return super().bulk_create_runs(call, body)

    def create_run(self, call, body):
        self.check_exists(call.org, body)
        return super().create_run(call, body)

    def retry_run(self, call, run_id, body):
        self.check_exists(call.org, body)
        return super().retry_run(call, run_id, body)

    def create_run_chain(self, call, body):
        for step in body.steps:
            self.check_exists(call.org, step)
        self.check_exists(call.org, body)
        return super().create_run_chain(call, body)

    def check_exists(self, org, body):
        pass


@varies("An unknown workflow is refused with 404.")
class UnknownWorkflowRefused(Existing):
    def check_exists(self, org, body):
        super().check_exists(org, body)
        if str(getattr(body, "workflow_id", next(iter(org.workflows)))) not in org.workflows:
            raise self.unknown("Workflow")


@varies("An unknown machine is refused with 403.")
class UnknownMachineRefused(Existing):
    def check_exists(self, org, body):
        super().check_exists(org, body)
        if getattr(body, "machine_id", None) is not None and str(body.machine_id) not in org.machines:
            raise Problem(403, "No such machine.")


@varies("An unknown pool is refused with 422.")
class UnknownPoolRefused(Existing):
    def check_exists(self, org, body):
        super().check_exists(org, body)
        if any(str(pool_id) not in org.pools for pool_id in getattr(body, "pool_ids", None) or ()):
            raise Problem(422, [{"type": "value_error", "loc": ["body", "pool_ids"], "msg": "There is no such pool"}])


@varies("A session that nobody started is refused with 404.")
class UnknownSessionRefused(Existing):
    def check_exists(self, org, body):
        super().check_exists(org, body)
        if getattr(body, "session_id", None) is not None and str(body.session_id) not in org.sessions:
            raise self.unknown("Session")


# -- idempotency and limits


@varies("Of two requests with one key that arrive at once the second waits for the first one's answer.")
class SecondWaits(Standin):
    async def meanwhile(self, known):
        await known.done.wait()
        return await super().meanwhile(known) if known.answer is None else self.replayed(known)


@varies("A key on another path or by another method is another key.")
class KeysArePerPath(Standin):
    def key_name(self, call):
        return f"{call.method} {call.path} {super().key_name(call)}"


@varies("A repeat is known by its key and body, on any path.")
class RepeatsOnAnyPath(Standin):
    def fingerprint(self, call):
        return hashlib.sha256(call.body).hexdigest()


@varies("A large create is carried out in part: every third of 100 runs or more is not created.")
class PartialCreates(Standin):
    def bulk_length(self, body):
        return int(body.count) if body.count < 100 else body.count - body.count // 3

    def bulk_answer(self, runs, body):
        failed = body.count - len(runs)
        errors = [f"{failed} runs could not be created."] if failed else []
        return super().bulk_answer(runs, body) | {"failed_count": failed, "errors": errors}


@varies("Two hundred requests a second, and a hundred at once; more are 429, to be sent again after a second.")
class RateLimited(Standin):
    async def admit(self, call):
        now = self.settings.clock()
        since, left = getattr(self, "bucket", (now, 100.0))
        left = min(100.0, left + (now - since) * 200)
        self.bucket = (now, max(left - 1, 0))
        if left < 1:
            raise Problem(429, "Too many requests.", {"retry-after": "1"})
        await super().admit(call)


# -- what is offered

READS = frozenset({"list_runs", "get_run"})
CHANGES = frozenset({"update_run", "delete_run", "retry_run"})
ATTACHMENTS = frozenset(
    {"list_run_attachments", "get_run_attachment", "download_run_attachment", "get_run_attachment_download_url"}
)
RESOURCES = frozenset(
    {
        "list_machines", "get_machine", "list_pools", "create_pool", "get_pool", "add_machine_to_pool",
        "list_workflows", "create_workflow", "get_workflow", "health_check",
    }
)  # fmt: skip
ALL_BUT_BULK = READS | CHANGES | ATTACHMENTS | RESOURCES | {"create_run", "create_run_chain"}


@varies("Only the bulk create is offered; all else is 404.")
class BulkOnly(Standin):
    not_offered = ALL_BUT_BULK


@varies("Only the bulk create is offered; all else is 405.")
class BulkOnly405(Standin):
    not_offered = ALL_BUT_BULK

    def refused(self, status, detail, headers, path):
        if status == 404 and detail == "Not Found" and path.startswith("/v1/"):
            return super().refused(405, "Method Not Allowed", {"allow": "POST"}, path)
        return super().refused(status, detail, headers, path)


@varies("Runs can be created and read, not changed, and there are no chains.")
class ReadOnlyRuns(Standin):
    not_offered = CHANGES | {"create_run_chain"}


@varies("There is no delete.")
class NoDelete(Standin):
    not_offered = frozenset({"delete_run"})


@varies("There are no attachments to read, and no machines, pools and workflows.")
class RunsOnly(Standin):
    not_offered = ATTACHMENTS | RESOURCES


@varies("There is no list of runs, and no single create.")
class NoList(Standin):
    not_offered = frozenset({"list_runs", "create_run"})


@varies("Pools and workflows can be read, not made; to make one is 405.")
class ResourcesAreGiven(Standin):
    not_offered = frozenset({"create_pool", "add_machine_to_pool", "create_workflow"})


@varies("An older release: there are no retries, no chains, no attachments to read, and runs cannot be deleted.")
class FewOperations(Standin):
    not_offered = frozenset({"retry_run", "create_run_chain", "delete_run"}) | ATTACHMENTS


@varies("The lists of machines and workflows ignore search, name and status.")
class OtherFiltersAreIgnored(Standin):
    def list_machines(self, call, query):
        return super().list_machines(call, query.model_copy(update={"search": "", "name": None, "status": None}))

    def list_workflows(self, call, query):
        return super().list_workflows(call, query.model_copy(update={"search": ""}))


@varies("A machine does not show its pools.")
class MachinesShowNoPools(Standin):
    def machine_shown(self, org, machine):
        return super().machine_shown(org, machine) | {"pools": None}


@varies("A list counts its runs a moment after it has read its items: runs may have changed their status meanwhile.")
class CountsLater(Standin):
    def total(self, call, found, query):
        if query.status is None and query.machine_id is None:
            return super().total(call, found, query)
        time.sleep(0.02)
        self.advance(call.org)
        return super().total(call, [run for run in self.listed(call) if self.matches(run, query)], query)
