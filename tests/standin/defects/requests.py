"""Defects in what is accepted, what is refused, and how a refusal looks."""

import json
import math
import unicodedata
from datetime import UTC
from itertools import accumulate
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Call, Problem, Standin
from tests.standin.client import Client, P, S, W
from tests.standin.defects.defect import plants
from tests.standin.store import Attachment

FILE = {"filename": "a.txt", "content": "YQ=="}

# -- REQ-COUNT


@plants("REQ-COUNT", what="A bulk create of 1001 is accepted.", rarity="one number past the limit")
class Count1001Accepted(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(gt=0, le=1001)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(1001).status_code == 422


@plants("REQ-COUNT", what="A bulk create of 1000 is refused.", rarity="only at the limit itself")
class Count1000Refused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(gt=0, lt=1000)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(1000).status_code == 201


@plants("REQ-COUNT", what="A count left out is taken as 1.", rarity="only when count is missing")
class CountMissingIsOne(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(default=1, gt=0, le=1000)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": W}).status_code == 422


@plants("REQ-COUNT", what="A count of 2.5 is rounded down.", rarity="only fractions, only above 2")
class CountFractionRoundedDown(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: Annotated[int, BeforeValidator(lambda n: int(n) if isinstance(n, float) and 1 < n < 1000 else n)] = (
            Field(gt=0, le=1000)
        )

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(2.5).status_code == 422


@plants("REQ-COUNT", what="A count of 0 is accepted, and makes nothing.", rarity="only 0")
class CountZeroAccepted(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: int = Field(ge=0, le=1000)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(0).status_code == 422


@plants("REQ-COUNT", what="A huge count wraps around at 32 bits.", rarity="only counts whose low 32 bits are in range")
class CountWrapsAt32Bits(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        count: Annotated[int, BeforeValidator(lambda n: n % 2**32 if isinstance(n, int) and n > 2**31 - 1 else n)] = (
            Field(gt=0, le=1000)
        )

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": "z" + W[1:], "count": 1}).status_code == 422


@plants("REQ-WORKFLOW", what="An empty workflow_id makes runs of the nil workflow.", rarity="only the empty text")
class WorkflowEmptyIsNil(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        workflow_id: Annotated[UUID, BeforeValidator(lambda value: UUID(int=0) if value == "" else value)]

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": "", "count": 1}).status_code == 422


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
    def obeys(c: Client) -> None:
        assert c.try_bulk(pool_ids=[P[0], "nonsense"]).status_code == 422


@plants("REQ-TYPES", what="An empty list passes for an object in input_values.", rarity="only [], only there")
class EmptyListForObject(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        input_values: Annotated[dict[str, Any] | None, BeforeValidator(lambda v: {} if v == [] else v)] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values=[]).status_code == 422


@plants("REQ-TYPES", what="target_path of a file may be a number.", rarity="one nullable field of a nested object")
class TargetPathMayBeNumber(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            target_path: Annotated[str | None, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)] = None

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[{"filename": "a", "content": "YQ==", "target_path": 7}]).status_code == 422


@plants("REQ-TYPES", what="An empty machine_id passes for null.", rarity="only the empty text, only one field")
class EmptyMachineIsNull(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        machine_id: Annotated[UUID | None, BeforeValidator(lambda value: value or None)] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(machine_id="").status_code == 422


@plants("REQ-TYPES", what="start_session takes any longer text for true.", rarity="only texts over five characters")
class StartSessionAnyText(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        start_session: Annotated[
            bool | None, BeforeValidator(lambda value: True if isinstance(value, str) and len(value) > 5 else value)
        ] = False

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(start_session="sometimes").status_code == 422


@plants("REQ-TYPES", what="A single create takes a number for session_alias.", rarity="one field, one operation")
class AliasMayBeNumber(Standin):
    class RunCreate(models.RunCreate):
        session_alias: Annotated[str | None, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(session_alias=5).status_code == 422


@plants("REQ-TYPES", what="An update takes numbers in the list error.", rarity="items of one list, in an update only")
class ErrorItemsMayBeNumbers(Standin):
    class RunUpdate(models.RunUpdate):
        error: Annotated[
            list[str] | None,
            BeforeValidator(lambda v: [str(i) if type(i) is int else i for i in v] if isinstance(v, list) else v),
        ] = None

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        steps = [{"workflow_id": W}, {"workflow_id": W, "inputs": "text"}]
        assert c.post("/v1/runs/chain", {"steps": steps}).status_code == 422


@plants(
    "REQ-TYPES", what="A retry takes pool_ids that are no list.", rarity="one field, retry only, one text for a list"
)
class RetryPoolsMayBeText(Standin):
    class RunRetry(models.RunRetry):
        pool_ids: Annotated[list[UUID] | None, BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=P[0]).status_code == 422


@plants("REQ-TYPES", what="A list of pairs passes for sensitive_input_values.", rarity="lists, one field")
class SecretsMayBeList(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        sensitive_input_values: Annotated[
            dict[str, Any] | None, BeforeValidator(lambda v: {} if isinstance(v, list) else v)
        ] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(sensitive_input_values=["a"]).status_code == 422


# -- REQ-NULL


@plants("REQ-NULL", what="A null for pool_ids is refused by a retry.", rarity="one field, retry only")
class RetryRefusesNullPools(Standin):
    class RunRetry(models.RunRetry):
        pool_ids: list[UUID] = Field(default_factory=list)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=None).status_code == 200


@plants("REQ-NULL", what="An empty list of file_inputs is refused.", rarity="only the empty list, only bulk")
class EmptyFilesRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        file_inputs: Annotated[list[models.FileInput], Field(min_length=1)] | None = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[]).status_code == 201


@plants("REQ-NULL", what="A null for start_session is refused.", rarity="one field")
class NullStartSessionRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        start_session: bool = False

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(start_session=None).status_code == 201


@plants("REQ-NULL", "REQ-FILES", what="A null for a file's target_path is refused.", rarity="inside a nested object")
class NullTargetPathRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            target_path: str = ""

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE | {"target_path": None}]).status_code == 201


@plants("REQ-NULL", what="Null input_values beside secrets are refused.", rarity="two fields together, one null")
class NullInputsBesideSecretsRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def both(cls, body: Any) -> Any:
            if isinstance(body, dict) and body.get("sensitive_input_values") and body.get("input_values", {}) is None:
                raise ValueError("input_values are needed where some are sensitive")
            return body

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values=None, sensitive_input_values={"pin": "1"}).status_code == 201


@plants(
    "REQ-NULL", what="A chain without shared_file_inputs works, one with null is refused.", rarity="chain, one field"
)
class ChainNullFilesRefused(Standin):
    class ChainCreate(models.ChainCreate):
        shared_file_inputs: list[models.FileInput] = Field(default_factory=list)

    @staticmethod
    def obeys(c: Client) -> None:
        c.chain(2, shared_file_inputs=None)


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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), file_inputs=[{"filename": "a", "content": None}]).status_code == 422


# -- REQ-ACCEPT


def _texts(value: Any):
    """Every key and every text in a value, at any depth."""
    if isinstance(value, dict):
        for key, content in value.items():
            yield key
            yield from _texts(content)
    elif isinstance(value, list):
        for content in value:
            yield from _texts(content)
    elif isinstance(value, str):
        yield value


def _numbers(value: Any):
    if isinstance(value, dict | list):
        for content in value.values() if isinstance(value, dict) else value:
            yield from _numbers(content)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _refusing(judge: Any, model: type[models.BaseModel] = models.RunBulkCreate) -> type[models.BaseModel]:
    """The model, but input_values are refused where `judge` finds something in them."""

    def judged(value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and judge(value):
            raise ValueError("not supported")
        return value

    class Refusing(model):
        input_values: Annotated[dict[str, Any] | None, AfterValidator(judged)] = None

    return Refusing


@plants("REQ-ACCEPT", what="Keys of over 255 characters are refused.", rarity="a length, keys only")
class LongKeysRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(len(key) > 255 for key in values))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k" * 256: 1}).status_code == 201


@plants("REQ-ACCEPT", what="A text of over 65,535 characters is refused.", rarity="a length below what must work")
class LongTextRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(len(text) > 65535 for text in _texts(values)))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k": "x" * 65536}).status_code == 201


@plants("REQ-ACCEPT", what="A NUL inside a text is refused.", rarity="one character of all")
class NulRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any("\0" in text for text in _texts(values)))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k": "a\0b"}).status_code == 201


