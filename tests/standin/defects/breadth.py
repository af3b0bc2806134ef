"""Defects of the same kinds in other places: another operation, a later item, another way in, another organisation."""

import asyncio
import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import Client, P, W
from tests.standin.defects.defect import plants

FILE = {"filename": "a.txt", "content": "YQ=="}
SECRET = "s3cr3tAndQuiteRandom81726354"

# -- requests


@plants("REQ-TYPES", what="Of pool_ids only the first ten are looked at.", rarity="a wrong item after ten good ones")
class PoolsAfterTheTenthUnchecked(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def first_ten(cls, body: Any) -> Any:
            pools = body.get("pool_ids") if isinstance(body, dict) else None
            return {**body, "pool_ids": pools[:10]} if isinstance(pools, list) else body

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(pool_ids=[P[0]] * 10 + ["nonsense"]).status_code == 422


@plants("REQ-TYPES", what="A list of pools may be JSON in a text.", rarity="one wrap, one field of a retry")
class RetryReadsListInText(Standin):
    class RunRetry(models.RunRetry):
        @field_validator("pool_ids", mode="before")
        @classmethod
        def unwrapped(cls, value: Any) -> Any:
            return json.loads(value) if isinstance(value, str) and value.startswith("[") else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), pool_ids=json.dumps(P[:1])).status_code == 422


@plants("REQ-TYPES", what="An update takes a status in capitals.", rarity="one word, update only")
class StatusInCapitalsTaken(Standin):
    class RunUpdate(models.RunUpdate):
        @field_validator("status", mode="before")
        @classmethod
        def lowered(cls, value: Any) -> Any:
            return value.lower() if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.patch(c.create(), status="CANCELLED").status_code == 422


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
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), file_inputs=[FILE] * 5 + [{"content": "YQ=="}]).status_code == 422


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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"a": 1}, sensitive_input_values=None).status_code == 200


@plants("REQ-ACCEPT", what="A retry refuses a session_alias of over 255 characters.", rarity="a length, retry only")
class RetryRefusesLongAlias(Standin):
    class RunRetry(models.RunRetry):
        session_alias: str | None = Field(default=None, max_length=255)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), session_alias="a" * 256).status_code == 200


@plants("REQ-ACCEPT", what="A quotation mark in a step's session_alias is refused.", rarity="one character, one field")
class StepAliasRefusesQuotes(Standin):
    class ChainCreate(models.ChainCreate):
        class ChainStep(models.ChainStep):
            session_alias: Annotated[
                str | None, AfterValidator(lambda text: _refused() if text and '"' in text else text)
            ] = None

        steps: list[ChainStep] = Field(min_length=1)

    @staticmethod
    def obeys(c: Client) -> None:
        c.chain([{"session_alias": 'the "first"'}])


def _refused() -> Any:
    raise ValueError("not supported")


@plants("REQ-ACCEPT", what="A body that begins with blanks is refused.", rarity="the same JSON in other letters")
class BlanksBeforeBodyRefused(Standin):
    def parse(self, body):
        if body[:1].isspace() and body.strip()[:1] == b"{":
            raise json.JSONDecodeError("Expecting value", "", 0)
        return super().parse(body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs", raw=b'\n {"workflow_id": "%s"}' % W.encode()).status_code == 201


@plants("REQ-BODY", what="A list with one update in it is taken for that update.", rarity="one shape, update only")
class ListOfOneUpdateUnwrapped(Standin):
    class RunUpdate(models.RunUpdate):
        @model_validator(mode="before")
        @classmethod
        def unwrapped(cls, body: Any) -> Any:
            return body[0] if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) else body

    @staticmethod
    def obeys(c: Client) -> None:
        answer = c.call("PATCH", f"/v1/runs/{c.create()['id']}", [{"input_values": {"changed": True}}])
        assert answer.status_code == 422


@plants("REQ-ERROR", what="A wrong count is reported with the inputs beside it.", rarity="one field too many is named")
class CountErrorNamesInputsToo(Standin):
    def violations(self, errors, call):
        if call.operation == "bulk_create_runs" and {error["loc"][1:] for error in errors} == {("count",)}:
            errors = [*errors, {**errors[0], "loc": ("body", "input_values")}]
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        detail = c.try_bulk(0, input_values={"a": 1}).json()["detail"]
        assert {error["loc"][-1] for error in detail} == {"count"}


@plants("REQ-ERROR", what="A wrong page size is reported as a wrong page.", rarity="one parameter of a list")
class LimitErrorNamesSkip(Standin):
    def violation(self, error, call):
        loc = tuple("skip" if part == "limit" else part for part in error["loc"])
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs?limit=0").json()["detail"][0]["loc"] == ["query", "limit"]


@plants("REQ-ATOMIC", what="An update refused for a list has taken the output.", rarity="one field of a refused update")
class RefusedUpdateTakesOutput(Standin):
    def violations(self, errors, call):
        body = json.loads(call.body) if call.operation == "update_run" and call.body[:1] == b"{" else {}
        run = call.org.runs.get(call.path.rpartition("/")[2])
        if run is not None and isinstance(body.get("output_data"), dict) and errors[0]["type"] == "list_type":
            run.output_data = body["output_data"]
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert c.patch(run, output_data={"a": 1}, error=5).status_code == 422
        assert c.read(run)["output_data"] is None


