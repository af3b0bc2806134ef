"""Defects in retries."""

import asyncio

from tests.standin import models
from tests.standin.behaviour import Answer, Standin
from tests.standin.client import FILE, Client, M, S
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import TERMINAL, Run

# -- RETRY-RULES


@plants("RETRY-RULES", what="A retry keeps the output attachments.", rarity="one field of those that are cleared")
class RetryKeepsOutputAttachments(Standin):
    def clear(self, org, run):
        kept, run.output_attachment_ids = run.output_attachment_ids, None
        super().clear(org, run)
        run.output_attachment_ids = kept

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, output_attachment_ids=["x"], status="cancelled")
        assert not c.retry(run).json()["output_attachment_ids"]


@plants("RETRY-RULES", what="A cancelled run cannot be retried.", rarity="one status of four")
class CancelledNotRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) and run.status != Status.CANCELLED

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled()).status_code == 200


@plants("RETRY-RULES", what="A run that is running can be retried.", rarity="one status of two")
class RunningRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or run.status == Status.RUNNING

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        assert c.retry(run).status_code in (409, 422)


@plants(
    "RETRY-RULES", what="A run of a session can be retried while it is scheduling.", rarity="one status, with a session"
)
class SchedulingRetriedInSession(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or (run.session_id is not None and run.status == Status.SCHEDULING)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.create(session_id=S)).status_code in (409, 422)


@plants("RETRY-RULES", what="A retry keeps the run_message_history.", rarity="one field of those that are cleared")
class RetryKeepsHistory(Standin):
    def clear(self, org, run):
        kept = run.run_message_history
        super().clear(org, run)
        run.run_message_history = kept

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, run_message_history=[{"a": 1}], status="cancelled")
        assert not c.retry(run).json()["run_message_history"]


@plants("RETRY-RULES", what="A retry keeps the error where it brings input_values.", rarity="two features meet")
class RetryKeepsErrorWithInputs(Standin):
    def retry_run(self, call, run_id, body):
        kept = self.find(call, run_id).error
        answer = super().retry_run(call, run_id, body)
        if body.input_values is not None:
            answer.content["error"] = call.org.runs[run_id].error = kept
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, error=["late"], status="cancelled")
        assert not c.retry(run, input_values={"k": 1}).json()["error"]


@plants("RETRY-RULES", what="A run can be retried once, not twice.", rarity="the second call")
class SecondRetryRefused(Standin):
    def retry_run(self, call, run_id, body):
        self.once_more = getattr(self, "once_more", set())
        if run_id in self.once_more:
            raise type(self.unknown("Run"))(409, "The run was retried before.")
        answer = super().retry_run(call, run_id, body)
        self.once_more.add(run_id)
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        c.retry(run)
        c.patch(run, status="cancelled")
        assert c.retry(run).status_code == 200


@plants("RETRY-RULES", what="A retry with files gets a new id.", rarity="two features meet")
class RetryWithFilesIsNewRun(Standin):
    def retry_run(self, call, run_id, body):
        if not body.file_inputs or not self.may_retry(self.find(call, run_id)):
            return super().retry_run(call, run_id, body)
        create = models.RunCreate(workflow_id=self.find(call, run_id).workflow_id, file_inputs=body.file_inputs)
        return Answer(200, self.create_run(call, create).content)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        assert c.retry(run, file_inputs=[FILE]).json()["id"] == run["id"]


@plants("RETRY-RULES", what="A retry without input_values empties them.", rarity="a field left out")
class RetryEmptiesInputs(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.input_values = body.input_values

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(input_values={"k": 1})).json()["input_values"] == {"k": 1}


@plants("RETRY-RULES", what="A retry leaves the session unless told to reuse it.", rarity="a default, with a session")
class RetryLeavesSession(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if "reuse_session" not in body.model_fields_set and body.session_id is None and not body.start_session:
            run.session_id = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(session_id=S)).json()["session_id"] == S


@plants("RETRY-RULES", "LIFECYCLE", what="A retried run with a machine is told to be running.", rarity="one feature")
class RetryAnswersRunning(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        if answer.content["machine_id"] is not None:
            answer.content["status"] = "running"
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(machine_id=M)).json()["status"] == "scheduling"


@plants(
    "RETRY-RULES",
    "REQ-ATOMIC",
    "READ-BACK",
    what="A retry that is refused has emptied the output all the same.",
    rarity="the harm of a refusal",
)
class RefusedRetryClears(Standin):
    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if not self.may_retry(run):
            run.output_data = run.run_message_history = None
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"k": 1})
        c.retry(run)
        assert c.read(run)["output_data"] == {"k": 1}


@plants("RETRY-RULES", what="A retry keeps the old files beside the new ones.", rarity="files before and after")
class RetryKeepsOldFiles(Standin):
    def take_over(self, org, run, body):
        before = run.input_attachment_ids
        run.input_attachment_ids = []
        super().take_over(org, run, body)
        run.input_attachment_ids = before + run.input_attachment_ids

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        assert len(c.retry(run, file_inputs=[FILE]).json()["input_attachment_ids"]) == 1


@plants("RETRY-RULES", what="A run that was retried can be retried while it waits.", rarity="the second retry")
class RetriedCanBeRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or (run.epoch > 1 and run.status == Status.SCHEDULING)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        assert [c.retry(run).status_code, c.retry(run).status_code] == [200, 409]


@plants("RETRY-RULES", what="A refused retry has set the aliases.", rarity="retries of active runs, with secrets")
class RefusedRetrySetsAliases(Standin):
    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if body.sensitive_input_values is not None:
            run.sensitive_input_aliases = self.hide(call.org, body.sensitive_input_values)
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.retry(run, sensitive_input_values={"pin": "1234"}).status_code == 409
        assert not c.read(run)["sensitive_input_aliases"]


@plants("RETRY-RULES", what="Two retries at once are both done.", rarity="at once")
class RetriesAtOnceBothDone(Standin):
    async def once(self, call, handle):
        if call.operation != "retry_run":
            return await super().once(call, handle)
        run = call.org.runs.get(call.path.split("/")[-2])
        self.ended = {run} if run is not None and run.status in TERMINAL else set()
        ended = self.ended
        await asyncio.sleep(0.01)
        self.ended = ended
        return await super().once(call, handle)

    ended: set[Run]

    def may_retry(self, run):
        return run in self.ended

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        path = f"/v1/runs/{run['id']}/retry"
        statuses = {answer.status_code for answer in c.together("POST", path, {}, key=None)}
        assert statuses == {200, 409}


@plants(
    "RETRY-RULES", "ATTACHMENTS", what="What a run put out is listed after a retry.", rarity="runs with output files"
)
class OutputListedAfterRetry(Standin):
    def clear(self, org, run):
        kept = {one: org.attachments[one] for one in run.output_attachment_ids or () if one in org.attachments}
        super().clear(org, run)
        org.attachments.update(kept)

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(40):
            run = c.ended()
            if c.read(run)["output_attachment_ids"]:
                break
        c.retry(run)
        assert not c.attachments(run)


@plants(
    "RETRY-RULES", what="The answer of a retry has an empty text for no ended_at.", rarity="one field of one answer"
)
class RetryEndsAtEmptyText(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        answer.content["ended_at"] = ""
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled()).json()["ended_at"] is None
