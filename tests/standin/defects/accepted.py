"""Defects in which a valid request is refused: null, empty, and unusual values."""

import json
import unicodedata
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Problem, Standin
from tests.standin.client import FILE, Client, W
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import numbers, texts

# -- REQ-NULL


@plants("REQ-NULL", what="A null for pool_ids is refused by a retry.", rarity="one field, retry only")
class RetryRefusesNullPools(Standin):
    class RunRetry(models.RunRetry):
        pool_ids: list[UUID] = Field(default_factory=list)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=None).status_code == 200


@plants("REQ-NULL", what="An empty list of file_inputs is refused.", rarity="only the empty list, only bulk")
class EmptyFilesRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        file_inputs: Annotated[list[models.FileInput], Field(min_length=1)] | None = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[]).status_code == 201


@plants("REQ-NULL", what="A null for start_session is refused.", rarity="one field")
class NullStartSessionRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        start_session: bool = False

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(start_session=None).status_code == 201


@plants("REQ-NULL", "REQ-FILES", what="A null for a file's target_path is refused.", rarity="inside a nested object")
class NullTargetPathRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            target_path: str = ""

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values=None, sensitive_input_values={"pin": "1"}).status_code == 201


@plants(
    "REQ-NULL", what="A chain without shared_file_inputs works, one with null is refused.", rarity="chain, one field"
)
class ChainNullFilesRefused(Standin):
    class ChainCreate(models.ChainCreate):
        shared_file_inputs: list[models.FileInput] = Field(default_factory=list)

    @staticmethod
    def witness(c: Client) -> None:
        c.chain(2, shared_file_inputs=None)


@plants("REQ-NULL", what="Null inputs are refused from a chain's second step on.", rarity="a later step, one null")
class LaterStepsRefuseNullInputs(Standin):
    class ChainCreate(models.ChainCreate):
        @model_validator(mode="before")
        @classmethod
        def given(cls, body: Any) -> Any:
            steps = body.get("steps") if isinstance(body, dict) else None
            for step in steps[1:] if isinstance(steps, list) else ():
                if isinstance(step, dict) and step.get("inputs", {}) is None:
                    raise ValueError("inputs are needed")
            return body

    @staticmethod
    def witness(c: Client) -> None:
        c.chain([{}, {"inputs": None}])


@plants("REQ-NULL", what="A retry refuses null secrets beside new inputs.", rarity="two fields of a retry, one null")
class RetryRefusesNullSecretsBesideInputs(Standin):
    class RunRetry(models.RunRetry):
        @model_validator(mode="before")
        @classmethod
        def both(cls, body: Any) -> Any:
            if isinstance(body, dict) and body.get("input_values") and body.get("sensitive_input_values", 0) is None:
                raise ValueError("secrets are needed")
            return body

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"a": 1}, sensitive_input_values=None).status_code == 200


# -- REQ-ACCEPT


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
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k" * 256: 1}).status_code == 201


@plants("REQ-ACCEPT", what="A text of over 65,535 characters is refused.", rarity="a length below what must work")
class LongTextRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(len(text) > 65535 for text in texts(values)))

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k": "x" * 65536}).status_code == 201


@plants("REQ-ACCEPT", what="A NUL inside a text is refused.", rarity="one character of all")
class NulRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any("\0" in text for text in texts(values)))

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k": "a\0b"}).status_code == 201


@plants("REQ-ACCEPT", what="Nesting over 32 is refused.", rarity="a depth below what must work")
class NestingOver32Refused(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        if self.depth(parsed) > 34:
            raise json.JSONDecodeError("nested too deeply", "", 0)
        return parsed

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k": json.loads("[" * 40 + "]" * 40)}).status_code == 201


@plants("REQ-ACCEPT", what="An object of over 999 keys is refused.", rarity="a number of keys")
class ManyKeysRefused(Standin):
    RunBulkCreate = _refusing(lambda values: len(values) > 999)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={str(number): number for number in range(1000)}).status_code == 201


@plants("REQ-ACCEPT", what="Integers over 64 bits are refused.", rarity="numbers over 2**63")
class BigIntegersRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(type(n) is int and abs(n) >= 2**63 for n in numbers(values)))

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k": 2**63}).status_code == 201


@plants("REQ-ACCEPT", what="Doubles that no single-precision number holds are refused.", rarity="doubles over 3.4e38")
class DoublesBeyondSinglesRefused(Standin):
    RunBulkCreate = _refusing(lambda values: any(type(n) is float and abs(n) > 3.5e38 for n in numbers(values)))

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(input_values={"k": 1e300}).status_code == 201


@plants("REQ-ACCEPT", what="A single create refuses subnormal doubles.", rarity="doubles under 2.3e-308, one operation")
class SubnormalsRefused(Standin):
    RunCreate = _refusing(
        lambda values: any(type(n) is float and 0 < abs(n) < 2.3e-308 for n in numbers(values)), models.RunCreate
    )

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_create(input_values={"k": 5e-324}).status_code == 201


@plants("REQ-ACCEPT", what="The empty text as a key is refused.", rarity="one key")
class EmptyKeyRefused(Standin):
    RunBulkCreate = _refusing(lambda values: "" in values)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE | {"filename": "🧾.pdf"}]).status_code == 201


