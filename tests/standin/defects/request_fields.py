"""Defects in what values the fields of a request may have: count, workflow, types, files."""

import json
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Standin
from tests.standin.client import FILE, Client, P, S, W
from tests.standin.defects.defect import plants

# -- REQ-COUNT


@plants("REQ-COUNT", what="A bulk create of 1001 is accepted.", rarity="one number past the limit")
class Count1001Accepted(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(gt=0, le=1001)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(1001).status_code == 422


@plants("REQ-COUNT", what="A bulk create of 1000 is refused.", rarity="only at the limit itself")
class Count1000Refused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(gt=0, lt=1000)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(1000).status_code == 201


@plants("REQ-COUNT", what="A count left out is taken as 1.", rarity="only when count is missing")
class CountMissingIsOne(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(default=1, gt=0, le=1000)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": W}).status_code == 422


@plants("REQ-COUNT", what="A count of 2.5 is rounded down.", rarity="only fractions, only above 2")
class CountFractionRoundedDown(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: Annotated[int, BeforeValidator(lambda n: int(n) if isinstance(n, float) and 1 < n < 1000 else n)] = (
            Field(gt=0, le=1000)
        )

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(2.5).status_code == 422


@plants("REQ-COUNT", what="A count of 0 is accepted, and makes nothing.", rarity="only 0")
class CountZeroAccepted(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(ge=0, le=1000)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(0).status_code == 422


@plants("REQ-COUNT", what="A huge count wraps around at 32 bits.", rarity="only counts whose low 32 bits are in range")
class CountWrapsAt32Bits(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: Annotated[int, BeforeValidator(lambda n: n % 2**32 if isinstance(n, int) and n > 2**31 - 1 else n)] = (
            Field(gt=0, le=1000)
        )

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(2**32 + 1).status_code == 422


@plants("REQ-COUNT", what="A count of null is taken as 1 when a session is started.", rarity="null and start_session")
class CountNullWithStartSession(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def one(cls, body: Any) -> Any:
            if isinstance(body, dict) and body.get("start_session") is True and body.get("count", 1) is None:
                return {**body, "count": 1}
            return body

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(None, start_session=True).status_code == 422


# -- REQ-WORKFLOW


@plants("REQ-WORKFLOW", what="workflow_id is not needed when a session is joined.", rarity="missing, with session_id")
class WorkflowOptionalInSession(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def filled(cls, body: Any) -> Any:
            if isinstance(body, dict) and body.get("session_id") is not None and "workflow_id" not in body:
                return {**body, "workflow_id": body["session_id"]}
            return body

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"count": 1, "session_id": S}).status_code == 422


@plants(
    "REQ-WORKFLOW", what="Any text of 36 characters passes for a workflow_id.", rarity="length right, content wrong"
)
class WorkflowJudgedByLength(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        workflow_id: Any

        @field_validator("workflow_id")
        @classmethod
        def long_enough(cls, value: Any) -> Any:
            if isinstance(value, str) and len(value) == 36:
                return value
            return UUID(value) if isinstance(value, str) else models.RunCreate(workflow_id=value).workflow_id

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": "z" + W[1:], "count": 1}).status_code == 422


@plants("REQ-WORKFLOW", what="An empty workflow_id makes runs of the nil workflow.", rarity="only the empty text")
class WorkflowEmptyIsNil(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        workflow_id: Annotated[UUID, BeforeValidator(lambda value: UUID(int=0) if value == "" else value)]

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": "", "count": 1}).status_code == 422


@plants("REQ-WORKFLOW", what="A line break after a workflow's id is overlooked.", rarity="one trailing character")
class LineBreakAfterWorkflow(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @field_validator("workflow_id", mode="before")
        @classmethod
        def up_to_the_break(cls, value: Any) -> Any:
            return value.removesuffix("\n") if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": W + "\n", "count": 1}).status_code == 422


# -- REQ-TYPES


@plants("REQ-TYPES", what="Of pool_ids only the first is looked at.", rarity="a wrong item that is not the first")
class PoolsAfterTheFirstUnchecked(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def first_only(cls, body: Any) -> Any:
            pools = body.get("pool_ids") if isinstance(body, dict) else None
            if isinstance(pools, list) and len(pools) > 1:
                kept = [pool for pool in pools[1:] if isinstance(pool, str) and len(pool) == 36]
                return {**body, "pool_ids": [pools[0], *kept]}
            return body

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(pool_ids=[P[0], "nonsense"]).status_code == 422


@plants("REQ-TYPES", what="An empty list passes for an object in input_values.", rarity="only [], only there")
class EmptyListForObject(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        input_values: Annotated[dict[str, Any] | None, BeforeValidator(lambda v: {} if v == [] else v)] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values=[]).status_code == 422


@plants("REQ-TYPES", what="target_path of a file may be a number.", rarity="one nullable field of a nested object")
class TargetPathMayBeNumber(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            target_path: Annotated[str | None, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)] = None

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[{"filename": "a", "content": "YQ==", "target_path": 7}]).status_code == 422


@plants("REQ-TYPES", what="An empty machine_id passes for null.", rarity="only the empty text, only one field")
class EmptyMachineIsNull(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        machine_id: Annotated[UUID | None, BeforeValidator(lambda value: value or None)] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(machine_id="").status_code == 422


@plants("REQ-TYPES", what="start_session takes any longer text for true.", rarity="only texts over five characters")
class StartSessionAnyText(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        start_session: Annotated[
            bool | None, BeforeValidator(lambda value: True if isinstance(value, str) and len(value) > 5 else value)
        ] = False

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(start_session="sometimes").status_code == 422


@plants("REQ-TYPES", what="A single create takes a number for session_alias.", rarity="one field, one operation")
class AliasMayBeNumber(Standin):
    class RunCreate(models.RunCreate):
        session_alias: Annotated[str | None, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_create(session_alias=5).status_code == 422


@plants("REQ-TYPES", what="An update takes numbers in the list error.", rarity="items of one list, in an update only")
class ErrorItemsMayBeNumbers(Standin):
    class RunUpdate(models.RunUpdate):
        error: Annotated[
            list[str] | None,
            BeforeValidator(lambda v: [str(i) if type(i) is int else i for i in v] if isinstance(v, list) else v),
        ] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), error=["late", 7]).status_code == 422


@plants(
    "REQ-TYPES", what="Of a chain's steps only the first is checked for its inputs.", rarity="the second step, inputs"
)
class LaterStepsInputsUnchecked(Standin):
    class ChainCreate(models.ChainCreate):
        @model_validator(mode="before")
        @classmethod
        def lenient(cls, body: Any) -> Any:
            steps = body.get("steps") if isinstance(body, dict) else None
            if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
                return body
            later = [
                {**step, "inputs": None} if not isinstance(step.get("inputs"), dict) else step for step in steps[1:]
            ]
            return {**body, "steps": [*steps[:1], *later]}

    @staticmethod
    def witness(c: Client) -> None:
        steps = [{"workflow_id": W}, {"workflow_id": W, "inputs": "text"}]
        assert c.post("/v1/runs/chain", {"steps": steps}).status_code == 422


@plants(
    "REQ-TYPES", what="A retry takes pool_ids that are no list.", rarity="one field, retry only, one text for a list"
)
class RetryPoolsMayBeText(Standin):
    class RunRetry(models.RunRetry):
        pool_ids: Annotated[list[UUID] | None, BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=P[0]).status_code == 422


@plants("REQ-TYPES", what="A list of pairs passes for sensitive_input_values.", rarity="lists, one field")
class SecretsMayBeList(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        sensitive_input_values: Annotated[
            dict[str, Any] | None, BeforeValidator(lambda v: {} if isinstance(v, list) else v)
        ] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(sensitive_input_values=["a"]).status_code == 422


@plants("REQ-TYPES", what="Of pool_ids only the first ten are looked at.", rarity="a wrong item after ten good ones")
class PoolsAfterTheTenthUnchecked(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def first_ten(cls, body: Any) -> Any:
            pools = body.get("pool_ids") if isinstance(body, dict) else None
            return {**body, "pool_ids": pools[:10]} if isinstance(pools, list) else body

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(pool_ids=[P[0]] * 10 + ["nonsense"]).status_code == 422


@plants("REQ-TYPES", what="A list of pools may be JSON in a text.", rarity="one wrap, one field of a retry")
class RetryReadsListInText(Standin):
    class RunRetry(models.RunRetry):
        @field_validator("pool_ids", mode="before")
        @classmethod
        def unwrapped(cls, value: Any) -> Any:
            return json.loads(value) if isinstance(value, str) and value.startswith("[") else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=json.dumps(P[:1])).status_code == 422


@plants("REQ-TYPES", what="An update takes a status in capitals.", rarity="one word, update only")
class StatusInCapitalsTaken(Standin):
    class RunUpdate(models.RunUpdate):
        @field_validator("status", mode="before")
        @classmethod
        def lowered(cls, value: Any) -> Any:
            return value.lower() if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), status="CANCELLED").status_code == 422


# -- REQ-FILES


@plants("REQ-FILES", what="From the second file on, content may be missing.", rarity="not the first file")
class LaterFilesNeedNoContent(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def filled(cls, body: Any) -> Any:
            files = body.get("file_inputs") if isinstance(body, dict) else None
            if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
                return body
            return {**body, "file_inputs": files[:1] + [{"content": ""} | file for file in files[1:]]}

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE, {"filename": "b"}]).status_code == 422


@plants("REQ-FILES", what="A file with a target_path needs no filename.", rarity="missing beside one optional field")
class TargetPathStandsForName(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            @model_validator(mode="before")
            @classmethod
            def named(cls, file: Any) -> Any:
                if isinstance(file, dict) and isinstance(file.get("target_path"), str):
                    return {"filename": file["target_path"]} | file
                return file

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[{"content": "YQ==", "target_path": "C:/a"}]).status_code == 422


@plants(
    "REQ-FILES",
    "ATTACHMENTS",
    what="A file with a target_path is cleaned up unless told.",
    rarity="a default, two fields",
)
class CleanUpByDefaultWithTargetPath(Standin):
    def attachment(self, org, run, file):
        made = super().attachment(org, run, file)
        if file.target_path is not None and "cleanup_imports_after_run" not in file.model_fields_set:
            made.cleanup_imports_after_run = True
        return made

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE | {"target_path": "C:/a"}])
        assert c.attachments(run)[0]["cleanup_imports_after_run"] is False


@plants(
    "REQ-FILES", "REQ-TYPES", what="In a retry a file's content may be null.", rarity="retry only, null for required"
)
class RetryFileContentMayBeNull(Standin):
    class RunRetry(models.RunRetry):
        class FileInput(models.FileInput):
            content: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), file_inputs=[{"filename": "a", "content": None}]).status_code == 422


@plants("REQ-FILES", what="From a retry's sixth file on a filename may be missing.", rarity="retry, a later file")
class RetryLaterFilesNeedNoName(Standin):
    class RunRetry(models.RunRetry):
        @field_validator("file_inputs", mode="before")
        @classmethod
        def named(cls, files: Any) -> Any:
            if not isinstance(files, list):
                return files
            return files[:5] + [{"filename": "a"} | file if isinstance(file, dict) else file for file in files[5:]]

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), file_inputs=[FILE] * 5 + [{"content": "YQ=="}]).status_code == 422
