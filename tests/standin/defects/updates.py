"""Defects in updates."""

from typing import Any

from tests.standin import models
from tests.standin.behaviour import Standin
from tests.standin.client import FILE, UNKNOWN, Client, W
from tests.standin.defects.defect import plants
from tests.standin.models import Status

# -- UPDATE-PARTIAL


@plants("UPDATE-PARTIAL", what="An update of error empties output_data.", rarity="one field touches one other")
class ErrorEmptiesOutput(Standin):
    def change(self, run, name, value):
        super().change(run, name, value)
        if name == "error":
            run.output_data = None

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        run = c.create(release_session_after=True)
        assert c.patch(run, usage_metadata={"n": 1}).json()["release_session_after"] is True


@plants("UPDATE-PARTIAL", what="New input_values are added to the old ones.", rarity="old keys that the new ones lack")
class InputsMerged(Standin):
    def change(self, run, name, value):
        if name == "input_values" and value is not None:
            value = (run.input_values or {}) | value
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        run = c.cancelled(session_alias="a")
        assert c.read(run)["session_alias"] == "a"


@plants("UPDATE-PARTIAL", what="An update sets the workflow.", rarity="a property that no update has")
class UpdateSetsWorkflow(Standin):
    class RunUpdate(models.RunUpdate):
        workflow_id: Any = None

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, workflow_id=UNKNOWN)
        assert c.read(run)["workflow_id"] == W


@plants("UPDATE-PARTIAL", what="Of a history the last fifty entries are kept.", rarity="long histories")
class HistoryCutToFifty(Standin):
    def change(self, run, name, value):
        super().change(run, name, value[-50:] if name == "run_message_history" and value else value)

    @staticmethod
    def witness(c: Client) -> None:
        history = [{"n": n} for n in range(60)]
        assert c.patch(c.create(), run_message_history=history).json()["run_message_history"] == history


@plants("UPDATE-PARTIAL", what="The answer of an update tells one error as a text.", rarity="one error, one answer")
class UpdateTellsErrorAsText(Standin):
    def update_run(self, call, run_id, body):
        answer = super().update_run(call, run_id, body)
        if answer.content["error"] and len(answer.content["error"]) == 1:
            answer.content["error"] = answer.content["error"][0]
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), error=["late"]).json()["error"] == ["late"]