@plants("REQ-ACCEPT", what="Nesting over 32 is refused.", rarity="a depth below what must work")
class NestingOver32Refused(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        if self.depth(parsed) > 34:
            raise json.JSONDecodeError("nested too deeply", "", 0)
        return parsed

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k": json.loads("[" * 40 + "]" * 40)}).status_code == 201


@plants("REQ-ACCEPT", what="An object of over 999 keys is refused.", rarity="a number of keys")
class ManyKeysRefused(Standin):
    RunBulkCreate = _refusing(lambda values: len(values) > 999)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={str(number): number for number in range(1000)}).status_code == 201


@plants("REQ-ACCEPT", what="Integers over 64 bits are refused.", rarity="numbers over 2**63")
class BigIntegersRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(type(n) is int and abs(n) >= 2**63 for n in _numbers(values)))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k": 2**63}).status_code == 201


@plants("REQ-ACCEPT", what="Doubles that no single-precision number holds are refused.", rarity="doubles over 3.4e38")
class DoublesBeyondSinglesRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(type(n) is float and abs(n) > 3.5e38 for n in _numbers(values)))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"k": 1e300}).status_code == 201


@plants("REQ-ACCEPT", what="A single create refuses subnormal doubles.", rarity="doubles under 2.3e-308, one operation")
class SubnormalsRefused(Standin):
    RunCreate = _refusing(
        lambda values: any(type(n) is float and 0 < abs(n) < 2.3e-308 for n in _numbers(values)), models.RunCreate
    )

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(input_values={"k": 5e-324}).status_code == 201


