"""Defects in updates, deletes and retries."""

from tests.standin import models
from tests.standin.behaviour import Answer, Standin
from tests.standin.client import Client, M, S
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import TERMINAL

FILE = {"filename": "a.txt", "content": "YQ=="}

# -- UPDATE-PARTIAL


@plants("UPDATE-PARTIAL", what="An update of error empties output_data.", rarity="one field touches one other")
class ErrorEmptiesOutput(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "error":
            run.output_data = None

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"k": 1})
        assert c.patch(run, error=["late"]).json()["output_data"] == {"k": 1}


@plants("UPDATE-PARTIAL", what="Any update resets release_session_after unless it names it.", rarity="one field resets")
class UpdateResetsRelease(Standin):
    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if body.model_fields_set and "release_session_after" not in body.model_fields_set:
            run.release_session_after = None
        return super().update_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(release_session_after=True)
        assert c.patch(run, usage_metadata={"n": 1}).json()["release_session_after"] is True


@plants("UPDATE-PARTIAL", what="New input_values are added to the old ones.", rarity="old keys that the new ones lack")
class InputsMerged(Standin):
    def change(self, run, name, value):
        if name == "input_values" and value is not None:
            value = (run.input_values or {}) | value
        super().change(run, name, value)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"a": 1})
        assert c.patch(run, input_values={"b": 2}).json()["input_values"] == {"b": 2}


@plants(
    "UPDATE-PARTIAL",
    what="An update of one run of a bulk changes its neighbours' input_values.",
    rarity="runs of one bulk",
)
class NeighboursChangeToo(Standin):
    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        answer = super().update_run(call, run_id, body)
        if "input_values" in body.model_fields_set:
            for other in call.org.runs.values():
                if other.created_at == run.created_at or abs(other.number - run.number) == 1:
                    other.input_values = run.input_values
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        first, second = c.bulk(2, input_values={"a": 1})
        c.patch(first, input_values={"a": 2})
        assert c.read(second)["input_values"] == {"a": 1}


@plants(
    "UPDATE-PARTIAL",
    what="An update of output_attachment_ids drops the input attachments.",
    rarity="one field of another",
)
class OutputsReplaceInputs(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "output_attachment_ids" and value:
            run.input_attachment_ids = []

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[FILE])
        ids = c.patch(run, output_attachment_ids=["x"]).json()["input_attachment_ids"]
        assert ids == run["input_attachment_ids"]


@plants(
    "UPDATE-PARTIAL", what="An update is told, but not kept, when it names three fields or more.", rarity="three fields"
)
class ManyChangesNotKept(Standin):
    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        before = {name: getattr(run, name) for name in body.model_fields_set if name != "status"}
        answer = super().update_run(call, run_id, body)
        if len(before) > 2:
            for name, value in before.items():
                setattr(run, name, value)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, input_values={"a": 1}, usage_metadata={"b": 2}, release_session_after=True)
        assert c.read(run)["input_values"] == {"a": 1}


@plants("UPDATE-PARTIAL", what="An update with nothing in it clears the usage_metadata.", rarity="the empty update")
class EmptyUpdateClears(Standin):
    def update_run(self, call, run_id, body):
        if not body.model_fields_set:
            self.find(call, run_id).usage_metadata = None
        return super().update_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, usage_metadata={"n": 1})
        assert c.patch(run).json()["usage_metadata"] == {"n": 1}


@plants("UPDATE-PARTIAL", what="Cancelling a run empties its session_alias.", rarity="one change of status")
class CancelEmptiesAlias(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            run.session_alias = None

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled(session_alias="a")
        assert c.read(run)["session_alias"] == "a"


# -- DELETE-GONE


@plants("DELETE-GONE", "ATTACHMENTS", what="A deleted run's attachments stay.", rarity="files, then a delete")
class AttachmentsStay(Standin):
    def forget_attachments(self, org, run):
        pass

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[FILE])
        c.delete(run)
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}").status_code == 404


@plants(
    "DELETE-GONE",
    "LIST-COMPLETE",
    "READ-BACK",
    what="A delete takes the next run of the same bulk with it.",
    rarity="bulk runs",
)
class NeighbourGoesToo(Standin):
    def delete_run(self, call, run_id):
        run = self.find(call, run_id)
        answer = super().delete_run(call, run_id)
        for other in list(call.org.runs.values()):
            if other.number == run.number + 1 and abs((other.created_at - run.created_at).total_seconds()) < 0.001:
                self.forget(call.org, other)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        runs = c.bulk(3)
        c.delete(runs[0])
        assert len(c.ids()) == 2


@plants("DELETE-GONE", what="A deleted run is still listed in its session.", rarity="one filter, after a delete")
class DeletedListedInSession(Standin):
    def delete_run(self, call, run_id):
        self.gone = [*getattr(self, "gone", []), self.find(call, run_id)]
        return super().delete_run(call, run_id)

    def list_runs(self, call, query):
        self.by_session = query.session_id is not None
        return super().list_runs(call, query)

    def listed(self, call):
        return super().listed(call) + (getattr(self, "gone", []) if self.by_session else [])

    @staticmethod
    def obeys(c: Client) -> None:
        c.delete(c.create(session_id=S))
        assert c.ids(f"session_id={S}") == []