@plants("REQ-ATOMIC", "RETRY-RULES", what="A retry that is invalid has cleared the output.", rarity="a refused retry")
class InvalidRetryClears(Standin):
    def violations(self, errors, call):
        run = call.org.runs.get(call.path.split("/")[3]) if call.operation == "retry_run" else None
        if run is not None and run.output_data:
            run.output_data = None
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"a": 1})
        c.patch(run, status="cancelled")
        assert c.retry(run, input_values=5).status_code == 422
        assert c.read(run)["output_data"] == {"a": 1}


@plants("NO-5XX", what="A key beyond ASCII is more than the store takes.", rarity="odd keys of a write")
class OddKeyBreaks(Standin):
    async def once(self, call, handle):
        (call.key or "").encode("ascii")
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs", {"workflow_id": W}, key="kä".encode("latin-1")).status_code < 500


@plants("NO-5XX", what="A NUL in the id of an attachment breaks the look-up.", rarity="one character, one path")
class NulInAttachmentIdBreaks(Standin):
    def violations(self, errors, call):
        if any(error["loc"][-1] == "attachment_id" and "\0" in error["input"] for error in errors):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().violations(errors, call)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/run-attachments/%00").status_code < 500


@plants("REQ-ACCEPT", what="A retry refuses the empty text as a key.", rarity="one key, retry only")
class RetryRefusesEmptyKey(Standin):
    class RunRetry(models.RunRetry):
        input_values: Annotated[
            dict[str, Any] | None, AfterValidator(lambda values: _refused() if values and "" in values else values)
        ] = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"": 1}).status_code == 200


# -- who is let in


@plants("AUTH-SCHEME", what="Bearer with a colon behind it passes.", rarity="one character")
class ColonAfterBearerPasses(Standin):
    def is_scheme(self, scheme):
        return super().is_scheme(scheme.rstrip(":"))

    @staticmethod
    def obeys(c: Client) -> None:
        answer = c.get("/v1/runs", token=None, authorization="Bearer: standin-token-one")
        assert answer.status_code in (401, 403)


@plants("AUTH-TENANT", what="The first organisation reads everybody's runs.", rarity="one organisation, one operation")
class FirstOrganisationReadsAll(Standin):
    def get_run(self, call, run_id, include):
        first = next(iter(self.organisations.values()))
        for org in self.organisations.values() if call.org is first else ():
            if run_id in org.runs:
                return Answer(200, self.show(org.runs[run_id], "get_run"))
        return super().get_run(call, run_id, include)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.post("/v1/runs", {"workflow_id": W}, token="two").json()
        assert c.get(f"/v1/runs/{run['id']}", token="one").status_code == 404


@plants("AUTH-TENANT", what="The runs of a chain can be read by everybody.", rarity="runs made in one way")
class ChainsAreEverybodys(Standin):
    def find(self, call, run_id):
        for org in self.organisations.values():
            run = org.runs.get(run_id)
            if run is not None and call.operation == "get_run" and run.release_session_after is not None:
                return run
        return super().find(call, run_id)

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(1)
        assert c.get(f"/v1/runs/{made['run_ids'][0]}", token="two").status_code == 404


@plants(
    "AUTH-TENANT", what="Another's error is written, though 404 is said.", rarity="one field, behind a right answer"
)
class ErrorsOfOthersWritten(Standin):
    def update_run(self, call, run_id, body):
        for org in self.organisations.values():
            if org is not call.org and run_id in org.runs and body.error:
                org.runs[run_id].error = body.error
        return super().update_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        c.call("PATCH", f"/v1/runs/{run['id']}", {"error": ["mine"]}, token="two")
        assert c.read(run)["error"] is None


# -- secrets


@plants("SECRET-LEAK", what="A body of another content type is quoted in its error.", rarity="another content type")
class OtherContentTypeQuoted(Standin):
    def input_shown(self, error, call):
        if isinstance(error["input"], bytes):
            return error["input"].decode("utf-8", "replace")
        return super().input_shown(error, call)

    @staticmethod
    def obeys(c: Client) -> None:
        raw = json.dumps({"workflow_id": W, "sensitive_input_values": {"pin": SECRET}}).encode()

        async def sent() -> str:
            headers = {"Authorization": "Bearer standin-token-one", "Content-Type": "text/plain"}
            return (await c.client.post("/v1/runs", content=raw, headers=headers)).text

        assert SECRET not in c.runner.run(sent())


@plants("SECRET-LEAK", what="A retry of a run at work is refused with its body.", rarity="one refusal of a retry")
class EarlyRetryQuoted(Standin):
    def retry_run(self, call, run_id, body):
        if not self.may_retry(self.find(call, run_id)):
            raise Problem(409, f"Not now: {call.body.decode()}")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert SECRET not in c.retry(c.create(), sensitive_input_values={"pin": SECRET}).text