@plants("REQ-ACCEPT", what="The empty text as a key is refused.", rarity="one key")
class EmptyKeyRefused(Standin):
    RunBulkCreate = _refusing(lambda values: "" in values)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(input_values={"": 1}).status_code == 201


@plants("REQ-ACCEPT", what="Characters beyond the basic plane are refused in a filename.", rarity="emoji, one field")
class EmojiInFilenameRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            @field_validator("filename")
            @classmethod
            def basic(cls, name: str) -> str:
                if any(ord(letter) > 0xFFFF for letter in name):
                    raise ValueError("not supported")
                return name

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE | {"filename": "🧾.pdf"}]).status_code == 201


@plants("REQ-ACCEPT", what="A session_alias of over 255 characters is refused.", rarity="a length, one field")
class LongAliasRefused(Standin):
    class RunCreate(models.RunCreate):
        session_alias: str | None = Field(default=None, max_length=255)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(session_alias="a" * 256).status_code == 201


@plants(
    "REQ-ACCEPT", what="A chain refuses decomposed text in its steps' inputs.", rarity="one kind of text, chain only"
)
class ChainRefusesDecomposed(Standin):
    class ChainCreate(models.ChainCreate):
        @field_validator("steps")
        @classmethod
        def composed(cls, steps: list[Any]) -> list[Any]:
            if not all(unicodedata.is_normalized("NFC", text) for step in steps for text in _texts(step.inputs)):
                raise ValueError("not supported")
            return steps

    @staticmethod
    def obeys(c: Client) -> None:
        c.chain([{"inputs": {"k": "e\u0301"}}])


@plants(
    "REQ-ACCEPT", what="An update refuses an output_data with a 300-digit integer.", rarity="big integers, update only"
)
class UpdateRefusesBigIntegers(Standin):
    class RunUpdate(models.RunUpdate):
        @field_validator("output_data")
        @classmethod
        def small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
            if any(type(n) is int and abs(n) >= 10**100 for n in _numbers(value)):
                raise ValueError("not supported")
            return value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.patch(c.create(), output_data={"n": 10**299}).status_code == 200


@plants("REQ-ACCEPT", what="A file's empty content is refused.", rarity="a file of no bytes")
class EmptyFileRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            content: str = Field(min_length=1)

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE | {"content": ""}]).status_code == 201


# -- REQ-BODY


