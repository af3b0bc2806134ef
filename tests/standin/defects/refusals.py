"""Defects in refusals: malformed bodies, the shape of a 422, and what a refused request leaves behind."""

import json
import re
from typing import Any

from pydantic import ValidationError, model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import FILE, Client, W
from tests.standin.defects.defect import plants
from tests.standin.store import TERMINAL

# -- REQ-BODY


@plants("REQ-BODY", what="A list with one request in it is taken for that request.", rarity="one shape of body")
class ListOfOneUnwrapped(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        return parsed[0] if isinstance(parsed, list) and len(parsed) == 1 and isinstance(parsed[0], dict) else parsed

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": "\xe4"}}' % W.encode()
        assert c.post("/v1/runs/bulk", raw=raw).status_code in (400, 422)


@plants("REQ-BODY", what="A JSON text that itself holds JSON is read twice.", rarity="one shape of body")
class TextInBodyReadTwice(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        return super().parse(parsed.encode()) if isinstance(parsed, str) and parsed[:1] == "{" else parsed

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        answer = c.post("/v1/runs/bulk", raw=b'{"a": "\xff"}')
        assert answer.headers["content-type"] == "application/json"


@plants("REQ-BODY", what="A list with one update in it is taken for that update.", rarity="one shape, update only")
class ListOfOneUpdateUnwrapped(Standin):
    class RunUpdate(models.RunUpdate):
        @model_validator(mode="before")
        @classmethod
        def unwrapped(cls, body: Any) -> Any:
            return body[0] if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) else body

    @staticmethod
    def witness(c: Client) -> None:
        answer = c.call("PATCH", f"/v1/runs/{c.create()['id']}", [{"input_values": {"changed": True}}])
        assert answer.status_code == 422


# -- REQ-ERROR


@plants("REQ-ERROR", what="A count over the limit is refused with a plain sentence.", rarity="one field, one boundary")
class CountRefusedInWords(Standin):
    def violations(self, errors, call):
        if any(error["type"] == "less_than_equal" and error["loc"][-1] == "count" for error in errors):
            raise Problem(422, "Too many runs.")
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
        assert isinstance(c.try_bulk(1001).json()["detail"], list)


@plants(
    "REQ-ERROR", what="Of two wrong fields the second is reported under the first's name.", rarity="two wrong fields"
)
class SecondErrorNamesTheFirst(Standin):
    def violations(self, errors, call):
        return super().violations([{**error, "loc": errors[0]["loc"]} for error in errors], call)

    @staticmethod
    def witness(c: Client) -> None:
        detail = c.try_bulk(0, machine_id="x").json()["detail"]
        assert {tuple(error["loc"][:2]) for error in detail} == {("body", "machine_id"), ("body", "count")}


@plants("REQ-ERROR", what="A wrong session_id is reported as a wrong machine_id.", rarity="one field")
class SessionErrorNamesMachine(Standin):
    def violation(self, error, call):
        loc = tuple("machine_id" if part == "session_id" else part for part in error["loc"])
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(session_id="x").json()["detail"][0]["loc"] == ["body", "session_id"]


@plants("REQ-ERROR", what="An error inside a file has a loc that ends at the body.", rarity="nested fields only")
class NestedErrorsNameTheBody(Standin):
    def violation(self, error, call):
        loc = error["loc"][:1] if "file_inputs" in error["loc"] else error["loc"]
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert "type" in c.try_bulk(machine_id="x").json()["detail"][0]


@plants(
    "REQ-ERROR", what="More than four violations at once are told as one object.", rarity="five wrong fields at once"
)
class ManyViolationsAsObject(Standin):
    def violations(self, errors, call):
        shown = super().violations(errors, call)
        return {"errors": shown} if len(shown) > 4 else shown

    @staticmethod
    def witness(c: Client) -> None:
        detail = c.try_bulk(0, machine_id="x", pool_ids="x", session_id="x", input_values=1).json()["detail"]
        assert isinstance(detail, list)


@plants("REQ-ERROR", what="A wrong count is reported with the inputs beside it.", rarity="one field too many is named")
class CountErrorNamesInputsToo(Standin):
    def violations(self, errors, call):
        if call.operation == "bulk_create_runs" and {error["loc"][1:] for error in errors} == {("count",)}:
            errors = [*errors, {**errors[0], "loc": ("body", "input_values")}]
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
        detail = c.try_bulk(0, input_values={"a": 1}).json()["detail"]
        assert {error["loc"][-1] for error in detail} == {"count"}


@plants("REQ-ERROR", what="A wrong page size is reported as a wrong page.", rarity="one parameter of a list")
class LimitErrorNamesSkip(Standin):
    def violation(self, error, call):
        loc = tuple("skip" if part == "limit" else part for part in error["loc"])
        return super().violation({**error, "loc": loc}, call)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/runs?limit=0").json()["detail"][0]["loc"] == ["query", "limit"]


@plants("REQ-ERROR", what="An invalid update is refused with 401, as a wrong token is.", rarity="one operation")
class InvalidUpdatesAreUnauthorized(Standin):
    def refused(self, status, detail, headers, path):
        is_update = status == 422 and re.fullmatch("/v1/runs/[^/]{36}", path) is not None
        return super().refused(401 if is_update else status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), error=5).status_code == 422


