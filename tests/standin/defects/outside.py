"""Defects as two people planted them in servers of their own, who had not seen this suite, and that it then missed."""

import json
from typing import Any

from pydantic import Field, field_validator, model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import UNKNOWN, Client, M, P, W
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import TERMINAL
from tests.standin.store import Lifecycle as Lives

FILE = {"filename": "a.txt", "content": "YQ=="}
NIL = "00000000-0000-0000-0000-000000000000"

# -- requests


@plants("REQ-WORKFLOW", what="A line break after a workflow's id is overlooked.", rarity="one trailing character")
class LineBreakAfterWorkflow(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @field_validator("workflow_id", mode="before")
        @classmethod
        def up_to_the_break(cls, value: Any) -> Any:
            return value.removesuffix("\n") if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": W + "\n", "count": 1}).status_code == 422


@plants("NO-5XX", what="The nil UUID as a workflow is a 500.", rarity="one id")
class NilWorkflowFails(Standin):
    def workflow_of(self, body, index, of):
        if str(body.workflow_id) == NIL:
            raise Problem(500, "Internal Server Error")
        return super().workflow_of(body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": NIL, "count": 1}).status_code == 201


@plants("NO-5XX", what="A pool's machines cannot be none: a 500.", rarity="an empty list, one operation")
class NoMachinesForAPoolFails(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        if not body.machine_ids:
            raise Problem(500, "Internal Server Error")
        return super().add_machine_to_pool(call, pool_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        pool = c.post("/v1/pools", {"name": "p"}).json()["id"]
        assert c.post(f"/v1/pools/{pool}/machines", {"machine_ids": []}).status_code == 200


@plants("REQ-ACCEPT", what="More than ten files are refused.", rarity="from the eleventh file on")
class ElevenFilesRefused(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        file_inputs: list[models.FileInput] | None = Field(default=None, max_length=10)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(file_inputs=[{**FILE, "filename": f"{n}.txt"} for n in range(11)])) == 1


@plants("REQ-ACCEPT", what="A single create takes no more than 1000 inputs.", rarity="one operation, many keys")
class SingleCreateWithManyInputsRefused(Standin):
    class RunCreate(models.RunCreate):
        input_values: dict[str, Any] | None = Field(default=None, max_length=1000)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_create(input_values={f"k{n}": n for n in range(1001)}).status_code == 201


@plants("REQ-ACCEPT", what="An input of a step must have a name.", rarity="the empty key, chains only")
class StepInputWithoutNameRefused(Standin):
    class ChainCreate(models.ChainCreate):
        @model_validator(mode="after")
        def named(self) -> Any:
            assert not any("" in (step.inputs or {}) for step in self.steps), "an input needs a name"
            return self

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.chain([{"inputs": {"": 1}}])["run_ids"]


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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        assert c.retry(run, input_values=5).status_code == 422
        assert len(c.attachments(run)) == 1


# -- creates


@plants("BULK-ECHO", what="Texts in lists are stripped.", rarity="inside lists only")
class TextsInListsStripped(Standin):
    def inputs_of(self, body, index, of):
        return self.stripped(super().inputs_of(body, index, of))

    def stripped(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.stripped(one) for name, one in value.items()}
        if isinstance(value, list):
            return [one.strip() if isinstance(one, str) else self.stripped(one) for one in value]
        return value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"a": [" x "]})[0]["input_values"] == {"a": [" x "]}


@plants("SECRET-LEAK", what="The alias of a large double is the double.", rarity="one kind of number")
class LargeDoubleIsItsAlias(Standin):
    def alias(self, name, value):
        return str(value) if isinstance(value, float) and value > 1e15 else super().alias(name, value)

    @staticmethod
    def obeys(c: Client) -> None:
        aliases = c.bulk(sensitive_input_values={"n": 1.2345678901234567e18})[0]["sensitive_input_aliases"]
        assert "23456789012345" not in aliases["n"]


# -- reading


@plants("READ-BACK", what="A list shows no inputs that are longer than 8 kB.", rarity="lists, large inputs")
class LargeInputsLeftOutOfLists(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs" and len(json.dumps(shown["input_values"])) > 8192:
            shown["input_values"] = {}
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(input_values={"a": "x" * 9000})
        assert c.listed()["items"][0]["input_values"] == {"a": "x" * 9000}


@plants("READ-BACK", what="Of many pools a read shows sixteen.", rarity="from the seventeenth pool on, reads only")
class ReadShowsSixteenPools(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run" and shown["pool_ids"]:
            shown["pool_ids"] = shown["pool_ids"][:16]
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.read(c.bulk(pool_ids=[P[n % 12] for n in range(20)])[0])["pool_ids"]) == 20


@plants("LIST-COMPLETE", what="Active runs are those that wait or run: not those being checked.", rarity="one status")
class CheckedRunsUnlistedByActivity(Standin):
    def ordered(self, runs, query):
        if query.sort_mode != models.SortMode.CREATED_AT_DESC:
            runs = [run for run in runs if run.status != Status.RUNNING_CHECKS]
        return super().ordered(runs, query)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="running_checks")
        assert run["id"] in c.get("/v1/runs").text


@plants("LIST-FILTER", what="status=running gives those being checked too.", rarity="one status")
class RunningMeansCheckedToo(Standin):
    def matches(self, run, query):
        if query.status == Status.RUNNING and run.status == Status.RUNNING_CHECKS:
            query = query.model_copy(update={"status": None})
        return super().matches(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="running_checks")
        assert c.ids("status=running") == []


@plants("LIST-FILTER", what="An alias is found only where it is in small letters.", rarity="capitals in an alias")
class AliasInCapitalsNotFound(Standin):
    def has_text(self, run, query):
        alias, run.session_alias = run.session_alias, None
        try:
            return super().has_text(run, query) or query.search.lower() in (alias or "")
        finally:
            run.session_alias = alias

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(session_alias="FrontDesk")
        assert len(c.ids("search=frontdesk")) == 1


# -- another organisation


@plants("AUTH-TENANT", what="A list by workflow and status forgets whose runs they are.", rarity="two filters together")
class ListByWorkflowAndStatusForgetsTenant(Standin):
    def list_runs(self, call, query):
        if query.workflow_id is None or query.status is None:
            return super().list_runs(call, query)
        self.everyone = True
        try:
            return super().list_runs(call, query)
        finally:
            self.everyone = False

    everyone = False

    def listed(self, call):
        if not self.everyone:
            return super().listed(call)
        return [run for org in self.organisations.values() for run in org.runs.values()]

    @staticmethod
    def obeys(c: Client) -> None:
        c.create()
        assert c.ids(f"workflow_id={W}&status=scheduling", token="two") == []


@plants("AUTH-TENANT", what="A retry of another's run that goes on is a conflict.", rarity="retries of active runs")
class RetryTellsOfOthersRuns(Standin):
    def retry_run(self, call, run_id, body):
        theirs = [org.runs[run_id] for org in self.organisations.values() if run_id in org.runs and org is not call.org]
        if theirs and theirs[0].status not in TERMINAL:
            raise Problem(409, "Only a run that has ended can be retried.")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert c.post(f"/v1/runs/{run['id']}/retry", {}, token="two").status_code == 404


@plants("AUTH-TENANT", what="A delete of another's run drops its files.", rarity="what a 404 leaves behind")
class DeleteDropsFilesOfOthers(Standin):
    def delete_run(self, call, run_id):
        for org in self.organisations.values():
            if run_id in org.runs:
                self.forget_attachments(org, org.runs[run_id])
        return super().delete_run(call, run_id)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[FILE])
        c.delete(run, token="two")
        assert len(c.attachments(run)) == 1


# -- changing


@plants("UPDATE-PARTIAL", what="An update sets the workflow.", rarity="a property that no update has")
class UpdateSetsWorkflow(Standin):
    class RunUpdate(models.RunUpdate):
        workflow_id: Any = None

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, workflow_id=UNKNOWN)
        assert c.read(run)["workflow_id"] == W