@plants("REQ-BODY", what="A list with one request in it is taken for that request.", rarity="one shape of body")
class ListOfOneUnwrapped(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        return parsed[0] if isinstance(parsed, list) and len(parsed) == 1 and isinstance(parsed[0], dict) else parsed

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", [{"workflow_id": W, "count": 1}]).status_code == 422


@plants("REQ-BODY", what="What follows the JSON in a body is ignored.", rarity="valid JSON with something behind it")
class TrailingTextIgnored(Standin):
    def parse(self, body):
        try:
            return super().parse(body)
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise
            return super().parse(body.decode()[: error.pos].encode())

    @staticmethod
    def obeys(c: Client) -> None:
        raw = json.dumps({"workflow_id": W, "count": 1}).encode() + b"}"
        assert c.post("/v1/runs/bulk", raw=raw).status_code in (400, 422)


@plants("REQ-BODY", what="A body that is no UTF-8 is read as Latin-1.", rarity="undecodable bytes inside good JSON")
class UndecodableReadAsLatin(Standin):
    def parse(self, body):
        try:
            return super().parse(body)
        except UnicodeDecodeError:
            return super().parse(body.decode("latin-1").encode())

    @staticmethod
    def obeys(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": "\xe4"}}' % W.encode()
        assert c.post("/v1/runs/bulk", raw=raw).status_code in (400, 422)


@plants("REQ-BODY", what="A JSON text that itself holds JSON is read twice.", rarity="one shape of body")
class TextInBodyReadTwice(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        return super().parse(parsed.encode()) if isinstance(parsed, str) and parsed[:1] == "{" else parsed

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", json.dumps({"workflow_id": W, "count": 1})).status_code == 422


@plants(
    "REQ-BODY", "HTTP-ERROR-JSON", what="Undecodable bytes are refused in plain text.", rarity="only undecodable bodies"
)
class UndecodableRefusedInPlainText(Standin):
    def refused(self, status, detail, headers, path):
        if status == 400:
            return Answer(400, headers={"content-type": "text/plain"}, raw=b"Bad Request")
        return super().refused(status, detail, headers, path)

    @staticmethod
    def obeys(c: Client) -> None:
        answer = c.post("/v1/runs/bulk", raw=b'{"a": "\xff"}')
        assert answer.headers["content-type"] == "application/json"


# -- REQ-ERROR


@plants("REQ-ERROR", what="A count over the limit is refused with a plain sentence.", rarity="one field, one boundary")
class CountRefusedInWords(Standin):
    def violations(self, errors, call):
        if any(error["type"] == "less_than_equal" and error["loc"][-1] == "count" for error in errors):
            raise Problem(422, "Too many runs.")
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert isinstance(c.try_bulk(1001).json()["detail"], list)


@plants(
    "REQ-ERROR", what="Of two wrong fields the second is reported under the first's name.", rarity="two wrong fields"
)
class SecondErrorNamesTheFirst(Standin):
    def violations(self, errors, call):
        return super().violations([{**error, "loc": errors[0]["loc"]} for error in errors], call)

    @staticmethod
    def obeys(c: Client) -> None:
        detail = c.try_bulk(0, machine_id="x").json()["detail"]
        assert {tuple(error["loc"][:2]) for error in detail} == {("body", "machine_id"), ("body", "count")}


@plants("REQ-ERROR", what="A wrong session_id is reported as a wrong machine_id.", rarity="one field")
class SessionErrorNamesMachine(Standin):
    def violation(self, error, call):
        loc = tuple("machine_id" if part == "session_id" else part for part in error["loc"])
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(session_id="x").json()["detail"][0]["loc"] == ["body", "session_id"]


@plants("REQ-ERROR", what="An error inside a file has a loc that ends at the body.", rarity="nested fields only")
class NestedErrorsNameTheBody(Standin):
    def violation(self, error, call):
        loc = error["loc"][:1] if "file_inputs" in error["loc"] else error["loc"]
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def obeys(c: Client) -> None:
        loc = c.try_bulk(file_inputs=[{"filename": "a"}]).json()["detail"][0]["loc"]
        assert loc == ["body", "file_inputs", 0, "content"]


@plants("REQ-ERROR", what="An error of a UUID has no type.", rarity="one kind of violation")
class UuidErrorsHaveNoType(Standin):
    def violation(self, error, call):
        shown = super().violation(error, call)
        if error["type"].startswith("uuid"):
            del shown["type"]
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        assert "type" in c.try_bulk(machine_id="x").json()["detail"][0]


@plants(
    "REQ-ERROR", what="More than four violations at once are told as one object.", rarity="five wrong fields at once"
)
class ManyViolationsAsObject(Standin):
    def violations(self, errors, call):
        shown = super().violations(errors, call)
        return {"errors": shown} if len(shown) > 4 else shown

    @staticmethod
    def obeys(c: Client) -> None:
        detail = c.try_bulk(0, machine_id="x", pool_ids="x", session_id="x", input_values=1).json()["detail"]
        assert isinstance(detail, list)


# -- REQ-ATOMIC


@plants("REQ-ATOMIC", what="Runs whose files are refused are there all the same.", rarity="one reason of a refusal")
class RefusedFilesLeaveRuns(Standin):
    def violations(self, errors, call):
        if call.operation == "bulk_create_runs" and all("file_inputs" in error["loc"] for error in errors):
            self.bulk_made(call, models.RunBulkCreate.model_validate({**self.parse(call.body), "file_inputs": None}))
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=[{"filename": "a"}]).status_code == 422
        assert c.listed()["total"] == 0


@plants(
    "REQ-ATOMIC", what="A count just over the limit makes a thousand runs and is refused.", rarity="counts over 1000"
)
class TooManyLeavesThousand(Standin):
    def violations(self, errors, call):
        if [error["type"] for error in errors] == ["less_than_equal"] and call.operation == "bulk_create_runs":
            self.bulk_made(call, models.RunBulkCreate.model_validate({**self.parse(call.body), "count": 1000}))
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(1001).status_code == 422
        assert c.listed("limit=1")["total"] == 0


@plants(
    "REQ-ATOMIC", what="A chain with a bad last step leaves the steps before it.", rarity="chain, a later step wrong"
)
class RefusedChainLeavesSteps(Standin):
    def violations(self, errors, call):
        if call.operation == "create_run_chain" and all(error["loc"][1:2] == ("steps",) for error in errors):
            body = self.parse(call.body)
            try:
                good = models.ChainCreate.model_validate({**body, "steps": body["steps"][: errors[0]["loc"][2]]})
            except (ValidationError, IndexError, KeyError, TypeError):
                return super().violations(errors, call)
            self.create_run_chain(call, good)
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}, {}]}).status_code == 422
        assert c.listed()["total"] == 0