@plants("BULK-ALIASES", what="Secrets that are false or nothing have no alias.", rarity="values that are falsy")
class FalsySecretsHaveNoAlias(Standin):
    def hide(self, org, values, index=0, of=1):
        return super().hide(org, values and {name: value for name, value in values.items() if value}, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        (run,) = c.bulk(sensitive_input_values={"pin": "1", "keep": False})
        assert set(run["sensitive_input_aliases"]) == {"pin", "keep"}


@plants("BULK-ALIASES", "RETRY-RULES", what="A retry aliases the first of its secrets only.", rarity="retry only")
class RetryAliasesFirstOnly(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.sensitive_input_values:
            run.sensitive_input_aliases = dict(list((run.sensitive_input_aliases or {}).items())[:1])

    @staticmethod
    def obeys(c: Client) -> None:
        shown = c.retry(c.cancelled(), sensitive_input_values={"a": "1", "b": "2"}).json()
        assert set(shown["sensitive_input_aliases"]) == {"a", "b"}


# -- idempotency


@plants("IDEM-REPLAY", what="When its run was deleted a repeated create makes another.", rarity="a delete in between")
class RepeatAfterDeleteCreates(Standin):
    async def once(self, call, handle):
        known = self.keys_of(call).get(self.key_name(call)) if call.key else None
        if known is not None and known.answer is not None and call.operation == "create_run":
            made = json.loads(known.answer[2])
            if made.get("id") not in call.org.runs:
                del self.keys_of(call)[self.key_name(call)]
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        first = c.post("/v1/runs", {"workflow_id": W}, key="k").json()
        c.delete(first)
        assert c.post("/v1/runs", {"workflow_id": W}, key="k").json() == first


@plants("IDEM-REPLAY", what="A key on a new pool is not looked at.", rarity="one operation beside the runs")
class PoolKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "create_pool" else await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        ids = [c.post("/v1/pools", {"name": "a"}, key="k").json()["id"] for _ in range(2)]
        assert ids[0] == ids[1]


@plants("IDEM-CONFLICT", what="Two bodies under a key that arrive at once are both done.", rarity="only at once")
class BothBodiesAtOnceDone(Standin):
    async def once(self, call, handle):
        known = self.keys_of(call).get(self.key_name(call)) if call.key else None
        if known is not None and known.answer is None and known.request != self.fingerprint(call):
            return await handle()
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        async def both() -> list[Any]:
            bodies = ({"workflow_id": W}, {"workflow_id": W, "session_alias": "a"})
            return await asyncio.gather(*(c._sent("POST", "/v1/runs", body, "one", "k", None, None) for body in bodies))

        assert sorted(answer.status_code for answer in c.runner.run(both()))[1] == 409


@plants("IDEM-CONFLICT", what="A key with another update is refused, and the update made.", rarity="behind a refusal")
class ConflictUpdates(Standin):
    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except Problem as problem:
            if problem.status == 409 and not problem.headers and call.operation == "update_run":
                await handle()
            raise

    @staticmethod
    def obeys(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        for value in (1, 2):
            c.call("PATCH", path, {"usage_metadata": {"a": value}}, key="k")
        assert c.get(path).json()["usage_metadata"] == {"a": 1}


@plants("IDEM-SCOPE", what="A key that another organisation used is refused for a delete.", rarity="one operation")
class DeleteKeysOfOthersRefused(Standin):
    async def once(self, call, handle):
        others = [org for org in self.organisations.values() if org is not call.org]
        if call.operation == "delete_run" and call.key and any(call.key in org.keys for org in others):
            raise self.key_conflict()
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        mine = c.create()
        theirs = c.post("/v1/runs", {"workflow_id": W}, token="two").json()
        assert c.delete(mine, key="k").status_code == 204
        assert c.delete(theirs, key="k", token="two").status_code == 204


# -- limits


@plants("HTTP-LIMIT", what="Of reads at once the ninth is 429, without a Retry-After.", rarity="many reads at once")
class ReadsAtOnceWithoutRetryAfter(Standin):
    async def admit(self, call):
        if call.method != "GET":
            return
        self.reading = getattr(self, "reading", 0) + 1
        try:
            await asyncio.sleep(0.01)
            if self.reading > 8:
                raise Problem(429, "Too many at once.")
        finally:
            self.reading -= 1

    @staticmethod
    def obeys(c: Client) -> None:
        async def twenty() -> list[Any]:
            return await asyncio.gather(
                *(c._sent("GET", "/v1/pools", None, "one", None, None, None) for _ in range(20))
            )

        answers = c.runner.run(twenty())
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


@plants("HTTP-LIMIT", what="After fifty creates each tenth is 429, without a Retry-After.", rarity="creates alone")
class CreatesLimitedWithoutRetryAfter(Standin):
    async def admit(self, call):
        if call.operation == "bulk_create_runs":
            self.creates = getattr(self, "creates", 0) + 1
            if self.creates >= 50 and self.creates % 10 == 0:
                raise Problem(429, "Too many runs.")

    @staticmethod
    def obeys(c: Client) -> None:
        answers = [c.try_bulk() for _ in range(60)]
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