# -- REQ-ATOMIC


@plants("REQ-ATOMIC", what="Runs whose files are refused are there all the same.", rarity="one reason of a refusal")
class RefusedFilesLeaveRuns(Standin):
    def violations(self, errors, call):
        if call.operation == "bulk_create_runs" and all("file_inputs" in error["loc"] for error in errors):
            self.bulk_made(call, models.RunBulkCreate.model_validate({**self.parse(call.body), "file_inputs": None}))
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.try_create(session_alias=[]).status_code == 422
        assert c.listed()["total"] == 0


@plants("REQ-ATOMIC", what="An update refused for a list has taken the output.", rarity="one field of a refused update")
class RefusedUpdateTakesOutput(Standin):
    def violations(self, errors, call):
        body = json.loads(call.body) if call.operation == "update_run" and call.body[:1] == b"{" else {}
        run = call.org.runs.get(call.path.rpartition("/")[2])
        if run is not None and isinstance(body.get("output_data"), dict) and errors[0]["type"] == "list_type":
            run.output_data = body["output_data"]
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"a": 1})
        c.patch(run, status="cancelled")
        assert c.retry(run, input_values=5).status_code == 422
        assert c.read(run)["output_data"] == {"a": 1}


@plants("REQ-ATOMIC", what="A workflow whose schema is refused is kept.", rarity="one operation beside the runs")
class RefusedWorkflowIsKept(Standin):
    def refused(self, status, detail, headers, path):
        if status == 422 and path == "/v1/workflows":
            wrong = {problem["loc"][-1] for problem in detail}
            if "main_prompt" not in wrong and isinstance(self.last, dict):
                self.kept(self.last.get("main_prompt"))
        return super().refused(status, detail, headers, path)

    last: Any = None

    def parse(self, body):
        self.last = super().parse(body)
        return self.last

    def kept(self, prompt: Any) -> None:
        if not isinstance(prompt, str):
            return
        for org in self.organisations.values():
            now = self.created_at(org)
            number = f"{len(org.workflows):08d}-0000-4000-8000-000000000000"
            made = {"id": number, "main_prompt": prompt, "name": None, "input_schema": None, "output_schema": None}
            org.workflows[number] = made | {"is_webhooks_enabled": False, "created_at": now, "updated_at": now}

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/workflows", {"main_prompt": "kept?", "name": 5}).status_code == 422
        assert "kept?" not in c.get("/v1/workflows?limit=1000").text


@plants(
    "REQ-ATOMIC", what="A retry that is refused has dropped the old files.", rarity="refused retries of runs with files"
)
class RefusedRetryDropsFiles(Standin):
    def refused(self, status, detail, headers, path):
        if status == 422 and path.endswith("/retry"):
            for org in self.organisations.values():
                run = org.runs.get(path.split("/")[-2])
                if run is not None and run.status in TERMINAL:
                    self.forget_attachments(org, run)
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        assert c.retry(run, input_values=5).status_code == 422
        assert len(c.attachments(run)) == 1


@plants("REQ-ERROR", what="The errors of a list's parameters have no type.", rarity="parameters only")
class ParameterErrorsHaveNoType(Standin):
    def violation(self, error, call):
        shown = super().violation(error, call)
        return {name: shown[name] for name in shown if name != "type" or shown["loc"][0] != "query"}

    @staticmethod
    def witness(c: Client) -> None:
        assert "type" in c.get("/v1/runs?limit=0").json()["detail"][0]