@plants("REQ-ACCEPT", what="A session_alias of over 255 characters is refused.", rarity="a length, one field")
class LongAliasRefused(Standin):
    class RunCreate(models.RunCreate):
        session_alias: str | None = Field(default=None, max_length=255)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_create(session_alias="a" * 256).status_code == 201


@plants(
    "REQ-ACCEPT", what="A chain refuses decomposed text in its steps' inputs.", rarity="one kind of text, chain only"
)
class ChainRefusesDecomposed(Standin):
    class ChainCreate(models.ChainCreate):
        @field_validator("steps")
        @classmethod
        def composed(cls, steps: list[Any]) -> list[Any]:
            if not all(unicodedata.is_normalized("NFC", text) for step in steps for text in texts(step.inputs)):
                raise ValueError("not supported")
            return steps

    @staticmethod
    def witness(c: Client) -> None:
        c.chain([{"inputs": {"k": "e\u0301"}}])


@plants(
    "REQ-ACCEPT", what="An update refuses an output_data with a 300-digit integer.", rarity="big integers, update only"
)
class UpdateRefusesBigIntegers(Standin):
    class RunUpdate(models.RunUpdate):
        @field_validator("output_data")
        @classmethod
        def small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
            if any(type(n) is int and abs(n) >= 10**100 for n in numbers(value)):
                raise ValueError("not supported")
            return value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), output_data={"n": 10**299}).status_code == 200


@plants("REQ-ACCEPT", what="A file's empty content is refused.", rarity="a file of no bytes")
class EmptyFileRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        class FileInput(models.FileInput):
            content: str = Field(min_length=1)

        file_inputs: list[FileInput] | None = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE | {"content": ""}]).status_code == 201


@plants("REQ-ACCEPT", what="A retry refuses a session_alias of over 255 characters.", rarity="a length, retry only")
class RetryRefusesLongAlias(Standin):
    class RunRetry(models.RunRetry):
        session_alias: str | None = Field(default=None, max_length=255)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), session_alias="a" * 256).status_code == 200


def _refused() -> Any:
    raise ValueError("not supported")


@plants("REQ-ACCEPT", what="A quotation mark in a step's session_alias is refused.", rarity="one character, one field")
class StepAliasRefusesQuotes(Standin):
    class ChainCreate(models.ChainCreate):
        class ChainStep(models.ChainStep):
            session_alias: Annotated[
                str | None, AfterValidator(lambda text: _refused() if text and '"' in text else text)
            ] = None

        steps: list[ChainStep] = Field(min_length=1)

    @staticmethod
    def witness(c: Client) -> None:
        c.chain([{"session_alias": 'the "first"'}])


@plants("REQ-ACCEPT", what="A body that begins with blanks is refused.", rarity="the same JSON in other letters")
class BlanksBeforeBodyRefused(Standin):
    def parse(self, body):
        if body[:1].isspace() and body.strip()[:1] == b"{":
            raise json.JSONDecodeError("Expecting value", "", 0)
        return super().parse(body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs", raw=b'\n {"workflow_id": "%s"}' % W.encode()).status_code == 201


@plants("REQ-ACCEPT", what="A retry refuses the empty text as a key.", rarity="one key, retry only")
class RetryRefusesEmptyKey(Standin):
    class RunRetry(models.RunRetry):
        input_values: Annotated[
            dict[str, Any] | None, AfterValidator(lambda values: _refused() if values and "" in values else values)
        ] = None

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"": 1}).status_code == 200


@plants("REQ-ACCEPT", what="More than ten files are refused.", rarity="from the eleventh file on")
class ElevenFilesRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        file_inputs: list[models.FileInput] | None = Field(default=None, max_length=10)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(file_inputs=[{**FILE, "filename": f"{n}.txt"} for n in range(11)])) == 1


@plants("REQ-ACCEPT", what="A single create takes no more than 1000 inputs.", rarity="one operation, many keys")
class SingleCreateWithManyInputsRefused(Standin):
    class RunCreate(models.RunCreate):
        input_values: dict[str, Any] | None = Field(default=None, max_length=1000)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_create(input_values={f"k{n}": n for n in range(1001)}).status_code == 201


@plants("REQ-ACCEPT", what="An input of a step must have a name.", rarity="the empty key, chains only")
class StepInputWithoutNameRefused(Standin):
    class ChainCreate(models.ChainCreate):
        @model_validator(mode="after")
        def named(self) -> Any:
            assert not any("" in (step.inputs or {}) for step in self.steps), "an input needs a name"
            return self

    @staticmethod
    def witness(c: Client) -> None:
        assert c.chain([{"inputs": {"": 1}}])["run_ids"]


@plants("REQ-ACCEPT", what="A body over a million bytes is refused.", rarity="the last of 1 MiB")
class MillionBytesRefused(Standin):
    def parse(self, body):
        if len(body) > 1_000_000:
            raise Problem(413, "Payload too large")
        return super().parse(body)

    @staticmethod
    def witness(c: Client) -> None:
        texts = {f"{n}": "x" * 100_000 for n in range(10)}
        assert c.try_create(input_values=texts).status_code == 201