@plants("DELETE-GONE", what="A second delete is 204 again.", rarity="the second call")
class SecondDeleteIs204(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", set())
        if run_id in self.gone:
            return Answer(204, raw=b"")
        answer = super().delete_run(call, run_id)
        self.gone.add(run_id)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.delete(run).status_code == 404


@plants("DELETE-GONE", what="A deleted run can be read with include.", rarity="one parameter, after a delete")
class DeletedReadWithInclude(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", {}) | {run_id: self.find(call, run_id)}
        return super().delete_run(call, run_id)

    def get_run(self, call, run_id, include):
        if include is not None and run_id in getattr(self, "gone", {}):
            return Answer(200, self.show(self.gone[run_id], "get_run") | {"included": []})
        return super().get_run(call, run_id, include)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.get(f"/v1/runs/{run['id']}?include=workflow").status_code == 404


@plants("DELETE-GONE", what="A delete of a run that has ended says 204 and does nothing.", rarity="ended runs only")
class EndedRunsStay(Standin):
    def delete_run(self, call, run_id):
        if self.find(call, run_id).status in TERMINAL:
            return Answer(204, raw=b"")
        return super().delete_run(call, run_id)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        c.delete(run)
        assert c.get(f"/v1/runs/{run['id']}").status_code == 404


@plants("DELETE-GONE", "RETRY-RULES", what="A retry brings a deleted run back.", rarity="a delete, then a retry")
class RetryBringsBack(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", {}) | {run_id: self.find(call, run_id)}
        return super().delete_run(call, run_id)

    def retry_run(self, call, run_id, body):
        run = getattr(self, "gone", {}).get(run_id)
        if run is not None and run.organization_id == call.org.id and run_id not in call.org.runs:
            run.status = Status.CANCELLED
            call.org.runs[run_id] = run
        return super().retry_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.retry(run).status_code == 404


# -- RETRY-RULES


@plants("RETRY-RULES", what="A retry keeps the output attachments.", rarity="one field of those that are cleared")
class RetryKeepsOutputAttachments(Standin):
    def clear(self, org, run):
        kept, run.output_attachment_ids = run.output_attachment_ids, None
        super().clear(org, run)
        run.output_attachment_ids = kept

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, output_attachment_ids=["x"], status="cancelled")
        assert not c.retry(run).json()["output_attachment_ids"]


@plants("RETRY-RULES", what="A cancelled run cannot be retried.", rarity="one status of four")
class CancelledNotRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) and run.status != Status.CANCELLED

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled()).status_code == 200


@plants("RETRY-RULES", what="A run that is running can be retried.", rarity="one status of two")
class RunningRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or run.status == Status.RUNNING

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert c.retry(c.create(session_id=S)).status_code in (409, 422)


@plants("RETRY-RULES", what="A retry keeps the run_message_history.", rarity="one field of those that are cleared")
class RetryKeepsHistory(Standin):
    def clear(self, org, run):
        kept = run.run_message_history
        super().clear(org, run)
        run.run_message_history = kept

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        run = c.cancelled()
        assert c.retry(run, file_inputs=[FILE]).json()["id"] == run["id"]


@plants("RETRY-RULES", what="A retry without input_values empties them.", rarity="a field left out")
class RetryEmptiesInputs(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        run.input_values = body.input_values

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(input_values={"k": 1})).json()["input_values"] == {"k": 1}


@plants("RETRY-RULES", what="A retry leaves the session unless told to reuse it.", rarity="a default, with a session")
class RetryLeavesSession(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if "reuse_session" not in body.model_fields_set and body.session_id is None and not body.start_session:
            run.session_id = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(session_id=S)).json()["session_id"] == S


@plants("RETRY-RULES", "LIFECYCLE", what="A retried run with a machine is told to be running.", rarity="one feature")
class RetryAnswersRunning(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        if answer.content["machine_id"] is not None:
            answer.content["status"] = "running"
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        assert len(c.retry(run, file_inputs=[FILE]).json()["input_attachment_ids"]) == 1


@plants("UPDATE-PARTIAL", what="The answer of an update tells one error as a text.", rarity="one error, one answer")
class UpdateTellsErrorAsText(Standin):
    def update_run(self, call, run_id, body):
        answer = super().update_run(call, run_id, body)
        if answer.content["error"] and len(answer.content["error"]) == 1:
            answer.content["error"] = answer.content["error"][0]
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.patch(c.create(), error=["late"]).json()["error"] == ["late"]


@plants(
    "RETRY-RULES", what="The answer of a retry has an empty text for no ended_at.", rarity="one field of one answer"
)
class RetryEndsAtEmptyText(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        answer.content["ended_at"] = ""
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled()).json()["ended_at"] is None