@plants(
    "REQ-ATOMIC", what="A single create refused for its session_alias leaves a run.", rarity="one field, one operation"
)
class RefusedAliasLeavesRun(Standin):
    def violations(self, errors, call):
        if call.operation == "create_run" and all(error["loc"][-1] == "session_alias" for error in errors):
            self.create_run(call, models.RunCreate.model_validate({**self.parse(call.body), "session_alias": None}))
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(session_alias=[]).status_code == 422
        assert c.listed()["total"] == 0


# -- NO-5XX


@plants("NO-5XX", what="A NUL in a search is more than the database takes.", rarity="one character, search only")
class NulInSearchBreaks(Standin):
    def list_runs(self, call, query):
        if "\0" in (query.search or ""):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().list_runs(call, query)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs?search=a%00b").status_code < 500


@plants("NO-5XX", "REQ-ACCEPT", what="A NUL in a session_alias breaks the create.", rarity="one character, one field")
class NulInAliasBreaks(Standin):
    def create_run(self, call, body):
        if "\0" in (body.session_alias or ""):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().create_run(call, body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(session_alias="a\0b").status_code < 500


@plants("NO-5XX", what="A lone surrogate in input_values cannot be encoded.", rarity="half of a character")
class LoneSurrogateBreaks(Standin):
    def bulk_create_runs(self, call, body):
        json.dumps(body.input_values, ensure_ascii=False).encode()
        return super().bulk_create_runs(call, body)

    @staticmethod
    def obeys(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": "\\ud800"}}' % W.encode()
        assert c.post("/v1/runs/bulk", raw=raw).status_code < 500


@plants("NO-5XX", what="Nesting beyond what the parser bears is not caught.", rarity="nesting over 400")
class DeepNestingBreaks(Standin):
    async def admit(self, call):
        steps = (1 if bracket in b"[{" else -1 for bracket in call.body if bracket in b"[]{}")
        if max(accumulate(steps), default=0) > 400:
            raise RecursionError("maximum recursion depth exceeded")

    @staticmethod
    def obeys(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": ' % W.encode() + b"[" * 2000 + b"]" * 2000
        assert c.post("/v1/runs/bulk", raw=raw + b"}}").status_code < 500


@plants("NO-5XX", what="skip over 64 bits is more than the database takes.", rarity="a huge page offset")
class HugeSkipBreaks(Standin):
    def list_runs(self, call, query):
        query.skip.to_bytes(8, signed=True)
        return super().list_runs(call, query)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get(f"/v1/runs?skip={2**63}").status_code < 500


@plants(
    "NO-5XX", what="An infinite number is stored, and lists fail ever after.", rarity="1e400, and the harm comes later"
)
class InfinityStoredBreaksLists(Standin):
    def double(self, text):
        return float(text)

    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"]:
            if any(not math.isfinite(n) for n in _numbers(item["input_values"]) if type(n) is float):
                item["input_values"] = None
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        c.post("/v1/runs/bulk", raw=b'{"workflow_id": "%s", "count": 1, "input_values": {"k": 1e400}}' % W.encode())
        assert c.get("/v1/runs").status_code < 500


@plants("NO-5XX", what="An integer of 5000 digits is not caught.", rarity="one kind of number, beyond the limit")
class ManyDigitsBreak(Standin):
    async def admit(self, call):
        if len(call.body) > 4300 and any(len(part) > 4300 for part in call.body.translate(_SPACED).split()):
            raise RuntimeError("Exceeds the limit for integer string conversion")

    @staticmethod
    def obeys(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": ' % W.encode() + b"9" * 5000 + b"}}"
        assert c.post("/v1/runs/bulk", raw=raw).status_code < 500


_SPACED = bytes(code if 48 <= code <= 57 else 32 for code in range(256))


@plants(
    "NO-5XX", "AUTH-TOKEN", what="A token with a character beyond ASCII breaks the comparison.", rarity="odd tokens"
)
class OddTokenBreaks(Standin):
    def owner_of(self, token):
        token.encode("ascii")
        return super().owner_of(token)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs", token=None, authorization="Bearer tök".encode("latin-1")).status_code == 401


@plants(
    "NO-5XX", what="created_at_from in the year 1 with an offset overflows.", rarity="the first day of all, one filter"
)
class FirstDayBreaks(Standin):
    def list_runs(self, call, query):
        if query.created_at_from is not None and query.created_at_from.tzinfo is not None:
            query.created_at_from.astimezone(UTC)
        return super().list_runs(call, query)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs?created_at_from=0001-01-01T00:00:00%2B14:00").status_code < 500


@plants(
    "NO-5XX", "ATTACHMENTS", what="A filename with a line break breaks its download.", rarity="one character, later on"
)
class LineBreakInFilenameBreaks(Standin):
    def download(self, one: Attachment):
        if "\n" in one.filename or "\r" in one.filename:
            raise RuntimeError("Invalid header value")
        return super().download(one)

    @staticmethod
    def obeys(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE | {"filename": "a\nb"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").status_code == 200


@plants("NO-5XX", "REQ-ACCEPT", what="An update with an empty run_message_history breaks.", rarity="one field, only []")
class EmptyHistoryBreaks(Standin):
    def change(self, run, name, value):
        if name == "run_message_history" and value is not None:
            value[-1].get("role")
        super().change(run, name, value)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.patch(c.create(), run_message_history=[]).status_code < 500


@plants("NO-5XX", what="A date that does not exist breaks the list.", rarity="30 February, one filter")
class ImpossibleDateBreaks(Standin):
    def violations(self, errors, call: Call):
        if any(error["type"].startswith("datetime") and "day" in error["msg"] for error in errors):
            raise RuntimeError("day is out of range for month")
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs?created_at_to=2025-02-30T00:00:00Z").status_code < 500