@plants("UPDATE-PARTIAL", what="Of a history the last fifty entries are kept.", rarity="long histories")
class HistoryCutToFifty(Standin):
    def change(self, run, name, value):
        super().change(run, name, value[-50:] if name == "run_message_history" and value else value)

    @staticmethod
    def obeys(c: Client) -> None:
        history = [{"n": n} for n in range(60)]
        assert c.patch(c.create(), run_message_history=history).json()["run_message_history"] == history


@plants("DELETE-GONE", "NO-5XX", what="The fourth delete of a run is a 500.", rarity="the fourth of a kind")
class FourthDeleteFails(Standin):
    def delete_run(self, call, run_id):
        tried = self.tried = getattr(self, "tried", {})
        tried[run_id] = tried.get(run_id, 0) + 1
        if tried[run_id] > 3:
            raise Problem(500, "Internal Server Error")
        return super().delete_run(call, run_id)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert [c.delete(run).status_code for _ in range(4)] == [204, 404, 404, 404]


@plants("DELETE-GONE", what="With the run that began a session its other runs go.", rarity="the first of a session")
class SessionGoesWithItsFirst(Standin):
    def delete_run(self, call, run_id):
        answer = super().delete_run(call, run_id)
        for run in [run for run in call.org.runs.values() if run.session_id == run_id]:
            self.forget(call.org, run)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        first = c.create(start_session=True)
        second = c.create(session_id=first["session_id"])
        c.delete(first)
        assert c.read(second)


@plants("DELETE-GONE", what="What a run put out stays when it is deleted.", rarity="output files only")
class OutputFilesStay(Standin):
    def forget_attachments(self, org, run):
        for one in [one for one in org.attachments.values() if one.run_id == run.id and one.attachment_type == "input"]:
            del org.attachments[one.id]

    @staticmethod
    def obeys(c: Client) -> None:
        while not (run := c.read(c.ended()))["output_attachment_ids"]:
            continue
        c.delete(run)
        assert c.get(f"/v1/run-attachments/{run['output_attachment_ids'][0]}").status_code == 404


@plants("RETRY-RULES", what="A run that was retried can be retried while it waits.", rarity="the second retry")
class RetriedCanBeRetried(Standin):
    def may_retry(self, run):
        return super().may_retry(run) or (run.epoch > 1 and run.status == Status.SCHEDULING)

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        run = c.create()
        assert c.retry(run, sensitive_input_values={"pin": "1234"}).status_code == 409
        assert not c.read(run)["sensitive_input_aliases"]


@plants("ATTACHMENTS", what="A new file of an old name has the old bytes.", rarity="retries, the same name")
class NewFileHasOldBytes(Standin):
    def take_over(self, org, run, body):
        old = {org.attachments[one].filename: org.attachments[one].content for one in run.input_attachment_ids}
        super().take_over(org, run, body)
        for one in run.input_attachment_ids if body.file_inputs is not None else ():
            made = org.attachments[one]
            made.content = old.get(made.filename, made.content)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        c.retry(run, file_inputs=[{**FILE, "content": "Yg=="}])
        assert c.get(f"/v1/run-attachments/{c.attachments(run)[0]['id']}/download").content == b"b"


@plants("ATTACHMENTS", what="The second download is empty.", rarity="the second of a kind")
class SecondDownloadIsEmpty(Standin):
    def download(self, one):
        seen = self.seen = getattr(self, "seen", set())
        answer = super().download(one)
        if one.id in seen:
            return Answer(200, headers=answer.headers, raw=b"")
        seen.add(one.id)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        path = f"/v1/run-attachments/{c.attachments(c.create(file_inputs=[FILE]))[0]['id']}/download"
        assert [c.get(path).content, c.get(path).content] == [b"a", b"a"]


# -- lives


@plants(
    "LIFECYCLE", what="A run that is cancelled at its work ends as if it were not.", rarity="cancelled while running"
)
class CancelledAtWorkEndsAllTheSame(Standin):
    def move(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            run.status = status
            return
        super().move(org, run, status)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="cancelled")
        c.wait(60)
        assert c.read(run)["status"] == "cancelled"


@plants("LIFECYCLE", what="A retried run of a session waits for nobody.", rarity="retries in a session at work")
class RetriedRunWaitsForNobody(Standin):
    class Lifecycle(Lives):
        def schedule(self, org, run, now):
            if run.session_id is not None and run.epoch > 1:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)

    @staticmethod
    def obeys(c: Client) -> None:
        runs = c.bulk(3, start_session=True)
        c.patch(runs[0], status="cancelled")
        c.retry(runs[0])
        for _ in range(400):
            c.wait(0.05)
            assert sum(c.read(run)["status"] == "running" for run in runs) < 2


# -- idempotency, methods


@plants("IDEM-REPLAY", what="Short keys are overlooked.", rarity="keys of a few letters")
class ShortKeysOverlooked(Standin):
    async def once(self, call, handle):
        return await (handle() if len(call.key or "") < 8 else super().once(call, handle))

    @staticmethod
    def obeys(c: Client) -> None:
        first, second = (c.post("/v1/runs", {"workflow_id": W}, key="k7").json() for _ in range(2))
        assert first["id"] == second["id"]


@plants("IDEM-REPLAY", what="Keys of large bodies are overlooked.", rarity="bodies over 10 kB")
class KeysOfLargeBodiesOverlooked(Standin):
    async def once(self, call, handle):
        return await (handle() if len(call.body) > 10_000 else super().once(call, handle))

    @staticmethod
    def obeys(c: Client) -> None:
        body = {"workflow_id": W, "input_values": {"a": "x" * 11_000}}
        first, second = (c.post("/v1/runs", body, key="a-key-of-some-length").json() for _ in range(2))
        assert first["id"] == second["id"]


@plants("IDEM-CONFLICT", what="true and 1 are the same to the comparison of bodies.", rarity="one pair of values")
class TrueAndOneAreOneBody(Standin):
    def fingerprint(self, call):
        if not call.body:
            return super().fingerprint(call)
        return f"{call.method} {call.path} {hash(self.frozen(json.loads(call.body)))}"

    def frozen(self, value: Any) -> Any:
        if isinstance(value, dict):
            return frozenset((name, self.frozen(one)) for name, one in value.items())
        return tuple(map(self.frozen, value)) if isinstance(value, list) else value

    @staticmethod
    def obeys(c: Client) -> None:
        c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": 1}}, key="one-key")
        again = c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": True}}, key="one-key")
        assert again.status_code == 409


@plants("IDEM-SCOPE", "AUTH-TENANT", what="Keys of updates are everybody's.", rarity="updates only")
class KeysOfUpdatesShared(Standin):
    def keys_of(self, call):
        first = next(iter(self.organisations.values()))
        return first.keys if call.method == "PATCH" else super().keys_of(call)

    @staticmethod
    def obeys(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        c.call("PATCH", path, {"error": ["x"]}, key="one-key")
        assert c.call("PATCH", path, {"error": ["x"]}, key="one-key", token="two").status_code == 404


@plants("HTTP-METHOD", what="GET starts an ended run again.", rarity="one path, ended runs")
class GetRetries(Standin):
    doors = (("GET", "/runs/{run_id}/retry"),)

    def behind_door(self, ids):
        for org in self.organisations.values():
            run = org.runs.get(ids["run_id"])
            if run is not None and self.may_retry(run):
                self.again(org, run)
                return Answer(200, self.show(run, "retry_run"))
        raise Problem(405, "Method Not Allowed")

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get(f"/v1/runs/{c.cancelled()['id']}/retry").status_code in {404, 405}


@plants("BULK-ECHO", what="A machine of the pool is taken, whichever is asked for.", rarity="real pools")
class PoolsMachineInsteadOfTheOneAsked(Standin):
    def machine_of(self, org, body, index, of):
        for pool_id in map(str, body.pool_ids or ()):
            for machine in org.machines.values():
                if pool_id in machine["pools"]:
                    return machine["id"]
        return super().machine_of(org, body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        pool = c.get("/v1/machines").json()["items"][0]["pools"][0]["id"]
        assert c.bulk(machine_id=M, pool_ids=[pool])[0]["machine_id"] == M
